//! The emitted kernels, run by the runtime, against the program's own meaning (`eval`), for the whole small model.

use mcv_compile::{recipe, soc};
use mcv_import::{Imported, Request};
use mcv_ir::{HostTensor, Machine, Program, Source, text};
use mcv_passes::pass::{Context, run_passes};
use mcv_runtime::image;
use mcv_runtime::session::{Options, Session};
use mcv_targets::cpu::CpuTarget;
use mcv_tests::fixture;

fn import(kv: mcv_ir::Elem) -> Imported {
    let request = Request { context: Some(256), prefill_chunk: 64, pictures: 1, max_ratio: 16.0, kv };
    mcv_import::import(&fixture::tiny_model(), &request).expect("the small model imports")
}

fn optimized(imported: &Imported, recipe: &str) -> Program {
    let recipe = recipe::load(recipe).expect("a built-in recipe");
    let cpu = CpuTarget::x86_64();
    let mut program = imported.program.clone();
    let context = Context { recipe: &recipe, targets: &[&cpu] };
    run_passes(&mut program, &context, &mut |_, _| Ok(())).expect("all passes run");
    program
}

fn load(imported: &Imported, source: &Source) -> mcv_ir::Result<Vec<f32>> {
    let Source::Stored { tensor, rows, transposed } = source else {
        return Err(mcv_ir::Error::bug("only stored tensors are asked for"));
    };
    let entry = imported.checkpoint.tensor(tensor).expect("imported");
    let values = imported.checkpoint.read_rows(entry, u64::from(rows.start), u64::from(rows.end)).expect("readable");
    if !transposed {
        return Ok(values);
    }
    let (r, c) = (rows.len(), values.len() / rows.len());
    Ok((0..c).flat_map(|j| (0..r).map(move |i| (i, j))).map(|(i, j)| values[i * c + j]).collect())
}

fn ints(values: &[i32]) -> HostTensor {
    HostTensor { shape: vec![values.len()], data: values.iter().map(|v| *v as f32).collect() }
}

/// Vectors of the overview of picture 1 and logits of a short prompt with them, by `eval`.
fn evaluate(imported: &Imported, program: &Program) -> (Vec<f32>, Vec<f32>) {
    let mut machine = Machine::new(program, &|s: &Source| load(imported, s)).expect("weights load");
    let policy = image::Policy {
        max_slices: 1,
        scale_resolution: 112,
        patch: 14,
        slice_mode: true,
        mean: [0.5; 3],
        std: [0.5; 3],
    };
    let bytes = std::fs::read(fixture::picture(1)).expect("a picture");
    let sliced = image::slices(&image::decode("1", &bytes).expect("a PNG"), &policy).expect("one slice");
    let slice = &sliced.slices[0];
    let n = (slice.cols * slice.rows) as usize;
    let mut patches = vec![0.0; n * 588];
    image::patchify(slice, &policy, &mut patches).expect("room for all patches");
    let grid =
        |f: fn(usize, usize) -> usize| ints(&(0..n).map(|i| f(i, slice.cols as usize) as i32).collect::<Vec<_>>());
    let inputs = [
        ("patches", HostTensor { shape: vec![n, 588], data: patches }),
        ("position_ids", ints(&image::position_ids(slice.rows as usize, slice.cols as usize, 32))),
        ("grid_rows", grid(|i, cols| i / cols)),
        ("grid_cols", grid(|i, cols| i % cols)),
    ];
    machine.run("vision", &[("slot", 0)], &inputs).expect("vision runs");
    let vectors = machine.states[0].data[..16 * 256].to_vec();
    let (ids, rows) = prompt();
    let positions: Vec<i32> = (0..ids.len() as i32).collect();
    let ids: Vec<i32> = ids.iter().map(|i| *i as i32).collect();
    let inputs = [("token_ids", ints(&ids)), ("positions", ints(&positions)), ("image_rows", ints(&rows))];
    let outputs = machine.run("prefill", &[("pos", 0)], &inputs).expect("prefill runs");
    (vectors, outputs["logits"].data.clone())
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
    assert_eq!(seen, 10);
    assert!(soc::load("host").is_ok());
}
