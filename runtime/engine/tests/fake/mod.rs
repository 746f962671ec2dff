//! An artifact of a model without weights, whose answers are letters that depend on all tokens before.

#![allow(dead_code)] // not every test needs all of it

use mcv_artifact::manifest::*;
use mcv_artifact::{Message, Writer};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const QUERIES: u32 = 2;
pub const SPECIALS: [&str; 6] = ["<|im_start|>", "<|im_end|>", "<image>", "</image>", "<slice>", "</slice>"];
pub const PLACEHOLDER: &str = "<unk>";
pub const STOP: u32 = 257;
pub const VOCAB: u32 = 263;

/// Sizes that must not change answers, and those that must lead to errors.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub context: u32,
    pub chunk: u32,
    pub slices: u32,
    pub patches: u32,
}

pub const SIZES: Sizes = Sizes { context: 256, chunk: 64, slices: 10, patches: 64 };

/// Writes the artifact into `directory`.
pub fn write(directory: &Path, sizes: Sizes) -> PathBuf {
    let path = directory.join(format!("{}-{}-{}.mcv", sizes.context, sizes.chunk, sizes.slices));
    let mut writer = Writer::create(&path).unwrap();
    writer.put(MANIFEST_ENTRY, &manifest(sizes).encode_to_vec()).unwrap();
    writer.put(TOKENIZER_ENTRY, tokenizer().to_string().as_bytes()).unwrap();
    writer.put("kernels/plain.so", &kernels(directory)).unwrap();
    writer.finish().unwrap();
    path
}

fn kernels(directory: &Path) -> Vec<u8> {
    let (source, object) = (directory.join("kernels.c"), directory.join("kernels.so"));
    std::fs::write(&source, include_str!("kernels.c")).unwrap();
    let defines = [("QUERIES", QUERIES), ("STOP", STOP), ("VOCAB", VOCAB)].map(|(n, v)| format!("-D{n}={v}"));
    let flags = ["-O1", "-Wall", "-Werror", "-shared", "-fPIC"];
    let mut cc = Command::new("cc");
    assert!(cc.args(flags).args(defines).arg("-o").arg(&object).arg(&source).status().unwrap().success());
    std::fs::read(object).unwrap()
}

/// Its manifest.
pub fn manifest(sizes: Sizes) -> Manifest {
    let Sizes { context, chunk, slices, patches } = sizes;
    let kernel = |dims, args| Kernel { text: "fake".into(), unit: "cpu".into(), dims, args, ..Kernel::default() };
    let library = Library {
        level: "plain".into(),
        family: mcv_runtime::device::features::FAMILY.into(),
        entry: "kernels/plain.so".into(),
        symbols: ["encode", "absorb", "append", "predict"].map(str::to_owned).to_vec(),
        unit: "cpu".into(),
        ..Library::default()
    };
    let state = |name: &str, rows| State { name: name.into(), ty: format!("f32[{rows},1]"), rows, stride: 4 };
    Manifest {
        format: FORMAT,
        libraries: vec![library],
        kernels: vec![kernel(2, 5), kernel(2, 5), kernel(1, 3), kernel(1, 2)],
        states: vec![state("image_tokens", slices * QUERIES), state("kv.0.k", context)],
        phases: vec![vision(patches, sizes), prefill(chunk, sizes), decode(sizes)],
        image: Some(policy()),
        chat: Some(chat()),
        generation: Some(Generation { max_tokens: 40, ..Generation::default() }),
        limits: Some(Limits { context, prefill_chunk: chunk, patches, slices, vocab: VOCAB, anonymous: 0 }),
        ..Manifest::default()
    }
}

fn policy() -> ImagePolicy {
    ImagePolicy {
        max_slices: 9,
        scale_resolution: 8,
        patch: 2,
        slice_mode: true,
        square: 0,
        unit: 0,
        mean: vec![0.5; 3],
        std: vec![0.5; 3],
        position_side: 70,
        queries: QUERIES,
        positions: Positions::Bucketed as i32,
    }
}

/// Ports one after the other, 64 bytes aligned.
struct Arena(u64);

impl Arena {
    fn port(&mut self, name: &str, width: u32, max_rows: u32) -> Port {
        let bytes = u64::from(width) * u64::from(max_rows) * 4;
        let place = Place { offset: self.0, stride: u64::from(width) * 4, bytes, ..Place::default() };
        self.0 += bytes.next_multiple_of(64);
        Port { name: name.into(), place: Some(place), width, max_rows }
    }
}

