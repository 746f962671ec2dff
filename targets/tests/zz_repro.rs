#[allow(dead_code)]
mod call;
use call::{Call, Functions, cases};
use mcv_ir::target::{Mode, Target};
use mcv_targets::{CpuTarget, Toolchain, stock_symbol};
#[test]
fn repro() {
    let kernel = cases::matmuls().remove(3);
    let level = mcv_targets::isa::X86_64_LEVELS.iter().find(|l| l.name == "portable").unwrap();
    let target = CpuTarget::x86_64();
    let schedule = target.schedules(&kernel, level).remove(0);
    let mut text = target.prelude(level);
    text += &target.emit(&kernel, "k0", level, &schedule, Mode::Specialized).unwrap().body;
    text += &target.emit(&kernel, &stock_symbol(&kernel), level, &schedule, Mode::Generic).unwrap().body;
    std::fs::write("/tmp/brief/repro.c", &text).unwrap();
    let flags = std::env::var("FL").unwrap_or_default();
    let flags: Vec<&str> = flags.split_whitespace().collect();
    let out = std::path::Path::new("/tmp/brief/repro.so");
    Toolchain::find().unwrap().compile_with(&text, &flags, out).unwrap();
    let library = unsafe { libloading::Library::new(out) }.unwrap();
    for sym in ["k0".to_string(), stock_symbol(&kernel)] {
        let r = std::panic::catch_unwind(|| for rows in [1, 2, 3, 33] {
            Call { rows, context: 1, at: 0 }.check(&kernel, &Functions::find(&library, &sym), "x");
        });
        eprintln!("{sym}: {}", if r.is_ok() { "ok" } else { "BAD" });
    }
}
