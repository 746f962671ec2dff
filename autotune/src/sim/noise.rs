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

/// Share of the visits, and of the spikes, that take memory's time only and so show nowhere.
const HIDDEN: (f64, f64) = (0.15, 0.5);
/// Least and most of what another visit costs that the system shows as time of other processes.
const SHOWN: (f64, f64) = (0.3, 1.0);
/// Mean of what it shows where nobody visits.
const BACKGROUND: f64 = 0.01;
/// Seconds of the kernel's ticks, in which it counts.
const TICK: f64 = 0.01;

/// What a run meets.
pub struct Met {
    /// Factor on its time.
    pub factor: f64,
    /// Share of that which the system shows as time of others, before it is counted in ticks.
    shown: f64,
}

/// The noise of one device.
pub struct Noise {
    config: NoiseConfig,
    random: Random,
    /// Decides what shows; of its own, so that times are the same for those who don't look.
    showing: Random,
    /// The next or present visit of another app: from, to, share of time.
    visit: (f64, f64, f64),
    /// Share of its cost that shows.
    shown: f64,
}

impl Noise {
    /// Equal seeds give equal noise for equal runs.
    pub fn new(seed: u64, config: &NoiseConfig) -> Self {
        let (random, showing) = (Random::new(seed), Random::new(!seed));
        let mut noise = Noise { config: config.clone(), random, showing, visit: (0.0, 0.0, 0.0), shown: 0.0 };
        noise.next_visit(0.0);
        noise
    }

    fn next_visit(&mut self, now: f64) {
        let from = now + self.random.exponential(self.config.visits);
        let to = from + self.random.exponential(self.config.visit);
        self.visit = (from, to, self.config.contention * (0.5 + self.random.unit()));
        let shows = self.showing.unit() >= HIDDEN.0;
        self.shown = if shows { SHOWN.0 + (SHOWN.1 - SHOWN.0) * self.showing.unit() } else { 0.0 };
    }

    /// Whether this run crashes.
    pub fn crashes(&mut self) -> bool {
        self.random.unit() < self.config.crashes
    }

    /// What a run meets that begins now.
    pub fn meet(&mut self, now: f64, setting: &Setting) -> Met {
        while now > self.visit.1 {
            self.next_visit(now);
        }
        let mut met = Met { factor: 1.0 + self.random.exponential(self.config.jitter), shown: 0.0 };
        if self.random.unit() < self.config.spikes {
            let spike = self.random.exponential(self.config.spike);
            met.factor += spike;
            met.shown += if self.showing.unit() < HIDDEN.1 { 0.0 } else { spike };
        }
        if now >= self.visit.0 {
            let cost = self.visit.2 * (0.4 + 0.15 * setting.threads as f64);
            met.factor *= 1.0 + cost;
            met.shown += cost * self.shown;
        }
        met
    }

    /// Share of a run's core seconds that the system tells others had.
    pub fn others(&mut self, met: &Met, seconds: f64) -> f64 {
        self.counted(met.shown, seconds)
    }

    /// The same of `seconds` without a run.
    pub fn others_at_rest(&mut self, now: f64, seconds: f64) -> f64 {
        let beside = (self.visit.1.min(now + seconds) - self.visit.0.max(now)).max(0.0) / seconds.max(TICK);
        self.counted(self.visit.2 * self.shown * beside, seconds)
    }

    fn counted(&mut self, shown: f64, seconds: f64) -> f64 {
        let ticks = (shown + self.showing.exponential(BACKGROUND)) * seconds / TICK;
        ((ticks + self.showing.unit()).floor() * TICK / seconds.max(TICK)).min(1.0)
    }
}
