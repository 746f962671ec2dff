//! With the real wheels of TVM: kernels that Python calls, kernels of TVM beside ours, a job behind its tracker.
//! `autotune/tests/tvm.sh` makes the Python that they need.

#![cfg(all(unix, feature = "tvm"))]

#[allow(dead_code)] // its kernel is quantized
#[path = "support/agent.rs"]
mod agent;

use agent::{AGENT, program};
use mcv_ir::Kernel;
use mcv_ir::target::Target;
use mcv_targets::{CpuTarget, Toolchain};
use mcv_tune::Records;
use mcv_tune::tvm::rpc::{Session, Value};
use mcv_tune::tvm::{export, rival};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Compares exported functions with numpy.
const CALLS: &str = include_str!("support/tvm_calls.py");
/// A key that devices are lent by.
const KEY: &str = "toy";

/// A Python with TVM; none is a line on stderr, and a failure where one was promised (`MCV_TVM_PYTHON`).
fn python() -> Option<PathBuf> {
    let promised = std::env::var_os("MCV_TVM_PYTHON").map(PathBuf::from);
    let made = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tvm/bin/python");
    let found = promised.clone().unwrap_or(made);
    if !found.exists() {
        assert!(promised.is_none(), "{}: no such Python", found.display());
        eprintln!("SKIPPED: no Python with apache-tvm; autotune/tests/tvm.sh makes one");
        return None;
    }
    Some(found)
}

