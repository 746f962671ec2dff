//! A device's kernels are tried once each on real data: the CPU computes the same result, and a kernel that disagrees
//! is never used. Drivers miscompile; users must not notice. Verdicts are kept per device and program, so that the
//! trial happens at the first run only.

use super::Machine;
use crate::device::kept::{self, Magic};
use crate::error::Result;
use std::path::PathBuf;

/// Largest difference as a share of the largest value: the device may compute in half precision.
const TOLERANCE: f32 = 2e-2;
/// Steps of an 8-bit value by which results may differ.
const STEPS: u8 = 2;

/// First bytes of a file of verdicts: a byte per kernel, as [`Trial`].
const MAGIC: &Magic = b"mcvtry01";

/// What is known of each kernel.
#[derive(Debug, Clone, Default)]
pub struct Trials {
    verdicts: Vec<Trial>,
    /// Where verdicts are kept.
    file: Option<PathBuf>,
    /// Whether there are verdicts that the file lacks.
    news: bool,
    /// Trials made here.
    made: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trial {
    Pending = 0,
    Good = 1,
    Bad = 2,
}

impl Trial {
    fn of(byte: u8) -> Trial {
        match byte {
            1 => Trial::Good,
            2 => Trial::Bad,
            _ => Trial::Pending,
        }
    }
}

impl Trials {
    /// What `file` tells of `kernels` kernels; nothing is known without.
    pub fn new(kernels: usize, file: Option<PathBuf>) -> Self {
        let kept = file.as_deref().and_then(|file| kept::read(file, MAGIC)).filter(|kept| kept.len() == kernels);
        let verdicts = kept.map(|kept| kept.into_iter().map(Trial::of).collect());
        Trials { verdicts: verdicts.unwrap_or_else(|| vec![Trial::Pending; kernels]), file, news: false, made: 0 }
    }

    /// Keeps new verdicts. A file that can't be written costs another trial at the next start, nothing else.
    pub fn keep(&mut self) {
        if let (true, Some(file)) = (std::mem::take(&mut self.news), &self.file) {
            let bytes: Vec<u8> = self.verdicts.iter().map(|v| *v as u8).collect();
            let _ = kept::write(file, MAGIC, &bytes);
        }
    }

    /// Kernels that failed.
    pub fn failed(&self) -> impl Iterator<Item = usize> {
        self.verdicts.iter().enumerate().filter(|(_, v)| **v == Trial::Bad).map(|(kernel, _)| kernel)
    }

    /// Whether the kernel has not failed.
    pub fn trusted(&self, kernel: usize) -> bool {
        self.verdicts.get(kernel).is_some_and(|t| *t != Trial::Bad)
    }

    /// Whether the kernel ran before.
    pub fn tried(&self, kernel: usize) -> bool {
        self.verdicts.get(kernel).is_some_and(|t| *t != Trial::Pending)
    }

    /// Uses no kernel any more; what is kept stays as it was.
    pub fn distrust_all(&mut self) {
        self.verdicts.fill(Trial::Bad);
        self.file = None;
    }

    fn set(&mut self, kernel: usize, good: bool) {
        self.verdicts[kernel] = if good { Trial::Good } else { Trial::Bad };
        self.news = true;
        self.made += 1;
    }

    /// How many kernels were tried, not looked up.
    pub fn made(&self) -> u32 {
        self.made
    }
}

impl Machine {
    /// Runs a step on its device and again on the CPU, compares, and keeps the CPU's result.
    pub(super) fn try_step(&mut self, phase: usize, step: usize, slot: usize) -> Result<()> {
        let outcome = self.submit(phase, step..step + 1, slot).and_then(|()| self.claim_memory());
        let found = outcome.map(|()| self.result(phase, step).to_vec());
        self.run_here(phase, step)?;
        let kernel = self.phases[phase].steps[step].kernel;
        let described = &self.manifest.kernels[kernel];
        let verdict = found
            .map_err(|e| e.to_string())
            .and_then(|found| agree(&described.result, self.stride(phase, step), &found, self.result(phase, step)));
        let unit = &mut self.units[slot];
        unit.trials.set(kernel, verdict.is_ok());
        if let Err(why) = verdict {
            unit.notes.push(format!("{}: {} runs on the CPU: {why}", unit.name, described.text));
        }
        Ok(())
    }

    fn stride(&self, phase: usize, step: usize) -> usize {
        self.phases[phase].steps[step].args.last().map_or(0, |arg| arg.stride as usize)
    }

