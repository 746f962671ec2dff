//! Records of measured schedules, as YAML. They merge by union; the newest of equal keys counts.

use mcv_ir::target::Schedule;
use mcv_ir::{Error, Kernel, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the emitted text: a record of another version says nothing about today's kernels.
pub const EMITTER: u32 = 1;

/// One kernel's fastest schedule on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The kernel's text.
    pub kernel: String,
    /// Instruction set level.
    pub level: String,
    /// CPU it was measured on.
    pub machine: String,
    /// [`EMITTER`] when it was measured.
    pub emitter: u32,
    /// Rows computed together.
    pub tile_m: u32,
    /// Panels computed together.
    pub tile_n: u32,
    /// Groups per trip.
    pub unroll: u32,
    /// Cache lines fetched ahead.
    pub prefetch: u32,
    /// Median seconds of a call at the largest sizes, one thread.
    pub seconds: f64,
    /// The same with the default schedule, measured in turns with it.
    pub default_seconds: f64,
}

impl Record {
    /// The schedule.
    pub fn schedule(&self) -> Schedule {
        Schedule { tile_m: self.tile_m, tile_n: self.tile_n, unroll: self.unroll, prefetch: self.prefetch }
    }
}

/// Records of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// In the order they were measured.
    pub records: Vec<Record>,
}

impl Records {
    /// Reads a file.
    ///
    /// # Errors
    /// Unreadable, no records, or of another emitter version: by file and field.
    pub fn read(path: &Path) -> Result<Records> {
        let name = path.display();
        let text = std::fs::read_to_string(path).map_err(|e| Error::input(format!("{name}: {e}")))?;
        let records: Records =
            serde_yaml::from_str(&text).map_err(|e| Error::input(format!("{name}: no tuning records: {e}")))?;
        for (index, record) in records.records.iter().enumerate() {
            if record.emitter != EMITTER {
                let found = record.emitter;
                return Err(Error::input(format!(
                    "{name}: records[{index}].emitter is {found}, kernels are now {EMITTER}; tune again"
                )));
            }
            let sane = record.seconds.is_finite() && record.default_seconds.is_finite() && record.seconds > 0.0;
            if !sane || record.tile_m == 0 || record.tile_n == 0 || record.unroll == 0 {
                return Err(Error::input(format!("{name}: records[{index}]: zero or endless numbers; tune again")));
            }
        }
        Ok(records)
    }

    /// Writes a file under a temporary name, then renames it.
    pub fn write(&self, path: &Path) -> Result<()> {
        let failed = |e: std::io::Error| Error::input(format!("{}: {e}", path.display()));
        let text = serde_yaml::to_string(self).map_err(|e| Error::bug(e.to_string()))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
        std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
        file.persist(path).map(|_| ()).map_err(|e| failed(e.error))
    }

    /// The schedule recorded for a kernel at a level.
    pub fn schedule(&self, kernel: &Kernel, level: &str) -> Option<Schedule> {
        let text = kernel.to_string();
        self.records.iter().rev().find(|r| r.kernel == text && r.level == level).map(Record::schedule)
    }

    /// Adds others' records; equal keys are replaced.
    pub fn merge(&mut self, other: Records) {
        for record in other.records {
            let key = |r: &Record| (r.kernel.clone(), r.level.clone(), r.machine.clone());
            self.records.retain(|r| key(r) != key(&record));
            self.records.push(record);
        }
    }
}
