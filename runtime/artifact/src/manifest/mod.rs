//! The manifest: everything the compiler decided, as protobuf messages (written by hand for `prost`, so that no
//! protobuf compiler is needed). The runtime reads it and decides nothing.

mod border;

pub use border::{Around, Canvas, Chat, Generation, ImagePolicy, Positions};

/// Version of the manifest this crate writes and reads; another one is refused.
pub const FORMAT: u32 = 3;
/// Entry that holds the manifest.
pub const MANIFEST_ENTRY: &str = "manifest.pb";
/// Entry that holds the tokenizer, in the form of Hugging Face's `tokenizers`.
pub const TOKENIZER_ENTRY: &str = "tokenizer.json";

/// Root message.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Manifest {
    /// [`FORMAT`].
    #[prost(uint32, tag = "1")]
    pub format: u32,
    /// Program and version that wrote it.
    #[prost(string, tag = "2")]
    pub producer: String,
    /// Model name, for people.
    #[prost(string, tag = "3")]
    pub model: String,
    /// Model version, e.g. `2.6`.
    #[prost(string, tag = "4")]
    pub model_version: String,
    /// Name given to `--target`.
    #[prost(string, tag = "5")]
    pub target: String,
    /// Name of the quantization recipe.
    #[prost(string, tag = "6")]
    pub recipe: String,
    /// Kernel libraries, best level first.
    #[prost(message, repeated, tag = "7")]
    pub libraries: Vec<Library>,
    /// Kernels, by index.
    #[prost(message, repeated, tag = "8")]
    pub kernels: Vec<Kernel>,
    /// Weight segments.
    #[prost(message, repeated, tag = "9")]
    pub segments: Vec<Segment>,
    /// Weights, by index.
    #[prost(message, repeated, tag = "10")]
    pub weights: Vec<Weight>,
    /// States, by index.
    #[prost(message, repeated, tag = "11")]
    pub states: Vec<State>,
    /// Entry points.
    #[prost(message, repeated, tag = "12")]
    pub phases: Vec<Phase>,
    /// Slicing and normalization.
    #[prost(message, optional, tag = "13")]
    pub image: Option<ImagePolicy>,
    /// Prompt schema.
    #[prost(message, optional, tag = "14")]
    pub chat: Option<Chat>,
    /// Generation defaults.
    #[prost(message, optional, tag = "15")]
    pub generation: Option<Generation>,
    /// Sizes the plan provides for.
    #[prost(message, optional, tag = "16")]
    pub limits: Option<Limits>,
    /// Units beside the CPU that steps are placed on, `gpu` or `npu`; [`Place::unit`] and [`Phase::arenas`] go by
    /// this order.
    #[prost(string, repeated, tag = "17")]
    pub units: Vec<String>,
    /// Tokens that have places on the canvases of pictures (4.7): the language phases have an input `canvas`, the place
    /// of each token as turn, row and column. Absent: they have none.
    #[prost(message, optional, tag = "18")]
    pub canvas: Option<Canvas>,
}

/// Kernels of one unit and instruction set level. The CPU's libraries hold every kernel, so that any step can run
/// there; those of other units the kernels placed on them.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Library {
    /// Level, e.g. `avx512vnni`.
    #[prost(string, tag = "1")]
    pub level: String,
    /// Instruction set family it was built for: `x86-64`, `aarch64`, `opencl`, `hexagon`.
    #[prost(string, tag = "2")]
    pub family: String,
    /// CPU features it needs.
    #[prost(string, repeated, tag = "3")]
    pub needs: Vec<String>,
    /// Entry of the shared object, or of the OpenCL text.
    #[prost(string, tag = "4")]
    pub entry: String,
    /// Entry of its source text; empty for stock kernels.
    #[prost(string, tag = "5")]
    pub source: String,
    /// Function name per kernel, by kernel index; empty where the library lacks the kernel.
    #[prost(string, repeated, tag = "6")]
    pub symbols: Vec<String>,
    /// Unit: `cpu`, `gpu`, `npu`.
    #[prost(string, tag = "7")]
    pub unit: String,
}

/// A kernel.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Kernel {
    /// Its text, see `mcv-ir`.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Unit that runs it.
    #[prost(string, tag = "2")]
    pub unit: String,
    /// Number of `dim` values it takes.
    #[prost(uint32, tag = "3")]
    pub dims: u32,
    /// Number of `arg` values it takes, result included.
    #[prost(uint32, tag = "4")]
    pub args: u32,
    /// Number of `scalar` values it takes.
    #[prost(uint32, tag = "5")]
    pub scalars: u32,
    /// Type text of its result, e.g. `f32[tokens<=256,512]`.
    #[prost(string, tag = "6")]
    pub result: String,
}

/// Weights mapped and released together.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Segment {
    /// `vision` or `llm`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Entry with its bytes.
    #[prost(string, tag = "2")]
    pub entry: String,
    /// Bytes.
    #[prost(uint64, tag = "3")]
    pub bytes: u64,
}

/// One weight.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Weight {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type text, e.g. `q4/32[512,256]@panels16x4`.
    #[prost(string, tag = "2")]
    pub ty: String,
    /// Index of its segment.
    #[prost(uint32, tag = "3")]
    pub segment: u32,
    /// First byte in the segment.
    #[prost(uint64, tag = "4")]
    pub offset: u64,
    /// Bytes.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
}