    /// Bytes that a step may have written.
    fn result(&self, phase: usize, step: usize) -> &[u8] {
        let bound = &self.phases[phase].steps[step];
        match bound.args.last() {
            // SAFETY: the manifest's check holds the place's bytes against its memory; the CPU owns it now.
            Some(arg) => unsafe { std::slice::from_raw_parts(arg.data, bound.result as usize) },
            None => &[],
        }
    }
}

/// Whether two results of type `ty` and rows of `stride` bytes are the same up to rounding; what differs if not.
fn agree(ty: &str, stride: usize, found: &[u8], wanted: &[u8]) -> std::result::Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    if ty.starts_with("f32[") {
        return close(&floats(found), &floats(wanted));
    }
    if ty.starts_with("f16[") {
        return close(&halves(found), &halves(wanted));
    }
    let (values, floats_end) = quantized(ty).filter(|(_, end)| *end <= stride).ok_or(format!("no rule for {ty}"))?;
    for (a, b) in found.chunks_exact(stride).zip(wanted.chunks_exact(stride)) {
        let steps = |(a, b): (&u8, &u8)| (*a as i8).abs_diff(*b as i8);
        if let Some(far) = a[..values].iter().zip(&b[..values]).map(steps).find(|d| *d > STEPS) {
            return Err(format!("8-bit values differ by {far}"));
        }
        close(&floats(&a[values..floats_end]), &floats(&b[values..floats_end]))?;
    }
    Ok(())
}

/// Bytes of values, and of values and floats, in a row of `q8/group[rows,width]@summed`; layout: `mcv-ir`, `encode`.
fn quantized(ty: &str) -> Option<(usize, usize)> {
    let (group, rest) = ty.strip_prefix("q8/")?.split_once('[')?;
    let group: usize = group.parse().ok().filter(|g| *g > 0)?;
    let width: usize = rest.strip_suffix("]@summed")?.rsplit(',').next()?.parse().ok()?;
    let groups = width.div_ceil(group);
    Some((groups * group, groups * (group + 8)))
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

fn halves(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(2).map(|b| half::f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
}

/// Bytes behind the rows that were written are whatever was there before, the same in both.
fn close(found: &[f32], wanted: &[f32]) -> std::result::Result<(), String> {
    let differ = || found.iter().zip(wanted).filter(|(a, b)| a.to_bits() != b.to_bits());
    let most = differ().map(|(_, b)| b.abs()).fold(0.0, f32::max);
    let worst =
        differ().map(|(a, b)| (a - b).abs()).fold(0.0, |m: f32, d| if d.is_nan() { f32::INFINITY } else { m.max(d) });
    match worst <= TOLERANCE * most.max(1e-6) {
        true => Ok(()),
        false => Err(format!("results differ by {worst}, largest value {most}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn rounding_passes_and_wrong_values_do_not() {
        let (a, b) = (bytes(&[1.0, -2.0, f32::NAN]), bytes(&[1.001, -2.0, f32::NAN]));
        assert!(agree("f32[3]", 12, &a, &b).is_ok());
        assert!(agree("f32[3]", 12, &a, &bytes(&[1.0, 2.0, 0.0])).is_err());
        assert!(agree("f32[3]", 4, &bytes(&[f32::NAN]), &bytes(&[1.0])).is_err());
        let row = |value: u8, scale: f32| [vec![value; 32], bytes(&[scale, 2.0])].concat();
        assert!(agree("q8/32[rows<=4,30]@summed", 40, &row(255, 0.5), &row(0, 0.501)).is_ok());
        assert!(agree("q8/32[rows<=4,30]@summed", 40, &row(255, 0.5), &row(0, 0.6)).is_err());
        assert!(agree("q8/32[rows<=4,30]@summed", 40, &row(100, 0.5), &row(90, 0.5)).is_err());
    }

    #[test]
    fn a_kernel_that_failed_is_never_trusted_again() {
        let mut trials = Trials::new(2, None);
        assert!(trials.trusted(0) && !trials.tried(0) && !trials.trusted(2));
        trials.set(0, false);
        trials.set(1, true);
        assert!(!trials.trusted(0) && trials.tried(0) && trials.trusted(1));
        trials.distrust_all();
        assert!(!trials.trusted(1));
    }

    #[test]
    fn verdicts_are_kept_and_damaged_ones_forgotten() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("device.trials");
        let open = || Trials::new(3, Some(file.clone()));
        let mut first = open();
        first.set(0, true);
        first.set(2, false);
        first.keep();
        let mut second = open();
        assert!(second.tried(0) && !second.tried(1) && second.tried(2));
        assert_eq!(second.failed().collect::<Vec<_>>(), [2]);
        second.distrust_all();
        second.keep();
        assert!(open().trusted(0), "a device that failed once may be well again");
        assert!(!Trials::new(4, Some(file.clone())).tried(0), "another program's verdicts");
        std::fs::write(&file, b"mcvtry01 and nonsense").expect("written");
        assert!(!open().tried(0));
    }
}
