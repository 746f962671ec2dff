//! Progress bars with time left, on stderr, only for people.

use indicatif::{ProgressBar, ProgressStyle};

/// One stage's bar, or nothing when quiet or not a terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// A bar that counts bytes.
    pub fn bytes(title: &str, total: u64, quiet: bool) -> Self {
        Self::styled(title, total, quiet, "{msg:10} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")
    }

    /// A bar that counts things.
    pub fn count(title: &str, total: u64, quiet: bool) -> Self {
        Self::styled(title, total, quiet, "{msg:10} {wide_bar} {pos}/{len} {eta} left")
    }

    fn styled(title: &str, total: u64, quiet: bool, template: &str) -> Self {
        let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new(total) };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(title.to_string());
        Progress(bar)
    }

    /// So much more is done.
    pub fn add(&self, amount: u64) {
        self.0.inc(amount);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
