//! Hexagon DSPs: kernels run in their own 32-bit address space on memory that both sides map.

mod fastrpc;
mod list;
mod qemu;
mod transport;

pub use fastrpc::FastRpc;
pub use qemu::Emulator;
pub use transport::{Answer, Transport};

use super::accelerator::{Accelerator, Launch, Shared, Weights};
use crate::error::{Error, Result};
use std::path::Path;

/// Environment variable that names an emulator (`qemu-hexagon`): the DSP is then emulated. For tests.
pub const EMULATOR: &str = "MCV_QEMU_HEXAGON";
/// Bytes a session can map: 32-bit addresses less what the DSP keeps for itself, about 3.5 GB.
pub const SESSION_BYTES: u64 = 3584 << 20;
/// Regions a session can have; as many as the program on the DSP keeps.
const MOST_REGIONS: usize = 256;
/// A mapping ends at a page, and vector loads read up to 127 bytes more.
const PAGE: u64 = 4096;

/// A DSP behind a transport.
pub struct Hexagon {
    transport: Box<dyn Transport>,
    kernels: Vec<bool>,
    /// Bytes of each region in use.
    regions: Vec<Option<u64>>,
    with_cpu: bool,
    list: Vec<u8>,
}

impl Hexagon {
    /// The DSP of this device, or the emulator that [`EMULATOR`] names. `program` is what the artifact holds for it,
    /// `kernels` tells which of the manifest's kernels that program has.
    ///
    /// # Errors
    /// `Device` where there is neither, with what was tried.
    pub fn open(program: &[u8], kernels: Vec<bool>) -> Result<Self> {
        match std::env::var_os(EMULATOR) {
            Some(emulator) => Self::emulated(Path::new(&emulator), program, kernels),
            None => Ok(Self::over(Box::new(FastRpc::open()?), kernels)),
        }
    }

    /// A DSP emulated by `emulator`, a `qemu-hexagon`.
    ///
    /// # Errors
    /// `Device` if it can't be started.
    pub fn emulated(emulator: &Path, program: &[u8], kernels: Vec<bool>) -> Result<Self> {
        Ok(Self::over(Box::new(Emulator::start(emulator, program)?), kernels))
    }

    /// A DSP at the other end of any transport.
    pub fn over(transport: Box<dyn Transport>, kernels: Vec<bool>) -> Self {
        Hexagon { transport, kernels, regions: Vec::new(), with_cpu: true, list: Vec::new() }
    }

    /// Bytes of all regions.
    pub fn mapped(&self) -> u64 {
        self.regions.iter().flatten().sum()
    }

    /// A number for a region of `bytes`, if the session can map so much more.
    fn reserve(&mut self, bytes: u64, what: &str) -> Result<(usize, u64)> {
        let whole = bytes.max(1).div_ceil(PAGE).saturating_mul(PAGE).saturating_add(PAGE);
        let mapped = self.mapped();
        if whole > SESSION_BYTES.saturating_sub(mapped) {
            return Err(Error::Device(format!(
                "{what} needs {whole} bytes on the Hexagon DSP, which can address {SESSION_BYTES} and has {mapped} in \
                 use; compile with a smaller recipe or --place vision=cpu"
            )));
        }
        let free = self.regions.iter().position(Option::is_none).unwrap_or(self.regions.len());
        if free >= MOST_REGIONS {
            return Err(Error::Device(format!("{what}: the Hexagon DSP keeps at most {MOST_REGIONS} regions")));
        }
        self.regions.resize(self.regions.len().max(free + 1), None);
        Ok((free, whole))
    }
}

impl Accelerator for Hexagon {
    fn unit(&self) -> &'static str {
        "npu"
    }

    fn describe(&self) -> String {
        self.transport.describe()
    }

    fn allocate(&mut self, bytes: u64, what: &str) -> Result<Shared> {
        let (region, whole) = self.reserve(bytes, what)?;
        let host = self.transport.allocate(region, whole, what)?;
        self.regions[region] = Some(whole);
        Ok(Shared { region, host })
    }

    fn attach(&mut self, weights: &Weights) -> Result<usize> {
        let (region, whole) = self.reserve(weights.bytes.len() as u64, weights.name)?;
        self.transport.attach(region, weights)?;
        self.regions[region] = Some(whole);
        Ok(region)
    }

    fn detach(&mut self, region: usize) {
        if let Some(used) = self.regions.get_mut(region).filter(|r| r.is_some()) {
            self.transport.detach(region);
            *used = None;
        }
    }

    fn hand_over(&mut self, to_cpu: bool) -> Result<()> {
        if self.with_cpu != to_cpu {
            self.transport.hand_over(to_cpu)?;
            self.with_cpu = to_cpu;
        }
        Ok(())
    }

    fn has(&self, kernel: usize) -> bool {
        self.kernels.get(kernel).copied().unwrap_or(false)
    }

    fn run(&mut self, launches: &[Launch]) -> Result<()> {
        list::encode(launches, &mut self.list)?;
        let answer = self.transport.run(&self.list)?;
        let kernel = launches.get(answer.at as usize).map_or(0, |l| l.kernel);
        answer.check(&format!("launch {} (kernel {kernel}) on {}", answer.at, self.transport.describe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::accelerator::Argument;

    /// A transport without a DSP.
    struct Nowhere(u32);

    impl Transport for Nowhere {
        fn describe(&self) -> String {
            "nothing".into()
        }
        fn allocate(&mut self, _: usize, _: u64, _: &str) -> Result<*mut u8> {
            Ok(std::ptr::null_mut())
        }
        fn attach(&mut self, _: usize, _: &Weights) -> Result<()> {
            Ok(())
        }
        fn detach(&mut self, _: usize) {}
        fn hand_over(&mut self, _: bool) -> Result<()> {
            Ok(())
        }
        fn run(&mut self, _: &[u8]) -> Result<Answer> {
            Ok(Answer { status: self.0, at: 0 })
        }
    }

    fn dsp(status: u32) -> Hexagon {
        Hexagon::over(Box::new(Nowhere(status)), vec![true, false])
    }

    #[test]
    fn a_session_maps_no_more_than_its_addresses() {
        let mut dsp = dsp(0);
        let first = dsp.allocate(SESSION_BYTES - (1 << 20), "arena").expect("fits").region;
        let refused = dsp.allocate(1 << 20, "weights").expect_err("too much").to_string();
        assert!(refused.contains("weights") && refused.contains("3758096384"), "{refused}");
        dsp.detach(first);
        dsp.detach(first);
        dsp.detach(77);
        assert_eq!(dsp.mapped(), 0);
        assert_eq!(dsp.allocate(1 << 30, "weights").expect("fits").region, first);
        assert!(dsp.allocate(u64::MAX, "weights").is_err());
    }

    #[test]
    fn regions_run_out_with_an_error() {
        let mut dsp = dsp(0);
        for _ in 0..MOST_REGIONS {
            dsp.allocate(0, "one").expect("a region");
        }
        assert!(dsp.allocate(0, "one").is_err());
    }

    #[test]
    fn a_failed_launch_is_named() {
        let args = [Argument::default()];
        let launches = [Launch { kernel: 1, args: &args, dims: &[1], scalars: &[] }];
        assert!(dsp(0).run(&launches).is_ok());
        let error = dsp(3).run(&launches).expect_err("no such kernel").to_string();
        assert!(error.contains("launch 0 (kernel 1)"), "{error}");
    }

    #[test]
    fn has_only_its_kernels() {
        let dsp = dsp(0);
        assert!(dsp.has(0) && !dsp.has(1) && !dsp.has(2));
    }
}
