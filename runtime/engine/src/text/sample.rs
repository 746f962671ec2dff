//! Choosing the next token.

use super::TextError;

/// How the next token is chosen, in the order in which Hugging Face `generate` applies its steps:
/// `repetition_penalty`, `temperature`, `top_k`, `top_p`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Divides the logits; 0 takes the largest logit (the first one among equals).
    pub temperature: f32,
    /// Keeps this many of the largest logits (smaller ids first among equals); 0 keeps all.
    pub top_k: u32,
    /// Keeps the most probable tokens until their sum reaches this, in (0, 1].
    pub top_p: f32,
    /// Divides positive and multiplies negative logits of tokens already in the history; 1 does nothing.
    pub repetition_penalty: f32,
    /// Equal seeds and logits give equal answers.
    pub seed: u64,
}

impl Default for Sampling {
    /// Greedy.
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, repetition_penalty: 1.0, seed: 0 }
    }
}

impl Sampling {
    /// Checks every range.
    ///
    /// # Errors
    /// [`TextError::Sampling`] naming the parameter.
    pub fn check(&self) -> Result<(), TextError> {
        let ensure = |ok: bool, field, value, accepts| match ok {
            true => Ok(()),
            false => Err(TextError::Sampling { field, value, accepts }),
        };
        let (t, p, r) = (self.temperature, self.top_p, self.repetition_penalty);
        ensure(t.is_finite() && t >= 0.0, "temperature", t, "a finite number, 0 or more")?;
        ensure(p > 0.0 && p <= 1.0, "top_p", p, "a number above 0, at most 1")?;
        ensure(r.is_finite() && r > 0.0, "repetition_penalty", r, "a finite number above 0")
    }
}

/// Chooses tokens; holds the random state and its working memory.
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    random: Xoshiro,
    /// One bit per id.
    seen: Vec<u64>,
    candidates: Vec<Candidate>,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    id: u32,
    logit: f32,
}

impl Sampler {
    /// A sampler at the beginning of its random sequence.
    ///
    /// # Errors
    /// As [`Sampling::check`].
    pub fn new(sampling: Sampling) -> Result<Self, TextError> {
        sampling.check()?;
        let random = Xoshiro::new(sampling.seed);
        Ok(Self { sampling, random, seen: Vec::new(), candidates: Vec::new() })
    }

    /// Chooses one of `logits` (one per id); `history` is prompt and answer so far.
    ///
    /// A logit of minus infinity is never chosen. Allocates only when `logits` is longer than ever before.
    ///
    /// # Errors
    /// [`TextError::Logits`] if a logit is NaN or plus infinity, if none can be chosen, or if the history holds an
    /// id without a logit.
    pub fn next(&mut self, logits: &[f32], history: &[u32]) -> Result<u32, TextError> {
        check(logits)?;
        if self.sampling.repetition_penalty != 1.0 {
            self.mark(logits.len(), history)?;
        }
        if self.sampling.temperature == 0.0 {
            return self.greedy(logits);
        }
        self.collect(logits);
        self.keep_top_k();
        self.draw()
    }

    fn mark(&mut self, vocabulary: usize, history: &[u32]) -> Result<(), TextError> {
        self.seen.clear();
        self.seen.resize(vocabulary.div_ceil(64), 0);
        for &id in history {
            if id as usize >= vocabulary {
                return Err(TextError::Logits(format!(
                    "the history holds id {id}, but there are {vocabulary} logits; pass ids of this model"
                )));
            }
            self.seen[id as usize / 64] |= 1 << (id % 64);
        }
        Ok(())
    }

    /// The logit after the repetition penalty (Keskar et al. 2019, as `RepetitionPenaltyLogitsProcessor`).
    fn penalized(&self, id: usize, logit: f32) -> f32 {
        let penalty = self.sampling.repetition_penalty;
        if penalty == 1.0 || self.seen[id / 64] >> (id % 64) & 1 == 0 {
            return logit;
        }
        if logit > 0.0 { (logit / penalty).min(f32::MAX) } else { logit * penalty }
    }

    fn greedy(&self, logits: &[f32]) -> Result<u32, TextError> {
        let mut best = None;
        for (id, &logit) in logits.iter().enumerate() {
            let logit = self.penalized(id, logit);
            if logit > best.map_or(f32::NEG_INFINITY, |(_, most)| most) {
                best = Some((id as u32, logit));
            }
        }
        best.map(|(id, _)| id).ok_or_else(nothing)
    }

