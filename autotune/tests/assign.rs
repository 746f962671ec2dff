//! The search on simulated devices: near the best of all, with a tenth of the runs.

mod support;

use support::{DEVICES, trial};

#[test]
fn the_search_ends_near_the_optimum_with_a_tenth_of_the_runs() {
    for device in DEVICES {
        for seed in 1..=20 {
            for t in trial(device, seed) {
                let share = t.runs as f64 / t.candidates as f64;
                assert!(share <= 0.1, "{device} {seed} {}: {share}", t.phase);
                assert!(t.regret <= 0.03, "{device} seed {seed} {}: {:.3} {}", t.phase, t.regret, t.setting);
            }
        }
    }
}

/// All seeds, with both plain searches beside it: `cargo test -p mcv-tune --test assign -- --ignored --nocapture`.
#[test]
#[ignore = "prints a table"]
fn table_of_twenty_seeds() {
    support::print_table(1..=20);
    support::print_table(1001..=1100);
}
