//! `mcv_options`, of which a caller may know only the first fields.

use crate::error::{Error, Result};
use crate::session::{Options, Session};
use crate::text::Sampling;
use std::ffi::c_char;

/// `mcv_options`; fields as in `mcv.h`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // the header describes the fields
pub struct McvOptions {
    pub size: usize,
    pub threads: u32,
    pub verify: u32,
    pub level: *const c_char,
    pub max_tokens: u32,
    pub sample: u32,
    pub temperature: f32,
    pub top_p: f32,
    pub repetition_penalty: f32,
    pub top_k: u32,
    pub seed: u64,
    pub units: *const c_char,
    pub cache: *const c_char,
    pub thinking: u32,
}

/// Options without pointers.
#[derive(Debug, Default)]
pub(super) struct Read {
    open: Options,
    max_tokens: Option<usize>,
    sampling: Option<Sampling>,
    thinking: bool,
}

/// Reads as many bytes as the caller's structure has; the rest is zero.
pub(super) unsafe fn read(options: *const McvOptions) -> Result<Read> {
    if options.is_null() {
        return Ok(Read::default());
    }
    // SAFETY: `size` is the first field of every version.
    let size = unsafe { options.cast::<usize>().read() };
    let least = std::mem::offset_of!(McvOptions, level);
    if size < least {
        return Err(Error::Input(format!("mcv_options: size is {size}; set it to sizeof(mcv_options)")));
    }
    // SAFETY: all fields may be zero bytes; the copy stays within both structures.
    let known = unsafe {
        let mut known = std::mem::zeroed::<McvOptions>();
        let bytes = size.min(size_of::<McvOptions>());
        std::ptr::copy_nonoverlapping(options.cast::<u8>(), (&raw mut known).cast::<u8>(), bytes);
        known
    };
    let text = |value: *const c_char, name| -> Result<Option<String>> {
        if value.is_null() { Ok(None) } else { unsafe { super::text(value, name) }.map(|t| Some(t.to_owned())) }
    };
    let units = text(known.units, "units")?.map(|list| list.split(',').map(|u| u.trim().to_owned()).collect());
    Ok(Read {
        open: Options {
            threads: (known.threads > 0).then_some(known.threads as usize),
            level: text(known.level, "level")?,
            profile: false,
            verify: known.verify != 0,
            units,
            cache: text(known.cache, "cache")?.map(Into::into),
            ..Options::default()
        },
        max_tokens: (known.max_tokens > 0).then_some(known.max_tokens as usize),
        sampling: (known.sample != 0).then_some(Sampling {
            temperature: known.temperature,
            top_k: known.top_k,
            top_p: known.top_p,
            repetition_penalty: known.repetition_penalty,
            seed: known.seed,
        }),
        thinking: known.thinking != 0,
    })
}

impl Read {
    /// Opens a session with these options.
    pub(super) fn open(&self, path: &str) -> Result<Session> {
        let mut session = Session::open(path, &self.open)?;
        if let Some(tokens) = self.max_tokens {
            session.set_max_tokens(tokens);
        }
        if let Some(sampling) = self.sampling {
            session.set_sampling(sampling)?;
        }
        session.set_thinking(self.thinking)?;
        Ok(session)
    }
}
