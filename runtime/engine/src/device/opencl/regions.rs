//! Memory that the device addresses: buffers shared with the CPU, and weights where the CPU has mapped them.

use super::api::{self, Id, NO_EVENTS, check};
use super::driver::Driver;
use crate::device::accelerator::Shared;
use crate::device::memory::Block;
use crate::error::{Error, Result};
use std::ptr::{null_mut, write_bytes};
use std::sync::Arc;

/// All regions, by number.
pub struct Regions {
    driver: Arc<Driver>,
    largest: u64,
    all: Vec<Option<Region>>,
    with_cpu: bool,
}

/// A buffer.
struct Region {
    buffer: Id,
    image: Option<Id>,
    /// Memory shared with the CPU; weights have none.
    shared: Option<Mapped>,
}

struct Mapped {
    host: *mut u8,
    bytes: usize,
    /// Behind buffers on memory of our own.
    _own: Option<Block>,
}

impl Drop for Regions {
    fn drop(&mut self) {
        let _ = self.hand_over(false);
        let _ = self.driver.finish();
        (0..self.all.len()).for_each(|region| self.release(region));
    }
}

impl Regions {
    /// None yet; no buffer may be larger than `largest` bytes.
    pub fn new(driver: Arc<Driver>, largest: u64) -> Self {
        Regions { driver, largest, all: vec![], with_cpu: true }
    }

    /// Zeroed memory that the CPU owns for now.
    pub fn allocate(&mut self, bytes: u64, what: &str) -> Result<Shared> {
        let bytes = self.fits(bytes.max(1), what)?;
        self.hand_over(true)?;
        let first = self.create(api::MEM_READ_WRITE | api::MEM_ALLOC_HOST_PTR, bytes, null_mut())?;
        let (region, host) = match self.mapped_twice(first, bytes)? {
            Some(host) => {
                (Region { buffer: first, image: None, shared: Some(Mapped { host, bytes, _own: None }) }, host)
            }
            None => self.own(first, bytes, what)?,
        };
        // SAFETY: the buffer is mapped and has that many bytes.
        unsafe { write_bytes(host, 0, bytes) };
        Ok(Shared { region: self.put(region), host })
    }

    /// Weights where they are. They must stay there until [`Regions::detach`].
    pub fn attach(&mut self, bytes: &[u8], image: bool, what: &str) -> Result<usize> {
        let length = self.fits(bytes.len() as u64, what)?;
        let host = bytes.as_ptr().cast_mut().cast();
        let buffer = self.create(api::MEM_READ_ONLY | api::MEM_USE_HOST_PTR, length, host)?;
        let mut region = Region { buffer, image: None, shared: None };
        if image {
            match self.driver.api.image_of(self.driver.context, buffer, length) {
                Ok(image) => region.image = Some(image),
                Err(why) => {
                    // SAFETY: nothing else knows the buffer.
                    unsafe { (self.driver.api.release_memory)(buffer) };
                    return Err(why);
                }
            }
        }
        Ok(self.put(region))
    }

    /// Forgets weights.
    pub fn detach(&mut self, region: usize) {
        let _ = self.driver.finish();
        if self.all.get(region).and_then(Option::as_ref).is_some_and(|r| r.shared.is_none()) {
            self.release(region);
        }
    }

    /// The buffer, and the image over it.
    pub fn get(&self, region: usize) -> Result<(&Id, Option<&Id>)> {
        let found = self.all.get(region).and_then(Option::as_ref);
        found
            .map(|r| (&r.buffer, r.image.as_ref()))
            .ok_or_else(|| Error::Bug(format!("the GPU has no region {region}")))
    }

    /// Maps all shared memory for the CPU, or gives it back.
    pub fn hand_over(&mut self, to_cpu: bool) -> Result<()> {
        if self.with_cpu == to_cpu {
            return Ok(());
        }
        for region in self.all.iter().flatten() {
            let Some(shared) = &region.shared else { continue };
            if !to_cpu {
                self.unmap(region.buffer, shared.host)?;
            } else if self.map(region.buffer, shared.bytes)? != shared.host {
                return Err(Error::Device("the GPU's driver moved memory while it was in use".into()));
            }
        }
        self.with_cpu = to_cpu;
        Ok(())
    }

    fn fits(&self, bytes: u64, what: &str) -> Result<usize> {
        let largest = self.largest;
        let length = usize::try_from(bytes).ok().filter(|n| *n > 0 && bytes <= largest);
        length.ok_or_else(|| Error::Device(format!("{what}: {bytes} bytes; the GPU's buffers hold 1 to {largest}")))
    }

    fn put(&mut self, region: Region) -> usize {
        let free = self.all.iter().position(Option::is_none).unwrap_or(self.all.len());
        if free == self.all.len() {
            self.all.push(None);
        }
        self.all[free] = Some(region);
        free
    }

    fn release(&mut self, region: usize) {
        if let Some(region) = self.all[region].take() {
            // SAFETY: made by this type, used by nobody after this; the queue was waited for.
            unsafe {
                region.image.map(|image| (self.driver.api.release_memory)(image));
                (self.driver.api.release_memory)(region.buffer);
            }
        }
    }

    fn create(&self, flags: u64, bytes: usize, host: *mut std::ffi::c_void) -> Result<Id> {
        let mut code = 0;
        // SAFETY: `host` is null or has `bytes` bytes, which outlive the buffer.
        let buffer = unsafe { (self.driver.api.create_buffer)(self.driver.context, flags, bytes, host, &mut code) };
        check(code, "clCreateBuffer").map(|()| buffer)
    }

    fn map(&self, buffer: Id, bytes: usize) -> Result<*mut u8> {
        let mut code = 0;
        let (api, queue) = (&self.driver.api, self.driver.queue);
        // SAFETY: the whole of a living buffer, blocking.
        let host = unsafe {
            (api.map_buffer)(queue, buffer, 1, api::MAP_READ_WRITE, 0, bytes, 0, NO_EVENTS, null_mut(), &mut code)
        };
        check(code, "clEnqueueMapBuffer").map(|()| host.cast())
    }

    fn unmap(&self, buffer: Id, host: *mut u8) -> Result<()> {
        // SAFETY: `host` is what mapping this buffer gave.
        let code = unsafe { (self.driver.api.unmap)(self.driver.queue, buffer, host.cast(), 0, NO_EVENTS, null_mut()) };
        check(code, "clEnqueueUnmapMemObject")
    }

    /// Maps, gives back and maps again: the address, if it is the same each time.
    fn mapped_twice(&self, buffer: Id, bytes: usize) -> Result<Option<*mut u8>> {
        let first = self.map(buffer, bytes)?;
        self.unmap(buffer, first)?;
        let second = self.map(buffer, bytes)?;
        if first == second {
            return Ok(Some(first));
        }
        self.unmap(buffer, second).map(|()| None)
    }

    /// The same on memory of our own, whose address the standard promises to keep.
    fn own(&self, first: Id, bytes: usize, what: &str) -> Result<(Region, *mut u8)> {
        self.driver.finish()?;
        // SAFETY: nothing else knows the buffer.
        unsafe { (self.driver.api.release_memory)(first) };
        let own = Block::new(bytes as u64, what)?;
        let buffer = self.create(api::MEM_READ_WRITE | api::MEM_USE_HOST_PTR, bytes, own.base().cast())?;
        let host = self.map(buffer, bytes)?;
        Ok((Region { buffer, image: None, shared: Some(Mapped { host, bytes, _own: Some(own) }) }, host))
    }
}
