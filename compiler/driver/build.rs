//! Builds the stock kernels into this program, one shared object per level. Without a C compiler on the building
//! machine the program is built without them.

use mcv_ir::target::Target;
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

fn build_all(toolchain: &Toolchain, out: &Path, entries: &mut String) {
    let target = CpuTarget::x86_64();
    for level in target.levels() {
        let name = format!("{}-{}", target.family(), level.name);
        let object = out.join(format!("{name}.so"));
        let source = stock_source(level.name).expect("stock kernels are emitted at every level");
        match toolchain.compile(&source, level, &object) {
            Ok(()) => entries.push_str(&format!("    ({name:?}, include_bytes!({:?})),\n", object.display().to_string())),
            Err(e) => println!("cargo::warning=no stock kernels for {name}: {e}"),
        }
    }
}
