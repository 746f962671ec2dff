//! Builds the stock kernels into this program, one shared object per level. Without a C compiler on the building
//! machine the program is built without them.

use mcv_ir::target::{Level, Target};
use mcv_targets::cpu::CpuTarget;
use mcv_targets::stock::stock_source;
use mcv_targets::toolchain::Toolchain;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").expect("cargo sets OUT_DIR");
    let mut entries = String::new();
    match Toolchain::find() {
        Ok(toolchain) => build_all(&toolchain, Path::new(&out), &mut entries),
        Err(missing) => println!("cargo::warning=no stock kernels in this build: {missing}"),
    }
    let text = format!("/// Shared objects by family and level.\nstatic OBJECTS: &[(&str, &[u8])] = &[\n{entries}];\n");
    std::fs::write(Path::new(&out).join("stock_objects.rs"), text).expect("OUT_DIR is writable");
}

/// Levels that are built in: others fall back to the next weaker one.
const LEVELS: [&str; 3] = ["portable", "avx2", "avx512vnni"];

fn build_all(toolchain: &Toolchain, out: &Path, entries: &mut String) {
    let target = CpuTarget::x86_64();
    let levels: Vec<&Level> = target.levels().iter().filter(|l| LEVELS.contains(&l.name)).collect();
    let built: Vec<String> = std::thread::scope(|scope| {
        let jobs: Vec<_> =
            levels.iter().map(|level| scope.spawn(|| build_level(toolchain, &target, level, out))).collect();
        jobs.into_iter().filter_map(|job| job.join().ok()).collect()
    });
    entries.push_str(&built.concat());
}

/// One line of the table, or nothing if the compiler refuses the level.
fn build_level(toolchain: &Toolchain, target: &CpuTarget, level: &Level, out: &Path) -> String {
    let name = format!("{}-{}", target.family(), level.name);
    let object = out.join(format!("{name}.so"));
    let source = stock_source(target, level).expect("stock kernels are emitted at every level");
    let flags: Vec<&str> = level.flags.iter().copied().chain(["-O2"]).collect();
    match toolchain.compile_with(&source, &flags, &object) {
        Ok(()) => format!("    ({name:?}, include_bytes!({:?})),\n", object.display().to_string()),
        Err(e) => {
            println!("cargo::warning=no stock kernels for {name}: {e}");
            String::new()
        }
    }
}
