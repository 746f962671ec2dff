//! Abstract time cut into sections, the maximal sets of buffers that are live together.

use super::Buffer;

/// A placement problem in section coordinates: buffer `b` lives in sections `lo[b]..hi[b]`.
///
/// Two buffers overlap in time exactly when their section ranges overlap, so nothing is lost; times
/// at which the live set is a subset of a neighbour's are gone.
pub(super) struct Sections {
    pub(super) count: usize,
    pub(super) lo: Vec<usize>,
    pub(super) hi: Vec<usize>,
}

impl Sections {
    /// Cuts time at those starts that are followed by an end before the next start.
    pub(super) fn new(buffers: &[Buffer]) -> Sections {
        let mut starts: Vec<u32> = buffers.iter().map(|b| b.start).collect();
        let mut ends: Vec<u32> = buffers.iter().map(|b| b.end).collect();
        starts.sort_unstable();
        starts.dedup();
        ends.sort_unstable();
        let mut points = Vec::new();
        let mut seen = 0;
        for (k, &start) in starts.iter().enumerate() {
            let until = starts.get(k + 1).copied().unwrap_or(u32::MAX);
            let before = seen;
            seen += ends[seen..].iter().take_while(|&&end| end <= until).count();
            if seen > before {
                points.push(start);
            }
        }
        let at = |time: u32| points.partition_point(|&p| p < time);
        Sections {
            count: points.len(),
            lo: buffers.iter().map(|b| at(b.start)).collect(),
            hi: buffers.iter().map(|b| at(b.end)).collect(),
        }
    }

    /// Bytes live in each section.
    pub(super) fn totals(&self, buffers: &[Buffer]) -> Vec<u64> {
        let mut totals = vec![0; self.count];
        for ((&lo, &hi), b) in self.lo.iter().zip(&self.hi).zip(buffers) {
            for total in &mut totals[lo..hi] {
                *total += b.size;
            }
        }
        totals
    }

    /// How many buffers cross the border between section `k` and section `k + 1`.
    pub(super) fn crossings(&self) -> Vec<u32> {
        let mut cross = vec![0; self.count];
        for (&lo, &hi) in self.lo.iter().zip(&self.hi) {
            for c in &mut cross[lo..hi - 1] {
                *c += 1;
            }
        }
        cross
    }

    /// Groups of buffers (by index, ascending) that share no section with any other group.
    pub(super) fn components(&self) -> Vec<Vec<usize>> {
        let cross = self.crossings();
        let mut group_of = Vec::with_capacity(self.count);
        let mut group = 0;
        for &c in &cross {
            group_of.push(group);
            group += usize::from(c == 0);
        }
        let mut groups = vec![Vec::new(); group];
        for (b, &lo) in self.lo.iter().enumerate() {
            groups[group_of[lo]].push(b);
        }
        groups
    }
}
