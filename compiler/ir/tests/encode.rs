//! Encoded bytes: what comes back, and where each value stands.

use half::f16;
use mcv_ir::encode::{Rounded, bytes, decode, encode, encode_rounded, encode_rows, row_bytes};
use mcv_ir::{Dim, Elem, Layout, TensorType};
use proptest::prelude::*;

const WIDTHS: [u32; 7] = [7, 8, 9, 31, 33, 64, 127];
const PANELS: [(u16, u16); 4] = [(16, 4), (8, 8), (4, 1), (16, 2)];

fn matrix(elem: Elem, rows: u32, width: u32, layout: Layout) -> TensorType {
    TensorType::new(elem, [Dim::Is(rows), Dim::Is(width)]).with_layout(layout)
}

fn panels((rows, depth): (u16, u16)) -> Layout {
    Layout::Panels { rows, depth }
}

/// Numbers without order, the same on every run.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..n).map(|_| next() + next() + next()).collect()
}

fn round_trip(ty: &TensorType, values: &[f32]) -> Vec<f32> {
    let encoded = encode(ty, values).unwrap();
    assert_eq!(encoded.len() as u64, bytes(ty), "{ty}");
    decode(ty, &encoded).unwrap()
}

/// What an f16 scale below the normal range (2^-14) may miss by: half of 2^-24, times 127.
const TINY: f32 = 127.0 / (1 << 25) as f32;

/// Largest error beyond [`TINY`] in steps of the group, a step being `amax / levels`.
fn worst_steps(values: &[f32], back: &[f32], width: usize, levels: f32) -> f32 {
    let rows = values.chunks(width).zip(back.chunks(width));
    let groups = rows.flat_map(|(a, b)| a.chunks(32).zip(b.chunks(32)));
    let worst = |(a, b): (&[f32], &[f32])| {
        let step = a.iter().fold(0f32, |m, v| m.max(v.abs())) / levels;
        let error = a.iter().zip(b).fold(0f32, |m, (x, y)| m.max((x - y).abs() - TINY));
        if step == 0.0 { error } else { error / step }
    };
    groups.map(worst).fold(0.0, f32::max)
}

#[test]
fn floats_keep_their_values_in_every_layout() {
    for width in WIDTHS {
        let exact: Vec<f32> = noise(19 * width as usize, 3).iter().map(|v| (v * 64.0).round() / 64.0).collect();
        for elem in [Elem::F32, Elem::F16, Elem::Bf16] {
            for layout in [Layout::Rows, panels((16, 4)), panels((8, 1))] {
                assert_eq!(round_trip(&matrix(elem, 19, width, layout), &exact), exact, "{elem} {layout} {width}");
            }
        }
    }
}

#[test]
fn panels_hold_the_same_values_as_rows() {
    for width in WIDTHS {
        for rows in [1, 7, 16, 33] {
            let values = noise((rows * width) as usize, width);
            for elem in [Elem::Q8 { group: 32 }, Elem::Q4 { group: 32 }, Elem::Q4 { group: 16 }] {
                let plain = round_trip(&matrix(elem, rows, width, Layout::Rows), &values);
                for shape in PANELS {
                    let ty = matrix(elem, rows, width, panels(shape));
                    assert_eq!(round_trip(&ty, &values), plain, "{ty}");
                }
            }
        }
    }
}

#[test]
fn blocks_of_rows_are_the_whole() {
    for layout in [Layout::Rows, panels((16, 4))] {
        for elem in [Elem::F16, Elem::Q8 { group: 32 }, Elem::Q4 { group: 32 }] {
            let ty = matrix(elem, 41, 33, layout);
            let values = noise(41 * 33, 5);
            let (head, tail) = values.split_at(32 * 33);
            let mut blocks = encode_rows(&ty, 32, head).unwrap();
            blocks.extend(encode_rows(&ty, 9, tail).unwrap());
            assert_eq!(blocks, encode(&ty, &values).unwrap(), "{ty}");
        }
    }
}

#[test]
fn four_bit_bytes_stand_where_the_table_says() {
    let (rows, group, depth) = (3, 32, 4);
    let q = |n: usize, k: usize| ((n * 5 + k * 3) % 16) as i32 - 8;
    let values: Vec<f32> = (0..rows).flat_map(|n| (0..64).map(move |k| q(n, k) as f32 * 0.25)).collect();
    let ty = matrix(Elem::Q4 { group: 32 }, 3, 64, panels((16, 4)));
    let encoded = encode(&ty, &values).unwrap();
    for b in 0..2 {
        let block = &encoded[b * 16 * 18..][..16 * 18];
        for n in 0..16 {
            let scale = u16::from_le_bytes([block[2 * n], block[2 * n + 1]]);
            assert_eq!(scale, if n < rows { 0x3400 } else { 0 }, "scale of channel {n}");
            for (j, i) in (0..4).flat_map(|j| (0..depth).map(move |i| (j, i))) {
                let byte = i32::from(block[32 + (j * 16 + n) * depth + i]);
                let k = b * group + j * depth + i;
                let expected = if n < rows { (q(n, k) + 8) | (q(n, k + 16) + 8) << 4 } else { 0x88 };
                assert_eq!(byte, expected, "group {b} channel {n} k {k}");
            }
        }
    }
}

