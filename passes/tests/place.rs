//! Placement beyond its golden cases: limits, wishes, what `--explain` says, and the calibration of the cost model.

mod support;

use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::text::parse;
use mcv_ir::{Op, Program};
use mcv_passes::cost::anchors::{ANCHORS, Bound, fit};
use mcv_passes::cost::loops::own_share;
use mcv_passes::cost::{Costs, efficiency};
use mcv_passes::pass::{Context, Pass, pipeline_for, run_pass};
use mcv_passes::place::{Place, Placement, explain, explain_with, parse_overrides, phase_costs};
use mcv_passes::recipe::Recipe;
use std::sync::Arc;
use support::mini::{Mini, formats};
use support::soc::phone;
use support::target::{Beside, FakeTarget, GPU, NPU};

const ALL: [&dyn Target; 3] = [&FakeTarget, &GPU, &NPU];

fn placed(targets: &[&dyn Target], placement: Placement) -> mcv_ir::Result<Program> {
    let mut program = Mini::new().program;
    let context = Context { recipe: &formats(), targets };
    for pass in pipeline_for(placement) {
        run_pass(&*pass, &mut program, &context)?;
    }
    Ok(program)
}

fn wish(text: &str, soc: &Soc) -> Placement {
    Placement { overrides: parse_overrides(text).unwrap(), ..Placement::on(soc) }
}

/// `unit: nodes` of a phase, copies not counted.
fn shares(program: &Program, phase: &str) -> Vec<(&'static str, usize)> {
    let graph = &program.phase(phase).unwrap().graph;
    let on = |unit: &str| {
        let here = |id: &mcv_ir::NodeId| {
            let node = graph.node(*id);
            node.op != Op::Move && node.unit.as_deref() == Some(unit)
        };
        graph.order().iter().filter(|id| here(id)).count()
    };
    ["cpu", "gpu", "npu"].into_iter().map(|unit| (unit, on(unit))).filter(|(_, n)| *n > 0).collect()
}

#[test]
fn wishes_are_read_and_refused_by_name() {
    let wishes = parse_overrides(" vision=npu, prefill = cpu,").unwrap();
    assert_eq!((wishes.unit("vision"), wishes.unit("prefill")), (Some("npu"), Some("cpu")));
    assert_eq!((wishes.unit("decode"), parse_overrides("").unwrap().unit("vision")), (None, None));
    for (text, words) in [
        ("vision", "'vision' is not phase=unit"),
        ("visoin=npu", "no phase is called 'visoin'; there are vision, prefill, decode"),
        ("vision=tpu", "no unit is called 'tpu'; there are cpu, gpu, npu"),
        ("vision=npu,vision=cpu", "vision is named twice"),
    ] {
        let error = parse_overrides(text).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("--place"), "{error}");
    }
}

#[test]
fn a_wish_for_a_unit_that_is_not_there_is_refused() {
    let mut soc = phone();
    soc.npu = None;
    let error = placed(&ALL, wish("vision=npu", &soc)).unwrap_err().to_string();
    assert!(error.contains("--place vision=npu: phone has no npu, only cpu, gpu"), "{error}");
    let error = placed(&[&FakeTarget, &NPU], wish("decode=gpu", &phone())).unwrap_err().to_string();
    assert!(error.contains("only cpu, npu"), "{error}");
}

#[test]
fn each_phase_takes_the_unit_that_pays() {
    let program = placed(&ALL, Placement::on(&phone())).unwrap();
    assert_eq!(shares(&program, "vision").last().unwrap().0, "npu");
    let mut expensive = phone();
    expensive.npu.as_mut().unwrap().call_us = 1e6;
    expensive.gpu.as_mut().unwrap().call_us = 1e6;
    let program = placed(&ALL, Placement::on(&expensive)).unwrap();
    for phase in ["vision", "prefill", "decode"] {
        assert_eq!(shares(&program, phase).len(), 1, "{phase}: no call is worth a second");
        assert_eq!(shares(&program, phase)[0].0, "cpu");
    }
}

#[test]
fn the_npu_never_sees_a_state() {
    let program = placed(&ALL, wish("prefill=npu", &phone())).unwrap();
    for phase in &program.phases {
        for id in phase.graph.order().into_iter().filter(|id| phase.graph.node(*id).unit.as_deref() == Some("npu")) {
            assert!(!matches!(phase.graph.node(id).op, Op::Store { .. }));
            for input in phase.graph.inputs(id) {
                assert!(!matches!(phase.graph.node(input).op, Op::State(_) | Op::Store { .. }), "{}", phase.name);
            }
        }
    }
    assert!(shares(&program, "prefill").iter().any(|(unit, n)| *unit == "npu" && *n > 4));
}

