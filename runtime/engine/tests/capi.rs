//! The C interface, called as C calls it.

mod fake;

use mcv_runtime::capi::*;
use std::ffi::{CStr, CString, c_char};
use std::path::Path;
use std::process::Command;
use std::ptr::{null, null_mut};

fn error(session: *mut McvSession) -> String {
    unsafe { CStr::from_ptr(mcv_error(session)) }.to_str().unwrap().to_owned()
}

fn c(text: impl AsRef<Path>) -> CString {
    CString::new(text.as_ref().to_str().unwrap()).unwrap()
}

fn open(directory: &Path) -> *mut McvSession {
    let path = c(fake::write(directory, fake::SIZES));
    let mut session = null_mut();
    assert_eq!(unsafe { mcv_open(path.as_ptr(), null(), &mut session) }, 0, "{}", error(null_mut()));
    session
}

/// The rest of an answer.
fn answer(session: *mut McvSession) -> String {
    let mut text = String::new();
    loop {
        let mut piece: *const c_char = null();
        assert_eq!(unsafe { mcv_next(session, &mut piece) }, 0, "{}", error(session));
        if piece.is_null() {
            return text;
        }
        text.push_str(unsafe { CStr::from_ptr(piece) }.to_str().unwrap());
    }
}

#[test]
fn null_pointers_are_errors() {
    let (none, text) = (null_mut::<McvSession>(), c("x"));
    unsafe {
        assert_eq!(mcv_open(text.as_ptr(), null(), null_mut()), 1);
        assert!(error(none).contains("`session` is a null pointer"));
        let mut session = null_mut();
        assert_eq!(mcv_open(null(), null(), &mut session), 1);
        assert!(error(none).contains("`path` is a null pointer") && session.is_null());
        assert_eq!(mcv_say(none, text.as_ptr(), null()), 1);
        assert_eq!(mcv_next(none, null_mut()), 1);
        assert_eq!(mcv_image_rgb(none, null(), 1, 1, 0), 1);
        assert_eq!(mcv_frame_rgb(none, null(), 1, 1, 0, 1), 1);
        assert_eq!(mcv_image_file(none, null(), null(), 0), 1);
        assert_eq!(mcv_stats(none, null_mut()), 1);
        assert_eq!(mcv_reset(none), 1);
        mcv_cancel(none);
        mcv_close(none);
    }
}

#[test]
fn arguments_of_an_open_session_are_checked() {
    let directory = tempfile::tempdir().unwrap();
    let session = open(directory.path());
    let bad = CString::new([0xff, b'a']).unwrap();
    let pixels = [0u8; 12];
    unsafe {
        assert_eq!(error(session), "");
        assert_eq!(mcv_say(session, null(), null()), 1);
        assert!(error(session).contains("`text` is a null"));
        assert_eq!(mcv_say(session, bad.as_ptr(), null()), 1);
        assert!(error(session).contains("not UTF-8"));
        assert_eq!(mcv_next(session, null_mut()), 1);
        assert_eq!(mcv_stats(session, null_mut()), 1);
        assert_eq!(mcv_image_rgb(session, null(), 2, 2, 0), 1);
        for (width, height, stride) in [(0, 2, 0), (2, 0, 0), (2, 2, 5), (u32::MAX, u32::MAX, usize::MAX)] {
            assert_eq!(mcv_image_rgb(session, pixels.as_ptr(), width, height, stride), 1);
        }
        assert_eq!(mcv_image_file(session, null(), pixels.as_ptr(), 12), 1);
        assert!(error(session).starts_with("picture: "), "{}", error(session));
        mcv_close(session);
    }
}

#[test]
fn missing_and_foreign_files_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let foreign = directory.path().join("model.gguf");
    std::fs::write(&foreign, b"GGUF and much more of it, but no artifact at all").unwrap();
    for (path, wanted) in [(directory.path().join("gone.mcv"), "gone.mcv"), (foreign, "not an .mcv artifact")] {
        let mut session = null_mut();
        assert_eq!(unsafe { mcv_open(c(&path).as_ptr(), null(), &mut session) }, 2);
        assert!(error(null_mut()).contains(wanted) && session.is_null(), "{}", error(null_mut()));
    }
}

