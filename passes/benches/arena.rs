//! The memory planner on the published minimalloc problems: `cargo bench -p mcv-passes --bench arena`.

use mcv_passes::plan::arena::{Limits, place, verify};
use mcv_passes::plan::csv;
use std::path::Path;
use std::time::{Duration, Instant};

/// Capacity that the problems were published with.
const CAPACITY: u64 = 1 << 20;

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/minimalloc");
    println!("one thread; capacity {CAPACITY}");
    println!(
        "{:8} {:>8} {:>12} {:>10} {:>8} {:>9} {:>8}",
        "problem", "buffers", "lower bound", "height", "method", "steps", "seconds"
    );
    for letter in "ABCDEFGHIJK".chars() {
        let file = folder.join(format!("{letter}.{CAPACITY}.csv"));
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let buffers: Vec<_> = csv::parse(&text).expect("a published problem").into_iter().map(|(_, b)| b).collect();
        let limits = Limits { capacity: Some(CAPACITY), budget: Duration::from_secs(10), max_steps: u64::MAX };
        let started = Instant::now();
        let result = place(&buffers, &limits);
        let seconds = started.elapsed().as_secs_f64();
        match result {
            Ok(p) => {
                let height = verify(&buffers, &p.offsets, Some(CAPACITY)).expect("a valid placement");
                println!(
                    "{letter:8} {:8} {:12} {height:10} {:>8} {:9} {seconds:8.3}",
                    buffers.len(),
                    p.lower_bound,
                    p.method,
                    p.steps
                );
            }
            Err(e) => println!("{letter:8} {:8} {e}", buffers.len()),
        }
    }
}
