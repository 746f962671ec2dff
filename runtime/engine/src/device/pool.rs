//! Threads that share a job's units: claimed in chunks, so that a core taken away delays one chunk only, or in one
//! part each; workers spin shortly, then sleep; no allocation per job, and nobody waits for a worker that never woke
//! up: whoever is done takes over parts that nobody has begun.

use crate::device::cores::{self, Core, Mask};
use crate::device::threads::{Split, Threads};
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

/// A job: runs units `begin..end`.
type Job<'a> = &'a (dyn Fn(i64, i64) + Sync);

/// Looks at the workers still inside before the caller lets others run: some tens of microseconds.
const SPINS: u32 = 4000;
/// Bit of the state word: workers may join.
const OPEN: u64 = 1 << 31;
/// Bytes of a worker's stack: kernels by tiles keep panels there, 1 MiB of them. Only what is touched is memory.
const STACK: usize = 4 << 20;

/// Threads that help the calling one.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<std::thread::JoinHandle<()>>,
    threads: Threads,
    placement: Placement,
    /// The calling thread and the cores it could use before it was given one.
    caller: Option<(i32, Vec<usize>)>,
    /// Each thread and the cores it could use when the pool was made.
    given: Vec<(i32, Mask)>,
}

/// Where threads run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placement {
    /// Core of each thread that has one, the calling thread first.
    pub cores: Vec<usize>,
    /// What the system denied, and what was done about it.
    pub notes: Vec<String>,
}

struct Shared {
    /// Job number in the upper half, [`OPEN`], number of workers inside.
    state: AtomicU64,
    next: AtomicI64,
    sleeping: AtomicU32,
    lock: Mutex<bool>,
    wake: Condvar,
    slot: UnsafeCell<Option<Slot>>,
    polls: u32,
    /// Whether a part was begun, and where parts end as shares of all units; none when chunks are stolen.
    begun: Vec<AtomicBool>,
    ends: Vec<f64>,
}

#[derive(Clone, Copy)]
struct Slot {
    job: Job<'static>,
    units: i64,
    chunk: i64,
}

