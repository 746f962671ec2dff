use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn buffer(start: u32, end: u32, size: u64) -> Buffer {
    Buffer { start, end, size, align: 1 }
}

fn limits(capacity: Option<u64>) -> Limits {
    Limits { capacity, budget: Duration::from_secs(60), max_steps: 5_000 }
}

fn problem(most: usize) -> impl Strategy<Value = Vec<Buffer>> {
    let one = (0u32..30, 1u32..12, 0u64..40, prop::sample::select(vec![1u64, 1, 1, 4, 6]));
    let one = one.prop_map(|(start, length, size, align)| Buffer { start, end: start + length, size, align });
    prop::collection::vec(one, 0..most)
}

/// A solution cut out of a full rectangle, so that a placement at the lower bound exists.
fn guillotine(cuts: &[(bool, u64)]) -> (Vec<Buffer>, u64) {
    let mut pieces = vec![(0u32, 64u32, 0u64, 256u64)];
    for &(vertical, at) in cuts {
        let (left, right, low, high) = pieces.remove(0);
        let middle = left + (u64::from(right - left) * (at + 1) / 18) as u32;
        let level = low + (high - low) * (at + 1) / 18;
        if vertical && left < middle && middle < right {
            pieces.extend([(left, middle, low, high), (middle, right, low, high)]);
        } else if low < level && level < high {
            pieces.extend([(left, right, low, level), (left, right, level, high)]);
        } else {
            pieces.push((left, right, low, high));
        }
    }
    (pieces.iter().map(|&(s, e, low, high)| buffer(s, e, high - low)).collect(), 256)
}

