//! The C interface, described in `include/mcv.h`: thin, and nothing unwinds through it.
//!
//! `unsafe` here reads and writes the caller's pointers; the header says what they must point to.
#![allow(clippy::missing_safety_doc)] // the contracts are the header's

mod options;
mod stats;

pub use options::McvOptions;
pub use stats::McvStats;

use crate::error::{Error, Result};
use crate::image::{Rgb, decode};
use crate::session::{CancelHandle, Session};
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `mcv_session`: shared by all calls, so that [`mcv_cancel`] needs no lock.
pub struct McvSession {
    cancel: CancelHandle,
    inner: Mutex<Inner>,
}

struct Inner {
    session: Session,
    piece: CString,
    error: CString,
    /// A call panicked: the session's state is unknown.
    broken: bool,
}

thread_local! {
    /// The last error without a session.
    static ERROR: RefCell<CString> = RefCell::default();
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_open(
    path: *const c_char,
    options: *const McvOptions,
    session: *mut *mut McvSession,
) -> c_int {
    alone(|| {
        let out = unsafe { session.as_mut() }.ok_or_else(|| null("session"))?;
        *out = std::ptr::null_mut();
        let path = unsafe { text(path, "path") }?;
        let options = unsafe { options::read(options) }?;
        let session = options.open(path)?;
        let inner = Inner { session, piece: CString::default(), error: CString::default(), broken: false };
        let cancel = inner.session.cancel_handle();
        *out = Box::into_raw(Box::new(McvSession { cancel, inner: Mutex::new(inner) }));
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_image_rgb(
    session: *mut McvSession,
    pixels: *const u8,
    width: u32,
    height: u32,
    stride: usize,
) -> c_int {
    with(session, |inner| {
        let picture = unsafe { picture(pixels, width, height, stride) }?;
        inner.session.image(picture);
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_frame_rgb(
    session: *mut McvSession,
    pixels: *const u8,
    width: u32,
    height: u32,
    stride: usize,
    slices: u32,
) -> c_int {
    with(session, |inner| {
        let picture = unsafe { picture(pixels, width, height, stride) }?;
        inner.session.frame(picture, slices.max(1));
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_image_file(
    session: *mut McvSession,
    name: *const c_char,
    bytes: *const u8,
    length: usize,
) -> c_int {
    with(session, |inner| {
        let name = if name.is_null() { "picture" } else { unsafe { text(name, "name") }? };
        let bytes = unsafe { slice(bytes, length, "bytes") }?;
        inner.session.image(decode(name, bytes)?);
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_say(session: *mut McvSession, words: *const c_char, system: *const c_char) -> c_int {
    with(session, |inner| {
        let words = unsafe { text(words, "text") }?;
        let system = if system.is_null() { None } else { Some(unsafe { text(system, "system") }?) };
        inner.session.say(words, system)
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_next(session: *mut McvSession, piece: *mut *const c_char) -> c_int {
    with(session, |inner| {
        let out = unsafe { piece.as_mut() }.ok_or_else(|| null("piece"))?;
        *out = std::ptr::null();
        if let Some(piece) = inner.session.next_piece()? {
            inner.piece = c_string(&piece);
            *out = inner.piece.as_ptr();
        }
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_cancel(session: *mut McvSession) {
    if let Some(session) = unsafe { session.as_ref() } {
        session.cancel.cancel();
    }
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_stats(session: *mut McvSession, stats: *mut McvStats) -> c_int {
    with(session, |inner| unsafe { stats::write(inner.session.stats(), stats) })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_error(session: *mut McvSession) -> *const c_char {
    match unsafe { session.as_ref() } {
        Some(session) => lock(session).error.as_ptr(),
        None => ERROR.with_borrow(|error| error.as_ptr()),
    }
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_reset(session: *mut McvSession) -> c_int {
    with(session, |inner| {
        inner.session.reset();
        inner.piece = CString::default();
        Ok(())
    })
}

/// See `mcv.h`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn mcv_close(session: *mut McvSession) {
    if !session.is_null() {
        // SAFETY: `mcv_open` made it with `Box::into_raw`; the caller gives it up.
        let session = unsafe { Box::from_raw(session) };
        let _ = catch_unwind(AssertUnwindSafe(|| drop(session)));
    }
}

/// Runs `work` on the session; errors and panics become its error text.
fn with(session: *mut McvSession, work: impl FnOnce(&mut Inner) -> Result<()>) -> c_int {
    // SAFETY: null, or from `mcv_open` and not closed.
    let Some(session) = (unsafe { session.as_ref() }) else {
        return alone(|| Err(null("session")));
    };
    let inner = &mut *lock(session);
    let result = match inner.broken {
        true => Err(Error::Bug("a call on this session failed badly before; close it and open the model again".into())),
        false => catch_unwind(AssertUnwindSafe(|| work(inner))).unwrap_or_else(|panic| {
            inner.broken = true;
            Err(panicked(&*panic))
        }),
    };
    match result {
        Ok(()) => 0,
        Err(error) => {
            inner.error = c_string(&error.to_string());
            code(&error)
        }
    }
}

/// Runs `work` without a session; errors and panics become this thread's error text.
fn alone(work: impl FnOnce() -> Result<()>) -> c_int {
    match catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic))) {
        Ok(()) => 0,
        Err(error) => {
            ERROR.with_borrow_mut(|text| *text = c_string(&error.to_string()));
            code(&error)
        }
    }
}

fn lock(session: &McvSession) -> MutexGuard<'_, Inner> {
    session.inner.lock().unwrap_or_else(PoisonError::into_inner)
}

fn code(error: &Error) -> c_int {
    match error {
        Error::Input(_) => 1,
        Error::Artifact(_) => 2,
        Error::Device(_) => 3,
        Error::Cancelled => 4,
        Error::Bug(_) => 5,
    }
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    Error::Bug(text.unwrap_or("panic").to_owned())
}

fn null(what: &str) -> Error {
    Error::Input(format!("`{what}` is a null pointer"))
}

/// Zero bytes can't be in a C string: they are left out.
fn c_string(text: &str) -> CString {
    let bytes = text.bytes().filter(|b| *b != 0).collect::<Vec<_>>();
    CString::new(bytes).unwrap_or_default()
}

unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        return Err(null(what));
    }
    // SAFETY: the header asks for a zero byte at the end.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Error::Input(format!("`{what}` is not UTF-8")))
}

unsafe fn slice<'a>(pointer: *const u8, length: usize, what: &str) -> Result<&'a [u8]> {
    match (pointer.is_null(), isize::try_from(length)) {
        (true, _) => Err(null(what)),
        (_, Err(_)) => Err(Error::Input(format!("`{what}` has {length} bytes"))),
        // SAFETY: the header asks for `length` bytes.
        (false, Ok(_)) => Ok(unsafe { std::slice::from_raw_parts(pointer, length) }),
    }
}

/// Copies a picture whose rows may be padded; the last row need not be.
unsafe fn picture(pixels: *const u8, width: u32, height: u32, stride: usize) -> Result<Rgb> {
    let row = width as usize * 3;
    let stride = if stride == 0 { row } else { stride };
    if width == 0 || height == 0 || stride < row {
        return Err(Error::Input(format!(
            "picture of {width} x {height} pixels, {stride} bytes a row; sides must not be 0 and rows need {row} bytes"
        )));
    }
    let length = stride.checked_mul(height as usize - 1).and_then(|bytes| bytes.checked_add(row));
    let bytes = unsafe { slice(pixels, length.unwrap_or(usize::MAX), "pixels") }?;
    if stride == row {
        return Ok(Rgb::from_raw(width, height, bytes)?);
    }
    let packed: Vec<u8> = bytes.chunks(stride).flat_map(|line| &line[..row]).copied().collect();
    Ok(Rgb::from_raw(width, height, &packed)?)
}
