//! GGUF pairs of every version against the directories they were made from: prompts, numbers, answers.

use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use mcv_import::Imported;
use mcv_runtime::image::{self, Rgb};
use mcv_runtime::text::{Sampling, Tokenizer};
use mcv_runtime::{Options, Session};
use mcv_tests::evaluate::{self, Evaluator};
use mcv_tests::gguf::Value;
use mcv_tests::gguf_pair::{self, Kind};
use mcv_tests::measure::{argmax, share};
use mcv_tests::{fixture, nano};
use serde_json::{Value as Json, json};
use std::path::Path;
use tempfile::TempDir;

/// Versions whose pairs are read.
fn versions() -> impl Iterator<Item = &'static str> {
    nano::VERSIONS.into_iter().filter(|version| !["v1_0", "v4_7"].contains(version))
}

/// A version's directory with its GGUF pair in it.
fn model(version: &str, kind: Kind) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    name_placeholder(dir.path());
    gguf_pair::write(dir.path(), kind).expect("the pair is written");
    dir
}

/// Gives 4.6's placeholder the name that it has in published tokenizers: files say only what tokens are called.
fn name_placeholder(dir: &Path) {
    let path = dir.join("tokenizer.json");
    let tokenizer = std::fs::read_to_string(&path).expect("a text");
    std::fs::write(&path, tokenizer.replace("<|reserved_special_token_0|>", "<|image_pad|>")).expect("written");
}

fn import(path: &Path) -> Imported {
    nano::import(path).expect("the fixture is valid")
}

fn picture() -> Rgb {
    image::decode("picture.png", &std::fs::read(nano::picture()).expect("a picture")).expect("a PNG")
}

/// Vectors of the picture and logits of the golden's prompt with them.
fn computed(model: &Imported, version: &str) -> (Vec<f32>, Vec<f32>) {
    let golden = nano::golden(version, "image");
    let mut machine = Evaluator::new(model, &model.program);
    let slices = evaluate::slices(model, &picture());
    slices.iter().enumerate().for_each(|(i, s)| drop(machine.encode(i, s)));
    (machine.vectors(&slices), machine.prefill(&golden.ints("ids"), &golden.image_rows()))
}

#[test]
fn floats_compute_what_the_reference_computes() {
    for version in versions() {
        let golden = nano::golden(version, "image");
        for (kind, tolerance) in [(Kind::F32, 1e-5), (Kind::F16, 1e-4)] {
            let dir = model(version, kind);
            let imported = import(&dir.path().join("model.gguf"));
            let (vectors, logits) = computed(&imported, version);
            let vectors = share(&vectors, &golden.tensors["resampler.out"].1);
            let logits = share(&logits, &golden.tensors["logits"].1);
            println!("{version} {kind:?}: vectors {vectors}, logits {logits}");
            assert!(vectors < 1e-5 && logits < tolerance, "{version} {kind:?}: {vectors}, {logits}");
        }
    }
}

#[test]
fn facts_and_prompts_are_those_of_the_directory() {
    for version in versions() {
        let dir = model(version, Kind::F32);
        let (there, here) = (import(dir.path()), import(&dir.path().join("model.gguf")));
        assert_eq!(here.config.version, there.config.version);
        assert_eq!((&here.chat, &here.stop), (&there.chat, &there.stop), "{version}");
        assert_eq!(here.config.image, there.config.image, "{version}");
        assert_eq!(here.config.generation, there.config.generation, "{version}");
        let [ours, theirs] = [&here, &there].map(|m| Tokenizer::from_json(&m.tokenizer).expect("a tokenizer"));
        let text = "<|im_start|>user\nWhat's on line 12?  ZÜRICH\n\n\t<image>日本</image> 3.14<|im_end|>";
        assert_eq!(ours.encode(text).expect("ids"), theirs.encode(text).expect("ids"), "{version}");
        for id in 0..theirs.vocab_size() as u32 {
            assert_eq!(ours.decode_bytes(id), theirs.decode_bytes(id), "{version} {id}");
        }
    }
}

