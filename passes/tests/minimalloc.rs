//! The eleven public MiniMalloc problems fit into their capacity.

use std::path::Path;
use std::time::{Duration, Instant};

use mcv_passes::plan::arena::{Buffer, Limits, place, verify};
use mcv_passes::plan::csv;

const CAPACITY: u64 = 1_048_576;

fn problem(name: char) -> Vec<Buffer> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/minimalloc");
    let text = std::fs::read_to_string(folder.join(format!("{name}.{CAPACITY}.csv"))).unwrap();
    csv::parse(&text).unwrap().into_iter().map(|(_, buffer)| buffer).collect()
}

#[test]
fn all_eleven_fit() {
    for name in 'A'..='K' {
        let buffers = problem(name);
        let begun = Instant::now();
        let limits = Limits { capacity: Some(CAPACITY), budget: Duration::from_secs(600), max_steps: 50_000 };
        let plan = place(&buffers, &limits).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(verify(&buffers, &plan.offsets, Some(CAPACITY)), Ok(plan.height));
        assert!(plan.height >= plan.lower_bound);
        println!(
            "{name}: {} buffers, {} live, height {}, {}, {} steps, {:.3} s",
            buffers.len(),
            plan.lower_bound,
            plan.height,
            plan.method,
            plan.steps,
            begun.elapsed().as_secs_f64()
        );
    }
}

#[test]
fn height_is_minimized_without_a_capacity() {
    for name in ['A', 'C', 'G'] {
        let buffers = problem(name);
        let plan = place(&buffers, &Limits::default()).unwrap();
        assert_eq!(plan.height, plan.lower_bound, "{name}");
    }
}
