//! Programs in text: `# before` and what one pass makes of it, `# after`. `MCV_BLESS=1` rewrites the latter.
//! A line `units: cpu, gpu; vision=gpu` before that spreads the program over units of a phone.

use super::recipe;
use super::soc::phone;
use super::target::{FakeTarget, GPU, NPU};
use mcv_ir::target::Target;
use mcv_ir::text::{parse, print, print_graph};
use mcv_ir::verify::verify;
use mcv_ir::{Elem, Phase, Program};
use mcv_passes::pass::{Context, Pass};
use mcv_passes::place::{Place, Placement, parse_overrides};
use std::path::{Path, PathBuf};

/// Folder of the expected results.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Compares with the file, or writes it when blessing.
pub fn compare(path: &Path, found: &str) {
    if std::env::var_os("MCV_BLESS").is_some() {
        std::fs::write(path, found).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    let different = expected.lines().zip(found.lines()).position(|(a, b)| a != b);
    let line = different.unwrap_or(expected.lines().count().min(found.lines().count()));
    assert!(
        expected == found,
        "{}, line {}: expected\n{}\nfound\n{}\n(MCV_BLESS=1 accepts it)\n\n{found}",
        path.display(),
        line + 1,
        expected.lines().nth(line).unwrap_or("the end"),
        found.lines().nth(line).unwrap_or("the end"),
    );
}

/// Runs every case of a pass; a case whose name begins with `not` must come out as it went in.
pub fn run_cases(pass: &dyn Pass) -> usize {
    let dir = folder().join(pass.name());
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    let mut cases: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    cases.sort();
    cases.iter().for_each(|case| run_case(pass, case));
    cases.len()
}

fn run_case(pass: &dyn Pass, case: &Path) {
    let text = std::fs::read_to_string(case).unwrap();
    let at = |e: mcv_ir::Error| -> Program { panic!("{}: {e}", case.display()) };
    let (title, rest) = text.split_once("# before\n").expect("a case has a line `# before`");
    let before_text = rest.split_once("# after\n").map_or(rest, |(before, _)| before);
    let before = parse(before_text, None).unwrap_or_else(at);
    verify(&before).unwrap_or_else(|e| panic!("{}, before: {e}", case.display()));

    let after = match title.lines().find_map(|line| line.strip_prefix("units: ")) {
        None => run_alone(pass, before.clone(), &[&FakeTarget]),
        Some(units) => spread(units, before.clone()),
    };
    let after = after.unwrap_or_else(|e| panic!("{}: {e}", case.display()));
    let printed = print(&after);
    assert_eq!(print(&parse(&printed, Some(&after)).unwrap_or_else(at)), printed, "it parses back");
    if case.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("not")) {
        assert_eq!(graphs(&before), graphs(&after), "{}: nothing may change", case.display());
    }
    compare(case, &format!("{title}# before\n{before_text}# after\n{printed}"));
}

/// The graphs without what nobody reads: every pass sweeps.
fn graphs(program: &Program) -> Vec<String> {
    let swept = |phase: &Phase| {
        let mut graph = phase.graph.clone();
        graph.sweep();
        print_graph(&graph)
    };
    program.phases.iter().map(swept).collect()
}

/// `cpu, npu; vision=npu`: placed on those units of a phone.
fn spread(units: &str, program: Program) -> mcv_ir::Result<Program> {
    let (units, wishes) = units.split_once(';').unwrap_or((units, ""));
    let target = |unit: &str| -> &'static dyn Target {
        match unit.trim() {
            "cpu" => &FakeTarget,
            "gpu" => &GPU,
            "npu" => &NPU,
            other => panic!("no unit {other}"),
        }
    };
    let targets: Vec<&dyn Target> = units.split(',').map(target).collect();
    let place = Place::new(Placement { overrides: parse_overrides(wishes)?, ..Placement::on(&phone()) });
    run_alone(&place, program, &targets)
}

/// One pass as the pipeline runs it, and the verifier.
fn run_alone(pass: &dyn Pass, mut program: Program, targets: &[&dyn Target]) -> mcv_ir::Result<Program> {
    let recipe =
        recipe(&[("small.*", Elem::Q4 { group: 32 }), ("byte.*", Elem::Q8 { group: 32 }), ("half.*", Elem::F16)]);
    pass.run(&mut program, &Context { recipe: &recipe, targets })?;
    program.stage = program.stage.max(pass.reaches());
    verify(&program)?;
    Ok(program)
}
