//! Checks that share no code with the planner.

use std::collections::BTreeMap;

use super::{Buffer, PlanError};

/// Starts and ends in time order, ends first; the flag tells a start, the index whose it is.
fn events(buffers: &[Buffer]) -> Vec<(u32, bool, usize)> {
    let mut events: Vec<_> =
        buffers.iter().enumerate().flat_map(|(k, b)| [(b.start, true, k), (b.end, false, k)]).collect();
    events.sort_unstable();
    events
}

/// The most bytes live at one moment, regardless of alignment (saturating).
pub fn lower_bound(buffers: &[Buffer]) -> u64 {
    let (mut live, mut most) = (0u128, 0u128);
    for (_, starts, k) in events(buffers) {
        if buffers[k].start >= buffers[k].end {
            continue;
        }
        let size = u128::from(buffers[k].size);
        live = if starts { live + size } else { live - size };
        most = most.max(live);
    }
    u64::try_from(most).unwrap_or(u64::MAX)
}

/// Checks a placement and returns its height.
///
/// # Errors
/// [`PlanError::Overlap`] when two buffers share bytes while both are live;
/// [`PlanError::DoesNotFit`] when the height exceeds `capacity`; [`PlanError::Invalid`] for a
/// missing, superfluous, misaligned or overflowing offset, or an empty lifetime.
pub fn verify(buffers: &[Buffer], offsets: &[u64], capacity: Option<u64>) -> Result<u64, PlanError> {
    let height = height(buffers, offsets)?;
    let mut live: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, starts, k) in events(buffers) {
        let (from, size) = (offsets[k], buffers[k].size);
        if size == 0 {
            continue;
        }
        if !starts {
            live.remove(&from);
            continue;
        }
        let below = live.range(..=from).next_back();
        let below = below.filter(|&(&at, &other)| at + buffers[other].size > from);
        let above = live.range(from..).next();
        let above = above.filter(|&(&at, _)| at < from + size);
        if let Some((_, &first)) = below.or(above) {
            return Err(PlanError::Overlap { first, second: k });
        }
        live.insert(from, k);
    }
    match capacity {
        Some(capacity) if height > capacity => {
            Err(PlanError::DoesNotFit { capacity, best: height, lower_bound: lower_bound(buffers) })
        }
        _ => Ok(height),
    }
}

/// Checks each offset by itself; returns the highest byte used, plus one.
fn height(buffers: &[Buffer], offsets: &[u64]) -> Result<u64, PlanError> {
    if buffers.len() != offsets.len() {
        return Err(PlanError::Invalid {
            index: buffers.len().min(offsets.len()),
            reason: format!("{} buffers have {} offsets; give one each", buffers.len(), offsets.len()),
        });
    }
    let mut height = 0;
    for (index, (b, &offset)) in buffers.iter().zip(offsets).enumerate() {
        let invalid = |reason| Err(PlanError::Invalid { index, reason });
        if b.start >= b.end {
            return invalid(format!("lifetime [{}, {}) is empty", b.start, b.end));
        }
        if b.align == 0 || !offset.is_multiple_of(b.align) {
            return invalid(format!("offset {offset} is no multiple of alignment {}", b.align));
        }
        match offset.checked_add(b.size) {
            Some(top) => height = height.max(top),
            None => return invalid(format!("offset {offset} + size {} overflows", b.size)),
        }
    }
    Ok(height)
}
