//! Damaged GGUF headers: each is refused by an error that names the field.

#[allow(dead_code)]
#[path = "../../../tests/src/gguf.rs"]
mod gguf;

use gguf::{Bytes, Value};
use mcv_import::gguf::Header;
use proptest::prelude::*;

fn read(bytes: &[u8]) -> Result<Header, String> {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("model.gguf");
    std::fs::write(&path, bytes).expect("a file is written");
    Header::read(&path).map_err(|e| {
        assert_eq!(e.path, path);
        format!("{}: {}", e.field, e.why)
    })
}

/// Two keys and two tensors: `a`, 2 x 32 of Q4_0, and `b`, 3 of F32.
fn sound(version: u32) -> Vec<u8> {
    let mut bytes = Bytes::header(version, 2, 2);
    bytes.key("general.architecture", &"llama".into()).key("x", &Value::U32(7));
    bytes.tensor("a", &[2, 32], 2, 0).tensor("b", &[3], 0, 64);
    bytes.pad(32).raw(&[1; 36]).pad(32).raw(&[2; 12]);
    bytes.0
}

/// A file of one key whose value is written by `value`.
fn key(name: &str, value: impl for<'b> Fn(&'b mut Bytes) -> &'b mut Bytes) -> Vec<u8> {
    let mut bytes = Bytes::header(3, 0, 1);
    bytes.text(name);
    value(&mut bytes);
    bytes.0
}

/// A file of one tensor and 4096 bytes of data.
fn tensor(describe: impl for<'b> Fn(&'b mut Bytes) -> &'b mut Bytes) -> Vec<u8> {
    tensors(1, &[], describe)
}

fn tensors(count: u64, keys: &[(&str, Value)], describe: impl for<'b> Fn(&'b mut Bytes) -> &'b mut Bytes) -> Vec<u8> {
    let mut bytes = Bytes::header(3, count, keys.len() as u64);
    for (k, v) in keys {
        bytes.key(k, v);
    }
    describe(&mut bytes);
    bytes.pad(32).raw(&[0; 4096]);
    bytes.0
}

