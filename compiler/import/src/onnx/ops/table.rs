//! The table of ops: name, operator sets, inputs, outputs, attributes, meaning.

use super::{
    OpDef, activation as act, attention, bits, cast, conv, create, einsum, elementwise as el, indexing, layout, matmul,
    norm, quantize, reduce, resize, scan, scatter,
};
use crate::onnx::graph::AttrKind::{self, Float, Floats, Int, Ints, Tensor, Text};

/// Newest operator set of any row.
const LATEST: i64 = 28;
const MANY: usize = 1 << 16;

type Attrs = &'static [(&'static str, AttrKind)];

const fn op(name: &'static str, inputs: (usize, usize), attrs: Attrs, eval: super::Eval) -> OpDef {
    OpDef { name, opsets: (1, LATEST), inputs, outputs: 1, attrs, eval }
}

const fn between(opsets: (i64, i64), op: OpDef) -> OpDef {
    OpDef { opsets, ..op }
}

const fn since(first: i64, op: OpDef) -> OpDef {
    OpDef { opsets: (first, LATEST), ..op }
}

const fn makes(outputs: usize, op: OpDef) -> OpDef {
    OpDef { outputs, ..op }
}

const AXIS: Attrs = &[("axis", Int)];
const REDUCE_OLD: Attrs = &[("axes", Ints), ("keepdims", Int)];
const REDUCE: Attrs = &[("keepdims", Int), ("noop_with_empty_axes", Int)];

