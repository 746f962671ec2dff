//! Noise: what other apps and the system take. It never makes a run faster.

use super::config::NoiseConfig;
use crate::setting::Setting;

/// Random numbers: xorshift64*, Marsaglia 2003 and Vigna 2016.
pub struct Random(u64);

impl Random {
    /// Equal seeds give equal numbers.
    pub fn new(seed: u64) -> Self {
        let mut random = Random((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1);
        (0..8).for_each(|_| {
            random.unit();
        });
        random
    }

    /// From 0 to below 1.
    pub fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Exponential with that mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).max(1e-12).ln()
    }

    /// Below `n`.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }
}

/// The noise of one device.
pub struct Noise {
    config: NoiseConfig,
    random: Random,
    /// The next or present visit of another app: from, to, share of time.
    visit: (f64, f64, f64),
}

impl Noise {
    /// Equal seeds give equal noise for equal runs.
    pub fn new(seed: u64, config: &NoiseConfig) -> Self {
        let mut noise = Noise { config: config.clone(), random: Random::new(seed), visit: (0.0, 0.0, 0.0) };
        noise.next_visit(0.0);
        noise
    }

    fn next_visit(&mut self, now: f64) {
        let from = now + self.random.exponential(self.config.visits);
        let to = from + self.random.exponential(self.config.visit);
        self.visit = (from, to, self.config.contention * (0.5 + self.random.unit()));
    }

    /// Whether this run crashes.
    pub fn crashes(&mut self) -> bool {
        self.random.unit() < self.config.crashes
    }

    /// Factor on a run that begins now.
    pub fn factor(&mut self, now: f64, setting: &Setting) -> f64 {
        while now > self.visit.1 {
            self.next_visit(now);
        }
        let mut factor = 1.0 + self.random.exponential(self.config.jitter);
        if self.random.unit() < self.config.spikes {
            factor += self.random.exponential(self.config.spike);
        }
        if now >= self.visit.0 {
            factor *= 1.0 + self.visit.2 * (0.4 + 0.15 * setting.threads as f64);
        }
        factor
    }
}
