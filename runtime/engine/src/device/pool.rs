//! Threads that share a job's units: claimed in chunks, so that a core taken away delays one chunk only; workers
//! spin shortly, then sleep; no allocation per job, and nobody waits for a worker that never woke up.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// A job: runs units `begin..end`.
type Job<'a> = &'a (dyn Fn(i64, i64) + Sync);

/// Chunks per thread: more balance better, fewer cost less.
const CHUNKS: i64 = 4;
/// Polls before a worker sleeps: some tens of microseconds.
const SPINS: u32 = 4000;
/// Bit of the state word: workers may join.
const OPEN: u64 = 1 << 31;

/// Threads that help the calling one.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<std::thread::JoinHandle<()>>,
}

struct Shared {
    /// Job number in the upper half, [`OPEN`], number of workers inside.
    state: AtomicU64,
    next: AtomicI64,
    sleeping: AtomicU32,
    lock: Mutex<bool>,
    wake: Condvar,
    slot: UnsafeCell<Option<Slot>>,
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
    /// A pool of `threads`, the calling thread included.
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            next: AtomicI64::new(0),
            sleeping: AtomicU32::new(0),
            lock: Mutex::new(false),
            wake: Condvar::new(),
            slot: UnsafeCell::new(None),
        });
        let spawn = |i: usize| {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name(format!("mcv-{i}")).spawn(move || shared.serve()).ok()
        };
        // A system that denies threads leaves us with fewer of them, not with an error.
        let workers = (1..threads.max(1)).filter_map(spawn).collect();
        Pool { shared, workers }
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
        let chunk = (units / (self.threads() as i64 * CHUNKS)).max(1);
        // SAFETY: the job outlives this call, and no worker is inside after `close` below.
        let job = unsafe { std::mem::transmute::<Job<'_>, Job<'static>>(job) };
        let slot = Slot { job, units, chunk };
        // SAFETY: the state is closed and nobody is inside: this thread is the only one that opens it.
        unsafe { *self.shared.slot.get() = Some(slot) };
        self.shared.open();
        self.shared.work(slot);
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
    }
}

impl Shared {
    fn open(&self) {
        self.next.store(0, Ordering::Relaxed);
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

    fn work(&self, slot: Slot) {
        loop {
            let begin = self.next.fetch_add(slot.chunk, Ordering::Relaxed);
            if begin >= slot.units {
                return;
            }
            (slot.job)(begin, (begin + slot.chunk).min(slot.units));
        }
    }

    /// A worker's life.
    fn serve(&self) {
        let mut seen = 0;
        while let Some(number) = self.await_job(seen) {
            seen = number;
            if !self.join(number) {
                continue;
            }
            // SAFETY: this worker is inside, so the slot holds the open job.
            if let Some(slot) = unsafe { *self.slot.get() } {
                self.work(slot);
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
        for _ in 0..SPINS {
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

    #[test]
    fn every_unit_runs_once() {
        for threads in [1, 2, 5] {
            let pool = Pool::new(threads);
            for units in [0, 1, 2, 7, 64, 1000] {
                let hits: Vec<AtomicUsize> = (0..units).map(|_| AtomicUsize::new(0)).collect();
                pool.run(units as i64, &|begin, end| {
                    for hit in &hits[begin as usize..end as usize] {
                        hit.fetch_add(1, Ordering::Relaxed);
                    }
                });
                assert!(hits.iter().all(|h| h.load(Ordering::Relaxed) == 1), "{threads} threads, {units} units");
            }
        }
    }

    #[test]
    fn sleeping_workers_wake_up() {
        let pool = Pool::new(3);
        for _ in 0..20 {
            std::thread::sleep(std::time::Duration::from_millis(2));
            let sum = AtomicI64::new(0);
            pool.run(100, &|begin, end| {
                sum.fetch_add((begin..end).sum::<i64>(), Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 4950);
        }
    }
}
