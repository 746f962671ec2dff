//! The number of patches that is provided for, against the preprocessing rule written down a second time.

use mcv_import::family::patch_bound;

/// The preprocessing rule for one checkpoint.
#[derive(Clone, Copy)]
struct Rule {
    resolution: f64,
    patch: f64,
    most: u32,
}

impl Rule {
    fn new(resolution: u32, most: u32) -> Rule {
        Rule { resolution: resolution.into(), patch: 14.0, most }
    }

    /// Patches of a side: Python's `max(round(side / patch), 1)`.
    fn count(&self, side: f64) -> u32 {
        ((side / self.patch).round_ties_even() as u32).max(1)
    }

    /// Patches of a picture that is resized alone.
    fn resized(&self, w: f64, h: f64, upscale: bool) -> u32 {
        let (mut w, mut h) = (w, h);
        if w * h > self.resolution * self.resolution || upscale {
            let ratio = w / h;
            h = (self.resolution / ratio.sqrt()).trunc();
            w = (h * ratio).trunc();
        }
        self.count(w) * self.count(h)
    }

    /// Columns and rows, if the picture is cut.
    fn grid(&self, w: f64, h: f64) -> Option<(u32, u32)> {
        let multiple = ((w * h / (self.resolution * self.resolution)).ceil() as u32).min(self.most);
        if multiple <= 1 {
            return None;
        }
        let mut best = (f64::INFINITY, (1, 1));
        for n in [multiple - 1, multiple, multiple + 1] {
            for cols in (1..=n).filter(|m| n != 1 && n <= self.most && n % m == 0) {
                let error = ((w / h).ln() - (f64::from(cols) / f64::from(n / cols)).ln()).abs();
                if error < best.0 {
                    best = (error, (cols, n / cols));
                }
            }
        }
        Some(best.1)
    }

    /// Patches of the largest slice of a picture.
    fn largest(&self, w: u32, h: u32) -> u32 {
        let (w, h) = (f64::from(w), f64::from(h));
        let Some((cols, rows)) = self.grid(w, h) else { return self.resized(w, h, true) };
        let cell = |side: f64, n: u32| (side / f64::from(n)).round_ties_even().max(1.0);
        self.resized(w, h, false).max(self.resized(cell(w, cols), cell(h, rows), true))
    }

    /// Every picture of up to `limit` pixels per side, `step` apart, within the ratio.
    fn check(&self, limit: u32, step: u32, ratio: f64) {
        let bound = patch_bound(self.resolution as u32, self.patch as u32, ratio);
        let mut most = 0;
        for w in (1..limit).step_by(step as usize) {
            for h in (1..limit).step_by(step as usize) {
                let (long, short) = (f64::from(w.max(h)), f64::from(w.min(h)));
                if long <= ratio * short {
                    let patches = self.largest(w, h);
                    assert!(patches <= bound, "{w}x{h}: {patches} patches, {bound} provided for ratio {ratio}");
                    most = most.max(patches);
                }
            }
        }
        // Space that no picture can use would be wasted in every arena.
        assert!(f64::from(bound) <= f64::from(most) * 1.15 + 8.0, "{bound} provided, {most} used for ratio {ratio}");
    }
}

#[test]
fn every_picture_up_to_sixteen_to_one_fits() {
    Rule::new(448, 9).check(1300, 1, 16.0);
    Rule::new(448, 9).check(6000, 7, 16.0);
}

#[test]
fn nearly_square_pictures_fit_when_cut_in_two() {
    for ratio in [1.0, 1.5, 2.0, 4.0] {
        Rule::new(448, 9).check(1000, 1, ratio);
    }
}

#[test]
fn other_resolutions_and_slice_numbers_fit() {
    for (resolution, most) in [(448, 1), (448, 2), (112, 6), (112, 9), (56, 4), (336, 16), (70, 13), (14, 9)] {
        Rule::new(resolution, most).check(700, 1, 16.0);
        Rule::new(resolution, most).check(700, 1, 1.0);
    }
}

#[test]
fn extremes_stay_finite() {
    assert!(patch_bound(14, 256, 1.0) >= 1);
    assert!(patch_bound(14, 14, 1000.0) >= 32);
    assert!(patch_bound(8192, 1, 1000.0) >= 8192 * 8192);
}
