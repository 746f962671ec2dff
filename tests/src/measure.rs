//! Measures of accuracy: exact matches on a picture set, divergence of next-token distributions.

use crate::goldens::Golden;
use mcv_runtime::Session;
use mcv_runtime::image;
use mcv_runtime::text::Sampling;
use std::path::Path;

/// What a picture set gave.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Accuracy {
    /// Pictures asked about.
    pub asked: usize,
    /// Answers equal to the expected text.
    pub right: usize,
    /// Answers equal to the float reference's output; 0 without one.
    pub like_reference: usize,
    /// `(id, output)` of each picture.
    pub outputs: Vec<(u64, String)>,
}

/// Greedy answers to every item of `folder/items.jsonl` (or the first `limit`), compared with the expected answers
/// and with the outputs in `reference` (the reference's `accuracy.json`).
pub fn accuracy(
    session: &mut Session,
    folder: &Path,
    reference: Option<&Path>,
    limit: usize,
) -> Result<Accuracy, String> {
    session.set_sampling(Sampling::default()).map_err(|e| e.to_string())?;
    let items =
        std::fs::read_to_string(folder.join("items.jsonl")).map_err(|e| format!("{}: {e}", folder.display()))?;
    let known = reference.map(outputs).transpose()?.unwrap_or_default();
    let mut result = Accuracy::default();
    for line in items.lines().filter(|l| !l.trim().is_empty()).take(limit) {
        let item: serde_json::Value = serde_json::from_str(line).map_err(|e| format!("items.jsonl: {e}"))?;
        let field = |key: &str| item[key].as_str().map(str::to_string).ok_or(format!("items.jsonl: no {key}"));
        let id = item["id"].as_u64().ok_or("items.jsonl: no id")?;
        let output = ask(session, &folder.join(field("image")?), &field("prompt")?)?;
        result.asked += 1;
        result.right += usize::from(output == field("answer")?);
        result.like_reference += usize::from(known.iter().any(|(i, text)| *i == id && *text == output));
        result.outputs.push((id, output));
    }
    Ok(result)
}

fn outputs(path: &Path) -> Result<Vec<(u64, String)>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let pair = |o: &serde_json::Value| Some((o["id"].as_u64()?, o["output"].as_str()?.to_string()));
    Ok(json["outputs"].as_array().into_iter().flatten().filter_map(pair).collect())
}

/// The whole greedy answer to one question about one picture, in a new conversation.
pub fn ask(session: &mut Session, picture: &Path, prompt: &str) -> Result<String, String> {
    let fail = |e: mcv_runtime::Error| format!("{}: {e}", picture.display());
    session.reset();
    let bytes = std::fs::read(picture).map_err(|e| format!("{}: {e}", picture.display()))?;
    let name = picture.display().to_string();
    session.image(image::decode(&name, &bytes).map_err(|e| e.to_string())?);
    session.say(prompt, None).map_err(fail)?;
    let mut answer = String::new();
    while let Some(piece) = session.next_piece().map_err(fail)? {
        answer.push_str(&piece);
    }
    Ok(answer)
}

/// How far an artifact is from a golden of the float reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Distance {
    /// Largest difference of logits over the golden's positions, as a share of the range of the reference's logits.
    pub logits: f32,
    /// Greedy tokens that are the reference's, and how many it has.
    pub tokens: (usize, usize),
    /// Largest difference of the resampler's vectors as a share of their range; none without a picture.
    pub vectors: Option<f32>,
    /// Smallest cosine of one of these vectors with the reference's.
    pub least_cosine: Option<f32>,
}

/// Compares activations, logits and greedy tokens with a golden; the reference's own tokens are fed.
pub fn distance(session: &mut Session, golden: &Golden, picture: Option<&Path>) -> Result<Distance, String> {
    let fail = |e: mcv_runtime::Error| e.to_string();
    let (mut vectors, mut least_cosine) = (None, None);
    if let Some(path) = picture {
        let bytes = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let rgb = image::decode(&path.display().to_string(), &bytes).map_err(|e| e.to_string())?;
        let (ours, width) = session.encode_slices(&rgb).map_err(fail)?;
        let expected = &golden.tensors["resampler.out"].1;
        vectors = Some(share(&ours, expected));
        let pairs = ours.chunks(width).zip(expected.chunks(width));
        least_cosine = Some(pairs.map(|(a, b)| cosine(a, b)).fold(1.0, f32::min));
    }
    let greedy = golden.ints("greedy");
    let ids = [golden.ints("ids"), greedy.clone()].concat();
    let mut rows = golden.image_rows();
    rows.resize(ids.len(), -1);
    let logits = session.forward_logits(&ids, &rows).map_err(fail)?;
    let (shape, expected) = &golden.tensors["logits"];
    // A golden has the logits of all positions of its prompt, or of the last ones.
    let prompt = logits.len() - greedy.len();
    let same = greedy.iter().zip(&logits[prompt - 1..]).filter(|(t, l)| argmax(l) == **t as usize).count();
    let logits = &logits[prompt.saturating_sub(shape[0])..prompt];
    Ok(Distance { logits: share(&logits.concat(), expected), tokens: (same, greedy.len()), vectors, least_cosine })
}

/// Cosine of the angle between two vectors.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(p, q)| f64::from(*p) * f64::from(*q)).sum::<f64>();
    (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()) as f32
}

/// Largest difference as a share of the range of `expected`; infinite when the lengths differ.
pub fn share(ours: &[f32], expected: &[f32]) -> f32 {
    if ours.len() != expected.len() {
        return f32::INFINITY;
    }
    let top = expected.iter().fold(f32::MIN, |a, b| a.max(*b));
    let bottom = expected.iter().fold(f32::MAX, |a, b| a.min(*b));
    ours.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / (top - bottom)
}

/// Mean Kullback-Leibler divergence (nats) of next-token distributions, and the share of positions with the same
/// most likely token. Rows of `reference` and `other` are logits at the same positions.
pub fn divergence(reference: &[Vec<f32>], other: &[Vec<f32>]) -> (f64, f64) {
    let mut sum = 0.0;
    let mut same = 0;
    for (p, q) in reference.iter().zip(other) {
        let (log_p, log_q) = (log_softmax(p), log_softmax(q));
        sum += log_p.iter().zip(&log_q).map(|(a, b)| a.exp() * (a - b)).sum::<f64>();
        same += usize::from(argmax(p) == argmax(q));
    }
    let n = reference.len().max(1) as f64;
    (sum / n, same as f64 / n)
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let top = logits.iter().fold(f64::NEG_INFINITY, |m, x| m.max(f64::from(*x)));
    let total: f64 = logits.iter().map(|x| (f64::from(*x) - top).exp()).sum();
    logits.iter().map(|x| f64::from(*x) - top - total.ln()).collect()
}

/// Index of the largest value, the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let better = |best: usize, i: usize| if values[i] > values[best] { i } else { best };
    (0..values.len()).fold(0, better)
}
