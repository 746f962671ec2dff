//! A partial placement, what follows from it, and how to take it back.

use super::Buffer;
use super::sections::Sections;

/// No twin.
const NONE: u32 = u32::MAX;

/// Buffers by position in the search's preorder; everything is in bytes.
///
/// Invariants between calls, for each buffer not yet placed:
/// * `support` is the lowest offset above all placed buffers that overlap it in time;
/// * `low >= support` is proven: no bottom-justified completion has it lower. Where `low` is above
///   `support`, some other buffer must come beneath it first.
pub(super) struct State {
    pub(super) capacity: u64,
    pub(super) lo: Vec<usize>,
    pub(super) hi: Vec<usize>,
    pub(super) size: Vec<u64>,
    pub(super) low: Vec<u64>,
    pub(super) placed: Vec<bool>,
    /// Buffers live in each section.
    pub(super) members: Vec<Vec<u32>>,
    /// Buffers that overlap each buffer in time.
    pub(super) rivals: Vec<Vec<u32>>,
    /// Bytes not yet placed, per section.
    pub(super) rest: Vec<u64>,
    /// Buffers not yet placed across the border after each section.
    pub(super) crossings: Vec<u32>,
    /// How often each section led to a dead end, plus one.
    pub(super) weight: Vec<u64>,
    align: Vec<u64>,
    support: Vec<u64>,
    /// The next buffer with the same life, size and alignment; it goes above, by convention.
    twin: Vec<u32>,
    trail: Trail,
    waiting: Worklist,
    dirty: Worklist,
    sorted: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Trail {
    lows: Vec<(u32, u64)>,
    supports: Vec<(u32, u64)>,
    placed: Vec<u32>,
}

/// A moment to which [`State::undo`] can return.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    lows: usize,
    supports: usize,
    placed: usize,
}

/// A stack of distinct indices.
struct Worklist {
    stack: Vec<u32>,
    inside: Vec<bool>,
}

impl Worklist {
    fn new(len: usize) -> Worklist {
        Worklist { stack: Vec::new(), inside: vec![false; len] }
    }

    fn push(&mut self, k: u32) {
        if !std::mem::replace(&mut self.inside[k as usize], true) {
            self.stack.push(k);
        }
    }

    fn pop(&mut self) -> Option<u32> {
        let k = self.stack.pop()?;
        self.inside[k as usize] = false;
        Some(k)
    }

    fn clear(&mut self) {
        while self.pop().is_some() {}
    }
}

impl State {
    /// Nothing placed. `buffers` are in preorder, none of size 0, and `capacity` is at least the
    /// bytes live at any moment.
    pub(super) fn new(buffers: &[Buffer], capacity: u64) -> State {
        let sections = Sections::new(buffers);
        let n = buffers.len();
        let (rest, crossings) = (sections.totals(buffers), sections.crossings());
        let Sections { count, lo, hi } = sections;
        let mut members = vec![Vec::new(); count];
        for b in 0..n {
            for section in &mut members[lo[b]..hi[b]] {
                section.push(b as u32);
            }
        }
        let rivals = |a: usize| {
            let meets = |&b: &usize| b != a && lo[a] < hi[b] && lo[b] < hi[a];
            (0..n).filter(meets).map(|b| b as u32).collect()
        };
        let shape = |b: usize| (lo[b], hi[b], buffers[b].size, buffers[b].align);
        let twin = |a: usize| (a + 1..n).find(|&b| shape(a) == shape(b)).map_or(NONE, |b| b as u32);
        State {
            capacity,
            rivals: (0..n).map(rivals).collect(),
            twin: (0..n).map(twin).collect(),
            size: buffers.iter().map(|b| b.size).collect(),
            align: buffers.iter().map(|b| b.align).collect(),
            low: vec![0; n],
            support: vec![0; n],
            placed: vec![false; n],
            members,
            rest,
            crossings,
            weight: vec![1; count],
            trail: Trail::default(),
            waiting: Worklist::new(n),
            dirty: Worklist::new(count),
            sorted: Vec::new(),
            lo,
            hi,
        }
    }

    /// Draws the first conclusions; `false` means there is no solution.
    pub(super) fn start(&mut self) -> bool {
        for s in 0..self.members.len() {
            self.dirty.push(s as u32);
        }
        for b in 0..self.size.len() {
            let low = self.low[b];
            if !self.raise(b as u32, low) {
                return false;
            }
        }
        self.settle()
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { lows: self.trail.lows.len(), supports: self.trail.supports.len(), placed: self.trail.placed.len() }
    }

