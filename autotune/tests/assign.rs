//! The search on simulated devices: near the best of all, with a tenth of the runs.

mod support;

use mcv_tune::assign::{self, Run};
use mcv_tune::device::{Device, Sample};
use mcv_tune::setting::Setting;
use mcv_tune::sim::Sim;
use mcv_tune::space;
use std::collections::BTreeMap;
use support::{DEVICES, regret_together, trial};

#[test]
fn the_search_ends_near_the_optimum_with_a_tenth_of_the_runs() {
    for device in DEVICES {
        for seed in 1..=20 {
            let trials = trial(device, seed);
            let together = regret_together(device, &trials);
            assert!(together <= 0.03, "{device} seed {seed}: {together:.3} with one type of KV cache");
            for t in trials {
                let share = t.runs as f64 / t.candidates as f64;
                assert!(share <= 0.1, "{device} {seed} {}: {share}", t.phase);
                assert!(t.regret <= 0.03, "{device} seed {seed} {}: {:.3} {}", t.phase, t.regret, t.setting);
            }
        }
    }
}

/// Others have the device all the time, and it has few runs: their times count for want of better ones.
#[test]
fn a_device_that_is_never_quiet_is_tuned_all_the_same() {
    let sim = Sim::new("apple-m1", 1).expect("a device");
    let hello = sim.hello().clone();
    for budget in [3, 48] {
        let mut seconds = 2.0;
        let mut measure = |_: &Setting| {
            seconds *= 0.99;
            Ok(Some(Run { seconds, disturbed: true }))
        };
        let found = assign::search(&hello, "vision", budget, &[], &mut measure).expect("something ran");
        assert!(found.seconds.is_finite() && found.default_seconds.is_finite() && found.runs <= budget, "{found:?}");
    }
}

/// Others meet each candidate's first run, and the system tells: the times of these runs must count for nothing.
#[test]
fn runs_that_others_disturbed_are_made_again() {
    let sim = Sim::new("apple-m1", 1).expect("a device");
    let (hello, phase) = (sim.hello().clone(), "vision");
    let all = space::all(&hello, phase);
    let mut runs: BTreeMap<Setting, Vec<bool>> = BTreeMap::new();
    let found = assign::search(&hello, phase, all.len() / 4, &[], &mut |setting| {
        let runs = runs.entry(setting.clone()).or_default();
        let disturbed = runs.is_empty();
        runs.push(disturbed);
        // Faster than anything, as no disturbed run is: only to see that it isn't believed.
        let factor = if disturbed { 0.1 } else { 1.0 };
        Ok(Some(Run { seconds: factor * sim.truth(phase, setting), disturbed }))
    });
    let found = found.expect("a winner");
    let least = sim.optimum(phase, &all).expect("an optimum").1;
    assert!(found.seconds >= least && found.seconds == sim.truth(phase, &found.setting), "{found:?}");
    assert!(found.seconds <= 1.03 * least, "{} {least}", found.seconds);
    let once = runs.values().filter(|r| r.len() < 2).count();
    // The last group may have met the end of the budget.
    assert!(once <= 8 && runs.len() > 20, "{once} of {} were not made again", runs.len());
}

#[test]
fn samples_of_systems_that_tell_nothing_of_others_are_read() {
    let old = r#"{"seconds":0.5,"count":16.0,"cores":[1],"notes":[],"temperature":null,"clocks":[]}"#;
    let sample: Sample = serde_json::from_str(old).expect("an old line");
    assert_eq!(sample.others, None);
    assert_eq!(serde_json::to_string(&sample).expect("a line"), old);
    assert_eq!(
        serde_json::from_str::<Sample>(&old.replace("null", "null,\"others\":0.25")).expect("new").others,
        Some(0.25)
    );
}

/// All seeds, with both plain searches beside it: `cargo test -p mcv-tune --test assign -- --ignored --nocapture`.
#[test]
#[ignore = "prints tables"]
fn table_of_twenty_seeds() {
    support::print_table(1..=20);
    support::print_table(5001..=5100);
}
