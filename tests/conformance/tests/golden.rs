//! The emitted text, one file per op family at the portable level; `MCV_BLESS=1` rewrites.

use mcv_conformance::cases;
use mcv_ir::target::{Mode, Target};
use mcv_ir::{Kernel, Layout};
use mcv_targets::CpuTarget;
use std::path::Path;

const PANELS: Layout = Layout::Panels { rows: 16, depth: 4 };

#[test]
fn emitted_text_is_as_recorded() {
    let target = CpuTarget::x86_64();
    let level = &target.levels()[0];
    let rest = [cases::block_ops(), cases::memories()].concat();
    let all =
        [cases::matmuls(PANELS), cases::one_row(PANELS), cases::row_ops(PANELS), cases::attention(), rest].concat();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names = Vec::new();
    for kernel in all {
        let name = kernel.op.name();
        if names.contains(&name) {
            continue;
        }
        names.push(name);
        let schedule = target.schedules(&kernel, level).remove(0);
        let text = target.emit(&kernel, "k0", level, &schedule, Mode::Specialized).expect("emitted").body;
        compare(&folder.join(format!("{name}.c")), &text, &kernel);
    }
}

fn compare(file: &Path, text: &str, kernel: &Kernel) {
    if std::env::var_os("MCV_BLESS").is_some() {
        std::fs::write(file, text).expect("written");
    }
    let recorded = std::fs::read_to_string(file).unwrap_or_default();
    assert_eq!(recorded, text, "{kernel}: {} differs; MCV_BLESS=1 rewrites it", file.display());
}
