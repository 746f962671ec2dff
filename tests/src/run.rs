//! Runs the built programs as a user would.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The folder that cargo puts this workspace's programs in, next to the running test.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    let deps = test.parent().expect("in a folder");
    if deps.ends_with("deps") { deps.parent().expect("in a folder").to_path_buf() } else { deps.to_path_buf() }
}

/// A program of this workspace.
pub fn program(name: &str) -> Command {
    let path = programs().join(name);
    assert!(path.exists(), "{} is not built; run cargo build --workspace first, as ./test.sh does", path.display());
    Command::new(path)
}

/// Runs it and returns its output; fails the test with its messages if it failed.
pub fn succeed(command: &mut Command) -> Output {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Runs it, expects failure with exit code 1 and one line on stderr, and returns that line.
pub fn fail(command: &mut Command) -> String {
    let output = command.output().expect("the program starts");
    let text = String::from_utf8_lossy(&output.stderr).trim().to_string();
    assert_eq!(output.status.code(), Some(1), "{command:?}: {text}");
    assert!(output.stdout.is_empty(), "{command:?} printed to stdout");
    assert!(!text.contains("panicked") && !text.contains("internal error"), "{command:?}: {text}");
    text
}
