//! The plan of the mini model: verified, as expected to the byte, within its budget; faults in it are found.

mod support;

use mcv_ir::plan::{PhasePlan, Place, Plan};
use mcv_ir::{Op, Program, Stage};
use mcv_passes::pass::{Context, run_passes};
use mcv_passes::plan::arena::Limits;
use mcv_passes::plan::verify::verify;
use mcv_passes::plan::{build, check_budget, peak};
use support::golden;
use support::mini::{Mini, formats};
use support::target::FakeTarget;

fn planned() -> (Program, Plan) {
    let mut program = Mini::new().program;
    let context = Context { recipe: &formats(), targets: &[&FakeTarget] };
    run_passes(&mut program, &context, &mut |_, _| Ok(())).unwrap();
    let plan = build(&program, &Limits::default()).unwrap();
    (program, plan)
}

fn phase<'p>(plan: &'p Plan, name: &str) -> &'p PhasePlan {
    plan.phases.iter().find(|p| p.name == name).unwrap()
}

/// Offsets of everything, one a line.
fn print(program: &Program, plan: &Plan) -> String {
    let mut text = String::new();
    for segment in &plan.segments {
        text += &format!("segment {} {} bytes\n", segment.name, segment.bytes);
        for w in &segment.weights {
            let weight = program.weight(w.id);
            text += &format!("  {:>7} +{:<6} {} {}\n", w.offset, w.size, weight.name, weight.ty);
        }
    }
    for phase in &plan.phases {
        let names: Vec<&str> = phase.segments.iter().map(|s| plan.segments[*s].name.as_str()).collect();
        let (arena, bound) = (phase.arena_bytes(), phase.arena_lower_bound());
        text += &format!("phase {} maps {}, arena {arena}, lower bound {bound}\n", phase.name, names.join(", "));
        for b in &phase.buffers {
            text += &format!("  {:>7} +{:<6} {:>2}..{:<2} {}\n", b.offset, b.size, b.start, b.end, b.name);
        }
        for (index, step) in phase.steps.iter().enumerate() {
            let args: Vec<String> = step.args.iter().map(place).collect();
            text += &format!("  {index:>2}: {}({})\n", plan.kernels[step.kernel].symbol, args.join(", "));
        }
    }
    text
}

fn place(place: &Place) -> String {
    match place {
        Place::Arena { offset, stride, .. } => format!("{offset}/{stride}"),
        Place::Weight { id, offset, stride } => format!("%{}+{offset}/{stride}", id.0),
        Place::State { id, offset, stride } => format!("@{}+{offset}/{stride}", id.0),
    }
}

#[test]
fn every_offset_is_as_expected() {
    let (program, plan) = planned();
    golden::compare(&golden::folder().join("plan/mini.txt"), &print(&program, &plan));
    assert_eq!(plan, planned().1, "planning twice gives the same plan");
}

#[test]
fn the_plan_is_verified_and_its_arenas_are_tight() {
    let (program, plan) = planned();
    verify(&program, &plan).unwrap();
    for phase in &plan.phases {
        assert!(phase.arena_bytes() >= phase.arena_lower_bound(), "{}", phase.name);
        assert!(
            phase.arena_bytes() <= phase.arena_lower_bound() * 11 / 10,
            "{}: within a tenth of the bound",
            phase.name
        );
        assert!(phase.buffers.iter().all(|b| b.offset % 64 == 0), "{}", phase.name);
        let sum: u64 = phase.buffers.iter().map(|b| b.size).sum();
        assert!(phase.arena_bytes() * 2 < sum, "{}: bytes are used again", phase.name);
    }
    assert!(plan.segments.iter().flat_map(|s| &s.weights).all(|w| w.offset % 64 == 0));
}

#[test]
fn vision_and_language_are_never_mapped_together() {
    let (program, plan) = planned();
    let names: Vec<&str> = plan.segments.iter().map(|s| s.name.as_str()).collect();
    assert_eq!(names, ["vision", "llm"]);
    assert_eq!(phase(&plan, "vision").segments, [0]);
    assert_eq!(phase(&plan, "prefill").segments, [1]);
    assert_eq!(phase(&plan, "decode").segments, [1]);
    for (segment, prefixes) in plan.segments.iter().zip([&["vpm.", "resampler."][..], &["llm."]]) {
        for weight in &segment.weights {
            let name = &program.weight(weight.id).name;
            assert!(prefixes.iter().any(|p| name.starts_with(p)), "{name} in segment {}", segment.name);
        }
    }
}

#[test]
fn equal_kernels_are_built_once() {
    let (program, plan) = planned();
    let mut texts: Vec<String> = plan.kernels.iter().map(|k| k.kernel.to_string()).collect();
    let count = texts.len();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len(), count);
    let steps = &phase(&plan, "decode").steps;
    let layer = |l: u32| -> Vec<usize> {
        let prefix = format!("llm.layers.{l}.");
        steps.iter().filter(|s| s.node.starts_with(&prefix)).map(|s| s.kernel).collect()
    };
    assert!(layer(0).len() >= 11);
    assert_eq!(layer(0), layer(1), "layers share their kernels, though their states differ");
    assert!(program.phases.iter().all(|p| p.graph.len() > 20));
}

#[test]
fn tied_embeddings_are_stored_once() {
    let (program, _) = planned();
    for phase in ["prefill", "decode"] {
        let graph = &program.phase(phase).unwrap().graph;
        let table = |op: &Op, port: usize| {
            let reader = graph.order().into_iter().rfind(|n| graph.node(*n).op == *op).unwrap();
            graph.node(graph.inputs(reader)[port]).clone()
        };
        let (rows, panels) = (table(&Op::Gather, 0), table(&Op::MatMul, 1));
        assert_eq!(rows.ty.to_string(), "q8/32[96,64]@panels16x4");
        assert_eq!((rows.op, rows.ty), (panels.op, panels.ty), "one weight");
    }
    assert_eq!(program.weights.iter().filter(|w| w.name.contains("embed_tokens")).count(), 1);
}

