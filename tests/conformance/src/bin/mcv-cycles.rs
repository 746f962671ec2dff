//! Prints predicted cycles of quantized products per 32 weights of a column (and row): see [`mcv_conformance::cycles`].

use mcv_conformance::cycles::{MODEL, PROCESSORS, assembly, cycles, hot_loop, multiplier, product};
use mcv_ir::Elem;
use mcv_targets::isa::AARCH64_LEVELS;
use std::process::ExitCode;

const FORMATS: [(&str, Elem); 3] = [
    ("q4, a scale per 32", Elem::Q4 { group: 32 }),
    ("q8, a scale per 32", Elem::Q8 { group: 32 }),
    ("q8, a scale per row", Elem::Q8 { group: 1152 }),
];

fn main() -> ExitCode {
    println!("Predicted by {MODEL}, loads in L1: cycles per 32 weights and column, and per row of x.\n");
    println!("{:42} {:>12} {:>12} {:>12}", "kernel", PROCESSORS[0], PROCESSORS[1], PROCESSORS[2]);
    for level in &AARCH64_LEVELS[..3] {
        for (rows, shape) in [(1, "GEMV"), (64, "GEMM")] {
            for (name, format) in FORMATS {
                let predicted = assembly(&product(format, rows), level).and_then(|text| {
                    let hot =
                        hot_loop(&text, multiplier(level.name, format, rows), rows).ok_or("no inner loop found")?;
                    let each = |p: &&str| cycles(&hot.text, p).map(|c| c * 32.0 / hot.work);
                    PROCESSORS.iter().map(each).collect::<Result<Vec<f64>, String>>()
                });
                match predicted {
                    Ok(c) => println!(
                        "{:42} {:12.2} {:12.2} {:12.2}",
                        format!("{} {shape} {name}", level.name),
                        c[0],
                        c[1],
                        c[2]
                    ),
                    Err(why) => {
                        eprintln!("mcv-cycles: {}: {why}", level.name);
                        return ExitCode::FAILURE;
                    }
                }
            }
        }
    }
    ExitCode::SUCCESS
}
