//! GGUF pairs of every version against the directories they were made from: prompts, numbers, answers.

use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use mcv_import::Imported;
use mcv_runtime::image::{self, Rgb};
use mcv_runtime::text::Tokenizer;
use mcv_runtime::{Options, Session};
use mcv_tests::evaluate::{self, Evaluator};
use mcv_tests::gguf_pair::{self, Kind};
use mcv_tests::measure::{argmax, share};
use mcv_tests::{fixture, nano};
use std::path::Path;
use tempfile::TempDir;

/// Versions whose pairs are read.
fn versions() -> impl Iterator<Item = &'static str> {
    nano::VERSIONS.into_iter().filter(|version| !["v1_0", "v4_6", "v4_7"].contains(version))
}

/// A version's directory with its GGUF pair in it.
fn model(version: &str, kind: Kind) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    gguf_pair::write(dir.path(), kind).expect("the pair is written");
    dir
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
