//! 4-bit integers whose inputs share scales and zero points in groups, transposed and packed into 32-bit words:
//! what GPTQ and AWQ have in common.

use super::pieces::Pieces;
use super::{Packed, Plain, Weight};
use crate::checkpoint::{Form, Shards, to_f32};
use crate::error::Result;
use crate::safetensors::TensorEntry;
use half::f16;
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;

/// The artifact's grid: 16 steps around zero, an f16 scale for 32 neighbours.
const GRID: Elem = Elem::Q4 { group: GRID_GROUP as u16 };
const GRID_GROUP: usize = 32;
/// The zero point of that grid.
const MIDDLE: u8 = 8;

/// Nibble of each of eight neighbours in a word.
pub type Order = [u8; 8];
/// The first neighbour in the lowest nibble.
pub const STRAIGHT: Order = [0, 1, 2, 3, 4, 5, 6, 7];

/// Which eight neighbours share a word of `qweight`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Along {
    /// Inputs of one output: `[K/8, N]`.
    Inputs,
    /// Outputs of one input: `[K, N/8]`.
    Outputs,
}

/// The tensors of one weight, their shapes checked against each other.
#[derive(Debug)]
pub struct Parts {
    /// Inputs, K.
    pub inputs: u64,
    /// Outputs, N: a multiple of 8.
    pub outputs: u64,
    /// Groups of inputs, G.
    pub groups: u64,
    along: Along,
    codes: TensorEntry,
    zeros: TensorEntry,
    scales: TensorEntry,
}

impl Parts {
    /// Takes `qzeros` and `scales` of a weight whose `qweight` is `codes`.
    pub fn take(pieces: &mut Pieces, stem: &str, codes: TensorEntry, along: Along) -> Result<Parts> {
        let zeros = pieces.take_beside(&codes, &format!("{stem}.qzeros"))?;
        let scales = pieces.take_beside(&codes, &format!("{stem}.scales"))?;
        let extents = match (along, &codes.shape[..]) {
            (Along::Inputs, &[words, outputs]) => words.checked_mul(8).map(|inputs| (inputs, outputs)),
            (Along::Outputs, &[inputs, words]) => words.checked_mul(8).map(|outputs| (inputs, outputs)),
            _ => None,
        };
        let extents = extents.filter(|(k, n)| *k > 0 && *n > 0 && n % 8 == 0);
        let Some((inputs, outputs)) = extents else {
            let why = format!("has shape {:?}, expected a matrix of 8 integers a word", codes.shape);
            return Err(pieces.fault(&codes, why));
        };
        pieces.expect(&codes, &["I32"], &codes.shape)?;
        let groups = scales.shape.first().copied().unwrap_or(0);
        pieces.expect(&scales, &["F16", "BF16", "F32"], &[groups, outputs])?;
        pieces.expect(&zeros, &["I32"], &[groups, outputs / 8])?;
        Ok(Parts { inputs, outputs, groups, along, codes, zeros, scales })
    }
}

/// The group of each input.
#[derive(Debug)]
pub enum Groups {
    /// So many neighbours at a time.
    Every(usize),
    /// One by one.
    Listed(Vec<u32>),
}

impl Groups {
    /// Neighbours share a group; `size` inputs do, or all.
    ///
    /// # Errors
    /// `scales` has more or fewer groups.
    pub fn every(pieces: &Pieces, parts: &Parts, size: Option<u32>) -> Result<Groups> {
        let size = size.map_or(parts.inputs, u64::from);
        let expected = parts.inputs.div_ceil(size);
        if parts.groups != expected {
            let why = format!(
                "has {} groups, but group_size {size} of {} inputs implies {expected}",
                parts.groups, parts.inputs
            );
            return Err(pieces.fault(&parts.scales, why));
        }
        Ok(Groups::Every(size as usize))
    }

    /// The group of each input, in the shorter form where there is one.
    pub fn listed(groups: Vec<u32>) -> Groups {
        let size = groups.iter().take_while(|g| **g == 0).count().max(1);
        match groups.iter().enumerate().all(|(k, g)| k / size == *g as usize) {
            true => Groups::Every(size),
            false => Groups::Listed(groups),
        }
    }

    fn of(&self, input: usize) -> usize {
        match self {
            Groups::Every(size) => input / size,
            Groups::Listed(groups) => groups[input] as usize,
        }
    }

    /// Why they are no groups of the artifact's grid.
    fn obstacle(&self, inputs: usize) -> Option<&'static str> {
        match self {
            Groups::Every(size) if size % GRID_GROUP == 0 || *size >= inputs => None,
            Groups::Every(_) => Some("groups that are no multiple of 32 inputs"),
            Groups::Listed(groups) => {
                let same = groups.chunks(GRID_GROUP).all(|run| run.iter().all(|g| *g == run[0]));
                if same { None } else { Some("act-order: neighbouring inputs have different scales") }
            }
        }
    }
}

/// A weight of that kind.
#[derive(Debug)]
pub struct Grouped {
    parts: Parts,
    groups: Groups,
    /// Of neighbouring outputs in a word.
    order: Order,
    /// What a stored zero point lacks.
    missing: u8,
    form: Form,
}

impl Grouped {
    /// Reads zero points, and scales that are not f16, to see whether the weight is on the artifact's grid.
    pub fn new(pieces: &Pieces, parts: Parts, groups: Groups, order: Order, missing: u8) -> Result<Grouped> {
        let middle = (MIDDLE - missing) * 0x11;
        let symmetric = pieces.bytes(&parts.zeros)?.iter().all(|byte| *byte == middle);
        let obstacle = match symmetric {
            false => Some("zero points that are not in the middle"),
            true if !halves(pieces, &parts.scales)? => Some("scales that f16 can't hold"),
            true => groups.obstacle(parts.inputs as usize),
        };
        let form = obstacle.map_or(Form::Rounded(GRID), Form::Other);
        Ok(Grouped { parts, groups, order, missing, form })
    }

