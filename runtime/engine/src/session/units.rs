//! Opens the devices that an artifact's units ask for. What is missing is no error: the CPU does its work.

use super::Options;
use crate::device::accelerator::Accelerator;
use crate::device::hexagon::Hexagon;
use crate::device::opencl::{OpenCl, Text};
use crate::error::{Error, Result};
use crate::machine::Unit;
use mcv_artifact::Archive;
use mcv_artifact::manifest::{Library, Manifest, Segment, Step};
use std::path::PathBuf;

type Opened = std::result::Result<Box<dyn Accelerator>, String>;

/// Largest program or text of a unit that is read.
const MAX_BYTES: u64 = 256 << 20;

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
    let device = |name: &String| match wanted(name) {
        true => device(name, archive, manifest, options),
        false => Err("it was not asked for".into()),
    };
    Ok(manifest.units.iter().map(|name| Unit::new(name, device(name))).collect())
}

fn device(name: &str, archive: &Archive, manifest: &Manifest, options: &Options) -> Opened {
    let library = manifest.libraries.iter().find(|l| l.unit == name);
    let library = library.ok_or("the artifact holds no kernels for it")?;
    let object = archive.read(&library.entry, MAX_BYTES).map_err(|e| e.to_string())?;
    match library.family.as_str() {
        "opencl" => opencl(library, &object, manifest, options),
        "hexagon" => hexagon(library, &object),
        family => Err(format!("this runtime knows no family {family}")),
    }
}

fn hexagon(library: &Library, program: &[u8]) -> Opened {
    let kernels = library.symbols.iter().map(|s| !s.is_empty()).collect();
    let device = Hexagon::open(program, kernels).map_err(|e| e.to_string())?;
    Ok(Box::new(device))
}

fn opencl(library: &Library, text: &[u8], manifest: &Manifest, options: &Options) -> Opened {
    let source = std::str::from_utf8(text).map_err(|e| format!("{}: {e}", library.entry))?;
    let cache = options.cache.clone().or_else(cache_folder);
    let segment = segments(manifest, &library.unit).map(|s| s.bytes).max().unwrap_or(0);
    let text = Text { source, symbols: &library.symbols, segment, cache: cache.as_deref() };
    let device = OpenCl::open(&text).map_err(|e| e.to_string())?;
    Ok(Box::new(device))
}

/// Segments of the phases that have steps on a unit.
fn segments<'a>(manifest: &'a Manifest, unit: &'a str) -> impl Iterator<Item = &'a Segment> {
    let on_unit = move |s: &Step| manifest.kernels.get(s.kernel as usize).is_some_and(|k| k.unit == unit);
    let phases = manifest.phases.iter().filter(move |p| p.steps.iter().any(on_unit));
    phases.flat_map(|p| &p.segments).filter_map(|s| manifest.segments.get(*s as usize))
}

/// The user's own cache folder, as the XDG base directory specification names it.
fn cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache"))).map(|folder| folder.join("mcv"))
}
