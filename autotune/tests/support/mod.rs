//! Searches on simulated devices, and how far they end from the optimum.

use mcv_tune::device::Device;
use mcv_tune::fleet::{self, Plan};
use mcv_tune::setting::Setting;
use mcv_tune::sim::Sim;
use mcv_tune::{rivals, space};

/// All simulated devices.
pub const DEVICES: [&str; 4] = ["snapdragon8g3", "snapdragon8elite", "dimensity9300", "apple-m1"];

/// One phase on one device.
pub struct Trial {
    pub phase: String,
    pub candidates: usize,
    pub runs: usize,
    /// Time of the winner over the least of all, less 1, both without noise.
    pub regret: f64,
    pub setting: Setting,
}

/// Searches all phases.
pub fn trial(device: &str, seed: u64) -> Vec<Trial> {
    let sim = Sim::new(device, seed).expect("a device");
    let devices: Vec<Box<dyn Device>> = vec![Box::new(Sim::new(device, seed).expect("a device"))];
    let plan = Plan { budget: None, phases: &[], priors: &[], confirm: 0, journal: None };
    let outcomes = fleet::tune(devices, &plan, &|_| ()).expect("tuned");
    let regret = |phase: &str, setting: &Setting| {
        let all = space::all(sim.hello(), phase);
        sim.truth(phase, setting) / sim.optimum(phase, &all).expect("an optimum").1 - 1.0
    };
    outcomes
        .into_iter()
        .map(|o| Trial {
            regret: regret(&o.record.phase, &o.record.setting),
            candidates: o.candidates,
            runs: o.found.runs,
            setting: o.record.setting,
            phase: o.record.phase,
        })
        .collect()
}

/// Regrets of the two plain searches with as many runs: random, greedy.
pub fn plain(device: &str, seed: u64, phase: &str, budget: usize) -> (f64, f64) {
    let truth = Sim::new(device, seed).expect("a device");
    let all = space::all(truth.hello(), phase);
    let least = truth.optimum(phase, &all).expect("an optimum").1;
    let runs = |sim: &mut Sim, s: &Setting| sim.measure(phase, s).ok().map(|x| x.seconds.into());
    let mut sim = Sim::new(device, seed).expect("a device");
    let random = rivals::random(&all, budget, seed, &mut |s| Ok(runs(&mut sim, s))).expect("runs").expect("one");
    let mut sim = Sim::new(device, seed).expect("a device");
    let greedy = rivals::greedy(truth.hello(), phase, budget, &mut |s| Ok(runs(&mut sim, s))).expect("runs");
    (truth.truth(phase, &random) / least - 1.0, truth.truth(phase, &greedy) / least - 1.0)
}

/// Mean and worst regret per device and phase.
pub fn print_table(seeds: std::ops::RangeInclusive<u64>) {
    println!("regret in %, mean and worst of seeds {seeds:?}; runs as a share of all candidates");
    println!("{:18}{:9}{:>7}{:>14}{:>6}{:>16}{:>16}", "device", "phase", "runs %", "ours", "> 3 %", "random", "greedy");
    for device in DEVICES {
        let mut rows: std::collections::BTreeMap<String, Vec<[f64; 4]>> = std::collections::BTreeMap::new();
        for seed in seeds.clone() {
            for t in trial(device, seed) {
                let (random, greedy) = plain(device, seed, &t.phase, t.runs);
                rows.entry(t.phase).or_default().push([t.runs as f64 / t.candidates as f64, t.regret, random, greedy]);
            }
        }
        for (phase, rows) in rows {
            let mean = |i: usize| 100.0 * rows.iter().map(|r| r[i]).sum::<f64>() / rows.len() as f64;
            let worst = |i: usize| 100.0 * rows.iter().map(|r| r[i]).fold(0.0, f64::max);
            let pair = |i: usize| format!("{:.1} / {:.1}", mean(i), worst(i));
            let missed = rows.iter().filter(|r| r[1] > 0.03).count();
            println!("{device:18}{phase:9}{:>7.1}{:>14}{missed:>6}{:>16}{:>16}", worst(0), pair(1), pair(2), pair(3));
        }
    }
}
