//! GPTQ as AutoGPTQ and GPTQModel write it. Of a linear of K inputs and N outputs, with G groups of inputs:
//!
//! | tensor | bytes |
//! |---|---|
//! | `qweight` | int32 `[K/8, N]`: nibble `k % 8`, lowest first, of word `[k/8, n]` |
//! | `qzeros` | int32 `[G, N/8]`: nibble `n % 8` of word `[g, n/8]`, less 1 (modulo 16) but for `gptq_v2` |
//! | `scales` | float `[G, N]` |
//! | `g_idx` | int32 `[K]`: the group of each input; without it `k / group_size` |
//!
//! `w[n, k] = scales[g, n] * (q - zero)`, `g = g_idx[k]`. Source: GPTQModel, `nn_modules/qlinear/torch.py` and
//! `convert_gptq_v1_to_v2_format` in `utils/model.py`.

use super::Weight;
use super::grouped::{Along, Grouped, Groups, Parts, STRAIGHT};
use super::method::Gptq;
use super::pieces::Pieces;
use crate::error::Result;
use crate::safetensors::TensorEntry;

/// All weights of a directory that are kept so.
///
/// # Errors
/// A tensor that is missing, of another type or shape, or a group that does not exist.
pub fn weights(pieces: &mut Pieces, settings: Gptq) -> Result<Vec<Weight>> {
    let found = pieces.take_all(".qweight");
    found.into_iter().map(|(stem, codes)| weight(pieces, settings, &stem, codes)).collect()
}

fn weight(pieces: &mut Pieces, settings: Gptq, stem: &str, codes: TensorEntry) -> Result<Weight> {
    let index = pieces.take(&format!("{stem}.g_idx"));
    let parts = Parts::take(pieces, stem, codes, Along::Inputs)?;
    let groups = match index {
        Some(index) => listed(pieces, &index, &parts)?,
        None => Groups::every(pieces, &parts, settings.group)?,
    };
    Ok(Grouped::new(pieces, parts, groups, STRAIGHT, settings.missing)?.named(format!("{stem}.weight")))
}

/// The group of each input as `g_idx` lists it.
fn listed(pieces: &Pieces, index: &TensorEntry, parts: &Parts) -> Result<Groups> {
    pieces.expect(index, &["I32"], &[parts.inputs])?;
    let bytes = pieces.bytes(index)?;
    let (words, _) = bytes.as_chunks::<4>();
    let groups: Vec<u32> = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
    match groups.iter().position(|g| u64::from(*g) >= parts.groups) {
        None => Ok(Groups::listed(groups)),
        Some(k) => {
            let (found, count) = (groups[k] as i32, parts.groups);
            let why = format!("says group {found} for input {k}, but scales has {count} groups; the file is damaged");
            Err(pieces.fault(index, why))
        }
    }
}
