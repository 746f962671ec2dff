//! Places of a prompt's tokens where pictures lie on canvases (4.7).
//!
//! A place is a turn, a row and a column. Text goes along the diagonal, all three growing by 1. A picture has one
//! turn: its slices lie side by side on a canvas of a row and a column per vector, its overview is stretched over all of
//! them, and the tokens around it stand on its corners and edges. Text goes on behind the longer side. Formulas:
//! `MiniCPMV4_7Model.get_rope_index` of `transformers`.

use std::ops::Range;

/// Turn, row, column.
pub type Place = [i32; 3];

/// Ids of the tokens around pictures and slices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Markers {
    pub image_start: u32,
    pub image_end: u32,
    pub slice_start: u32,
    pub slice_end: u32,
    pub newline: u32,
}

impl Markers {
    fn has(&self, id: u32) -> bool {
        [self.image_start, self.image_end, self.slice_start, self.slice_end, self.newline].contains(&id)
    }
}

/// The placeholders of an overview or a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    /// Where they stand, one per vector, row by row.
    pub tokens: Range<usize>,
    /// Rows of vectors.
    pub rows: usize,
    /// Vectors in a row.
    pub cols: usize,
}

/// Where the vectors of each slice stand in a prompt whose tokens take these rows of vectors (-1: none). Other tokens
/// stand between those of two slices.
pub fn slots(image_rows: &[i32]) -> Vec<Range<usize>> {
    let mut slots: Vec<Range<usize>> = Vec::new();
    for at in (0..image_rows.len()).filter(|at| image_rows[*at] >= 0) {
        match slots.last_mut() {
            Some(slot) if slot.end == at => slot.end += 1,
            _ => slots.push(at..at + 1),
        }
    }
    slots
}

/// An overview with the slices that follow it, and all tokens around them.
struct Frame<'a> {
    tokens: Range<usize>,
    overview: &'a Crop,
    slices: &'a [Crop],
}

/// The place of each of `ids`, of which `crops`, in order, stand for vectors; the first one has place `first`.
pub fn canvas_places(ids: &[u32], crops: &[Crop], markers: &Markers, first: i32) -> Vec<Place> {
    let mut places = Vec::with_capacity(ids.len());
    let mut next = first;
    for frame in frames(ids, crops, markers) {
        line(&mut places, frame.tokens.start, &mut next);
        // Where pictures follow each other without text, the token before this one is the last one's, too.
        places.resize(frame.tokens.end, [0; 3]);
        next += frame.lay(&mut places, next) + 1;
    }
    line(&mut places, ids.len(), &mut next);
    places
}

/// Text up to token `end`.
fn line(places: &mut Vec<Place>, end: usize, next: &mut i32) {
    while places.len() < end {
        places.push([*next; 3]);
        *next += 1;
    }
}

/// A crop behind the token that begins a slice belongs to the overview before it.
fn frames<'a>(ids: &[u32], crops: &'a [Crop], markers: &Markers) -> Vec<Frame<'a>> {
    let follows = |crop: &Crop| crop.tokens.start > 0 && ids.get(crop.tokens.start - 1) == Some(&markers.slice_start);
    let mut frames = Vec::new();
    let mut rest = crops;
    while let Some((overview, others)) = rest.split_first() {
        let (slices, behind) = others.split_at(others.iter().take_while(|c| follows(c)).count());
        let last = slices.last().unwrap_or(overview).tokens.end;
        let closing = ids.iter().skip(last).take_while(|id| markers.has(**id)).count();
        frames.push(Frame { tokens: overview.tokens.start.saturating_sub(1)..last + closing, overview, slices });
        rest = behind;
    }
    frames
}

impl Frame<'_> {
    /// Columns and rows of the slices: a row ends where more than `</slice><slice>` stands before the next slice.
    fn grid(&self) -> (usize, usize) {
        let count = self.slices.len();
        let ends = |pair: &[Crop]| pair[1].tokens.start - pair[0].tokens.end > 2;
        let cols = self.slices.windows(2).position(ends).map_or(count, |at| at + 1);
        if count.is_multiple_of(cols.max(1)) { (cols, count / cols.max(1)) } else { (count, 1) }
    }

    /// Gives its tokens their places on a canvas that begins at `origin`; the longer side of the canvas.
    fn lay(&self, places: &mut [Place], origin: i32) -> i32 {
        let (cols, rows) = self.grid();
        let cell = self.slices.first().map_or((0, 0), |slice| (slice.rows, slice.cols));
        let size = match self.slices.is_empty() {
            true => (self.overview.rows, self.overview.cols),
            false => (rows * cell.0, cols * cell.1),
        };
        let at = |row: usize, col: usize| [origin, origin + row as i32, origin + col as i32];
        places[self.tokens.clone()].fill([origin; 3]);
        if self.tokens.start < self.overview.tokens.start {
            let outside = (origin - 1).max(0);
            places[self.tokens.start] = [origin, outside, outside];
        }
        if self.overview.tokens.end < self.tokens.end {
            places[self.overview.tokens.end] = at(size.0, size.1);
        }
        let (down, across) = (spread(self.overview.rows, size.0), spread(self.overview.cols, size.1));
        for (token, (row, col)) in self.overview.tokens.clone().zip(pairs(&down, &across)) {
            places[token] = at(row, col);
        }
        for (k, slice) in self.slices.iter().enumerate() {
            let (top, left) = (k / cols * cell.0, k % cols * cell.1);
            places[slice.tokens.start - 1] = at(top, left);
            if slice.tokens.end < self.tokens.end {
                places[slice.tokens.end] = at(top + slice.rows - 1, left + slice.cols - 1);
            }
            let (down, across): (Vec<_>, Vec<_>) = ((0..slice.rows).collect(), (0..slice.cols).collect());
            for (token, (row, col)) in slice.tokens.clone().zip(pairs(&down, &across)) {
                places[token] = at(top + row, left + col);
            }
        }
        for (k, pair) in self.slices.windows(2).enumerate() {
            // What stands between `</slice>` and `<slice>`, if anything does.
            let between = pair[0].tokens.end + 1..(pair[1].tokens.start - 1).max(pair[0].tokens.end + 1);
            places[between].fill(at((k / cols + 1) * cell.0 - 1, cols * cell.1));
        }
        size.0.max(size.1) as i32
    }
}

fn pairs(down: &[usize], across: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    down.iter().flat_map(move |row| across.iter().map(move |col| (*row, *col)))
}

/// Places of `n` vectors stretched over a side of `size`: `linspace(0, size - 1, n).round()` of torch in float32, whose
/// second half is counted from the end. Ties go to even.
fn spread(n: usize, size: usize) -> Vec<usize> {
    let last = size.saturating_sub(1) as f32;
    let step = last / (n.max(2) - 1) as f32;
    let value = |i: usize| if i < n / 2 || n == 1 { step * i as f32 } else { last - step * (n - i - 1) as f32 };
    (0..n).map(|i| value(i).round_ties_even() as usize).collect()
}