// SAFETY: `slot` is written only while no worker is inside (state closed, count 0), and read only by workers inside.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool; without a core to run on, or against the system's will, threads are placed by the system.
    pub fn new(threads: &Threads) -> Self {
        let count = threads.number();
        let known = if threads.cores.is_empty() { Vec::new() } else { cores::here() };
        let mut placement = place(&threads.cores, &known);
        let ends = ends(threads.split, count, &placement.cores, &known);
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicI64::new(0),
            sleeping: AtomicU32::new(0),
            lock: Mutex::new(false),
            wake: Condvar::new(),
            slot: UnsafeCell::new(None),
            polls: threads.polls,
            begun: ends.iter().map(|_| AtomicBool::new(false)).collect(),
            ends,
        });
        let (told, answers) = mpsc::channel();
        let spawn = |index: usize| {
            let (shared, told, core) = (Arc::clone(&shared), told.clone(), placement.cores.get(index).copied());
            let life = move || {
                let pinned = core.map_or(Ok(()), |core| cores::pin(0, &[core]));
                let _ = told.send((pinned, (cores::thread(), cores::mask(0))));
                drop(told);
                shared.serve(index);
            };
            std::thread::Builder::new().name(format!("mcv-{index}")).stack_size(STACK).spawn(life).ok()
        };
        // A system that denies threads leaves us with fewer of them, not with an error.
        let workers: Vec<_> = (1..count).filter_map(spawn).collect();
        drop(told);
        let caller = placement.cores.first().map(|core| (cores::thread(), cores::affinity(0), *core));
        let (pinned, mut given): (Vec<_>, Vec<_>) = answers.iter().unzip();
        let mut denied: Vec<String> = pinned.into_iter().filter_map(Result::err).collect();
        denied.extend(caller.iter().filter_map(|(_, _, core)| cores::pin(0, &[*core]).err()));
        if !denied.is_empty() {
            denied.truncate(1);
            placement.notes.push(format!("{}; the system places threads", denied.concat()));
        }
        let caller = caller.map(|(tid, before, _)| (tid, before));
        given.push((cores::thread(), cores::mask(0)));
        Pool { shared, workers, threads: threads.clone(), placement, caller, given }
    }

    /// The same pool if it is arranged like that already, else a new one; whether it is new. So it is, too, when somebody
    /// outside gave its threads other cores: those count, and the cores of `threads` that are not among them are replaced.
    pub fn arrange(&mut self, threads: &Threads) -> bool {
        let moved = self.moved();
        if self.threads == *threads && moved.is_none() {
            return false;
        }
        // The old one gives the calling thread its cores back first, or what it may use now.
        if let Some(cores) = moved {
            self.caller = Some((cores::thread(), cores));
        }
        *self = Pool::idle();
        *self = Pool::new(threads);
        true
    }

    /// Where its threads run.
    pub fn placement(&self) -> &Placement {
        &self.placement
    }

    /// The cores that somebody outside gave one of its threads: another mask, or the app went to the background.
    fn moved(&self) -> Option<Vec<usize>> {
        let now = |(tid, given): &(i32, Mask)| Some(cores::mask(*tid)).filter(|now| now != given);
        self.given.iter().filter_map(now).find(|now| *now != Mask::default()).map(|now| now.cores())
    }

    fn idle() -> Self {
        Pool::new(&Threads { count: 1, ..Threads::default() })
    }

    /// Threads at work, the calling one included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs all units of a job and returns when they are done.
    pub fn run(&self, units: i64, job: Job) {
        if units <= 1 || self.workers.is_empty() {
            job(0, units.max(0));
            return;
        }
        let chunk = (units / (self.threads() as i64 * i64::from(self.threads.chunks.max(1)))).max(1);
        // SAFETY: the job outlives this call, and no worker is inside after `close` below.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        let slot = Slot { job, units, chunk };
        // SAFETY: the state is closed and nobody is inside: this thread is the only one that opens it.
        unsafe { *self.shared.slot.get() = Some(slot) };
        self.shared.open();
        self.shared.work(slot, 0);
        self.shared.close();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Ok(mut quit) = self.shared.lock.lock() {
            *quit = true;
        }
        self.shared.state.fetch_add(1 << 32, Ordering::SeqCst);
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        if let Some((tid, before)) = &self.caller {
            let _ = cores::pin(*tid, before);
        }
    }
}

/// A core for each that is wanted; one that is denied is replaced by the fastest allowed one that is left.
fn place(wanted: &[usize], known: &[Core]) -> Placement {
    let allowed = |id: usize| known.iter().any(|c| c.id == id && c.allowed);
    let mut placement = Placement { cores: wanted.to_vec(), notes: Vec::new() };
    for (index, &denied) in wanted.iter().enumerate() {
        if allowed(denied) {
            continue;
        }
        let free = |c: &&Core| c.allowed && !placement.cores.contains(&c.id);
        match known.iter().find(free) {
            Some(other) => {
                placement.notes.push(format!("core {denied} is not ours; core {} instead", other.id));
                placement.cores[index] = other.id;
            }
            None => {
                let notes = vec![format!("core {denied} is not ours, and no other is left; the system places threads")];
                return Placement { cores: Vec::new(), notes };
            }
        }
    }
    placement
}

/// Where each thread's part ends, as a share of all units; nothing when chunks are stolen.
fn ends(split: Split, count: usize, cores: &[usize], known: &[Core]) -> Vec<f64> {
    let speed = |index: usize| match split {
        Split::Speed => known.iter().find(|c| Some(&c.id) == cores.get(index)).map_or(1.0, |c| c.speed.max(0.01)),
        Split::Even | Split::Steal => 1.0,
    };
    if split == Split::Steal {
        return Vec::new();
    }
    let all: f64 = (0..count).map(speed).sum();
    let mut sum = 0.0;
    let mut ends: Vec<f64> = (0..count)
        .map(|i| {
            sum += speed(i) / all;
            sum
        })
        .collect();
    if let Some(last) = ends.last_mut() {
        *last = 1.0;
    }
    ends
}