    fn collect(&mut self, logits: &[f32]) {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        candidates.reserve(logits.len());
        let all = logits.iter().enumerate();
        let all = all.map(|(id, &logit)| Candidate { id: id as u32, logit: self.penalized(id, logit) });
        candidates.extend(all.filter(|c| c.logit > f32::NEG_INFINITY));
        self.candidates = candidates;
    }

    fn keep_top_k(&mut self) {
        let k = self.sampling.top_k as usize;
        if 0 < k && k < self.candidates.len() {
            self.candidates.select_nth_unstable_by(k - 1, larger_first);
            self.candidates.truncate(k);
        }
    }

    fn draw(&mut self) -> Result<u32, TextError> {
        let most = self.candidates.iter().map(|c| c.logit).fold(f32::NEG_INFINITY, f32::max);
        let scale = 1.0 / f64::from(self.sampling.temperature);
        let weight = |c: &Candidate| ((f64::from(c.logit) - f64::from(most)) * scale).exp();
        let total: f64 = self.candidates.iter().map(weight).sum();
        let kept = match self.sampling.top_p {
            1.0 => self.candidates.len(),
            p => nucleus(&mut self.candidates, f64::from(p) * total, weight),
        };
        let kept = &self.candidates[..kept];
        let mut left = self.random.unit() * kept.iter().map(weight).sum::<f64>();
        let chosen = kept.iter().find(|c| {
            left -= weight(c);
            left < 0.0
        });
        // Rounding may leave a rest: the last candidate that has any weight takes it.
        let chosen = chosen.or_else(|| kept.iter().rfind(|c| weight(c) > 0.0));
        chosen.map(|c| c.id).ok_or_else(nothing)
    }
}

/// Sorts the shortest head whose weights reach `mass` to the front; returns its length, at least 1 if there are
/// candidates.
///
/// A token stays if those before it weigh less than `mass`, as in `TopPLogitsWarper`. Most heads are short, so a
/// growing head is sorted, not the vocabulary.
fn nucleus(all: &mut [Candidate], mass: f64, weight: impl Fn(&Candidate) -> f64) -> usize {
    let mut head = 256;
    loop {
        let size = head.min(all.len());
        if size < all.len() {
            all.select_nth_unstable_by(size, larger_first);
        }
        all[..size].sort_unstable_by(larger_first);
        let mut before = 0.0;
        for (n, candidate) in all[..size].iter().enumerate() {
            if n > 0 && before >= mass {
                return n;
            }
            before += weight(candidate);
        }
        if size == all.len() || before >= mass {
            return size;
        }
        head *= 8;
    }
}

fn larger_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.logit.total_cmp(&a.logit).then(a.id.cmp(&b.id))
}

fn check(logits: &[f32]) -> Result<(), TextError> {
    match logits.iter().position(|l| l.is_nan() || *l == f32::INFINITY) {
        None => Ok(()),
        Some(id) => Err(TextError::Logits(format!(
            "the logit of id {id} is {}; the model's weights or a kernel are at fault",
            logits[id]
        ))),
    }
}

fn nothing() -> TextError {
    TextError::Logits("no token has a finite logit; the model's weights or a kernel are at fault".to_owned())
}

/// xoshiro256++ 1.0, seeded by SplitMix64 (Blackman and Vigna, <https://prng.di.unimi.it>).
#[derive(Debug, Clone)]
struct Xoshiro([u64; 4]);

impl Xoshiro {
    fn new(seed: u64) -> Self {
        let mut state = seed;
        Self(std::array::from_fn(|_| split_mix(&mut state)))
    }

    fn next(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, 1) with 53 bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_numbers_are_the_published_ones() {
        let mut xoshiro = Xoshiro([1, 2, 3, 4]);
        let first: [u64; 4] = std::array::from_fn(|_| xoshiro.next());
        assert_eq!(first, [41_943_041, 58_720_359, 3_588_806_011_781_223, 3_591_011_842_654_386]);
        let mut state = 1_234_567;
        let first: [u64; 2] = std::array::from_fn(|_| split_mix(&mut state));
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