#[test]
fn old_and_new_callers_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let path = c(fake::write(directory.path(), fake::SIZES));
    let mut options: McvOptions = unsafe { std::mem::zeroed() };
    let mut session = null_mut();
    assert_eq!(unsafe { mcv_open(path.as_ptr(), &options, &mut session) }, 1);
    assert!(error(null_mut()).contains("sizeof"));
    options.size = std::mem::offset_of!(McvOptions, level);
    options.threads = 1;
    options.level = std::ptr::dangling(); // beyond `size`: must not be read
    assert_eq!(unsafe { mcv_open(path.as_ptr(), &options, &mut session) }, 0);
    let mut stats: McvStats = unsafe { std::mem::zeroed() };
    stats.size = std::mem::offset_of!(McvStats, slices);
    stats.slices = 77;
    assert_eq!(unsafe { mcv_stats(session, &mut stats) }, 0);
    assert_eq!((stats.threads, stats.slices), (1, 77));
    unsafe { mcv_close(session) };
}

#[test]
fn a_conversation_goes_through() {
    let directory = tempfile::tempdir().unwrap();
    let session = open(directory.path());
    let (words, pixels) = (c("what?"), vec![9u8; 10 * 40]);
    let mut told = Vec::new();
    unsafe {
        // The same picture with and without padding behind its rows.
        for stride in [40, 30] {
            assert_eq!(mcv_reset(session), 0);
            assert_eq!(mcv_image_rgb(session, pixels.as_ptr(), 10, 10, stride), 0);
            assert_eq!(mcv_say(session, words.as_ptr(), null()), 0, "{}", error(session));
            told.push(answer(session));
        }
        assert_eq!(mcv_reset(session), 0);
        for slices in [0, 1] {
            assert_eq!(mcv_frame_rgb(session, pixels.as_ptr(), 10, 10, 40, slices), 0);
        }
        assert_eq!(mcv_frame_rgb(session, null(), 10, 10, 40, 1), 1);
        assert_eq!(mcv_say(session, words.as_ptr(), null()), 0, "{}", error(session));
        let mut stats: McvStats = std::mem::zeroed();
        stats.size = size_of::<McvStats>();
        assert_eq!(mcv_stats(session, &mut stats), 0);
        assert_eq!(stats.slices, 2);
        answer(session);
        assert_eq!(mcv_stats(session, &mut stats), 0);
        assert!(stats.slices > 0 && stats.prefill_tokens > 0 && matches!(stats.finish, 1 | 2));
        assert_eq!(mcv_say(session, words.as_ptr(), null()), 0);
        mcv_cancel(session);
        assert_eq!(answer(session), "");
        mcv_close(session);
    }
    assert_eq!(told[0], told[1]);
    assert!(!told[0].is_empty());
}

/// The example, compiled by a C compiler against the shared library, strictly.
#[test]
fn the_example_compiles_and_runs() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let deps = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let program = directory.path().join("describe");
    let flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"];
    let mut cc = Command::new("cc");
    cc.args(flags).arg("-I").arg(engine.join("include")).arg(engine.join("examples/c/describe.c"));
    cc.arg("-L").arg(&deps).arg("-lmcv_runtime").arg(format!("-Wl,-rpath,{}", deps.display()));
    assert!(cc.arg("-o").arg(&program).status().unwrap().success());

    let model = fake::write(directory.path(), fake::SIZES);
    let picture = directory.path().join("picture.ppm");
    std::fs::write(&picture, [b"P6\n# made here\n4 3\n255\n".as_slice(), &[200; 36]].concat()).unwrap();
    let run = |model: &Path, picture: &Path| {
        let output = Command::new(&program).arg(model).arg(picture).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, told, figures) = run(&model, &picture);
    assert!(code == Some(0) && told.ends_with('\n') && figures.contains("1 slices"), "{code:?} {told} {figures}");
    std::fs::write(&picture, b"P6 4 3 255\n too short").unwrap();
    assert_eq!(run(&model, &picture).0, Some(1));
    let (code, told, message) = run(&directory.path().join("gone.mcv"), &picture);
    assert!(code == Some(1) && told.is_empty() && message.contains("gone.mcv"), "{message}");
}
