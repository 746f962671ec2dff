//! What can be wrong with a picture or with the policy that prepares it.

use super::{MAX_PIXELS, MAX_SIDE};

/// Why a picture could not be prepared. Every message names the picture or the field and what to do about it.
#[derive(Debug, Clone, PartialEq)]
pub enum ImageError {
    /// The bytes are no picture file this runtime reads.
    Format {
        /// The picture's name as the caller gave it.
        name: String,
        /// What the bytes look like instead.
        found: String,
    },
    /// The file is truncated or damaged.
    Damaged {
        /// The picture's name as the caller gave it.
        name: String,
        /// The decoder's own words.
        reason: String,
    },
    /// A side is zero or above [`MAX_SIDE`], or the area is above [`MAX_PIXELS`].
    Size {
        /// The picture's name as the caller gave it.
        name: String,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A buffer's length is not what its dimensions ask for.
    Length {
        /// Which buffer.
        what: &'static str,
        /// Elements needed.
        needed: usize,
        /// Elements given.
        given: usize,
    },
    /// A policy without slicing takes pictures as they are, and this one is not a whole number of patches.
    NotWholePatches {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Side of a patch in pixels.
        patch: u32,
    },
    /// A field of the policy is out of range.
    Policy {
        /// The field's name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
}

impl std::fmt::Display for ImageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Format { name, found } => {
                write!(f, "{name}: {found}; give a PNG, JPEG, WebP, BMP or GIF file (convert other formats first)")
            }
            Self::Damaged { name, reason } => {
                write!(f, "{name}: the picture is truncated or damaged ({reason}); copy or save it again")
            }
            Self::Size { name, width, height } => write!(
                f,
                "{name}: {width} x {height} pixels; width and height must be 1 to {MAX_SIDE} \
                 and their product at most {MAX_PIXELS}: scale or crop the picture first"
            ),
            Self::Length { what, needed, given } => {
                write!(f, "{what}: {given} elements given, {needed} needed; check width, height and buffer length")
            }
            Self::NotWholePatches { width, height, patch } => write!(
                f,
                "picture of {width} x {height} pixels: this model does not resize pictures (slice_mode is off), so \
                 width and height must be multiples of {patch}: resize the picture first"
            ),
            Self::Policy { field, value, allowed } => write!(
                f,
                "image policy: {field} is {value}, must be {allowed}; compile the artifact again from an intact \
                 preprocessor_config.json"
            ),
        }
    }
}

impl std::error::Error for ImageError {}
