//! Picture handling against Pillow and the models' Python preprocessing, and against hostile files.

#[path = "image/canvas.rs"]
mod canvas;
#[path = "image/fixture.rs"]
mod fixture;
#[path = "image/hostile.rs"]
mod hostile;
#[path = "image/positions.rs"]
mod positions;
#[path = "image/resampled.rs"]
mod resampled;

use fixture::{bytes, fnv, policy, rows};
use mcv_runtime::image::{ImageError, Policy, Rgb, Slice, decode, patchify, plan, resize, slices};
use proptest::prelude::*;

#[test]
fn resize_is_bit_exact_with_pillow() {
    for row in rows("resize/pillow.csv") {
        let [from_w, from_h, to_w, to_h, seed] = fixture::numbers(&row);
        let source = fixture::pixels((from_w * from_h * 3) as usize, seed);
        let picture = Rgb::from_raw(from_w, from_h, &source).unwrap();
        let resized = resize(&picture, to_w, to_h).unwrap();
        assert_eq!((resized.width(), resized.height()), (to_w, to_h));
        assert_eq!(fnv(resized.data()), row[5], "{row:?}");
    }
}

#[test]
fn resize_refuses_absurd_sizes() {
    let picture = Rgb::from_raw(1, 1, &[1, 2, 3]).unwrap();
    for (width, height) in [(0, 1), (1, 0), (u32::MAX, 1), (1, u32::MAX), (100_000, 100_000)] {
        assert!(matches!(resize(&picture, width, height), Err(ImageError::Size { .. })));
    }
}

#[test]
fn layouts_are_the_references() {
    let table = rows("image/layout.csv");
    assert!(table.len() >= 200);
    for row in table {
        let [max_slices, scale, patch, w, h, cols, grid_rows, overview_w, overview_h, refined_w, refined_h] =
            fixture::numbers(&row);
        let policy = Policy { max_slices, scale_resolution: scale, patch, ..policy() };
        let layout = plan(w, h, &policy).unwrap();
        let cut = layout.cut.map_or((0, 0, 0, 0), |c| (c.grid.0, c.grid.1, c.refined.0, c.refined.1));
        assert_eq!(layout.overview, (overview_w, overview_h), "{row:?}");
        assert_eq!(cut, (cols, grid_rows, refined_w, refined_h), "{row:?}");
    }
}

/// Whole preparation, bit by bit, of 230 odd sizes and aspect ratios.
#[test]
fn prepared_pictures_are_bit_exact() {
    let table = rows("image/prepared.csv");
    assert!(table.len() >= 200);
    for row in table {
        let [max_slices, scale, w, h, seed, count] = fixture::numbers(&row);
        let policy = Policy { max_slices, scale_resolution: scale, ..policy() };
        let picture = Rgb::from_raw(w, h, &fixture::pixels((w * h * 3) as usize, seed)).unwrap();
        let prepared = slices(&picture, &policy).unwrap().slices;
        assert_eq!(prepared.len(), count as usize, "{row:?}");
        let bytes: Vec<u8> = prepared.into_iter().flat_map(|s| s.rgb).collect();
        assert_eq!(fnv(&bytes), row[6], "{row:?}");
    }
}

#[test]
fn slices_and_patch_rows_are_the_references() {
    let policy = Policy { max_slices: 6, scale_resolution: 112, ..policy() };
    for row in rows("image/slices.csv") {
        let file = format!("image/{}.png", row[0]);
        let sliced = slices(&decode(&file, &bytes(&file)).unwrap(), &policy).unwrap();
        let slice = &sliced.slices[row[1].parse::<usize>().unwrap()];
        assert_eq!([slice.width.to_string(), slice.height.to_string()], row[2..4]);
        assert_eq!(fnv(&slice.rgb), row[4], "{row:?}");
        let mut values = vec![0.0; slice.rgb.len()];
        patchify(slice, &policy, &mut values).unwrap();
        let bits: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(fnv(&bits), row[5], "{row:?}");
    }
}

