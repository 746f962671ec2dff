//! What candidates that have not run would take, from those that have: a Gaussian process over the logarithm of their
//! times (Rasmussen and Williams 2006, algorithm 2.1). Its covariance is a product of one factor per property of a
//! setting, `Π (1 + λ κ)`: effects of single properties count most, those of pairs less, those of triples less again.
//!
//! A run that took far longer than the others let expect may have met somebody else at work: until it has been seen
//! again, it says little (one-sided: nothing makes a run faster than it is).

use super::algebra::{Factor, dot};
use crate::device::Hello;
use crate::setting::{Core, Setting, Split};
use crate::space;

/// λ: how much a property's effect may vary.
const EFFECT: f64 = 0.5;
/// Steps of an ordered property over which effects grow apart.
const REACH: f64 = 2.0;
/// Mean slowdown beside somebody else, as a logarithm.
const MET: f64 = 0.3;
/// Runs before and after one that may have met the same.
pub const WINDOW: usize = 6;
/// The fastest so many are learned from; what is slower is out.
const MOST: usize = 128;
/// Candidates among which the next are chosen.
const POOL: usize = 64;
/// Least standard deviation of a logarithm of a time.
const LEAST_NOISE: f64 = 0.003;
/// Least variance of logarithms of times.
const LEAST_VARIANCE: f64 = 1e-4;

/// What is known of a candidate.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Which one.
    pub candidate: usize,
    /// Its fastest run, seconds.
    pub least: f64,
    /// How many there were.
    pub runs: usize,
    /// When: the first and the last, counted in runs of the search.
    pub when: (usize, usize),
    /// Chance that all of them met somebody else at work.
    pub doubt: f64,
}

/// The candidates of a phase, and how alike they are.
pub struct Model {
    /// Level of each property, by candidate.
    levels: Vec<Vec<usize>>,
    /// `1 + λ κ` of two levels, by property.
    alike: Vec<Vec<Vec<f64>>>,
    /// Covariance of a candidate that ran with all.
    columns: Vec<Option<Vec<f64>>>,
    /// Covariance of a candidate with itself.
    own: f64,
    /// Logarithm of what a simple model expects of a candidate's cores, in no unit.
    simple: Vec<f64>,
}

impl Model {
    /// A model of `all` that knows nothing yet.
    pub fn new(hello: &Hello, phase: &str, all: &[Setting]) -> Self {
        let clusters = space::clusters(&hello.cores);
        let values: Vec<Vec<(usize, f64)>> = all.iter().map(|s| properties(hello, &clusters, s)).collect();
        let mut levels = vec![vec![]; all.len()];
        let mut alike = Vec::new();
        for property in 0..values.first().map_or(0, Vec::len) {
            let mut kinds: Vec<(usize, f64)> = Vec::new();
            for (value, levels) in values.iter().map(|v| v[property]).zip(&mut levels) {
                let at = kinds.iter().position(|k| *k == value).unwrap_or_else(|| {
                    kinds.push(value);
                    kinds.len() - 1
                });
                levels.push(at);
            }
            alike.push(kinds.iter().map(|a| kinds.iter().map(|b| effect(a, b)).collect()).collect());
        }
        let own = (1.0 + EFFECT).powi(alike.len() as i32);
        let fastest: Vec<usize> = clusters.concat().iter().map(|c| c.id).collect();
        let simple = |s: &Setting| {
            let cores = if s.cores.is_empty() { &fastest[..s.threads.min(fastest.len())] } else { &s.cores };
            space::expected(&hello.cores, cores, phase).ln()
        };
        let simple = all.iter().map(simple).collect();
        Model { levels, alike, columns: vec![None; all.len()], own, simple }
    }

    /// Computes the covariance of a candidate with all.
    fn learn(&mut self, candidate: usize) {
        if self.columns[candidate].is_none() {
            let column = (0..self.levels.len()).map(|other| self.alike(candidate, other)).collect();
            self.columns[candidate] = Some(column);
        }
    }

    /// That of a candidate that ran.
    fn column(&self, candidate: usize) -> &[f64] {
        self.columns[candidate].as_deref().unwrap_or_default()
    }

    /// Covariance of two candidates.
    fn alike(&self, a: usize, b: usize) -> f64 {
        let levels = self.levels[a].iter().zip(&self.levels[b]);
        self.alike.iter().zip(levels).map(|(table, (x, y))| table[*x][*y]).product()
    }

