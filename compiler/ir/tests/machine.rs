//! Whole phases: sources of weights, states between calls, phase variables.

mod programs;

use mcv_ir::verify::verify;
use mcv_ir::{Error, HostTensor, Machine, Program, Result, Source, text};
use programs::CACHED;

fn load(source: &Source) -> Result<Vec<f32>> {
    match source {
        Source::Stored { rows, transposed: false, .. } => Ok(rows.clone().map(|r| r as f32 + 1.0).collect()),
        Source::Stored { .. } => Ok(vec![1.0, 3.0, 2.0, 4.0]),
        _ => Err(Error::bug("only stored sources are loaded")),
    }
}

fn program(text: &str) -> Program {
    let program = text::parse(text, None).unwrap();
    verify(&program).unwrap();
    program
}

fn rows(width: usize, data: &[f32]) -> HostTensor {
    HostTensor::new([data.len() / width, width], data.to_vec()).unwrap()
}

#[test]
fn sources_are_loaded_stacked_folded_and_rounded() {
    let p = program(
        r#"program "sources" stage imported
        weight %0 "turned" f32[2,2] = stored "t" 0..2 transposed
        weight %1 "stack" f32[3] = stacked { stored "b" 1..3; inline [0.5]; }
        weight %2 "folded" f16[2,2] = folded {
            t = weight %0 : f32[2,2]
            d = scale(t, factor=1.0001) : f32[2,2]
            o = output "o"(d) : f32[2,2]
        }
        phase p {
            f = weight %2 : f16[2,2]
            s = weight %1 : f32[3]
            x = input "x" : f32[m<=2,2]
            y = matmul(x, f) : f32[m<=2,2]
            o = output "y"(y) : f32[m<=2,2]
        }"#,
    );
    let mut machine = Machine::new(&p, &load).unwrap();
    assert_eq!(machine.weights.len(), 2);
    let (outputs, trace) = machine.trace("p", &[], &[("x", rows(2, &[1., 0.]))]).unwrap();
    assert_eq!(trace["s"].data, [2., 3., 0.5]);
    assert_eq!(trace["f"].data, [1., 3., 2., 4.]);
    assert_eq!(outputs["y"].data, [1., 2.]);
}

#[test]
fn states_keep_rows_between_calls_in_their_format() {
    let p = program(CACHED);
    let mut machine = Machine::new(&p, &load).unwrap();
    let first = machine.run("append", &[("pos", 0)], &[("x", rows(2, &[1., 2.0001, 3., 4.]))]).unwrap();
    assert_eq!(first["all"], rows(2, &[1., 2., 3., 4.]));
    let second = machine.run("append", &[("pos", 2)], &[("x", rows(2, &[5., 6.]))]).unwrap();
    assert_eq!(second["all"], rows(2, &[1., 2., 3., 4., 5., 6.]));
    assert_eq!(machine.run("read", &[], &[]).unwrap()["all"], rows(2, &[1., 2., 3., 4., 5., 6., 0., 0.]));
}

#[test]
fn wrong_calls_are_errors_with_a_name() {
    let p = program(CACHED);
    let mut machine = Machine::new(&p, &load).unwrap();
    let mut fails = |phase: &str, vars: &[(&str, u32)], inputs: &[(&str, HostTensor)], words: &str| {
        let error = machine.run(phase, vars, inputs).unwrap_err().to_string();
        assert!(error.contains(words), "{error:?} does not say {words:?}");
    };
    let x = || ("x", rows(2, &[1., 2., 3., 4.]));
    fails("nothing", &[], &[], "no phase nothing");
    fails("append", &[("pos", 0)], &[], "input x is not given");
    fails("append", &[], &[x()], "pos is not given");
    fails("append", &[("pos", 3)], &[x()], "exceed the state's 4");
    fails("append", &[("pos", u32::MAX)], &[x()], "exceed");
    fails("append", &[("pos", 0)], &[("x", rows(2, &[0.; 10]))], "tokens is 5, at most 4");
    fails("append", &[("pos", 0), ("tokens", 1)], &[x()], "expected [1, 2]");
    fails("append", &[("pos", 0)], &[("x", rows(1, &[0.; 2]))], "expected [2, 2]");
    assert!(Machine::new(&program(CACHED), &|_| Ok(vec![])).is_ok());
}

#[test]
fn sources_of_a_wrong_size_are_errors() {
    let text = r#"program "p" stage imported
        weight %0 "w" f32[2] = stored "t" 0..2
        phase p { w = weight %0 : f32[2] }"#;
    let error = Machine::new(&program(text), &|_| Ok(vec![1.0])).unwrap_err().to_string();
    assert!(error.contains("weight w") && error.contains("1 numbers"), "{error}");
}
