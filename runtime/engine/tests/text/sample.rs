//! Sampling: ranges, order of steps, distribution, determinism.

use mcv_runtime::text::{Sampler, Sampling, TextError};
use proptest::prelude::*;

fn warm() -> Sampling {
    Sampling { temperature: 1.0, ..Sampling::default() }
}

fn next(sampling: Sampling, logits: &[f32], history: &[u32]) -> Result<u32, TextError> {
    Sampler::new(sampling)?.next(logits, history)
}

fn counts(sampling: Sampling, logits: &[f32], draws: usize) -> Vec<usize> {
    let mut sampler = Sampler::new(sampling).expect("sampler");
    let mut counts = vec![0; logits.len()];
    for _ in 0..draws {
        counts[sampler.next(logits, &[]).expect("a token") as usize] += 1;
    }
    counts
}

fn first_maximum(logits: &[f32]) -> u32 {
    (0..logits.len()).rev().max_by(|&a, &b| logits[a].total_cmp(&logits[b])).expect("logits") as u32
}

proptest! {
    #![proptest_config(super::fixtures::cases(200))]

    #[test]
    fn greedy_top_1_and_tiny_top_p_take_the_first_maximum(
        logits in prop::collection::vec((-5i8..5).prop_map(f32::from), 1..600), seed in any::<u64>(),
    ) {
        let best = first_maximum(&logits);
        let at = |s: Sampling| next(Sampling { seed, ..s }, &logits, &[]).unwrap();
        prop_assert_eq!(at(Sampling::default()), best);
        prop_assert_eq!(at(Sampling { top_k: 1, ..warm() }), best);
        prop_assert_eq!(at(Sampling { top_p: 1e-9, ..warm() }), best);
    }

    #[test]
    fn equal_seeds_give_equal_answers(
        logits in prop::collection::vec(-4f32..4.0, 1..900), seed in any::<u64>(), top_k in 0u32..50, top_p in 0.01f32..1.0,
    ) {
        let sampling = Sampling { seed, top_k, top_p, temperature: 0.7, repetition_penalty: 1.05 };
        let run = || {
            let mut sampler = Sampler::new(sampling).unwrap();
            (0..8).map(|_| sampler.next(&logits, &[0]).unwrap()).collect::<Vec<_>>()
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn only_the_nucleus_is_drawn(
        logits in prop::collection::vec(-1f32..1.0, 1..3000), top_p in 0.01f32..1.0, top_k in 0usize..3000, seed in any::<u64>(),
    ) {
        let sampling = Sampling { top_p, top_k: top_k as u32, seed, ..warm() };
        let drawn = next(sampling, &logits, &[]).unwrap() as usize;
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]).then(a.cmp(&b)));
        order.truncate(if top_k == 0 { usize::MAX } else { top_k });
        let place = order.iter().position(|&id| id == drawn).expect("drawn among the top k");
        let mass = |ids: &[usize]| ids.iter().map(|&id| f64::from(logits[id]).exp()).sum::<f64>();
        prop_assert!(mass(&order[..place]) < f64::from(top_p) * mass(&order) + 1e-9);
    }

    #[test]
    fn hostile_logits_never_panic(
        logits in prop::collection::vec(any::<f32>(), 0..50), history in prop::collection::vec(0u32..60, 0..9),
        temperature in prop_oneof![Just(0.0), Just(f32::MIN_POSITIVE), Just(f32::MAX), any::<f32>()],
        repetition_penalty in any::<f32>(), top_p in 0f32..1.0, top_k in 0u32..9,
    ) {
        let sampling = Sampling { temperature, top_k, top_p, repetition_penalty, seed: 1 };
        if let Ok(id) = next(sampling, &logits, &history) {
            prop_assert!(logits[id as usize] > f32::NEG_INFINITY);
        }
    }
}

#[test]
fn draws_follow_the_softmax() {
    let shares = [0.5f64, 0.25, 0.125, 0.0625, 0.0625];
    let logits = shares.map(|p| p.ln() as f32);
    let drawn = counts(Sampling { seed: 7, ..warm() }, &logits, 20_000);
    for (share, count) in shares.iter().zip(drawn) {
        assert!((count as f64 / 20_000.0 - share).abs() < 0.012, "{share}: {count}");
    }
    // Temperature 0.5 squares the probabilities.
    let drawn = counts(Sampling { temperature: 0.5, seed: 7, ..warm() }, &logits[..2], 20_000);
    assert!((drawn[0] as f64 / 20_000.0 - 0.8).abs() < 0.012, "{drawn:?}");
}

#[test]
fn top_p_counts_within_top_k_after_temperature() {
    // Probabilities 0.4, 0.3, 0.2, 0.1: the first two reach 0.7 of all, and 0.77 of the first three.
    let logits = [0.4f32, 0.3, 0.2, 0.1].map(f32::ln);
    let alive = |s: Sampling| counts(s, &logits, 2000).iter().filter(|&&n| n > 0).count();
    assert_eq!(alive(Sampling { top_p: 0.75, ..warm() }), 3);
    assert_eq!(alive(Sampling { top_p: 0.75, top_k: 3, ..warm() }), 2);
    // At temperature 0.25 the first token alone has 0.72.
    assert_eq!(alive(Sampling { top_p: 0.7, temperature: 0.25, ..warm() }), 1);
}

#[test]
fn repetition_penalty_works_on_both_signs() {
    let penalty = |logits: &[f32], history: &[u32]| {
        next(Sampling { repetition_penalty: 2.0, ..Sampling::default() }, logits, history)
    };
    assert_eq!(penalty(&[3.0, 2.0, -1.0], &[0]), Ok(1));
    assert_eq!(penalty(&[-1.0, -1.5], &[0, 0, 0]), Ok(1), "a repeated id counts once: -2 < -1.5");
    assert_eq!(penalty(&[-1.0, -2.5], &[0, 0, 0]), Ok(0));
    let outside = penalty(&[1.0, 2.0], &[5]).expect_err("no such id").to_string();
    assert!(outside.contains("id 5") && outside.contains("2 logits"), "{outside}");
    assert_eq!(next(Sampling::default(), &[1.0, 2.0], &[5]), Ok(1), "unused history is not read");
}

#[test]
fn logits_that_cannot_be_chosen_from_are_named() {
    for sampling in [Sampling::default(), warm()] {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = next(sampling, &[0.0, bad], &[]).expect_err("bad logit").to_string();
            assert!(error.contains("id 1"), "{error}");
        }
        assert!(next(sampling, &[], &[]).is_err());
        assert!(next(sampling, &[f32::NEG_INFINITY; 3], &[]).is_err());
        assert_eq!(next(sampling, &[f32::NEG_INFINITY, -1e30], &[]), Ok(1));
    }
}

#[test]
fn parameters_outside_their_range_are_named() {
    let refused = |field: &str, change: fn(&mut Sampling, f32), values: &[f32]| {
        for &value in values {
            let mut sampling = warm();
            change(&mut sampling, value);
            let error = Sampler::new(sampling).expect_err(field).to_string();
            assert!(error.contains(field), "{error}");
        }
    };
    refused("temperature", |s, v| s.temperature = v, &[-0.1, f32::NAN, f32::INFINITY]);
    refused("top_p", |s, v| s.top_p = v, &[0.0, -1.0, 1.1, f32::NAN]);
    refused("repetition_penalty", |s, v| s.repetition_penalty = v, &[0.0, -2.0, f32::NAN, f32::INFINITY]);
}
