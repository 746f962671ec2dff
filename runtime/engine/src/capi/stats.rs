//! `mcv_stats_t`, of which a caller may know only the first fields.

use crate::error::{Error, Result};
use crate::stats::{Finish, Stats};
use crate::status::Status;

/// `mcv_stats_t`; fields as in `mcv.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header describes the fields
pub struct McvStats {
    pub size: usize,
    pub load_seconds: f64,
    pub image_seconds: f64,
    pub vision_seconds: f64,
    pub prefill_seconds: f64,
    pub decode_seconds: f64,
    pub first_token_seconds: f64,
    pub threads: u32,
    pub slices: u32,
    pub patches: u32,
    pub prefill_tokens: u32,
    pub decode_tokens: u32,
    pub answer_tokens: u32,
    pub context_tokens: u32,
    pub finish: u32,
    pub vision_mapped: u64,
    pub language_mapped: u64,
    pub peak_resident: u64,
}

/// Writes as many bytes as the caller's structure has, its `size` left as it is.
pub(super) unsafe fn write(stats: &Stats, out: *mut McvStats) -> Result<()> {
    if out.is_null() {
        return Err(super::null("stats"));
    }
    // SAFETY: `size` is the first field of every version.
    let size = unsafe { out.cast::<usize>().read() };
    if size < size_of::<usize>() {
        return Err(Error::Input(format!("mcv_stats_t: size is {size}; set it to sizeof(mcv_stats_t)")));
    }
    let filled = fill(stats, size);
    let bytes = size.min(size_of::<McvStats>());
    // SAFETY: the copy stays within both structures.
    unsafe { std::ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), out.cast::<u8>(), bytes) };
    Ok(())
}

fn fill(stats: &Stats, size: usize) -> McvStats {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    McvStats {
        size,
        load_seconds: stats.load_seconds,
        image_seconds: stats.image_seconds,
        vision_seconds: stats.vision_seconds,
        prefill_seconds: stats.prefill_seconds,
        decode_seconds: stats.decode_seconds,
        first_token_seconds: stats.first_token_seconds.unwrap_or(0.0),
        threads: count(stats.threads),
        slices: count(stats.slices),
        patches: count(stats.patches),
        prefill_tokens: count(stats.prefill_tokens),
        decode_tokens: count(stats.decode_tokens),
        answer_tokens: count(stats.answer_tokens),
        context_tokens: count(stats.context_tokens),
        finish: match stats.finish {
            None => 0,
            Some(Finish::Stop) => 1,
            Some(Finish::Length) => 2,
            Some(Finish::ContextFull) => 3,
            Some(Finish::Cancelled) => 4,
        },
        vision_mapped: stats.vision.map_or(0, |m| m.mapped),
        language_mapped: stats.prefill.map_or(0, |m| m.mapped),
        peak_resident: Status::now().peak,
    }
}