/// The directory of a version whose matrices have the values of their Q4_0 blocks.
fn rounded(version: &str) -> TempDir {
    let dir = model(version, Kind::Q4_0);
    let mut weights = gguf_pair::weights(dir.path()).expect("readable");
    for (name, (_, values)) in &mut weights {
        if gguf_pair::is_quantized(name) {
            *values = gguf_pair::rounded(values);
        }
    }
    gguf_pair::replace(dir.path(), &weights).expect("written");
    dir
}

#[test]
fn blocks_of_four_bits_compute_what_their_values_compute() {
    for version in versions() {
        let dir = rounded(version);
        let (_, expected) = computed(&import(dir.path()), version);
        let (_, found) = computed(&import(&dir.path().join("model.gguf")), version);
        assert!(share(&found, &expected) < 1e-6, "{version}: {}", share(&found, &expected));
    }
}

#[test]
fn blocks_of_four_bits_are_not_rounded_again() {
    let dir = rounded("v4_0");
    let output = dir.path().join("nano.mcv");
    let levels = Some(vec!["portable".to_string()]);
    let path = Some(dir.path().join("model.gguf"));
    let args = CompileArgs { model: path.clone(), levels: levels.clone(), ..fixture::options("q4", &output) };
    let outcome = compile(&args).expect("it compiles").expect("not stopped");
    assert_eq!((outcome.takeover.taken, outcome.takeover.again.len()), (14, 0));
    let layers = |r: &&mcv_compile::pack::Rounding| r.name.starts_with("llm.model.layers.");
    assert!(outcome.roundings.iter().filter(layers).all(|r| r.error == 0.0));
    // The same grid, found in the floats: the artifacts answer alike.
    let golden = nano::golden("v4_0", "text");
    let recipe = dir.path().join("four.yaml");
    let text = "name: four\nkv: f16\nrules:\n  - { match: 'llm.*.layers.*_proj.weight', type: q4/32 }\n";
    std::fs::write(&recipe, format!("{text}  - {{ match: '*', type: keep }}\n")).expect("written");
    let logits = |model: &Path| {
        let args = CompileArgs {
            model: Some(model.into()),
            levels: levels.clone(),
            ..fixture::options(&recipe.to_string_lossy(), &output)
        };
        compile(&args).expect("it compiles").expect("not stopped");
        let mut session = Session::open(&output, &Options::default()).expect("the artifact opens");
        session.forward_logits(&golden.ints("ids"), &golden.image_rows()).expect("the prompt fits")
    };
    let (found, expected) = (logits(&dir.path().join("model.gguf")), logits(dir.path()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!(share(found, expected) < 1e-6, "{}", share(found, expected));
        assert_eq!(argmax(found), argmax(expected));
    }
}

/// Hash of a converter's numbers, as in `tests/fixtures/gguf/converted.py`.
fn fnv(bytes: &[u8]) -> String {
    let step = |state: u64, byte: &u8| (state ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect()
}

/// A key's value as JSON has it.
fn plain(value: &Value) -> Json {
    match value {
        Value::U32(n) => json!(n),
        Value::I32(n) => json!(n),
        Value::F32(x) => json!(f64::from(*x)),
        Value::Bool(flag) => json!(flag),
        Value::Text(text) => json!(text),
        Value::Texts(list) => json!(list),
        Value::Bools(list) => json!(list),
        Value::I32s(list) => json!(list),
        Value::F32s(list) => json!(list.iter().map(|x| f64::from(*x)).collect::<Vec<_>>()),
    }
}

#[test]
fn the_pair_of_4_6_is_what_the_converter_writes() {
    let path = fixture::root().join("tests/fixtures/gguf/v4_6.json");
    let converted: Json = serde_json::from_slice(&std::fs::read(path).expect("the golden is there")).expect("JSON");
    let dir = model("v4_6", Kind::F32);
    let config = std::fs::read(dir.path().join("config.json")).expect("a file");
    let config = serde_json::from_slice(&config).expect("JSON");
    let (llm, vision) = gguf_pair::files(dir.path(), &config, Kind::F32).expect("the directory is complete");
    for (file, part) in [(llm, "llm"), (vision, "mmproj")] {
        let keys = file.keys.iter().filter(|(key, _)| !key.starts_with("general."));
        let keys: Json = keys.map(|(key, value)| (key.clone(), plain(value))).collect::<serde_json::Map<_, _>>().into();
        assert_eq!(keys, converted[part]["keys"], "{part}");
        assert_eq!(file.tensors.len(), converted[part]["tensors"].as_object().map_or(0, |t| t.len()), "{part}");
        for tensor in file.tensors {
            let [shape, numbers] = [0, 1].map(|i| converted[part]["tensors"][&tensor.name][i].clone());
            assert_eq!(json!(tensor.shape), shape, "{}", tensor.name);
            let Json::Array(numbers) = numbers else {
                assert_eq!(json!(fnv(&tensor.bytes)), numbers, "{}", tensor.name);
                continue;
            };
            for (ours, theirs) in floats(&tensor.bytes).iter().zip(numbers) {
                let theirs = theirs.as_f64().expect("a number") as f32;
                assert!(ours.to_bits().abs_diff(theirs.to_bits()) <= 1, "{}: {ours} {theirs}", tensor.name);
            }
        }
    }
}

#[test]
fn the_pair_of_4_6_gives_the_weights_of_the_directory() {
    let dir = model("v4_6", Kind::F32);
    let (there, here) = (import(dir.path()), import(&dir.path().join("model.gguf")));
    assert_eq!(here.checkpoint.names().collect::<Vec<_>>(), there.checkpoint.names().collect::<Vec<_>>());
    assert_eq!((&here.config.llm, &here.config.vision), (&there.config.llm, &there.config.vision));
    for name in there.checkpoint.names() {
        let [found, expected] = [&here, &there].map(|model| {
            let entry = model.checkpoint.tensor(name).expect("listed");
            model.checkpoint.read_rows(entry, 0, entry.shape[0]).expect("readable")
        });
        if !name.ends_with("A_log") {
            assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{name}");
        }
        // The logarithm of a rounded exponential: off by half a step at 1, whatever the number.
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-7 * expected.abs().max(1.0), "{name}: {found} {expected}");
        }
    }
}

