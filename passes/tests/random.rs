//! Random programs: all passes keep their meaning, whatever reads whatever.

mod support;

use mcv_ir::{Act, Dim, Elem, Graph, HostTensor, Machine, NodeId, Op, Phase, Pointwise, Program, Stage};
use mcv_passes::pass::{Context, run_passes};
use mcv_passes::plan::{arena::Limits, build};
use mcv_passes::recipe::Recipe;
use proptest::prelude::*;
use support::parts::{Shapes, Writer, load, noise};
use support::recipe;
use support::target::FakeTarget;

const WIDTH: u32 = 32;

/// Adds a value made from two others; `seed` only names it.
fn step(g: &mut Writer, seed: usize, kind: u8, x: NodeId, y: NodeId) -> NodeId {
    let name = format!("n{seed}");
    let of = |part: &str| format!("n{seed}.{part}");
    match kind {
        0 => g.linear(&name, x, WIDTH, false),
        1 => g.linear(&name, x, WIDTH, true),
        2 => g.pointwise(&name, Pointwise::Add, &[x, y]),
        3 => g.pointwise(&name, Pointwise::Mul, &[x, y]),
        4 => g.pointwise(&name, Pointwise::Scale(if seed.is_multiple_of(2) { 1.0 } else { 0.5 }), &[x]),
        5 => g.pointwise(&name, Pointwise::Act(Act::Gelu), &[x]),
        6 => g.rms_norm(&name, x),
        7 => {
            let gate = g.linear(&of("gate"), x, WIDTH, false);
            let up = g.linear(&of("up"), y, WIDTH, false);
            let gate = g.pointwise(&of("act"), Pointwise::Act(Act::Silu), &[gate]);
            g.pointwise(&name, Pointwise::Mul, &[gate, up])
        }
        8 => {
            let half = |start| Op::Columns { start, len: WIDTH / 2 };
            let (right, left) = (g.node(&of("right"), half(WIDTH / 2), &[x]), g.node(&of("left"), half(0), &[y]));
            g.node(&name, Op::Concat, &[right, left])
        }
        9 => {
            let q = g.linear(&of("q"), x, WIDTH, true);
            let k = g.linear(&of("k"), y, WIDTH, true);
            let v = g.linear(&of("v"), y, WIDTH, true);
            g.attention(&name, [q, k, v], (2, 2), seed.is_multiple_of(2))
        }
        _ => {
            let table = g.weight(&of("embed"), &[4, WIDTH]);
            let row = g.pointwise(&of("row"), Pointwise::Scale(0.5), &[table]);
            let row = g.rms_norm(&of("constant"), row);
            let mixed = g.attention(&of("constants"), [x, row, row], (1, 1), false);
            g.pointwise(&name, Pointwise::Add, &[mixed, x])
        }
    }
}

/// A program of one input; the last value and one in the middle are handed out.
fn program(steps: &[(u8, u8, u8)]) -> (Program, Shapes) {
    let mut program =
        Program { name: "random".into(), stage: Stage::Imported, phases: vec![], states: vec![], weights: vec![] };
    let mut shapes = Shapes::new();
    let mut g = Writer::new(&mut program, &mut shapes);
    let mut values = vec![g.input("x", Elem::F32, &[Dim::up_to("rows", 4), Dim::Is(WIDTH)])];
    for (seed, (kind, x, y)) in steps.iter().enumerate() {
        // Mostly one of the last three, so that chains grow that fuse.
        let pick = |by: &u8| values[values.len() - 1 - usize::from(*by) % values.len().min(3)];
        let made = step(&mut g, seed, *kind, pick(x), pick(y));
        values.push(made);
    }
    for (name, value) in [("middle", values[values.len() / 2]), ("end", values[values.len() - 1])] {
        g.node(name, Op::Output(name.into()), &[value]);
    }
    let graph: Graph = std::mem::take(&mut g.graph);
    program.phases.push(Phase { name: "p".into(), graph });
    (program, shapes)
}

fn outputs(program: &Program, shapes: &Shapes) -> Vec<HostTensor> {
    let mut machine = Machine::new(program, &|source| load(shapes, source)).unwrap();
    let x = HostTensor::new([3, WIDTH as usize], (0..3 * u64::from(WIDTH)).map(|i| noise(1, i)).collect()).unwrap();
    machine.run("p", &[], &[("x", x)]).unwrap().into_values().collect()
}

fn differ(a: &[HostTensor], b: &[HostTensor]) -> bool {
    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.data.iter().zip(&b.data));
    pairs.into_iter().any(|(a, b)| (a - b).abs() > 1e-4 * (1.0 + b.abs()))
}

/// Runs all passes; values may change where formats do and nowhere else.
fn keeps_meaning(steps: &[(u8, u8, u8)], recipe: &Recipe) -> Result<(), TestCaseError> {
    let (mut program, shapes) = program(steps);
    let mut expected = outputs(&program, &shapes);
    let mut changed = vec![];
    let context = Context { recipe, targets: &[&FakeTarget] };
    let ran = run_passes(&mut program, &context, &mut |pass, program| {
        let found = outputs(program, &shapes);
        if matches!(pass, "quantize" | "narrow") && !recipe.rules.is_empty() {
            expected = found;
        } else if differ(&found, &expected) {
            changed.push(pass.to_string());
        }
        Ok(())
    });
    prop_assert!(ran.is_ok(), "{}", ran.unwrap_err());
    prop_assert!(changed.is_empty(), "values changed in {changed:?}");
    let plan = build(&program, &Limits::default());
    prop_assert!(plan.is_ok(), "{}", plan.unwrap_err());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn floats_keep_their_meaning(steps in prop::collection::vec((0u8..11, any::<u8>(), any::<u8>()), 1..16)) {
        keeps_meaning(&steps, &Recipe::float())?;
    }

    #[test]
    fn bytes_keep_their_meaning(steps in prop::collection::vec((0u8..11, any::<u8>(), any::<u8>()), 1..16)) {
        keeps_meaning(&steps, &recipe(&[("*", Elem::Q8 { group: 32 })]))?;
    }
}
