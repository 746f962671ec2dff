//! bitsandbytes as its linears save themselves. Of a linear of K inputs and N outputs with 4 bits:
//!
//! | tensor | bytes |
//! |---|---|
//! | `weight` | nibble `i` of the N K numbers, row-major, is in byte `i/2`, the even one high |
//! | `weight.quant_map` | f32 `[16]`: what a nibble means (NF4 or FP4), to be multiplied by its block's scale |
//! | `weight.absmax` | f32: the scale of each `blocksize` numbers; nested: uint8, see below |
//! | `weight.nested_absmax`, `weight.nested_quant_map` | f32: of each `nested_blocksize` scales; f32 `[256]` |
//! | `weight.quant_state.bitsandbytes__nf4` or `fp4` | JSON text: the facts above and `shape` |
//!
//! A nested scale is `nested_quant_map[absmax] * nested_absmax + nested_offset`. With 8 bits: `weight` int8 `[N, K]` and
//! `SCB` f32 `[N]`: `w = weight * SCB / 127`; a `weight_format` of 0 says that it is stored in rows.
//!
//! Source: bitsandbytes 0.50, `QuantState`, `dequantize_4bit` and `int8_vectorwise_dequant` in `functional.py`, and
//! `_save_to_state_dict` in `nn/modules.py`.

use super::pieces::Pieces;
use super::state::State;
use super::{Packed, Plain, Weight};
use crate::checkpoint::{Form, Shards, to_f32};
use crate::error::Result;
use crate::safetensors::TensorEntry;
use mcv_ir::Elem;

/// All weights of a directory that are kept so.
///
/// # Errors
/// A tensor that is missing or of another type or shape, a state that says something impossible.
pub fn weights(pieces: &mut Pieces) -> Result<Vec<Weight>> {
    let mut found = Vec::new();
    for (kind, why) in [("nf4", "NF4, whose steps are not equal"), ("fp4", "FP4, whose steps are not equal")] {
        for (name, state) in pieces.take_all(&format!(".quant_state.bitsandbytes__{kind}")) {
            found.push(four_bits(pieces, name, &state, Form::Other(why))?);
        }
    }
    for (stem, scales) in pieces.take_all(".SCB") {
        found.push(eight_bits(pieces, &stem, scales)?);
    }
    Ok(found)
}

/// A weight of nibbles.
#[derive(Debug)]
struct FourBits {
    /// Inputs, K.
    inputs: u64,
    nibbles: TensorEntry,
    table: Vec<f32>,
    scales: Scales,
    form: Form,
}

/// The scale of each `block` numbers.
#[derive(Debug)]
struct Scales {
    block: u64,
    stored: TensorEntry,
    nested: Option<Nested>,
}

/// Scales that are bytes themselves.
#[derive(Debug)]
struct Nested {
    block: u64,
    scales: Vec<f32>,
    table: Vec<f32>,
    offset: f32,
}

fn four_bits(pieces: &mut Pieces, name: String, entry: &TensorEntry, form: Form) -> Result<Weight> {
    let state = State::read(pieces, entry)?;
    let (shape, count) = state.shape()?;
    let nibbles = pieces.take_beside(entry, &name)?;
    if nibbles.len != count.div_ceil(2) {
        let (found, expected) = (nibbles.len, count.div_ceil(2));
        let why = format!("has {found} bytes, but shape {shape:?} in {} implies {expected}", entry.name);
        return Err(pieces.fault(&nibbles, why));
    }
    let map = pieces.take_beside(entry, &format!("{name}.quant_map"))?;
    let table = pieces.floats(&map, 16)?;
    let block = state.block("blocksize")?;
    let stored = pieces.take_beside(entry, &format!("{name}.absmax"))?;
    let nested = pieces.take(&format!("{name}.nested_absmax"));
    pieces.expect(&stored, &[if nested.is_some() { "U8" } else { "F32" }], &[count.div_ceil(block)])?;
    let nested = nested.map(|scales| nest(pieces, &state, &name, &stored, &scales)).transpose()?;
    let parts = [nibbles.clone(), stored.clone()];
    let packed = FourBits { inputs: shape[1], nibbles, table, scales: Scales { block, stored, nested }, form };
    Ok(Weight::new(name, shape, &parts, Box::new(packed)))
}