/// The least height by trying every order, each buffer at the lowest place above its forerunners.
fn exact(buffers: &[Buffer], offsets: &mut Vec<Option<u64>>) -> u64 {
    let mut best = u64::MAX;
    for b in 0..buffers.len() {
        if offsets[b].is_some() {
            continue;
        }
        let meets = |o: &Buffer| o.start < buffers[b].end && buffers[b].start < o.end;
        let tops = buffers.iter().zip(offsets.iter());
        let tops = tops.filter(|(o, at)| at.is_some() && meets(o));
        let low = tops.map(|(o, at)| at.unwrap_or(0) + o.size).max().unwrap_or(0);
        offsets[b] = Some(low.next_multiple_of(buffers[b].align));
        best = best.min(exact(buffers, offsets));
        offsets[b] = None;
    }
    if best < u64::MAX {
        return best;
    }
    let tops = buffers.iter().zip(offsets.iter());
    tops.map(|(b, at)| at.unwrap_or(0) + b.size).max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn placements_are_valid(buffers in problem(40)) {
        let placement = place(&buffers, &limits(None)).unwrap();
        prop_assert_eq!(verify(&buffers, &placement.offsets, None).unwrap(), placement.height);
        prop_assert!(placement.height >= placement.lower_bound);
        prop_assert_eq!(place(&buffers, &limits(None)).unwrap(), placement);
    }

    #[test]
    fn small_problems_are_solved_exactly(buffers in problem(7)) {
        let solid: Vec<Buffer> = buffers.into_iter().filter(|b| b.size > 0).collect();
        let least = exact(&solid, &mut vec![None; solid.len()]);
        let generous = Limits { max_steps: 100_000, ..limits(None) };
        prop_assert_eq!(place(&solid, &generous).unwrap().height, least);
        prop_assert_eq!(place(&solid, &limits(Some(least))).unwrap().height, least);
        if least > 0 {
            let tight = place(&solid, &limits(Some(least - 1)));
            prop_assert!(matches!(tight, Err(PlanError::DoesNotFit { .. })), "{:?}", tight);
        }
    }

    #[test]
    fn full_rectangles_are_packed(cuts in prop::collection::vec((any::<bool>(), 0u64..17), 1..16)) {
        let (buffers, height) = guillotine(&cuts);
        let placement = place(&buffers, &limits(Some(height))).unwrap();
        prop_assert_eq!(placement.height, height);
    }

    #[test]
    fn verify_agrees_with_all_pairs(
        placed in prop::collection::vec((0u32..12, 1u32..6, 0u64..9, 0u64..30), 0..10)
    ) {
        let buffers: Vec<_> = placed.iter().map(|&(s, n, size, _)| buffer(s, s + n, size)).collect();
        let offsets: Vec<u64> = placed.iter().map(|p| p.3).collect();
        let clash = |a: usize, b: usize| {
            let ((x, p), (y, q)) = ((&buffers[a], offsets[a]), (&buffers[b], offsets[b]));
            x.start < y.end && y.start < x.end && p < q + y.size && q < p + x.size
                && x.size > 0 && y.size > 0
        };
        let any = (0..buffers.len()).any(|a| (0..a).any(|b| clash(a, b)));
        match verify(&buffers, &offsets, None) {
            Ok(_) => prop_assert!(!any),
            Err(PlanError::Overlap { first, second }) => prop_assert!(clash(first, second)),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn nothing_takes_no_room() {
    let placement = place(&[], &limits(Some(0))).unwrap();
    assert_eq!((placement.height, placement.method), (0, "greedy"));
    assert_eq!(place(&[buffer(0, 9, 0)], &limits(None)).unwrap().height, 0);
}

#[test]
fn too_little_capacity_is_refused_with_the_reason() {
    let buffers = [buffer(0, 2, 10), buffer(1, 3, 10)];
    let error = place(&buffers, &limits(Some(19))).unwrap_err();
    assert_eq!(error, PlanError::DoesNotFit { capacity: 19, best: 20, lower_bound: 20 });
    assert!(error.to_string().contains("raise the capacity"));
}

#[test]
fn alignment_is_kept() {
    let odd = Buffer { start: 0, end: 4, size: 3, align: 1 };
    let aligned = Buffer { align: 64, size: 100, ..odd };
    let placement = place(&[odd, odd, aligned, aligned], &limits(None)).unwrap();
    assert!(placement.offsets[2].is_multiple_of(64) && placement.offsets[3].is_multiple_of(64));
    assert_eq!(placement.height, 128 + 100);
}

/// Found by chance: a buffer that waits for support must not be lifted once it has some.
#[test]
fn a_supported_buffer_stays() {
    let at = |start, end, size, align| Buffer { start, end, size, align };
    let buffers = [at(19, 22, 10, 4), at(12, 22, 21, 4), at(16, 20, 9, 1), at(11, 13, 1, 1)];
    assert_eq!(place(&buffers, &limits(None)).unwrap().height, 41);
}

#[test]
fn senseless_buffers_are_refused() {
    for bad in [
        buffer(5, 5, 1),
        buffer(6, 5, 1),
        buffer(0, 1, u64::MAX),
        Buffer { align: 0, ..buffer(0, 1, 1) },
        Buffer { align: u64::MAX, ..buffer(0, 1, 1) },
    ] {
        let error = place(&[buffer(0, 1, 1), bad], &limits(None)).unwrap_err();
        assert!(matches!(error, PlanError::Invalid { index: 1, .. }), "{error}");
    }
}

#[test]
fn verify_refuses_bad_offsets() {
    let buffers = [buffer(0, 2, 10), Buffer { align: 4, ..buffer(1, 3, 10) }];
    assert_eq!(verify(&buffers, &[0, 12], Some(22)), Ok(22));
    assert_eq!(verify(&buffers, &[0, 8], None), Err(PlanError::Overlap { first: 0, second: 1 }));
    for (offsets, capacity) in
        [(&[0][..], None), (&[0, 12, 24], None), (&[0, 11], None), (&[0, u64::MAX - 3], None), (&[0, 12], Some(21))]
    {
        assert!(verify(&buffers, offsets, capacity).is_err(), "{offsets:?}");
    }
}

#[test]
fn the_deepest_search_does_not_exhaust_the_stack() {
    let chain: Vec<Buffer> =
        (0..SEARCHED as u32).map(|k| buffer(k / 8, k / 8 + 2 + k % 3, 1 + u64::from(k * 37 % 29))).collect();
    let capacity = lower_bound(&chain) * 2;
    let (answer, steps) = strategy::search(&chain, capacity, 40_000, None);
    let Answer::Found(offsets) = answer else {
        panic!("nothing found in {steps} steps");
    };
    assert!(steps >= SEARCHED as u64);
    assert!(verify(&chain, &offsets, Some(capacity)).is_ok());
}
