//! Manifests that no compiler wrote: refused with the field's name, never a panic.

mod fake;

use mcv_artifact::manifest::*;
use mcv_artifact::{Archive, Message, Writer};
use mcv_runtime::check::check;
use mcv_runtime::{Error, Options, Session};
use proptest::prelude::*;
use std::path::Path;

fn reopened(directory: &Path, manifest: &[u8]) -> Result<Session, Error> {
    let path = directory.join("changed.mcv");
    let mut writer = Writer::create(&path).unwrap();
    writer.put(MANIFEST_ENTRY, manifest).unwrap();
    writer.put("kernels/plain.so", b"not an object").unwrap();
    writer.put(TOKENIZER_ENTRY, fake::tokenizer().to_string().as_bytes()).unwrap();
    writer.finish().unwrap();
    Session::open(&path, &Options::default())
}

#[test]
fn what_is_wrong_is_named() {
    type Change = fn(&mut Manifest);
    let changes: [(Change, &str); 20] = [
        (|m| m.format = 9, "manifest format 9"),
        (|m| m.limits = None, "limits are missing"),
        (|m| m.phases.truncate(2), "no phase decode"),
        (|m| m.phases[1].steps[0].kernel = 7, "no kernel 7"),
        (|m| m.phases[1].steps[0].args[4].index = 5, "no state 5"),
        (|m| m.phases[1].steps[0].args[4].bytes += 1, "lie outside"),
        (|m| m.phases[1].inputs[0].max_rows = u32::MAX, "token_ids: bad place"),
        (|m| m.phases[2].variables.push("odd".into()), "unknown variable odd"),
        (|m| m.limits.as_mut().unwrap().context = 300, "state kv.0.k: 256 rows"),
        (|m| m.libraries[0].family = "vax".into(), "no kernels in this artifact fit"),
        (|m| m.image.as_mut().unwrap().patch = 3, "patches is 64 x 12"),
        (|m| m.image.as_mut().unwrap().positions = 0, "unknown positions 0"),
        (|m| m.image.as_mut().unwrap().positions = 9, "unknown positions 9"),
        (|m| m.image.as_mut().unwrap().positions = Positions::Resampled as i32, "there is no position_weights"),
        (|m| m.phases[0].inputs[1].name = "places".into(), "there is no position_ids"),
        (|m| m.canvas = Some(Canvas::default()), "canvases need slices of whole vectors, the unit is 0"),
        (|m| (m.canvas, m.image.as_mut().unwrap().unit) = (Some(Canvas::default()), 4), "prefill: there is no canvas"),
        (|m| m.phases[2].inputs[1].name = "canvas".into(), "decode: there is no positions"),
        (|m| m.phases[1].inputs[2].name = "canvas".into(), "prefill: unknown input canvas"),
        (|m| m.chat.as_mut().unwrap().placeholder = "<gone>".into(), "<gone>"),
    ];
    let directory = tempfile::tempdir().unwrap();
    for (change, wanted) in changes {
        let mut manifest = fake::manifest(fake::SIZES);
        change(&mut manifest);
        match reopened(directory.path(), &manifest.encode_to_vec()) {
            Ok(_) => panic!("{wanted}: accepted"),
            Err(error) => assert!(error.to_string().contains(wanted), "{wanted}: {error}"),
        }
    }
}

#[test]
fn objects_that_do_not_load_are_device_errors() {
    let directory = tempfile::tempdir().unwrap();
    let manifest = fake::manifest(fake::SIZES).encode_to_vec();
    let error = reopened(directory.path(), &manifest).err().unwrap();
    assert!(matches!(&error, Error::Device(text) if text.contains("kernels/plain.so")), "{error}");
    let error = reopened(directory.path(), &manifest[..manifest.len() - 1]).err().unwrap();
    assert!(error.to_string().contains(MANIFEST_ENTRY), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_bytes_never_panic(changes in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..4)) {
        thread_local! {
            static ARCHIVE: Archive = {
                let directory = tempfile::tempdir().unwrap();
                Archive::open(fake::write(directory.path(), fake::SIZES)).unwrap()
            };
        }
        let mut bytes = fake::manifest(fake::SIZES).encode_to_vec();
        for (at, value) in changes {
            let at = usize::from(at) % bytes.len();
            bytes[at] = value;
        }
        if let Ok(manifest) = Manifest::decode(bytes.as_slice()) {
            let _ = ARCHIVE.with(|archive| check(archive, &manifest));
        }
    }
}