    /// As the weight of that name.
    pub fn named(self, name: String) -> Weight {
        let shape = [self.parts.outputs, self.parts.inputs];
        let parts = [&self.parts.codes, &self.parts.zeros, &self.parts.scales].map(TensorEntry::clone);
        Weight::new(name, shape, &parts, Box::new(self))
    }

    /// Rows `begin..end`.
    fn block(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Block> {
        let Parts { inputs, outputs, groups, along, codes, zeros, scales } = &self.parts;
        let (rows, words) = ((end - begin) as usize, begin / 8 * 4..end.div_ceil(8) * 4);
        let first = (begin % 8) as usize;
        let across = |bytes: Vec<u8>, columns: u64| self.across(&bytes, columns as usize, first, rows);
        let codes = match along {
            Along::Inputs => {
                let bytes = shards.strip(codes, outputs * 4, begin * 4..end * 4)?;
                along_inputs(&bytes, *inputs as usize, rows)
            }
            Along::Outputs => across(shards.strip(codes, outputs / 2, words.clone())?, *inputs),
        };
        let mut zeros = across(shards.strip(zeros, outputs / 2, words)?, *groups);
        zeros.iter_mut().for_each(|z| *z = (*z + self.missing) & 15);
        let size = scales.len / (groups * outputs);
        let bytes = shards.strip(scales, outputs * size, begin * size..end * size)?;
        let scales = turned(&to_f32(scales.elem()?, &bytes), rows);
        Ok(Block { codes, zeros, scales })
    }

    /// `[columns, words]` of which the eight nibbles of a word are neighbouring outputs, as `[rows, columns]` from
    /// output `first` on.
    fn across(&self, bytes: &[u8], columns: usize, first: usize, rows: usize) -> Vec<u8> {
        let width = bytes.len() / columns.max(1);
        let mut out = vec![0; rows * columns];
        for (column, words) in bytes.chunks_exact(width.max(1)).enumerate() {
            for row in 0..rows {
                let output = first + row;
                let nibble = self.order[output % 8];
                let byte = words[output / 8 * 4 + usize::from(nibble / 2)];
                out[row * columns + column] = byte >> (4 * (nibble % 2)) & 15;
            }
        }
        out
    }
}

/// Whether f16 holds every scale as it is.
fn halves(pieces: &Pieces, scales: &TensorEntry) -> Result<bool> {
    let elem = scales.elem().map_err(|why| pieces.fault(scales, why))?;
    let fits = |scale: &f32| f16::from_f32(*scale).to_f32() == *scale;
    Ok(elem == Elem::F16 || to_f32(elem, &pieces.bytes(scales)?).iter().all(fits))
}

/// Some outputs of a weight: integers `[rows, inputs]`, zero points and scales `[rows, groups]`.
struct Block {
    codes: Vec<u8>,
    zeros: Vec<u8>,
    scales: Vec<f32>,
}

/// `[K/8, rows]` words whose nibbles are neighbouring inputs, as `[rows, K]`.
fn along_inputs(bytes: &[u8], inputs: usize, rows: usize) -> Vec<u8> {
    let mut out = vec![0; rows * inputs];
    let (words, _) = bytes.as_chunks::<4>();
    for (i, word) in words.iter().enumerate() {
        let begin = i % rows * inputs + i / rows * 8;
        let pairs = out[begin..begin + 8].as_chunks_mut::<2>().0;
        pairs.iter_mut().zip(word).for_each(|(pair, byte)| *pair = [byte & 15, byte >> 4]);
    }
    out
}

/// `[columns, rows]` as `[rows, columns]`.
fn turned(values: &[f32], rows: usize) -> Vec<f32> {
    (0..rows).flat_map(|row| values.iter().skip(row).step_by(rows).copied()).collect()
}

impl Packed for Grouped {
    fn read(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Vec<f32>> {
        let Block { codes, zeros, scales } = self.block(shards, begin, end)?;
        let (inputs, groups) = (self.parts.inputs as usize, self.parts.groups as usize);
        let mut out = Vec::with_capacity(codes.len());
        let of_row = zeros.chunks_exact(groups).zip(scales.chunks_exact(groups));
        for (row, (zeros, scales)) in codes.chunks_exact(inputs).zip(of_row) {
            out.extend(row.iter().enumerate().map(|(k, code)| {
                let g = self.groups.of(k);
                f32::from(*code as i8 - zeros[g] as i8) * scales[g]
            }));
        }
        Ok(out)
    }

    fn form(&self) -> Form {
        self.form
    }

    fn rounded(&self, shards: &Shards, begin: u64, end: u64) -> Plain<Option<Rounded>> {
        if self.form != Form::Rounded(GRID) {
            return Ok(None);
        }
        let Block { codes, scales, .. } = self.block(shards, begin, end)?;
        let integers = codes.into_iter().map(|code| code as i8 - MIDDLE as i8).collect();
        let inputs = self.parts.inputs as usize;
        let of_row = |scales: &[f32]| -> Vec<f16> {
            (0..inputs).step_by(GRID_GROUP).map(|k| f16::from_f32(scales[self.groups.of(k)])).collect()
        };
        let scales = scales.chunks_exact(self.parts.groups as usize).flat_map(of_row).collect();
        Ok(Some(Rounded { elem: GRID, integers, scales }))
    }
}
