//! How an artifact wants pictures prepared, and what that can cost at most.

use super::{ImageError, MAX_PIXELS, MAX_SIDE};

/// The image policy of a model (its `slice_config` and `preprocessor_config.json`).
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Most slices next to the overview (`max_slice_nums`); 0 and 1 mean that pictures are never cut.
    pub max_slices: u32,
    /// Side of the square, in pixels, whose area a slice approximates (`scale_resolution`).
    pub scale_resolution: u32,
    /// Side of a patch in pixels (`patch_size`).
    pub patch: u32,
    /// Off: the picture is one slice and is not resized (`slice_mode`).
    pub slice_mode: bool,
    /// Patches along a side that become one vector: slices are whole multiples of it. 1 where there is a resampler.
    pub unit: u32,
    /// Side of the square that every picture is resized to, in pixels (1.0's `image_size`); 0: as the fields above say.
    pub square: u32,
    /// Subtracted from red, green and blue in 0..1 (`norm_mean`).
    pub mean: [f32; 3],
    /// Divides red, green and blue after that (`norm_std`).
    pub std: [f32; 3],
}

impl Policy {
    /// Largest [`Policy::max_slices`] accepted.
    pub const MOST_SLICES: u32 = 64;
    /// Largest [`Policy::scale_resolution`] accepted, in pixels.
    pub const MOST_RESOLUTION: u32 = 4096;
    /// Largest [`Policy::patch`] accepted, in pixels.
    pub const MOST_PATCH: u32 = 256;

    /// Checks every field; [`super::plan`], [`super::slices`] and [`super::patchify`] do so themselves.
    ///
    /// # Errors
    /// [`ImageError::Policy`], naming the first field that is out of range.
    pub fn check(&self) -> Result<(), ImageError> {
        let Self { max_slices, scale_resolution, patch, square, .. } = *self;
        let numbers = [
            ("max_slices", max_slices, 0..=Self::MOST_SLICES, "0 to 64"),
            ("scale_resolution", scale_resolution, 1..=Self::MOST_RESOLUTION, "1 to 4096"),
            ("patch", patch, 1..=Self::MOST_PATCH, "1 to 256"),
            ("square", square, 0..=Self::MOST_RESOLUTION, "0 to 4096"),
        ];
        for (field, value, range, allowed) in numbers {
            if !range.contains(&value) {
                return Err(ImageError::Policy { field, value: value.to_string(), allowed });
            }
        }
        if ![1, 2, 4].contains(&self.unit) {
            return Err(ImageError::Policy { field: "unit", value: self.unit.to_string(), allowed: "1, 2 or 4" });
        }
        if !square.is_multiple_of(patch) {
            let allowed = "a multiple of patch";
            return Err(ImageError::Policy { field: "square", value: square.to_string(), allowed });
        }
        check_channels("mean", self.mean, "three finite numbers", f32::is_finite)?;
        check_channels("std", self.std, "three normal positive numbers", |v| v.is_normal() && v > 0.0)
    }

    /// Pixels that a slice's sides are multiples of.
    pub fn step(&self) -> u32 {
        self.patch * self.unit
    }

    /// Vectors of a slice of so many patches; `queries` are those of a resampler.
    pub fn vectors(&self, patches: usize, queries: usize) -> usize {
        if self.unit > 1 { patches / (self.unit as usize).pow(2) } else { queries }
    }

    /// Most slices a picture can become, the overview included.
    pub fn max_slices_total(&self) -> u32 {
        match self.slice_mode && self.square == 0 && self.max_slices > 1 {
            true => 1 + self.max_slices,
            false => 1,
        }
    }

    /// Most patches in any slice of any picture within [`MAX_SIDE`] and [`MAX_PIXELS`].
    ///
    /// With slicing off the picture's area decides. With slicing on extreme pictures do: 4779 for S = 448, P = 14
    /// is reached at about 22000 : 1. To plan less memory, take [`Policy::max_patches_within`] and refuse pictures
    /// whose [`super::Layout::max_patches`] is above it.
    pub fn max_patches(&self) -> u32 {
        self.max_patches_within(MAX_SIDE)
    }

    /// As [`Policy::max_patches`], but only for slices at most `aspect` times longer than wide or wider than long.
    ///
    /// A slice of target ratio r has h = int(S / sqrt(r)) and w = int(h * r) pixels before both are rounded to
    /// patches. S / sqrt(r) >= h gives r <= (S / h)^2, so w <= min(S^2 / h, h * aspect); patch counts grow with
    /// w and h; hence the maximum over all h is a bound (1 is added to w for rounding in double precision).
    /// Cells of the cut picture have whole-pixel sides, so their ratios are within [`MAX_SIDE`] as well.
    pub fn max_patches_within(&self, aspect: u32) -> u32 {
        let (patch, unit) = (u64::from(self.patch.max(1)), u64::from(self.unit.max(1)));
        if self.square > 0 {
            return saturate((u64::from(self.square) / patch).pow(2));
        }
        if !self.slice_mode {
            return saturate(MAX_PIXELS / (patch * patch));
        }
        let side = u64::from(self.scale_resolution.min(Self::MOST_RESOLUTION));
        let aspect = u64::from(aspect.clamp(1, MAX_SIDE));
        let tallest = (side * side * aspect).isqrt() + 1;
        let widest = |h: u64| 1 + (side * side / h).min(h * aspect);
        let along = |side: u64| patches_along(side, patch * unit) * unit;
        let most = (1..=tallest).map(|h| along(h) * along(widest(h))).max();
        saturate(most.unwrap_or(1))
    }
}

/// Patches along a side: round to nearest (up at ties: this is a bound), at least one.
fn patches_along(side: u64, patch: u64) -> u64 {
    ((2 * side + patch) / (2 * patch)).max(1)
}

fn saturate(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn check_channels(
    field: &'static str,
    values: [f32; 3],
    allowed: &'static str,
    fine: impl Fn(f32) -> bool,
) -> Result<(), ImageError> {
    match values.into_iter().all(fine) {
        true => Ok(()),
        false => Err(ImageError::Policy { field, value: format!("{values:?}"), allowed }),
    }
}
