//! No pass changes what the program computes, and the passes leave the fused forms that kernels are written for.

mod support;

use mcv_ir::target::Target;
use mcv_ir::text::parse;
use mcv_ir::{Elem, HostTensor, Op, Program};
use mcv_passes::pass::{Context, pipeline, pipeline_for, run_pass, run_passes};
use mcv_passes::place::{Placement, parse_overrides};
use std::collections::BTreeMap;
use support::mini::{Mini, PATCH, PATCHES, formats};
use support::parts::noise;
use support::recipe;
use support::soc::phone;
use support::target::{FakeTarget, GPU, NPU, PlainTarget};

/// What a conversation leaves: outputs by call, then the states.
type Transcript = Vec<(String, Vec<f32>)>;

/// The program after each prefix of the pipeline, by the name of its last pass.
fn stages(mini: &Mini) -> Vec<(String, Program)> {
    stages_for(&[&FakeTarget], Placement::default(), mini)
}

fn stages_for(targets: &[&dyn Target], placement: Placement, mini: &Mini) -> Vec<(String, Program)> {
    let mut all = vec![];
    let mut program = mini.program.clone();
    let context = Context { recipe: &formats(), targets };
    for pass in pipeline_for(placement) {
        run_pass(&*pass, &mut program, &context).unwrap();
        all.push((pass.name().to_string(), program.clone()));
    }
    all
}

fn ids(values: &[i32]) -> HostTensor {
    HostTensor::new([values.len()], values.iter().map(|v| *v as f32).collect()).unwrap()
}

/// Two slices of a picture, a prompt around them, two steps of decode.
fn converse(mini: &Mini, program: &Program) -> Transcript {
    let mut machine = mini.machine(program);
    let mut transcript = Transcript::new();
    for (slot, patches) in [(0, PATCHES as usize), (4, 5)] {
        let pixels = (0..patches * PATCH as usize).map(|i| noise(slot.into(), i as u64)).collect();
        let side: Vec<i32> = (0..patches as i32).collect();
        let inputs = [
            ("patches", HostTensor::new([patches, PATCH as usize], pixels).unwrap()),
            ("position_ids", ids(&side)),
            ("grid_rows", ids(&side.iter().map(|i| i / 4).collect::<Vec<_>>())),
            ("grid_cols", ids(&side.iter().map(|i| i % 4).collect::<Vec<_>>())),
        ];
        machine.run("vision", &[("slot", slot)], &inputs).unwrap();
    }
    let prompt = [
        ("token_ids", ids(&[3, 0, 0, 0, 41, 7])),
        ("positions", ids(&[0, 1, 2, 3, 4, 5])),
        ("image_rows", ids(&[-1, 0, 3, 6, -1, -1])),
    ];
    let mut outputs = machine.run("prefill", &[("pos", 0)], &prompt).unwrap();
    transcript.extend(outputs.remove("logits").map(|x| ("prefill".into(), x.data)));
    for (pos, token) in [(6u32, 95), (7, 12)] {
        let step = [("token_ids", ids(&[token])), ("positions", ids(&[pos as i32]))];
        let mut outputs = machine.run("decode", &[("pos", pos)], &step).unwrap();
        transcript.extend(outputs.remove("logits").map(|x| (format!("decode at {pos}"), x.data)));
    }
    assert_eq!(transcript.len(), 3);
    let states = program.states.iter().zip(&machine.states);
    transcript.extend(states.map(|(state, values)| (state.name.clone(), values.data.clone())));
    transcript
}

