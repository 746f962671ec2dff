//! Seconds of a phase on a cool, quiet device. `SIMULATOR.md` has the formulas in words.

use super::config::{Cluster, Config, Surprise, Work};
use crate::setting::{Setting, Split};

/// What one thread can do.
struct Lane {
    compute: f64,
    stream: f64,
    told: f64,
}

/// Seconds of one run of a phase; endless for a phase that is not there.
pub fn seconds(config: &Config, phase: &str, setting: &Setting) -> f64 {
    let Some(work) = config.phases.get(phase) else { return f64::INFINITY };
    let work = with_kv(config, phase, work, setting);
    let cores = if setting.cores.is_empty() { roaming(config, setting.threads) } else { setting.cores.clone() };
    let lanes = lanes(config, &cores, setting);
    if lanes.is_empty() {
        return f64::INFINITY;
    }
    let share = shared_bandwidth(config, &lanes);
    // Seconds that a lane would take for everything: whichever is slower dominates, the other shows through.
    let whole: Vec<f64> = lanes.iter().map(|l| norm(work.gop / l.compute, work.gb / (l.stream * share))).collect();
    let parallel = divide(config, &work, &lanes, &whole, setting);
    let mut total = parallel + work.jobs * (waiting(config, &work, setting, lanes.len()) + work.gap);
    if setting.cores.is_empty() {
        total *= 1.0 + config.roaming;
    }
    config.surprises.iter().filter(|s| matches(s, phase, setting, &cores)).fold(total, |t, s| t * s.factor)
}

/// Watts while it runs.
pub fn busy(config: &Config, setting: &Setting) -> f64 {
    let cores = if setting.cores.is_empty() { roaming(config, setting.threads) } else { setting.cores.clone() };
    cores.iter().filter_map(|id| cluster(config, *id)).map(|c| c.watts).sum()
}

fn cluster(config: &Config, id: usize) -> Option<&Cluster> {
    config.clusters.iter().find(|c| c.ids.contains(&id))
}

/// Both kinds of work at once: a power mean between their maximum and their sum.
fn norm(a: f64, b: f64) -> f64 {
    (a.powi(4) + b.powi(4)).powf(0.25)
}

fn with_kv(config: &Config, phase: &str, work: &Work, setting: &Setting) -> Work {
    let kv = setting.kv.as_ref().filter(|_| phase != "vision").and_then(|name| config.kv.get(name));
    let (gop, gb) = kv.map_or((1.0, 1.0), |kv| (kv.gop, kv.gb));
    Work { gop: work.gop * gop, gb: work.gb * gb, ..work.clone() }
}

/// Where the system puts threads that have no core: every third beside the fastest that are free.
fn roaming(config: &Config, threads: usize) -> Vec<usize> {
    let allowed = |id: &usize| !config.denied.contains(id);
    let mut free: Vec<usize> = config.clusters.iter().flat_map(|c| c.ids.iter().copied()).filter(allowed).collect();
    let mut placed = Vec::new();
    while placed.len() < threads && !free.is_empty() {
        let at = if placed.len() % 3 == 2 { free.len() - 1 } else { 0 };
        placed.push(free.remove(at));
    }
    placed
}

fn lanes(config: &Config, cores: &[usize], setting: &Setting) -> Vec<Lane> {
    let spin = config.spin * (f64::from(setting.polls) / 64_000.0).min(1.0) * cores.len() as f64;
    let lane = |id: &usize| {
        let kind = cluster(config, *id)?;
        let beside = cores.iter().filter(|other| kind.ids.contains(other)).count() - 1;
        let clock = (1.0 - kind.droop * beside as f64) * (1.0 - spin);
        Some(Lane { compute: kind.compute * clock, stream: kind.stream * (0.5 + 0.5 * clock), told: kind.told })
    };
    cores.iter().filter_map(lane).collect()
}

/// Share of its own bandwidth that each lane gets.
fn shared_bandwidth(config: &Config, lanes: &[Lane]) -> f64 {
    let wanted: f64 = lanes.iter().map(|l| l.stream).sum();
    let mean = wanted / lanes.len() as f64;
    let beyond = ((wanted - config.bandwidth) / mean).max(0.0);
    let all = config.bandwidth * (1.0 - config.crowding * beyond).max(0.2);
    (all / wanted).min(1.0)
}

fn divide(config: &Config, work: &Work, lanes: &[Lane], whole: &[f64], setting: &Setting) -> f64 {
    let count = lanes.len() as f64;
    let slowest = whole.iter().copied().fold(0.0, f64::max);
    match setting.split {
        Split::Even => slowest / count,
        Split::Speed => {
            let told: f64 = lanes.iter().map(|l| l.told).sum();
            lanes.iter().zip(whole).map(|(l, w)| w * l.told / told).fold(0.0, f64::max)
        }
        Split::Steal => {
            let rate: f64 = whole.iter().map(|w| 1.0 / w).sum();
            let chunks = count * f64::from(setting.chunks);
            // The last chunk ends late by half of the slowest lane's time for one.
            let tail = if lanes.len() > 1 { 0.5 * slowest / chunks } else { 0.0 };
            1.0 / rate + tail * (1.0 - 1.0 / (rate * slowest)).max(0.1) + work.jobs * chunks * config.claim
        }
    }
}

/// Seconds per job until all threads are there and done.
fn waiting(config: &Config, work: &Work, setting: &Setting, threads: usize) -> f64 {
    if threads < 2 {
        return 0.0;
    }
    let polled = f64::from(setting.polls) * config.look;
    let asleep = (-polled / work.gap.max(1e-9)).exp();
    config.barrier * threads as f64 + asleep * config.wake * (1.0 + 0.2 * threads as f64)
}

fn matches(surprise: &Surprise, phase: &str, setting: &Setting, cores: &[usize]) -> bool {
    surprise.phase.as_deref().is_none_or(|p| p == phase)
        && surprise.threads.is_none_or(|n| setting.threads >= n)
        && surprise.with.iter().all(|id| cores.contains(id))
        && surprise.without.iter().all(|id| !cores.contains(id))
        && surprise.chunks.is_none_or(|n| setting.split == Split::Steal && setting.chunks == n)
}