#[test]
fn a_unit_that_runs_nothing_of_a_phase_is_no_choice() {
    const IDLE: Beside = Beside { unit: "npu", runs: |_| false };
    let targets: [&dyn Target; 2] = [&FakeTarget, &IDLE];
    let error = placed(&targets, wish("decode=npu", &phone())).unwrap_err().to_string();
    assert!(error.contains("decode: npu runs none of its ops"), "{error}");
    let program = placed(&targets, Placement::on(&phone())).unwrap();
    let soc = phone();
    let context = Context { recipe: &formats(), targets: &targets };
    let phases = phase_costs(&program, &context, Costs::of(&soc)).unwrap();
    assert!(phases.iter().all(|p| p.calls == 0 && p.alternatives[0].1.is_ok() && p.alternatives[1].1.is_err()));
}

#[test]
fn values_are_read_where_they_are() {
    let program = placed(&ALL, wish("vision=npu,prefill=gpu,decode=npu", &phone())).unwrap();
    for phase in &program.phases {
        let graph = &phase.graph;
        let mut copies = vec![];
        for id in graph.order() {
            let node = graph.node(id);
            if node.op == Op::Move {
                copies.push((graph.inputs(id)[0], node.unit.clone()));
                continue;
            }
            let here = if matches!(node.op, Op::Output(_)) { Some("cpu") } else { node.unit.as_deref() };
            let reads = graph.inputs(id).into_iter().map(|i| mcv_passes::plan::lifetimes::owner(graph, i));
            for owner in reads.filter(|_| here.is_some()) {
                let home = match graph.node(owner).op {
                    Op::Input(_) => Some("cpu"),
                    Op::Weight(_) | Op::State(_) | Op::Store { .. } => continue,
                    _ => graph.node(owner).unit.as_deref(),
                };
                assert_eq!(home, here, "{}: {} reads {}", phase.name, node.name, graph.node(owner).name);
            }
        }
        let all = copies.len();
        copies.sort();
        copies.dedup();
        assert_eq!(copies.len(), all, "{}: one copy per value and unit", phase.name);
    }
}

#[test]
fn a_device_gets_a_phase_in_one_submission() {
    let program = placed(&ALL, wish("vision=npu,prefill=gpu", &phone())).unwrap();
    for (phase, unit) in [("vision", "npu"), ("prefill", "gpu")] {
        let graph = &program.phase(phase).unwrap().graph;
        let steps = mcv_passes::plan::lifetimes::analyze(graph).steps;
        let device: Vec<bool> = steps
            .iter()
            .map(|id| graph.node(*id))
            .map(|n| n.op != Op::Move && n.unit.as_deref() == Some(unit))
            .collect();
        let runs = device.split(|on_device| !on_device).filter(|run| !run.is_empty()).count();
        assert_eq!(runs, 1, "{phase}: {device:?}");
        assert!(device.iter().any(|d| !d), "{phase} has copies");
    }
}

#[test]
fn limits_of_memory_are_kept() {
    let mut soc = phone();
    soc.npu.as_mut().unwrap().address_limit = 100;
    let program = placed(&ALL, Placement::on(&soc)).unwrap();
    assert!(shares(&program, "vision").iter().all(|(unit, _)| *unit != "npu"));
    let error = placed(&ALL, wish("vision=npu", &soc)).unwrap_err().to_string();
    assert!(error.contains("vision: npu: weights of"), "{error}");
    soc.gpu.as_mut().unwrap().max_alloc = 8000;
    let program = placed(&ALL, wish("prefill=gpu", &soc)).unwrap();
    let graph = &program.phase("prefill").unwrap().graph;
    let largest = |id| {
        let bytes = |i: &mcv_ir::NodeId| mcv_ir::encode::bytes(&graph.node(*i).ty);
        graph.inputs(id).iter().map(bytes).max().unwrap_or(0)
    };
    let on =
        |unit: &'static str| graph.order().into_iter().filter(move |id| graph.node(*id).unit.as_deref() == Some(unit));
    assert!(on("gpu").filter(|id| graph.node(*id).op != Op::Move).all(|id| largest(id) <= 8000));
    assert!(on("cpu").any(|id| graph.node(id).op == Op::MatMul && largest(id) > 8000));
}

