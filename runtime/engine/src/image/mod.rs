//! From picture files to the vision phase's input rows: decode, resample, cut into slices, cut into patches.
//!
//! Every step reproduces the models' Python preprocessing bit for bit (for JPEG and lossy WebP, whose decoders
//! differ from each other by rounding, only after decoding). Nothing here knows about artifacts or devices.

mod canvas;
mod decode;
mod error;
mod order;
mod patches;
mod policy;
mod position;
mod resampled;
mod resize;
mod rgb;
mod slice;

pub use canvas::{Crop, Markers, Place, canvas_places, slots};
pub use decode::decode;
pub use error::ImageError;
pub use order::places;
pub use patches::{patchify, row_len};
pub use policy::Policy;
pub use position::{bucket_ids, nearest_ids, position_ids};
pub use resampled::position_weights;
pub use resize::resize;
pub use rgb::{MAX_PIXELS, MAX_SIDE, Rgb};
pub use slice::{Cut, Layout, Slice, Sliced, plan, slices};
