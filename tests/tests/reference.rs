//! The small trained model against the float32 reference: activations, logits, tokens, answers.

use mcv_compile::args::CompileArgs;
use mcv_runtime::image;
use mcv_runtime::session::{Options, Session};
use mcv_tests::goldens::Golden;
use mcv_tests::{fixture, measure, nano};
use std::path::Path;

const GOLDENS: [(&str, u32); 5] = [
    ("A000-total-2x1", 0),
    ("A001-lines-noslice", 1),
    ("A004-colour-2x2", 4),
    ("A006-read-noslice", 6),
    ("A025-read_wide-1x2", 25),
];

fn open(recipe: &str, level: Option<&str>) -> Session {
    let options = Options { level: level.map(str::to_string), ..Options::default() };
    Session::open(fixture::artifact(recipe), &options).expect("the artifact opens")
}

fn picture(id: u32) -> image::Rgb {
    let path = fixture::picture(id);
    image::decode(&path.display().to_string(), &std::fs::read(path).expect("a picture")).expect("a PNG")
}

fn golden(name: &str) -> Golden {
    Golden::read(&fixture::root().join("tests/fixtures/goldens").join(name))
}

#[test]
fn float_weights_give_the_reference_logits_and_tokens() {
    let mut session = open("float", None);
    for (name, id) in GOLDENS {
        let found = measure::distance(&mut session, &golden(name), Some(&fixture::picture(id))).expect("comparable");
        assert!(found.logits < 2e-3, "{name}: logits differ by {} of their range", found.logits);
        assert!(
            found.vectors.is_some_and(|v| v < 1e-4),
            "{name}: vectors differ by {:?} of their range",
            found.vectors
        );
        assert_eq!(found.tokens, (32, 32), "{name}");
    }
}

#[test]
fn vectors_stay_close_at_four_bits() {
    let mut session = open("q4", None);
    for (name, id) in GOLDENS {
        let golden = golden(name);
        let (_, expected) = &golden.tensors["resampler.out"];
        let (ours, width) = session.encode_slices(&picture(id)).expect("the picture is encoded");
        for (row, (a, b)) in ours.chunks(width).zip(expected.chunks(width)).enumerate() {
            assert!(measure::cosine(a, b) > 0.999, "{name}: row {row}: cosine {}", measure::cosine(a, b));
        }
    }
}

#[test]
fn answers_lose_at_most_two_points_at_four_bits() {
    let tiny = fixture::root().join("models/tiny");
    let reference = tiny.join("accuracy.json");
    let run = |recipe: &str, reference: &Path| {
        measure::accuracy(&mut open(recipe, None), &tiny.join("pictures"), Some(reference), usize::MAX)
            .expect("a picture set")
    };
    let float = run("float", &reference);
    assert_eq!((float.asked, float.right), (200, 184), "the reference's own figure");
    assert_eq!(float.like_reference, 200, "every answer is the reference's");
    let quantized = run("q4", &reference);
    assert!(quantized.right + 4 >= float.right, "4 bits: {} of 200, float {}", quantized.right, float.right);
}

#[test]
fn every_level_and_the_stock_kernels_answer_alike() {
    let tiny = fixture::root().join("models/tiny/pictures");
    let best = measure::accuracy(&mut open("q4", None), &tiny, None, 12).expect("a picture set");
    let mut tried = 0;
    for level in ["portable", "avx2", "avx512vnni", "amx"] {
        let options = Options { level: Some(level.into()), ..Options::default() };
        // A level this CPU lacks is refused by name; any other refusal is a fault.
        let mut session = match Session::open(fixture::artifact("q4"), &options) {
            Ok(session) => session,
            Err(e) => {
                assert!(e.to_string().contains("no kernels in this artifact fit"), "{e}");
                continue;
            }
        };
        let answers = measure::accuracy(&mut session, &tiny, None, 12).expect("a picture set");
        assert_eq!(answers.outputs, best.outputs, "{level}");
        tried += 1;
    }
    assert!(tried >= 1, "the portable level runs everywhere");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("stock.mcv");
    let options = CompileArgs { stock_kernels: true, ..fixture::options("q4", &path) };
    mcv_compile::compile::compile(&options).expect("stock kernels cover the model");
    let mut session = Session::open(&path, &Options::default()).expect("the artifact opens");
    assert_eq!(measure::accuracy(&mut session, &tiny, None, 12).expect("a picture set").outputs, best.outputs);
}

#[test]
fn stock_kernels_cover_every_version() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for version in nano::VERSIONS {
        let model = folder.path().join(version);
        std::fs::create_dir(&model).expect("a folder");
        nano::write(version, &model).expect("the fixture is complete");
        for recipe in ["float", "q8", "q4"] {
            let output = model.join(format!("{recipe}.mcv"));
            let options = fixture::options(recipe, &output);
            let args = CompileArgs { model: Some(model.clone()), stock_kernels: true, ..options };
            if let Err(e) = mcv_compile::compile::compile(&args) {
                panic!("{version} {recipe}: {e}");
            }
        }
    }
}
