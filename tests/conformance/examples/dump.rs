//! x
use mcv_conformance::cycles::*;
use mcv_ir::Elem;
fn main() {
    let rows: u32 = std::env::args().nth(1).unwrap().parse().unwrap();
    let ins = std::env::args().nth(2).unwrap();
    let t = assembly(&product(Elem::Q4 { group: 32 }, rows), &mcv_targets::isa::AARCH64_LEVELS[2]).unwrap();
    println!("{}", hot_loop(&t, &ins).unwrap().text);
}
