//! Depth-first branch and bound with restarts.
//!
//! A node chooses one buffer that nothing can come beneath any more and tries it at its lowest
//! offset; when that is refuted, the buffer's lowest offset rises and the node chooses anew. Both
//! branches cover all bottom-justified placements, in whatever order buffers are chosen, so the
//! choice can follow the sections that are in trouble.

use std::ops::Range;
use std::time::Instant;

use super::Buffer;
use super::state::State;

/// The clock is read once in so many steps.
const CLOCK: u64 = 1024;

/// Which section to fill next: the one where this is least.
#[derive(Clone, Copy)]
pub(super) enum Focus {
    /// Its free height.
    Lowest,
    /// Buffers that could come next, over its weight.
    Scarce,
    /// Buffers that could come next times bytes that may be wasted, over its weight.
    Contended,
}

/// Why a search ended without a placement.
pub(super) enum Stop {
    /// There is none.
    Infeasible,
    /// The steps or the time are used up.
    Limit,
}

enum Status {
    Found,
    Refuted,
    Limit,
}

/// One strategy's search; what it learns about troublesome sections outlives a restart.
pub(super) struct Search {
    state: State,
    focus: Focus,
    order: Vec<usize>,
    /// Buffers not yet placed, one stretch for each open node.
    items: Vec<u32>,
    steps: u64,
    max_steps: u64,
    deadline: Option<Instant>,
}

/// A set of sections that shares no open buffer with others, and its stretch of `items`.
type Part = (Range<usize>, Range<usize>);

impl Search {
    /// `order` lists all of `buffers`, preferred ones first.
    pub(super) fn new(buffers: &[Buffer], order: Vec<usize>, capacity: u64, focus: Focus) -> Search {
        let sorted: Vec<Buffer> = order.iter().map(|&b| buffers[b]).collect();
        Search {
            state: State::new(&sorted, capacity),
            focus,
            items: (0..order.len() as u32).collect(),
            order,
            steps: 0,
            max_steps: 0,
            deadline: None,
        }
    }

    /// Searches from the root; returns the offsets, and the steps taken.
    pub(super) fn run(&mut self, max_steps: u64, deadline: Option<Instant>) -> (Result<Vec<u64>, Stop>, u64) {
        (self.steps, self.max_steps, self.deadline) = (0, max_steps, deadline);
        let buffers = self.order.len();
        let root = self.state.mark();
        let status =
            if self.state.start() { self.node((0..self.state.members.len(), 0..buffers)) } else { Status::Refuted };
        let result = match status {
            Status::Found => Ok(self.offsets()),
            Status::Refuted => Err(Stop::Infeasible),
            Status::Limit => Err(Stop::Limit),
        };
        self.state.undo(root);
        self.items.truncate(buffers);
        (result, self.steps)
    }

    fn offsets(&self) -> Vec<u64> {
        let mut offsets = vec![0; self.order.len()];
        for (&b, &low) in self.order.iter().zip(&self.state.low) {
            offsets[b] = low;
        }
        offsets
    }

    fn node(&mut self, part: Part) -> Status {
        if part.1.is_empty() {
            return Status::Found;
        }
        loop {
            if self.exhausted() {
                return Status::Limit;
            }
            self.steps += 1;
            let Some(b) = self.choose(part.0.clone()) else {
                return Status::Refuted;
            };
            let mark = self.state.mark();
            if self.state.place(b) {
                match self.descend(&part, b) {
                    Status::Refuted => {}
                    status => return status,
                }
            }
            self.state.undo(mark);
            if !self.state.lift(b) {
                return Status::Refuted;
            }
        }
    }

    fn exhausted(&self) -> bool {
        self.steps >= self.max_steps
            || (self.steps % CLOCK == CLOCK - 1 && self.deadline.is_some_and(|d| Instant::now() > d))
    }

    /// The buffer to decide on: the lowest of the section in focus, or what may come beneath it.
    fn choose(&self, sections: Range<usize>) -> Option<u32> {
        let state = &self.state;
        let mut best: Option<((u64, u64), u32)> = None;
        for s in sections.filter(|&s| state.rest[s] > 0) {
            let (score, lowest) = self.score(s)?;
            if best.is_none_or(|(least, _)| score < least) {
                best = Some((score, lowest));
            }
        }
        let mut b = best?.1;
        let beneath = |b: u32| {
            let low = state.low[b as usize];
            let fits = |d: usize| !state.placed[d] && state.low[d] + state.size[d] <= low;
            state.rivals[b as usize].iter().copied().find(|&d| fits(d as usize))
        };
        while let Some(d) = beneath(b) {
            b = d;
        }
        Some(b)
    }

    /// How urgent section `s` is (less is more), and its lowest buffer; `None` for a dead end.
    fn score(&self, s: usize) -> Option<((u64, u64), u32)> {
        let state = &self.state;
        let room = state.capacity - state.rest[s];
        let (mut choices, mut floor, mut lowest) = (0u64, u64::MAX, None);
        for &c in &state.members[s] {
            let low = state.low[c as usize];
            if !state.placed[c as usize] && low <= room {
                choices += 1;
                if low < floor {
                    (floor, lowest) = (low, Some(c));
                }
            }
        }
        let lowest = lowest?;
        let waste = room - floor;
        let score = match self.focus {
            Focus::Lowest => (floor, u64::from(lowest)),
            Focus::Scarce => (choices.saturating_mul(1024) / state.weight[s], floor),
            Focus::Contended => (choices.saturating_mul(waste + 1) / state.weight[s], floor),
        };
        Some((score, lowest))
    }

    /// Goes on without `b`, just placed, part by part if the problem has fallen apart.
    fn descend(&mut self, (sections, items): &Part, b: u32) -> Status {
        let first = self.items.len();
        let (lo, hi) = (self.state.lo[b as usize], self.state.hi[b as usize]);
        let parts = if self.state.crossings[lo..hi - 1].contains(&0) {
            self.split(sections.clone(), items.clone())
        } else {
            for k in items.clone() {
                if self.items[k] != b {
                    self.items.push(self.items[k]);
                }
            }
            vec![(sections.clone(), first..self.items.len())]
        };
        let mut status = Status::Found;
        for part in parts {
            status = self.node(part);
            if !matches!(status, Status::Found) {
                break;
            }
        }
        self.items.truncate(first);
        status
    }

    /// Parts between borders that no open buffer crosses, small ones first.
    fn split(&mut self, sections: Range<usize>, items: Range<usize>) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut from = sections.start;
        for s in sections.clone() {
            if self.state.crossings[s] > 0 && s + 1 < sections.end {
                continue;
            }
            let first = self.items.len();
            for k in items.clone() {
                let c = self.items[k] as usize;
                if !self.state.placed[c] && (from..=s).contains(&self.state.lo[c]) {
                    self.items.push(c as u32);
                }
            }
            if self.items.len() > first {
                parts.push((from..s + 1, first..self.items.len()));
            }
            from = s + 1;
        }
        parts.sort_by_key(|(_, items)| items.len());
        parts
    }
}