fn ok(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A model whose agent names these kernels, and programs beside it.
fn place(kernels: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let list: Vec<_> = kernels.iter().map(|text| serde_json::json!({ "text": text, "unit": "cpu" })).collect();
    let more = format!(r#","family":"x86-64","levels":["portable"],"kernels":{}"#, serde_json::json!(list));
    program(&folder.path().join("mcv-bench"), &AGENT.replace("'\"$MCV_MORE\"'", &more));
    std::fs::copy(env!("CARGO_BIN_EXE_mcv-tune"), folder.path().join("mcv-tune")).expect("room");
    std::fs::write(folder.path().join("model.mcv"), "model").expect("room");
    folder
}

fn tune(folder: &Path) -> Command {
    let mut command = Command::new(folder.join("mcv-tune"));
    command.arg(folder.join("model.mcv")).arg("--quiet").arg("--cache").arg(folder.join("cache"));
    command
}

#[test]
fn python_calls_exported_kernels() {
    let Some(python) = python() else { return };
    let kernels: Vec<Kernel> = [
        "rms_norm(f32[tokens<=4,64], f32[64], eps=1e-6, groups=1) -> f32[tokens<=4,64]",
        "matmul(f32[tokens<=4,64], f32[48,64]@panels16x4, f32[48]) {bias} -> f32[tokens<=4,48]",
        "gather(q8/32[512,256], i32[tokens<=256]) -> f32[tokens<=256,256]",
    ]
    .iter()
    .map(|text| Kernel::parse(text).expect("a kernel"))
    .collect();
    let (target, folder) = (CpuTarget::x86_64(), tempfile::tempdir().expect("a folder"));
    let (level, library) = (&target.levels()[0], folder.path().join("kernels.so"));
    let source = export::source(&kernels, &target, level, &Records::default()).expect("C");
    export::build(&source, level, &Toolchain::find().expect("a compiler"), &library).expect("an object");
    let said = ok(Command::new(&python).args(["-c", CALLS]).arg(&library));
    assert!(said.contains("rms_norm_0 agrees") && said.contains("matmul_1 agrees"), "{said}");
}

#[test]
fn a_model_s_kernels_become_a_library() {
    let folder = place(&["softmax(f32[4,tokens<=8,context<=16], causal=false) -> f32[4,tokens<=8,context<=16]"]);
    let library = folder.path().join("kernels.so");
    let said = ok(tune(folder.path()).arg("--export-tvm").arg(&library));
    assert!(said.starts_with("softmax_0\tsoftmax(") && library.exists(), "{said}");
}

#[test]
fn kernels_of_tvm_are_measured_beside_ours() {
    let Some(python) = python() else { return };
    let matmul = "matmul(f32[8,64], f32[48,64]@panels16x4, f32[48]) {bias} -> f32[8,48]";
    let folder = place(&[matmul]);
    let said = ok(tune(folder.path()).arg("--tvm-python").arg(&python).args(["--json", "--budget", "3"]));
    let summary: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let race = &summary["tvm"][0];
    assert_eq!(
        (&race["kernel"], summary["kernels"]["tuned"].as_u64()),
        (&serde_json::json!(matmul), Some(1)),
        "{said}"
    );
    assert!(race["speed"].as_f64() > Some(0.0) && race["interval"][0].as_f64() <= race["speed"].as_f64(), "{race}");
}

/// A rival as TVM would build it: `{}` is what it adds to each sum.
const RIVAL: &str = r#"
#include <stdint.h>
typedef struct { int32_t tag; uint32_t padding; void *value; } any;
typedef struct { float *data; int32_t device, id, axes, kind; const int64_t *shape, *strides; uint64_t offset; } tensor;
void *(*__TVMBackendAllocWorkspace)(int, int, uint64_t, int, int);
int (*__TVMBackendFreeWorkspace)(int, int, void *);
int __tvm_ffi_candidate(void *self, const any *in, int32_t count, any *out) {
    (void)self, (void)out;
    const tensor *x = in[0].value, *w = in[1].value, *y = in[2].value;
    if (count != 3 || x->shape[0] != 8 || w->shape[0] != 3 || w->shape[1] != 64 || w->shape[2] != 16) return -1;
    float *sums = __TVMBackendAllocWorkspace(1, 0, 8 * 48 * 4, 2, 32);
    for (int i = 0; i < 8 * 48; i++) {
        sums[i] = {};
        for (int k = 0; k < 64; k++) sums[i] += x->data[i / 48 * 64 + k] * w->data[(i % 48 / 16 * 64 + k) * 16 + i % 16];
        y->data[i] = sums[i];
    }
    return __TVMBackendFreeWorkspace(1, 0, sums);
}
"#;

#[test]
fn rivals_that_compute_something_else_or_nothing_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let kernel = "matmul(f32[8,64], f32[48,64]@panels16x4) -> f32[8,48]";
    let object = folder.path().join("rival.so");
    let said = |kernel: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-tune"));
        let mut process = command.arg(rival::FLAG).arg(&object).arg(kernel);
        process = process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = process.spawn().expect("it starts");
        // It may have refused already.
        let _ = child.stdin.take().expect("piped").write_all(b"\n");
        String::from_utf8(child.wait_with_output().expect("it ends").stdout).expect("text")
    };
    let build = |error: &str| {
        let source = RIVAL.replace("= {}", &format!("= {error}"));
        let flags = ["-shared", "-fPIC", "-O2"];
        Toolchain::find().expect("a compiler").build(&source, &flags, &object).expect("an object");
    };
    assert!(said(kernel).contains("error"), "there is no object yet");
    build("0");
    assert!(said(kernel).contains("seconds"), "{}", said(kernel));
    assert!(said("matmul(f32[8,64], f32[64,64]@panels16x4) -> f32[8,64]").contains("failed"));
    build("i == 7 * 48 + 3 ? 1 : 0");
    assert!(said(kernel).contains("in row 7, column 3"), "{}", said(kernel));
    build("0.0f / (i != 5)");
    assert!(said(kernel).contains("computes NaN in row 0, column 5"), "{}", said(kernel));
}

/// A program and all that it starts, until it is dropped.
struct Group(Child);

