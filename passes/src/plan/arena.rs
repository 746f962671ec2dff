//! Static memory planning: every buffer gets one offset, chosen at compile time.
//!
//! [`place`] first tries greedy placements; where these miss the goal, a branch and bound decides.
//! The search follows ideas of MiniMalloc (Moffitt, ASPLOS 2023, doi 10.1145/3623278.3624752):
//! bottom-justified solutions only, inference on sections of time, decomposition during the search.

mod greedy;
mod search;
mod sections;
mod state;
mod strategy;
mod verify;

use std::fmt;
use std::time::{Duration, Instant};

use sections::Sections;
use strategy::Answer;

pub use verify::{lower_bound, verify};

/// Components with more buffers than this are placed greedily only: the search's tables grow with
/// the square of the number of buffers, and its recursion is as deep as that number.
const SEARCHED: usize = 1024;

/// Steps of each try in the first round of lowering, and tries in a round.
const PATIENCE: u64 = 1024;
const BISECTIONS: u32 = 8;

/// Sizes, alignments and their sum over all buffers stay below this many bytes.
const TOTAL: u64 = 1 << 62;

/// One buffer to place: lives in the half-open interval [start, end) of abstract time, `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// First moment at which the buffer is live.
    pub start: u32,
    /// First moment at which it is no longer live.
    pub end: u32,
    /// Bytes; 0 is allowed and takes no room.
    pub size: u64,
    /// The offset is a multiple of this many bytes; at least 1, not necessarily a power of two.
    pub align: u64,
}

/// What the planner may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes available; `None` asks for the lowest height that can be found.
    pub capacity: Option<u64>,
    /// Search time; only a safety net, since a plan that hits it depends on the machine's speed.
    pub budget: Duration,
    /// Search decisions; a plan that ends within them is the same on every machine.
    pub max_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { capacity: None, budget: Duration::from_secs(60), max_steps: 100_000 }
    }
}

/// A verified placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Byte offset of each buffer, in the order given.
    pub offsets: Vec<u64>,
    /// The highest byte used, plus one.
    pub height: u64,
    /// The most bytes live at one moment; no placement is lower.
    pub lower_bound: u64,
    /// How the placement was found: `greedy` or `search`.
    pub method: &'static str,
    /// Search decisions taken.
    pub steps: u64,
}

/// Why there is no placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// Two buffers (indices) share bytes while both are live.
    Overlap {
        /// The buffer that was there.
        first: usize,
        /// The buffer that starts later or at the same moment.
        second: usize,
    },
    /// No placement within the capacity was found.
    DoesNotFit {
        /// Bytes available.
        capacity: u64,
        /// Height of the best placement known.
        best: u64,
        /// No placement is lower than this.
        lower_bound: u64,
    },
    /// A buffer or its offset makes no sense.
    Invalid {
        /// Index of the buffer.
        index: usize,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Overlap { first, second } => {
                write!(f, "buffers {first} and {second} share bytes while both are live; move one of them")
            }
            PlanError::DoesNotFit { capacity, best, lower_bound } => write!(
                f,
                "buffers do not fit into {capacity} bytes: the best placement takes {best}, \
                 {lower_bound} are live at once; raise the capacity or the step limit"
            ),
            PlanError::Invalid { index, reason } => write!(f, "buffer {index}: {reason}"),
        }
    }
}

impl std::error::Error for PlanError {}