    /// The `count` candidates whose next run promises most: the expected gain over the fastest time, each chosen as if
    /// those before had run and taken what is expected. With that gain, as a share. `spread` is the usual excess of a
    /// run over the fastest of its candidate.
    pub fn promising(&mut self, mut seen: Vec<Seen>, spread: f64, count: usize) -> Vec<(usize, f64)> {
        seen.sort_by(|a, b| a.least.total_cmp(&b.least));
        let out: Vec<usize> = seen.split_off(seen.len().min(MOST)).iter().map(|s| s.candidate).collect();
        seen.iter().for_each(|s| self.learn(s.candidate));
        match seen.first().is_some_and(|s| s.least.is_finite()) {
            true => Belief::of(self, &seen, spread).choose(&out, count),
            false => vec![],
        }
    }
}

/// What is believed of a candidate that ran, without its runs and those near them.
struct Doubt {
    /// Chance that its runs met somebody else.
    chance: f64,
    /// Logarithm of its time over the fastest, and the standard deviation of that.
    mean: f64,
    deviation: f64,
}

/// The model after some runs.
struct Belief<'a> {
    model: &'a Model,
    seen: &'a [Seen],
    spread: f64,
    /// Variance of logarithms of times, as a multiple of [`Model::alike`].
    scale: f64,
    factor: Factor,
    /// Logarithms of times over the fastest, by candidate.
    means: Vec<f64>,
    doubts: Vec<Doubt>,
}

impl<'a> Belief<'a> {
    fn of(model: &'a Model, seen: &'a [Seen], spread: f64) -> Self {
        let logs: Vec<f64> = seen.iter().map(|s| (s.least / seen[0].least).ln()).collect();
        let mut offsets: Vec<f64> = seen.iter().zip(&logs).map(|(s, y)| y - model.simple[s.candidate]).collect();
        offsets.sort_by(f64::total_cmp);
        let middle = offsets[offsets.len() / 2];
        let mut means: Vec<f64> = model.simple.iter().map(|x| x + middle).collect();
        let centred: Vec<f64> = seen.iter().zip(&logs).map(|(s, y)| y - means[s.candidate]).collect();
        let scale = (dot(&centred, &centred) / centred.len() as f64).max(LEAST_VARIANCE) / model.own;
        let line = |i: usize| seen[..=i].iter().map(|s| scale * model.column(seen[i].candidate)[s.candidate]).collect();
        let covariance: Vec<Vec<f64>> = (0..seen.len()).map(line).collect();

        let sure: Vec<f64> = seen.iter().map(|s| noise(spread / s.runs as f64)).collect();
        let (mut noise, mut doubts) = (sure.clone(), Vec::new());
        // Who is doubted says nothing about others: once more without them.
        for _ in 0..2 {
            let factor = Factor::of(&covariance, &noise);
            let (weights, inverse) = (factor.solve(&centred), factor.inverse());
            let doubt = |i: usize| {
                let (odd, variance) = inverse.without(&block(seen, i), &weights);
                doubt(&seen[i], (odd, (variance - noise[i]).max(0.0), sure[i]), logs[i])
            };
            doubts = (0..seen.len()).map(doubt).collect::<Vec<Doubt>>();
            let of = |(sure, doubt): (&f64, &Doubt)| if doubt.chance > 0.5 { sure + MET * MET } else { *sure };
            noise = sure.iter().zip(&doubts).map(of).collect();
        }
        let factor = Factor::of(&covariance, &noise);
        for (s, weight) in seen.iter().zip(factor.solve(&centred)) {
            let column = model.column(s.candidate);
            means.iter_mut().zip(column).for_each(|(mean, c)| *mean += scale * weight * c);
        }
        Belief { model, seen, spread, scale, factor, means, doubts }
    }

    /// Candidates with the least times, and those among the others whose runs are doubted most.
    fn pool(&self, out: &[usize]) -> Vec<usize> {
        let mut pool: Vec<usize> = (0..self.means.len()).filter(|c| !out.contains(c)).collect();
        pool.sort_by(|a, b| self.means[*a].total_cmp(&self.means[*b]));
        pool.truncate(POOL);
        let mut doubted: Vec<usize> = self.seen.iter().map(|s| s.candidate).filter(|c| !pool.contains(c)).collect();
        doubted.sort_by(|a, b| self.doubted_gain(*b).total_cmp(&self.doubted_gain(*a)));
        pool.extend(doubted.iter().take(POOL / 4));
        pool
    }

    /// Expected gain if its runs met somebody else.
    fn doubted_gain(&self, candidate: usize) -> f64 {
        let doubt = self.seen.iter().position(|s| s.candidate == candidate).map(|at| &self.doubts[at]);
        doubt.map_or(0.0, |d| d.chance * expected_gain(-d.mean, d.deviation))
    }

