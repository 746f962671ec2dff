//! Weights of the resampled position table against torch's `interpolate`.

use mcv_runtime::image::{ImageError, position_weights};
use proptest::prelude::*;

/// Columns of the table, as large as the published one.
const SIDE: usize = 27;

/// Rows and columns of a grid, then patches and their values.
type Sample = (usize, usize, &'static [(usize, f64)]);

/// `interpolate(mode="bicubic", antialias=True)` in float32 of the table `((37 e) mod 101) / 101 - 0.5`.
const TORCH: &[Sample] = &[
    (32, 32, &[(0, -0.5450514), (341, 0.0571907), (512, 0.0229827), (1023, 0.2020436)]),
    (24, 43, &[(0, -0.4320765), (344, -0.413109), (516, -0.0082659), (1031, 0.2268458)]),
    (16, 63, &[(0, -0.1105182), (336, -0.1153165), (504, -0.0485189), (1007, 0.3041188)]),
    (65, 15, &[(0, -0.3376085), (325, 0.0120065), (487, 0.1149198), (974, 0.033905)]),
    (27, 27, &[(0, -0.5), (243, -0.480198), (364, -0.1534653), (728, 0.1930693)]),
    (9, 4, &[(0, 0.0212055), (12, -0.0380516), (18, 0.0078412), (35, 0.0349917)]),
    (1, 1, &[(0, -0.0052747)]),
];

fn weights(rows: usize, cols: usize, side: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; rows * cols * side * side];
    position_weights(rows, cols, side, &mut out).unwrap();
    out
}

#[test]
fn tables_are_resampled_as_torch_does() {
    for (rows, cols, expected) in TORCH {
        let weights = weights(*rows, *cols, SIDE);
        for (patch, value) in *expected {
            let row = &weights[patch * SIDE * SIDE..][..SIDE * SIDE];
            let table = (0..SIDE * SIDE).map(|entry| (entry * 37 % 101) as f64 / 101.0 - 0.5);
            let ours: f64 = row.iter().zip(table).map(|(w, t)| f64::from(*w) * t).sum();
            assert!((ours - value).abs() < 1e-6, "{rows} x {cols}, patch {patch}: {ours}, torch {value}");
        }
    }
}

#[test]
fn a_grid_of_the_tables_size_takes_the_table_as_it_is() {
    let weights = weights(5, 5, 5);
    assert!((0..25 * 25).all(|i| weights[i] == if i / 25 == i % 25 { 1.0 } else { 0.0 }));
}

#[test]
fn lengths_are_checked() {
    for (rows, cols, side, length) in [(2, 3, 4, 95), (0, 3, 4, 1), (usize::MAX, usize::MAX, 2, 4)] {
        let error = position_weights(rows, cols, side, &mut vec![0.0; length]);
        assert!(matches!(error, Err(ImageError::Length { what: "position weights", .. })), "{error:?}");
    }
    assert_eq!(position_weights(0, 7, 27, &mut []), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_sum_to_one(rows in 1usize..70, cols in 1usize..70, side in 1usize..30) {
        for row in weights(rows, cols, side).chunks(side * side) {
            prop_assert!((row.iter().map(|w| f64::from(*w)).sum::<f64>() - 1.0).abs() < 1e-4);
        }
    }
}
