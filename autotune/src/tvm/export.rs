//! Kernels as a shared object whose functions TVM and Python's `tvm_ffi.load_module` call.
//!
//! A function takes the kernel's arguments and its result as contiguous tensors on the CPU, each with at least the bytes
//! of its type at the largest sizes, in the format of `mcv-ir`, module `encode`; then, if they are given, the sizes that
//! are not known when it is compiled, in the order of [`Kernel::dims`]; the largest without.

use crate::kernels::library;
use crate::record::Records;
use mcv_ir::target::{Level, Mode, Target};
use mcv_ir::{Dim, Kernel, Op, Result, encode};
use mcv_targets::Toolchain;
use std::fmt::Write;
use std::path::Path;

/// Flags beside those of the level: `TVMFFIErrorSetRaisedFromCStr` is there once TVM's library is loaded.
const FLAGS: [&str; 3] = ["-shared", "-nostdlib", "-Wl,-z,max-page-size=16384"];

/// Types and checks that all functions share.
const INTERFACE: &str = r#"
typedef struct { int32_t tag; uint32_t padding; union { int64_t number; void *pointer; } as; } ffi_any;
typedef struct {
    char *data; int32_t device, device_id, axes; uint8_t kind, bits; uint16_t lanes; const int64_t *shape, *strides;
    uint64_t offset;
} ffi_tensor;
extern __attribute__((weak)) void TVMFFIErrorSetRaisedFromCStr(const char *kind, const char *message);
MCV_OUTLINE int ffi_fail(const char *message) {
    if (TVMFFIErrorSetRaisedFromCStr) TVMFFIErrorSetRaisedFromCStr("ValueError", message);
    return -1;
}
/* A tensor by pointer (7), or an object whose tensor follows a header of 24 bytes (70). */
MCV_OUTLINE const char *ffi_take(const ffi_any *value, int64_t bytes, int64_t stride, mcv_arg *to) {
    if (value->tag != 7 && value->tag != 70) return "a tensor was expected";
    const ffi_tensor *t = (const ffi_tensor *)((const char *)value->as.pointer + (value->tag == 70 ? 24 : 0));
    if (t->device != 1) return "tensors must be on the CPU";
    int64_t count = 1;
    for (int32_t axis = t->axes - 1; axis >= 0; axis--) {
        if (t->strides && t->shape[axis] > 1 && t->strides[axis] != count) return "tensors must be contiguous";
        if (__builtin_mul_overflow(count, t->shape[axis], &count) || count < 0) return "a tensor's shape is no shape";
    }
    int64_t bits;
    if (__builtin_mul_overflow(count, (int64_t)t->bits * t->lanes, &bits) || bits / 8 < bytes) return "a tensor is too small";
    to->data = t->data + t->offset;
    to->stride = stride;
    return 0;
}
"#;

/// A name for each kernel that is exported: its op and its place in the list.
pub fn names(kernels: &[Kernel]) -> Vec<(String, &Kernel)> {
    let name = |(index, kernel): (usize, &Kernel)| {
        let text = kernel.to_string();
        let op = text.split(['(', ' ']).next().unwrap_or_default();
        format!("{op}_{index}")
    };
    kernels.iter().enumerate().filter(|(_, k)| is_closed(k)).map(|(i, k)| (name((i, k)), k)).collect()
}

/// Whether memory and sizes bound what it touches: where values are places in memory, only a plan does.
fn is_closed(kernel: &Kernel) -> bool {
    let open = matches!(kernel.op, Op::Move | Op::Gather | Op::MergeRows | Op::Store { .. });
    !open && kernel.dims().iter().all(|(_, d)| !matches!(d, Dim::UpTo { name, .. } if name == "at"))
}

