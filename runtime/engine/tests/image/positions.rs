//! Position ids against the table torch made.

use mcv_runtime::image::{bucket_ids, position_ids};

/// Where torch's id for n patches in 70 rows is one below `70 * i / n`, for n = 1..=100.
const ONE_LOWER: &[(usize, &[usize])] = &[
    (25, &[5, 10, 15, 20]),
    (49, &[7, 14, 35, 42]),
    (50, &[5, 10, 15, 20, 30, 40]),
    (55, &[11, 22, 33, 44]),
    (58, &[29]),
    (77, &[55]),
    (82, &[41]),
    (86, &[43]),
    (94, &[47]),
    (98, &[7, 14, 35, 42, 56, 70, 84]),
    (100, &[10, 20, 30, 40, 80]),
];

#[test]
fn bucket_ids_are_torchs() {
    for n in 1..=100 {
        let lower = ONE_LOWER.iter().find(|(m, _)| *m == n).map_or(&[][..], |(_, at)| *at);
        let expected: Vec<i32> = (0..n).map(|i| (70 * i / n - usize::from(lower.contains(&i))) as i32).collect();
        assert_eq!(bucket_ids(n, 70), expected, "n = {n}");
    }
}

#[test]
fn ids_stay_inside_the_table() {
    for side in [1, 2, 8, 27, 32, 64, 70] {
        for n in [0, 1, 2, 31, 69, 71, 1000, 5793] {
            let ids = bucket_ids(n, side);
            assert_eq!(ids.len(), n);
            assert!(ids.is_sorted() && ids.iter().all(|&id| (0..side as i32).contains(&id)), "{n} in {side}");
        }
    }
}

#[test]
fn position_ids_go_row_by_row() {
    assert_eq!(position_ids(2, 3, 70), [0, 23, 46, 2450, 2473, 2496]);
    assert!(position_ids(0, 3, 70).is_empty());
}
