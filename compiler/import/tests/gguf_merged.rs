//! Pairs of 4.6 (`qwen35` with `minicpmv4_6`) that are not what they should be: refused by the name of key or tensor.

#[allow(dead_code)]
#[path = "../../../tests/src/gguf.rs"]
mod gguf;
mod support;

use gguf::{Gguf, Tensor, Value};
use mcv_import::{Form, Imported};

/// A layer of linear attention (two key heads, four value heads), one of full attention, a block that guesses ahead.
fn llm() -> Gguf {
    let mut file = Gguf::default();
    file.set("general.architecture", "qwen35");
    for (key, n) in [
        ("context_length", 512),
        ("embedding_length", 64),
        ("block_count", 3),
        ("nextn_predict_layers", 1),
        ("feed_forward_length", 96),
        ("attention.head_count", 2),
        ("attention.head_count_kv", 1),
        ("attention.key_length", 32),
        ("attention.value_length", 32),
        ("rope.dimension_count", 8),
        ("ssm.conv_kernel", 4),
        ("ssm.state_size", 16),
        ("ssm.group_count", 2),
        ("ssm.time_step_rank", 4),
        ("ssm.inner_size", 128),
        ("full_attention_interval", 2),
    ] {
        file.set(&format!("qwen35.{key}"), Value::U32(n));
    }
    file.set("qwen35.rope.dimension_sections", Value::I32s(vec![2, 1, 1, 0]));
    file.set("qwen35.attention.layer_norm_rms_epsilon", Value::F32(1e-6));
    file.set("qwen35.rope.freq_base", Value::F32(1e7));
    vocabulary(&mut file);
    file.tensors = [("token_embd.weight", &[16, 64][..], 0.0), ("output_norm.weight", &[64], 1.0)]
        .map(|(name, shape, value)| Tensor::filled(name, shape, value))
        .into();
    for block in 0..3 {
        for (name, shape) in [
            ("attn_norm.weight", &[64][..]),
            ("post_attention_norm.weight", &[64]),
            ("ffn_gate.weight", &[96, 64]),
            ("ffn_up.weight", &[96, 64]),
            ("ffn_down.weight", &[64, 96]),
        ] {
            file.tensors.push(Tensor::filled(&format!("blk.{block}.{name}"), shape, 1.0));
        }
    }
    for (name, shape) in [
        ("ssm_a", &[4][..]),
        ("ssm_conv1d.weight", &[192, 4]),
        ("ssm_dt.bias", &[4]),
        ("ssm_alpha.weight", &[4, 64]),
        ("ssm_beta.weight", &[4, 64]),
        ("ssm_norm.weight", &[32]),
        ("ssm_out.weight", &[64, 128]),
        ("attn_qkv.weight", &[192, 64]),
        ("attn_gate.weight", &[128, 64]),
    ] {
        file.tensors.push(Tensor::filled(&format!("blk.0.{name}"), shape, -1.0));
    }
    for block in 1..3 {
        for (name, shape) in [
            ("attn_q.weight", &[128, 64][..]),
            ("attn_k.weight", &[32, 64]),
            ("attn_v.weight", &[32, 64]),
            ("attn_output.weight", &[64, 64]),
            ("attn_q_norm.weight", &[32]),
            ("attn_k_norm.weight", &[32]),
        ] {
            file.tensors.push(Tensor::filled(&format!("blk.{block}.{name}"), shape, 0.5));
        }
    }
    file.tensors.push(Tensor::filled("blk.2.nextn.eh_proj.weight", &[64, 128], 0.0));
    file
}

fn vocabulary(file: &mut Gguf) {
    let special =
        ["<|im_start|>", "<|im_end|>", "<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>"];
    let texts = ["a", "b", "ab"].iter().chain(&special).chain(&["<|image_pad|>"]);
    file.set("tokenizer.ggml.tokens", Value::Texts(texts.map(|t| t.to_string()).collect()));
    file.set("tokenizer.ggml.token_type", Value::I32s([vec![1; 3], vec![3; special.len() + 1]].concat()));
    file.set("tokenizer.ggml.merges", Value::Texts(vec!["a b".into()]));
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", "qwen35");
    file.set("tokenizer.ggml.eos_token_id", Value::U32(4));
}

