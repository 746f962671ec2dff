//! Greedy placements: several orders, two ways to choose a gap; the lowest result wins.

use std::cmp::Reverse;

use super::Buffer;
use super::strategy::Preorder;

/// A placement and its height.
pub(super) struct Greedy {
    pub(super) offsets: Vec<u64>,
    pub(super) height: u64,
}

#[derive(Clone, Copy)]
enum Gap {
    Lowest,
    Narrowest,
}

/// Tries all greedy placements until one is within `goal`; returns the lowest.
pub(super) fn place(buffers: &[Buffer], goal: u64) -> Greedy {
    let mut best = Greedy { offsets: Vec::new(), height: u64::MAX };
    for order in orders(buffers) {
        for gap in [Gap::Lowest, Gap::Narrowest] {
            let offsets = in_order(buffers, &order, gap);
            let height = height(buffers, &offsets);
            if height < best.height {
                best = Greedy { offsets, height };
            }
            if best.height <= goal {
                return best;
            }
        }
    }
    best
}

/// The highest byte used, plus one.
pub(super) fn height(buffers: &[Buffer], offsets: &[u64]) -> u64 {
    let tops = buffers.iter().zip(offsets).map(|(b, &offset)| offset + b.size);
    tops.max().unwrap_or(0)
}

fn orders(buffers: &[Buffer]) -> Vec<Vec<usize>> {
    let sorted = |key: &dyn Fn(&Buffer) -> (Reverse<u128>, u32)| {
        let mut order: Vec<usize> = (0..buffers.len()).collect();
        order.sort_by_key(|&b| key(&buffers[b]));
        order
    };
    let length = |b: &Buffer| u128::from(b.end - b.start);
    let size = |b: &Buffer| u128::from(b.size);
    vec![
        sorted(&|b| (Reverse(size(b)), b.start)),
        sorted(&|b| (Reverse(size(b) * length(b)), b.start)),
        sorted(&|b| (Reverse(length(b)), b.start)),
        sorted(&|b| (Reverse(0), b.start)),
        sorted(&|b| (Reverse(0), u32::MAX - b.end)),
        Preorder::TotalWidthArea.sort(buffers),
    ]
}

/// Puts one buffer after the other into a gap that is free during its life.
fn in_order(buffers: &[Buffer], order: &[usize], gap: Gap) -> Vec<u64> {
    let mut offsets = vec![0; buffers.len()];
    let mut placed: Vec<(u64, usize)> = Vec::with_capacity(order.len());
    for &b in order {
        let offset = find(buffers, &placed, &buffers[b], gap);
        offsets[b] = offset;
        let at = placed.partition_point(|&p| p < (offset, b));
        placed.insert(at, (offset, b));
    }
    offsets
}

/// An offset for `b` among `placed`, which is sorted by offset.
fn find(buffers: &[Buffer], placed: &[(u64, usize)], b: &Buffer, gap: Gap) -> u64 {
    let (mut free, mut narrowest) = (0u64, None);
    for &(at, other) in placed {
        let o = &buffers[other];
        if o.end <= b.start || b.end <= o.start {
            continue;
        }
        if at >= free + b.size {
            match gap {
                Gap::Lowest => return free,
                Gap::Narrowest => {
                    let width = at - free;
                    if narrowest.is_none_or(|(w, _)| width < w) {
                        narrowest = Some((width, free));
                    }
                }
            }
        }
        free = free.max((at + o.size).next_multiple_of(b.align));
    }
    narrowest.map_or(free, |(_, offset)| offset)
}
