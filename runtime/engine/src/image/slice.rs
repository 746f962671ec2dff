//! Which overview and which slices a picture becomes.
//!
//! The arithmetic is that of the models' Python code, in doubles, with its rounding (`round`: half to even,
//! `int`: towards zero) and its order of candidates: another order picks another grid at ties.

use super::{ImageError, Policy, Rgb, resize};

/// Sizes of everything a picture becomes; pairs are (width, height) in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Size of the overview.
    pub overview: (u32, u32),
    /// How the picture is cut, if it is large enough.
    pub cut: Option<Cut>,
    /// Side of a patch.
    patch: u32,
}

/// How a picture is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Columns and rows.
    pub grid: (u32, u32),
    /// Size the picture is resized to before it is cut.
    pub refined: (u32, u32),
    /// Size of each slice.
    pub cell: (u32, u32),
}

impl Layout {
    /// Columns and rows of the cut, if any.
    pub fn grid(&self) -> Option<(u32, u32)> {
        self.cut.map(|cut| cut.grid)
    }

    /// Sizes in patches, (columns, rows), in the order of [`slices`].
    pub fn patch_grids(&self) -> Vec<(u32, u32)> {
        let cells = self.cut.map_or(0, |cut| cut.grid.0 * cut.grid.1) as usize;
        let cell = self.cut.map_or((0, 0), |cut| cut.cell);
        let sizes = std::iter::once(self.overview).chain(std::iter::repeat_n(cell, cells));
        sizes.map(|(width, height)| (width / self.patch, height / self.patch)).collect()
    }

    /// Patches in the largest slice: compare with what memory and position table allow.
    pub fn max_patches(&self) -> u32 {
        self.patch_grids().into_iter().map(|(cols, rows)| cols * rows).max().unwrap_or(0)
    }
}

/// A picture, prepared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sliced {
    /// Columns and rows of the cut, if any.
    pub grid: Option<(u32, u32)>,
    /// The overview, then the cut's slices row by row.
    pub slices: Vec<Slice>,
}

/// One input of the vision phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slice {
    /// Width in pixels, a multiple of the patch.
    pub width: u32,
    /// Height in pixels, a multiple of the patch.
    pub height: u32,
    /// Width in patches.
    pub cols: u32,
    /// Height in patches.
    pub rows: u32,
    /// `height * width * 3` bytes, interleaved, row-major.
    pub rgb: Vec<u8>,
}

/// Decides the sizes for a picture of `width` x `height` pixels.
///
/// # Errors
/// [`ImageError::Policy`]; [`ImageError::Size`] for sizes that [`super::decode`] refuses;
/// [`ImageError::NotWholePatches`] if slicing is off and the picture doesn't divide into patches.
pub fn plan(width: u32, height: u32, policy: &Policy) -> Result<Layout, ImageError> {
    policy.check()?;
    super::rgb::check_size("picture", width, height)?;
    let patch = policy.patch;
    if policy.square > 0 {
        return Ok(Layout { overview: (policy.square, policy.square), cut: None, patch });
    }
    if !policy.slice_mode && policy.unit == 1 {
        return match width.is_multiple_of(patch) && height.is_multiple_of(patch) {
            true => Ok(Layout { overview: (width, height), cut: None, patch }),
            false => Err(ImageError::NotWholePatches { width, height, patch }),
        };
    }
    let grid = if policy.slice_mode { choose_grid(width, height, policy) } else { None };
    let cut = grid.map(|grid| cut(width, height, grid, policy));
    let overview = best_size(f64::from(width), f64::from(height), cut.is_none(), policy);
    Ok(Layout { overview, cut, patch })
}

/// Resizes and cuts a picture.
///
/// # Errors
/// As [`plan`]; [`ImageError::Size`] if a resized picture would be absurdly large (no usual policy does that).
pub fn slices(picture: &Rgb, policy: &Policy) -> Result<Sliced, ImageError> {
    let layout = plan(picture.width(), picture.height(), policy)?;
    let overview = resize(picture, layout.overview.0, layout.overview.1)?;
    let mut slices = vec![whole(overview, policy.patch)];
    if let Some(cut) = layout.cut {
        let refined = resize(picture, cut.refined.0, cut.refined.1)?;
        let (cols, rows) = cut.grid;
        let places = (0..rows).flat_map(|y| (0..cols).map(move |x| (x, y)));
        slices.extend(places.map(|place| crop(&refined, place, cut.cell, policy.patch)));
    }
    Ok(Sliced { grid: layout.grid(), slices })
}

/// Columns and rows whose cells come closest to squares, or `None` if the picture isn't worth cutting.
fn choose_grid(width: u32, height: u32, policy: &Policy) -> Option<(u32, u32)> {
    let square = f64::from(policy.scale_resolution).powi(2);
    let (w, h) = (f64::from(width), f64::from(height));
    let multiple = ((w * h / square).ceil() as u32).min(policy.max_slices);
    if multiple <= 1 {
        return None;
    }
    let log_ratio = (w / h).ln();
    let mut best = ((1, 1), f64::INFINITY);
    for count in (multiple - 1..=multiple + 1).filter(|&n| n != 1 && n <= policy.max_slices) {
        for cols in (1..=count).filter(|cols| count % cols == 0) {
            let grid = (cols, count / cols);
            let error = (log_ratio - (f64::from(grid.0) / f64::from(grid.1)).ln()).abs();
            // 4.6 takes more rows of two grids that fit alike, the others the first.
            let taller = policy.unit > 1 && error == best.1 && grid.1 > best.0.1;
            if error < best.1 || taller {
                best = (grid, error);
            }
        }
    }
    Some(best.0)
}

fn cut(width: u32, height: u32, grid: (u32, u32), policy: &Policy) -> Cut {
    let (cols, rows) = (f64::from(grid.0), f64::from(grid.1));
    let w = f64::from(whole_steps(f64::from(width), grid.0)) / cols;
    let h = f64::from(whole_steps(f64::from(height), grid.1)) / rows;
    let cell = best_size(w, h, true, policy);
    Cut { grid, refined: (cell.0 * grid.0, cell.1 * grid.1), cell }
}

/// `find_best_resize`: keeps the ratio, approximates the policy's area, ends on whole patches.
fn best_size(mut w: f64, mut h: f64, upscale: bool, policy: &Policy) -> (u32, u32) {
    let side = f64::from(policy.scale_resolution);
    if upscale || w * h > side * side {
        let ratio = w / h;
        h = (side / ratio.sqrt()).trunc();
        w = (h * ratio).trunc();
    }
    (whole_steps(w, policy.step()), whole_steps(h, policy.step()))
}

/// `ensure_divide`: the nearest multiple of `step` (ties to even counts), at least `step`.
fn whole_steps(length: f64, step: u32) -> u32 {
    (((length / f64::from(step)).round_ties_even()) as u32 * step).max(step)
}

fn whole(picture: Rgb, patch: u32) -> Slice {
    let (width, height) = (picture.width(), picture.height());
    Slice { width, height, cols: width / patch, rows: height / patch, rgb: picture.into_data() }
}

fn crop(picture: &Rgb, (x, y): (u32, u32), (width, height): (u32, u32), patch: u32) -> Slice {
    let row_bytes = width as usize * 3;
    let rows = picture.data().chunks_exact(picture.stride()).skip((y * height) as usize).take(height as usize);
    let left = x as usize * row_bytes;
    let rgb = rows.flat_map(|row| &row[left..left + row_bytes]).copied().collect();
    Slice { width, height, cols: width / patch, rows: height / patch, rgb }
}