#[test]
fn eight_bit_bytes_stand_where_the_table_says() {
    let q = |n: usize, k: usize| if k == 0 { 127 } else { (n * 7 + k) as i32 - 20 };
    let values: Vec<f32> = (0..2).flat_map(|n| (0..32).map(move |k| q(n, k) as f32)).collect();
    let encoded = encode(&matrix(Elem::Q8 { group: 32 }, 2, 32, panels((4, 2))), &values).unwrap();
    assert_eq!(encoded.len(), 4 * 34);
    assert_eq!(encoded[..8], [0, 0x3c, 0, 0x3c, 0, 0, 0, 0]);
    for (n, k) in (0..2).flat_map(|n| (0..32).map(move |k| (n, k))) {
        let byte = i32::from(encoded[8 + ((k / 2) * 4 + n) * 2 + k % 2]);
        assert_eq!(byte, q(n, k) + 128, "channel {n} k {k}");
    }
}

#[test]
fn summed_rows_carry_scale_and_sum() {
    let ty = matrix(Elem::Q8 { group: 32 }, 1, 40, Layout::Summed);
    assert_eq!(row_bytes(&ty), 128);
    let mut values = vec![1.0f32; 40];
    values[0] = -127.0;
    let encoded = encode(&ty, &values).unwrap();
    let float = |at: usize| f32::from_le_bytes(encoded[at..at + 4].try_into().unwrap());
    assert_eq!(encoded[0] as i8, -127);
    assert_eq!((float(64), float(72)), (1.0, -96.0));
    assert_eq!((encoded[32], encoded[40]), (127, 0));
    assert!((float(76) - 8.0).abs() < 1e-6);
}

#[test]
fn bad_sizes_and_values_are_errors() {
    let ty = matrix(Elem::Q4 { group: 32 }, 2, 32, Layout::Rows);
    assert!(encode(&ty, &[0.0; 63]).is_err());
    assert!(decode(&ty, &[0; 5]).is_err());
    assert!(encode(&ty, &[f32::NAN; 64]).is_err());
    assert!(encode(&ty, &[f32::INFINITY; 64]).is_err());
    assert!(encode(&matrix(Elem::Q4 { group: 32 }, 2, 32, panels((16, 5))), &[0.0; 64]).is_err());
    assert!(encode(&matrix(Elem::Q8 { group: 0 }, 2, 32, Layout::Rows), &[0.0; 64]).is_err());
    assert!(encode(&matrix(Elem::F32, 2, 32, Layout::Summed), &[0.0; 64]).is_err());
    assert!(encode(&matrix(Elem::F32, u32::MAX, u32::MAX, Layout::Rows), &[0.0]).is_err());
}

#[test]
fn four_bits_search_beats_the_plain_scale() {
    let values = noise(32 * 512, 11);
    let back = round_trip(&matrix(Elem::Q4 { group: 32 }, 512, 32, Layout::Rows), &values);
    let plain = |group: &[f32]| {
        let extreme = group.iter().fold(0f32, |m, v| if v.abs() > m.abs() { *v } else { m });
        let scale = extreme / -8.0;
        group.iter().map(|v| (v - (v / scale).round_ties_even().clamp(-8.0, 7.0) * scale).powi(2)).sum::<f32>()
    };
    let found: f32 = values.iter().zip(&back).map(|(a, b)| (a - b).powi(2)).sum();
    let usual: f32 = values.chunks(32).map(plain).sum();
    assert!(found < 0.93 * usual, "searched {found}, plain {usual}");
}

