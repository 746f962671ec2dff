//! The figures as a table or as JSON.

use mcv_runtime::status::Status;
use serde_json::{Value, json};

/// One measured figure.
pub struct Figure {
    pub name: String,
    /// Median seconds of a run.
    pub seconds: f64,
    /// What is counted.
    pub unit: &'static str,
    /// How many of them a run does.
    pub count: f64,
    /// Bytes of weights and KV cache a run must read.
    pub bytes: Option<f64>,
    /// Operations of a run's matrix products.
    pub operations: Option<f64>,
}

/// All figures and the machine's limits.
pub struct Report {
    pub model: String,
    pub level: String,
    pub threads: usize,
    pub repeat: u32,
    /// Median seconds for opening.
    pub opening: f64,
    /// Seconds from opening until everything has run once.
    pub first: f64,
    /// Bytes per second of the streaming loop.
    pub bandwidth: f64,
    /// int8 operations per second, 0 where not measured.
    pub int8: f64,
    pub artifact_bytes: u64,
    pub status: Status,
    pub figures: Vec<Figure>,
}

impl Report {
    /// For people.
    pub fn text(&self) -> String {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let mut text = format!(
            "{}: level {}, {} threads, medians of {} runs, measured here\nlimits     read {:.1} GB/s, int8 {:.2} TOP/s\n",
            self.model,
            self.level,
            self.threads,
            self.repeat,
            self.bandwidth / 1e9,
            self.int8 / 1e12
        );
        for f in &self.figures {
            text += &format!(
                "{:18} {:9.3} s {:10.2} {}/s {}\n",
                f.name,
                f.seconds,
                f.count / f.seconds,
                f.unit,
                self.share(f)
            );
        }
        text + &format!(
            "opening            {:9.4} s, until all has run once {:.3} s\nartifact {:.0} MiB, peak resident {:.0} MiB, of it anonymous {:.0} MiB\n",
            self.opening,
            self.first,
            mib(self.artifact_bytes),
            mib(self.status.peak),
            mib(self.status.anonymous)
        )
    }

    /// How near a figure is to its limit.
    fn share(&self, f: &Figure) -> String {
        let of = |rate: f64, limit: f64| {
            if limit > 0.0 { format!(" ({:.0} %)", 100.0 * rate / limit) } else { String::new() }
        };
        match (f.bytes, f.operations) {
            (Some(bytes), _) => {
                format!("{:.1} GB/s{}", bytes / f.seconds / 1e9, of(bytes / f.seconds, self.bandwidth))
            }
            (None, Some(n)) => format!("{:.3} TOP/s{}", n / f.seconds / 1e12, of(n / f.seconds, self.int8)),
            (None, None) => String::new(),
        }
    }

    /// For scripts; names end in their unit.
    pub fn json(&self) -> Value {
        let figure = |f: &Figure| {
            json!({
                "name": f.name, "seconds": f.seconds, "count": f.count, "unit": f.unit,
                "per_second": f.count / f.seconds,
                "bytes_per_second": f.bytes.map(|b| b / f.seconds),
                "operations_per_second": f.operations.map(|n| n / f.seconds),
                "share_of_bandwidth": f.bytes.map(|b| b / f.seconds / self.bandwidth),
                "share_of_int8": f.operations.filter(|_| self.int8 > 0.0).map(|n| n / f.seconds / self.int8),
            })
        };
        json!({
            "model": self.model, "level": self.level, "threads": self.threads, "repeat": self.repeat,
            "bandwidth_bytes_per_second": self.bandwidth, "int8_operations_per_second": self.int8,
            "opening_seconds": self.opening, "first_runs_seconds": self.first, "artifact_bytes": self.artifact_bytes,
            "peak_rss_bytes": self.status.peak, "rss_anon_bytes": self.status.anonymous,
            "figures": self.figures.iter().map(figure).collect::<Vec<_>>(),
        })
    }
}
