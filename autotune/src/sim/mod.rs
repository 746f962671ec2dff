//! Devices that do not exist, for testing a search: their fastest setting is known. See `SIMULATOR.md`.
//!
//! Nothing here may be used by the search, and no figure is shared with it or with the compiler's SoC files.

mod config;
mod heat;
mod noise;
mod world;

pub use config::Config;
pub use noise::Random;
pub use world::seconds;

use crate::device::{Device, Hello, Rested, Sample};
use crate::setting::{Core, Setting};
use crate::space;
use heat::Heat;
use mcv_ir::{Error, Result};
use noise::Noise;

/// Seconds of a run that crashed or was given up.
const GIVEN_UP: f64 = 60.0;

/// A simulated device.
pub struct Sim {
    config: Config,
    hello: Hello,
    noise: Noise,
    heat: Heat,
    runs: u64,
    now: f64,
}

impl Sim {
    /// Tokens or slices of a run of a phase.
    pub fn count(&self, phase: &str) -> f64 {
        self.config.phases.get(phase).map_or(1.0, |p| p.count)
    }

    /// The device of that name; equal seeds give equal runs.
    ///
    /// # Errors
    /// No such device.
    pub fn new(name: &str, seed: u64) -> Result<Self> {
        let config = Config::named(name)?;
        let hello = hello(&config);
        let noise = Noise::new(seed, &config.noise);
        let heat = Heat::new(&config.heat);
        Ok(Sim { config, hello, noise, heat, runs: 0, now: 0.0 })
    }

    /// Seconds without noise, heat and other apps.
    pub fn truth(&self, phase: &str, setting: &Setting) -> f64 {
        world::seconds(&self.config, phase, setting)
    }

    /// The fastest of `space` and its seconds without noise, found by trying all.
    pub fn optimum<'a>(&self, phase: &str, space: &'a [Setting]) -> Option<(&'a Setting, f64)> {
        let timed = space.iter().map(|s| (s, self.truth(phase, s)));
        timed.min_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// The least seconds of one run of each phase with one type of KV cache for all, without noise, found by trying all.
    pub fn least_sum(&self, phases: &[String]) -> f64 {
        let least = |kv: &String, phase: &String| {
            let all = space::all(&self.hello_of(kv), phase);
            self.optimum(phase, &all).map_or(f64::INFINITY, |(_, seconds)| seconds)
        };
        let sum = |kv: &String| phases.iter().map(|phase| least(kv, phase)).sum::<f64>();
        self.hello.kv.iter().map(sum).fold(f64::INFINITY, f64::min)
    }

    /// Seconds that passed in the simulated world.
    pub fn now(&self) -> f64 {
        self.now
    }

    /// The cores that the system gives for those that were asked for, and what it has to say about it.
    fn placed(&self, setting: &Setting) -> (Setting, Vec<String>) {
        let Some(away) = self.config.background.as_ref().filter(|b| b.now(self.runs)) else {
            return (setting.clone(), vec![]);
        };
        let asked: Vec<usize> = setting.cores.clone();
        if asked.iter().all(|id| away.keep.contains(id)) && !asked.is_empty() {
            return (setting.clone(), vec![]);
        }
        let keep: Vec<usize> = away.keep.iter().copied().take(setting.threads).collect();
        let note = "the app is in the background: other cores instead".to_string();
        (Setting { threads: keep.len(), cores: keep, ..setting.clone() }, vec![note])
    }
}

fn hello(config: &Config) -> Hello {
    let mut cores: Vec<Core> = Vec::new();
    for cluster in &config.clusters {
        let core = |id: &usize| Core { id: *id, speed: cluster.told, allowed: !config.denied.contains(id) };
        cores.extend(cluster.ids.iter().map(core));
    }
    Hello {
        model: "simulated".into(),
        soc: format!("sim {}", config.name),
        cores,
        phases: config.phases.keys().cloned().collect(),
        level: "simulated".into(),
        units: vec![],
        gpu: None,
        kv: config.kv.keys().cloned().collect(),
        parts: Default::default(),
        file: Default::default(),
        family: String::new(),
        levels: vec![],
        kernels: vec![],
        temperature: Some(config.heat.ambient),
    }
}

impl Device for Sim {
    fn name(&self) -> String {
        format!("sim:{}", self.config.name)
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        if !self.config.phases.contains_key(phase) {
            return Err(Error::input(format!("{}: no phase {phase}", self.name())));
        }
        let (placed, notes) = self.placed(setting);
        self.runs += 1;
        if self.noise.crashes() {
            self.now += GIVEN_UP;
            return Err(Error::unsupported(format!("{}: the candidate crashed", self.name())));
        }
        let ideal = world::seconds(&self.config, phase, &placed);
        let cold = if self.runs == 1 { self.config.noise.cold } else { 1.0 };
        let met = self.noise.meet(self.now, &placed);
        let seconds = ideal * cold * met.factor / self.heat.clock();
        self.now += seconds;
        self.heat.run(seconds, world::busy(&self.config, &placed));
        Ok(Sample {
            seconds,
            count: self.count(phase),
            cores: placed.cores,
            notes,
            temperature: Some(self.heat.degrees()),
            clocks: vec![self.heat.clock() * 1000.0],
            others: Some(self.noise.others(&met, seconds)),
        })
    }

    fn rest(&mut self, seconds: f64) -> Rested {
        let others = Some(self.noise.others_at_rest(self.now, seconds));
        self.now += seconds;
        self.heat.run(seconds, 0.0);
        Rested { temperature: Some(self.heat.degrees()), others }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_sane_and_surprising() {
        for name in config::NAMES {
            let sim = Sim::new(name, 1).unwrap();
            for phase in &sim.hello().phases {
                let all = space::all(sim.hello(), phase);
                let (best, least) = sim.optimum(phase, &all).unwrap();
                let default = sim.truth(phase, &space::default(sim.hello(), phase));
                assert!(least > 0.0 && default > 1.03 * least, "{name} {phase}: {best} {least} of {default}");
                let near = all.iter().filter(|s| sim.truth(phase, s) < 1.03 * least).count();
                assert!(near * 50 < all.len() * 3, "{name} {phase}: {near} of {} are within 3 %", all.len());
            }
        }
        assert!(Sim::new("toaster", 1).err().unwrap().to_string().contains("toaster"));
    }

    #[test]
    fn equal_seeds_give_equal_runs_and_heat_slows_down() {
        let mut a = Sim::new("snapdragon8g3", 3).unwrap();
        let mut b = Sim::new("snapdragon8g3", 3).unwrap();
        let setting = space::default(a.hello(), "vision");
        let runs = |s: &mut Sim| (0..300).map(|_| s.measure("vision", &setting).map_or(0.0, |x| x.seconds)).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = (runs(&mut a), runs(&mut b));
        assert_eq!(x, y);
        let least = |v: &[f64]| v.iter().copied().filter(|s| *s > 0.0).fold(f64::MAX, f64::min);
        assert!(least(&x[200..]) > 1.05 * least(&x[1..20]), "{} {}", least(&x[200..]), least(&x[1..20]));
        let mut rested = |seconds| a.rest(seconds).temperature.unwrap();
        assert!(rested(0.0) - 10.0 > rested(600.0));
    }
}