#[test]
fn extreme_groups_stay_finite() {
    for size in [1e-30f32, 1e-7, 3e38, 1e6] {
        for elem in [Elem::Q8 { group: 32 }, Elem::Q4 { group: 32 }] {
            for layout in [Layout::Rows, panels((16, 4))] {
                let values: Vec<f32> = noise(64, 9).iter().map(|v| v * size).collect();
                let back = round_trip(&matrix(elem, 2, 32, layout), &values);
                assert!(back.iter().all(|v| v.is_finite()));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn eight_bits_are_within_half_a_step(
        width in 1u32..130, rows in 1u32..20, exponent in -8i32..8, seed: u32, summed: bool,
    ) {
        let values: Vec<f32> = noise((rows * width) as usize, seed).iter().map(|v| v * 2f32.powi(exponent)).collect();
        let layout = if summed { Layout::Summed } else { Layout::Rows };
        let back = round_trip(&matrix(Elem::Q8 { group: 32 }, rows, width, layout), &values);
        let worst = worst_steps(&values, &back, width as usize, 127.0);
        prop_assert!(worst <= 0.5 + 0.07, "{worst} steps: half, and the f16 scale's own 2^-11 of 127");
    }

    #[test]
    fn four_bits_are_within_a_step(width in 1u32..130, rows in 1u32..20, seed: u32) {
        let values = noise((rows * width) as usize, seed);
        let back = round_trip(&matrix(Elem::Q4 { group: 32 }, rows, width, Layout::Rows), &values);
        let worst = worst_steps(&values, &back, width as usize, 7.0);
        prop_assert!(worst < 2.0, "{worst} steps");
    }

    #[test]
    fn four_bit_grids_keep_their_values(
        q in prop::collection::vec(-8i8..8, 96), width in prop::sample::select(vec![8usize, 31, 32, 33, 48, 96]),
        scale in 0x0400u16..0x7000, negative: bool, shrink in 0u32..3,
    ) {
        let sign = if negative { -1.0 } else { 1.0 };
        let scale = sign * half::f16::from_bits(scale).to_f32();
        let values: Vec<f32> = q.iter().map(|q| f32::from(*q >> shrink) * scale).collect();
        let values = &values[..values.len() / width * width];
        let ty = matrix(Elem::Q4 { group: 32 }, (values.len() / width) as u32, width as u32, panels((16, 4)));
        prop_assert_eq!(round_trip(&ty, values), values);
    }
}

/// `cargo test --release -p mcv-ir --test encode -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, not a check"]
fn speed() {
    let values = noise(4096 * 1024, 1);
    for elem in [Elem::Q4 { group: 32 }, Elem::Q8 { group: 32 }, Elem::F16] {
        let ty = matrix(elem, 1024, 4096, panels((16, 4)));
        let start = std::time::Instant::now();
        encode(&ty, &values).unwrap();
        println!("{ty}: {:.0} M weights/s", values.len() as f64 / start.elapsed().as_secs_f64() / 1e6);
    }
}

/// Integers of the whole range and scales of both signs for `rows` x `width`.
fn rounded(elem: Elem, group: usize, rows: usize, width: usize) -> Rounded {
    let span: i32 = if matches!(elem, Elem::Q4 { .. }) { 16 } else { 255 };
    let integer = |i: usize| ((i * 7919 + i / 3) as i32 % span - span / 2) as i8;
    let scale = |i: usize| f16::from_f32((i as f32 * 0.37).sin() * 0.1);
    Rounded {
        elem,
        integers: (0..rows * width).map(integer).collect(),
        scales: (0..rows * width.div_ceil(group)).map(scale).collect(),
    }
}

#[test]
fn integers_and_scales_are_taken_over_as_they_are() {
    for (rows, width) in [(1, 32), (7, 33), (33, 64), (19, 127)] {
        for (elem, group) in [(Elem::Q4 { group: 32 }, 32), (Elem::Q8 { group: 32 }, 32), (Elem::Q4 { group: 16 }, 16)]
        {
            let known = rounded(elem, group, rows, width);
            let value = |(i, q): (usize, &i8)| {
                let (row, k) = (i / width, i % width);
                known.scales[row * width.div_ceil(group) + k / group].to_f32() * f32::from(*q)
            };
            let expected: Vec<f32> = known.integers.iter().enumerate().map(value).collect();
            for layout in [Layout::Rows, panels((16, 4)), panels((8, 8)), panels((4, 1))] {
                let ty = matrix(elem, rows as u32, width as u32, layout);
                let encoded = encode_rounded(&ty, rows as u64, &known).unwrap();
                assert_eq!(decode(&ty, &encoded).unwrap(), expected, "{ty}");
            }
        }
    }
}

#[test]
fn taken_over_rows_are_the_bytes_that_rounding_gives() {
    let elem = Elem::Q4 { group: 32 };
    let mut known = rounded(elem, 32, 19, 96);
    known.scales.iter_mut().for_each(|s| *s = f16::from_f32(s.to_f32().abs() + 0.01));
    // With -8 in each group, the scale of least error is the group's own.
    known.integers.iter_mut().step_by(32).for_each(|q| *q = -8);
    for layout in [Layout::Rows, panels((16, 4))] {
        let ty = matrix(elem, 19, 96, layout);
        let taken = encode_rounded(&ty, 19, &known).unwrap();
        assert_eq!(encode(&ty, &decode(&ty, &taken).unwrap()).unwrap(), taken, "{ty}");
    }
}

#[test]
fn rows_that_are_not_on_the_grid_are_refused() {
    let elem = Elem::Q4 { group: 32 };
    let ty = matrix(elem, 4, 64, Layout::Rows);
    let good = rounded(elem, 32, 4, 64);
    let refused = |edit: fn(&mut Rounded)| {
        let mut known = good.clone();
        edit(&mut known);
        encode_rounded(&ty, 4, &known).is_err()
    };
    assert!(encode_rounded(&ty, 4, &good).is_ok());
    assert!(refused(|r| r.integers[5] = 8));
    assert!(refused(|r| r.scales[1] = f16::NAN));
    assert!(refused(|r| r.scales.truncate(1)));
    assert!(refused(|r| r.integers.push(0)));
    assert!(refused(|r| r.elem = Elem::Q8 { group: 32 }));
}
