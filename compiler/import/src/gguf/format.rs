//! Element formats of GGUF tensors: their numbers in the file, the size of their blocks. Source: llama.cpp's `ggml.h`
//! and `ggml-common.h`.

use super::{blocks, superblocks};
use half::{bf16, f16};

/// How the numbers of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, non_camel_case_types)]
pub enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    Iq4Nl,
    Iq4Xs,
}

/// Format, number in the file, name, values per block, bytes per block.
const TABLE: [(Format, u32, &str, u64, u64); 15] = [
    (Format::F32, 0, "F32", 1, 4),
    (Format::F16, 1, "F16", 1, 2),
    (Format::Bf16, 30, "BF16", 1, 2),
    (Format::Q4_0, 2, "Q4_0", 32, 18),
    (Format::Q4_1, 3, "Q4_1", 32, 20),
    (Format::Q5_0, 6, "Q5_0", 32, 22),
    (Format::Q5_1, 7, "Q5_1", 32, 24),
    (Format::Q8_0, 8, "Q8_0", 32, 34),
    (Format::Q2_K, 10, "Q2_K", 256, 84),
    (Format::Q3_K, 11, "Q3_K", 256, 110),
    (Format::Q4_K, 12, "Q4_K", 256, 144),
    (Format::Q5_K, 13, "Q5_K", 256, 176),
    (Format::Q6_K, 14, "Q6_K", 256, 210),
    (Format::Iq4Nl, 20, "IQ4_NL", 32, 18),
    (Format::Iq4Xs, 23, "IQ4_XS", 256, 136),
];

/// Formats that exist but are not read.
const OTHERS: [(u32, &str); 18] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

impl Format {
    /// The format with that number.
    ///
    /// # Errors
    /// Unknown, or known and not read; says which are.
    pub fn of(code: u32) -> Result<Format, String> {
        if let Some(row) = TABLE.iter().find(|row| row.1 == code) {
            return Ok(row.0);
        }
        let readable: Vec<&str> = TABLE.iter().map(|row| row.2).collect();
        let readable = readable.join(", ");
        match OTHERS.iter().find(|(other, _)| *other == code) {
            Some((_, name)) => Err(format!("{name} is not read; convert the model to one of {readable}")),
            None => Err(format!("{code} is not known; known: {readable}")),
        }
    }

    fn row(self) -> (Format, u32, &'static str, u64, u64) {
        TABLE.iter().find(|row| row.0 == self).copied().unwrap_or(TABLE[0])
    }

    /// Its name in llama.cpp.
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Values per block; a row has whole blocks.
    pub fn block(self) -> u64 {
        self.row().3
    }

    /// Bytes per block.
    pub fn block_bytes(self) -> u64 {
        self.row().4
    }

    /// The values of whole blocks.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let pair = |c: &[u8]| [c[0], c[1]];
        match self {
            Format::F32 => bytes.as_chunks::<4>().0.iter().map(|c| f32::from_le_bytes(*c)).collect(),
            Format::F16 => bytes.chunks_exact(2).map(|c| f16::from_le_bytes(pair(c)).to_f32()).collect(),
            Format::Bf16 => bytes.chunks_exact(2).map(|c| bf16::from_le_bytes(pair(c)).to_f32()).collect(),
            Format::Q4_0 => self.blocks(bytes, blocks::q4_0),
            Format::Q4_1 => self.blocks(bytes, blocks::q4_1),
            Format::Q5_0 => self.blocks(bytes, blocks::q5_0),
            Format::Q5_1 => self.blocks(bytes, blocks::q5_1),
            Format::Q8_0 => self.blocks(bytes, blocks::q8_0),
            Format::Iq4Nl => self.blocks(bytes, blocks::iq4_nl),
            Format::Q2_K => self.blocks(bytes, superblocks::q2),
            Format::Q3_K => self.blocks(bytes, superblocks::q3),
            Format::Q4_K => self.blocks(bytes, superblocks::q4),
            Format::Q5_K => self.blocks(bytes, superblocks::q5),
            Format::Q6_K => self.blocks(bytes, superblocks::q6),
            Format::Iq4Xs => self.blocks(bytes, superblocks::iq4_xs),
        }
    }

    fn blocks(self, bytes: &[u8], decode: fn(&[u8], &mut [f32])) -> Vec<f32> {
        let (block, size) = (self.block() as usize, self.block_bytes() as usize);
        let mut out = vec![0.0; bytes.len() / size * block];
        bytes.chunks_exact(size).zip(out.chunks_exact_mut(block)).for_each(|(b, o)| decode(b, o));
        out
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