fn mmproj() -> Gguf {
    let mut file = Gguf::default();
    file.set("general.architecture", "clip");
    file.set("clip.projector_type", "minicpmv4_6");
    file.set("clip.use_gelu", Value::Bool(true));
    for (key, n) in [
        ("image_size", 112),
        ("patch_size", 14),
        ("embedding_length", 32),
        ("feed_forward_length", 48),
        ("block_count", 1),
        ("attention.head_count", 2),
        ("projection_dim", 64),
        ("projector.scale_factor", 4),
    ] {
        file.set(&format!("clip.vision.{key}"), Value::U32(n));
    }
    file.set("clip.vision.wa_layer_indexes", Value::I32s(vec![0]));
    file.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
    file.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
    for (name, shape) in [
        ("v.patch_embd", &[32, 3, 14, 14][..]),
        ("v.post_ln", &[32]),
        ("v.blk.0.ln1", &[32]),
        ("v.blk.0.ln2", &[32]),
        ("v.blk.0.attn_q", &[32, 32]),
        ("v.blk.0.attn_k", &[32, 32]),
        ("v.blk.0.attn_v", &[32, 32]),
        ("v.blk.0.attn_out", &[32, 32]),
        ("v.blk.0.ffn_up", &[48, 32]),
        ("v.blk.0.ffn_down", &[32, 48]),
        ("v.vit_merger.ln1", &[32]),
        ("v.vit_merger.attn_q", &[32, 32]),
        ("v.vit_merger.attn_k", &[32, 32]),
        ("v.vit_merger.attn_v", &[32, 32]),
        ("v.vit_merger.attn_out", &[32, 32]),
        ("v.vit_merger.ds_ln", &[128]),
        ("v.vit_merger.ds_ffn_up", &[192, 128]),
        ("v.vit_merger.ds_ffn_down", &[32, 192]),
        ("mm.input_norm", &[128]),
        ("mm.up", &[128, 128]),
        ("mm.down", &[64, 128]),
    ] {
        file.tensors.push(Tensor::filled(&format!("{name}.weight"), shape, 0.0));
        file.tensors.push(Tensor::filled(&format!("{name}.bias"), &shape[..1], 0.0));
    }
    file.tensors.push(Tensor::filled("v.position_embd.weight", &[64, 32], 0.0));
    file
}

fn import(spoil: impl Fn(&mut Gguf, &mut Gguf)) -> Result<(tempfile::TempDir, Imported), String> {
    let (mut text, mut vision) = (llm(), mmproj());
    spoil(&mut text, &mut vision);
    let dir = tempfile::tempdir().expect("a directory");
    for (name, file) in [("model.gguf", text), ("mmproj-model-f16.gguf", vision)] {
        std::fs::write(dir.path().join(name), file.bytes()).expect("a file is written");
    }
    // Rows are read later; the files must live.
    support::import(&dir.path().join("model.gguf")).map(|model| (dir, model))
}

fn without(file: &mut Gguf, key: &str) {
    file.keys.retain(|(k, _)| k != key);
}

fn reshape(file: &mut Gguf, name: &str, shape: &[u64]) {
    file.replace(Tensor::filled(name, shape, -1.0));
}

#[test]
fn a_sound_pair() {
    let (_dir, model) = import(|_, _| ()).expect("sound");
    assert_eq!(model.config.version.to_string(), "4.6");
    let hybrid = model.config.llm.hybrid.as_ref().expect("layers of linear attention");
    assert_eq!((hybrid.linear.as_slice(), hybrid.value_dim, hybrid.rotary), (&[true, false][..], 32, 8));
    assert_eq!((model.config.image_token, model.chat.placeholder.as_str()), (Some(11), "<|image_pad|>"));
    let unused = |name: &&str| !format!("{:?}", model.program.weights).contains(*name);
    assert_eq!(model.checkpoint.names().filter(unused).collect::<Vec<_>>(), [""; 0]);
    let rates = model.checkpoint.tensor("llm.model.layers.0.linear_attn.A_log").expect("there");
    assert_eq!(model.checkpoint.read_rows(rates, 0, 4).expect("readable"), [0.0; 4]);
}

