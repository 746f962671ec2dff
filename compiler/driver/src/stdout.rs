//! What goes to stdout; a reader that has gone away (`| head`) is no error.

use std::io::Write;

/// Prints the text.
pub fn show(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
