//! Which fields ONNX messages have, from `onnx.proto` of IR version 14 (field numbers never change).

use Kind::{Bytes, Doubles, Float, Floats, Many, Number, Numbers, One, Text, Texts};

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A varint.
    Number,
    /// Varints, packed or one by one.
    Numbers,
    /// Four bytes.
    Float,
    /// Four bytes each, packed or one by one.
    Floats,
    /// Eight bytes each, packed or one by one.
    Doubles,
    /// Bytes, once.
    Bytes,
    /// UTF-8, once.
    Text,
    /// UTF-8 or bytes, any number.
    Texts,
    /// A message, once.
    One(&'static Message),
    /// Messages.
    Many(&'static Message),
}

/// The fields of one message: number, name, kind.
#[derive(Debug)]
pub struct Message(pub &'static str, pub &'static [(u32, &'static str, Kind)]);

impl Message {
    /// Name and kind of a field.
    pub fn field(&self, number: u32) -> Option<(&'static str, Kind)> {
        self.1.iter().find(|f| f.0 == number).map(|f| (f.1, f.2))
    }
}

/// A model file.
pub static MODEL: Message = Message(
    "model",
    &[
        (1, "ir_version", Number),
        (2, "producer_name", Text),
        (3, "producer_version", Text),
        (4, "domain", Text),
        (5, "model_version", Number),
        (6, "doc_string", Text),
        (7, "graph", One(&GRAPH)),
        (8, "opset_import", Many(&OPSET)),
        (14, "metadata_props", Many(&ENTRY)),
        (20, "training_info", Texts),
        (25, "functions", Many(&FUNCTION)),
        (26, "configuration", Texts),
    ],
);

/// A tensor file (`*.pb`) or an initializer.
pub static TENSOR: Message = Message(
    "tensor",
    &[
        (1, "dims", Numbers),
        (2, "data_type", Number),
        (3, "segment", One(&SEGMENT)),
        (4, "float_data", Floats),
        (5, "int32_data", Numbers),
        (6, "string_data", Texts),
        (7, "int64_data", Numbers),
        (8, "name", Text),
        (9, "raw_data", Bytes),
        (10, "double_data", Doubles),
        (11, "uint64_data", Numbers),
        (12, "doc_string", Text),
        (13, "external_data", Many(&ENTRY)),
        (14, "data_location", Number),
        (16, "metadata_props", Many(&ENTRY)),
    ],
);

static GRAPH: Message = Message(
    "graph",
    &[
        (1, "node", Many(&NODE)),
        (2, "name", Text),
        (5, "initializer", Many(&TENSOR)),
        (10, "doc_string", Text),
        (11, "input", Many(&VALUE)),
        (12, "output", Many(&VALUE)),
        (13, "value_info", Many(&VALUE)),
        (14, "quantization_annotation", Many(&ANNOTATION)),
        (15, "sparse_initializer", Many(&SPARSE)),
        (16, "metadata_props", Many(&ENTRY)),
    ],
);
static NODE: Message = Message(
    "node",
    &[
        (1, "input", Texts),
        (2, "output", Texts),
        (3, "name", Text),
        (4, "op_type", Text),
        (5, "attribute", Many(&ATTRIBUTE)),
        (6, "doc_string", Text),
        (7, "domain", Text),
        (8, "overload", Text),
        (9, "metadata_props", Many(&ENTRY)),
        (10, "device_configurations", Texts),
    ],
);
static ATTRIBUTE: Message = Message(
    "attribute",
    &[
        (1, "name", Text),
        (2, "f", Float),
        (3, "i", Number),
        (4, "s", Bytes),
        (5, "t", One(&TENSOR)),
        (6, "g", One(&GRAPH)),
        (7, "floats", Floats),
        (8, "ints", Numbers),
        (9, "strings", Texts),
        (10, "tensors", Many(&TENSOR)),
        (11, "graphs", Many(&GRAPH)),
        (13, "doc_string", Text),
        (14, "tp", One(&TYPE)),
        (15, "type_protos", Many(&TYPE)),
        (20, "type", Number),
        (21, "ref_attr_name", Text),
        (22, "sparse_tensor", One(&SPARSE)),
        (23, "sparse_tensors", Many(&SPARSE)),
    ],
);
static FUNCTION: Message = Message(
    "function",
    &[
        (1, "name", Text),
        (4, "input", Texts),
        (5, "output", Texts),
        (6, "attribute", Texts),
        (7, "node", Many(&NODE)),
        (8, "doc_string", Text),
        (9, "opset_import", Many(&OPSET)),
        (10, "domain", Text),
        (11, "attribute_proto", Many(&ATTRIBUTE)),
        (12, "value_info", Many(&VALUE)),
        (13, "overload", Text),
        (14, "metadata_props", Many(&ENTRY)),
    ],
);
static VALUE: Message = Message(
    "value",
    &[(1, "name", Text), (2, "type", One(&TYPE)), (3, "doc_string", Text), (4, "metadata_props", Many(&ENTRY))],
);
static TYPE: Message = Message(
    "type",
    &[
        (1, "tensor_type", One(&TENSOR_TYPE)),
        (4, "sequence_type", One(&ELEMENT)),
        (5, "map_type", One(&MAP)),
        (6, "denotation", Text),
        (7, "opaque_type", One(&OPAQUE)),
        (8, "sparse_tensor_type", One(&TENSOR_TYPE)),
        (9, "optional_type", One(&ELEMENT)),
    ],
);
static TENSOR_TYPE: Message = Message("tensor_type", &[(1, "elem_type", Number), (2, "shape", One(&SHAPE))]);
static SHAPE: Message = Message("shape", &[(1, "dim", Many(&DIM))]);
static DIM: Message = Message("dim", &[(1, "dim_value", Number), (2, "dim_param", Text), (3, "denotation", Text)]);
static ELEMENT: Message = Message("sequence_type", &[(1, "elem_type", One(&TYPE))]);
static MAP: Message = Message("map_type", &[(1, "key_type", Number), (2, "value_type", One(&TYPE))]);
static OPAQUE: Message = Message("opaque_type", &[(1, "domain", Text), (2, "name", Text)]);
static OPSET: Message = Message("opset_import", &[(1, "domain", Text), (2, "version", Number)]);
static ENTRY: Message = Message("entry", &[(1, "key", Text), (2, "value", Text)]);
static SEGMENT: Message = Message("segment", &[(1, "begin", Number), (2, "end", Number)]);
static SPARSE: Message =
    Message("sparse_tensor", &[(1, "values", One(&TENSOR)), (2, "indices", One(&TENSOR)), (3, "dims", Numbers)]);
static ANNOTATION: Message =
    Message("annotation", &[(1, "tensor_name", Text), (2, "quant_parameter_tensor_names", Many(&ENTRY))]);
