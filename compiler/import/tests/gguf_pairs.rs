//! Pairs of GGUF files that are not what they should be: each is refused by the name of its key, tensor or file.

#[allow(dead_code)]
#[path = "../../../tests/src/gguf.rs"]
mod gguf;
mod support;

use gguf::{Gguf, Tensor, Value};
use mcv_import::{Form, Imported};
use mcv_ir::Elem;
use std::path::Path;

fn zeros(name: &str, shape: &[u64]) -> Tensor {
    Tensor::filled(name, shape, 0.0)
}

/// The smallest language model of 2.6, in qwen2's names.
fn llm() -> Gguf {
    let mut file = Gguf::default();
    file.set("general.architecture", "qwen2");
    for (key, n) in [
        ("context_length", 512),
        ("embedding_length", 64),
        ("block_count", 1),
        ("feed_forward_length", 96),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ] {
        file.set(&format!("qwen2.{key}"), Value::U32(n));
    }
    file.set("qwen2.attention.layer_norm_rms_epsilon", Value::F32(1e-6));
    file.set("qwen2.rope.freq_base", Value::F32(1e6));
    vocabulary(&mut file);
    for (name, shape) in
        [("token_embd.weight", &[16, 64][..]), ("output_norm.weight", &[64]), ("output.weight", &[16, 64])]
    {
        file.tensors.push(zeros(name, shape));
    }
    for (name, shape) in [
        ("attn_norm.weight", &[64][..]),
        ("ffn_norm.weight", &[64]),
        ("attn_q.weight", &[64, 64]),
        ("attn_q.bias", &[64]),
        ("attn_k.weight", &[32, 64]),
        ("attn_k.bias", &[32]),
        ("attn_v.weight", &[32, 64]),
        ("attn_v.bias", &[32]),
        ("attn_output.weight", &[64, 64]),
        ("ffn_gate.weight", &[96, 64]),
        ("ffn_up.weight", &[96, 64]),
        ("ffn_down.weight", &[64, 96]),
    ] {
        file.tensors.push(zeros(&format!("blk.0.{name}"), shape));
    }
    file
}

fn vocabulary(file: &mut Gguf) {
    let special = [
        "<unk>",
        "<|im_start|>",
        "<|im_end|>",
        "<image>",
        "</image>",
        "<slice>",
        "</slice>",
        "<image_id>",
        "</image_id>",
    ];
    let tokens: Vec<String> = ["a", "b", "ab"].iter().chain(&special).map(|t| t.to_string()).collect();
    file.set("tokenizer.ggml.token_type", Value::I32s([vec![1; 3], vec![3; special.len()]].concat()));
    file.set("tokenizer.ggml.tokens", Value::Texts(tokens));
    file.set("tokenizer.ggml.merges", Value::Texts(vec!["a b".into()]));
    file.set("tokenizer.ggml.model", "gpt2");
    file.set("tokenizer.ggml.pre", "qwen2");
    file.set("tokenizer.ggml.eos_token_id", Value::U32(5));
}

/// The smallest mmproj for it.
fn mmproj() -> Gguf {
    let mut file = Gguf::default();
    file.set("general.architecture", "clip");
    file.set("clip.projector_type", "resampler");
    file.set("clip.minicpmv_version", Value::I32(3));
    file.set("clip.use_gelu", Value::Bool(true));
    for (key, n) in [
        ("image_size", 56),
        ("patch_size", 14),
        ("embedding_length", 32),
        ("feed_forward_length", 48),
        ("block_count", 1),
        ("attention.head_count", 2),
    ] {
        file.set(&format!("clip.vision.{key}"), Value::U32(n));
    }
    file.set("clip.vision.image_mean", Value::F32s(vec![0.5; 3]));
    file.set("clip.vision.image_std", Value::F32s(vec![0.5; 3]));
    let both = [
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
        ("resampler.attn.q", &[64, 64]),
        ("resampler.attn.k", &[64, 64]),
        ("resampler.attn.v", &[64, 64]),
        ("resampler.attn.out", &[64, 64]),
        ("resampler.ln_q", &[64]),
        ("resampler.ln_kv", &[64]),
        ("resampler.ln_post", &[64]),
    ];
    for (name, shape) in both {
        file.tensors.push(zeros(&format!("{name}.weight"), shape));
        file.tensors.push(zeros(&format!("{name}.bias"), &shape[..1]));
    }
    for (name, shape) in [
        ("v.position_embd.weight", &[16, 32]),
        ("resampler.kv.weight", &[64, 32]),
        ("resampler.query", &[4, 64]),
        ("resampler.proj.weight", &[64, 64]),
        ("resampler.pos_embed_k", &[4900, 64]),
    ] {
        file.tensors.push(zeros(name, shape));
    }
    file
}

