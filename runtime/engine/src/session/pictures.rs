//! Pictures of one message: their slices are planned first and cut one picture at a time.

use crate::error::{Error, Result};
use crate::image::{Policy, Rgb, Slice, plan, slices};
use crate::text::Grid;
use std::time::Instant;

/// What a message's pictures will become.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Columns and rows per picture.
    pub grids: Vec<Grid>,
    /// Vectors per slice.
    pub vectors: Vec<usize>,
    /// Columns and rows of patches per slice.
    pub sizes: Vec<(u32, u32)>,
    /// Slices of all pictures, overviews included.
    pub slices: usize,
    /// Patches of all slices.
    pub patches: usize,
}

/// Plans pictures without touching a pixel; `most` is the number of patches a slice may have, `queries` of vectors.
pub(super) fn plan_all(pictures: &[Rgb], policy: &Policy, most: u32, queries: usize) -> Result<Plan> {
    let mut all = Plan::default();
    for picture in pictures {
        let (width, height) = (picture.width(), picture.height());
        let layout = plan(width, height, policy)?;
        let largest = layout.max_patches();
        if largest > most {
            return Err(Error::Input(format!(
                "a picture of {width} x {height} pixels has a slice of {largest} patches, this artifact takes {most}; \
                 crop it to a squarer shape, or compile the model with a larger --max-ratio"
            )));
        }
        let sizes = layout.patch_grids();
        all.grids.push(layout.grid());
        all.slices += sizes.len();
        let patches = sizes.iter().map(|(cols, rows)| *cols as usize * *rows as usize);
        all.vectors.extend(patches.clone().map(|n| policy.vectors(n, queries)));
        all.patches += patches.sum::<usize>();
        all.sizes.extend(sizes);
    }
    Ok(all)
}

/// Hands out the slices of pictures in order; a picture is gone once it is cut.
pub(super) struct Slices {
    pictures: std::vec::IntoIter<Rgb>,
    ready: std::vec::IntoIter<Slice>,
    /// Seconds spent on cutting.
    pub seconds: f64,
}

impl Slices {
    /// All slices of `pictures`.
    pub fn new(pictures: Vec<Rgb>) -> Self {
        Slices { pictures: pictures.into_iter(), ready: Vec::new().into_iter(), seconds: 0.0 }
    }

    /// The next slice.
    pub fn next(&mut self, policy: &Policy) -> Result<Slice> {
        loop {
            if let Some(slice) = self.ready.next() {
                return Ok(slice);
            }
            let picture = self.pictures.next().ok_or_else(|| Error::Bug("fewer slices than planned".into()))?;
            let started = Instant::now();
            self.ready = slices(&picture, policy)?.slices.into_iter();
            self.seconds += started.elapsed().as_secs_f64();
        }
    }
}
