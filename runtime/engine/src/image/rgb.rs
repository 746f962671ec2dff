//! A picture in memory.

use super::ImageError;

/// Longest side of a picture that is accepted, in pixels.
pub const MAX_SIDE: u32 = 32_768;
/// Largest area of a picture that is accepted, in pixels.
pub const MAX_PIXELS: u64 = 100_000_000;

/// A picture: 8-bit RGB, interleaved, row-major, no padding between rows, at least one pixel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rgb {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Rgb {
    /// Copies `width * height * 3` bytes of interleaved RGB.
    ///
    /// # Errors
    /// [`ImageError::Size`] outside [`MAX_SIDE`] / [`MAX_PIXELS`], [`ImageError::Length`] if `data` has another length.
    pub fn from_raw(width: u32, height: u32, data: &[u8]) -> Result<Self, ImageError> {
        check_size("raw RGB picture", width, height)?;
        let needed = width as usize * height as usize * 3;
        if data.len() != needed {
            return Err(ImageError::Length { what: "raw RGB picture", needed, given: data.len() });
        }
        Ok(Self::new(width, height, data.to_vec()))
    }

    /// Keeps `data`, whose length the caller answers for. The limits on picture files do not apply:
    /// a resized picture may be longer than [`MAX_SIDE`].
    pub(super) fn new(width: u32, height: u32, data: Vec<u8>) -> Self {
        debug_assert!(!data.is_empty() && data.len() == width as usize * height as usize * 3);
        Self { width, height, data }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The `width * height * 3` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, without a copy.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }

    /// Bytes in a row.
    pub(super) fn stride(&self) -> usize {
        self.width as usize * 3
    }
}

/// Refuses pictures without pixels and pictures whose decoding alone would exhaust a phone.
pub(super) fn check_size(name: &str, width: u32, height: u32) -> Result<(), ImageError> {
    let sides = 1..=MAX_SIDE;
    let fits = sides.contains(&width) && sides.contains(&height) && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(ImageError::Size { name: name.to_owned(), width, height }) }
}