type Case = (&'static str, Vec<u8>, &'static [&'static str]);

fn check(cases: Vec<Case>) {
    for (name, bytes, words) in cases {
        let error = read(&bytes).err().unwrap_or_else(|| panic!("{name}: was read"));
        assert!(words.iter().all(|w| error.contains(w)), "{name}: {error} lacks one of {words:?}");
    }
}

#[test]
fn a_sound_file() {
    for version in [2, 3] {
        let header = read(&sound(version)).expect("sound");
        let [a, b] = &header.tensors[..] else { panic!("two tensors") };
        assert_eq!((a.shape.as_slice(), a.len, b.len, b.begin - a.begin), (&[2, 32][..], 36, 12, 64));
        assert_eq!(header.metadata.text("general.architecture"), Ok(Some("llama")));
        assert_eq!(header.metadata.number("x", 0, 9), Ok(Some(7)));
    }
    assert!(read(&Bytes::header(3, 0, 0).0).expect("empty").tensors.is_empty());
    let wide = tensors(1, &[("general.alignment", Value::U32(64))], |b| b.tensor("a", &[4], 0, 64));
    let header = read(&wide).expect("another alignment");
    assert!(header.tensors[0].begin.is_multiple_of(64));
}

#[test]
fn every_kind_of_value() {
    let lists = key("lists", |b| {
        b.list(9, 2);
        b.u32(5).u64(1).raw(&(-3i32).to_le_bytes());
        b.u32(8).u64(2).text("a").text("")
    });
    let header = read(&lists).expect("lists within lists");
    assert!(format!("{:?}", header.metadata.get("lists")).contains("Int(-3)"));
    for (kind, size, bytes) in
        [(0, 1, 255u64), (1, 1, 255), (2, 2, 65535), (3, 2, 65535), (10, 8, u64::MAX), (11, 8, 1)]
    {
        let header = read(&key("n", |b| b.u32(kind).raw(&bytes.to_le_bytes()[..size]))).expect("an integer");
        assert!(matches!(header.metadata.get("n"), Some(mcv_import::gguf::Value::Int(_))), "{kind}");
    }
    let header = read(&key("x", |b| b.u32(12).raw(&0.5f64.to_le_bytes()))).expect("a double");
    assert_eq!(header.metadata.float("x", 0.0, 1.0), Ok(Some(0.5)));
}

#[test]
fn damaged_beginnings() {
    let with = |version| Bytes::header(version, 0, 0).0;
    check(vec![
        ("nothing", vec![], &["magic", "needs 4"]),
        ("three bytes", b"GGU".to_vec(), &["magic"]),
        ("another magic", b"FUGGxxxxxxxxxxxxxxxxxxxx".to_vec(), &["magic", "no GGUF"]),
        ("version 0", with(0), &["version", "0 is not supported"]),
        ("version 1", with(1), &["version", "1 is not supported"]),
        ("version 4", with(4), &["version", "4 is not supported"]),
        ("big-endian", with(3u32.swap_bytes()), &["version", "big-endian"]),
        ("no counts", b"GGUF\x03\0\0\0".to_vec(), &["tensor_count"]),
        ("tensors without end", Bytes::header(3, u64::MAX, 0).0, &["tensor_count", "absurd"]),
        ("more tensors than bytes", Bytes::header(3, 60_000, 0).0, &["tensor_count", "needs 1920000"]),
        ("keys without end", Bytes::header(3, 0, u64::MAX).0, &["metadata_kv_count", "absurd"]),
        ("more keys than bytes", Bytes::header(3, 0, 9).0, &["metadata_kv_count"]),
    ]);
}

#[test]
fn damaged_keys() {
    let twice = {
        let mut bytes = Bytes::header(3, 0, 2);
        bytes.key("k", &Value::U32(1)).key("k", &Value::U32(1));
        bytes.0
    };
    let deep = key("deep", |b| {
        b.u32(9);
        for _ in 0..9 {
            b.u32(9).u64(1);
        }
        b.u32(4).u64(0).raw(&[0; 64])
    });
    let alignment = |value: Value| tensors(0, &[("general.alignment", value)], |b| b);
    check(vec![
        ("key length", key("", |b| b.raw(&[0xff; 32])).split_off(0), &["metadata key 0"]),
        (
            "long key",
            {
                let mut b = Bytes::header(3, 0, 1);
                b.u64(u64::MAX).raw(&[0; 64]);
                b.0
            },
            &["metadata key 0", "bytes"],
        ),
        (
            "key beyond the file",
            {
                let mut b = Bytes::header(3, 0, 1);
                b.u64(60_000).raw(&[65; 64]);
                b.0
            },
            &["metadata key 0"],
        ),
        ("empty key", key("", |b| b.u32(4).u32(1).u32(1)), &["metadata key 0", "empty"]),
        (
            "key without UTF-8",
            {
                let mut b = Bytes::header(3, 0, 1);
                b.u64(2).raw(&[0xff, 0xfe]).u32(4).u32(1);
                b.0
            },
            &["metadata key 0", "UTF-8"],
        ),
        ("unknown type", key("k", |b| b.u32(13).u32(0)), &["k: ", "value type 13"]),
        ("type beyond all", key("k", |b| b.u32(u32::MAX).u32(0)), &["k: ", "value type"]),
        ("twice", twice, &["k: ", "twice"]),
        ("no value", key("long enough", |b| b.u32(10).u32(0)), &["long enough", "needs 8"]),
        ("odd flag", key("k", |b| b.u32(7).raw(&[2])), &["k: ", "neither"]),
        ("text beyond the file", key("k", |b| b.u32(8).u64(1 << 20)), &["k: ", "needs 1048576"]),
        ("text without end", key("k", |b| b.u32(8).u64(u64::MAX)), &["k: "]),
        ("text without UTF-8", key("k", |b| b.u32(8).u64(1).raw(&[0xff])), &["k: ", "UTF-8"]),
        ("list of unknown type", key("k", |b| b.list(77, 1).u32(0)), &["k: ", "value type 77"]),
        ("list without end", key("k", |b| b.list(4, usize::MAX)), &["k: ", "absurd"]),
        ("list beyond the file", key("k", |b| b.list(4, 1000)), &["k: ", "needs 4000"]),
        ("list of empty texts", key("k", |b| b.list(8, 3).u64(0).u64(0)), &["k: ", "needs 24"]),
        ("lists too deep", deep, &["deep: ", "too deep"]),
        ("alignment 0", alignment(Value::U32(0)), &["general.alignment", "is 0"]),
        ("alignment 12", alignment(Value::U32(12)), &["general.alignment", "no power of two"]),
        ("alignment too big", alignment(Value::U32(1 << 31)), &["general.alignment", "65536"]),
        ("alignment as text", alignment("32".into()), &["general.alignment", "'32'"]),
    ]);
}

#[test]
fn damaged_tensors() {
    let one = |shape: &'static [u64], format, offset| tensor(move |b| b.tensor("t", shape, format, offset));
    let long = "n".repeat(65);
    let two = |a: u64, b: u64| tensors(2, &[], move |bytes| bytes.tensor("a", &[8], 0, a).tensor("b", &[8], 0, b));
    check(vec![
        ("long name", tensor(|b| b.tensor(&long, &[1], 0, 0)), &["tensor 0: name", "65"]),
        ("name without end", tensor(|b| b.u64(u64::MAX)), &["tensor 0: name"]),
        ("no name", tensor(|b| b.tensor("", &[1], 0, 0)), &["tensor 0: name", "empty"]),
        ("no dimensions", one(&[], 0, 0), &["tensor t: dimensions", "0;"]),
        ("five dimensions", one(&[1; 5], 0, 0), &["tensor t: dimensions", "5;"]),
        ("dimensions without end", tensor(|b| b.text("t").u32(u32::MAX)), &["tensor t: dimensions"]),
        ("empty extent", one(&[4, 0], 0, 0), &["tensor t: shape", "extent of 0"]),
        ("product overflows", one(&[1 << 40, 1 << 40], 0, 0), &["tensor t: shape", "overflows"]),
        ("bytes overflow", one(&[1 << 62], 0, 0), &["tensor t: shape", "overflows"]),
        ("bytes nearly overflow", one(&[1_073_741_825, 1_073_741_823, 4], 0, 0), &["tensor t", "truncated"]),
        ("half a block", one(&[2, 48], 2, 0), &["tensor t: shape", "48 values", "32 (Q4_0)"]),
        ("half a superblock", one(&[2, 128], 14, 0), &["tensor t: shape", "256 (Q6_K)"]),
        ("unknown type", one(&[32], 99, 0), &["tensor t: type", "99 is not known"]),
        ("removed type", one(&[32], 4, 0), &["tensor t: type", "4 is not known"]),
        ("type without reader", one(&[256], 16, 0), &["tensor t: type", "IQ2_XXS is not read"]),
        ("crooked offset", one(&[4], 0, 4), &["tensor t: offset", "alignment 32"]),
        ("offset behind the end", one(&[4], 0, 1 << 20), &["tensor t", "truncated"]),
        ("offset overflows", one(&[4], 0, u64::MAX - 31), &["tensor t", "truncated"]),
        ("data too short", one(&[1025], 0, 0), &["tensor t", "truncated"]),
        ("overlap", two(0, 0), &["tensor b", "overlaps a"]),
        ("same name", tensors(2, &[], |b| b.tensor("a", &[8], 0, 0).tensor("a", &[8], 0, 32)), &["tensor a", "twice"]),
        (
            "cut within the list",
            {
                let mut b = sound(3);
                b.truncate(120);
                b
            },
            &["tensor"],
        ),
        (
            "other alignment than the offsets",
            tensors(1, &[("general.alignment", Value::U32(64))], |b| b.tensor("t", &[4], 0, 32)),
            &["tensor t: offset", "alignment 64"],
        ),
    ]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is changed or cut: an error, or tensors inside the file.
    #[test]
    fn any_damage(at in 0..160usize, byte in any::<u8>(), length in 0..300usize) {
        let mut bytes = sound(3);
        bytes[at] = byte;
        bytes.truncate(length);
        for t in read(&bytes).map(|h| h.tensors).unwrap_or_default() {
            prop_assert!(t.begin + t.len <= bytes.len() as u64);
        }
    }
}
