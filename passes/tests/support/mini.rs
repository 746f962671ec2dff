//! A whole model in small: two vision layers, a resampler, a language model of two layers with shared kv heads.

use super::parts::{Shapes, Writer, load};
use super::recipe;
use mcv_ir::{
    Act, Dim, Elem, Machine, NodeId, Op, Phase, Pointwise, Program, Result, Source, Stage, State, StateId, TensorType,
};
use mcv_passes::recipe::Recipe;

/// Most patches of a slice.
pub const PATCHES: u32 = 8;
/// Numbers of a patch: 3 * 4 * 4, which groups of 32 do not divide.
pub const PATCH: u32 = 48;
/// Most tokens of one prefill.
pub const TOKENS: u32 = 6;
/// Rows of the KV cache.
pub const CONTEXT: u32 = 16;
/// Different tokens.
pub const VOCABULARY: u32 = 96;

const WIDTH: u32 = 64;
const HEADS: (u32, u32) = (4, 2);
const HEAD: u32 = 16;
const QUERIES: u32 = 4;
const LAYERS: u32 = 2;

/// The program as an importer writes it, and its tensors.
pub struct Mini {
    /// Stage imported.
    pub program: Program,
    shapes: Shapes,
}

impl Mini {
    pub fn new() -> Self {
        let mut program =
            Program { name: "mini".into(), stage: Stage::Imported, phases: vec![], states: vec![], weights: vec![] };
        let mut shapes = Shapes::new();
        let image = program.add_state(State { name: "image_tokens".into(), ty: rows(2 * QUERIES, WIDTH) });
        for layer in 0..LAYERS {
            for part in ["k", "v"] {
                program.add_state(State { name: format!("kv.{layer}.{part}"), ty: rows(CONTEXT, HEADS.1 * HEAD) });
            }
        }
        let vision = vision(&mut Writer::new(&mut program, &mut shapes), image);
        program.phases.push(Phase { name: "vision".into(), graph: vision });
        for (name, tokens, image) in
            [("prefill", Dim::up_to("tokens", TOKENS), Some(image)), ("decode", Dim::Is(1), None)]
        {
            let graph = language(&mut Writer::new(&mut program, &mut shapes), tokens, image);
            program.phases.push(Phase { name: name.into(), graph });
        }
        Mini { program, shapes }
    }

    /// A machine for a form of the program.
    pub fn machine<'p>(&self, program: &'p Program) -> Machine<'p> {
        Machine::new(program, &|source: &Source| load(&self.shapes, source)).unwrap()
    }

    /// Numbers of a stored source.
    pub fn load(&self, source: &Source) -> Result<Vec<f32>> {
        load(&self.shapes, source)
    }
}

/// Formats in use: 4 bits where most bytes are, 8 bits elsewhere, vision in halves and bytes.
pub fn formats() -> Recipe {
    recipe(&[
        ("llm.*mlp*", Elem::Q4 { group: 32 }),
        ("llm.*", Elem::Q8 { group: 32 }),
        ("vpm.encoder.*", Elem::Q8 { group: 32 }),
        ("*", Elem::F16),
    ])
}

fn rows(count: u32, width: u32) -> TensorType {
    TensorType::f32([Dim::Is(count), Dim::Is(width)])
}

fn vision(g: &mut Writer, image: StateId) -> mcv_ir::Graph {
    let patches = Dim::up_to("patches", PATCHES);
    let pixels = g.input("patches", Elem::F32, &[patches.clone(), Dim::Is(PATCH)]);
    let ids = g.input("position_ids", Elem::I32, std::slice::from_ref(&patches));
    let x = g.linear("vpm.patch_embedding", pixels, WIDTH, true);
    let table = g.weight("vpm.position_embedding.weight", &[16, WIDTH]);
    let positions = g.node("vpm.positions", Op::Gather, &[table, ids]);
    let mut x = g.pointwise("vpm.embeddings", Pointwise::Add, &[x, positions]);
    for layer in 0..LAYERS {
        x = vision_layer(g, &format!("vpm.encoder.layers.{layer}"), x);
    }
    let x = g.layer_norm("vpm.post_layernorm", x);
    resampler(g, x, &patches, image);
    std::mem::take(&mut g.graph)
}

fn vision_layer(g: &mut Writer, name: &str, x: NodeId) -> NodeId {
    let of = |part: &str| format!("{name}.{part}");
    let normed = g.layer_norm(&of("layer_norm1"), x);
    let qkv = ["q", "k", "v"].map(|p| g.linear(&of(&format!("self_attn.{p}_proj")), normed, WIDTH, true));
    let mixed = g.attention(&of("self_attn.mixed"), qkv, (2, 2), false);
    let out = g.linear(&of("self_attn.out_proj"), mixed, WIDTH, true);
    let x = g.pointwise(&of("self_attn.residual"), Pointwise::Add, &[out, x]);
    let normed = g.layer_norm(&of("layer_norm2"), x);
    let wide = g.linear(&of("mlp.fc1"), normed, 2 * WIDTH, true);
    let wide = g.pointwise(&of("mlp.act"), Pointwise::Act(Act::GeluTanh), &[wide]);
    let out = g.linear(&of("mlp.fc2"), wide, WIDTH, true);
    g.pointwise(&of("mlp.residual"), Pointwise::Add, &[out, x])
}

