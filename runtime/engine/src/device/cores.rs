//! Cores as the system describes them, and which of them a thread runs on.
//!
//! Speeds come from sysfs, never from core numbers: on many phones the fastest core has the last number. Formats:
//! `Documentation/ABI/testing/sysfs-devices-system-cpu` and `Documentation/admin-guide/pm/cpufreq.rst` of Linux.

use std::path::Path;

/// Where Linux describes its devices.
pub const SYSFS: &str = "/sys";
/// Cores of a mask: more than any device has.
const MOST: usize = 1024;

/// One core.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Core {
    /// Its number.
    pub id: usize,
    /// Speed, 1 for the fastest of this device.
    pub speed: f64,
    /// Whether this process may use it.
    pub allowed: bool,
}

/// All cores that are online, fastest first, equally fast ones by number. `sysfs` is [`SYSFS`] but in tests.
pub fn discover(sysfs: &Path, allowed: &[usize]) -> Vec<Core> {
    let folder = sysfs.join("devices/system/cpu");
    let ids = online(&folder);
    let column = |file: &str| -> Option<Vec<f64>> {
        let rates: Option<Vec<f64>> = ids.iter().map(|id| number(&folder.join(format!("cpu{id}/{file}")))).collect();
        rates.filter(|r| r.iter().all(|v| *v > 0.0))
    };
    // `cpu_capacity` holds instructions per cycle and clock; apps may not be allowed to read it.
    let rates = column("cpu_capacity").or_else(|| column("cpufreq/cpuinfo_max_freq"));
    let rates = rates.unwrap_or_else(|| vec![1.0; ids.len()]);
    let fastest = rates.iter().copied().fold(1e-9, f64::max);
    let core = |(id, rate): (&usize, &f64)| Core { id: *id, speed: rate / fastest, allowed: allowed.contains(id) };
    let mut cores: Vec<Core> = ids.iter().zip(&rates).map(core).collect();
    cores.sort_by(|a, b| b.speed.total_cmp(&a.speed).then(a.id.cmp(&b.id)));
    cores
}

/// Cores of this device and which of them this thread may use.
pub fn here() -> Vec<Core> {
    let allowed = affinity(0);
    let cores = discover(Path::new(SYSFS), &allowed);
    if !cores.is_empty() {
        return cores;
    }
    allowed.into_iter().map(|id| Core { id, speed: 1.0, allowed: true }).collect()
}

/// What a tuning belongs to: architecture and how many cores of which speed there are.
pub fn fingerprint(cores: &[Core]) -> String {
    let percent = |c: &Core| (c.speed * 100.0).round() as u32;
    let mut kinds: Vec<(u32, usize)> = Vec::new();
    for core in cores {
        match kinds.last_mut() {
            Some((speed, count)) if *speed == percent(core) => *count += 1,
            _ => kinds.push((percent(core), 1)),
        }
    }
    let kinds: Vec<String> = kinds.iter().map(|(speed, count)| format!("{count}x{speed}")).collect();
    format!("{} {}", std::env::consts::ARCH, kinds.join("+"))
}

/// The hottest thermal zone that tells of a processor, in degrees Celsius; the hottest of all if none does.
pub fn temperature(sysfs: &Path) -> Option<f64> {
    let zones = std::fs::read_dir(sysfs.join("class/thermal")).ok()?.flatten().map(|e| e.path());
    let read = |zone: std::path::PathBuf| {
        let kind = std::fs::read_to_string(zone.join("type")).unwrap_or_default().to_lowercase();
        let degrees = number(&zone.join("temp"))? / 1000.0;
        let sane = (-40.0..200.0).contains(&degrees);
        sane.then_some((kind.contains("cpu") || kind.contains("x86_pkg"), degrees))
    };
    let zones: Vec<(bool, f64)> = zones.filter_map(read).collect();
    let any_cpu = zones.iter().any(|(cpu, _)| *cpu);
    zones.iter().filter(|(cpu, _)| *cpu == any_cpu).map(|(_, t)| *t).reduce(f64::max)
}

/// Clocks of all cores now in MHz, by number; none where the system doesn't tell.
pub fn clocks(sysfs: &Path) -> Vec<f64> {
    let folder = sysfs.join("devices/system/cpu");
    let clock = |id: usize| number(&folder.join(format!("cpu{id}/cpufreq/scaling_cur_freq"))).map(|khz| khz / 1000.0);
    online(&folder).into_iter().filter_map(clock).collect()
}

/// A set of cores as the system tells it: cheap to read and to compare, at each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Mask([u64; MOST / 64]);

impl Mask {
    /// Numbers of its cores.
    pub fn cores(&self) -> Vec<usize> {
        (0..MOST).filter(|id| self.0[id / 64] >> (id % 64) & 1 == 1).collect()
    }
}