#[test]
fn slices_come_in_the_order_of_the_layout() {
    let picture = Rgb::from_raw(200, 150, &fixture::pixels(200 * 150 * 3, 3)).unwrap();
    let policy = Policy { scale_resolution: 112, ..policy() };
    let sliced = slices(&picture, &policy).unwrap();
    let grids: Vec<_> = sliced.slices.iter().map(|s| (s.cols, s.rows)).collect();
    assert_eq!(sliced.grid, Some((2, 2)));
    assert_eq!(grids, plan(200, 150, &policy).unwrap().patch_grids());
    assert!(sliced.slices.len() <= policy.max_slices_total() as usize);
}

#[test]
fn without_slicing_only_whole_patches_pass() {
    let policy = Policy { slice_mode: false, ..policy() };
    assert_eq!(plan(28, 42, &policy).unwrap().patch_grids(), [(2, 3)]);
    let error = plan(29, 42, &policy).unwrap_err();
    assert_eq!(error, ImageError::NotWholePatches { width: 29, height: 42, patch: 14 });
    assert!(error.to_string().contains("multiples of 14"));
    assert_eq!(policy.max_slices_total(), 1);
}

#[test]
fn a_square_takes_every_picture_whole() {
    let policy = Policy { square: 112, ..policy() };
    let picture = Rgb::from_raw(200, 50, &fixture::pixels(200 * 50 * 3, 3)).unwrap();
    let sliced = slices(&picture, &policy).unwrap();
    assert_eq!((sliced.grid, sliced.slices.len()), (None, 1));
    assert_eq!((sliced.slices[0].cols, sliced.slices[0].rows), (8, 8));
    assert_eq!((policy.max_patches(), policy.max_slices_total()), (64, 1));
}

#[test]
fn policies_out_of_range_are_refused_by_field() {
    let broken = [
        ("patch", Policy { patch: 0, ..policy() }),
        ("scale_resolution", Policy { scale_resolution: 0, ..policy() }),
        ("max_slices", Policy { max_slices: 1 << 30, ..policy() }),
        ("square", Policy { square: 113, ..policy() }),
        ("square", Policy { square: 1 << 20, ..policy() }),
        ("mean", Policy { mean: [0.0, f32::NAN, 0.0], ..policy() }),
        ("std", Policy { std: [0.5, 0.5, 0.0], ..policy() }),
    ];
    for (field, policy) in broken {
        assert!(plan(10, 10, &policy).unwrap_err().to_string().contains(field));
    }
}

#[test]
fn patchify_checks_lengths() {
    let slice = Slice { width: 14, height: 14, cols: 1, rows: 1, rgb: vec![0; 588] };
    assert!(patchify(&slice, &policy(), &mut [0.0; 587]).is_err());
    let short = Slice { rgb: vec![0; 10], ..slice.clone() };
    assert!(patchify(&short, &policy(), &mut [0.0; 588]).is_err());
    let huge = Slice { cols: u32::MAX, rows: u32::MAX, ..slice };
    assert!(patchify(&huge, &policy(), &mut [0.0; 588]).is_err());
}

proptest! {
    #[test]
    fn no_layout_exceeds_the_policys_bounds(
        w in 1u32..32_769, h in 1u32..3_000, tall: bool, max_slices in 0u32..65, scale in 1u32..700, patch in 1u32..60,
    ) {
        let policy = Policy { max_slices, scale_resolution: scale, patch, ..policy() };
        let (w, h) = if tall { (h, w) } else { (w, h) };
        let layout = plan(w, h, &policy).unwrap();
        prop_assert!(layout.max_patches() <= policy.max_patches());
        prop_assert!(layout.patch_grids().len() <= policy.max_slices_total() as usize);
        prop_assert!(layout.patch_grids().iter().all(|&(cols, rows)| cols > 0 && rows > 0));
    }
}