/// Places all buffers so that no two share bytes while both are live.
///
/// With a capacity, any placement within it will do; without, the height is made as low as the
/// limits allow. The result is deterministic as long as `limits.budget` is not exhausted.
///
/// # Errors
/// [`PlanError::Invalid`] for an empty lifetime, a zero alignment or sizes beyond 2^62 in total;
/// [`PlanError::DoesNotFit`] when nothing within the capacity was found.
pub fn place(buffers: &[Buffer], limits: &Limits) -> Result<Placement, PlanError> {
    let total = validate(buffers)?;
    let lower_bound = lower_bound(buffers);
    let goal = limits.capacity.unwrap_or(lower_bound).min(total);
    let now = Instant::now();
    let mut run = Run {
        goal,
        minimize: limits.capacity.is_none(),
        searchable: goal >= lower_bound,
        steps_left: limits.max_steps,
        deadline: now.checked_add(limits.budget),
        method: "greedy",
    };
    let mut offsets = vec![0; buffers.len()];
    let solid: Vec<usize> = (0..buffers.len()).filter(|&b| buffers[b].size > 0).collect();
    let lives: Vec<Buffer> = solid.iter().map(|&b| buffers[b]).collect();
    for component in Sections::new(&lives).components() {
        let part: Vec<Buffer> = component.iter().map(|&k| lives[k]).collect();
        for (&k, offset) in component.iter().zip(run.component(&part)) {
            offsets[solid[k]] = offset;
        }
    }
    let height = verify(buffers, &offsets, limits.capacity)?;
    Ok(Placement { offsets, height, lower_bound, method: run.method, steps: limits.max_steps - run.steps_left })
}

/// Checks each buffer; returns a height that is enough for any order of placement.
fn validate(buffers: &[Buffer]) -> Result<u64, PlanError> {
    let mut total = 0u64;
    for (index, b) in buffers.iter().enumerate() {
        let invalid = |reason: String| Err(PlanError::Invalid { index, reason });
        if b.start >= b.end {
            return invalid(format!("lifetime [{}, {}) is empty; end must be after start", b.start, b.end));
        }
        if b.align == 0 {
            return invalid("alignment is 0; use 1 for none".into());
        }
        total = total.saturating_add(b.size).saturating_add(b.align);
        if total > TOTAL {
            return invalid(format!(
                "sizes and alignments add up to more than {TOTAL} bytes; check its size {} and alignment {}",
                b.size, b.align
            ));
        }
    }
    Ok(total)
}

/// One call of [`place`] on its way through the components.
struct Run {
    goal: u64,
    minimize: bool,
    searchable: bool,
    steps_left: u64,
    deadline: Option<Instant>,
    method: &'static str,
}

impl Run {
    /// Offsets for one component: within the goal if possible, else the lowest found.
    fn component(&mut self, part: &[Buffer]) -> Vec<u64> {
        let mut best = greedy::place(part, self.goal);
        if best.height <= self.goal || !self.searchable || part.len() > SEARCHED {
            return best.offsets;
        }
        if self.minimize {
            self.lower(part, &mut best);
        } else if let Answer::Found(offsets) = self.search(part, self.goal, self.steps_left) {
            best.offsets = offsets;
        }
        best.offsets
    }

    /// Searches ever lower placements: rounds of bisection between what is out of reach and what
    /// is known, each round with more patience than the one before.
    fn lower(&mut self, part: &[Buffer], best: &mut greedy::Greedy) {
        let mut least = self.goal;
        if let Answer::Found(offsets) = self.search(part, least, self.steps_left / 4) {
            best.offsets = offsets;
            return;
        }
        let mut patience = PATIENCE;
        while self.steps_left > 0 && !self.late() {
            let mut aim = least;
            for _ in 0..BISECTIONS {
                match self.search(part, aim, patience.min(self.steps_left)) {
                    Answer::Found(offsets) => {
                        best.height = greedy::height(part, &offsets);
                        best.offsets = offsets;
                        if best.height <= least {
                            return;
                        }
                        aim = least + (best.height - least) / 2;
                    }
                    Answer::Infeasible => {
                        least = least.max(aim + 1);
                        aim += (best.height - aim) / 2;
                    }
                    Answer::Stopped => aim += (best.height - aim) / 2,
                }
                if least >= best.height {
                    return;
                }
                aim = aim.clamp(least, best.height - 1);
            }
            patience *= 2;
        }
    }

    fn late(&self) -> bool {
        self.deadline.is_some_and(|d| Instant::now() > d)
    }

    fn search(&mut self, part: &[Buffer], capacity: u64, steps: u64) -> Answer {
        let (answer, used) = strategy::search(part, capacity, steps, self.deadline);
        self.steps_left = self.steps_left.saturating_sub(used);
        if matches!(answer, Answer::Found(_)) {
            self.method = "search";
        }
        answer
    }
}

#[cfg(test)]
mod tests;
