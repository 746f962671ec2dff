//! How a DSP is reached: memory and lists of launches.

use crate::device::accelerator::Weights;
use crate::error::{Error, Result};

/// A way to a DSP and back. Regions are numbered by the caller.
pub trait Transport: Send {
    /// Device and driver.
    fn describe(&self) -> String;

    /// Zeroed memory of `bytes` (whole pages) that both sides address, as a region.
    ///
    /// # Errors
    /// There is no such memory left.
    fn allocate(&mut self, region: usize, bytes: u64, what: &str) -> Result<*mut u8>;

    /// Weights as a region that the DSP reads.
    ///
    /// # Errors
    /// They can't be mapped.
    fn attach(&mut self, region: usize, weights: &Weights) -> Result<()>;

    /// Forgets a region that was attached.
    fn detach(&mut self, region: usize);

    /// Makes the other side's writes visible to the CPU, or the CPU's to the DSP.
    ///
    /// # Errors
    /// The driver refuses.
    fn hand_over(&mut self, to_cpu: bool) -> Result<()>;

    /// Runs a list of launches and waits.
    ///
    /// # Errors
    /// The DSP is gone.
    fn run(&mut self, list: &[u8]) -> Result<Answer>;
}

/// What the program on the DSP answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// 0: done.
    pub status: u32,
    /// The launch that failed, or the system's error.
    pub at: u32,
}

impl Answer {
    /// An answer's two numbers.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        let [a, b, c, d, e, f, g, h] = bytes;
        Answer { status: u32::from_le_bytes([a, b, c, d]), at: u32::from_le_bytes([e, f, g, h]) }
    }

    /// Ok, or what went wrong with `what`.
    ///
    /// # Errors
    /// `Device` with the reason.
    pub fn check(&self, what: &str) -> Result<()> {
        let reason = match self.status {
            0 => return Ok(()),
            1 => "unknown message: the program is of another version".to_string(),
            2 => "malformed list of launches".to_string(),
            3 => "the program lacks the kernel".to_string(),
            4 => "an argument lies outside its region".to_string(),
            5 => format!("system error {}", self.at),
            other => format!("unknown answer {other}"),
        };
        Err(Error::Device(format!("{what}: {reason}")))
    }
}
