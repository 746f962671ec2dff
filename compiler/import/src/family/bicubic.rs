//! Weights of bicubic interpolation along one axis, as torch's `interpolate` computes them without antialiasing.

/// The cubic convolution kernel's parameter (torch's; with antialiasing it would be -0.5).
const A: f64 = -0.75;

/// `[to, from]`, row-major: value `p` of the stretched axis is the sum of its row's weights times the `from` values.
/// Half-pixel centres (`align_corners` false), the border repeats.
pub fn weights(from: u32, to: u32) -> Vec<f32> {
    let mut weights = vec![0.0; (from * to) as usize];
    for p in 0..to {
        let centre = (f64::from(p) + 0.5) * f64::from(from) / f64::from(to) - 0.5;
        for tap in -1..=2 {
            let at = centre.floor() + f64::from(tap);
            let source = at.clamp(0.0, f64::from(from.saturating_sub(1))) as u32;
            weights[(p * from + source) as usize] += kernel((centre - at).abs()) as f32;
        }
    }
    weights
}

fn kernel(x: f64) -> f64 {
    match x {
        x if x <= 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
        x if x < 2.0 => ((A * x - 5.0 * A) * x + 8.0 * A) * x - 4.0 * A,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::weights;

    #[test]
    fn every_row_sums_to_one_and_equal_lengths_copy() {
        for (from, to) in [(1, 5), (3, 8), (8, 32), (8, 3)] {
            for row in weights(from, to).chunks(from as usize) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{from} to {to}: {row:?}");
            }
        }
        assert_eq!(weights(2, 2), [1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_ramp_is_what_torch_makes_of_it() {
        // torch.nn.functional.interpolate(tensor([[[[0., 1., 2.]]]]), size=(1, 5), mode="bicubic")
        let ramp: Vec<f32> = weights(3, 5).chunks(3).map(|w| w[1] + 2.0 * w[2]).collect();
        let torch = [-0.096, 0.316, 1.0, 1.684, 2.096];
        assert!(ramp.iter().zip(torch).all(|(a, b)| (a - b).abs() < 1e-6), "{ramp:?}");
    }
}
