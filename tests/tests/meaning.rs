//! The emitted kernels, run by the runtime, against the program's own meaning (`eval`), for the whole small model.

use mcv_compile::{recipe, soc};
use mcv_import::{Imported, Request};
use mcv_ir::{Program, text};
use mcv_passes::pass::{Context, pipeline, run_passes};
use mcv_runtime::image;
use mcv_runtime::session::{Options, Session};
use mcv_targets::cpu::CpuTarget;
use mcv_tests::evaluate::{self, Evaluator, optimized};
use mcv_tests::fixture;

fn import(kv: mcv_ir::Elem) -> Imported {
    let request =
        Request { context: Some(256), prefill_chunk: 64, pictures: 1, max_ratio: 16.0, kv, slices: None, mmproj: None };
    mcv_import::import(&fixture::tiny_model(), &request).expect("the small model imports")
}

/// Vectors of the overview of picture 1 and logits of a short prompt with them, by `eval`.
fn evaluate(imported: &Imported, program: &Program) -> (Vec<f32>, Vec<f32>) {
    let mut machine = Evaluator::new(imported, program);
    let bytes = std::fs::read(fixture::picture(1)).expect("a picture");
    let slices = evaluate::slices(imported, &image::decode("1", &bytes).expect("a PNG"));
    machine.encode(0, &slices[0]);
    let (ids, rows) = prompt();
    (machine.vectors(&slices[..1]), machine.prefill(&ids, &rows))
}

/// Some tokens with the sixteen vectors of a slice between them.
fn prompt() -> (Vec<u32>, Vec<i32>) {
    let ids = [vec![379, 338, 198, 381], vec![377; 16], vec![382, 198, 280, 267, 260, 374]].concat();
    let rows = (0..ids.len() as i32).map(|i| if (4..20).contains(&i) { i - 4 } else { -1 }).collect();
    (ids, rows)
}

fn relative(a: &[f32], b: &[f32]) -> f32 {
    let top = b.iter().fold(0.0f32, |m, x| m.max(x.abs()));
    a.iter().zip(b).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max) / top
}

#[test]
fn kernels_mean_what_eval_means() {
    for (recipe, tolerance) in [("float", 1e-4), ("q8", 2e-2), ("q4", 2e-2)] {
        let kv = recipe::load(recipe).expect("a built-in recipe").kv;
        let imported = import(kv);
        let (vectors, logits) = evaluate(&imported, &optimized(&imported, recipe));
        let mut session = Session::open(fixture::artifact(recipe), &Options::default()).expect("the artifact opens");
        let bytes = std::fs::read(fixture::picture(1)).expect("a picture");
        let (ours, _) = session.encode_slices(&image::decode("1", &bytes).expect("a PNG")).expect("encoded");
        assert_eq!(ours.len(), vectors.len(), "picture 1 is one slice");
        assert!(relative(&ours, &vectors) < tolerance, "{recipe}: vectors differ by {}", relative(&ours, &vectors));
        let (ids, rows) = prompt();
        let all = session.forward_logits(&ids, &rows).expect("the prompt fits");
        let last = all.last().expect("one per position");
        assert!(relative(last, &logits) < tolerance, "{recipe}: logits differ by {}", relative(last, &logits));
    }
}

#[test]
fn passes_keep_the_meaning_of_the_whole_model() {
    let imported = import(mcv_ir::Elem::F32);
    let (vectors, logits) = evaluate(&imported, &imported.program);
    let (after_vectors, after_logits) = evaluate(&imported, &optimized(&imported, "float"));
    assert!(relative(&after_vectors, &vectors) < 1e-5);
    assert!(relative(&after_logits, &logits) < 1e-5);
}

#[test]
fn the_program_prints_and_parses_back_after_every_pass() {
    let imported = import(mcv_ir::Elem::F16);
    let recipe = recipe::load("q4").expect("a built-in recipe");
    let cpu = CpuTarget::x86_64();
    let mut program = imported.program.clone();
    let mut seen = 0;
    let context = Context { recipe: &recipe, targets: &[&cpu] };
    run_passes(&mut program, &context, &mut |name, program| {
        let printed = text::print(program);
        let parsed = text::parse(&printed, Some(program))?;
        assert_eq!(text::print(&parsed), printed, "{name}");
        seen += 1;
        mcv_ir::verify::verify(&parsed)
    })
    .expect("all passes run");
    assert_eq!(seen, pipeline().len());
    assert!(soc::load("host").is_ok());
}