    pub(super) fn undo(&mut self, mark: Mark) {
        for (b, low) in self.trail.lows.drain(mark.lows..).rev() {
            self.low[b as usize] = low;
        }
        for (b, support) in self.trail.supports.drain(mark.supports..).rev() {
            self.support[b as usize] = support;
        }
        for b in self.trail.placed.drain(mark.placed..) {
            let b = b as usize;
            self.placed[b] = false;
            let (lo, hi) = (self.lo[b], self.hi[b]);
            self.rest[lo..hi].iter_mut().for_each(|r| *r += self.size[b]);
            self.crossings[lo..hi - 1].iter_mut().for_each(|c| *c += 1);
        }
    }

    /// Puts `b` at its lowest offset; `false` means that this leads nowhere.
    pub(super) fn place(&mut self, b: u32) -> bool {
        let k = b as usize;
        let (lo, hi, size) = (self.lo[k], self.hi[k], self.size[k]);
        let top = self.low[k] + size;
        self.trail.placed.push(b);
        self.placed[k] = true;
        self.rest[lo..hi].iter_mut().for_each(|r| *r -= size);
        self.crossings[lo..hi - 1].iter_mut().for_each(|c| *c -= 1);
        if let Some(s) = (lo..hi).find(|&s| top + self.rest[s] > self.capacity) {
            self.weight[s] += 1;
            return false;
        }
        for k in 0..self.rivals[k].len() {
            let c = self.rivals[b as usize][k];
            if !self.placed[c as usize] && !self.support(c, top) {
                return false;
            }
        }
        self.settle()
    }

    /// Decides that `b` goes higher than its lowest offset; `false` means that it cannot.
    pub(super) fn lift(&mut self, b: u32) -> bool {
        let to = self.escape(b);
        self.raise(b, to) && self.settle()
    }

    /// Tells `c` of a buffer beneath it that ends at `top`.
    fn support(&mut self, c: u32, top: u64) -> bool {
        let k = c as usize;
        if self.support[k] < top {
            self.trail.supports.push((c, self.support[k]));
            self.support[k] = top.next_multiple_of(self.align[k]);
        }
        let support = self.support[k];
        if self.low[k] < support {
            return self.raise(c, support);
        }
        if self.low[k] > support {
            self.waiting.push(c);
        }
        true
    }

    /// Sets the lowest offset of `c`; `false` if it no longer fits.
    fn raise(&mut self, c: u32, to: u64) -> bool {
        let k = c as usize;
        let (lo, hi) = (self.lo[k], self.hi[k]);
        if to > self.capacity - self.size[k] {
            self.weight[lo..hi].iter_mut().for_each(|w| *w += 1);
            self.give_up();
            return false;
        }
        self.trail.lows.push((c, self.low[k]));
        self.low[k] = to;
        (lo..hi).for_each(|s| self.dirty.push(s as u32));
        if to > self.support[k] {
            self.waiting.push(c);
        }
        for &d in &self.rivals[k] {
            let other = d as usize;
            if !self.placed[other] && self.low[other] > self.support[other] {
                self.waiting.push(d);
            }
        }
        self.raise_twins(c)
    }

    fn raise_twins(&mut self, c: u32) -> bool {
        let k = c as usize;
        let twin = self.twin[k];
        if twin == NONE || self.placed[twin as usize] {
            return true;
        }
        let to = (self.low[k] + self.size[k]).next_multiple_of(self.align[k]);
        self.low[twin as usize] >= to || self.raise(twin, to)
    }

    /// The lowest offset of `c` on top of some buffer that is not yet placed.
    fn escape(&self, c: u32) -> u64 {
        let others = self.rivals[c as usize].iter().map(|&d| d as usize);
        let tops = others.filter(|&d| !self.placed[d]).map(|d| self.low[d] + self.size[d]);
        tops.min().map_or(u64::MAX, |top| top.next_multiple_of(self.align[c as usize]))
    }

    /// Concludes until nothing changes; `false` means a dead end.
    fn settle(&mut self) -> bool {
        while let Some(c) = self.waiting.pop() {
            let k = c as usize;
            // What came beneath it since it began to wait may hold it where it is.
            if self.low[k] <= self.support[k] {
                continue;
            }
            let to = self.escape(c);
            if to > self.low[k] && !self.raise(c, to) {
                return false;
            }
        }
        while let Some(s) = self.dirty.pop() {
            if !self.fits(s as usize) {
                self.weight[s as usize] += 1;
                self.give_up();
                return false;
            }
        }
        true
    }

    /// Stacks what is left in a section, each buffer as low as it may go: the lowest possible
    /// height, as for jobs with release times on one machine.
    fn fits(&mut self, s: usize) -> bool {
        self.sorted.clear();
        for &c in &self.members[s] {
            let c = c as usize;
            if !self.placed[c] {
                self.sorted.push((self.low[c], self.size[c]));
            }
        }
        self.sorted.sort_unstable();
        let stack = |top: u64, &(low, size): &(u64, u64)| top.max(low) + size;
        self.sorted.iter().fold(0, stack) <= self.capacity
    }

    fn give_up(&mut self) {
        self.waiting.clear();
        self.dirty.clear();
    }
}