#[test]
fn the_pair_of_4_6_answers_as_the_reference() {
    let dir = model("v4_6", Kind::F32);
    let output = dir.path().join("nano.mcv");
    let args = CompileArgs {
        model: Some(dir.path().join("model.gguf")),
        max_ratio: 9.0,
        stock_kernels: true,
        ..fixture::options("float", &output)
    };
    compile(&args).expect("stock kernels cover the model").expect("not stopped");
    let mut session = Session::open(&output, &Options::default()).expect("the artifact opens");
    session.set_sampling(Sampling::default()).expect("greedy");
    session.set_max_tokens(12);
    let tokenizer = std::fs::read(dir.path().join("tokenizer.json")).expect("a file");
    let tokenizer = Tokenizer::from_json(&tokenizer).expect("valid");
    for case in ["image", "text"] {
        let golden = nano::golden("v4_6", case);
        session.reset();
        if case == "image" {
            session.image(picture());
        }
        session.say(golden.info["prompt"].as_str().expect("a prompt"), None).expect("it fits");
        assert_eq!(session.stats().context_tokens, golden.ints("ids").len(), "{case}");
        let mut answer = String::new();
        while let Some(piece) = session.next_piece().expect("decode runs") {
            answer.push_str(&piece);
        }
        let tokens = golden.ints("greedy");
        let bytes: Vec<u8> = tokens[..12].iter().flat_map(|id| tokenizer.decode_bytes(*id)).copied().collect();
        assert_eq!(answer, String::from_utf8_lossy(&bytes), "{case}");
    }
}
