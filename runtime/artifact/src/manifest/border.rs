//! What stands between people and phases: how pictures are cut, prompts are written and answers are drawn.

/// How pictures are cut and normalized.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ImagePolicy {
    /// Most slices beside the overview.
    #[prost(uint32, tag = "1")]
    pub max_slices: u32,
    /// Side of a slice in pixels, about.
    #[prost(uint32, tag = "2")]
    pub scale_resolution: u32,
    /// Side of a patch in pixels.
    #[prost(uint32, tag = "3")]
    pub patch: u32,
    /// Whether pictures are resized and cut at all.
    #[prost(bool, tag = "4")]
    pub slice_mode: bool,
    /// Mean per channel.
    #[prost(float, repeated, tag = "5")]
    pub mean: Vec<f32>,
    /// Standard deviation per channel.
    #[prost(float, repeated, tag = "6")]
    pub std: Vec<f32>,
    /// Side of the position table in patches.
    #[prost(uint32, tag = "7")]
    pub position_side: u32,
    /// Vectors per slice.
    #[prost(uint32, tag = "8")]
    pub queries: u32,
    /// How patches get their positions.
    #[prost(enumeration = "Positions", tag = "9")]
    pub positions: i32,
    /// Side in pixels of the square that every picture is resized to (1.0), or 0.
    #[prost(uint32, tag = "10")]
    pub square: u32,
    /// Patches along a side that become one vector (4.6), else 0: the phase takes them in the order of the vectors, and
    /// a slice has as many vectors as it has such squares, at most `queries`.
    #[prost(uint32, tag = "11")]
    pub unit: u32,
}

/// What the vision phase is told about the patches' places in the position table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Positions {
    /// Not said; refused.
    Unsaid = 0,
    /// Input `position_ids`: each patch takes a row of the table (2.5 and later).
    Bucketed = 1,
    /// Input `position_weights`: each patch takes a weighted sum of all rows (2.0).
    Resampled = 2,
    /// Input `position_ids`: each patch takes the row that its share of the side falls on (4.6 and later).
    Nearest = 3,
}

/// Text around what is between: before, after.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Around {
    /// Before.
    #[prost(string, tag = "1")]
    pub before: String,
    /// After.
    #[prost(string, tag = "2")]
    pub after: String,
}

/// Prompt schema.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chat {
    /// Text at the very beginning, may be empty.
    #[prost(string, tag = "1")]
    pub bos: String,
    /// System prompt when the user gives none; none at all if absent.
    #[prost(string, optional, tag = "2")]
    pub default_system: Option<String>,
    /// Around the system prompt.
    #[prost(message, optional, tag = "3")]
    pub system: Option<Around>,
    /// Around a user message.
    #[prost(message, optional, tag = "4")]
    pub user: Option<Around>,
    /// Around an answer.
    #[prost(message, optional, tag = "5")]
    pub assistant: Option<Around>,
    /// Around the picture's number; absent where the version has none.
    #[prost(message, optional, tag = "6")]
    pub image_id: Option<Around>,
    /// Around the overview's vectors.
    #[prost(message, optional, tag = "7")]
    pub overview: Option<Around>,
    /// Around one slice's vectors.
    #[prost(message, optional, tag = "8")]
    pub slice: Option<Around>,
    /// Around all rows of slices.
    #[prost(message, optional, tag = "9")]
    pub slices: Option<Around>,
    /// Between rows of slices.
    #[prost(string, tag = "10")]
    pub row_separator: String,
    /// Token that stands for one vector.
    #[prost(string, tag = "11")]
    pub placeholder: String,
    /// After a picture.
    #[prost(string, tag = "12")]
    pub after_image: String,
    /// Token ids that end an answer.
    #[prost(uint32, repeated, tag = "13")]
    pub stop: Vec<u32>,
    /// Before an answer that the model may think about first; absent: it has no such mode.
    #[prost(string, optional, tag = "14")]
    pub thinking: Option<String>,
}

/// Ids of the tokens around pictures and slices.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Canvas {
    /// Before an overview.
    #[prost(uint32, tag = "1")]
    pub image_start: u32,
    /// Behind it.
    #[prost(uint32, tag = "2")]
    pub image_end: u32,
    /// Before a slice.
    #[prost(uint32, tag = "3")]
    pub slice_start: u32,
    /// Behind it.
    #[prost(uint32, tag = "4")]
    pub slice_end: u32,
    /// Between rows of slices.
    #[prost(uint32, tag = "5")]
    pub newline: u32,
}

/// Generation defaults of the checkpoint.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Generation {
    /// 0: greedy.
    #[prost(float, tag = "1")]
    pub temperature: f32,
    /// 0: off.
    #[prost(uint32, tag = "2")]
    pub top_k: u32,
    /// 1: off.
    #[prost(float, tag = "3")]
    pub top_p: f32,
    /// 1: off.
    #[prost(float, tag = "4")]
    pub repetition_penalty: f32,
    /// Most tokens of an answer.
    #[prost(uint32, tag = "5")]
    pub max_tokens: u32,
}
