//! All candidates of a phase, and the order in which a simple model would try their core sets.

use crate::device::Hello;
use crate::setting::{Core, DEFAULT_CHUNKS, DEFAULT_POLLS, Setting, Split};

/// Looks before a thread sleeps: at once, some microseconds, some tens, a millisecond.
pub const POLLS: [u32; 4] = [0, 400, DEFAULT_POLLS, 64_000];
/// Chunks per thread when they are stolen.
pub const CHUNKS: [u32; 5] = [1, 2, DEFAULT_CHUNKS, 8, 16];
/// Cores slower than this beside the fastest hold the others up.
const LITTLE: f64 = 0.4;
/// Cost of one more thread, as a share of a fast core's work.
const JOINING: f64 = 0.01;
/// Fast cores that saturate memory, roughly, on all devices known to us.
const SATURATING: f64 = 3.0;

/// Cores of one kind that a name is believed.
const MOST_CORES: usize = 1024;

/// Allowed cores of equal speed, fastest first.
pub fn clusters(cores: &[Core]) -> Vec<Vec<Core>> {
    let mut clusters: Vec<Vec<Core>> = Vec::new();
    let mut sorted: Vec<&Core> = cores.iter().filter(|c| c.allowed).collect();
    sorted.sort_by(|a, b| b.speed.total_cmp(&a.speed).then(a.id.cmp(&b.id)));
    for core in sorted {
        match clusters.last_mut() {
            Some(last) if (last[0].speed - core.speed).abs() < 0.01 => last.push(core.clone()),
            _ => clusters.push(vec![core.clone()]),
        }
    }
    clusters
}

/// Sets of cores that differ: how many of each cluster, since cores of one are alike.
pub fn core_sets(cores: &[Core]) -> Vec<Vec<usize>> {
    let clusters = clusters(cores);
    let mut sets: Vec<Vec<usize>> = vec![vec![]];
    for cluster in &clusters {
        let extend = |set: &Vec<usize>, count: usize| {
            set.iter().copied().chain(cluster.iter().take(count).map(|c| c.id)).collect::<Vec<_>>()
        };
        sets = sets.iter().flat_map(|set| (0..=cluster.len()).map(|n| extend(set, n)).collect::<Vec<_>>()).collect();
    }
    sets.retain(|set| !set.is_empty());
    sets
}

/// KV types that a phase can choose from.
fn kv_types(hello: &Hello, phase: &str) -> Vec<Option<String>> {
    match hello.kv.is_empty() || phase == "vision" {
        true => vec![None],
        false => hello.kv.iter().cloned().map(Some).collect(),
    }
}

/// Splits with their chunks. Threads without a core have no speed to split by.
pub fn splits(pinned: bool) -> Vec<(Split, u32)> {
    let mut all = vec![(Split::Even, 1)];
    all.extend(pinned.then_some((Split::Speed, 1)));
    all.extend(CHUNKS.map(|chunks| (Split::Steal, chunks)));
    all
}

/// Every candidate of a phase.
pub fn all(hello: &Hello, phase: &str) -> Vec<Setting> {
    let threads = hello.cores.iter().filter(|c| c.allowed).count().max(1);
    let mut sets: Vec<(Vec<usize>, usize)> = (1..=threads).map(|n| (vec![], n)).collect();
    sets.extend(core_sets(&hello.cores).into_iter().map(|set| (set.clone(), set.len())));
    let mut all = Vec::new();
    for (cores, threads) in sets {
        for (split, chunks) in splits(!cores.is_empty()) {
            for polls in POLLS {
                for kv in kv_types(hello, phase) {
                    all.push(Setting { cores: cores.clone(), threads, split, polls, chunks, kv });
                }
            }
        }
    }
    all
}

/// What the runtime does by itself on that device, as a candidate.
pub fn default(hello: &Hello, phase: &str) -> Setting {
    let threads = hello.cores.iter().filter(|c| c.allowed).count().max(1);
    Setting { kv: kv_types(hello, phase).swap_remove(0), ..Setting::default_of(threads) }
}

/// What types of KV cache are raced with: the core set that the simple model expects to be the fastest.
pub fn likely(hello: &Hello, phase: &str, kv: &str) -> Setting {
    let cores = ordered(&hello.cores, phase).into_iter().next().unwrap_or_default();
    let threads = if cores.is_empty() { default(hello, phase).threads } else { cores.len() };
    Setting { cores, kv: Some(kv.to_owned()), ..Setting::default_of(threads) }
}

/// Time that a simple model expects of a core set, in no unit: decoding saturates memory, the rest computes.
pub fn expected(cores: &[Core], set: &[usize], phase: &str) -> f64 {
    let speed = |id: &usize| cores.iter().find(|c| c.id == *id).map_or(0.0, |c| c.speed);
    let useful = |s: f64| if s < LITTLE { 0.3 * s } else { s };
    let sum: f64 = set.iter().map(|id| useful(speed(id))).sum();
    let rate = if phase == "decode" { SATURATING * (1.0 - (-sum / SATURATING).exp()) } else { sum };
    1.0 / rate.max(1e-6) + JOINING * set.len() as f64
}

