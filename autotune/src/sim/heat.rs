//! Heat: a chip on a case in the air, each with its own time.

use super::config::HeatConfig;

/// Longest step that is computed at once, seconds.
const STEP: f64 = 0.5;

/// Temperatures above the air.
pub struct Heat {
    config: HeatConfig,
    chip: f64,
    case: f64,
}

impl Heat {
    /// A cool device.
    pub fn new(config: &HeatConfig) -> Self {
        Heat { config: config.clone(), chip: 0.0, case: 0.0 }
    }

    /// Degrees Celsius of the chip.
    pub fn degrees(&self) -> f64 {
        self.config.ambient + self.chip + self.case
    }

    /// Share of the full clock.
    pub fn clock(&self) -> f64 {
        let over = (self.degrees() - self.config.limit).max(0.0);
        (1.0 - over * self.config.slope).max(self.config.floor)
    }

    /// Lets time pass with `watts`.
    pub fn run(&mut self, seconds: f64, watts: f64) {
        let mut left = seconds;
        while left > 0.0 {
            let step = left.min(STEP);
            let near = |now: f64, goal: f64, time: f64| goal + (now - goal) * (-step / time).exp();
            self.chip = near(self.chip, watts * self.config.chip, self.config.chip_seconds);
            self.case = near(self.case, watts * self.config.case, self.config.case_seconds);
            left -= step;
        }
    }
}