/// All rows.
pub static OPS: &[OpDef] = &[
    op("Abs", (1, 1), &[], el::abs),
    op("Neg", (1, 1), &[], el::neg),
    op("Sign", (1, 1), &[], el::sign),
    op("Sqrt", (1, 1), &[], el::sqrt),
    op("Exp", (1, 1), &[], el::exp),
    op("Log", (1, 1), &[], el::log),
    op("Erf", (1, 1), &[], el::erf),
    op("Sin", (1, 1), &[], el::sin),
    op("Cos", (1, 1), &[], el::cos),
    op("Tan", (1, 1), &[], el::tan),
    op("Tanh", (1, 1), &[], el::tanh),
    op("Sigmoid", (1, 1), &[], el::sigmoid),
    op("Reciprocal", (1, 1), &[], el::reciprocal),
    op("Relu", (1, 1), &[], act::relu),
    op("Floor", (1, 1), &[], el::floor),
    op("Ceil", (1, 1), &[], el::ceil),
    op("Round", (1, 1), &[], el::round),
    op("Softplus", (1, 1), &[], el::softplus),
    since(20, op("Gelu", (1, 1), &[("approximate", Text)], act::gelu)),
    since(24, op("Swish", (1, 1), &[("alpha", Float)], act::swish)),
    since(28, op("SwiGLU", (2, 2), &[("alpha", Float)], act::swiglu)),
    since(14, op("HardSwish", (1, 1), &[], el::hard_swish)),
    op("Mish", (1, 1), &[], el::mish),
    op("Softsign", (1, 1), &[], el::softsign),
    op("Elu", (1, 1), &[("alpha", Float)], act::elu),
    op("Celu", (1, 1), &[("alpha", Float)], act::celu),
    op("Selu", (1, 1), &[("alpha", Float), ("gamma", Float)], act::selu),
    op("LeakyRelu", (1, 1), &[("alpha", Float)], act::leaky_relu),
    op("HardSigmoid", (1, 1), &[("alpha", Float), ("beta", Float)], act::hard_sigmoid),
    op("PRelu", (2, 2), &[], act::prelu),
    op("Sinh", (1, 1), &[], el::sinh),
    op("Cosh", (1, 1), &[], el::cosh),
    op("Asin", (1, 1), &[], el::asin),
    op("Acos", (1, 1), &[], el::acos),
    op("Atan", (1, 1), &[], el::atan),
    op("Asinh", (1, 1), &[], el::asinh),
    op("Acosh", (1, 1), &[], el::acosh),
    op("Atanh", (1, 1), &[], el::atanh),
    since(18, op("BitwiseAnd", (2, 2), &[], bits::and)),
    since(18, op("BitwiseOr", (2, 2), &[], bits::or)),
    since(18, op("BitwiseXor", (2, 2), &[], bits::xor)),
    since(18, op("BitwiseNot", (1, 1), &[], bits::not)),
    since(11, op("BitShift", (2, 2), &[("direction", Text)], bits::shift)),
    op("IsNaN", (1, 1), &[], el::is_nan),
    op("IsInf", (1, 1), &[("detect_negative", Int), ("detect_positive", Int)], el::is_inf),
    op("Not", (1, 1), &[], el::not),
    op("Add", (2, 2), &[], el::add),
    op("Sub", (2, 2), &[], el::sub),
    op("Mul", (2, 2), &[], el::mul),
    op("Div", (2, 2), &[], el::div),
    op("Pow", (2, 2), &[], el::pow),
    op("Mod", (2, 2), &[("fmod", Int)], el::modulo),
    op("And", (2, 2), &[], el::and),
    op("Or", (2, 2), &[], el::or),
    op("Xor", (2, 2), &[], el::xor),
    op("Equal", (2, 2), &[], el::equal),
    op("Less", (2, 2), &[], el::less),
    op("Greater", (2, 2), &[], el::greater),
    since(12, op("LessOrEqual", (2, 2), &[], el::less_or_equal)),
    since(12, op("GreaterOrEqual", (2, 2), &[], el::greater_or_equal)),
    op("Max", (1, MANY), &[], el::max),
    op("Min", (1, MANY), &[], el::min),
    op("Sum", (1, MANY), &[], el::sum),
    op("Mean", (1, MANY), &[], el::mean),
    op("Clip", (1, 3), &[], el::clip),
    op("Where", (3, 3), &[], el::choose),
    between((7, 11), makes(2, op("Dropout", (1, 1), &[("ratio", Float)], layout::dropout))),
    since(12, makes(2, op("Dropout", (1, 3), &[("seed", Int)], layout::dropout))),
    op("Identity", (1, 1), &[], layout::identity),
    between((1, 18), op("Cast", (1, 1), &[("to", Int)], cast::cast)),
    between((19, 23), op("Cast", (1, 1), &[("to", Int), ("saturate", Int)], cast::cast)),
    since(24, op("Cast", (1, 1), &[("to", Int), ("saturate", Int), ("round_mode", Text)], cast::cast)),
    between((15, 18), op("CastLike", (2, 2), &[], cast::cast_like)),
    between((19, 23), op("CastLike", (2, 2), &[("saturate", Int)], cast::cast_like)),
    since(24, op("CastLike", (2, 2), &[("saturate", Int), ("round_mode", Text)], cast::cast_like)),
    between((1, 14), op("Shape", (1, 1), &[], layout::shape)),
    since(15, op("Shape", (1, 1), &[("start", Int), ("end", Int)], layout::shape)),
    op("Size", (1, 1), &[], layout::size),
    between((1, 13), op("Reshape", (2, 2), &[], layout::reshape)),
    since(14, op("Reshape", (2, 2), &[("allowzero", Int)], layout::reshape)),
    op("Flatten", (1, 1), AXIS, layout::flatten),
    op("Transpose", (1, 1), &[("perm", Ints)], layout::transpose),
    between((1, 12), op("Squeeze", (1, 1), &[("axes", Ints)], layout::squeeze)),
    since(13, op("Squeeze", (1, 2), &[], layout::squeeze)),
    between((1, 12), op("Unsqueeze", (1, 1), &[("axes", Ints)], layout::unsqueeze)),
    since(13, op("Unsqueeze", (2, 2), &[], layout::unsqueeze)),
    op("Expand", (2, 2), &[], layout::expand),
    op("Concat", (1, MANY), AXIS, layout::concat),
    between((1, 12), makes(MANY, op("Split", (1, 1), &[("axis", Int), ("split", Ints)], layout::split))),
    between((13, 17), makes(MANY, op("Split", (1, 2), AXIS, layout::split))),
    since(18, makes(MANY, op("Split", (1, 2), &[("axis", Int), ("num_outputs", Int)], layout::split))),
    since(10, op("Slice", (3, 5), &[], layout::slice)),
    op("Tile", (2, 2), &[], layout::tile),
    since(11, op("Pad", (2, 4), &[("mode", Text)], layout::pad)),
    op("Gather", (2, 2), AXIS, indexing::gather),
    since(11, op("GatherElements", (2, 2), AXIS, indexing::gather_elements)),
    between((11, 11), op("GatherND", (2, 2), &[], indexing::gather_nd)),
    since(12, op("GatherND", (2, 2), &[("batch_dims", Int)], indexing::gather_nd)),
    between((11, 15), op("ScatterND", (3, 3), &[], indexing::scatter_nd)),
    since(16, op("ScatterND", (3, 3), &[("reduction", Text)], indexing::scatter_nd)),
    between((11, 15), op("ScatterElements", (3, 3), AXIS, scatter::scatter_elements)),
    since(16, op("ScatterElements", (3, 3), &[("axis", Int), ("reduction", Text)], scatter::scatter_elements)),
    since(24, op("TensorScatter", (2, 3), &[("axis", Int), ("mode", Text)], scatter::tensor_scatter)),
    since(9, op("OneHot", (3, 3), AXIS, scatter::one_hot)),
    between((10, 10), op("Resize", (2, 2), &[("mode", Text)], resize::resize)),
    between((11, 17), op("Resize", (1, 4), RESIZE, resize::resize)),
    since(18, op("Resize", (1, 4), RESIZE_18, resize::resize)),
    since(9, op("NonZero", (1, 1), &[], indexing::non_zero)),
    makes(1, op("Constant", (0, 0), CONSTANT, create::constant)),
    since(9, op("ConstantOfShape", (1, 1), &[("value", Tensor)], create::constant_of_shape)),
    between((11, 26), op("Range", (3, 3), &[], create::range)),
    since(27, op("Range", (3, 3), &[("stash_type", Int)], create::range)),
    since(9, op("EyeLike", (1, 1), &[("dtype", Int), ("k", Int)], create::eye_like)),
    since(14, op("Trilu", (1, 2), &[("upper", Int)], create::trilu)),
    op("CumSum", (2, 2), &[("exclusive", Int), ("reverse", Int)], scan::cum_sum),
    op("ArgMax", (1, 1), ARG, scan::arg_max),
    op("ArgMin", (1, 1), ARG, scan::arg_min),
    between((10, 10), makes(2, op("TopK", (2, 2), AXIS, scan::top_k))),
    since(11, makes(2, op("TopK", (2, 2), &[("axis", Int), ("largest", Int), ("sorted", Int)], scan::top_k))),
    between((1, 12), op("Softmax", (1, 1), AXIS, norm::softmax)),
    since(13, op("Softmax", (1, 1), AXIS, norm::softmax)),
    op("LogSoftmax", (1, 1), AXIS, norm::log_softmax),
    since(17, makes(3, op("LayerNormalization", (2, 3), NORM, norm::layer_norm))),
    since(23, op("RMSNormalization", (2, 2), NORM, norm::rms_norm)),
    since(21, op("GroupNormalization", (3, 3), GROUPS, norm::group_norm)),
    op("InstanceNormalization", (3, 3), &[("epsilon", Float)], norm::instance_norm),
    op("LpNormalization", (1, 1), &[("axis", Int), ("p", Int)], norm::lp_norm),
    between((1, 12), op("ReduceSum", (1, 1), REDUCE_OLD, reduce::sum)),
    since(13, op("ReduceSum", (1, 2), REDUCE, reduce::sum)),
    between((1, 17), op("ReduceMean", (1, 1), REDUCE_OLD, reduce::mean)),
    since(18, op("ReduceMean", (1, 2), REDUCE, reduce::mean)),
    between((1, 17), op("ReduceMax", (1, 1), REDUCE_OLD, reduce::max)),
    since(18, op("ReduceMax", (1, 2), REDUCE, reduce::max)),
    between((1, 17), op("ReduceMin", (1, 1), REDUCE_OLD, reduce::min)),
    since(18, op("ReduceMin", (1, 2), REDUCE, reduce::min)),
    between((1, 17), op("ReduceProd", (1, 1), REDUCE_OLD, reduce::prod)),
    since(18, op("ReduceProd", (1, 2), REDUCE, reduce::prod)),
    between((1, 17), op("ReduceL2", (1, 1), REDUCE_OLD, reduce::l2)),
    since(18, op("ReduceL2", (1, 2), REDUCE, reduce::l2)),
    between((1, 17), op("ReduceSumSquare", (1, 1), REDUCE_OLD, reduce::sum_square)),
    since(18, op("ReduceSumSquare", (1, 2), REDUCE, reduce::sum_square)),
    between((1, 17), op("ReduceL1", (1, 1), REDUCE_OLD, reduce::l1)),
    since(18, op("ReduceL1", (1, 2), REDUCE, reduce::l1)),
    between((1, 17), op("ReduceLogSum", (1, 1), REDUCE_OLD, reduce::log_sum)),
    since(18, op("ReduceLogSum", (1, 2), REDUCE, reduce::log_sum)),
    between((1, 17), op("ReduceLogSumExp", (1, 1), REDUCE_OLD, reduce::log_sum_exp)),
    since(18, op("ReduceLogSumExp", (1, 2), REDUCE, reduce::log_sum_exp)),
    op("MatMul", (2, 2), &[], matmul::mat_mul),
    op("Gemm", (2, 3), GEMM, matmul::gemm),
    since(12, op("Einsum", (1, MANY), &[("equation", Text)], einsum::einsum)),
    between((10, 12), op("DequantizeLinear", (2, 3), &[], quantize::dequantize)),
    between((13, 20), op("DequantizeLinear", (2, 3), AXIS, quantize::dequantize)),
    between((21, 22), op("DequantizeLinear", (2, 3), BLOCKS, quantize::dequantize)),
    since(23, op("DequantizeLinear", (2, 3), BLOCKS_TYPED, quantize::dequantize)),
    between((10, 12), op("QuantizeLinear", (2, 3), &[], quantize::quantize)),
    between((13, 18), op("QuantizeLinear", (2, 3), AXIS, quantize::quantize)),
    between((19, 20), op("QuantizeLinear", (2, 3), &[("axis", Int), ("saturate", Int)], quantize::quantize)),
    since(21, op("QuantizeLinear", (2, 3), QUANTIZE, quantize::quantize)),
    since(11, makes(3, op("DynamicQuantizeLinear", (1, 1), &[], quantize::dynamic))),
    since(10, op("MatMulInteger", (2, 4), &[], quantize::mat_mul_integer)),
    op("Conv", (2, 3), CONV, conv::conv),
    since(23, op("RotaryEmbedding", (3, 4), ROTARY, attention::rotary)),
    between((23, 23), makes(4, op("Attention", (3, 6), ATTENTION, attention::attention))),
    between((24, 24), makes(4, op("Attention", (3, 7), ATTENTION, attention::attention))),
    since(25, makes(4, op("Attention", (3, 7), ATTENTION_25, attention::attention))),
];

