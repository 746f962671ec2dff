//! What this machine can do at best: bytes read per second by a plain streaming loop, int8 operations per second.

use std::hint::black_box;
use std::time::Instant;

/// Bytes that are streamed: far more than any cache.
const STREAM: usize = 1 << 29;
/// Dot products per measurement and thread.
const DOTS: usize = 1 << 24;

/// Memory to stream over, on huge pages where the system gives them.
pub struct Stream(memmap2::MmapMut);

impl Stream {
    /// Memory that is written once, so that every page exists.
    pub fn new() -> std::io::Result<Self> {
        let mut map = memmap2::MmapMut::map_anon(STREAM)?;
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        map.fill(1);
        Ok(Stream(map))
    }

    /// Bytes per second that `threads` threads read together.
    pub fn bytes_per_second(&self, threads: usize) -> f64 {
        let part = (self.0.len() / threads / 4096).max(1) * 4096;
        let started = Instant::now();
        std::thread::scope(|scope| {
            for slice in self.0.chunks(part).take(threads) {
                scope.spawn(move || black_box(read(slice)));
            }
        });
        (part * threads).min(self.0.len()) as f64 / started.elapsed().as_secs_f64()
    }
}

#[cfg(target_arch = "x86_64")]
fn read(bytes: &[u8]) -> u64 {
    if is_x86_feature_detected!("avx2") {
        // SAFETY: the CPU has the feature.
        return unsafe { read_wide(bytes) };
    }
    read_plain(bytes)
}

#[cfg(not(target_arch = "x86_64"))]
fn read(bytes: &[u8]) -> u64 {
    read_plain(bytes)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn read_wide(bytes: &[u8]) -> u64 {
    read_plain(bytes)
}

/// Sums words in eight independent chains; a compiler makes vectors of it.
#[inline(always)]
fn read_plain(bytes: &[u8]) -> u64 {
    let mut sums = [0u64; 32];
    for line in bytes.chunks_exact(256) {
        for (sum, word) in sums.iter_mut().zip(line.chunks_exact(8)) {
            *sum = sum.wrapping_add(u64::from_le_bytes([
                word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
            ]));
        }
    }
    sums.iter().fold(0, |a, b| a.wrapping_add(*b))
}

/// Operations per second (two per multiply-add) of the widest 8-bit dot product that is measured here; none elsewhere.
pub fn int8_per_second(threads: usize) -> Option<f64> {
    let once = dots()?;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| once(DOTS));
        }
    });
    Some(threads as f64 * (DOTS * 12 * 64 * 2) as f64 / started.elapsed().as_secs_f64())
}

#[cfg(target_arch = "x86_64")]
fn dots() -> Option<fn(usize)> {
    let able = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
    // SAFETY: the CPU has the features.
    able.then_some(|times| unsafe { vnni(times) })
}

#[cfg(not(target_arch = "x86_64"))]
fn dots() -> Option<fn(usize)> {
    None
}

/// Twelve independent chains of `vpdpbusd` on 64 bytes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vnni")]
unsafe fn vnni(times: usize) {
    use std::arch::x86_64::{_mm512_dpbusd_epi32, _mm512_reduce_add_epi32, _mm512_set1_epi8, _mm512_setzero_si512};
    let mut sums = [_mm512_setzero_si512(); 12];
    let (a, b) = (black_box(_mm512_set1_epi8(3)), black_box(_mm512_set1_epi8(5)));
    for _ in 0..times {
        for sum in &mut sums {
            *sum = _mm512_dpbusd_epi32(*sum, a, b);
        }
    }
    black_box(sums.map(|s| _mm512_reduce_add_epi32(s)));
}