#[test]
fn a_plan_beyond_the_budget_is_refused_with_what_is_missing() {
    let (program, mut plan) = planned();
    let most = plan.phases.iter().map(|p| peak(&program, &plan, p).total()).max().unwrap();
    assert!(check_budget(&program, &plan, most).is_ok());
    assert!(check_budget(&program, &plan, most - 1).is_err());

    plan.phases[0].arenas[0].bytes = 700 << 20;
    let error = check_budget(&program, &plan, 512 << 20).unwrap_err().to_string();
    for words in ["phase vision needs 701 MiB", "189 MiB more than the budget of 512 MiB", "arena 700", "--ram-budget"]
    {
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    }
}

#[test]
fn views_of_half_floats_count_two_bytes_a_column() {
    let text = r#"program "view" stage laid_out
        state @0 "s" f16[8,48]
        phase p {
            s = state @0 : f16[8,48]
            half = columns(s, start=16, len=32) : f16[8,32]
            part = columns(half, start=8, len=16) : f16[8,16]
            y = gelu(part) : f32[8,16] @cpu
            o = output "y"(y) : f32[8,16]
        }"#;
    let program = mcv_ir::text::parse(text, None).unwrap();
    mcv_ir::verify::verify(&program).unwrap();
    let plan = build(&program, &Limits::default()).unwrap();
    assert_eq!(plan.phases[0].steps[0].args[0], Place::State { id: mcv_ir::StateId(0), offset: 48, stride: 96 });
}

/// Positions of the resampler's keys are looked up when the tower is done, although their nodes are old.
#[test]
fn values_are_made_shortly_before_they_are_read() {
    let (_, plan) = planned();
    let vision = phase(&plan, "vision");
    let positions = vision.buffers.iter().find(|b| b.name == "resampler.positions").unwrap();
    assert!(positions.end - positions.start <= 2, "{positions:?}");
    let table = phase(&plan, "decode").buffers.iter().find(|b| b.name == "llm.rope").unwrap();
    assert!(table.end - table.start > 10, "the rotary table serves all layers: {table:?}");
}

#[test]
fn an_unfinished_program_has_no_plan() {
    let program = Mini::new().program;
    assert_eq!(program.stage, Stage::Imported);
    let error = build(&program, &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("laid-out"), "{error}");
}

/// The verifier's complaint about a plan that was changed.
fn complaint(tamper: impl FnOnce(&mut Plan)) -> String {
    let (program, mut plan) = planned();
    tamper(&mut plan);
    verify(&program, &plan).expect_err("the fault is found").to_string()
}

#[test]
fn faults_in_memory_are_found() {
    let found = complaint(|plan| {
        let buffers = &mut plan.phases[1].buffers;
        assert_eq!((buffers[0].start, buffers[1].start), (0, 0), "both are inputs");
        buffers[1].offset = buffers[0].offset;
    });
    assert!(found.contains("phase prefill") && found.contains("overlaps"), "{found}");
    let found = complaint(|plan| plan.phases[2].arenas[0].bytes -= 1);
    assert!(found.contains("phase decode") && found.contains("behind the arena"), "{found}");
    let found = complaint(|plan| plan.segments[1].weights[1].offset = 0);
    assert!(found.contains("weights overlap in segment llm"), "{found}");
    let found = complaint(|plan| plan.segments[0].bytes -= 1);
    assert!(found.contains("segment vision is too short"), "{found}");
}

#[test]
fn faults_in_steps_are_found() {
    let found = complaint(|plan| plan.phases[2].segments.clear());
    assert!(found.contains("phase decode") && found.contains("is not mapped"), "{found}");
    let found = complaint(|plan| plan.segments[0].weights.truncate(3));
    assert!(found.contains("is not mapped"), "{found}");
    let found = complaint(|plan| plan.phases[0].segments.push(9));
    assert!(found.contains("phase vision") && found.contains("segment 9"), "{found}");
    let found = complaint(|plan| plan.phases[0].steps[0].kernel = 999);
    assert!(found.contains("unknown kernel"), "{found}");
    let found = complaint(|plan| plan.phases[0].steps[0].args.truncate(1));
    assert!(found.contains("wrong number of arguments"), "{found}");
}

#[test]
fn a_step_that_reads_a_dead_value_is_found() {
    let found = complaint(|plan| {
        let phase = &mut plan.phases[1];
        let dead = phase.buffers.iter().filter(|b| b.end < 20).max_by_key(|b| b.offset + b.size).unwrap();
        let offset = dead.offset + dead.size - 1;
        let alive = phase.buffers.iter().any(|b| b.end > 20 && b.offset <= offset && offset < b.offset + b.size);
        assert!(!alive, "the mini model has a byte that is free in the end");
        let last = phase.steps.last_mut().unwrap();
        last.args[0] = Place::Arena { unit: "cpu".into(), offset, stride: 0 };
    });
    assert!(found.contains("nothing is at arena offset"), "{found}");
    let found = complaint(|plan| {
        let end = plan.phases[1].arenas[0].bytes;
        plan.phases[1].steps[0].args[1] = Place::Arena { unit: "cpu".into(), offset: end, stride: 0 };
    });
    assert!(found.contains("nothing is at arena offset"), "{found}");
}
