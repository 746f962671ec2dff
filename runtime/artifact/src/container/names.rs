//! Which names entries may have: those that every file system can hold side by side.

use std::collections::BTreeSet;

/// Bytes of the longest name.
pub(super) const MAX_NAME: usize = 255;

/// Says why `name` cannot name an entry.
pub(super) fn check(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > MAX_NAME {
        return Err("it is longer than 255 bytes");
    }
    if !name.bytes().all(allowed) {
        return Err("it holds a character outside ASCII letters, digits and `._-+=@/`");
    }
    match name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        true => Err("it is not a plain relative path"),
        false => Ok(()),
    }
}

fn allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-+=@/".contains(&byte)
}

/// The names of an archive, compared without case, as some file systems do.
#[derive(Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// Adds `name`, or says why it cannot stand beside the others.
    pub fn insert(&mut self, name: &str) -> Result<(), &'static str> {
        check(name)?;
        let key = name.to_ascii_lowercase();
        if self.0.contains(&key) {
            return Err("another entry has the same name (case does not count)");
        }
        if self.is_folder(&key) || self.lies_in_file(&key) {
            return Err("it is both a file and a folder");
        }
        self.0.insert(key);
        Ok(())
    }

    fn is_folder(&self, key: &str) -> bool {
        let prefix = format!("{key}/");
        let after = self.0.range(prefix.clone()..).next();
        after.is_some_and(|name| name.starts_with(&prefix))
    }

    fn lies_in_file(&self, key: &str) -> bool {
        key.match_indices('/').any(|(at, _)| self.0.contains(&key[..at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_are_allowed() {
        for name in ["a", "weights/llm.q4", "kernels/armv8.2+dotprod/k_0=1.so", "...", "a..b"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn unsafe_names_are_refused() {
        let long = "x".repeat(256);
        for name in
            ["", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a\\b", "C:a", "a b", "a\n", "é", "a\0", &long]
        {
            assert!(check(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn names_must_unpack_side_by_side() {
        let mut names = Names::default();
        assert_eq!(names.insert("a/b"), Ok(()));
        assert_eq!(names.insert("a/b.c"), Ok(()));
        for clash in ["a/b", "A/B", "a", "a/b/c", "A/b.C/x/y"] {
            assert!(names.insert(clash).is_err(), "{clash}");
        }
        assert_eq!(names.insert("a/bc"), Ok(()));
    }
}
