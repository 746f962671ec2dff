//! Bicubic resampling, bit-exact with Pillow's `Image.resize(size, BICUBIC)` on 8-bit pictures.
//!
//! Bit-exact means Pillow up to 12: Pillow 13 runs the vertical pass first for some shrinking pictures, which moves
//! single values. The models were made with the older order, which is always horizontal first.
//!
//! Pillow (libImaging/Resample.c) stretches the filter when it shrinks, so that every source pixel counts; computes
//! and normalises the weights in double precision; rounds them to 22 fractional bits; and goes through an 8-bit
//! picture between the horizontal and the vertical pass.

use super::{ImageError, MAX_PIXELS, Rgb};

/// Half width of the filter at scale 1, in source pixels.
const SUPPORT: f64 = 2.0;
/// Fractional bits of a weight: 32 minus 8 for the sample and 2 for overshoot.
const PRECISION: u32 = 32 - 8 - 2;
/// Longest side of a result: above what slicing asks for even for a row of [`super::MAX_SIDE`] pixels.
const MAX_RESIZED_SIDE: u32 = 1 << 20;

/// Resizes to `width` x `height`.
///
/// # Errors
/// [`ImageError::Size`] if a side of the result is zero or above 2^20, or if it, or the picture between the passes,
/// would have more than [`MAX_PIXELS`] pixels.
pub fn resize(picture: &Rgb, width: u32, height: u32) -> Result<Rgb, ImageError> {
    check_area(width, height)?;
    let down = Taps::new(picture.height(), height);
    let rows = if height == picture.height() { 0..height as usize } else { down.span() };
    check_area(width, rows.len() as u32)?;
    let across = horizontal(picture, width, rows.clone());
    if height == picture.height() {
        return Ok(Rgb::new(width, height, across));
    }
    Ok(Rgb::new(width, height, vertical(&across, width as usize * 3, &down, rows.start)))
}

fn check_area(width: u32, height: u32) -> Result<(), ImageError> {
    let sides = 1..=MAX_RESIZED_SIDE;
    let fits = sides.contains(&width) && sides.contains(&height) && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if fits { Ok(()) } else { Err(ImageError::Size { name: "resized picture".to_owned(), width, height }) }
}

/// The source samples each output sample is made of, along one axis.
struct Taps {
    /// First source sample and its range in `weights`, one an output sample.
    windows: Vec<(usize, std::ops::Range<usize>)>,
    /// Fixed-point weights, [`PRECISION`] fractional bits.
    weights: Vec<i32>,
}

impl Taps {
    fn new(from: u32, to: u32) -> Self {
        let scale = f64::from(from) / f64::from(to);
        let stretch = scale.max(1.0);
        let mut taps = Self { windows: Vec::with_capacity(to as usize), weights: Vec::new() };
        let mut window = Vec::new();
        for out in 0..to {
            let centre = (f64::from(out) + 0.5) * scale;
            let first = taps.fill(&mut window, centre, stretch, from);
            let begin = taps.weights.len();
            taps.weights.extend(window.iter().map(|&weight| fixed(weight)));
            taps.windows.push((first, begin..taps.weights.len()));
        }
        taps
    }

    /// Fills `window` with the normalised weights around `centre`; returns the first source sample.
    fn fill(&self, window: &mut Vec<f64>, centre: f64, stretch: f64, from: u32) -> usize {
        let support = SUPPORT * stretch;
        let inverse = 1.0 / stretch;
        let first = (centre - support + 0.5).max(0.0) as u32;
        let end = ((centre + support + 0.5) as u32).min(from);
        window.clear();
        // The order of these operations decides the last bit.
        window.extend((0..end - first).map(|i| cubic((f64::from(i) + f64::from(first) - centre + 0.5) * inverse)));
        let sum: f64 = window.iter().sum();
        if sum != 0.0 {
            window.iter_mut().for_each(|weight| *weight /= sum);
        }
        first as usize
    }

    /// The source samples that are used at all.
    fn span(&self) -> std::ops::Range<usize> {
        match (self.windows.first(), self.windows.last()) {
            (Some((first, _)), Some((last, range))) => *first..last + range.len(),
            _ => 0..0,
        }
    }

    /// First source sample and weights of every output sample.
    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.windows.iter().map(|(first, range)| (*first, &self.weights[range.clone()]))
    }
}

/// Keys' cubic with a = -0.5, in Pillow's order of operations.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

const HALF: i32 = 1 << (PRECISION - 1);

fn to_byte(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Resizes the given rows to `width`.
fn horizontal(picture: &Rgb, width: u32, rows: std::ops::Range<usize>) -> Vec<u8> {
    let stride = picture.stride();
    let source = &picture.data()[rows.start * stride..rows.end * stride];
    if width == picture.width() {
        return source.to_vec();
    }
    let taps = Taps::new(picture.width(), width);
    let mut out = Vec::with_capacity(rows.len() * width as usize * 3);
    for row in source.chunks_exact(stride) {
        for (first, weights) in taps.iter() {
            out.extend(weigh_pixels(&row[first * 3..(first + weights.len()) * 3], weights));
        }
    }
    out
}

fn weigh_pixels(pixels: &[u8], weights: &[i32]) -> [u8; 3] {
    let mut sum = [HALF; 3];
    for (pixel, &weight) in pixels.chunks_exact(3).zip(weights) {
        for channel in 0..3 {
            sum[channel] += i32::from(pixel[channel]) * weight;
        }
    }
    sum.map(to_byte)
}

/// Resizes the columns of `source`, whose first row is row `top` of the picture.
fn vertical(source: &[u8], stride: usize, taps: &Taps, top: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(taps.windows.len() * stride);
    let mut sums = vec![HALF; stride];
    for (first, weights) in taps.iter() {
        sums.fill(HALF);
        let rows = source[(first - top) * stride..].chunks_exact(stride);
        for (row, &weight) in rows.zip(weights) {
            for (sum, &sample) in sums.iter_mut().zip(row) {
                *sum += i32::from(sample) * weight;
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
    out
}
