//! Which part of a unit's peak kernels reach, by kind of kernel.
//!
//! Where [`super::anchors`] has figures, the efficiency is their geometric mean and the error the worst prediction of one
//! figure from the others (a test recomputes both), never below 1.15; on the CPU the figures give the part of the modelled
//! inner loop ([`super::loops`]) that is realized. The rest are assumptions, with wider errors.

use super::loops::{Q4_ROWS, Q8_ROWS, REALIZED};
use mcv_ir::{Elem, Kernel, Op};

/// Kinds of kernels that reach about the same part of the peak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Matmul with weights that have a scale per block of the row.
    Blocks,
    /// Matmul with weights that have one scale per row.
    Rows,
    /// Matmul with float weights.
    Floats,
    /// Attention, fused or in parts.
    Attention,
    /// Norms, activations, copies: element by element.
    Elements,
}

/// The class of a kernel.
pub fn class(kernel: &Kernel) -> Class {
    match &kernel.op {
        Op::MatMul => match kernel.args.get(1).map(|w| (w.elem, w.width())) {
            Some((Elem::Q8 { group } | Elem::Q4 { group }, width)) if u32::from(group) < width => Class::Blocks,
            Some((Elem::Q8 { .. } | Elem::Q4 { .. }, _)) => Class::Rows,
            _ => Class::Floats,
        },
        Op::WindowAttention { .. } | Op::GatedDelta { .. } => Class::Attention,
        Op::Attention { .. } | Op::Scores { .. } | Op::Mix { .. } => Class::Attention,
        _ => Class::Elements,
    }
}

/// Parts of the peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Efficiency {
    /// Of the multiply-adds per second.
    pub operations: f64,
    /// Of the bandwidth.
    pub bytes: f64,
    /// Factor by which a time bound by operations may be wrong.
    pub error: f64,
    /// Factor by which a time bound by bytes may be wrong.
    pub bytes_error: f64,
}

const fn part(operations: f64, bytes: f64, error: f64, bytes_error: f64) -> Efficiency {
    Efficiency { operations, bytes, error, bytes_error }
}

/// Efficiency of a class on a unit.
pub fn efficiency(class: Class, unit: &str) -> Efficiency {
    match unit {
        "gpu" => gpu(class),
        "npu" => npu(class),
        _ => cpu(class),
    }
}

fn cpu(class: Class) -> Efficiency {
    match class {
        Class::Blocks => part(Q4_ROWS.share() * REALIZED, 0.931, 1.39, 1.17),
        // That these loops realize as much of the model as those with blocks is assumed.
        Class::Rows => part(Q8_ROWS.share() * REALIZED, 0.931, 1.5, 1.17),
        Class::Floats => part(0.468, 0.931, 2.6, 1.17),
        // Of the f32 peak; exponentials and head widths that no vector divides included. Assumed.
        Class::Attention => part(0.30, 0.6, 1.6, 1.6),
        // About ten operations an element, in caches. Assumed.
        Class::Elements => part(0.10, 0.6, 1.6, 1.6),
    }
}

fn gpu(class: Class) -> Efficiency {
    match class {
        Class::Blocks => part(0.141, 0.509, 1.15, 1.15),
        // Assumed as with blocks: the multiplications are the same halves.
        Class::Rows => part(0.141, 0.509, 1.6, 1.15),
        // Assumed: register tiles of floats spill on this generation.
        Class::Floats => part(0.10, 0.509, 2.0, 1.15),
        // Assumed; published attention kernels reach 20 to 42 % of the bandwidth floor before tuning.
        Class::Attention => part(0.08, 0.4, 2.0, 2.0),
        Class::Elements => part(0.03, 0.5, 1.6, 1.6),
    }
}

fn npu(class: Class) -> Efficiency {
    match class {
        // Whether those figures were reached by HVX alone or with HMX is not said; ours has HVX alone: the error is
        // wider than their 1.32.
        Class::Rows => part(0.359, 0.8, 2.0, 1.5),
        // Assumed: scales per block cost as much again.
        Class::Blocks => part(0.18, 0.8, 2.0, 2.0),
        // One thread's f16 GEMM by HVX: 33 GFLOPS (arXiv 2509.23324), four threads: 66 of 333 GMAC/s.
        Class::Floats => part(0.20, 0.8, 2.0, 2.0),
        // Chosen so that the paper's picture, taken as one slice, takes the NPU's 1.3 s together with `Rows`.
        Class::Attention => part(0.40, 0.8, 1.6, 1.6),
        Class::Elements => part(0.10, 0.8, 1.6, 1.6),
    }
}
