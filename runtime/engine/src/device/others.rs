//! How much of the processor others had: what a measurement is worth.
//!
//! Two figures, each where the system tells it, and the larger counts. The processor's own account (`/proc/stat`, ticks of
//! all cores, which Android shows to shells, not to apps) less what this process used; and how long this process' threads
//! were ready and had to wait (`/proc/self/task/*/schedstat`). Formats: `proc_stat(5)`, `proc_pid_stat(5)` and
//! `Documentation/scheduler/sched-stats.rst` of Linux.

use std::collections::HashMap;
use std::path::Path;
use std::time::Instant;

/// Where Linux describes processes.
pub const PROCFS: &str = "/proc";
/// Ticks a second in these files: the same on all Linux systems, whatever the kernel's own rate.
const TICKS: f64 = 100.0;

/// What the system had counted at some moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// When.
    at: Instant,
    /// Seconds in which any core was busy, for anybody, and how many cores there are.
    busy: Option<(f64, usize)>,
    /// Seconds of this process.
    own: Option<f64>,
    /// Seconds that each of its threads ran and that it waited, ready, for a core.
    threads: HashMap<String, (f64, f64)>,
}

impl Account {
    /// Reads it. `procfs` is [`PROCFS`] but in tests.
    pub fn now(procfs: &Path) -> Self {
        let text = |file: &str| std::fs::read_to_string(procfs.join(file)).ok();
        let tasks = std::fs::read_dir(procfs.join("self/task")).into_iter().flatten().flatten();
        let thread = |task: std::fs::DirEntry| {
            let waited = ran_and_waited(&std::fs::read_to_string(task.path().join("schedstat")).ok()?)?;
            Some((task.file_name().to_string_lossy().into_owned(), waited))
        };
        Account {
            at: Instant::now(),
            busy: text("stat").and_then(|t| busy(&t)),
            own: text("self/stat").and_then(|t| own(&t)),
            threads: tasks.filter_map(thread).collect(),
        }
    }

    /// Share of the core seconds since `before` that others had, from 0 to 1; none where the system tells nothing.
    pub fn others_since(&self, before: &Account) -> Option<f64> {
        let wall = (self.at - before.at).as_secs_f64();
        share(before, self, wall)
    }
}

fn share(before: &Account, after: &Account, wall: f64) -> Option<f64> {
    if wall <= 0.0 {
        return None;
    }
    let used = before.busy.zip(after.busy).zip(before.own.zip(after.own)).map(|((b, a), (own, owned))| {
        let beside = (a.0 - b.0) - (owned - own);
        beside / (wall * a.1.max(1) as f64)
    });
    let since = |id: &String, now: &(f64, f64)| {
        let (ran, waited) = before.threads.get(id).copied().unwrap_or_default();
        ((now.0 - ran).max(0.0), (now.1 - waited).max(0.0))
    };
    let sum = |sum: (f64, f64), (ran, waited): (f64, f64)| (sum.0 + ran, sum.1 + waited);
    let (ran, waited) = after.threads.iter().map(|(id, now)| since(id, now)).fold((0.0, 0.0), sum);
    // Beside a core's worth at least: a process that hardly runs hardly waits, whatever its share.
    let waited = (!after.threads.is_empty()).then(|| waited / (ran + waited).max(wall));
    let most = used.into_iter().chain(waited).reduce(f64::max)?;
    Some(most.clamp(0.0, 1.0))
}

/// Busy seconds of all cores together and their number: user, nice, system, irq, softirq and steal of `/proc/stat`.
fn busy(stat: &str) -> Option<(f64, usize)> {
    let line = stat.lines().find_map(|l| l.strip_prefix("cpu "))?;
    let ticks: Vec<f64> = line.split_whitespace().map_while(|n| n.parse().ok()).collect();
    let cores = stat.lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
    let busy: f64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|i| ticks.get(*i)).sum();
    (ticks.len() >= 4).then_some((busy / TICKS, cores))
}