/// Memory that outlives a phase's call.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Type text.
    #[prost(string, tag = "2")]
    pub ty: String,
    /// Rows.
    #[prost(uint32, tag = "3")]
    pub rows: u32,
    /// Bytes of a row.
    #[prost(uint64, tag = "4")]
    pub stride: u64,
}

/// One entry point.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Phase {
    /// `vision`, `prefill`, `decode`.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Segments that must be mapped while it runs.
    #[prost(uint32, repeated, tag = "2")]
    pub segments: Vec<u32>,
    /// Bytes of its arena on the CPU.
    #[prost(uint64, tag = "3")]
    pub arena: u64,
    /// Names of its variables; [`Size::var`] and the caller's values go by this order.
    #[prost(string, repeated, tag = "4")]
    pub variables: Vec<String>,
    /// Buffers the runtime fills.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<Port>,
    /// Buffers the runtime reads.
    #[prost(message, repeated, tag = "6")]
    pub outputs: Vec<Port>,
    /// Launches in order.
    #[prost(message, repeated, tag = "7")]
    pub steps: Vec<Step>,
    /// Promised peak while it runs: mapped weights + arenas + states, bytes.
    #[prost(uint64, tag = "8")]
    pub peak: u64,
    /// Bytes of its arenas on [`Manifest::units`].
    #[prost(uint64, repeated, tag = "9")]
    pub arenas: Vec<u64>,
}

/// A named buffer at the border.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Port {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its bytes.
    #[prost(message, optional, tag = "2")]
    pub place: Option<Place>,
    /// 4-byte elements per row.
    #[prost(uint32, tag = "3")]
    pub width: u32,
    /// Most rows.
    #[prost(uint32, tag = "4")]
    pub max_rows: u32,
}

/// Where an argument's bytes are.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Place {
    /// What holds them.
    #[prost(enumeration = "Memory", tag = "1")]
    pub memory: i32,
    /// Index of the weight or state.
    #[prost(uint32, tag = "2")]
    pub index: u32,
    /// First byte.
    #[prost(uint64, tag = "3")]
    pub offset: u64,
    /// Bytes from row to row, 0 where the layout has no rows.
    #[prost(uint64, tag = "4")]
    pub stride: u64,
    /// Bytes that may be touched from `offset` on.
    #[prost(uint64, tag = "5")]
    pub bytes: u64,
    /// Whose arena: 0 the CPU's, else that of [`Manifest::units`] `unit - 1`.
    #[prost(uint32, tag = "6")]
    pub unit: u32,
}

/// Kinds of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Memory {
    /// The phase's arena.
    Arena = 0,
    /// A weight.
    Weight = 1,
    /// A state.
    State = 2,
}

/// One launch.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Step {
    /// Index of the kernel.
    #[prost(uint32, tag = "1")]
    pub kernel: u32,
    /// Arguments, result last.
    #[prost(message, repeated, tag = "2")]
    pub args: Vec<Place>,
    /// Values of the kernel's dims.
    #[prost(message, repeated, tag = "3")]
    pub dims: Vec<Size>,
    /// Values of the kernel's scalars.
    #[prost(float, repeated, tag = "4")]
    pub scalars: Vec<f32>,
    /// Node name, for people.
    #[prost(string, tag = "5")]
    pub node: String,
    /// Not 0: no launch, but a copy of `dims[0]` rows of so many bytes from `args[0]` to `args[1]`.
    #[prost(uint64, tag = "6")]
    pub copy: u64,
}

/// A size in a launch.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Size {
    /// The value when `var` is 0.
    #[prost(int64, tag = "1")]
    pub value: i64,
    /// 1 + index into the phase's variables, or 0.
    #[prost(uint32, tag = "2")]
    pub var: u32,
}

/// Sizes the plan provides for.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Limits {
    /// KV cache rows.
    #[prost(uint32, tag = "1")]
    pub context: u32,
    /// Tokens per prefill call.
    #[prost(uint32, tag = "2")]
    pub prefill_chunk: u32,
    /// Patches per slice.
    #[prost(uint32, tag = "3")]
    pub patches: u32,
    /// Slices per message whose vectors the state holds.
    #[prost(uint32, tag = "4")]
    pub slices: u32,
    /// Tokens in the vocabulary.
    #[prost(uint32, tag = "5")]
    pub vocab: u32,
    /// Anonymous memory at its largest: states + largest arena, bytes.
    #[prost(uint64, tag = "6")]
    pub anonymous: u64,
}

impl State {
    /// Whether it is part of the KV cache: `kv.LAYER.k`, `kv.LAYER.v`.
    pub fn is_kv(&self) -> bool {
        self.name.starts_with("kv.")
    }
}

impl Manifest {
    /// Element types of the KV cache, each once: `f16` or `f32`, as all of its states have one; none of a model without
    /// such a cache.
    pub fn kv_types(&self) -> Vec<&str> {
        let mut types: Vec<&str> =
            self.states.iter().filter(|s| s.is_kv()).filter_map(|s| s.ty.split('[').next()).collect();
        types.sort_unstable();
        types.dedup();
        types
    }
}
