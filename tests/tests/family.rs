//! Every version of the family, very small: import, passes, kernels and runtime against the float32 reference.

use mcv_compile::args::CompileArgs;
use mcv_import::Imported;
use mcv_ir::eval::Trace;
use mcv_runtime::image::{self, Rgb};
use mcv_runtime::text::{Sampling, Tokenizer};
use mcv_runtime::{Options, Session};
use mcv_tests::evaluate::{self, Evaluator, optimized};
use mcv_tests::goldens::Golden;
use mcv_tests::measure::{self, argmax, share};
use mcv_tests::{fixture, nano};
use std::path::Path;
use tempfile::TempDir;

fn checkpoint(version: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    dir
}

fn import(dir: &Path) -> Imported {
    nano::import(dir).expect("the fixture is valid")
}

fn picture() -> Rgb {
    image::decode("picture.png", &std::fs::read(nano::picture()).expect("a picture")).expect("a PNG")
}

/// Largest difference of an activation of the overview from the golden, as a share of its range.
fn activations(trace: &Trace, golden: &Golden) -> f32 {
    let timm = trace.contains_key("vpm.norm");
    let names = match timm {
        true => ["vpm.embeddings", "vpm.blocks.0.mlp.residual", "vpm.norm"],
        false => ["vpm.embeddings", "vpm.encoder.layers.0.mlp.residual", "vpm.post_layernorm"],
    };
    let of = |(name, key): (&str, &str)| share(&trace[name].data, &golden.tensors[key].1);
    names.into_iter().zip(["vpm.embeddings", "vpm.layer0", "vpm.out"]).map(of).fold(0.0, f32::max)
}

#[test]
fn imported_programs_mean_what_the_reference_computes() {
    for version in nano::VERSIONS {
        let dir = checkpoint(version);
        let model = import(dir.path());
        for case in ["image", "text"] {
            let golden = nano::golden(version, case);
            let mut machine = Evaluator::new(&model, &model.program);
            if case == "image" {
                let slices = evaluate::slices(&model, &picture());
                let traces: Vec<Trace> = slices.iter().enumerate().map(|(i, s)| machine.encode(i, s)).collect();
                let found = activations(&traces[0], &golden);
                assert!(found < 1e-5, "{version}: activations differ by {found}");
                let found = share(&machine.vectors(&slices), &golden.tensors["resampler.out"].1);
                assert!(found < 1e-5, "{version}: vectors differ by {found}");
            }
            let ids = golden.ints("ids");
            let mut logits = machine.prefill(&ids, &golden.image_rows());
            let found = share(&logits, &golden.tensors["logits"].1);
            assert!(found < 1e-5, "{version} {case}: logits differ by {found}");
            for (step, token) in golden.ints("greedy").into_iter().enumerate() {
                assert_eq!(argmax(&logits), token as usize, "{version} {case}: token {step}");
                logits = machine.decode(token, ids.len() + step);
            }
        }
    }
}

#[test]
fn passes_keep_the_meaning_of_every_version() {
    for version in nano::VERSIONS {
        let dir = checkpoint(version);
        let model = import(dir.path());
        let golden = nano::golden(version, "image");
        let slices = evaluate::slices(&model, &picture());
        // Errors stay in the memories of linear attention.
        let rounded = if version >= "v4_6" { 4e-2 } else { 2e-2 };
        for (recipe, tolerance) in [("float", 1e-5), ("q8", rounded)] {
            let program = optimized(&model, recipe);
            let mut machine = Evaluator::new(&model, &program);
            slices.iter().enumerate().for_each(|(i, s)| drop(machine.encode(i, s)));
            let vectors = share(&machine.vectors(&slices), &golden.tensors["resampler.out"].1);
            let logits = machine.prefill(&golden.ints("ids"), &golden.image_rows());
            let logits = share(&logits, &golden.tensors["logits"].1);
            println!("{version} {recipe}: vectors {vectors}, logits {logits}");
            assert!(vectors < tolerance && logits < tolerance, "{version} {recipe}: {vectors}, {logits}");
        }
    }
}

#[test]
fn artifacts_answer_as_the_reference() {
    for version in nano::VERSIONS {
        let dir = checkpoint(version);
        let output = dir.path().join("nano.mcv");
        let levels = Some(vec!["portable".to_string()]);
        let args = CompileArgs { model: Some(dir.path().into()), levels, ..fixture::options("float", &output) };
        mcv_compile::compile::compile(&args).expect("it compiles").expect("not stopped");
        let mut session = Session::open(&output, &Options::default()).expect("the artifact opens");
        for (case, shown) in [("image", Some(nano::picture())), ("text", None)] {
            let golden = nano::golden(version, case);
            let found = measure::distance(&mut session, &golden, shown.as_deref()).expect("comparable");
            println!("{version} {case}: {found:?}");
            assert!(found.logits < 1e-5 && found.vectors.unwrap_or(0.0) < 1e-5, "{version} {case}: {found:?}");
            assert_eq!(found.tokens, (24, 24), "{version} {case}");
        }
        conversation(version, &mut session, dir.path());
    }
}

/// What a user sees: the prompt has the reference's tokens, and the answer is the reference's text.
fn conversation(version: &str, session: &mut Session, dir: &Path) {
    let tokenizer = Tokenizer::from_json(&std::fs::read(dir.join("tokenizer.json")).expect("a file")).expect("valid");
    session.set_sampling(Sampling::default()).expect("greedy");
    session.set_max_tokens(12);
    for case in ["image", "text"] {
        let golden = nano::golden(version, case);
        session.reset();
        if case == "image" {
            session.image(picture());
        }
        session.say(golden.info["prompt"].as_str().expect("a prompt"), None).expect("it fits");
        assert_eq!(session.stats().prefill_tokens, golden.ints("ids").len(), "{version} {case}");
        let mut answer = String::new();
        while let Some(piece) = session.next_piece().expect("decode runs") {
            answer.push_str(&piece);
        }
        let tokens = &golden.ints("greedy")[..12];
        let bytes: Vec<u8> = tokens.iter().flat_map(|id| tokenizer.decode_bytes(*id)).copied().collect();
        assert_eq!(answer, String::from_utf8_lossy(&bytes), "{version} {case}");
    }
}