fn import(llm: &Gguf, mmproj: &Gguf) -> Result<Imported, String> {
    let dir = tempfile::tempdir().expect("a directory");
    put(dir.path(), "model.gguf", llm);
    put(dir.path(), "mmproj-model-f16.gguf", mmproj);
    support::import(&dir.path().join("model.gguf"))
}

fn put(dir: &Path, name: &str, file: &Gguf) {
    std::fs::write(dir.join(name), file.bytes()).expect("a file is written");
}

/// What is said of a pair that is spoiled first.
fn refusal(spoil: impl Fn(&mut Gguf, &mut Gguf)) -> String {
    let (mut text, mut vision) = (llm(), mmproj());
    spoil(&mut text, &mut vision);
    import(&text, &vision).err().expect("it is refused")
}

fn reshape(file: &mut Gguf, name: &str, shape: &[u64]) {
    file.replace(zeros(name, shape));
}

#[test]
fn a_sound_pair() {
    let model = import(&llm(), &mmproj()).expect("sound");
    assert_eq!(model.config.version.to_string(), "2.6");
    assert_eq!((model.config.llm.vocab_size, model.config.resampler.queries), (16, 4));
    assert_eq!((model.config.image.scale_resolution, model.config.vision.position_side()), (56, 4));
    assert_eq!(model.config.llm.rms_norm_eps, 1e-6);
    assert_eq!(model.stop, [5]);
    let unused = |name: &&str| {
        let reads = |w: &mcv_ir::Weight| matches!(&w.source, mcv_ir::Source::Stored { tensor, .. } if tensor == name);
        !model.program.weights.iter().any(reads)
    };
    assert_eq!(model.checkpoint.names().filter(unused).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn keys_that_are_missing_or_not_understood() {
    type Case = (&'static str, fn(&mut Gguf, &mut Gguf), &'static [&'static str]);
    let cases: [Case; 24] = [
        ("architecture", |a, _| a.set("general.architecture", "mamba"), &["general.architecture", "mamba"]),
        ("no architecture", |a, _| a.keys.retain(|k| k.0 != "general.architecture"), &["general.architecture"]),
        ("split", |a, _| a.set("split.count", Value::U32(3)), &["split.count", "--merge"]),
        ("strange key", |a, _| a.set("qwen2.expert_count", Value::U32(8)), &["qwen2.expert_count", "not understood"]),
        ("window", |a, _| a.set("qwen2.attention.sliding_window", Value::U32(8)), &["qwen2.attention.sliding_window"]),
        ("heads", |a, _| a.set("qwen2.attention.head_count", Value::U32(0)), &["qwen2.attention.head_count", "is 0"]),
        ("odd heads", |a, _| a.set("qwen2.attention.head_count_kv", Value::U32(3)), &["num_key_value_heads"]),
        ("text for a number", |a, _| a.set("qwen2.block_count", "1"), &["qwen2.block_count", "'1'"]),
        ("no layers", |a, _| a.keys.retain(|k| k.0 != "qwen2.block_count"), &["qwen2.block_count", "missing"]),
        ("value length", |a, _| a.set("qwen2.attention.value_length", Value::U32(8)), &["attention.value_length"]),
        (
            "rotation",
            |a, _| a.set("qwen2.rope.dimension_count", Value::U32(8)),
            &["rope.dimension_count", "supported: 16"],
        ),
        ("yarn", |a, _| a.set("qwen2.rope.scaling.type", "yarn"), &["qwen2.rope.scaling.type", "yarn"]),
        ("no factors", |a, _| a.set("qwen2.rope.scaling.type", "longrope"), &["rope.scaling.type", "missing"]),
        ("factors", |a, _| a.tensors.push(zeros("rope_freqs.weight", &[9])), &["rope_freqs.weight", "[9]"]),
        ("no clip", |_, b| b.set("general.architecture", "llama"), &["mmproj", "general.architecture"]),
        ("projector", |_, b| b.set("clip.projector_type", "mlp"), &["clip.projector_type", "mlp"]),
        ("version", |_, b| b.set("clip.minicpmv_version", Value::I32(4)), &["clip.minicpmv_version", "4 is not"]),
        ("strange clip key", |_, b| b.set("clip.vision.window", Value::U32(4)), &["clip.vision.window"]),
        ("audio", |_, b| b.set("clip.has_audio_encoder", Value::Bool(true)), &["clip.has_audio_encoder"]),
        ("quick gelu", |_, b| b.set("clip.use_gelu", Value::Bool(false)), &["clip.use_gelu"]),
        ("silu", |_, b| b.set("clip.use_silu", Value::Bool(true)), &["clip.use_silu"]),
        ("layers", |_, b| b.set("clip.vision.block_count", Value::U32(7)), &["clip.vision.block_count", "1 layers"]),
        (
            "mean",
            |_, b| b.set("clip.vision.image_mean", Value::F32s(vec![0.5])),
            &["clip.vision.image_mean", "1 numbers"],
        ),
        ("positions", |_, b| reshape(b, "v.position_embd.weight", &[15, 32]), &["v.position_embd.weight", "15 rows"]),
    ];
    for (name, spoil, words) in cases {
        let (mut text, mut vision) = (llm(), mmproj());
        spoil(&mut text, &mut vision);
        let error = import(&text, &vision).err().unwrap_or_else(|| panic!("{name}: was imported"));
        assert!(words.iter().all(|w| error.contains(w)), "{name}: {error} lacks one of {words:?}");
    }
}

#[test]
fn tensors_that_do_not_fit() {
    let error = refusal(|a, _| a.tensors.push(zeros("blk.0.attn_rot_embd", &[8])));
    assert!(error.contains("tensor blk.0.attn_rot_embd") && error.contains("no place"), "{error}");
    let error = refusal(|a, _| a.tensors.push(zeros("blk.1.attn_q.weight", &[64, 64])));
    assert!(error.contains("tensor blk.1.attn_q.weight"), "{error}");
    let error = refusal(|a, _| a.tensors.retain(|t| t.name != "blk.0.ffn_gate.weight"));
    assert!(error.contains("mlp.gate_proj.weight is missing"), "{error}");
    let error = refusal(|a, _| reshape(a, "blk.0.attn_q.weight", &[64, 32]));
    assert!(error.contains("self_attn.q_proj.weight has shape"), "{error}");
    let error = refusal(|_, b| reshape(b, "resampler.attn.k.weight", &[64, 32]));
    assert!(error.contains("tensor resampler.attn.k.weight") && error.contains("siblings"), "{error}");
    let error = refusal(|_, b| reshape(b, "resampler.proj.weight", &[64, 32]));
    assert!(error.contains("tensor resampler.proj.weight") && error.contains("square"), "{error}");
    let error = refusal(|_, b| b.tensors.retain(|t| t.name != "resampler.query"));
    assert!(error.contains("tensor resampler.query"), "{error}");
}

#[test]
fn tokenizers_that_do_not_fit() {
    type Case = (fn(&mut Gguf), &'static [&'static str]);
    let cases: [Case; 11] = [
        (|a| a.set("tokenizer.ggml.model", "rwkv"), &["tokenizer.ggml.model", "rwkv", "gpt2, llama"]),
        (|a| a.set("tokenizer.ggml.pre", "tekken"), &["tokenizer.ggml.pre", "tekken", "qwen2"]),
        (|a| a.keys.retain(|k| k.0 != "tokenizer.ggml.tokens"), &["tokenizer.ggml.tokens", "missing"]),
        (|a| a.keys.retain(|k| k.0 != "tokenizer.ggml.merges"), &["tokenizer.ggml.merges", "missing"]),
        (
            |a| a.set("tokenizer.ggml.token_type", Value::I32s(vec![1])),
            &["tokenizer.ggml.token_type", "1 types for 12"],
        ),
        (|a| a.set("tokenizer.ggml.token_type", Value::I32s(vec![9; 12])), &["tokenizer.ggml.token_type", "1 to 6"]),
        (|a| a.set("tokenizer.ggml.merges", Value::Texts(vec!["a c".into()])), &["tokenizer.ggml.merges", "'a c'"]),
        (|a| a.set("tokenizer.ggml.merges", Value::Texts(vec!["ab".into()])), &["tokenizer.ggml.merges", "'ab'"]),
        (|a| a.set("tokenizer.ggml.tokens", Value::Texts(vec!["a".into(); 12])), &["tokenizer.ggml.tokens", "twice"]),
        (|a| a.set("tokenizer.ggml.token_type", Value::I32s(vec![1; 12])), &["tokenizer.ggml.tokens", "<image>"]),
        (|a| a.set("tokenizer.ggml.model", "llama"), &["tokenizer.ggml.scores", "missing"]),
    ];
    for (spoil, words) in cases {
        let error = refusal(|a, _| spoil(a));
        assert!(words.iter().all(|w| error.contains(w)), "{error} lacks one of {words:?}");
    }
}

#[test]
fn files_are_found_beside_each_other() {
    let dir = tempfile::tempdir().expect("a directory");
    put(dir.path(), "model.gguf", &llm());
    let model = dir.path().join("model.gguf");
    assert!(support::import(&model).err().expect("alone").contains("--mmproj"));
    assert!(support::import(dir.path()).err().expect("alone").contains("mmproj"));
    put(dir.path(), "mmproj-a.gguf", &mmproj());
    assert!(support::import(&model).is_ok() && support::import(dir.path()).is_ok());
    let error = support::import(&dir.path().join("mmproj-a.gguf")).err().expect("the wrong one");
    assert!(error.contains("this is an mmproj"), "{error}");
    put(dir.path(), "mmproj-b.gguf", &mmproj());
    let error = support::import(&model).err().expect("two");
    assert!(error.contains("mmproj-a.gguf, mmproj-b.gguf") && error.contains("--mmproj"), "{error}");
    let named = mcv_import::Request { mmproj: Some(dir.path().join("mmproj-b.gguf")), ..support::request() };
    assert!(mcv_import::import(&model, &named).is_ok());
    put(dir.path(), "other.gguf", &llm());
    let error = mcv_import::import(dir.path(), &named).err().expect("two models").to_string();
    assert!(error.contains("model.gguf, other.gguf"), "{error}");
    let error = mcv_import::import(&support::tiny(), &named).err().expect("no GGUF").to_string();
    assert!(error.contains("--mmproj"), "{error}");
}

#[test]
fn integers_are_handed_out_as_they_are() {
    let mut text = llm();
    let block: Vec<u8> = [vec![0x00, 0x3c], (0..16).map(|i| i | (15 - i) << 4).collect()].concat();
    let place = text.tensors.iter_mut().find(|t| t.name == "blk.0.ffn_down.weight").expect("the tensor");
    *place = Tensor { format: 2, bytes: block.repeat(64 * 3), ..place.clone() };
    let dir = tempfile::tempdir().expect("a directory");
    put(dir.path(), "model.gguf", &text);
    put(dir.path(), "mmproj.gguf", &mmproj());
    let model = support::import(dir.path()).expect("sound");
    let entry = model.checkpoint.tensor("llm.model.layers.0.mlp.down_proj.weight").expect("there");
    assert_eq!(model.checkpoint.form(entry), Form::Rounded(Elem::Q4 { group: 32 }));
    let known = model.checkpoint.rounded_rows(entry, 2, 3).expect("readable").expect("rounded");
    let values = model.checkpoint.read_rows(entry, 2, 3).expect("readable");
    assert_eq!((known.scales.len(), known.integers[0], known.integers[16], known.integers[31]), (3, -8, 7, -8));
    assert_eq!(values, known.integers.iter().map(|q| f32::from(*q)).collect::<Vec<_>>());
}