#[test]
fn other_modes_that_llama_cpp_knows() {
    let plain = |a: &mut Gguf| a.set("qwen35.attention.recurrent_layers", Value::Bools(vec![true, false, false]));
    let (_dir, model) = import(|a, _| plain(a)).expect("layers one by one");
    assert_eq!(model.config.llm.hybrid.expect("hybrid").linear, [true, false]);
    let once = |b: &mut Gguf| {
        b.set("clip.vision.projector.scale_factor", Value::U32(2));
        b.tensors.retain(|t| !t.name.contains("vit_merger"));
    };
    let (_dir, model) = import(|_, b| once(b)).expect("patches merged once");
    assert_eq!(model.config.vision.unit(), 2);
    let unknown = |a: &mut Gguf| {
        let Some(Value::Texts(texts)) = a.key("tokenizer.ggml.tokens") else { panic!("texts") };
        texts[11] = "<unk>".into();
    };
    let (_dir, model) = import(|a, _| unknown(a)).expect("another token stands for pictures");
    assert_eq!(model.chat.placeholder, "<unk>");
}

#[test]
fn keys_that_are_missing_or_not_understood() {
    type Case = (fn(&mut Gguf, &mut Gguf), &'static [&'static str]);
    let cases: [Case; 27] = [
        (|a, _| a.set("qwen35.expert_count", Value::U32(8)), &["qwen35.expert_count", "not understood"]),
        (|a, _| a.set("qwen35.ssm.dt_b_c_rms", Value::Bool(true)), &["qwen35.ssm.dt_b_c_rms", "not understood"]),
        (|a, _| a.set("qwen35.nextn_predict_layers", Value::U32(3)), &["qwen35.block_count", "leaves no layer"]),
        (|a, _| a.set("qwen35.nextn_predict_layers", Value::U32(99)), &["qwen35.nextn_predict_layers", "is 99"]),
        (|a, _| a.set("qwen35.ssm.inner_size", Value::U32(130)), &["qwen35.ssm.inner_size", "no multiple"]),
        (|a, _| a.set("qwen35.ssm.inner_size", Value::U32(1 << 24)), &["linear_value_head_dim"]),
        (|a, _| a.set("qwen35.ssm.state_size", Value::U32(0)), &["qwen35.ssm.state_size", "is 0"]),
        (|a, _| a.set("qwen35.ssm.group_count", Value::U32(3)), &["linear_num_value_heads", "no multiple"]),
        (|a, _| a.set("qwen35.ssm.conv_kernel", Value::U32(1)), &["linear_conv_kernel_dim"]),
        (|a, _| without(a, "qwen35.ssm.time_step_rank"), &["qwen35.ssm.time_step_rank", "missing"]),
        (|a, _| without(a, "qwen35.rope.dimension_sections"), &["qwen35.rope.dimension_sections", "missing"]),
        (
            |a, _| a.set("qwen35.rope.dimension_sections", Value::I32s(vec![1, 1, 1, 1])),
            &["qwen35.rope.dimension_sections", "[2.0, 1.0, 1.0]"],
        ),
        (
            |a, _| a.set("qwen35.rope.dimension_sections", Value::I32s(vec![4])),
            &["qwen35.rope.dimension_sections", "not supported"],
        ),
        (|a, _| a.set("qwen35.rope.dimension_count", Value::U32(64)), &["qwen35.rope.dimension_count", "to 32"]),
        (|a, _| without(a, "qwen35.rope.dimension_count"), &["qwen35.rope.dimension_count", "missing"]),
        (|a, _| a.set("qwen35.rope.scaling.type", "longrope"), &["qwen35.rope.scaling.type", "supported: none"]),
        (|a, _| a.tensors.push(Tensor::filled("rope_freqs.weight", &[16], 1.0)), &["rope.scaling.type", "rope_freqs"]),
        (
            |a, _| a.set("qwen35.attention.recurrent_layers", Value::Bools(vec![true])),
            &["qwen35.attention.recurrent_layers", "1 entries for 3"],
        ),
        (
            |a, _| a.set("qwen35.attention.recurrent_layers", Value::I32s(vec![1, 0, 0])),
            &["qwen35.attention.recurrent_layers", "true and false"],
        ),
        (
            |a, _| {
                let Some(Value::Texts(texts)) = a.key("tokenizer.ggml.tokens") else { panic!("texts") };
                texts[11] = "<pad>".into();
            },
            &["tokenizer.ggml.tokens", "<|image_pad|>"],
        ),
        (|_, b| b.set("clip.projector_type", "resampler"), &["clip.vision.projector.scale_factor", "not understood"]),
        (|_, b| b.set("clip.vision.projection_dim", Value::U32(96)), &["clip.vision.projection_dim", "64"]),
        (|_, b| b.set("clip.vision.projector.scale_factor", Value::U32(3)), &["scale_factor", "supported: 4, 2"]),
        (|_, b| b.set("clip.vision.wa_layer_indexes", Value::I32s(vec![1])), &["wa_layer_indexes", "1 layers"]),
        (|_, b| b.set("clip.vision.wa_layer_indexes", Value::I32s(vec![-1])), &["wa_layer_indexes", "[-1.0]"]),
        (|_, b| without(b, "clip.vision.wa_layer_indexes"), &["clip.vision.wa_layer_indexes", "missing"]),
        (|_, b| b.set("clip.use_gelu", Value::Bool(false)), &["clip.use_gelu"]),
    ];
    for (spoil, words) in cases {
        let error = import(spoil).err().unwrap_or_else(|| panic!("{words:?}: was imported"));
        assert!(words.iter().all(|w| error.contains(w)), "{error} lacks one of {words:?}");
    }
}

