//! Kernels of a GPU: texts that its driver builds in processes of the runtime's own program, which binds the driver.

use super::measure::{filling, largest};
use mcv_ir::{Kernel, Layout, Op, Result, TensorType, encode};
use mcv_targets::OpenClTarget;
use serde_json::json;

/// First argument of the runtime's program for a candidate's process.
pub const FLAG: &str = "--gpu-candidate";
/// Values per channel where no kernel tells.
const DEPTH: u16 = 4;

/// What such a process is told of its kernel: buffers of the largest sizes, the result last, dims and scalars.
pub fn call(kernel: &Kernel) -> String {
    let arg = |ty: &TensorType| {
        let (bytes, stride) = (encode::bytes(ty).max(1), encode::row_bytes(ty));
        json!({ "bytes": bytes, "stride": stride, "fill": filling(ty) })
    };
    let args: Vec<_> = kernel.args.iter().chain([&kernel.result]).map(arg).collect();
    let scalars: Vec<f32> = kernel.scalars().iter().map(|(_, s)| *s).collect();
    json!({ "args": args, "dims": largest(kernel), "scalars": scalars }).to_string()
}

/// The target that emitted these kernels: their weights tell how panels are cut.
///
/// # Errors
/// Panels that no GPU takes.
pub fn target(kernels: &[Kernel]) -> Result<OpenClTarget> {
    let depth = |kernel: &Kernel| match (&kernel.op, kernel.args.get(1)?.layout) {
        (Op::MatMul, Layout::Panels { depth, .. }) => Some(depth),
        _ => None,
    };
    OpenClTarget::new(kernels.iter().find_map(depth).unwrap_or(DEPTH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_says_what_memory_it_needs() {
        let text = "matmul(f32[tokens<=4,64], f32[32,64]@panels16x8) -> f32[tokens<=4,32]";
        let kernel = Kernel::parse(text).expect("a kernel");
        let call: serde_json::Value = serde_json::from_str(&call(&kernel)).expect("JSON");
        assert_eq!(call["args"][0], json!({ "bytes": 1024, "stride": 256, "fill": 0x3c }));
        assert_eq!((&call["dims"], call["args"].as_array().map(Vec::len)), (&json!([4, 32, 64]), Some(3)));
        let panels = |target: OpenClTarget| mcv_ir::target::Target::layout(&target, &kernel, 1);
        assert_eq!(target(std::slice::from_ref(&kernel)).map(panels), Ok(kernel.args[1].layout));
        assert!(target(&[Kernel::parse(&text.replace("16x8", "16x2")).expect("a kernel")]).is_err());
    }
}
