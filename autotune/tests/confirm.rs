//! What a search found meets the default once more, in runs that the search has not seen, and stays only if it wins.

use mcv_ir::Result;
use mcv_tune::device::{Device, Hello, Rested, Sample};
use mcv_tune::fleet::{self, Outcome, Plan};
use mcv_tune::setting::Setting;
use mcv_tune::sim::{Random, Sim};
use mcv_tune::space;

/// All simulated devices.
const DEVICES: [&str; 4] = ["snapdragon8g3", "snapdragon8elite", "dimensity9300", "apple-m1"];

/// A device on which settings make no difference, or each but the default is that much faster; and noise. It has one
/// type of KV cache.
struct Flat {
    hello: Hello,
    random: Random,
    speed: f64,
}

impl Device for Flat {
    fn name(&self) -> String {
        "flat".into()
    }

    fn hello(&self) -> &Hello {
        &self.hello
    }

    fn measure(&mut self, phase: &str, setting: &Setting) -> Result<Sample> {
        let speed = if *setting == space::default(self.hello(), phase) { 1.0 } else { self.speed };
        let noise = 1.0 + 0.1 * self.random.below(1000) as f64 / 1000.0;
        let cores = setting.cores.clone();
        let seconds = noise / speed;
        Ok(Sample { seconds, count: 1.0, cores, notes: vec![], temperature: None, clocks: vec![], others: None })
    }

    fn rest(&mut self, _seconds: f64) -> Rested {
        Rested::default()
    }
}

fn flat(seed: u64, speed: f64, confirm: usize) -> Outcome {
    let hello = Sim::new(DEVICES[0], seed).expect("a device").hello_of("f16");
    let device = Flat { hello, random: Random::new(seed), speed };
    let phases = ["decode".to_owned()];
    let plan = Plan { budget: Some(60), phases: &phases, priors: &[], confirm, journal: None };
    fleet::tune(vec![Box::new(device)], &plan, &|_| {}).expect("tuned").remove(0)
}

fn changed(outcome: &Outcome) -> bool {
    outcome.record.setting != space::default(&outcome.hello, &outcome.record.phase)
}

#[test]
fn luck_does_not_stay() {
    let seeds = 1..=40;
    let lucky = seeds.clone().filter(|seed| changed(&flat(*seed, 1.0, 0))).count();
    assert!(lucky > 10, "the search alone is misled only {lucky} times");
    let confirmed: Vec<Outcome> = seeds.map(|seed| flat(seed, 1.0, 6)).collect();
    let stayed = confirmed.iter().filter(|o| changed(o)).count();
    assert!(stayed <= 3, "{stayed} of 40, where one side of 95 % is one");
    for outcome in confirmed.iter().filter(|o| !changed(o)) {
        let r = &outcome.record;
        assert!(r.seconds == r.default_seconds && r.gain.as_ref().is_none_or(|g| g.interval.0 <= 1.0 && g.pairs >= 6));
    }
}

#[test]
fn what_is_faster_stays() {
    for seed in 1..=10 {
        let outcome = flat(seed, 1.25, 6);
        let gain = outcome.record.gain.clone().expect("confirmed");
        assert!(changed(&outcome) && gain.interval.0 > 1.0 && (1.2..1.3).contains(&gain.ratio), "{gain:?}");
    }
}

#[test]
fn true_gains_survive_what_disturbs_devices() {
    for (name, seed) in DEVICES.into_iter().flat_map(|name| (101..=110).map(move |seed| (name, seed))) {
        let found = |confirm| {
            let sim = Sim::new(name, seed).expect("a device");
            let plan = Plan { budget: None, phases: &[], priors: &[], confirm, journal: None };
            fleet::tune(vec![Box::new(sim)], &plan, &|_| {}).expect("tuned")
        };
        for before in found(0) {
            let (phase, sim) = (&before.record.phase, Sim::new(name, seed).expect("a device"));
            let outcomes = found(6);
            let after = outcomes.iter().find(|o| o.record.phase == *phase).expect("the same phases");
            let lost = sim.truth(phase, &after.record.setting) / sim.truth(phase, &before.record.setting) - 1.0;
            assert!(lost <= 0.03, "{name} {seed} {phase}: {lost:.3} lost, {:?}", after.record.gain);
        }
    }
}
