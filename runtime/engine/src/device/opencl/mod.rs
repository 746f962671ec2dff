//! GPUs through OpenCL: an artifact's text is built by the device's driver and run on memory shared with the CPU.
//!
//! The device's capabilities choose the form of the text (`mcv-targets`, `opencl/cl/prelude.cl`); a form that the driver
//! refuses, or whose waves are not what it promises, gives way to a plainer one. Kernels get their arguments as that
//! crate's module `opencl` says.

pub mod alone;
mod api;
mod driver;
mod program;
mod regions;
mod rule;
#[cfg(test)]
mod tests;

use crate::device::accelerator::{Accelerator, Argument, Launch, Shared, Weights};
use crate::error::{Error, Result};
use api::{Id, NO_EVENTS, check};
use driver::{Capabilities, Driver, Form};
use program::Program;
use regions::Regions;
use rule::Rule;
use std::ffi::c_void;
use std::path::Path;
use std::ptr::{null, null_mut};
use std::sync::{Arc, Mutex, PoisonError};

/// What a device is opened for.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// OpenCL C: the prelude and kernels.
    pub source: &'a str,
    /// Kernel name by index, empty where the text has none.
    pub symbols: &'a [String],
    /// Bytes of the largest weight segment that the kernels read.
    pub segment: u64,
    /// Where built programs are kept between runs; none builds each time.
    pub cache: Option<&'a Path>,
}

/// An opened device with its kernels.
pub struct OpenCl {
    // Fields drop in order: kernels and regions before the driver that made them.
    kernels: Vec<Option<Kernel>>,
    regions: Regions,
    form: Form,
    cached: bool,
    driver: Arc<Driver>,
}

// SAFETY: OpenCL's objects may be used from any thread, and a kernel's arguments are set only through `&mut self`.
unsafe impl Send for OpenCl {}

struct Kernel {
    driver: Arc<Driver>,
    id: Id,
    rule: Rule,
}

impl Drop for Kernel {
    fn drop(&mut self) {
        // SAFETY: made by `Kernel::new`, released once.
        unsafe { (self.driver.api.release_kernel)(self.id) };
    }
}

/// Held while a device is opened: drivers exist (PoCL 3.1) that crash or find no device when two threads ask at once.
static OPENING: Mutex<()> = Mutex::new(());

impl OpenCl {
    /// Opens the system's GPU and builds the text for it.
    ///
    /// # Errors
    /// `Device`: there is no OpenCL device, or it can't build the text (with the build log).
    pub fn open(text: &Text) -> Result<Self> {
        let _alone = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
        let driver = Driver::open()?;
        let capabilities = Capabilities::of(&driver);
        let mut last = Error::Device("no form of the kernels".into());
        for form in capabilities.forms(text.segment) {
            match build(&driver, text, &form) {
                Ok((kernels, cached)) => {
                    let regions = Regions::new(driver.clone(), capabilities.largest);
                    return Ok(OpenCl { kernels, regions, form, cached, driver });
                }
                Err(why) => last = why,
            }
        }
        Err(last)
    }

    /// Whether the program came from the cache.
    pub fn cached(&self) -> bool {
        self.cached
    }
}

/// All kernels of the text in one form.
fn build(driver: &Arc<Driver>, text: &Text, form: &Form) -> Result<(Vec<Option<Kernel>>, bool)> {
    let options = form.options();
    let program = Program::new(driver, text.source, &options, text.cache)?;
    let kernel = |symbol: &String| match symbol.as_str() {
        "" => Ok(None),
        symbol => Kernel::new(driver, &program, text.source, symbol, form),
    };
    let kernels = text.symbols.iter().map(kernel).collect::<Result<_>>()?;
    program.keep(text.source, &options, text.cache);
    Ok((kernels, program.cached))
}

impl Kernel {
    /// The kernel; none if the device can't run groups of the size that it needs.
    fn new(driver: &Arc<Driver>, program: &Program, text: &str, symbol: &str, form: &Form) -> Result<Option<Self>> {
        let rule = Rule::find(text, symbol)
            .ok_or_else(|| Error::Artifact(format!("the GPU's kernel {symbol} does not say how it is launched")))?;
        let kernel = Kernel { driver: driver.clone(), id: program.kernel(symbol)?, rule };
        if kernel.most_items() < kernel.rule.items() {
            return Ok(None);
        }
        if form.subgroups && kernel.rule.waves && !kernel.has_waves(form.wave as usize) {
            return Err(Error::Device(format!("{symbol}: subgroups of {}, not {}", kernel.subgroup(), form.wave)));
        }
        Ok(Some(kernel))
    }

    /// Whether groups are one subgroup, or several of `wave` items.
    fn has_waves(&self, wave: usize) -> bool {
        let (items, subgroup) = (self.rule.items(), self.subgroup());
        if items <= wave { subgroup >= items } else { subgroup == wave }
    }