/// Core sets in the order of that model, each kind of size early: the best of each number of threads comes first.
pub fn ordered(cores: &[Core], phase: &str) -> Vec<Vec<usize>> {
    let mut sets = core_sets(cores);
    sets.sort_by(|a, b| expected(cores, a, phase).total_cmp(&expected(cores, b, phase)));
    let mut first: Vec<Vec<usize>> = Vec::new();
    for set in &sets {
        if first.iter().all(|f| f.len() != set.len()) {
            first.push(set.clone());
        }
    }
    // The best few as they are, then one of each size, then the rest.
    let mut order: Vec<Vec<usize>> = sets.iter().take(6).cloned().collect();
    order.extend(first.into_iter().chain(sets));
    let mut seen = std::collections::HashSet::new();
    order.retain(|set| seen.insert(set.clone()));
    order
}

/// Sets with one or two cores of a cluster more or less, one swapped for a core of another cluster, or two for a faster.
pub fn neighbours(cores: &[Core], set: &[usize]) -> Vec<Vec<usize>> {
    let clusters = clusters(cores);
    let counts: Vec<usize> = clusters.iter().map(|c| c.iter().filter(|x| set.contains(&x.id)).count()).collect();
    let build = |counts: &[usize]| -> Vec<usize> {
        clusters.iter().zip(counts).flat_map(|(c, n)| c.iter().take(*n).map(|x| x.id)).collect()
    };
    let mut found: Vec<Vec<usize>> = Vec::new();
    let mut keep = |counts: Vec<usize>| {
        let fits = counts.iter().zip(&clusters).all(|(n, c)| *n <= c.len()) && counts.iter().sum::<usize>() > 0;
        if fits {
            found.push(build(&counts));
        }
    };
    for i in 0..counts.len() {
        for step in [-1, 1, -2, 2] {
            if let Some(count) = counts[i].checked_add_signed(step) {
                let mut next = counts.clone();
                next[i] = count;
                keep(next);
            }
        }
        for j in (0..counts.len()).filter(|j| *j != i && counts[i] > 0) {
            let mut next = counts.clone();
            (next[i], next[j]) = (counts[i] - 1, counts[j] + 1);
            keep(next);
            // A fast core does the work of two slow ones.
            if j < i && counts[i] > 1 {
                let mut next = counts.clone();
                (next[i], next[j]) = (counts[i] - 2, counts[j] + 1);
                keep(next);
            }
        }
    }
    found.retain(|f| f != set);
    found
}

/// How far one kind of device is from another, by their names, `aarch64 2x50+1x100`: the mean difference of the speeds
/// of their cores, fastest first; endless between architectures, and where a name tells no cores.
pub fn distance(a: &str, b: &str) -> f64 {
    let cores = |name: &str| -> Option<(String, Vec<f64>)> {
        let (arch, kinds) = name.split_once(' ')?;
        let mut speeds: Vec<f64> = Vec::new();
        for kind in kinds.split('+') {
            let (count, percent) = kind.split_once('x')?;
            let (count, percent) = (count.parse::<usize>().ok()?, percent.parse::<f64>().ok()?);
            speeds.extend(std::iter::repeat_n(percent / 100.0, count.min(MOST_CORES)));
        }
        speeds.sort_by(|x, y| y.total_cmp(x));
        Some((arch.to_owned(), speeds))
    };
    match (cores(a), cores(b)) {
        (Some((arch, a)), Some((other, b))) if arch == other => {
            let most = a.len().max(b.len());
            let speed = |of: &[f64], i: usize| of.get(i).copied().unwrap_or(0.0);
            (0..most).map(|i| (speed(&a, i) - speed(&b, i)).abs()).sum::<f64>() / most.max(1) as f64
        }
        _ => f64::INFINITY,
    }
}

/// What won elsewhere, on this device: on the same cores if it is of the `same` kind and has leave for them, else as many
/// threads on its fastest cores; with the same policy.
pub fn transferred(hello: &Hello, phase: &str, elsewhere: &Setting, same: bool) -> Setting {
    let fastest = clusters(&hello.cores).concat();
    let has = |id: &usize| fastest.iter().any(|c| c.id == *id);
    let cores: Vec<usize> = match elsewhere.cores.is_empty() || same && elsewhere.cores.iter().all(has) {
        true => elsewhere.cores.clone(),
        false => fastest.iter().take(elsewhere.threads).map(|c| c.id).collect(),
    };
    let threads = elsewhere.threads.clamp(1, fastest.len().max(1));
    let kv = elsewhere.kv.clone().filter(|kv| hello.kv.contains(kv)).or(default(hello, phase).kv);
    let kv = kv.filter(|_| phase != "vision");
    Setting { threads: if cores.is_empty() { threads } else { cores.len() }, cores, kv, ..elsewhere.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_nearer_than_strangers() {
        let phone = "aarch64 2x28+3x86+2x81+1x100";
        let near = distance(phone, "aarch64 2x30+5x85+1x100");
        let far = distance(phone, "aarch64 4x100");
        assert!(distance(phone, phone) == 0.0 && near < far && far < 1.0, "{near} {far}");
        for stranger in ["x86_64 8x100", "two cores", "aarch64 ?", "", "aarch64 99999999999999999999x1"] {
            assert_eq!(distance(phone, stranger), f64::INFINITY, "{stranger}");
        }
    }
}
