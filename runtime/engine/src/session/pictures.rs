//! Pictures of one message: their slices are planned first and cut one picture at a time.

use crate::error::{Error, Result};
use crate::image::{Policy, Rgb, Slice, plan, slices};
use crate::text::Grid;
use std::time::Instant;

/// A picture that waits for its message.
#[derive(Debug, Clone)]
pub(super) struct Queued {
    picture: Rgb,
    policy: Policy,
    /// Whether it has a number in the conversation.
    numbered: bool,
}

impl Queued {
    /// A picture by itself.
    pub fn picture(picture: Rgb, policy: &Policy) -> Self {
        Queued { picture, policy: policy.clone(), numbered: true }
    }

    /// A picture of a film, cut into at most `slices` beside its overview (1: not at all). The models' published code
    /// shows films so, without numbers (`use_image_id=False`, `max_slice_nums` 1 or 2).
    pub fn frame(picture: Rgb, policy: &Policy, slices: u32) -> Self {
        let policy = Policy { max_slices: slices.min(policy.max_slices), ..policy.clone() };
        Queued { picture, policy, numbered: false }
    }
}

/// What a message's pictures will become.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Whether each picture has a number.
    pub numbered: Vec<bool>,
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
pub(super) fn plan_all(pictures: &[Queued], most: u32, queries: usize) -> Result<Plan> {
    let mut all = Plan::default();
    for Queued { picture, policy, numbered } in pictures {
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
        all.numbered.push(*numbered);
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
    pictures: std::vec::IntoIter<Queued>,
    ready: std::vec::IntoIter<Slice>,
    /// Seconds spent on cutting.
    pub seconds: f64,
}

impl Slices {
    /// All slices of `pictures`.
    pub fn new(pictures: Vec<Queued>) -> Self {
        Slices { pictures: pictures.into_iter(), ready: Vec::new().into_iter(), seconds: 0.0 }
    }

    /// The next slice.
    pub fn next(&mut self) -> Result<Slice> {
        loop {
            if let Some(slice) = self.ready.next() {
                return Ok(slice);
            }
            let Queued { picture, policy, .. } =
                self.pictures.next().ok_or_else(|| Error::Bug("fewer slices than planned".into()))?;
            let started = Instant::now();
            self.ready = slices(&picture, &policy)?.slices.into_iter();
            self.seconds += started.elapsed().as_secs_f64();
        }
    }
}
