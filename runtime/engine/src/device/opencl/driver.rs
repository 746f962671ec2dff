//! A device, its context and its queue; what it can do.

use super::api::{self, Api, Id, check};
use crate::error::{Error, Result};
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// An opened device. One queue, in order.
pub struct Driver {
    /// The library.
    pub api: Arc<Api>,
    /// The device.
    pub device: Id,
    /// Its context.
    pub context: Id,
    /// Its queue.
    pub queue: Id,
}

// SAFETY: OpenCL's objects may be used from any thread; only a kernel's arguments may not, and those are not here.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: both were made by `open` and are used by nobody else.
        unsafe {
            (self.api.release_queue)(self.queue);
            (self.api.release_context)(self.context);
        }
    }
}

impl Driver {
    /// Opens the first GPU, else the first device of another kind.
    ///
    /// # Errors
    /// `Device`: no library, no device, or it refuses to open.
    pub fn open() -> Result<Arc<Self>> {
        let api = Api::load()?;
        let device = find(&api).ok_or_else(|| Error::Device("the OpenCL library finds no device".into()))?;
        let mut code = 0;
        // SAFETY: `device` is an id of this library; the context is released with the driver.
        let context = unsafe { (api.create_context)(null(), 1, &device, null(), null_mut(), &mut code) };
        check(code, "clCreateContext")?;
        // SAFETY: as above.
        let queue = unsafe { (api.create_queue)(context, device, 0, &mut code) };
        check(code, "clCreateCommandQueue")?;
        Ok(Arc::new(Driver { api, device, context, queue }))
    }

    /// Name of the device and version of its driver.
    pub fn name(&self) -> String {
        let text = |what| self.api.device_text(self.device, what);
        format!("{}, {}, driver {}", text(api::DEVICE_NAME), text(api::DEVICE_VERSION), text(api::DRIVER_VERSION))
    }

    /// Waits for all that was enqueued.
    pub fn finish(&self) -> Result<()> {
        // SAFETY: the queue is open.
        check(unsafe { (self.api.finish)(self.queue) }, "clFinish")
    }
}

fn find(api: &Api) -> Option<Id> {
    // SAFETY: `ids` passes a list as long as it says.
    let platforms = api::ids(|n, list, count| unsafe { (api.platform_ids)(n, list, count) });
    let of = |kind: u64| {
        platforms.iter().find_map(|&platform| {
            // SAFETY: as above.
            let devices = api::ids(|n, list, count| unsafe { (api.device_ids)(platform, kind, n, list, count) });
            devices.first().copied()
        })
    };
    of(api::DEVICE_TYPE_GPU).or_else(|| of(api::DEVICE_TYPE_ALL))
}

/// What decides the form in which a text is built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// Half precision arithmetic.
    pub half: bool,
    /// Subgroups.
    pub subgroups: bool,
    /// Dot products of packed 8-bit integers.
    pub integer_dot: bool,
    /// Most texels of an image over a buffer, 0 where images are not worth it.
    pub texels: u64,
    /// Largest buffer, bytes.
    pub largest: u64,
    /// Major version of OpenCL.
    pub version: u32,
}

/// 8-bit integers packed in 32 bits: a bit of `CL_DEVICE_INTEGER_DOT_PRODUCT_CAPABILITIES_KHR`.
const PACKED_DOT: u64 = 1;

impl Capabilities {
    /// Asks the device.
    pub fn of(driver: &Driver) -> Self {
        let number = |what| driver.api.device_number(driver.device, what);
        let extensions = driver.api.device_text(driver.device, api::DEVICE_EXTENSIONS);
        let has = |name: &str| extensions.split_whitespace().any(|e| e == name);
        let version = driver.api.device_text(driver.device, api::DEVICE_VERSION);
        let major = version.strip_prefix("OpenCL ").and_then(|v| v.split('.').next()).and_then(|v| v.parse().ok());
        let dot =
            has("cl_khr_integer_dot_product") && number(api::DEVICE_INTEGER_DOT_PRODUCT_CAPABILITIES) & PACKED_DOT != 0;
        let half = has("cl_khr_fp16");
        // Images only where arithmetic is a GPU's: they are slow where they are emulated.
        let images = (half || dot) && number(api::DEVICE_IMAGE_SUPPORT) & 1 != 0;
        Capabilities {
            half,
            subgroups: has("cl_khr_subgroups") && driver.api.sub_group_info.is_some(),
            integer_dot: dot,
            texels: if images { number(api::DEVICE_IMAGE_MAX_BUFFER_SIZE) } else { 0 },
            largest: number(api::DEVICE_MAX_MEM_ALLOC_SIZE),
            version: major.unwrap_or(1),
        }
    }

    /// Forms to build a text in, best first; `segment` is the largest weight segment in bytes. The last one is the
    /// portable form, which every device builds.
    pub fn forms(&self, segment: u64) -> Vec<Form> {
        let dot = if self.integer_dot { 2 } else { u32::from(self.half) };
        let images = dot > 0 && segment / 8 <= self.texels;
        let of = |subgroups, wave| Form { dot, images, subgroups, wave, version: self.version };
        let mut all = vec![];
        if self.subgroups {
            all.extend([of(true, 64), of(true, 128)]);
        }
        all.push(of(false, 64));
        all.push(Form { dot: 0, images: false, subgroups: false, wave: 64, version: 1 });
        all.dedup();
        all
    }
}

/// Values of the text's build macros, see `mcv-targets`, `opencl/cl/prelude.cl`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// `MCV_DOT`.
    pub dot: u32,
    /// `MCV_IMAGES`.
    pub images: bool,
    /// `MCV_SUBGROUPS`.
    pub subgroups: bool,
    /// `MCV_WAVE`.
    pub wave: u32,
    /// Version of OpenCL C to ask for, 1 for the device's own.
    pub version: u32,
}

impl Form {
    /// Build options.
    pub fn options(&self) -> String {
        let standard = if self.version > 1 { format!("-cl-std=CL{}.0 ", self.version) } else { String::new() };
        let (images, subgroups) = (u32::from(self.images), u32::from(self.subgroups));
        format!(
            "{standard}-DMCV_DOT={} -DMCV_IMAGES={images} -DMCV_SUBGROUPS={subgroups} -DMCV_WAVE={}",
            self.dot, self.wave
        )
    }

    /// For people.
    pub fn describe(&self) -> String {
        let dot = ["float", "half", "integer dot products"][self.dot.min(2) as usize];
        let images = if self.images { ", images" } else { "" };
        let subgroups = if self.subgroups { format!(", subgroups of {}", self.wave) } else { String::new() };
        format!("{dot}{images}{subgroups}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_choose_the_form() {
        let plain = Capabilities { version: 3, ..Capabilities::default() };
        assert_eq!(plain.forms(1 << 30).last().map(Form::describe).as_deref(), Some("float"));
        let adreno = Capabilities { half: true, subgroups: true, texels: 1 << 27, version: 3, ..plain };
        let forms = adreno.forms(1 << 30);
        assert_eq!(forms[0].options(), "-cl-std=CL3.0 -DMCV_DOT=1 -DMCV_IMAGES=1 -DMCV_SUBGROUPS=1 -DMCV_WAVE=64");
        assert_eq!(forms.len(), 4);
        assert!(!adreno.forms((1 << 30) + 8)[0].images, "more texels than an image has");
        let newer = Capabilities { integer_dot: true, ..adreno };
        assert_eq!(newer.forms(8)[1].describe(), "integer dot products, images, subgroups of 128");
        assert_eq!(newer.forms(8)[3], forms[3]);
    }
}