#[test]
fn files_that_were_not_made_for_each_other() {
    let plain = |b: &mut Gguf| {
        b.set("clip.projector_type", "resampler");
        b.keys.retain(|(key, _)| !key.contains("projector.") && !key.contains("wa_layer"));
    };
    let error = import(|_, b| plain(b)).err().expect("a resampler for 4.6");
    assert!(error.contains("clip.projector_type") && error.contains("qwen35"), "{error}");
    let other = |a: &mut Gguf| {
        a.set("general.architecture", "qwen3");
        a.keys.retain(|(key, _)| !key.starts_with("qwen35."));
        a.set("qwen3.embedding_length", Value::U32(64));
    };
    let error = import(|a, _| other(a)).err().expect("a merger for another language model");
    assert!(error.contains("clip.projector_type") && error.contains("linear attention"), "{error}");
}

#[test]
fn tensors_that_do_not_fit() {
    type Case = (fn(&mut Gguf, &mut Gguf), &'static [&'static str]);
    let cases: [Case; 9] = [
        (|a, _| a.tensors.push(Tensor::filled("blk.0.ssm_d", &[4], 0.0)), &["tensor blk.0.ssm_d", "no place"]),
        (|a, _| a.tensors.push(Tensor::filled("blk.3.ssm_a", &[4], 0.0)), &["tensor blk.3.ssm_a", "no place"]),
        (|a, _| a.tensors.push(Tensor::filled("blk.1.ssm_a", &[4], 0.0)), &["tensor blk.1.ssm_a", "no place"]),
        (|a, _| a.tensors.retain(|t| t.name != "blk.0.ssm_a"), &["linear_attn.A_log is missing"]),
        (|a, _| reshape(a, "blk.0.attn_qkv.weight", &[190, 64]), &["in_proj_qkv.weight has shape"]),
        (|a, _| reshape(a, "blk.0.ssm_out.weight", &[64, 96]), &["out_proj.weight has shape"]),
        (|a, _| reshape(a, "blk.0.ssm_conv1d.weight", &[192, 3]), &["conv1d.weight has shape"]),
        (|_, b| reshape(b, "mm.down.weight", &[32, 128]), &["merger.mlp.0.linear_2.weight has shape"]),
        (
            |_, b| b.set("clip.vision.projector.scale_factor", Value::U32(2)),
            &["tensor v.vit_merger.ln1.weight", "no place"],
        ),
    ];
    for (spoil, words) in cases {
        let error = import(spoil).err().unwrap_or_else(|| panic!("{words:?}: was imported"));
        assert!(words.iter().all(|w| error.contains(w)), "{error} lacks one of {words:?}");
    }
}

