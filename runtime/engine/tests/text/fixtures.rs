//! Goldens, templates and a small sentencepiece-like tokenizer.

use mcv_runtime::text::{Grid, ImageTemplate, Template, Tokenizer};
use proptest::prelude::ProptestConfig;
use serde_json::{Value, json};

/// Property tests leave no files behind.
pub fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One golden of the reference.
pub struct Golden {
    json: Value,
    name: &'static str,
}

impl Golden {
    pub fn text(&self, field: &str) -> &str {
        self.json[field].as_str().unwrap_or_else(|| panic!("{}: no text `{field}`", self.name))
    }

    pub fn ids(&self, field: &str) -> Vec<u32> {
        numbers(&self.json[field])
    }

    pub fn grid(&self) -> Grid {
        let grid = numbers(&self.json["grid_cols_rows"]);
        (grid.len() == 2).then(|| (grid[0], grid[1]))
    }

    pub fn bounds(&self) -> Vec<(usize, usize)> {
        let pairs = self.json["bounds"].as_array().expect("bounds");
        pairs.iter().map(numbers).map(|p| (p[0] as usize, p[1] as usize)).collect()
    }

    /// The grids of the golden's pictures: one or none.
    pub fn images(&self) -> Vec<Grid> {
        if self.bounds().is_empty() { vec![] } else { vec![self.grid()] }
    }
}

fn numbers(value: &Value) -> Vec<u32> {
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    items.iter().map(|v| v.as_u64().expect("a number") as u32).collect()
}

pub const TINY: [&str; 5] = [
    "tiny-A000-total-2x1",
    "tiny-A001-lines-noslice",
    "tiny-A004-colour-2x2",
    "tiny-A006-read-noslice",
    "tiny-A025-read_wide-1x2",
];

pub fn read(file: &str) -> Vec<u8> {
    let path = format!("{}/../../tests/fixtures/text/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

pub fn golden(name: &'static str) -> Golden {
    Golden { json: serde_json::from_slice(&read(&format!("{name}.json"))).expect("json"), name }
}

/// `tiny` or `nano`.
pub fn tokenizer(name: &str) -> Tokenizer {
    Tokenizer::from_json(&read(&format!("{name}-tokenizer.json"))).expect("tokenizer")
}

/// The same file as the crate itself reads it.
pub fn original(name: &str) -> tokenizers::Tokenizer {
    tokenizers::Tokenizer::from_bytes(read(&format!("{name}-tokenizer.json"))).expect("tokenizer")
}

/// A sentencepiece-like file with byte fallback, whose merges can build the control token `<s>`.
pub fn pieces_json(pre_tokenizer: Value, normalizer: Value, decoder: Value) -> Vec<u8> {
    let mut pieces: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).to_vec();
    pieces.extend((0..=255).map(|b| format!("<0x{b:02X}>")));
    let letters = ["\u{2581}", "h", "e", "l", "o", "w", "r", "d", "<", "s", ">"];
    pieces.extend(letters.map(String::from));
    pieces.extend(["he", "ll", "\u{2581}he", "s>"].map(String::from));
    let mut vocab = serde_json::Map::new();
    for piece in pieces {
        let id = vocab.len();
        vocab.entry(piece).or_insert(json!(id));
    }
    let added = |id: u32, content: &str| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false,
               "rstrip": false, "normalized": false, "special": true})
    };
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
        "decoder": decoder,
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>",
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab,
            "merges": ["h e", "l l", "\u{2581} he", "s >", "< s>"]},
    })
    .to_string()
    .into_bytes()
}

/// Llama's form: spaces are marked by the normalizer.
pub fn llama_json() -> Vec<u8> {
    let replace = |from: &str, to: &str| json!({"type": "Replace", "pattern": {"String": from}, "content": to});
    let normalizer = json!({"type": "Sequence", "normalizers":
        [{"type": "Prepend", "prepend": "\u{2581}"}, replace(" ", "\u{2581}")]});
    let decoder = json!({"type": "Sequence", "decoders": [replace("\u{2581}", " "), {"type": "ByteFallback"},
        {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]});
    pieces_json(Value::Null, normalizer, decoder)
}

/// The newer form: `Metaspace`, which marks the first word of the input only.
pub fn metaspace_json() -> Vec<u8> {
    let metaspace = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first", "split": false});
    let decoder = json!({"type": "Sequence", "decoders": [{"type": "Metaspace", "replacement": "\u{2581}",
        "prepend_scheme": "first", "split": false}, {"type": "ByteFallback"}, {"type": "Fuse"}]});
    pieces_json(metaspace, Value::Null, decoder)
}

fn pair(before: &str, behind: &str) -> (String, String) {
    (before.to_owned(), behind.to_owned())
}

fn image_with_slices() -> ImageTemplate {
    ImageTemplate {
        id: Some(pair("<image_id>", "</image_id>")),
        overview: pair("<image>", "</image>"),
        slice: pair("<slice>", "</slice>"),
        slices: pair("", ""),
        row_separator: "\n".to_owned(),
        placeholder: "<unk>".to_owned(),
        after: "\n".to_owned(),
        queries: 16,
    }
}

fn image_with_images() -> ImageTemplate {
    ImageTemplate {
        id: None,
        slice: pair("<image>", "</image>"),
        slices: pair("<slice>", "</slice>"),
        ..image_with_slices()
    }
}

/// MiniCPM-V 2.6; 4.0 and 4.5 differ in the default system prompt and the think switch.
pub fn v2_6() -> Template {
    Template {
        bos: None,
        default_system: Some("You are a helpful assistant.".to_owned()),
        system: pair("<|im_start|>system\n", "<|im_end|>\n"),
        user: pair("<|im_start|>user\n", "<|im_end|>\n"),
        assistant: pair("<|im_start|>assistant\n", "<|im_end|>\n"),
        thinking: None,
        image: image_with_slices(),
        stop: vec!["<|im_end|>".to_owned(), "<|endoftext|>".to_owned()],
    }
}

pub fn v4_0() -> Template {
    Template { default_system: None, ..v2_6() }
}

pub fn v4_5() -> Template {
    let assistant = pair("<|im_start|>assistant\n<think>\n\n</think>\n\n", "<|im_end|>\n");
    Template { assistant, thinking: Some("<|im_start|>assistant\n".to_owned()), ..v4_0() }
}

pub fn v2_5() -> Template {
    let around = |role: &str| format!("<|start_header_id|>{role}<|end_header_id|>\n\n");
    Template {
        bos: Some("<|begin_of_text|>".to_owned()),
        default_system: None,
        system: pair(&around("system"), "<|eot_id|>"),
        user: pair(&around("user"), "<|eot_id|>"),
        assistant: pair(&around("assistant"), "<|eot_id|>"),
        thinking: None,
        image: ImageTemplate { queries: 24, ..image_with_images() },
        stop: vec!["<|eot_id|>".to_owned()],
    }
}

pub fn v2_0() -> Template {
    Template {
        bos: Some("<s>".to_owned()),
        user: pair("<用户>", ""),
        assistant: pair("<AI>", "</s>"),
        image: image_with_images(),
        stop: vec!["</s>".to_owned()],
        ..Template::default()
    }
}
