//! Opens the devices that an artifact's units ask for. What is missing is no error: the CPU does its work.

use super::Options;
use crate::device::accelerator::Accelerator;
use crate::error::{Error, Result};
use crate::machine::Unit;
use mcv_artifact::Archive;
use mcv_artifact::manifest::Manifest;

type Opened = std::result::Result<Box<dyn Accelerator>, String>;

/// A unit per unit of the manifest.
///
/// # Errors
/// `options` name a unit that the artifact has not.
pub(super) fn open(archive: &Archive, manifest: &Manifest, options: &Options) -> Result<Vec<Unit>> {
    if let Some(unknown) = options.units.iter().flatten().find(|u| *u != "cpu" && !manifest.units.contains(u)) {
        let have = [&["cpu".to_string()], manifest.units.as_slice()].concat().join(", ");
        return Err(Error::Input(format!("this artifact has no unit {unknown}; it has {have}")));
    }
    let wanted = |unit: &String| options.units.as_ref().is_none_or(|units| units.contains(unit));
    let unit = |name: &String| {
        Unit::new(
            name,
            if wanted(name) { device(name, archive, manifest, options) } else { Err("not asked for".into()) },
        )
    };
    Ok(manifest.units.iter().map(unit).collect())
}

fn device(name: &str, _archive: &Archive, manifest: &Manifest, _options: &Options) -> Opened {
    let library = manifest.libraries.iter().find(|l| l.unit == name);
    let _library = library.ok_or("the artifact holds no kernels for it")?;
    Err("this runtime knows no such unit".into())
}
