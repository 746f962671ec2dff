//! Searches on simulated devices, and how far they end from the optimum.

use mcv_tune::device::Device;
use mcv_tune::fleet::{self, Outcome, Plan};
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
    /// Time of the winner over the least of all with its type of KV cache, less 1, both without noise.
    pub regret: f64,
    pub setting: Setting,
}

/// Time of the winners of the phases that share the KV cache over the least that one type of it allows, less 1.
pub fn regret_together(device: &str, trials: &[Trial]) -> f64 {
    let sim = Sim::new(device, 1).expect("a device");
    let cached: Vec<&Trial> = trials.iter().filter(|t| t.setting.kv.is_some()).collect();
    let phases: Vec<String> = cached.iter().map(|t| t.phase.clone()).collect();
    assert!(phases.len() == 2 && cached[0].setting.kv == cached[1].setting.kv, "{device}: one cache, one type");
    cached.iter().map(|t| sim.truth(&t.phase, &t.setting)).sum::<f64>() / sim.least_sum(&phases) - 1.0
}

/// Searches all phases.
pub fn trial(device: &str, seed: u64) -> Vec<Trial> {
    let sim = Sim::new(device, seed).expect("a device");
    let devices: Vec<Box<dyn Device>> = vec![Box::new(Sim::new(device, seed).expect("a device"))];
    let plan = Plan { budget: None, phases: &[], priors: &[], confirm: 0, journal: None };
    let outcomes = fleet::tune(devices, &plan, &|_| ()).expect("tuned");
    let regret = |o: &Outcome| {
        let (phase, all) = (&o.record.phase, space::all(&o.hello, &o.record.phase));
        sim.truth(phase, &o.record.setting) / sim.optimum(phase, &all).expect("an optimum").1 - 1.0
    };
    outcomes
        .into_iter()
        .map(|o| Trial {
            regret: regret(&o),
            candidates: o.candidates,
            runs: o.record.runs,
            setting: o.record.setting,
            phase: o.record.phase,
        })
        .collect()
}

/// Regrets of the two plain searches with as many runs and the same type of KV cache: random, greedy.
pub fn plain(device: &str, seed: u64, trial: &Trial) -> (f64, f64) {
    let truth = Sim::new(device, seed).expect("a device");
    let (phase, budget, kv) = (trial.phase.as_str(), trial.runs, trial.setting.kv.as_ref());
    let hello = &kv.map_or_else(|| truth.hello().clone(), |kv| truth.hello_of(kv));
    let all = space::all(hello, phase);
    let least = truth.optimum(phase, &all).expect("an optimum").1;
    let runs = |sim: &mut Sim, s: &Setting| sim.measure(phase, s).ok().map(|x| x.seconds.into());
    let mut sim = Sim::new(device, seed).expect("a device");
    let random = rivals::random(&all, budget, seed, &mut |s| Ok(runs(&mut sim, s))).expect("runs").expect("one");
    let mut sim = Sim::new(device, seed).expect("a device");
    let greedy = rivals::greedy(hello, phase, budget, &mut |s| Ok(runs(&mut sim, s))).expect("runs");
    (truth.truth(phase, &random) / least - 1.0, truth.truth(phase, &greedy) / least - 1.0)
}

/// Mean and worst regret per device and phase.
pub fn print_table(seeds: std::ops::RangeInclusive<u64>) {
    println!("regret in %, mean and worst of seeds {seeds:?}; runs as a share of all candidates");
    println!("{:18}{:9}{:>7}{:>14}{:>6}{:>16}{:>16}", "device", "phase", "runs %", "ours", "> 3 %", "random", "greedy");
    let mut sums = vec![];
    for device in DEVICES {
        let mut rows: std::collections::BTreeMap<String, Vec<[f64; 4]>> = std::collections::BTreeMap::new();
        for seed in seeds.clone() {
            let trials = trial(device, seed);
            sums.push(regret_together(device, &trials));
            for t in trials {
                let (random, greedy) = plain(device, seed, &t);
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
    let (worst, missed) = (sums.iter().copied().fold(0.0, f64::max), sums.iter().filter(|r| **r > 0.03).count());
    println!(
        "prefill + decode with one type of KV cache: worst {:.1} %, > 3 %: {missed} of {}",
        100.0 * worst,
        sums.len()
    );
}
