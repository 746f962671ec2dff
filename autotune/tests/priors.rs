//! What shipped priors are worth: runs until the search first tries something near the optimum, with and without.

use mcv_tune::device::Device;
use mcv_tune::priors::SHIPPED;
use mcv_tune::sim::Sim;
use mcv_tune::{ThreadRecord, assign, fleet, priors::Priors, space};

/// Time over the optimum's that is near enough.
const NEAR: f64 = 1.03;

fn shipped(keep: impl Fn(&str) -> bool) -> Vec<ThreadRecord> {
    let files = SHIPPED.iter().filter(|(name, _)| keep(name));
    files.flat_map(|(name, text)| Priors::parse(name, text).expect("a file of ours").records.threads).collect()
}

/// Runs of all phases until one is near the optimum (all of them if none is), and the worst end over the optimum, with
/// one type of KV cache.
fn search(device: &str, seed: u64, known: &[ThreadRecord]) -> (usize, f64) {
    let mut sim = Sim::new(device, seed).expect("a device");
    let hello = sim.hello_of("f16");
    let (mut runs, mut worst) = (0, 0.0f64);
    for phase in &hello.phases {
        let all = space::all(&hello, phase);
        let least = sim.optimum(phase, &all).expect("an optimum").1;
        let priors = fleet::priors(&hello, phase, known);
        let mut near = false;
        let found = assign::search(&hello, phase, all.len() / 10, &priors, &mut |setting| {
            runs += usize::from(!near);
            let sample =
                sim.measure(phase, setting).ok().filter(|s| setting.cores.is_empty() || s.cores == setting.cores);
            near |= sample.is_some() && sim.truth(phase, setting) <= NEAR * least;
            Ok(sample.map(|s| s.seconds.into()))
        });
        let end = sim.truth(phase, &found.expect("a winner").setting) / least - 1.0;
        worst = worst.max(end);
    }
    (runs, worst)
}

fn total(device: &str, known: &[ThreadRecord]) -> usize {
    (7001..=7005).map(|seed| search(device, seed, known).0).sum()
}

#[test]
fn priors_of_the_device_and_of_its_neighbours_save_runs() {
    let (mut without, mut of_neighbours, mut own) = (0, 0, 0);
    for device in ["snapdragon8g3", "snapdragon8elite", "dimensity9300", "apple-m1"] {
        let (none, others) = (total(device, &[]), total(device, &shipped(|name| name != device)));
        let all = total(device, &shipped(|_| true));
        println!("{device}: runs until near, without {none}, with neighbours' {others}, with its own {all}");
        (without, of_neighbours, own) = (without + none, of_neighbours + others, own + all);
    }
    assert!(of_neighbours < without, "{of_neighbours} {without}");
    assert!(own * 2 < of_neighbours, "{own} {of_neighbours}");
}

#[test]
fn a_stranger_gets_priors_it_can_run() {
    let mut hello = Sim::new("apple-m1", 1).expect("a device").hello().clone();
    hello.cores.truncate(2);
    (hello.soc, hello.kv) = ("x86_64 2x100".into(), vec![]);
    for phase in ["vision", "prefill", "decode"] {
        let priors = fleet::priors(&hello, phase, &shipped(|_| true));
        assert!(!priors.is_empty());
        for setting in priors {
            let ids: Vec<usize> = hello.cores.iter().map(|c| c.id).collect();
            assert!(setting.threads <= 2 && setting.kv.is_none(), "{setting}");
            assert!(setting.cores.iter().all(|id| ids.contains(id)), "{setting}");
        }
    }
}
