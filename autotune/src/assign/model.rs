//! What candidates that have not run would take, from those that have: a Gaussian process over the logarithm of their
//! times (Rasmussen and Williams 2006, algorithm 2.1). Its covariance is a product of one factor per property of a
//! setting, `Π (1 + λ κ)`: effects of single properties count most, those of pairs less, those of triples less again.
//!
//! A run that took far longer than the others let expect may have met somebody else at work: until it has been seen
//! again, it says little (one-sided: nothing makes a run faster than it is).

use crate::device::Hello;
use crate::setting::{Setting, Split};
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
        let properties = |s: &Setting| -> Vec<(usize, f64)> {
            let count = |c: &Vec<crate::setting::Core>| c.iter().filter(|x| s.cores.contains(&x.id)).count();
            let pinned = !s.cores.is_empty();
            // A kind, and a place within it; other kinds are not alike at all.
            let mut list: Vec<(usize, f64)> = vec![(usize::from(pinned), 0.0), (0, s.threads as f64)];
            list.extend(clusters.iter().map(|c| (usize::from(pinned), count(c) as f64)));
            list.push(match s.split {
                Split::Even => (0, 0.0),
                Split::Speed => (1, 0.0),
                Split::Steal => (2, f64::from(s.chunks).log2()),
            });
            list.push((0, space::POLLS.iter().position(|p| *p == s.polls).unwrap_or(0) as f64));
            list.push((hello.kv.iter().position(|kv| Some(kv) == s.kv.as_ref()).unwrap_or(0), 0.0));
            list
        };
        let values: Vec<Vec<(usize, f64)>> = all.iter().map(properties).collect();
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
            let of = |a: &(usize, f64), b: &(usize, f64)| match (a == b, a.0 == b.0) {
                (true, _) => 1.0 + EFFECT,
                (false, true) => 1.0 + EFFECT * 0.5 * (-(a.1 - b.1).abs() / REACH).exp(),
                (false, false) => 1.0,
            };
            alike.push(kinds.iter().map(|a| kinds.iter().map(|b| of(a, b)).collect()).collect());
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

    fn column(&mut self, of: usize) -> &[f64] {
        if self.columns[of].is_none() {
            let tables: Vec<&[f64]> = self.alike.iter().zip(&self.levels[of]).map(|(t, l)| t[*l].as_slice()).collect();
            let with = |other: &Vec<usize>| tables.iter().zip(other).map(|(t, l)| t[*l]).product();
            self.columns[of] = Some(self.levels.iter().map(with).collect());
        }
        self.columns[of].as_deref().unwrap_or_default()
    }

    /// The `count` candidates whose next run promises most: the expected gain over the fastest time, each chosen as if
    /// those before had run and taken what is expected. With what each may gain at best, as a share. `spread` is the
    /// usual excess of a run over the fastest of its candidate.
    pub fn promising(&mut self, mut seen: Vec<Seen>, spread: f64, count: usize) -> Vec<(usize, f64)> {
        seen.sort_by(|a, b| a.least.total_cmp(&b.least));
        let hopeless: Vec<usize> = seen.split_off(seen.len().min(MOST)).iter().map(|s| s.candidate).collect();
        let seen = &seen[..];
        let least = seen.iter().map(|s| s.least).fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            return vec![];
        }
        let logs: Vec<f64> = seen.iter().map(|s| (s.least / least).ln()).collect();
        let mut offsets: Vec<f64> = seen.iter().zip(&logs).map(|(s, y)| y - self.simple[s.candidate]).collect();
        offsets.sort_by(f64::total_cmp);
        let middle = offsets[offsets.len() / 2];
        let simple: Vec<f64> = self.simple.iter().map(|x| x + middle).collect();
        let centred: Vec<f64> = seen.iter().zip(&logs).map(|(s, y)| y - simple[s.candidate]).collect();
        let variance = centred.iter().map(|y| y * y).sum::<f64>() / centred.len() as f64;
        let scale = variance.max(1e-4) / self.own;
        for s in seen.iter() {
            self.column(s.candidate);
        }
        let column = |i: usize| self.columns[seen[i].candidate].as_deref().unwrap_or_default();
        let covariance: Vec<Vec<f64>> =
            (0..seen.len()).map(|i| seen[..=i].iter().map(|s| scale * column(i)[s.candidate]).collect()).collect();
        let sure: Vec<f64> = seen.iter().map(|s| (spread / s.runs as f64).max(LEAST_NOISE).powi(2)).collect();
        let mut noise = sure.clone();
        let mut doubts: Vec<(f64, f64, f64)> = Vec::new();
        for _ in 0..2 {
            let factor = Factor::of(&covariance, &noise);
            let (alpha, inverse) = (factor.solve(&centred), factor.inverse());
            doubts = (0..seen.len())
                .map(|i| {
                    let near = |j: &usize| {
                        seen[*j].when.0 + WINDOW >= seen[i].when.0 && seen[*j].when.1 <= seen[i].when.1 + WINDOW
                    };
                    let block: Vec<usize> = std::iter::once(i).chain((0..seen.len()).filter(|j| *j != i).filter(near)).collect();
                    let (odd, variance) = inverse.without(&block, &alpha);
                    let variance = (variance - noise[i]).max(0.0);
                    let clean = variance + sure[i];
                    let usual = (-0.5 * odd * odd / clean).exp() / (2.0 * std::f64::consts::PI * clean).sqrt();
                    let met = if odd > 0.0 { (-odd / MET).exp() / MET } else { 0.0 };
                    let chance = seen[i].doubt * met / (seen[i].doubt * met + (1.0 - seen[i].doubt) * usual).max(1e-300);
                    (chance, logs[i] - odd, variance.sqrt())
                })
                .collect();
            for i in 0..seen.len() {
                noise[i] = if doubts[i].0 > 0.5 { sure[i] + MET * MET } else { sure[i] };
            }
        }
        let factor = Factor::of(&covariance, &noise);
        let weights = factor.solve(&centred);
        let mut means = simple.clone();
        for (i, weight) in weights.iter().enumerate() {
            for (mean, c) in means.iter_mut().zip(column(i)) {
                *mean += scale * weight * c;
            }
        }
        let mut pool: Vec<usize> = (0..means.len()).filter(|c| !hopeless.contains(c)).collect();
        pool.sort_by(|a, b| means[*a].total_cmp(&means[*b]));
        pool.truncate(POOL);
        let mut doubted: Vec<usize> = (0..seen.len()).filter(|i| !pool.contains(&seen[*i].candidate)).collect();
        let worth = |i: &usize| doubts[*i].0 * expected_gain(-doubts[*i].1, doubts[*i].2);
        doubted.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
        pool.extend(doubted.iter().take(POOL / 4).map(|i| seen[*i].candidate));
        let halves: Vec<Vec<f64>> = pool
            .iter()
            .map(|p| factor.half(&(0..seen.len()).map(|i| scale * column(i)[*p]).collect::<Vec<f64>>()))
            .collect();
        let prior = |a: usize, b: usize| {
            let levels = self.levels[a].iter().zip(&self.levels[b]);
            scale * self.alike.iter().zip(levels).map(|(t, (x, y))| t[*x][*y]).product::<f64>()
        };
        let mut left: Vec<Vec<f64>> = (0..pool.len())
            .map(|a| {
                let of = |b: usize| prior(pool[a], pool[b]) - dot(&halves[a], &halves[b]);
                (0..pool.len()).map(of).collect()
            })
            .collect();
        let mut chosen: Vec<(usize, f64)> = Vec::new();
        for _ in 0..count.min(pool.len()) {
            let gain = |i: &usize| {
                let believed = expected_gain(-means[pool[*i]], left[*i][*i].max(0.0).sqrt());
                let doubted = seen.iter().position(|s| s.candidate == pool[*i]).map_or(0.0, |at| {
                    let (chance, mean, deviation) = doubts[at];
                    chance * expected_gain(-mean, deviation)
                });
                believed + doubted
            };
            let free = (0..pool.len()).filter(|i| chosen.iter().all(|(c, _)| *c != pool[*i]));
            let Some(next) = free.max_by(|a, b| gain(a).total_cmp(&gain(b))) else { break };
            chosen.push((pool[next], gain(&next)));
            let (row, noise) = (left[next].clone(), spread.max(LEAST_NOISE).powi(2));
            let whole = row[next] + noise;
            for (a, line) in left.iter_mut().enumerate() {
                line.iter_mut().zip(&row).for_each(|(cell, r)| *cell -= row[a] * r / whole);
            }
        }
        chosen
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