/// Cores that thread `tid` may use (0: the calling one), as `sched_getaffinity` tells; empty where it doesn't.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn mask(tid: i32) -> Mask {
    let mut mask = Mask::default();
    // SAFETY: the system writes at most as many bytes as the set has.
    let told = unsafe { libc::sched_getaffinity(tid, size_of::<Mask>(), (&raw mut mask.0).cast()) == 0 };
    if told { mask } else { Mask::default() }
}

/// Numbers of the cores that thread `tid` may use (0: the calling one).
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn affinity(tid: i32) -> Vec<usize> {
    mask(tid).cores()
}

/// Lets thread `tid` (0: the calling one) run on `cores` only, and reads back what the system made of it.
///
/// # Errors
/// The system refuses, or did something else.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn pin(tid: i32, cores: &[usize]) -> Result<(), String> {
    // SAFETY: the set is plain data of the size passed, and numbers are below its size.
    let refused = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for id in cores.iter().filter(|id| **id < MOST.min(8 * size_of::<libc::cpu_set_t>())) {
            libc::CPU_SET(*id, &mut set);
        }
        libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), &set) != 0
    };
    if refused {
        return Err(format!("cores {cores:?} denied: {}", std::io::Error::last_os_error()));
    }
    match affinity(tid) {
        got if got.iter().all(|id| cores.contains(id)) => Ok(()),
        got => Err(format!("asked for cores {cores:?}, the system gives {got:?}")),
    }
}

/// Number of the calling thread.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn thread() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::gettid() }
}

/// No system call for it here: no core, so that none seems to change.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn mask(_: i32) -> Mask {
    Mask::default()
}

/// No system call for it here: all cores.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn affinity(_: i32) -> Vec<usize> {
    (0..std::thread::available_parallelism().map_or(1, |n| n.get())).collect()
}

/// No system call for it here.
///
/// # Errors
/// Always.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn pin(_: i32, _: &[usize]) -> Result<(), String> {
    Err("this system places threads itself".into())
}

/// No such number here.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn thread() -> i32 {
    0
}

fn online(folder: &Path) -> Vec<usize> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let id = |name: &str| name.strip_prefix("cpu")?.parse::<usize>().ok().filter(|id| *id < MOST);
    let ids = entries.filter_map(|e| id(e.file_name().to_str()?));
    let mut ids: Vec<usize> =
        ids.filter(|id| number(&folder.join(format!("cpu{id}/online"))).is_none_or(|v| v > 0.0)).collect();
    ids.sort_unstable();
    ids
}

fn number(path: &Path) -> Option<f64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, path: &str, text: &str) {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn phone() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for id in 0..8 {
            let capacity = [300, 300, 870, 870, 870, 800, 800, 1024][id];
            write(folder.path(), &format!("devices/system/cpu/cpu{id}/cpu_capacity"), &format!("{capacity}\n"));
        }
        write(folder.path(), "devices/system/cpu/cpufreq/boost", "0");
        write(folder.path(), "devices/system/cpu/possible", "0-7");
        folder
    }

    #[test]
    fn the_fastest_core_has_the_last_number() {
        let folder = phone();
        let cores = discover(folder.path(), &[0, 1, 2, 7]);
        assert_eq!(cores.iter().map(|c| c.id).collect::<Vec<_>>(), [7, 2, 3, 4, 5, 6, 0, 1]);
        assert_eq!(cores.iter().filter(|c| c.allowed).map(|c| c.id).collect::<Vec<_>>(), [7, 2, 0, 1]);
        assert!(fingerprint(&cores).ends_with("1x100+3x85+2x78+2x29"), "{}", fingerprint(&cores));
    }

    #[test]
    fn unreadable_capacities_fall_back_to_clocks_and_offline_cores_are_left_out() {
        let folder = phone();
        write(folder.path(), "devices/system/cpu/cpu3/cpu_capacity", "denied");
        write(folder.path(), "devices/system/cpu/cpu6/online", "0");
        let even = discover(folder.path(), &[]);
        assert!(even.iter().all(|c| c.speed == 1.0) && even.len() == 7);
        for id in 0..8 {
            let khz = 2_000_000 + id * 100_000;
            write(folder.path(), &format!("devices/system/cpu/cpu{id}/cpufreq/cpuinfo_max_freq"), &khz.to_string());
        }
        assert_eq!(discover(folder.path(), &[]).first().map(|c| c.id), Some(7));
        assert!(discover(Path::new("/nowhere"), &[]).is_empty());
    }

    #[test]
    fn heat_is_the_processors() {
        let folder = phone();
        assert_eq!(temperature(folder.path()), None);
        for (zone, kind, milli) in [(0, "battery", "61000"), (1, "cpu-1-2", "48500"), (2, "cpu-0-0", "999999")] {
            write(folder.path(), &format!("class/thermal/thermal_zone{zone}/type"), kind);
            write(folder.path(), &format!("class/thermal/thermal_zone{zone}/temp"), milli);
        }
        assert_eq!(temperature(folder.path()), Some(48.5));
    }
}
