//! The scripts that set us against llama.cpp keep working: their own tests, where Python with NumPy is at hand.

use std::path::Path;
use std::process::Command;

#[test]
fn the_comparison_passes_its_own_tests() {
    let numpy = Command::new("python3").args(["-c", "import numpy"]).output();
    if !numpy.is_ok_and(|done| done.status.success()) {
        eprintln!("skipped: python3 with numpy is missing");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("llamacpp");
    let done = Command::new("python3").args(["-B", "test_llamacpp.py"]).current_dir(folder).output();
    let done = done.expect("python3 ran a moment ago");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