fn state_place(index: u32, rows: u32) -> Place {
    Place { memory: Memory::State as i32, index, offset: 0, stride: 4, bytes: u64::from(rows) * 4, unit: 0 }
}

fn step(kernel: u32, args: Vec<Place>, vars: &[u32]) -> Step {
    let dims = vars.iter().map(|var| Size { value: 0, var: *var }).collect();
    Step { kernel, args, dims, scalars: Vec::new(), node: format!("node{kernel}"), copy: 0 }
}

fn vision(patches: u32, sizes: Sizes) -> Phase {
    let mut arena = Arena(0);
    let inputs = [("patches", 12), ("position_ids", 1), ("grid_rows", 1), ("grid_cols", 1)];
    let inputs: Vec<Port> = inputs.iter().map(|(name, width)| arena.port(name, *width, patches)).collect();
    let mut args: Vec<Place> = inputs.iter().filter_map(|p| p.place).collect();
    args.push(state_place(0, sizes.slices * QUERIES));
    Phase {
        name: "vision".into(),
        arena: arena.0,
        variables: vec!["patches".into(), "slot".into()],
        steps: vec![step(0, args, &[1, 2])],
        inputs,
        ..Phase::default()
    }
}

fn prefill(rows: u32, sizes: Sizes) -> Phase {
    let mut arena = Arena(0);
    let inputs = ["token_ids", "positions", "image_rows"].map(|name| arena.port(name, 1, rows)).to_vec();
    let logits = arena.port("logits", VOCAB, 1);
    let kv = state_place(1, sizes.context);
    let mut args: Vec<Place> = inputs.iter().filter_map(|p| p.place).collect();
    args.extend([state_place(0, sizes.slices * QUERIES), kv]);
    let steps = vec![step(1, args, &[3, 1]), step(3, vec![kv, logits.place.unwrap()], &[2])];
    language("prefill", arena, inputs, logits, steps)
}

fn decode(sizes: Sizes) -> Phase {
    let mut arena = Arena(0);
    let inputs = ["token_ids", "positions"].map(|name| arena.port(name, 1, 1)).to_vec();
    let logits = arena.port("logits", VOCAB, 1);
    let kv = state_place(1, sizes.context);
    let mut args: Vec<Place> = inputs.iter().filter_map(|p| p.place).collect();
    args.push(kv);
    let steps = vec![step(2, args, &[1]), step(3, vec![kv, logits.place.unwrap()], &[2])];
    let mut phase = language("decode", arena, inputs, logits, steps);
    phase.variables.truncate(2);
    phase
}

fn language(name: &str, arena: Arena, inputs: Vec<Port>, logits: Port, steps: Vec<Step>) -> Phase {
    let variables = ["pos", "context", "tokens"].map(str::to_owned).to_vec();
    Phase { name: name.into(), arena: arena.0, variables, inputs, outputs: vec![logits], steps, ..Phase::default() }
}

fn chat() -> Chat {
    let around = |before: &str, after: &str| Some(Around { before: before.into(), after: after.into() });
    Chat {
        system: around("<|im_start|>system\n", "<|im_end|>\n"),
        user: around("<|im_start|>user\n", "<|im_end|>\n"),
        assistant: around("<|im_start|>assistant\n", "<|im_end|>\n"),
        overview: around("<image>", "</image>"),
        slice: around("<slice>", "</slice>"),
        slices: around("", ""),
        row_separator: "\n".into(),
        placeholder: PLACEHOLDER.into(),
        after_image: "\n".into(),
        stop: vec![STOP],
        ..Chat::default()
    }
}

/// A token per byte, in GPT-2's alphabet, and the control tokens.
pub fn tokenizer() -> Value {
    let mut other = 0x100;
    let mut vocab = Map::new();
    for byte in 0..=255u8 {
        let shown = matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
        let letter = if shown { char::from(byte) } else { char::from_u32(other).unwrap() };
        other += u32::from(!shown);
        vocab.insert(letter.to_string(), json!(byte));
    }
    let added = SPECIALS.iter().chain([&PLACEHOLDER]).zip(256..).map(|(content, id)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
               "normalized": false, "special": true})
    });
    let level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "normalizer": null, "post_processor": null,
        "added_tokens": added.collect::<Vec<_>>(), "pre_tokenizer": level, "decoder": level,
        "model": {"type": "BPE", "vocab": vocab, "merges": []},
    })
}