/// `|a - b| / |b|`.
fn distance(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let square = |sum: f64, v: f64| sum + v * v;
    let difference = a.iter().zip(b).map(|(a, b)| f64::from(a - b)).fold(0.0, square);
    (difference / b.iter().map(|b| f64::from(*b)).fold(0.0, square)).sqrt()
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn every_prefix_of_the_pipeline_keeps_the_meaning() {
    keeps_the_meaning(&[&FakeTarget], Placement::default());
}

#[test]
fn a_target_without_fused_forms_gets_the_plain_ones() {
    keeps_the_meaning(&[&PlainTarget], Placement::default());
    let program = stages_for(&[&PlainTarget], Placement::default(), &Mini::new()).pop().unwrap().1;
    for phase in ["vision", "prefill", "decode"] {
        let fused = |kind: &String| kind.contains('{') || kind.starts_with("attention") || kind == "store/2";
        let found: Vec<String> = work(&program, phase).into_iter().filter(fused).collect();
        assert!(found.is_empty(), "{phase}: {found:?}");
    }
}

#[test]
fn copies_between_units_keep_the_meaning() {
    let targets: [&dyn Target; 3] = [&FakeTarget, &GPU, &NPU];
    for wish in ["", "vision=npu, prefill=gpu, decode=gpu", "vision=gpu", "prefill=npu"] {
        let overrides = parse_overrides(wish).unwrap();
        let program = keeps_the_meaning(&targets, Placement { overrides, ..Placement::on(&phone()) });
        let moves = |phase| counted(&work(&program, phase)).get("move").copied().unwrap_or(0);
        assert!(moves("vision") > 0, "{wish}: the picture's vectors are stored by the CPU");
    }
}

fn keeps_the_meaning(targets: &[&dyn Target], placement: Placement) -> Program {
    let mini = Mini::new();
    let imported = converse(&mini, &mini.program);
    let mut expected = imported.clone();
    let stages = stages_for(targets, placement, &mini);
    for (pass, program) in &stages {
        let found = converse(&mini, program);
        if pass == "quantize" {
            for ((what, a), (_, b)) in found.iter().zip(&imported) {
                assert!(cosine(a, b) > 0.99, "{what}: cosine {} with the float program", cosine(a, b));
                assert!(distance(a, b) > 1e-4, "{what}: quantization leaves a trace");
            }
            expected = found;
            continue;
        }
        if pass == "narrow" {
            for ((what, a), (_, b)) in found.iter().zip(&expected) {
                assert!(cosine(a, b) > 0.999, "{what}: cosine {} with f32 results of products", cosine(a, b));
            }
            continue;
        }
        for ((what, a), (_, b)) in found.iter().zip(&expected) {
            assert!(distance(a, b) <= 1e-4, "after {pass}: {what} is off by {}", distance(a, b));
        }
    }
    stages.into_iter().next_back().unwrap().1
}

#[test]
fn matrices_that_read_the_same_rows_may_differ_in_their_groups() {
    let mini = Mini::new();
    let q8 = |group| Elem::Q8 { group };
    let rules = recipe(&[("llm.*k_proj*", q8(64)), ("llm.*", q8(32)), ("*", Elem::F16)]);
    let mut program = mini.program.clone();
    run_passes(&mut program, &Context { recipe: &rules, targets: &[&FakeTarget] }, &mut |_, _| Ok(())).unwrap();
    for ((what, a), (_, b)) in converse(&mini, &program).iter().zip(&converse(&mini, &mini.program)) {
        assert!(cosine(a, b) > 0.99, "{what}: cosine {} with the float program", cosine(a, b));
    }
    let text = mcv_ir::text::print(&program);
    assert!(["q8 = quantize(", "q8_64 = quantize("].iter().all(|made| text.contains(made)), "{text}");
}

#[test]
fn the_conversation_depends_on_everything_it_is_given() {
    let mini = Mini::new();
    let transcript: BTreeMap<String, Vec<f32>> = converse(&mini, &mini.program).into_iter().collect();
    assert!(distance(&transcript["decode at 6"], &transcript["decode at 7"]) > 0.1);
    let (first, second) = transcript["image_tokens"].split_at(4 * 64);
    assert!(distance(first, second) > 0.01);
    for (what, values) in &transcript {
        assert!(values.iter().all(|v| v.is_finite()) && values.iter().any(|v| *v != 0.0), "{what}");
    }
    assert!(transcript["kv.1.k"][..8 * 32].iter().all(|v| *v != 0.0), "eight rows are stored");
    assert!(transcript["kv.1.k"][8 * 32..].iter().all(|v| *v == 0.0), "and no more");
}

/// `op/inputs {epilogue}` of the nodes that do work, in order of execution.
fn work(program: &Program, phase: &str) -> Vec<String> {
    let graph = &program.phase(phase).unwrap().graph;
    let busy = |id: &mcv_ir::NodeId| !graph.node(*id).op.is_source() && !graph.node(*id).op.is_view();
    let kind = |id: mcv_ir::NodeId| {
        let node = graph.node(id);
        let inputs = match node.op {
            Op::Store { .. } | Op::Attention { .. } => format!("/{}", graph.inputs(id).len()),
            _ => String::new(),
        };
        let epilogue: Vec<&str> = node.epilogue.iter().map(|p| p.name()).collect();
        let epilogue = if epilogue.is_empty() { String::new() } else { format!(" {{{}}}", epilogue.join(", ")) };
        format!("{}{inputs}{epilogue}", node.op.name())
    };
    graph.order().into_iter().filter(busy).map(kind).collect()
}

fn counted(work: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    work.iter().for_each(|kind| *counts.entry(kind.as_str()).or_default() += 1);
    counts
}

#[test]
fn a_layer_of_the_language_model_is_eleven_kernels() {
    const LAYER: [&str; 11] = [
        "rms_norm {quantize}",
        "matmul {bias}",
        "store/2",
        "store/1",
        "attention/4",
        "quantize",
        "matmul {add}",
        "rms_norm {quantize}",
        "matmul {gated_silu}",
        "quantize",
        "matmul {add}",
    ];
    let program = stages(&Mini::new()).pop().unwrap().1;
    let ends = ["gather", "rope_table", "last_row", "rms_norm {quantize}", "matmul"];
    let expected: Vec<String> = LAYER.into_iter().chain(LAYER).chain(ends).map(String::from).collect();
    assert_eq!(counted(&work(&program, "decode")), counted(&expected));
    let prefill = expected.into_iter().map(|kind| kind.replace("{gated_silu}", "{gated_silu, bf16}"));
    let prefill: Vec<String> = prefill.chain(["merge_rows".into()]).collect();
    assert_eq!(counted(&work(&program, "prefill")), counted(&prefill));
}

#[test]
fn a_layer_of_the_vision_tower_has_no_loose_ends() {
    let program = stages(&Mini::new()).pop().unwrap().1;
    let found = work(&program, "vision");
    let of = |kind: &str| found.iter().filter(|k| *k == kind).count();
    // Attention and MLP of both layers.
    assert_eq!(of("layer_norm {quantize}"), 4);
    assert_eq!(of("matmul {bias, add}"), 2 * 2 + 1);
    assert_eq!(of("matmul {bias, gelu_tanh, bf16}"), 2);
    assert_eq!(of("matmul {bias, bf16}"), 2, "queries, keys and values of a layer are one product");
    assert_eq!(of("attention/3"), 2 + 1);
    for loose in ["bias", "add", "gelu_tanh", "scores", "softmax", "mix"] {
        assert_eq!(of(loose), usize::from(loose == "add"), "{loose}: only the resampler's keys are a sum of their own");
    }
}

#[test]
fn passes_say_whether_they_changed_anything() {
    let mini = Mini::new();
    let context = Context { recipe: &formats(), targets: &[&FakeTarget] };
    let mut program = mini.program.clone();
    for pass in pipeline() {
        assert!(pass.run(&mut program, &context).unwrap() > 0, "{} finds work in the mini model", pass.name());
        program.stage = program.stage.max(pass.reaches());
    }
}

/// A constant doubled 64 times: 2^64 paths lead to it.
#[test]
fn constants_are_found_however_often_they_are_read() {
    let mut text =
        String::from("program \"doubled\" stage imported\nweight %0 \"w\" f32[2,2] = stored \"w\" 0..2\nphase p {\n");
    text += "  x = input \"x\" : f32[2,2]\n  c0 = weight %0 : f32[2,2]\n";
    for n in 1..=64 {
        text += &format!("  c{n} = add(c{0}, c{0}) : f32[2,2]\n", n - 1);
    }
    text += "  y = add(x, c64) : f32[2,2]\n  o = output \"y\"(y) : f32[2,2]\n}\n";
    let mut program = parse(&text, None).unwrap();
    let context = Context { recipe: &formats(), targets: &[&FakeTarget] };
    run_passes(&mut program, &context, &mut |_, _| Ok(())).unwrap();
    assert_eq!(work(&program, "p"), ["add"]);
}
