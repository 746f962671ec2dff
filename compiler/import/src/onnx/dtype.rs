//! Element types of ONNX tensors that are understood, and how numbers are rounded to them.

use half::{bf16, f16};

/// An element type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum DType {
    F32,
    F64,
    F16,
    Bf16,
    I8,
    I16,
    I32,
    I64,
    U8,
    U16,
    U32,
    U64,
    Bool,
}

impl DType {
    /// From `TensorProto.DataType`.
    ///
    /// # Errors
    /// The name of a type that is not understood.
    pub fn from_onnx(number: i32) -> Result<DType, String> {
        use DType::*;
        Ok(match number {
            1 => F32,
            2 => U8,
            3 => I8,
            4 => U16,
            5 => I16,
            6 => I32,
            7 => I64,
            9 => Bool,
            10 => F16,
            11 => F64,
            12 => U32,
            13 => U64,
            16 => Bf16,
            other => {
                let name = ["UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128"];
                let at = [0, 8, 14, 15].iter().position(|n| *n == other);
                let name = at.map_or("an 8, 4 or 2 bit type or not known", |i| name[i]);
                return Err(format!(
                    "element type {other} ({name}) is not supported; export floats, whole numbers or booleans"
                ));
            }
        })
    }

    /// As `TensorProto.DataType`.
    pub fn onnx(self) -> i64 {
        (1..=16).find(|n| DType::from_onnx(*n) == Ok(self)).map_or(0, i64::from)
    }

    /// Bytes of an element.
    pub fn bytes(self) -> u64 {
        use DType::*;
        match self {
            Bool | I8 | U8 => 1,
            F16 | Bf16 | I16 | U16 => 2,
            F32 | I32 | U32 => 4,
            F64 | I64 | U64 => 8,
        }
    }

    /// Whether it is a floating point type.
    pub fn is_real(self) -> bool {
        matches!(self, DType::F32 | DType::F64 | DType::F16 | DType::Bf16)
    }

    /// Least and greatest whole number.
    pub fn range(self) -> (i128, i128) {
        use DType::*;
        match self {
            Bool => (0, 1),
            U8 | U16 | U32 | U64 => (0, (1 << (8 * self.bytes())) - 1),
            _ => (-(1 << (8 * self.bytes() - 1)), (1 << (8 * self.bytes() - 1)) - 1),
        }
    }

    /// The nearest number of a floating point type.
    pub fn round(self, x: f64) -> f64 {
        match self {
            DType::F32 => f64::from(x as f32),
            DType::F16 => f16::from_f64(x).to_f64(),
            DType::Bf16 => bf16::from_f64(x).to_f64(),
            _ => x,
        }
    }

    /// A whole number in two's complement of the type's width.
    pub fn wrap(self, n: i128) -> i128 {
        let (least, greatest) = self.range();
        if (least..=greatest).contains(&n) { n } else { (n - least).rem_euclid(greatest - least + 1) + least }
    }

    /// Elements of little-endian bytes; booleans other than 0 and 1 count as 1.
    pub fn decode(self, bytes: &[u8]) -> super::tensor::Data {
        use super::tensor::Data::{Real, Whole};
        fn each<const N: usize, T>(bytes: &[u8], f: impl Fn([u8; N]) -> T) -> Vec<T> {
            bytes.as_chunks::<N>().0.iter().map(|c| f(*c)).collect()
        }
        match self {
            DType::F32 => Real(each(bytes, |c| f64::from(f32::from_le_bytes(c)))),
            DType::F64 => Real(each(bytes, f64::from_le_bytes)),
            DType::F16 => Real(each(bytes, |c| f16::from_le_bytes(c).to_f64())),
            DType::Bf16 => Real(each(bytes, |c| bf16::from_le_bytes(c).to_f64())),
            DType::I8 => Whole(each(bytes, |c| i8::from_le_bytes(c).into())),
            DType::I16 => Whole(each(bytes, |c| i16::from_le_bytes(c).into())),
            DType::I32 => Whole(each(bytes, |c| i32::from_le_bytes(c).into())),
            DType::I64 => Whole(each(bytes, |c| i64::from_le_bytes(c).into())),
            DType::U8 => Whole(each(bytes, |[c]: [u8; 1]| c.into())),
            DType::U16 => Whole(each(bytes, |c| u16::from_le_bytes(c).into())),
            DType::U32 => Whole(each(bytes, |c| u32::from_le_bytes(c).into())),
            DType::U64 => Whole(each(bytes, |c| u64::from_le_bytes(c).into())),
            DType::Bool => Whole(each(bytes, |[c]: [u8; 1]| (c != 0).into())),
        }
    }
}
