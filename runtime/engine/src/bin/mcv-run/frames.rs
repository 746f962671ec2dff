//! A film as a folder of pictures.

use crate::Failure;
use std::cmp::Ordering;
use std::path::{Path, PathBuf};

/// Endings of the pictures that can be decoded.
const ENDINGS: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// The pictures of a folder in the order of their names, numbers by their value; of more than `most` as many evenly.
pub fn chosen(folder: &Path, most: usize) -> Result<Vec<PathBuf>, Failure> {
    let entries = std::fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))?;
    let mut found: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_picture(p)).collect();
    if found.is_empty() {
        let why = format!("{}: no pictures here; give a folder of {} files", folder.display(), ENDINGS.join(", "));
        return Err(Failure::Message(why));
    }
    found.sort_by(|a, b| by_name(&name(a), &name(b)));
    Ok(evenly(found.len(), most).map(|i| std::mem::take(&mut found[i])).collect())
}

fn is_picture(path: &Path) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    path.is_file() && ending.is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

fn name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The middle of each of `most` equal parts of `count`, as the models' published code samples.
fn evenly(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(most);
    let gap = count as f64 / taken as f64;
    (0..taken).map(move |i| if taken == count { i } else { (i as f64 * gap + gap / 2.0) as usize })
}

/// Names compared by character, runs of digits by their number.
fn by_name(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    while let (Some(x), Some(y)) = (a.chars().next(), b.chars().next()) {
        let (m, n) = (digits(a), digits(b));
        let order = match (m, n) {
            (0, _) | (_, 0) => x.cmp(&y),
            _ => number(&a[..m]).cmp(&number(&b[..n])),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = if m > 0 && n > 0 { (&a[m..], &b[n..]) } else { (&a[x.len_utf8()..], &b[y.len_utf8()..]) };
    }
    a.len().cmp(&b.len())
}

/// Bytes of the digits that a text begins with.
fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// A number of any length as what orders it: its length without leading zeros, then its digits.
fn number(digits: &str) -> (usize, &str) {
    let digits = digits.trim_start_matches('0');
    (digits.len(), digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_order_by_value() {
        let mut names = ["f10.png", "f2.png", "f02b.png", "f1.png", "g0.png", "f.png", "f99999999999999999999.png"];
        names.sort_by(|a, b| by_name(a, b));
        assert_eq!(names, ["f.png", "f1.png", "f2.png", "f02b.png", "f10.png", "f99999999999999999999.png", "g0.png"]);
    }

    #[test]
    fn frames_are_chosen_evenly() {
        let all = |count, most| evenly(count, most).collect::<Vec<_>>();
        assert_eq!(all(3, 64), [0, 1, 2]);
        assert_eq!(all(10, 4), [1, 3, 6, 8]);
        assert_eq!(all(100, 1), [50]);
        assert_eq!(all(5, 4), [0, 1, 3, 4]);
    }

    #[test]
    fn a_folder_without_pictures_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("notes.txt"), "x").expect("written");
        assert!(matches!(chosen(dir.path(), 4), Err(Failure::Message(why)) if why.contains("no pictures here")));
        assert!(chosen(&dir.path().join("missing"), 4).is_err());
    }
}
