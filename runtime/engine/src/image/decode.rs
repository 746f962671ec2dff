//! Picture files to RGB, as Pillow's `Image.open(..).convert("RGB")` sees them.
//!
//! Alpha is dropped, not composited; grey is repeated; palettes are looked up; Adobe CMYK becomes RGB; of 16-bit
//! samples the high byte is kept; of animations the first frame; EXIF orientation and colour profiles are ignored.
//! One deliberate difference: Pillow clips 16-bit *grey* at 255, which whitens nearly all of it.

use std::io::Cursor;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, guess_format};

use super::rgb::check_size;
use super::{ImageError, MAX_PIXELS, Rgb};

/// Bytes of the widest pixel a decoder may produce before conversion (RGBA, 16 bits each).
const WIDEST_PIXEL: u64 = 8;

/// Decodes PNG, JPEG, WebP, BMP or GIF bytes. The format is recognised from the bytes; `name` only appears in errors.
///
/// # Errors
/// [`ImageError::Format`], [`ImageError::Damaged`] or [`ImageError::Size`].
pub fn decode(name: &str, bytes: &[u8]) -> Result<Rgb, ImageError> {
    let format = recognise(name, bytes)?;
    let damaged = |reason: String| ImageError::Damaged { name: name.to_owned(), reason };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.no_limits();
    let mut decoder = reader.into_decoder().map_err(|e| damaged(e.to_string()))?;
    let (width, height) = decoder.dimensions();
    check_size(name, width, height)?;
    if format == ImageFormat::Jpeg && !has_end_of_image(bytes) {
        return Err(damaged("the JPEG stream stops before its end-of-image marker".to_owned()));
    }
    decoder.set_limits(limits()).map_err(|e| damaged(e.to_string()))?;
    let picture = DynamicImage::from_decoder(decoder).map_err(|e| damaged(e.to_string()))?;
    Ok(Rgb::new(width, height, to_rgb(picture)))
}

fn recognise(name: &str, bytes: &[u8]) -> Result<ImageFormat, ImageError> {
    let refuse = |found: String| ImageError::Format { name: name.to_owned(), found };
    if bytes.is_empty() {
        return Err(refuse("the file is empty".to_owned()));
    }
    let format = guess_format(bytes).map_err(|_| refuse("not a picture format this runtime knows".to_owned()))?;
    match format.reading_enabled() {
        true => Ok(format),
        false => Err(refuse(format!("{format:?} pictures are not supported"))),
    }
}

/// Bounds what a decoder allocates. Set after the sides are checked, whose message is the better one.
fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS * WIDEST_PIXEL);
    limits
}

/// The JPEG decoder paints what is missing grey, so truncation has to be seen here: after the first scan begins,
/// `FF D9` can only be the end-of-image marker (data bytes `FF` are followed by 0).
fn has_end_of_image(bytes: &[u8]) -> bool {
    match first_scan(bytes) {
        Some(scan) => scan.windows(2).rev().any(|pair| pair == [0xFF, 0xD9]),
        None => true,
    }
}

/// The bytes from the first start-of-scan marker on, found by walking the segments before it
/// (which may embed whole thumbnails); `None` if the walk fails, which is the decoder's to report.
fn first_scan(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.get(2..)?;
    loop {
        match *rest.get(..2)? {
            [0xFF, 0xDA] => return Some(rest),
            [0xFF, 0xFF] => rest = rest.get(1..)?,
            [0xFF, _] => {
                let length = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
                rest = rest.get(2 + usize::from(length)..)?;
            }
            _ => return None,
        }
    }
}

fn to_rgb(picture: DynamicImage) -> Vec<u8> {
    match picture {
        DynamicImage::ImageRgb8(p) => p.into_raw(),
        DynamicImage::ImageRgba8(p) => colour(&p.into_raw(), 4, |v| v),
        DynamicImage::ImageRgb16(p) => colour(&p.into_raw(), 3, high_byte),
        DynamicImage::ImageRgba16(p) => colour(&p.into_raw(), 4, high_byte),
        DynamicImage::ImageLuma8(p) => grey(&p.into_raw(), 1, |v| v),
        DynamicImage::ImageLumaA8(p) => grey(&p.into_raw(), 2, |v| v),
        DynamicImage::ImageLuma16(p) => grey(&p.into_raw(), 1, high_byte),
        DynamicImage::ImageLumaA16(p) => grey(&p.into_raw(), 2, high_byte),
        other => other.into_rgb8().into_raw(),
    }
}

fn high_byte(sample: u16) -> u8 {
    (sample >> 8) as u8
}

fn colour<T: Copy>(samples: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| [byte(pixel[0]), byte(pixel[1]), byte(pixel[2])]).collect()
}

fn grey<T: Copy>(samples: &[T], channels: usize, byte: impl Fn(T) -> u8) -> Vec<u8> {
    samples.chunks_exact(channels).flat_map(|pixel| [byte(pixel[0]); 3]).collect()
}
