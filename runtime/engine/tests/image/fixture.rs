//! Reads `tests/fixtures` and makes pictures without files.

use mcv_runtime::image::Policy;

/// The policy of the full-size models.
pub fn policy() -> Policy {
    Policy {
        max_slices: 9,
        scale_resolution: 448,
        patch: 14,
        slice_mode: true,
        unit: 1,
        square: 0,
        mean: [0.5; 3],
        std: [0.5; 3],
    }
}

pub fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The fields of each line of a table, comments left out.
pub fn rows(name: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(bytes(name)).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// The first `N` fields as numbers.
pub fn numbers<const N: usize>(row: &[String]) -> [u32; N] {
    std::array::from_fn(|i| row[i].parse().unwrap())
}

/// FNV-1a, 64 bits, in hexadecimal.
pub fn fnv(bytes: &[u8]) -> String {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Noise from a linear congruence; even seeds give only black and white, which exercises clipping.
pub fn pixels(count: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let black_and_white = |v: u8| if v > 127 { 255 } else { 0 };
    (0..count).map(|_| if seed % 2 == 1 { next() } else { black_and_white(next()) }).collect()
}
