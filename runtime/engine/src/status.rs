//! What the kernel says about this process's memory.

/// Memory of this process in bytes, as `/proc/self/status` states it; zeros where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// `VmHWM`: the largest resident set so far.
    pub peak: u64,
    /// `VmRSS`: the resident set now.
    pub resident: u64,
    /// `RssAnon`: anonymous pages of it, which only this process can pay for.
    pub anonymous: u64,
    /// `RssFile`: pages of files of it, which the system can take back at any time.
    pub file: u64,
}

impl Status {
    /// The status now.
    pub fn now() -> Self {
        std::fs::read_to_string("/proc/self/status").map_or_else(|_| Self::default(), |text| Self::parse(&text))
    }

    /// Reads the text of a `status` file (format: `proc_pid_status(5)`); unknown lines are skipped.
    pub fn parse(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let field = match name {
                "VmHWM" => &mut status.peak,
                "VmRSS" => &mut status.resident,
                "RssAnon" => &mut status.anonymous,
                "RssFile" => &mut status.file,
                _ => continue,
            };
            *field = kibibytes(value).unwrap_or(0);
        }
        status
    }
}

fn kibibytes(value: &str) -> Option<u64> {
    value.trim().strip_suffix("kB")?.trim_end().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_and_the_rest_is_skipped() {
        let text = "Name:\tmcv\nVmHWM:\t  12 kB\nVmRSS:\t10 kB\nRssAnon:\t 4 kB\nRssFile:\tsix kB\nodd line\n";
        let wanted = Status { peak: 12 << 10, resident: 10 << 10, anonymous: 4 << 10, file: 0 };
        assert_eq!(Status::parse(text), wanted);
        assert_eq!(Status::parse("VmHWM: 99999999999999999999 kB\nVmRSS: 18446744073709551615 kB"), Status::default());
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn touched_memory_shows() {
        let before = Status::now();
        let touched = vec![1u8; 32 << 20];
        let after = Status::now();
        assert!(after.anonymous >= before.anonymous + (30 << 20), "{before:?} {after:?} {}", touched[5]);
        assert!(after.peak >= after.resident);
    }
}
