//! What a processor beside the CPU must do. It runs kernels of the plan on memory that it shares with the CPU.

use crate::error::Result;
use std::path::Path;

/// A GPU or NPU that was found and opened.
pub trait Accelerator: Send {
    /// Unit in the manifest: `gpu`, `npu`.
    fn unit(&self) -> &'static str;

    /// Device and driver, for statistics and records.
    fn describe(&self) -> String;

    /// Zeroed memory that both sides can address; it lives as long as the accelerator.
    ///
    /// # Errors
    /// The device has no such memory left.
    fn allocate(&mut self, bytes: u64, what: &str) -> Result<Shared>;

    /// Makes a mapped segment of weights readable, under a region number, until [`Accelerator::detach`].
    ///
    /// # Errors
    /// The device can't address so much.
    fn attach(&mut self, weights: &Weights) -> Result<usize>;

    /// Forgets a segment; nothing of it stays on the device.
    fn detach(&mut self, region: usize);

    /// Hands all allocated memory to the CPU, or to the device: unmapping, cache maintenance. Doing so twice is
    /// harmless.
    ///
    /// # Errors
    /// The driver refuses.
    fn hand_over(&mut self, to_cpu: bool) -> Result<()>;

    /// Whether it has the kernel of that index in the manifest.
    fn has(&self, kernel: usize) -> bool;

    /// Runs launches in order as one submission and waits for the last.
    ///
    /// # Errors
    /// The driver refuses, or the device is gone; results are undefined then.
    fn run(&mut self, launches: &[Launch]) -> Result<()>;
}

/// Memory addressed by both sides.
#[derive(Debug, Clone, Copy)]
pub struct Shared {
    /// Its number for [`Argument::region`].
    pub region: usize,
    /// Its first byte for the CPU, stable while the CPU owns it and the same each time.
    pub host: *mut u8,
}

/// A segment of weights, mapped from the artifact.
pub struct Weights<'a> {
    /// Segment name.
    pub name: &'a str,
    /// The artifact.
    pub path: &'a Path,
    /// First byte of the segment in it; a multiple of 16 KiB.
    pub offset: u64,
    /// The bytes as the CPU has mapped them.
    pub bytes: &'a [u8],
}

/// One kernel call.
pub struct Launch<'a> {
    /// Index of the kernel in the manifest.
    pub kernel: usize,
    /// Arguments, result last.
    pub args: &'a [Argument],
    /// Values of the kernel's dims.
    pub dims: &'a [i64],
    /// Values of the kernel's scalars.
    pub scalars: &'a [f32],
}

/// Where an argument's bytes are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Argument {
    /// Region: of [`Accelerator::allocate`] or [`Accelerator::attach`].
    pub region: usize,
    /// First byte in it.
    pub offset: u64,
    /// Bytes from row to row.
    pub stride: i64,
}
