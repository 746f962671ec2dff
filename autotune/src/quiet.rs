//! Whether a device was quiet during a run, compared with how quiet it usually is.

use std::collections::VecDeque;

/// Share of core seconds above the usual from which on a run says little.
const MARGIN: f64 = 0.04;
/// Runs that tell what is usual.
const LATELY: usize = 64;
/// A device counts as quiet until so many runs have shown it otherwise.
const AT_FIRST: usize = 4;

/// What others usually have of a device.
#[derive(Debug, Clone)]
pub struct Quiet(VecDeque<f64>);

impl Default for Quiet {
    fn default() -> Self {
        Quiet(VecDeque::from(vec![0.0; AT_FIRST]))
    }
}

impl Quiet {
    /// Whether others had more than usual; never where the system doesn't tell.
    pub fn is_disturbed(&self, others: Option<f64>) -> bool {
        let mut seen: Vec<f64> = self.0.iter().copied().collect();
        seen.sort_by(f64::total_cmp);
        others.is_some_and(|o| o > seen[seen.len() / 4] + MARGIN)
    }

    /// Takes note of a run.
    pub fn note(&mut self, others: Option<f64>) {
        self.0.extend(others.filter(|o| o.is_finite()));
        self.0.drain(..self.0.len().saturating_sub(LATELY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_is_quiet_and_more_is_not() {
        let mut quiet = Quiet::default();
        assert!(quiet.is_disturbed(Some(0.3)) && !quiet.is_disturbed(Some(0.02)) && !quiet.is_disturbed(None));
        // A device that others always use: as usual is as good as it gets.
        (0..20).for_each(|_| quiet.note(Some(0.3)));
        assert!(!quiet.is_disturbed(Some(0.32)) && quiet.is_disturbed(Some(0.5)));
        (0..100).for_each(|_| quiet.note(Some(f64::NAN)));
        (0..100).for_each(|_| quiet.note(Some(0.0)));
        assert!(quiet.is_disturbed(Some(0.3)) && quiet.0.len() <= LATELY);
    }
}
