//! `TensorProto` to [`Constant`]: every field checked, large payloads left where they are.

use super::dtype::DType;
use super::graph::Constant;
use super::stored::{Stored, byte_count, external};
use super::tensor::{Data, Tensor, Why};
use super::wire::INLINE;
use onnx_protobuf::TensorProto;
use std::path::Path;
use std::sync::Arc;

/// `data_location` of tensors in other files.
const EXTERNAL: i32 = 1;

/// Reads a tensor of the model file `path`.
///
/// # Errors
/// The field that is wrong, and why.
pub fn constant(path: &Path, proto: &TensorProto) -> Why<Constant> {
    let dtype = DType::from_onnx(proto.data_type).map_err(|e| format!("data_type: {e}"))?;
    if proto.segment.is_some() {
        return Err("segment: split tensors are not supported; export again".into());
    }
    let shape = proto.dims.iter().map(|n| u64::try_from(*n)).collect::<Result<Vec<u64>, _>>();
    let shape = shape.map_err(|_| format!("dims: {:?} has a negative extent", proto.dims))?;
    let bytes = byte_count(dtype, &shape).map_err(|e| format!("dims: {e}"))?;
    let inline = proto.external_data.iter().find(|e| e.key == INLINE);
    let location = proto.data_location.value();
    if location != EXTERNAL && location != 0 {
        return Err(format!("data_location: {location} is not known"));
    }
    let fields = filled(proto);
    if fields.len() > 1 {
        return Err(format!("{}: the tensor has data also in {}", fields[0], fields[1]));
    }
    match (inline, location == EXTERNAL) {
        (Some(_), true) => Err("data_location: EXTERNAL, but the tensor also has data in the model file".into()),
        (Some(entry), false) => self_stored(path, dtype, shape, &entry.value, fields.is_empty()),
        (None, true) if !fields.is_empty() => {
            Err(format!("data_location: EXTERNAL, but the tensor also has {}", fields[0]))
        }
        (None, true) => outside(path, dtype, shape, proto).map_err(|e| format!("external_data: {e}")),
        (None, false) if !proto.external_data.is_empty() => {
            Err("external_data: given, but data_location is not EXTERNAL".into())
        }
        (None, false) => here(dtype, &shape, bytes, proto).map(|t| Constant::Here(Arc::new(t))),
    }
}

/// Names of the data fields that hold something.
fn filled(proto: &TensorProto) -> Vec<&'static str> {
    let all = [
        ("raw_data", proto.raw_data.len()),
        ("float_data", proto.float_data.len()),
        ("int32_data", proto.int32_data.len()),
        ("int64_data", proto.int64_data.len()),
        ("double_data", proto.double_data.len()),
        ("uint64_data", proto.uint64_data.len()),
        ("string_data", proto.string_data.len()),
    ];
    all.iter().filter(|f| f.1 > 0).map(|f| f.0).collect()
}

fn self_stored(path: &Path, dtype: DType, shape: Vec<u64>, entry: &str, alone: bool) -> Why<Constant> {
    let (offset, len) = entry.split_once(',').ok_or("external_data: not understood")?;
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("external_data: {text:?} is no number"));
    if !alone {
        return Err("raw_data: the tensor has data in two fields".into());
    }
    let stored = Stored::new(dtype, shape, path.into(), number(offset)?, Some(number(len)?));
    stored.map(Constant::Stored).map_err(|e| format!("raw_data: {e}"))
}

fn outside(path: &Path, dtype: DType, shape: Vec<u64>, proto: &TensorProto) -> Why<Constant> {
    let (mut location, mut offset, mut len) = (None, 0, None);
    for entry in &proto.external_data {
        let number =
            || entry.value.parse::<u64>().map_err(|_| format!("{} {:?} is no whole number", entry.key, entry.value));
        match entry.key.as_str() {
            "location" if location.is_none() => location = Some(entry.value.as_str()),
            "offset" => offset = number()?,
            "length" => len = Some(number()?),
            "checksum" => {}
            other => return Err(format!("entry {other:?} is not known or comes twice")),
        }
    }
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = external(dir, location.ok_or("location is missing")?)?;
    Stored::new(dtype, shape, file.into(), offset, len).map(Constant::Stored)
}

fn here(dtype: DType, shape: &[u64], bytes: u64, proto: &TensorProto) -> Why<Tensor> {
    let extents: Vec<usize> = shape.iter().map(|n| *n as usize).collect();
    if !proto.raw_data.is_empty() || bytes == 0 {
        if proto.raw_data.len() as u64 != bytes {
            let have = proto.raw_data.len();
            return Err(format!(
                "raw_data: dims {shape:?} of {dtype:?} are {bytes} bytes, {have} are given; export again"
            ));
        }
        return Tensor::new(dtype, extents, dtype.decode(&proto.raw_data));
    }
    let (field, data) = typed(dtype, proto);
    let have = match &data {
        Data::Real(v) => v.len(),
        Data::Whole(v) => v.len(),
    } as u64;
    if have != bytes / dtype.bytes() {
        return Err(format!(
            "{field}: dims {shape:?} need {} elements, {have} are given; export again",
            bytes / dtype.bytes()
        ));
    }
    let out_of_range = |n: &&i128| !(dtype.range().0..=dtype.range().1).contains(*n);
    if let Data::Whole(v) = &data
        && let Some(n) = v.iter().find(out_of_range)
    {
        return Err(format!("{field}: {n} is no {dtype:?}"));
    }
    Tensor::new(dtype, extents, data)
}

/// The typed field of an element type, as `onnx.proto` assigns them.
fn typed(dtype: DType, proto: &TensorProto) -> (&'static str, Data) {
    let half = |decode: fn(u16) -> f64| Data::Real(proto.int32_data.iter().map(|n| decode(*n as u16)).collect());
    match dtype {
        DType::F32 => ("float_data", Data::Real(proto.float_data.iter().map(|x| f64::from(*x)).collect())),
        DType::F64 => ("double_data", Data::Real(proto.double_data.clone())),
        DType::F16 => ("int32_data", half(|n| half::f16::from_bits(n).to_f64())),
        DType::Bf16 => ("int32_data", half(|n| half::bf16::from_bits(n).to_f64())),
        DType::I64 => ("int64_data", Data::Whole(proto.int64_data.iter().map(|n| i128::from(*n)).collect())),
        DType::U32 | DType::U64 => {
            ("uint64_data", Data::Whole(proto.uint64_data.iter().map(|n| i128::from(*n)).collect()))
        }
        _ => ("int32_data", Data::Whole(proto.int32_data.iter().map(|n| i128::from(*n)).collect())),
    }
}
