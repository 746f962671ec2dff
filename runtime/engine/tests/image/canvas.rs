//! Places on canvases against `transformers` (`models/reference/make_canvas.py` says how prompts are written here).

use super::fixture::{fnv, numbers, policy, rows};
use mcv_runtime::image::{Crop, Markers, Place, Policy, canvas_places, plan, slots};

const MARKERS: Markers = Markers { image_start: 381, image_end: 382, slice_start: 383, slice_end: 384, newline: 198 };
const VECTOR: u32 = 395;

/// A prompt in the making.
#[derive(Default)]
struct Written {
    ids: Vec<u32>,
    crops: Vec<Crop>,
}

impl Written {
    fn crop(&mut self, before: u32, (cols, rows): (u32, u32), unit: u32, after: u32) {
        self.ids.push(before);
        let (rows, cols) = ((rows / unit) as usize, (cols / unit) as usize);
        let start = self.ids.len();
        self.ids.resize(start + rows * cols, VECTOR);
        self.crops.push(Crop { tokens: start..self.ids.len(), rows, cols });
        self.ids.push(after);
    }

    fn picture(&mut self, (width, height): (u32, u32), policy: &Policy) {
        let layout = plan(width, height, policy).expect("a size");
        let sizes = layout.patch_grids();
        self.crop(381, sizes[0], policy.unit, 382);
        let cols = layout.grid().map_or(1, |(cols, _)| cols as usize);
        for (k, size) in sizes[1..].iter().enumerate() {
            if k > 0 && k % cols == 0 {
                self.ids.push(198);
            }
            self.crop(383, *size, policy.unit, 384);
        }
        self.ids.push(198);
    }

    fn turn(&mut self, pictures: &str, numbered: bool, policy: &Policy) {
        self.ids.extend([500, 501]);
        for (k, size) in pictures.split(' ').enumerate() {
            if numbered {
                self.ids.extend([385, 10 + k as u32, 386]);
            }
            let (width, height) = size.split_once('x').expect("two sides");
            self.picture((width.parse().expect("a side"), height.parse().expect("a side")), policy);
        }
        self.ids.extend([502, 503]);
    }

    fn places(&self, first: i32) -> Vec<Place> {
        canvas_places(&self.ids, &self.crops, &MARKERS, first)
    }
}

fn hash(places: &[Place]) -> String {
    fnv(&places.as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>())
}

#[test]
fn places_are_the_references() {
    let table = rows("image/canvas.csv");
    assert!(table.len() >= 200);
    for row in table {
        let [unit, scale_resolution, max_slices, numbered] = numbers(&row);
        let policy = Policy { unit, scale_resolution, max_slices, ..policy() };
        let (mut whole, mut by_turn) = (Written::default(), Vec::<Place>::new());
        for pictures in row[4].split('|') {
            whole.turn(pictures, numbered == 1, &policy);
            let mut turn = Written::default();
            turn.turn(pictures, numbered == 1, &policy);
            by_turn.extend(turn.places(by_turn.last().map_or(0, |place| place[0] + 1)));
        }
        assert_eq!(whole.ids.len().to_string(), row[5], "{row:?}");
        assert_eq!(hash(&whole.places(0)), row[6], "{row:?}");
        assert_eq!(hash(&by_turn), row[6], "{row:?}, turn by turn");
    }
}

#[test]
fn overviews_are_stretched_over_their_slices() {
    let mut prompt = Written::default();
    prompt.ids.push(7);
    prompt.crop(381, (2, 1), 1, 382);
    for _ in 0..2 {
        prompt.crop(383, (2, 2), 1, 384);
    }
    prompt.ids.push(8);
    let text = [[0, 0, 0], [6, 6, 6]];
    let overview = [[1, 0, 0], [1, 1, 1], [1, 1, 4], [1, 3, 5]];
    let left = [[1, 1, 1], [1, 1, 1], [1, 1, 2], [1, 2, 1], [1, 2, 2], [1, 2, 2]];
    let right = left.map(|[turn, row, col]| [turn, row, col + 2]);
    let expected: Vec<Place> = [&text[..1], &overview, &left, &right, &text[1..]].concat();
    assert_eq!(prompt.places(0), expected);
}

#[test]
fn odd_prompts_do_no_harm() {
    for (ids, crops) in [
        (vec![], vec![]),
        (vec![381, 382, 383, 384, 198], vec![]),
        (vec![395], vec![Crop { tokens: 0..1, rows: 1, cols: 1 }]),
        (vec![383, 395], vec![Crop { tokens: 1..2, rows: 1, cols: 1 }]),
        (vec![395, 383, 395], vec![Crop { tokens: 0..1, rows: 1, cols: 1 }, Crop { tokens: 2..3, rows: 1, cols: 1 }]),
    ] {
        assert_eq!(canvas_places(&ids, &crops, &MARKERS, 0).len(), ids.len());
    }
}

#[test]
fn slots_are_runs_of_vectors() {
    assert_eq!(slots(&[-1, 0, 1, -1, 2, -1, -1]), [1..3, 4..5]);
    assert_eq!(slots(&[0, 1, -1, 2]), [0..2, 3..4]);
    assert!(slots(&[-1, -1]).is_empty() && slots(&[]).is_empty());
}
