//! Instruction set levels as tables: a name, the CPU features it needs, compiler flags, and the C spelling of one
//! small vocabulary (`vf`: 16 floats, `vi`: 16 int32, `vb`: 64 bytes) that all templates are written in.

use mcv_ir::target::Level;

pub mod amx;
pub mod avx2;
pub mod avx512vnni;
pub mod dotprod;
pub mod hvx;
pub mod i8mm;
pub mod neon;
pub mod portable;
pub mod sme;
pub mod sve2;

/// One level of a CPU family.
pub struct Isa {
    /// Name, needed features, compiler flags.
    pub level: Level,
    /// C text that spells the vocabulary.
    pub text: &'static [&'static str],
    /// Rows of activations whose sums fit the registers beside one panel of weights.
    pub tile_m: u32,
    /// Whether quantized matrix products, and attention whose sums may be of half precision, use tiles (`amx_*`).
    pub tiles: bool,
    /// Whether weights are best fetched ahead by instructions: not where the hardware follows every stream.
    pub prefetch: bool,
    /// Query rows and vectors of keys whose sums fit the registers in attention; none where it takes dot products.
    pub blocks: Option<[u32; 2]>,
    /// Whether attention may sum values in half precision (`vh_*`), 32 at a time; scores are f32.
    pub halves: bool,
    /// Whether there is tightly coupled memory: products keep all rows there, and walk down the rows panel by panel.
    pub near: bool,
    /// How quantized matrix products are written.
    pub product: &'static Product,
}

/// Templates of quantized matrix products: rows of activations times panels of weights.
pub struct Product {
    /// A scale for every group of 32 to 128 values.
    pub grouped: &'static str,
    /// One row times groups of 4 bits, where that is another way to go.
    pub nibbles: Option<&'static str>,
    /// One scale per row.
    pub long: &'static str,
    /// C expression of what 8-bit weights are stored with on top.
    pub zero8: &'static str,
    /// The same two for several rows at once, where that is another way to go; the others are then for one row.
    pub pairs: Option<[&'static str; 2]>,
    /// 16 rows at once by outer products (`outer_*`), where each row of weights has one scale.
    pub outer: Option<&'static str>,
}

/// Panels 4 deep: 4 values of 16 channels at a time.
pub static BY_FOURS: Product = Product {
    grouped: include_str!("../cpu/c/matmul_tile_quant.c"),
    nibbles: None,
    long: include_str!("../cpu/c/matmul_tile_long.c"),
    zero8: "128",
    pairs: None,
    outer: None,
};
/// Panels 8 deep: 8 values of two channels at a time.
pub static BY_OCTETS: Product = Product {
    grouped: include_str!("../cpu/c/matmul_tile_octets.c"),
    nibbles: None,
    long: include_str!("../cpu/c/matmul_tile_octets_long.c"),
    zero8: "MCV_ZERO8",
    pairs: None,
    outer: None,
};
/// Panels 8 deep: 8 values of two channels and two rows at a time.
pub static BY_PAIRS: Product = Product {
    nibbles: Some(include_str!("../cpu/c/matmul_row_nibbles.c")),
    pairs: Some([include_str!("../cpu/c/matmul_pairs.c"), include_str!("../cpu/c/matmul_pairs_long.c")]),
    ..BY_OCTETS
};
/// As by pairs; 16 channels and 16 rows at a time where a sum goes to the end of K.
pub static BY_OUTER: Product = Product { outer: Some(include_str!("../cpu/c/matmul_outer_long.c")), ..BY_PAIRS };

/// Levels of x86-64, weakest first.
pub static X86_64: [&Isa; 4] = [&portable::ISA, &avx2::ISA, &avx512vnni::ISA, &amx::ISA];
/// Their public halves, in the same order.
pub static X86_64_LEVELS: [Level; 4] = [portable::LEVEL, avx2::LEVEL, avx512vnni::LEVEL, amx::LEVEL];

/// Levels of 64-bit ARM, weakest first.
pub static AARCH64: [&Isa; 5] = [&neon::ISA, &dotprod::ISA, &i8mm::ISA, &sve2::ISA, &sme::ISA];
/// Their public halves, in the same order.
pub static AARCH64_LEVELS: [Level; 5] = [neon::LEVEL, dotprod::LEVEL, i8mm::LEVEL, sve2::LEVEL, sme::LEVEL];
/// Levels of Hexagon.
pub static HEXAGON: [&Isa; 1] = [&hvx::ISA];
/// Their public halves.
pub static HEXAGON_LEVELS: [Level; 1] = [hvx::LEVEL];

/// Calling convention and what every level shares.
pub const BASE: &str = include_str!("text/base.h");
/// Elementary functions, written in the vocabulary.
pub const MATH: &str = include_str!("text/math.h");
/// Sine and cosine, where no C library has them.
pub const ANGLE: &str = include_str!("text/angle.h");
/// Quantized rows, written in the vocabulary.
pub const FORMATS: &str = include_str!("text/formats.h");