/// Learned queries, whose projection is constant; positions are added to the keys only.
fn resampler(g: &mut Writer, x: NodeId, patches: &Dim, image: StateId) {
    let x = g.linear("resampler.kv_proj", x, WIDTH, false);
    let values = g.layer_norm("resampler.ln_kv", x);
    let angles = (0..PATCHES * WIDTH / 2).map(|i| (i / 32) as f32 * 0.8f32.powi((i % 32) as i32));
    let table = g.table("resampler.sincos", &[PATCHES, WIDTH / 2], angles.map(f32::sin).collect());
    let positions = ["grid_cols", "grid_rows"].map(|name| {
        let ids = g.input(name, Elem::I32, std::slice::from_ref(patches));
        g.node(&format!("resampler.{name}"), Op::Gather, &[table, ids])
    });
    let positions = g.node("resampler.positions", Op::Concat, &positions);
    let keys = g.pointwise("resampler.keys", Pointwise::Add, &[values, positions]);
    let query = g.weight("resampler.query", &[QUERIES, WIDTH]);
    let query = g.layer_norm("resampler.ln_q", query);
    let q = g.linear("resampler.attn.q_proj", query, WIDTH, true);
    let k = g.linear("resampler.attn.k_proj", keys, WIDTH, true);
    let v = g.linear("resampler.attn.v_proj", values, WIDTH, true);
    let mixed = g.attention("resampler.attn.mixed", [q, k, v], (4, 4), false);
    let out = g.linear("resampler.attn.out_proj", mixed, WIDTH, true);
    let out = g.layer_norm("resampler.ln_post", out);
    let proj = g.stored("resampler.proj", &[WIDTH, WIDTH], true);
    let out = g.node("resampler.proj.out", Op::MatMul, &[out, proj]);
    g.store("resampler.out", image, "slot", None, out);
}

fn language(g: &mut Writer, tokens: Dim, image: Option<StateId>) -> mcv_ir::Graph {
    let ids = g.input("token_ids", Elem::I32, std::slice::from_ref(&tokens));
    let positions = g.input("positions", Elem::I32, std::slice::from_ref(&tokens));
    let embed = g.weight("llm.embed_tokens.weight", &[VOCABULARY, WIDTH]);
    let mut x = g.node("llm.embed_tokens", Op::Gather, &[embed, ids]);
    if let Some(state) = image {
        let index = g.input("image_rows", Elem::I32, &[tokens]);
        let rows = g.declare("image_tokens", Op::State(state), rows(2 * QUERIES, WIDTH), &[]);
        x = g.node("llm.inputs", Op::MergeRows, &[x, rows, index]);
    }
    let frequencies = (0..HEAD / 2).map(|k| 0.3f32.powi(k as i32)).collect();
    let frequencies = g.table("llm.inv_freq", &[HEAD / 2], frequencies);
    let table = g.node("llm.rope", Op::RopeTable { scale: 1.0 }, &[positions, frequencies]);
    for layer in 0..LAYERS {
        x = language_layer(g, layer, x, table);
    }
    let last = g.node("llm.last", Op::LastRow, &[x]);
    let normed = g.rms_norm("llm.norm", last);
    // Tied embeddings: one weight, read as a table and as a matrix.
    let logits = g.node("llm.lm_head", Op::MatMul, &[normed, embed]);
    g.node("logits", Op::Output("logits".into()), &[logits]);
    std::mem::take(&mut g.graph)
}

fn language_layer(g: &mut Writer, layer: u32, x: NodeId, table: NodeId) -> NodeId {
    let of = |part: &str| format!("llm.layers.{layer}.{part}");
    let (key, value) = (StateId(1 + 2 * layer), StateId(2 + 2 * layer));
    let normed = g.rms_norm(&of("input_layernorm"), x);
    let q = g.linear(&of("self_attn.q_proj"), normed, HEADS.0 * HEAD, true);
    let k = g.linear(&of("self_attn.k_proj"), normed, HEADS.1 * HEAD, true);
    let v = g.linear(&of("self_attn.v_proj"), normed, HEADS.1 * HEAD, true);
    let q = g.node(&of("self_attn.q_rope"), Op::Rope { heads: HEADS.0 }, &[q, table]);
    let k = g.node(&of("self_attn.k_rope"), Op::Rope { heads: HEADS.1 }, &[k, table]);
    let keys = g.store(&of("self_attn.keys"), key, "pos", Some("context"), k);
    let values = g.store(&of("self_attn.values"), value, "pos", Some("context"), v);
    let mixed = g.attention(&of("self_attn.mixed"), [q, keys, values], HEADS, true);
    let out = g.linear(&of("self_attn.o_proj"), mixed, WIDTH, false);
    let x = g.pointwise(&of("self_attn.residual"), Pointwise::Add, &[out, x]);
    let normed = g.rms_norm(&of("post_attention_layernorm"), x);
    let gate = g.linear(&of("mlp.gate_proj"), normed, 96, false);
    let up = g.linear(&of("mlp.up_proj"), normed, 96, false);
    let gate = g.pointwise(&of("mlp.act"), Pointwise::Act(Act::Silu), &[gate]);
    let product = g.pointwise(&of("mlp.product"), Pointwise::Mul, &[gate, up]);
    let out = g.linear(&of("mlp.down_proj"), product, WIDTH, false);
    g.pointwise(&of("mlp.residual"), Pointwise::Add, &[out, x])
}