impl Group {
    fn python(python: &Path, args: &[&str]) -> Self {
        let mut command = Command::new(python);
        command.arg("-m").args(args).process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
        Group(command.spawn().expect("it starts"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", self.0.id())]).status();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

#[test]
fn a_job_runs_on_a_device_that_tvm_s_tracker_lends() {
    let Some(python) = python() else { return };
    let tracker = format!("127.0.0.1:{}", free_port());
    let port = tracker.rsplit(':').next().expect("a port");
    let _tracker =
        Group::python(&python, &["tvm.exec.rpc_tracker", "--host", "127.0.0.1", "--port", port, "--port-end", "65535"]);
    let up = || TcpStream::connect(&tracker).is_ok();
    assert!(
        (0..300).any(|_| up() || {
            std::thread::sleep(Duration::from_millis(100));
            false
        }),
        "no tracker"
    );
    let words = ["tvm.exec.rpc_server", "--host", "127.0.0.1", "--tracker", &tracker, "--key", KEY];
    let _server = Group::python(&python, &words);

    let mut session = Session::lent(&tracker, KEY).expect("a device");
    assert!(session.function("tvm.rpc.server.toast").is_err());
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), [7; 1000]).expect("room");
    session.upload(file.path(), "seven").expect("uploaded");
    assert_eq!(session.download("seven").expect("there"), [7; 1000]);
    let path = session.function("tvm.rpc.server.workpath").expect("a function");
    assert!(matches!(session.call(&path, &[Value::Text("seven".into())]), Ok(Value::Text(p)) if p.ends_with("/seven")));
    drop(session);

    let folder = place(&[]);
    let device = format!("tvm:{tracker}:{KEY}");
    ok(tune(folder.path()).args(["--device", &device, "--bench"]).arg(folder.path().join("mcv-bench")));
    let records = Records::read(&folder.path().join("model.tuning.yaml")).expect("records");
    assert_eq!(records.threads_of("m1", "two cores", "decode").map(|r| r.setting.cores.clone()), Some(vec![1]));
    // What fails there is told here.
    let mut wrong = tune(folder.path());
    wrong.args(["--device", &device, "--phases", "audio", "--bench"]).arg(folder.path().join("mcv-bench"));
    let output = wrong.output().expect("it starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("it has decode"), "{output:?}");
}

/// Somebody who says these bytes to whoever comes, and where.
fn says(bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(&bytes);
            // What was asked is read, so that closing does not drop what was said.
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    });
    address
}

fn refused<T>(result: mcv_ir::Result<T>) -> String {
    result.err().map_or_else(|| "nothing was wrong".into(), |why| why.to_string())
}

#[test]
fn what_is_no_tracker_is_refused() {
    let other = says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    assert!(refused(Session::lent(&other, KEY)).contains("no tracker"));
    assert!(refused(Session::begin(&other, KEY)).contains("no server"));
}

#[test]
fn a_tracker_s_odd_answers_are_refused() {
    let told =
        |length: i32, text: &str| [&0x2f271i32.to_le_bytes()[..], &length.to_le_bytes(), text.as_bytes()].concat();
    let whole = |text: &str| told(text.len() as i32, text);
    for (answer, why) in [
        (told(-1, ""), "without an end"),
        (told(i32::MAX, "[]"), "without an end"),
        (told(50, "[0, "), "fill whole buffer"),
        (whole("[0, "), "EOF"),
        (whole("[[[[[["), "EOF"),
        (whole("{}"), "lends no toy"),
        (whole(r#"[1, "full"]"#), "lends no toy"),
        (whole(r#"[0, ["127.0.0.1", 70000, "t"]]"#), "lends no toy"),
        (whole(r#"[0, ["no such host.", 1, "t"]]"#), "TVM's server at no such host.:1"),
    ] {
        let found = refused(Session::lent(&says(answer), KEY));
        assert!(found.contains(why), "{found}, not {why}");
    }
}

#[test]
fn a_server_s_odd_answers_are_refused() {
    let hello = |more: &[u8]| [&0xff271i32.to_le_bytes()[..], &1i32.to_le_bytes(), b"k", more].concat();
    let packet = |length: u64, words: &[i32]| {
        let words: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        hello(&[&length.to_le_bytes()[..], &words].concat())
    };
    for (answer, why) in [
        (0xff273i32.to_le_bytes().to_vec(), "another key"),
        (0xff272i32.to_le_bytes().to_vec(), "no server"),
        (hello(&[]), "fill whole buffer"),
        (packet(u64::MAX, &[]), "an answer of 18446744073709551615 bytes"),
        (packet(12, &[4]), "fill whole buffer"),
        (packet(0, &[]), "can't be read"),
        (packet(8, &[4, i32::MAX]), "can't be read"),
        (packet(8, &[77, 0]), "code 77"),
        (packet(8, &[5, 0]), "code 5"),
        (packet(24, &[5, 1, 8, -1, -1, 0]), "can't be read"),
        (packet(24, &[5, 1, 8, 4, 0, i32::from_le_bytes(*b"nope")]), "nope"),
    ] {
        let found = refused(Session::begin(&says(answer), KEY));
        assert!(found.contains(why), "{found}, not {why}");
    }
    // It begins well, and then knows nothing.
    let mut nothing = Session::begin(&says(packet(8, &[4, 0])), KEY).expect("a session");
    assert!(refused(nothing.function("f")).contains("fill whole buffer"));
}