    fn choose(&self, out: &[usize], count: usize) -> Vec<(usize, f64)> {
        let pool = self.pool(out);
        let with = |p: usize| -> Vec<f64> {
            self.seen.iter().map(|s| self.scale * self.model.column(s.candidate)[p]).collect()
        };
        let halves: Vec<Vec<f64>> = pool.iter().map(|p| self.factor.half(&with(*p))).collect();
        let covariance =
            |a: usize, b: usize| self.scale * self.model.alike(pool[a], pool[b]) - dot(&halves[a], &halves[b]);
        let line = |a: usize| (0..pool.len()).map(|b| covariance(a, b)).collect();
        let mut left: Vec<Vec<f64>> = (0..pool.len()).map(line).collect();
        let doubted: Vec<f64> = pool.iter().map(|p| self.doubted_gain(*p)).collect();
        let mut chosen: Vec<(usize, f64)> = Vec::new();
        for _ in 0..count.min(pool.len()) {
            let believed = |i: usize| expected_gain(-self.means[pool[i]], left[i][i].max(0.0).sqrt());
            let gain = |i: &usize| believed(*i) + doubted[*i];
            let free = (0..pool.len()).filter(|i| chosen.iter().all(|(c, _)| *c != pool[*i]));
            let Some(next) = free.max_by(|a, b| gain(a).total_cmp(&gain(b))) else { break };
            chosen.push((pool[next], gain(&next)));
            let row = left[next].clone();
            let whole = row[next] + noise(self.spread);
            for (a, line) in left.iter_mut().enumerate() {
                line.iter_mut().zip(&row).for_each(|(cell, r)| *cell -= row[a] * r / whole);
            }
        }
        chosen
    }
}

/// Variance of the logarithm of a time whose usual excess is that share.
fn noise(excess: f64) -> f64 {
    excess.max(LEAST_NOISE).powi(2)
}

/// Candidate `of` and those that may have met the same as it.
fn block(seen: &[Seen], of: usize) -> Vec<usize> {
    let when = seen[of].when;
    let near = |j: &usize| seen[*j].when.0 + WINDOW >= when.0 && seen[*j].when.1 <= when.1 + WINDOW;
    std::iter::once(of).chain((0..seen.len()).filter(|j| *j != of).filter(near)).collect()
}

/// A time that is `odd` above what the others let expect, with the variances of that and of its runs.
fn doubt(seen: &Seen, (odd, variance, sure): (f64, f64, f64), log: f64) -> Doubt {
    let deviation = (variance + sure).sqrt();
    let usual = student(odd / deviation) / deviation;
    let met = if odd > 0.0 { (-odd / MET).exp() / MET } else { 0.0 };
    let odds = seen.doubt / (1.0 - seen.doubt) * met / usual.max(f64::MIN_POSITIVE);
    Doubt { chance: odds / (1.0 + odds), mean: log - odd, deviation: variance.sqrt() }
}

/// A setting's properties: of what kind, and where in it; kinds are not alike at all.
fn properties(hello: &Hello, clusters: &[Vec<Core>], s: &Setting) -> Vec<(usize, f64)> {
    let pinned = usize::from(!s.cores.is_empty());
    let used = |cluster: &Vec<Core>| cluster.iter().filter(|core| s.cores.contains(&core.id)).count() as f64;
    let split = match s.split {
        Split::Even => (0, 0.0),
        Split::Speed => (1, 0.0),
        Split::Steal => (2, f64::from(s.chunks).log2()),
    };
    let polls = space::POLLS.iter().position(|p| *p == s.polls).unwrap_or(0);
    let kv = hello.kv.iter().position(|kv| Some(kv) == s.kv.as_ref()).unwrap_or(0);
    let cores = clusters.iter().map(|c| (pinned, used(c)));
    [(pinned, 0.0), (0, s.threads as f64), split, (0, polls as f64), (kv, 0.0)].into_iter().chain(cores).collect()
}

/// `1 + λ κ` of two of them.
fn effect(a: &(usize, f64), b: &(usize, f64)) -> f64 {
    match (a == b, a.0 == b.0) {
        (true, _) => 1.0 + EFFECT,
        (false, true) => 1.0 + EFFECT * 0.5 * (-(a.1 - b.1).abs() / REACH).exp(),
        (false, false) => 1.0,
    }
}

/// Of a normal gain: the mean of its positive part (Jones, Schonlau and Welch 1998).
fn expected_gain(mean: f64, deviation: f64) -> f64 {
    if deviation < 1e-9 {
        return mean.max(0.0);
    }
    let z = mean / deviation;
    let density = (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    mean * below(z) + deviation * density
}

/// Density of Student's distribution with 4 degrees of freedom: the model is wrong more often than a normal one has it.
fn student(x: f64) -> f64 {
    0.375 * (1.0 + x * x / 4.0).powf(-2.5)
}

/// Share of a normal distribution below `z` (Abramowitz and Stegun 26.2.17).
fn below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let tail = t
        * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
        * (-0.5 * z * z).exp()
        / (2.0 * std::f64::consts::PI).sqrt();
    if z > 0.0 { 1.0 - tail } else { tail }
}