const CONSTANT: Attrs =
    &[("value", Tensor), ("value_int", Int), ("value_ints", Ints), ("value_float", Float), ("value_floats", Floats)];
const ARG: Attrs = &[("axis", Int), ("keepdims", Int), ("select_last_index", Int)];
const NORM: Attrs = &[("axis", Int), ("epsilon", Float), ("stash_type", Int)];
const BLOCKS: Attrs = &[("axis", Int), ("block_size", Int)];
const BLOCKS_TYPED: Attrs = &[("axis", Int), ("block_size", Int), ("output_dtype", Int)];
const QUANTIZE: Attrs =
    &[("axis", Int), ("block_size", Int), ("output_dtype", Int), ("precision", Int), ("saturate", Int)];
const GROUPS: Attrs = &[("epsilon", Float), ("num_groups", Int), ("stash_type", Int)];
const RESIZE: Attrs = &[
    ("coordinate_transformation_mode", Text),
    ("cubic_coeff_a", Float),
    ("exclude_outside", Int),
    ("extrapolation_value", Float),
    ("mode", Text),
    ("nearest_mode", Text),
];
const RESIZE_18: Attrs = &[
    ("antialias", Int),
    ("axes", Ints),
    ("coordinate_transformation_mode", Text),
    ("cubic_coeff_a", Float),
    ("exclude_outside", Int),
    ("extrapolation_value", Float),
    ("keep_aspect_ratio_policy", Text),
    ("mode", Text),
    ("nearest_mode", Text),
];
const GEMM: Attrs = &[("alpha", Float), ("beta", Float), ("transA", Int), ("transB", Int)];
const CONV: Attrs = &[
    ("auto_pad", Text),
    ("dilations", Ints),
    ("group", Int),
    ("kernel_shape", Ints),
    ("pads", Ints),
    ("strides", Ints),
];
const ROTARY: Attrs = &[("interleaved", Int), ("num_heads", Int), ("rotary_embedding_dim", Int)];
const ATTENTION: Attrs = &[
    ("is_causal", Int),
    ("kv_num_heads", Int),
    ("q_num_heads", Int),
    ("qk_matmul_output_mode", Int),
    ("scale", Float),
    ("softcap", Float),
    ("softmax_precision", Int),
];
const ATTENTION_25: Attrs = &[
    ("is_causal", Int),
    ("kv_num_heads", Int),
    ("q_num_heads", Int),
    ("qk_matmul_output_mode", Int),
    ("scale", Float),
    ("softcap", Float),
    ("softmax_precision", Int),
    ("left_window_size", Int),
    ("right_window_size", Int),
];