    fn most_items(&self) -> usize {
        let (api, device) = (&self.driver.api, self.driver.device);
        let mut most = 0usize;
        // SAFETY: the query answers with one number of this size.
        let code = unsafe {
            let to = (&raw mut most).cast();
            (api.kernel_group_info)(self.id, device, api::KERNEL_WORK_GROUP_SIZE, size_of::<usize>(), to, null_mut())
        };
        if code == 0 { most } else { 0 }
    }

    fn subgroup(&self) -> usize {
        let Some(query) = self.driver.api.sub_group_info else { return 0 };
        let (local, mut size, word) = (self.rule.local, 0usize, size_of::<usize>());
        let what = api::KERNEL_MAX_SUB_GROUP_SIZE_FOR_NDRANGE;
        // SAFETY: three sizes go in, one number comes back.
        let code = unsafe {
            let from = local.as_ptr().cast();
            query(self.id, self.driver.device, what, 3 * word, from, word, (&raw mut size).cast(), null_mut())
        };
        if code == 0 { size } else { 0 }
    }

    fn pass<T>(&self, at: &mut u32, value: &T) -> Result<()> {
        // SAFETY: the value lives through the call, which copies it; the driver checks number and size.
        let code = unsafe {
            let from = std::ptr::from_ref(value).cast::<c_void>();
            (self.driver.api.set_arg)(self.id, *at, size_of::<T>(), from)
        };
        *at += 1;
        check(code, "clSetKernelArg")
    }

    fn pass_argument(&self, at: &mut u32, argument: &Argument, image: bool, regions: &Regions) -> Result<()> {
        let (buffer, view) = regions.get(argument.region)?;
        self.pass(at, buffer)?;
        self.pass(at, &argument.offset)?;
        self.pass(at, &argument.stride)?;
        match (image, view) {
            (false, _) => Ok(()),
            (true, Some(view)) => self.pass(at, view),
            (true, None) => Err(Error::Device("the GPU reads these weights as an image only".into())),
        }
    }

    fn launch(&self, launch: &Launch, form: &Form, regions: &Regions) -> Result<()> {
        let wrong = || Error::Bug(format!("GPU kernel {}: sizes {:?}", launch.kernel, launch.dims));
        let groups = self.rule.groups(launch.dims, form.wave).ok_or_else(wrong)?;
        if groups.contains(&0) {
            return Ok(());
        }
        let mut at = 0;
        for (i, argument) in launch.args.iter().enumerate() {
            self.pass_argument(&mut at, argument, form.images && self.rule.image == Some(i), regions)?;
        }
        for dim in launch.dims {
            self.pass(&mut at, &i32::try_from(*dim).map_err(|_| wrong())?)?;
        }
        for scalar in launch.scalars {
            self.pass(&mut at, scalar)?;
        }
        let local = self.rule.local;
        let global = [0, 1, 2].map(|axis: usize| groups[axis].saturating_mul(local[axis]));
        let (api, queue) = (&self.driver.api, self.driver.queue);
        // SAFETY: all arguments are set, or the driver refuses; the kernel stays within the places that the plan's
        // verifier and the manifest's check hold against their memories.
        let code = unsafe {
            let (global, local) = (global.as_ptr(), local.as_ptr());
            (api.launch)(queue, self.id, 3, null(), global, local, 0, NO_EVENTS, null_mut())
        };
        check(code, "clEnqueueNDRangeKernel")
    }
}

impl Accelerator for OpenCl {
    fn unit(&self) -> &'static str {
        "gpu"
    }

    fn describe(&self) -> String {
        format!("{} ({})", self.driver.name(), self.form.describe())
    }

    fn allocate(&mut self, bytes: u64, what: &str) -> Result<Shared> {
        self.regions.allocate(bytes, what)
    }

    fn attach(&mut self, weights: &Weights) -> Result<usize> {
        self.regions.attach(weights.bytes, self.form.images, weights.name)
    }

    fn detach(&mut self, region: usize) {
        self.regions.detach(region);
    }

    fn hand_over(&mut self, to_cpu: bool) -> Result<()> {
        self.regions.hand_over(to_cpu)
    }

    fn has(&self, kernel: usize) -> bool {
        self.kernels.get(kernel).is_some_and(Option::is_some)
    }

    fn run(&mut self, launches: &[Launch]) -> Result<()> {
        for launch in launches {
            let kernel = self.kernels.get(launch.kernel).and_then(Option::as_ref);
            let kernel = kernel.ok_or_else(|| Error::Bug(format!("the GPU has no kernel {}", launch.kernel)))?;
            let done = kernel.launch(launch, &self.form, &self.regions);
            if done.is_err() {
                let _ = self.driver.finish();
                return done;
            }
        }
        self.driver.finish()
    }
}
