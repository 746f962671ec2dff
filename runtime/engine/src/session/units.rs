//! Opens the devices that an artifact's units ask for. What is missing is no error: the CPU does its work.

use super::Options;
use crate::device::accelerator::Accelerator;
use crate::device::hexagon::Hexagon;
use crate::device::opencl::{OpenCl, Text};
use crate::error::{Error, Result};
use crate::machine::Unit;
use mcv_artifact::manifest::{Library, Manifest, Segment, Step};
use mcv_artifact::{Archive, Digest};
use std::path::{Path, PathBuf};

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
    let unit = |name: &String| match wanted(name) {
        true => device(name, archive, manifest, options),
        false => Unit::new(name, Err("it was not asked for".into())),
    };
    Ok(manifest.units.iter().map(unit).collect())
}

fn device(name: &str, archive: &Archive, manifest: &Manifest, options: &Options) -> Unit {
    let library = manifest.libraries.iter().find(|l| l.unit == name);
    let program = library.ok_or_else(|| "the artifact holds no kernels for it".to_string()).and_then(|library| {
        archive.read(&library.entry, MAX_BYTES).map(|program| (library, program)).map_err(|e| e.to_string())
    });
    let (library, program) = match program {
        Ok(found) => found,
        Err(why) => return Unit::new(name, Err(why)),
    };
    let cache = options.cache.clone().or_else(cache_folder);
    let device = match library.family.as_str() {
        "opencl" => opencl(library, &program, manifest, cache.as_deref()),
        "hexagon" => hexagon(library, &program),
        family => Err(format!("this runtime knows no family {family}")),
    };
    let verdicts = device.as_ref().ok().and_then(|device| Some(verdicts(cache.as_deref()?, &**device, &program)));
    Unit::new(name, device).remembering(verdicts)
}

/// Where verdicts on a program's kernels are kept: by device, driver and program.
fn verdicts(cache: &Path, device: &dyn Accelerator, program: &[u8]) -> PathBuf {
    let key = [device.describe().as_bytes(), &Digest::of(program).0].concat();
    cache.join(format!("{}.trials", Digest::of(&key)))
}

fn hexagon(library: &Library, program: &[u8]) -> Opened {
    let kernels = library.symbols.iter().map(|s| !s.is_empty()).collect();
    let device = Hexagon::open(program, kernels).map_err(|e| e.to_string())?;
    Ok(Box::new(device))
}

fn opencl(library: &Library, text: &[u8], manifest: &Manifest, cache: Option<&Path>) -> Opened {
    let source = std::str::from_utf8(text).map_err(|e| format!("{}: {e}", library.entry))?;
    let segment = segments(manifest, &library.unit).map(|s| s.bytes).max().unwrap_or(0);
    let text = Text { source, symbols: &library.symbols, segment, cache };
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