impl Shared {
    fn open(&self) {
        self.next.store(0, Ordering::Relaxed);
        self.begun.iter().for_each(|b| b.store(false, Ordering::Relaxed));
        let number = (self.state.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.state.store(number << 32 | OPEN, Ordering::SeqCst);
        if self.sleeping.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock());
            self.wake.notify_all();
        }
    }

    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut polls = 0u32;
        while self.state.load(Ordering::Acquire) & (OPEN - 1) != 0 {
            polls += 1;
            if polls < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }

    fn work(&self, slot: Slot, index: usize) {
        if !self.ends.is_empty() {
            return self.work_on_parts(slot, index);
        }
        loop {
            let begin = self.next.fetch_add(slot.chunk, Ordering::Relaxed);
            if begin >= slot.units {
                return;
            }
            (slot.job)(begin, (begin + slot.chunk).min(slot.units));
        }
    }

    /// The own part first, then those that nobody has begun.
    fn work_on_parts(&self, slot: Slot, index: usize) {
        let parts = self.ends.len();
        for part in (0..parts).map(|i| (index + i) % parts) {
            if self.begun[part].swap(true, Ordering::Relaxed) {
                continue;
            }
            let at = |share: f64| (share * slot.units as f64).round() as i64;
            let begin = if part == 0 { 0 } else { at(self.ends[part - 1]) };
            let end = at(self.ends[part]).min(slot.units);
            if begin < end {
                (slot.job)(begin, end);
            }
        }
    }

    /// A worker's life.
    fn serve(&self, index: usize) {
        let mut seen = 0;
        while let Some(number) = self.await_job(seen) {
            seen = number;
            if !self.join(number) {
                continue;
            }
            // SAFETY: this worker is inside, so the slot holds the open job.
            if let Some(slot) = unsafe { *self.slot.get() } {
                self.work(slot, index);
            }
            self.state.fetch_sub(1, Ordering::Release);
        }
    }

    fn join(&self, number: u64) -> bool {
        let inside = |s: u64| (s >> 32 == number && s & OPEN != 0).then_some(s + 1);
        self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, inside).is_ok()
    }

    /// The number of the next job, or none when the pool closes.
    fn await_job(&self, seen: u64) -> Option<u64> {
        for _ in 0..self.polls {
            let state = self.state.load(Ordering::Acquire);
            if state >> 32 != seen && state & OPEN != 0 {
                return Some(state >> 32);
            }
            std::hint::spin_loop();
        }
        let mut quit = self.lock.lock().ok()?;
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        let number = loop {
            let state = self.state.load(Ordering::SeqCst);
            if *quit {
                break None;
            }
            if state >> 32 != seen && state & OPEN != 0 {
                break Some(state >> 32);
            }
            quit = self.wake.wait(quit).ok()?;
        };
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn threads(count: usize) -> Threads {
        Threads { count, ..Threads::default() }
    }

    #[test]
    fn every_unit_runs_once() {
        for (count, split, polls) in
            [(1, Split::Steal, 9), (2, Split::Even, 0), (5, Split::Steal, 0), (3, Split::Speed, 4000)]
        {
            let pool = Pool::new(&Threads { split, polls, ..threads(count) });
            for units in [0, 1, 2, 7, 64, 1000] {
                let hits: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                pool.run(units as i64, &|begin, end| {
                    for hit in &hits[begin as usize..end as usize] {
                        hit.fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(
                    hits.iter().all(|h| h.load(Ordering::Relaxed) == 1),
                    "{count} threads, {split:?}, {units} units"
                );
            }
        }
    }

    #[test]
    fn sleeping_workers_wake_up() {
        let pool = Pool::new(&threads(3));
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let sum = AtomicI64::new(0);
            pool.run(100, &|begin, end| {
                sum.fetch_add((begin..end).sum::<i64>(), Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 4950);
        }
    }

    #[test]
    fn denied_cores_are_replaced_by_the_fastest_that_are_left() {
        let core = |id, speed, allowed| Core { id, speed, allowed };
        let known = [core(7, 1.0, false), core(2, 0.9, true), core(3, 0.9, true), core(0, 0.3, true)];
        let got = place(&[7, 2], &known);
        assert_eq!((got.cores, got.notes.len()), (vec![3, 2], 1));
        assert_eq!(place(&[2, 3], &known), Placement { cores: vec![2, 3], notes: vec![] });
        let got = place(&[7, 2, 3, 0], &known);
        assert!(got.cores.is_empty() && got.notes[0].contains("system places"), "{got:?}");
    }

    #[test]
    fn parts_are_as_large_as_cores_are_fast() {
        let known = [Core { id: 7, speed: 1.0, allowed: true }, Core { id: 2, speed: 0.25, allowed: true }];
        assert_eq!(ends(Split::Speed, 2, &[7, 2], &known), [0.8, 1.0]);
        assert_eq!(ends(Split::Even, 2, &[7, 2], &known), [0.5, 1.0]);
        assert!(ends(Split::Steal, 2, &[7, 2], &known).is_empty());
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn cores_are_really_given_and_given_back() {
        let before = cores::affinity(0);
        let mine: Vec<usize> = before.iter().copied().take(2).collect();
        let mut pool = Pool::new(&Threads { cores: mine.clone(), ..Threads::default() });
        assert!(pool.placement().notes.is_empty(), "{:?}", pool.placement());
        assert_eq!(cores::affinity(0), mine[..1]);
        let list = |tid: &str| {
            let text = std::fs::read_to_string(format!("/proc/self/task/{tid}/status")).unwrap_or_default();
            let name = text.lines().next().unwrap_or_default().to_string();
            let cores = text.lines().find_map(|l| l.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
            (name, cores.trim().to_string())
        };
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
        let mut seen: Vec<_> = tasks.filter_map(|t| t.file_name().to_str().map(list)).collect();
        seen.retain(|(name, cores)| name.contains("mcv-") && mine.get(1).is_some_and(|id| *cores == id.to_string()));
        assert_eq!(seen.len(), mine.len() - 1, "{seen:?}");
        assert!(pool.arrange(&threads(1)) && !pool.arrange(&threads(1)));
        assert_eq!(cores::affinity(0), before);
    }

    #[test]
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn cores_that_are_taken_and_given_again_while_it_works_are_noticed() {
        let before = cores::affinity(0);
        let [one, two] = before[..before.len().min(2)] else { return };
        let pinned = Threads { cores: vec![one, two], polls: 64_000, ..Threads::default() };
        for wanted in [pinned, Threads::default()] {
            let mut pool = Pool::new(&wanted);
            let (threads, all) = (pool.threads(), pool.given.clone());
            let sum = |pool: &Pool| {
                let sum = AtomicI64::new(0);
                pool.run(1000, &|begin, end| {
                    sum.fetch_add((begin..end).sum::<i64>(), Ordering::Relaxed);
                });
                sum.into_inner()
            };
            // As `taskset -a -p` does from outside.
            all.iter().for_each(|(tid, _)| cores::pin(*tid, &[one]).unwrap());
            assert_eq!(sum(&pool), 499_500);
            assert!(pool.arrange(&wanted) && !pool.arrange(&wanted), "{wanted:?}");
            assert!(pool.given.iter().all(|(tid, _)| cores::affinity(*tid) == [one]), "{:?}", pool.given);
            assert_eq!((sum(&pool), pool.placement().notes.is_empty()), (499_500, wanted.cores.is_empty()));
            assert!(wanted.count == 0 && (pool.threads() == 1 || !wanted.cores.is_empty()));
            pool.given.clone().iter().for_each(|(tid, _)| cores::pin(*tid, &before).unwrap());
            assert!(pool.arrange(&wanted) && !pool.arrange(&wanted), "{wanted:?}");
            assert_eq!((pool.threads(), sum(&pool)), (threads, 499_500));
            assert_eq!(pool.placement().cores, wanted.cores);
            drop(pool);
            assert_eq!(cores::affinity(0), before);
        }
    }
}