#[test]
fn one_target_needs_no_device_and_no_copies() {
    let program = placed(&[&FakeTarget], Placement::default()).unwrap();
    assert_eq!(placed(&[&FakeTarget], Placement::on(&phone())).unwrap().weights.len(), program.weights.len());
    for phase in ["vision", "prefill", "decode"] {
        assert_eq!(shares(&program, phase).len(), 1);
    }
}

#[test]
fn a_kernel_nobody_runs_is_refused_with_all_reasons() {
    let text = "program \"p\" stage fused\nphase vision {\n  x = input \"x\" : f32[m<=4,9000]\n  \
                y = gated_gelu(x) : f32[m<=4,4500]\n  o = output \"y\"(y) : f32[m<=4,4500]\n}\n";
    let mut program = parse(text, None).unwrap();
    let place = Place::new(Placement::on(&phone()));
    let error = place.run(&mut program, &Context { recipe: &Recipe::float(), targets: &ALL }).unwrap_err().to_string();
    assert!(error.contains("vision") && error.contains("no unit runs") && error.contains("npu:"), "{error}");
}

#[test]
fn the_explanation_names_prices_and_reasons() {
    let soc = phone();
    let program = placed(&ALL, Placement::on(&soc)).unwrap();
    let context = Context { recipe: &formats(), targets: &ALL };
    let rows = explain(&program, &context, &soc);
    let products = rows.iter().filter(|r| r.phase == "vision" && r.kernel.starts_with("matmul"));
    for row in products {
        assert_eq!(row.others.len(), 2, "{row:?}");
        assert!(row.seconds > 0.0 && row.error > 1.0);
        assert!(row.others.iter().any(|(unit, price)| unit == "cpu" && price.ends_with(" us")), "{row:?}");
    }
    let reasons = rows.iter().flat_map(|r| &r.others).any(|(_, why)| why.contains("states are not in its memory"));
    assert!(reasons && rows.iter().any(|r| r.kernel.starts_with("move")));

    let phases = phase_costs(&program, &context, Costs::of(&soc)).unwrap();
    for cost in &phases {
        let possible = cost.alternatives.iter().filter_map(|(_, seconds)| seconds.as_ref().ok());
        let cheapest = possible.fold(f64::INFINITY, |a, b| a.min(*b));
        assert!(cost.seconds <= cheapest * 1.1, "{}: {} above {cheapest}", cost.phase, cost.seconds);
    }
    assert_eq!(phases.len(), 3);
}

#[test]
fn measurements_replace_estimates() {
    let soc = phone();
    let slow = |_: &str, unit: &str| (unit == "npu").then_some(1.0);
    let placement = Placement { records: Some(Arc::new(slow)), ..Placement::on(&soc) };
    let program = placed(&ALL, placement).unwrap();
    assert!(shares(&program, "vision").iter().all(|(unit, _)| *unit != "npu"));
    let context = Context { recipe: &formats(), targets: &ALL };
    let rows = |seconds: f64| {
        let measured = move |kernel: &str, _: &str| (!kernel.contains("@panels")).then_some(seconds);
        let mut rows = explain_with(&program, &context, Costs { soc: &soc, records: Some(&measured) });
        rows.retain(|r| !r.kernel.starts_with("move"));
        rows
    };
    for (once, twice) in rows(0.25).iter().zip(&rows(0.5)) {
        assert_eq!((once.bound, twice.bound), ("measured", "measured"));
        assert!(
            (twice.seconds / once.seconds - 2.0).abs() < 1e-9,
            "{}: {} {}",
            once.kernel,
            once.seconds,
            twice.seconds
        );
    }
}

/// The constants of `cost::rates` are what the published figures give, and their errors are not smaller than those of
/// predicting one figure from the others.
#[test]
fn efficiencies_follow_from_their_anchors() {
    let mut fitted = 0;
    for anchor in &ANCHORS {
        let (mean, error) = fit(anchor.unit, anchor.class, anchor.bound).unwrap();
        let used = efficiency(anchor.class, anchor.unit);
        let (part, stated) = match anchor.bound {
            Bound::Bytes => (used.bytes, used.bytes_error),
            Bound::Operations => (used.operations / own_share(anchor.class, anchor.unit), used.error),
        };
        assert!((part / mean - 1.0).abs() < 0.01, "{}: {part} is not {mean}", anchor.source);
        assert!(stated >= error * 0.99, "{}: the error {stated} hides {error}", anchor.source);
        fitted += 1;
    }
    assert_eq!(fitted, 18);
}
