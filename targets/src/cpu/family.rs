//! Kernel families: what remains of a kernel when sizes and constants come from the call. Kernels of one family share
//! one text in [`mcv_ir::target::Mode::Generic`].

use mcv_ir::{Act, Elem, Kernel, Layout, Op, Pointwise, TensorType};

/// All that stays fixed at compile time, as text: `matmul q8/32@summed q4/32@panels16x4 f32 {bias} -> f32`.
pub fn family_key(kernel: &Kernel) -> String {
    let mut key = kernel.op.name().to_string();
    match &kernel.op {
        Op::Attention { causal: true, .. } | Op::Softmax { causal: true } => key += " causal",
        Op::RmsNorm { groups, .. } if *groups > 1 => key += " grouped",
        Op::Pointwise(p) => key += &format!(" {}", step(p, kernel.result.width())),
        _ => {}
    }
    for arg in &kernel.args {
        key += &format!(" {}", format_of(arg));
    }
    let steps: Vec<String> = kernel.epilogue.iter().map(|p| step(p, kernel.result.width())).collect();
    format!("{key} {{{}}} -> {}", steps.join(", "), format_of(&kernel.result))
}

/// Whether a row of `width` values is one group, padded to a multiple of 32: such rows share one text, whatever their
/// width. Rows of up to 32 are counted among those in groups of 32.
pub fn one_group(group: u16, width: u32) -> bool {
    group > 32 && u32::from(group) == width.next_multiple_of(32)
}

/// C expression of the group of rows of `width` values, whose C expression is `name`.
pub fn group_expression(group: u16, width: u32, name: &str) -> String {
    if one_group(group, width) { format!("(mcv_div_up({name}, 32) * 32)") } else { group.to_string() }
}

fn format_of(ty: &TensorType) -> String {
    let elem = match ty.elem {
        Elem::F32 => "f32".into(),
        Elem::F16 => "f16".into(),
        Elem::Bf16 => "bf16".into(),
        Elem::I32 => "i32".into(),
        Elem::Q8 { group } if one_group(group, ty.width()) => "q8/row".into(),
        Elem::Q8 { group } => format!("q8/{group}"),
        Elem::Q4 { group } => format!("q4/{group}"),
    };
    match ty.layout {
        Layout::Rows => elem,
        Layout::Summed => format!("{elem}@summed"),
        Layout::Panels { rows, depth } => format!("{elem}@panels{rows}x{depth}"),
    }
}

fn step(p: &Pointwise, width: u32) -> String {
    let act = |a: &Act| match a {
        Act::Gelu => "gelu",
        Act::GeluTanh => "gelu_tanh",
        Act::Silu => "silu",
        Act::Sigmoid => "sigmoid",
    };
    match p {
        Pointwise::Bias => "bias".into(),
        Pointwise::Add => "add".into(),
        Pointwise::Mul => "mul".into(),
        Pointwise::Scale(_) => "scale".into(),
        Pointwise::Act(a) => act(a).into(),
        Pointwise::Gated(a) => format!("gated {}", act(a)),
        Pointwise::Quantize { group } if one_group(*group, width) => "quantize/row".into(),
        Pointwise::Quantize { group } => format!("quantize/{group}"),
        Pointwise::Bf16 => "bf16".into(),
    }
}
