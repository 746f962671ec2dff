//! The text that the model reads while it is calibrated.

use mcv_ir::{Error, Result};

/// How much is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Tokens altogether.
    pub tokens: usize,
    /// Tokens of a passage; passages know nothing of each other.
    pub passage: usize,
}

impl Default for Amount {
    fn default() -> Self {
        Amount { tokens: 2048, passage: 256 }
    }
}

/// Fewer tokens than this say too little.
pub const FEWEST: usize = 64;

/// Passages of `text`, spread evenly over it where it has more tokens than wanted, each behind `begin`.
///
/// # Errors
/// A tokenizer that is not understood, a text of less than [`FEWEST`] tokens.
pub fn passages(
    text: &str,
    tokenizer: &[u8],
    begin: Option<&str>,
    vocabulary: u32,
    amount: Amount,
) -> Result<Vec<Vec<u32>>> {
    let fault = |why: String| Error::input(format!("tokenizer.json: {why}"));
    let mut tokenizer = std::panic::catch_unwind(|| tokenizers::Tokenizer::from_bytes(tokenizer))
        .map_err(|_| fault("is damaged; export it again".into()))?
        .map_err(|e| fault(e.to_string()))?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| fault(e.to_string()))?;
    tokenizer.set_encode_special_tokens(true);
    let begin = begin.and_then(|token| tokenizer.token_to_id(token));
    let encoding = tokenizer.encode_fast(text, false).map_err(|e| fault(e.to_string()))?;
    let ids: Vec<u32> = encoding.get_ids().iter().copied().filter(|id| *id < vocabulary).collect();
    if ids.len() < FEWEST {
        return Err(Error::input(format!(
            "the calibration text has {} tokens, at least {FEWEST} are needed; some thousand words are good",
            ids.len()
        )));
    }
    let length = amount.passage.max(2) - usize::from(begin.is_some());
    let all: Vec<&[u32]> = ids.chunks(length).filter(|p| p.len() >= FEWEST.min(length)).collect();
    let wanted = (amount.tokens / amount.passage.max(1)).clamp(1, all.len());
    let chosen = (0..wanted).map(|i| all[i * all.len() / wanted]);
    Ok(chosen.map(|passage| begin.into_iter().chain(passage.iter().copied()).collect()).collect())
}
