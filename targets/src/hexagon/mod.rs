//! Hexagon: kernels and a dispatcher as one program, of the same templates as the CPU's.
//!
//! The program has no C library. It obeys messages ([`PIPE`]'s text names them): map a file as a region, unmap it, run
//! a list of launches over the regions; one list is a whole phase. As a Linux process it reads them from standard
//! input (`qemu-hexagon -cpu v67`); as a library on a phone the same functions are called through FastRPC.
//!
//! Floats: by default 16 plain lanes on the scalar core, IEEE, which every emulator runs. `-DMCV_HVX_QF32` takes the
//! vector unit's qfloat instead, the form for processors (v68 and later); with `-DMCV_QF32_MODEL` its three
//! instructions are modelled. Integer products are the same vector instructions in both.

mod supports;

pub use supports::check;

/// Lists of launches over regions.
pub const DISPATCH: &str = include_str!("c/dispatch.c");
/// The same as a Linux process that reads messages.
pub const PIPE: &str = include_str!("c/pipe.c");
/// The same as a FastRPC library (`-DMCV_FASTRPC`): written against the public interface, never run so far.
pub const SKEL: &str = include_str!("c/skel.c");
/// Functions that the compiler calls by name.
pub const RUNTIME: &str = include_str!("c/runtime.c");

/// Name of the program among an artifact's entries.
pub const ENTRY: &str = "kernels/hexagon-hvx.elf";

/// How clang makes the program that emulators run. v67: the newest that `qemu-hexagon` 7.2 knows.
pub const FLAGS: [&str; 11] = [
    "--target=hexagon-unknown-elf",
    "-mv67",
    "-mhvx",
    "-mhvx-length=128b",
    "-std=gnu11",
    "-O3",
    "-ffreestanding",
    "-nostdlib",
    "-static",
    "-fuse-ld=lld",
    "-w",
];

/// How `zig cc` makes the library for the processors of phones (v75 here) of the same text: the form that computes in
/// qfloat. What it lacks then is `HAP_mmap_get` and `HAP_mmap_put`, which the DSP's system has.
pub const DEVICE_FLAGS: [&str; 14] = [
    "-target",
    "hexagon-linux-musl",
    "-mcpu=hexagonv75+hvxv75+hvx_length128b+hvx_qfloat",
    "-DMCV_HVX_QF32",
    "-DMCV_FASTRPC",
    "-std=gnu11",
    "-O3",
    "-ffreestanding",
    "-fPIC",
    "-w",
    "-shared",
    "-nostdlib",
    "-Wl,-Bsymbolic",
    "-Wl,-soname,libmcv_hexagon_skel.so",
];

/// One kernel of a program.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its function; `SYMBOL_units` is the other.
    pub symbol: &'a str,
    /// Its text.
    pub body: &'a str,
}

/// The program of `kernels`: a launch names a kernel by its index here, and gaps are kernels that it does not have.
/// `prelude` is [`mcv_ir::target::Target::prelude`] of the level.
pub fn program_source(prelude: &str, kernels: &[Option<Entry>]) -> String {
    let bodies: String = kernels.iter().flatten().map(|k| format!("{}\n", k.body)).collect();
    [prelude, DISPATCH, &bodies, &table(kernels), PIPE, SKEL, RUNTIME].join("\n")
}

fn table(kernels: &[Option<Entry>]) -> String {
    let row = |k: &Option<Entry>| match k {
        Some(k) => format!("    {{{0}_units, {0}}},\n", k.symbol),
        None => "    {0, 0},\n".to_string(),
    };
    let rows: String = kernels.iter().map(row).collect();
    format!(
        "const mcv_entry mcv_entries[] = {{\n{rows}    {{0, 0}},\n}};\nconst uint32_t mcv_entry_count = {};\n",
        kernels.len()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_keep_the_order_of_the_others() {
        let last = Some(Entry { symbol: "k2", body: "/* k2 */" });
        let text = program_source("/* prelude */", &[None, last]);
        assert!(text.contains("    {0, 0},\n    {k2_units, k2},\n    {0, 0},\n"), "{text}");
        assert!(text.contains("mcv_entry_count = 2;"));
    }
}