fn nest(pieces: &mut Pieces, state: &State, name: &str, stored: &TensorEntry, scales: &TensorEntry) -> Result<Nested> {
    let block = state.block("nested_blocksize")?;
    let map = pieces.take_beside(scales, &format!("{name}.nested_quant_map"))?;
    Ok(Nested {
        block,
        scales: pieces.floats(scales, stored.len.div_ceil(block))?,
        table: pieces.floats(&map, 256)?,
        offset: state.float("nested_offset")?,
    })
}

impl Scales {
    /// Scales of numbers `begin..end`, and the number where the first begins.
    fn read(&self, shards: &Shards, begin: u64, end: u64) -> Plain<(Vec<f32>, u64)> {
        let blocks = begin / self.block..end.div_ceil(self.block);
        let count = blocks.end.saturating_sub(blocks.start);
        let scales = match &self.nested {
            None => to_f32(Elem::F32, &shards.bytes(&self.stored, blocks.start * 4, count * 4)?),
            Some(nested) => {
                let bytes = shards.bytes(&self.stored, blocks.start, count)?;
                blocks.clone().zip(bytes).map(|(block, byte)| nested.scale(block, byte)).collect()
            }
        };
        Ok((scales, blocks.start * self.block))
    }
}

impl Nested {
    fn scale(&self, block: u64, byte: u8) -> f32 {
        self.table[usize::from(byte)] * self.scales[(block / self.block) as usize] + self.offset
    }
}

impl Packed for FourBits {
    fn read(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Vec<f32>> {
        let (begin, end) = (begin * self.inputs, end * self.inputs);
        let (scales, origin) = self.scales.read(shards, begin, end)?;
        let first = begin / 2;
        let bytes = shards.bytes(&self.nibbles, first, end.div_ceil(2) - first)?;
        let value = |i: u64| {
            let byte = bytes[(i / 2 - first) as usize];
            let nibble = if i & 1 == 0 { byte >> 4 } else { byte & 15 };
            self.table[usize::from(nibble)] * scales[((i - origin) / self.scales.block) as usize]
        };
        Ok((begin..end).map(value).collect())
    }

    fn form(&self) -> Form {
        self.form
    }
}

/// A weight of bytes.
#[derive(Debug)]
struct EightBits {
    /// Inputs, K.
    inputs: u64,
    bytes: TensorEntry,
    scales: TensorEntry,
}

fn eight_bits(pieces: &mut Pieces, stem: &str, scales: TensorEntry) -> Result<Weight> {
    let name = format!("{stem}.weight");
    let bytes = pieces.take_beside(&scales, &name)?;
    let &[outputs, inputs] = &bytes.shape[..] else {
        let why = format!("has shape {:?}, expected a matrix", bytes.shape);
        return Err(pieces.fault(&bytes, why));
    };
    pieces.expect(&bytes, &["I8"], &[outputs, inputs])?;
    pieces.expect(&scales, &["F32"], &[outputs])?;
    if let Some(format) = pieces.take(&format!("{stem}.weight_format")) {
        pieces.expect(&format, &["U8"], &[])?;
        if pieces.bytes(&format)? != [0] {
            let why = "is not 0: weights that are not stored in rows are not supported; save them again with a newer bitsandbytes";
            return Err(pieces.fault(&format, why));
        }
    }
    let parts = [bytes.clone(), scales.clone()];
    Ok(Weight::new(name, [outputs, inputs], &parts, Box::new(EightBits { inputs, bytes, scales })))
}

impl Packed for EightBits {
    fn read(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Vec<f32>> {
        let scales = to_f32(Elem::F32, &shards.bytes(&self.scales, begin * 4, (end - begin) * 4)?);
        let bytes = shards.bytes(&self.bytes, begin * self.inputs, (end - begin) * self.inputs)?;
        let rows = bytes.chunks_exact(self.inputs.max(1) as usize).zip(scales);
        Ok(rows.flat_map(|(row, scale)| row.iter().map(move |q| f32::from(*q as i8) * scale * (1.0 / 127.0))).collect())
    }

    fn form(&self) -> Form {
        Form::Other("8 bits with a scale of 32 bits a row")
    }
}