#[test]
fn numbers_that_the_converter_never_writes() {
    for value in [0.0, 1.0, f32::NAN, f32::NEG_INFINITY] {
        let rates = |a: &mut Gguf| {
            let place = a.tensors.iter_mut().find(|t| t.name == "blk.0.ssm_a").expect("the tensor");
            *place = Tensor::filled("blk.0.ssm_a", &[4], value);
        };
        let (_dir, model) = import(|a, _| rates(a)).expect("numbers are read later");
        let entry = model.checkpoint.tensor("llm.model.layers.0.linear_attn.A_log").expect("there");
        let error = model.checkpoint.read_rows(entry, 0, 4).expect_err("no rate").to_string();
        assert!(error.contains("blk.0.ssm_a") && error.contains("-exp(A_log)"), "{error}");
    }
}

#[test]
fn heads_get_their_own_order_back() {
    // Value heads 0 and 1 belong to the first key head; in the file the first of each key head come first: 0, 2, 1, 3.
    let numbered = |name: &str, shape: [u64; 2], by_row: bool| {
        let (rows, width) = (shape[0] as usize, shape[1] as usize);
        let value = move |at: usize| if by_row { at / width } else { at % width } as f32;
        let bytes = (0..rows * width).flat_map(|at| value(at).to_le_bytes()).collect();
        Tensor { name: name.into(), shape: shape.to_vec(), format: 0, bytes }
    };
    let blocks = |a: &mut Gguf| {
        for (name, shape, by_row) in
            [("blk.0.attn_qkv.weight", [192, 64], true), ("blk.0.ssm_out.weight", [64, 128], false)]
        {
            let place = a.tensors.iter_mut().find(|t| t.name == name).expect("the tensor");
            *place = numbered(name, shape, by_row);
        }
        let place = a.tensors.iter_mut().find(|t| t.name == "blk.0.attn_gate.weight").expect("the tensor");
        *place = Tensor { format: 2, bytes: vec![0; 128 * 2 * 18], ..place.clone() };
    };
    let (_dir, model) = import(|a, _| blocks(a)).expect("sound");
    let entry = |part: &str| model.checkpoint.tensor(&format!("llm.model.layers.0.linear_attn.{part}")).expect("there");
    let order: Vec<f32> = [0, 64, 32, 96].into_iter().flat_map(|head| (head..head + 32).map(|n| n as f32)).collect();
    let rows = model.checkpoint.read_rows(entry("in_proj_qkv.weight"), 0, 192).expect("readable");
    let found: Vec<f32> = rows.chunks_exact(64).map(|row| row[0]).collect();
    assert_eq!(found[..64], (0..64).map(|n| n as f32).collect::<Vec<_>>());
    assert_eq!(found[64..], order.iter().map(|n| n + 64.0).collect::<Vec<_>>());
    let part = model.checkpoint.read_rows(entry("in_proj_qkv.weight"), 100, 103).expect("readable");
    assert_eq!([part[0], part[64], part[128]], [132.0, 133.0, 134.0]);
    let columns = model.checkpoint.read_rows(entry("out_proj.weight"), 7, 8).expect("readable");
    assert_eq!(columns, order);
    assert!(matches!(model.checkpoint.form(entry("in_proj_z.weight")), Form::Rounded(_)));
    assert!(model.checkpoint.rounded_rows(entry("in_proj_z.weight"), 0, 128).expect("readable").is_some());
}

#[test]
fn blocks_that_heads_lie_through_are_rounded_again() {
    let blocks = |a: &mut Gguf| {
        let place = a.tensors.iter_mut().find(|t| t.name == "blk.0.ssm_out.weight").expect("the tensor");
        *place = Tensor { format: 2, bytes: vec![0; 64 * 4 * 18], ..place.clone() };
    };
    let (_dir, model) = import(|a, _| blocks(a)).expect("sound");
    let entry = model.checkpoint.tensor("llm.model.layers.0.linear_attn.out_proj.weight").expect("there");
    assert!(matches!(model.checkpoint.form(entry), Form::Other(why) if why.contains("order")));
    assert_eq!(model.checkpoint.rounded_rows(entry, 0, 1).expect("readable"), None);
}