/// `utime` and `stime` of `/proc/self/stat`; the name before them may hold anything.
fn own(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|f| f.parse::<f64>().ok());
    Some((ticks(11)? + ticks(12)?) / TICKS)
}

fn ran_and_waited(schedstat: &str) -> Option<(f64, f64)> {
    let mut nanoseconds = schedstat.split_whitespace().map(|n| n.parse::<f64>().ok());
    Some((nanoseconds.next()?? / 1e9, nanoseconds.next()?? / 1e9))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  2258794 454051 112508 406317 2609 0 1194 3575 0 0\n\
        cpu0 1115129 240195 55878 204753 1325 0 451 1791 0 0\ncpu1 1143664 213856 56630 201564 1283 0 742 1784 0 0\nintr 5\n";
    const SELF: &str =
        "2191 (a ) b) R 2187 2187 31625 0 -1 4194304 102 0 0 0 150 50 0 0 20 0 1 0 1620572 3133440 393\n";

    fn account(busy: Option<f64>, own: f64, threads: &[(&str, f64, f64)]) -> Account {
        let threads = threads.iter().map(|(id, ran, waited)| ((*id).to_string(), (*ran, *waited))).collect();
        Account { at: Instant::now(), busy: busy.map(|b| (b, 2)), own: Some(own), threads }
    }

    #[test]
    fn files_as_linux_writes_them_are_read() {
        assert_eq!(busy(STAT), Some((28301.22, 2)));
        assert_eq!(own(SELF), Some(2.0));
        assert_eq!(ran_and_waited("9105637000 1000000000 17\n"), Some((9.105637, 1.0)));
        for odd in ["", "cpu", "cpu  1 2", "cpu  x", "1 (a", "1 (a) R 1"] {
            assert!(busy(odd).is_none() && own(odd).is_none() && ran_and_waited(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn others_are_what_is_busy_beyond_us_or_what_we_waited() {
        let close = |found: Option<f64>, wanted: f64| assert!((found.unwrap() - wanted).abs() < 1e-9, "{found:?}");
        let before = account(Some(100.0), 10.0, &[("1", 5.0, 1.0)]);
        // Two seconds on two cores: three seconds busy, two of them ours.
        close(share(&before, &account(Some(103.0), 12.0, &[("1", 7.0, 1.0)]), 2.0), 0.25);
        // The same without the processor's account: a thread that was new ran one second and waited one.
        close(share(&before, &account(None, 12.0, &[("1", 6.0, 1.0), ("2", 1.0, 1.0)]), 2.0), 1.0 / 3.0);
        // Ticks may count less for all than we count for us.
        close(share(&before, &account(Some(101.0), 12.0, &[("1", 7.0, 1.0)]), 2.0), 0.0);
        // Threads that are gone, and a figure that ran backwards.
        close(share(&before, &account(Some(100.0), 10.0, &[("2", 0.0, 0.0)]), 2.0), 0.0);
        assert_eq!(share(&account(None, 0.0, &[]), &account(None, 0.0, &[]), 2.0), None);
        assert_eq!(share(&before, &before, 0.0), None);
    }

    /// Not a matter of time: two threads that want one core have half of it each, whatever else runs.
    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn a_busy_process_on_our_core_is_seen() {
        use crate::device::cores;
        let spin = || {
            let before = Account::now(Path::new(PROCFS));
            let started = Instant::now();
            while started.elapsed().as_secs_f64() < 0.4 {
                std::hint::spin_loop();
            }
            Account::now(Path::new(PROCFS)).others_since(&before)
        };
        let mine = cores::affinity(0);
        let Some(core) = mine.first() else { return };
        if !Path::new("/proc/self/schedstat").exists() || cores::pin(0, &[*core]).is_err() {
            return;
        }
        // Inherits the core.
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let beside = spin();
        busy.kill().unwrap();
        busy.wait().unwrap();
        cores::pin(0, &mine).unwrap();
        assert!(beside.is_some_and(|o| o > 0.2), "{beside:?}");
    }
}