/// C of all kernels that can be exported, with their schedules as recorded.
///
/// # Errors
/// The target does not emit one of them.
pub fn source(kernels: &[Kernel], target: &dyn Target, level: &Level, records: &Records) -> Result<String> {
    let mut text = target.prelude(level) + INTERFACE;
    for (name, kernel) in names(kernels) {
        let schedule = library::schedule(kernel, target, level, records)?;
        let symbol = format!("mcv_{name}");
        text += &target.emit(kernel, &symbol, level, &schedule, Mode::Specialized)?.body;
        text += &function(&name, &symbol, kernel);
    }
    Ok(text)
}

/// A function of the interface that checks what it gets and calls a kernel.
fn function(name: &str, symbol: &str, kernel: &Kernel) -> String {
    let types: Vec<_> = kernel.args.iter().chain([&kernel.result]).collect();
    let dims = kernel.dims();
    let open: Vec<usize> = (0..dims.len()).filter(|i| dims[*i].1.known().is_none()).collect();
    let list = |values: Vec<String>| if values.is_empty() { "0".to_string() } else { values.join(", ") };
    let (count, most) = (types.len(), types.len() + open.len());
    let mut text = format!(
        "\n/* {kernel} */\nMCV_API int __tvm_ffi_{name}(void *self, const ffi_any *in, int32_t count, ffi_any *out) {{\n"
    );
    let _ = writeln!(text, "    mcv_arg args[{count}];\n    const char *wrong = 0;");
    let largest = crate::kernels::measure::largest(kernel).iter().map(i64::to_string).collect();
    let _ = writeln!(text, "    int64_t dims[] = {{ {} }};", list(largest));
    let scalars = kernel.scalars().iter().map(|(_, s)| format!("{s:?}f")).collect();
    let _ = writeln!(text, "    const float scalars[] = {{ {} }};", list(scalars));
    let _ = writeln!(
        text,
        "    (void)self;\n    if (count < {count} || count > {most}) return ffi_fail(\"{count} tensors, then up to {} sizes\");",
        open.len()
    );
    for (index, ty) in types.iter().enumerate() {
        let (bytes, stride) = (encode::bytes(ty), encode::row_bytes(ty));
        let _ = writeln!(
            text,
            "    if ((wrong = ffi_take(in + {index}, {bytes}, {stride}, args + {index}))) return ffi_fail(wrong);"
        );
    }
    for (place, dim) in open.iter().enumerate() {
        let at = count + place;
        let _ = writeln!(
            text,
            "    if (count > {at}) {{\n        if (in[{at}].tag != 1 || in[{at}].as.number < 1 || in[{at}].as.number > dims[{dim}]) return ffi_fail(\"a size is no size\");\n        dims[{dim}] = in[{at}].as.number;\n    }}"
        );
    }
    text + &format!(
        "    const mcv_call call = {{ args, dims, scalars }};\n    {symbol}(&call, 0, {symbol}_units(&call));\n    out->tag = 0;\n    out->padding = 0;\n    out->as.number = 0;\n    return 0;\n}}\n"
    )
}

/// Builds [`source`] into a shared object.
///
/// # Errors
/// The compiler refuses.
pub fn build(source: &str, level: &Level, toolchain: &Toolchain, out: &Path) -> Result<()> {
    toolchain.build(source, &[&Toolchain::FLAGS, level.flags, &FLAGS].concat(), out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_plan_bounds_is_left_out() {
        let kernel = |text: &str| Kernel::parse(text).expect("a kernel");
        let all = [
            kernel("gather(q8/32[512,256], i32[tokens<=256]) -> f32[tokens<=256,256]"),
            kernel("rms_norm(f32[tokens<=4,64], f32[64], eps=1e-6, groups=1) -> f32[tokens<=4,64]"),
            kernel("store(f32[tokens<=256,128]) -> f16[2048,128]"),
        ];
        let names: Vec<String> = names(&all).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["rms_norm_1"]);
        let text = function("n", "s", &all[1]);
        assert!(text.contains("count < 3 || count > 4") && text.contains("ffi_take(in + 0, 1024, 256"), "{text}");
    }
}
