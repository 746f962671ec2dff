//! Lengths that lie must not become allocations: no request to the allocator is larger than the files justify.
//! The only test of its binary, because the allocator counts for all threads.

mod support;

use serde_json::json;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Sketch, WEIGHTS, edit_entry, edit_header_text, import, put};

/// The system's allocator, which remembers the largest request.
struct Watched;

static LARGEST: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LARGEST.fetch_max(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

const NORM: &str = "llm.model.norm.weight";

/// Larger than any file of the sketch.
const JUSTIFIED: usize = 1 << 20;

type Lie = (&'static str, fn(&Path));

const LIES: [Lie; 6] = [
    ("header length", |d| put(d, WEIGHTS, &[0, 0, 0, 5, 0, 0, 0, 0, b'{', b'}'])),
    ("header length at the limit", |d| put(d, WEIGHTS, &100_000_000u64.to_le_bytes())),
    ("offsets", |d| edit_entry(d, NORM, "data_offsets", &json!([0, 1u64 << 40]))),
    ("shape and offsets", |d| {
        edit_entry(d, NORM, "shape", &json!([1u64 << 39]));
        edit_entry(d, NORM, "data_offsets", &json!([0, 1u64 << 40]));
    }),
    ("shape behind a zero", |d| {
        edit_entry(d, NORM, "shape", &json!([0, 1u64 << 60, 1u64 << 60]));
        edit_entry(d, NORM, "data_offsets", &json!([0, 0]));
    }),
    ("trailing text", |d| edit_header_text(d, |t| t + "[[[[")),
];

#[test]
fn lying_lengths_are_not_allocated() {
    for (name, lie) in LIES {
        let dir = Sketch::v2_6().write();
        lie(dir.path());
        LARGEST.store(0, Ordering::Relaxed);
        assert!(import(dir.path()).is_err(), "{name}: was imported");
        assert!(LARGEST.load(Ordering::Relaxed) < JUSTIFIED, "{name}: {LARGEST:?} bytes in one piece");
    }
    let mut sketch = Sketch::v2_6();
    sketch.config["slice_config"]["scale_resolution"] = json!(8192);
    sketch.config["hidden_size"] = json!(1 << 20);
    let dir = sketch.write();
    LARGEST.store(0, Ordering::Relaxed);
    assert!(import(dir.path()).is_err(), "sizes of config.json: were imported");
    assert!(LARGEST.load(Ordering::Relaxed) < JUSTIFIED, "sizes of config.json: {LARGEST:?} bytes in one piece");
}
