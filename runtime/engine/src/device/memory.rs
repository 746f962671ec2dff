//! Memory the runtime owns: arena and states. Anonymous, page-aligned, touched only where used.

use crate::error::{Error, Result};

/// Zeroed anonymous memory; pages count only once they are written.
pub struct Block {
    map: memmap2::MmapMut,
}

impl Block {
    /// `bytes` of zeros (at least one page).
    pub fn new(bytes: u64, what: &str) -> Result<Self> {
        let failed = |e: String| Error::Device(format!("no memory for {what} ({bytes} bytes): {e}"));
        let len = usize::try_from(bytes.max(1)).map_err(|e| failed(e.to_string()))?;
        let map = memmap2::MmapMut::map_anon(len).map_err(|e| failed(e.to_string()))?;
        Ok(Block { map })
    }

    /// First byte. Kernels write through it; the plan's verifier guarantees that places don't collide.
    pub fn base(&self) -> *mut u8 {
        self.map.as_ptr().cast_mut()
    }

    /// Its length.
    pub fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Whether it has no bytes (never: at least one page).
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Rows of 4-byte values at `offset`.
    pub fn slice_mut<T: Plain>(&mut self, offset: u64, count: usize) -> Result<&mut [T]> {
        let end = offset + (count * 4) as u64;
        let bytes = self.map.get_mut(offset as usize..end as usize);
        let bytes = bytes.ok_or_else(|| Error::Bug(format!("bytes {offset}..{end} lie outside the arena")))?;
        // SAFETY: T is f32 or i32, valid for any bits; `align_to_mut` yields the aligned middle only.
        let (head, middle, _) = unsafe { bytes.align_to_mut::<T>() };
        match head.is_empty() && middle.len() == count {
            true => Ok(middle),
            false => Err(Error::Bug(format!("offset {offset} is not aligned"))),
        }
    }

    /// Rows of 4-byte values at `offset`, read only.
    pub fn slice<T: Plain>(&mut self, offset: u64, count: usize) -> Result<&[T]> {
        Ok(self.slice_mut(offset, count)?)
    }
}

/// 4-byte values that are valid for any bits.
pub trait Plain: Copy {}
impl Plain for f32 {}
impl Plain for i32 {}
