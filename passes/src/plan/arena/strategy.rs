//! Which searches are tried, in what turn.

use std::cmp::Reverse;
use std::time::Instant;

use super::Buffer;
use super::search::{Focus, Search, Stop};
use super::sections::Sections;

/// What a search found out.
pub(super) enum Answer {
    /// Offsets within the capacity.
    Found(Vec<u64>),
    /// Proof that there are none.
    Infeasible,
    /// Out of steps or time.
    Stopped,
}

/// Static order of the buffers; the first is preferred wherever the search has a choice.
#[derive(Clone, Copy)]
pub(super) enum Preorder {
    TotalWidthArea,
    TotalAreaWidth,
    WidthAreaTotal,
}

impl Preorder {
    /// Indices of `buffers` by three falling keys: the most bytes live during the buffer's life
    /// (total), the number of sections it spans (width), its bytes times its time (area).
    pub(super) fn sort(self, buffers: &[Buffer]) -> Vec<usize> {
        let sections = Sections::new(buffers);
        let live = sections.totals(buffers);
        let key = |b: usize| {
            let (lo, hi) = (sections.lo[b], sections.hi[b]);
            let total = u128::from(live[lo..hi].iter().copied().max().unwrap_or(0));
            let width = (hi - lo) as u128;
            let area = u128::from(buffers[b].size) * u128::from(buffers[b].end - buffers[b].start);
            Reverse(match self {
                Preorder::TotalWidthArea => [total, width, area],
                Preorder::TotalAreaWidth => [total, area, width],
                Preorder::WidthAreaTotal => [width, area, total],
            })
        };
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_cached_key(|&b| key(b));
        order
    }
}

/// No strategy is best everywhere; on hard problems each one stalls where another is done at once.
const STRATEGIES: [(Preorder, Focus); 6] = [
    (Preorder::TotalWidthArea, Focus::Contended),
    (Preorder::TotalWidthArea, Focus::Lowest),
    (Preorder::TotalWidthArea, Focus::Scarce),
    (Preorder::WidthAreaTotal, Focus::Scarce),
    (Preorder::WidthAreaTotal, Focus::Contended),
    (Preorder::TotalAreaWidth, Focus::Scarce),
];

/// Steps of each strategy's first turn; doubled every round.
const FIRST_TURN: u64 = 512;

/// Looks for a placement within `capacity`, which is at least the lower bound; also returns the
/// number of steps taken.
pub(super) fn search(buffers: &[Buffer], capacity: u64, max_steps: u64, deadline: Option<Instant>) -> (Answer, u64) {
    let mut searches: Vec<Search> = Vec::new();
    let mut used = 0;
    let mut turn = FIRST_TURN;
    loop {
        for (k, &(preorder, focus)) in STRATEGIES.iter().enumerate() {
            if searches.len() == k {
                searches.push(Search::new(buffers, preorder.sort(buffers), capacity, focus));
            }
            let steps = turn.min(max_steps - used);
            if steps == 0 || deadline.is_some_and(|d| Instant::now() > d) {
                return (Answer::Stopped, used);
            }
            let (result, taken) = searches[k].run(steps, deadline);
            used += taken.min(steps);
            match result {
                Ok(offsets) => return (Answer::Found(offsets), used),
                Err(Stop::Infeasible) => return (Answer::Infeasible, used),
                Err(Stop::Limit) => {}
            }
        }
        turn = turn.saturating_mul(2);
    }
}