/// Share of a normal distribution below `z` (Abramowitz and Stegun 26.2.17).
fn below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let tail = t
        * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
        * (-0.5 * z * z).exp()
        / (2.0 * std::f64::consts::PI).sqrt();
    if z > 0.0 { 1.0 - tail } else { tail }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// A lower triangle `L` with `L Lᵀ` the covariance and its noise.
struct Factor(Vec<Vec<f64>>);

impl Factor {
    fn of(covariance: &[Vec<f64>], noise: &[f64]) -> Self {
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(noise.len());
        for (i, line) in covariance.iter().enumerate() {
            let mut row: Vec<f64> = Vec::with_capacity(i + 1);
            for j in 0..i {
                let left = line[j] - dot(&row[..j], &rows[j][..j]);
                row.push(left / rows[j][j]);
            }
            let own = line[i] + noise[i] - dot(&row, &row);
            row.push(own.max(1e-12).sqrt());
            rows.push(row);
        }
        Factor(rows)
    }

    /// `L⁻¹ b`.
    fn half(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(b.len());
        for (row, b) in self.0.iter().zip(b) {
            let at = x.len();
            x.push((b - dot(&row[..at], &x)) / row[at]);
        }
        x
    }

    /// `(L Lᵀ)⁻¹ b`.
    fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = self.half(b);
        for i in (0..x.len()).rev() {
            x[i] /= self.0[i][i];
            let value = x[i];
            x[..i].iter_mut().zip(&self.0[i]).for_each(|(x, l)| *x -= l * value);
        }
        x
    }

    fn inverse(&self) -> Inverse {
        let n = self.0.len();
        let column = |j: usize| {
            let mut x: Vec<f64> = vec![1.0 / self.0[j][j]];
            for i in j + 1..n {
                x.push(-dot(&self.0[i][j..i], &x) / self.0[i][i]);
            }
            x
        };
        Inverse((0..n).map(column).collect())
    }
}

/// Columns of `L⁻¹`, each from its diagonal on.
struct Inverse(Vec<Vec<f64>>);

impl Inverse {
    fn at(&self, i: usize, j: usize) -> f64 {
        let (i, j) = (i.min(j), i.max(j));
        dot(&self.0[i][j - i..], &self.0[j])
    }

    /// How far the first of `block` is from what those without the block let expect, and the variance of that.
    fn without(&self, block: &[usize], alpha: &[f64]) -> (f64, f64) {
        let rows: Vec<Vec<f64>> =
            block.iter().enumerate().map(|(a, i)| block[..=a].iter().map(|j| self.at(*i, *j)).collect()).collect();
        let factor = Factor::of(&rows, &vec![0.0; block.len()]);
        let mut first = vec![0.0; block.len()];
        first[0] = 1.0;
        let row = factor.solve(&first);
        let odd = row.iter().zip(block).map(|(r, j)| r * alpha[*j]).sum();
        (odd, row[0])
    }
}
