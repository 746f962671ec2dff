//! The programs as a user runs them: what goes to stdout, what is refused and in which words.

use mcv_tests::fixture;
use mcv_tests::run::{fail, program, programs, succeed};
use std::path::{Path, PathBuf};
use std::process::Command;

fn mcv_run(model: &Path) -> Command {
    let mut command = program("mcv-run");
    command.arg(model);
    command
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(succeed(command).stdout).expect("text")
}

fn ask(picture: &Path) -> Command {
    let mut command = mcv_run(&fixture::artifact("q4"));
    command.arg("--image").arg(picture).args([
        "--prompt",
        "What is the total?",
        "--temperature",
        "0",
        "--max-tokens",
        "48",
    ]);
    command
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn write(path: PathBuf, bytes: &[u8]) -> PathBuf {
    std::fs::write(&path, bytes).expect("room for a test file");
    path
}

#[test]
fn the_answer_and_nothing_else_goes_to_stdout() {
    assert_eq!(stdout(&mut ask(&fixture::picture(0))), "11.36\n");
    assert_eq!(stdout(ask(&fixture::picture(0)).args(["--stats", "--verify"])), "11.36\n");
}

#[test]
fn json_holds_answer_and_stats() {
    let text = stdout(ask(&fixture::picture(0)).arg("--json"));
    let json: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
    assert_eq!(json["text"], "11.36");
    assert!(json["stats"].is_object());
}

#[test]
fn vision_and_language_weights_are_never_mapped_together() {
    let json: serde_json::Value = serde_json::from_str(&stdout(ask(&fixture::picture(0)).arg("--json"))).expect("JSON");
    let inspect = stdout(program("mcv-compile").arg("inspect").arg(fixture::artifact("q4")).arg("--json"));
    let inspect: serde_json::Value = serde_json::from_str(&inspect).expect("JSON");
    let size = |entry: &str| {
        let entries = inspect["entries"].as_array().expect("a list");
        entries.iter().find(|e| e["name"] == entry).and_then(|e| e["bytes"].as_u64()).expect("an entry")
    };
    for (phase, entry) in
        [("vision", "weights/vision.bin"), ("prefill", "weights/llm.bin"), ("decode", "weights/llm.bin")]
    {
        let memory = &json["stats"]["memory"][phase];
        let number = |key: &str| memory[key].as_u64().unwrap_or_else(|| panic!("{phase}: no {key}: {json:#}"));
        assert_eq!(number("mapped_bytes"), size(entry), "{phase}");
        // Beside arena and states the process has its own stacks, tables and tokenizer.
        let promised = number("promised_peak_bytes") - number("mapped_bytes");
        assert!(number("rss_anon_bytes") < promised + (24 << 20), "{phase}: {memory:#}");
    }
}

#[test]
fn kept_weights_are_all_mapped_and_answer_the_same() {
    let json: serde_json::Value =
        serde_json::from_str(&stdout(ask(&fixture::picture(0)).args(["--json", "--keep-weights"]))).expect("JSON");
    assert_eq!(json["text"], "11.36");
    let mapped = |phase: &str| json["stats"]["memory"][phase]["mapped_bytes"].as_u64().expect("a number");
    let plain: serde_json::Value =
        serde_json::from_str(&stdout(ask(&fixture::picture(0)).arg("--json"))).expect("JSON");
    let alone = |phase: &str| plain["stats"]["memory"][phase]["mapped_bytes"].as_u64().expect("a number");
    let all = alone("vision") + alone("decode");
    assert_eq!(["vision", "prefill", "decode"].map(mapped), [all; 3]);
}

#[test]
fn a_conversation_goes_on() {
    use std::io::Write;
    let mut command = mcv_run(&fixture::artifact("q4"));
    command.arg("--image").arg(fixture::picture(0)).args(["--chat", "--temperature", "0"]);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().expect("starts");
    child.stdin.take().expect("a pipe").write_all(b"What is the total?\nWhat is the total?\n").expect("a reader");
    let output = child.wait_with_output().expect("ends");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("11.36\n") && text.lines().count() >= 2, "{text}");
}

#[test]
fn pictures_that_cannot_be_read_are_refused_by_name() {
    let folder = folder();
    let png = std::fs::read(fixture::picture(0)).expect("a picture");
    let cases: [(&str, Vec<u8>); 4] = [
        ("empty.png", vec![]),
        ("cut.png", png[..png.len() / 2].to_vec()),
        ("text.jpg", b"no picture at all".to_vec()),
        ("header.png", png[..40].to_vec()),
    ];
    for (name, bytes) in cases {
        let path = write(folder.path().join(name), &bytes);
        let message = fail(&mut ask(&path));
        assert!(message.contains(name), "{message}");
    }
    assert!(fail(&mut ask(&folder.path().join("absent.png"))).contains("absent.png"));
}

#[test]
fn thin_and_cmyk_pictures_get_an_answer_or_a_reason() {
    let folder = folder();
    let thin = folder.path().join("thin.png");
    image::RgbImage::new(20000, 1).save(&thin).expect("a PNG");
    let message = fail(&mut ask(&thin));
    assert!(message.contains("20000") && message.contains("--max-ratio"), "{message}");
    let cmyk = fixture::root().join("tests/fixtures/image/cmyk.jpg");
    succeed(&mut ask(&cmyk));
}

#[test]
fn prompts_of_any_length_are_answered_or_refused() {
    let model = fixture::artifact("q4");
    succeed(mcv_run(&model).args(["--prompt", "", "--temperature", "0", "--max-tokens", "4"]));
    let folder = folder();
    let long = write(folder.path().join("long.txt"), "word ".repeat(20_000).as_bytes());
    let mut command = mcv_run(&model);
    command.args(["--prompt", "-"]).stdin(std::fs::File::open(long).expect("just written"));
    let message = fail(&mut command);
    assert!(message.contains("--context"), "{message}");
}

#[test]
fn damaged_artifacts_are_refused() {
    let folder = folder();
    let good = std::fs::read(fixture::artifact("q4")).expect("an artifact");
    let cut = write(folder.path().join("cut.mcv"), &good[..good.len() - 1000]);
    assert!(fail(mcv_run(&cut).args(["--prompt", "x"])).contains("cut.mcv"));
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    let flipped = write(folder.path().join("flipped.mcv"), &flipped);
    let message = fail(mcv_run(&flipped).args(["--prompt", "x", "--verify"]));
    assert!(message.contains("weights/"), "{message}");
    let message = fail(program("mcv-compile").arg("inspect").arg(&flipped).arg("--verify"));
    assert!(message.contains("weights/"), "{message}");
    let weights = fixture::tiny_model().join("model.safetensors");
    assert!(fail(mcv_run(&weights).args(["--prompt", "x"])).contains("safetensors"));
}

#[test]
fn nothing_is_left_behind_when_compiling_fails() {
    let folder = folder();
    let output = folder.path().join("model.mcv");
    let compile = || {
        let mut command = program("mcv-compile");
        command.args(["--levels", "portable", "--stock-kernels", "-q", "-o"]).arg(&output);
        command
    };
    let message = fail(compile().args(["--ram-budget", "1MiB"]));
    assert!(message.contains("MiB more than the budget"), "{message}");
    let message = fail(compile().args(["--target", "toaster"]));
    assert!(message.contains("toaster") && message.contains("host"), "{message}");
    assert!(fail(compile().arg(folder.path().join("absent"))).contains("absent"));
    assert!(fail(compile().args(["--recipe", "q3"])).contains("q3"));
    let damaged = folder.path().join("damaged");
    std::fs::create_dir(&damaged).expect("a folder");
    for file in std::fs::read_dir(fixture::tiny_model()).expect("the small model").flatten() {
        std::fs::copy(file.path(), damaged.join(file.file_name())).expect("room for a copy");
    }
    let weights = damaged.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("weights");
    let end = bytes.len();
    bytes[end - 100_000..].fill(0xff);
    std::fs::write(&weights, bytes).expect("room");
    let message = fail(compile().arg(&damaged));
    assert!(message.contains("NaN"), "{message}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["damaged"]);
}

#[test]
fn dumps_and_stops_say_what_they_are_asked() {
    let compile = |args: &[&str]| {
        let mut command = program("mcv-compile");
        command.args(args);
        stdout(&mut command)
    };
    let text = compile(&["--dump-ir=quantize"]);
    assert!(text.starts_with("program \"minicpmv-2.6\" stage quantized"), "{}", &text[..60]);
    assert!(text.contains("q4/32["));
    assert_eq!(compile(&["--stop-after", "fold"]), "");
    assert!(fail(program("mcv-compile").args(["--stop-after", "fould"])).contains("fold, quantize"));
    let folder = folder();
    let output = folder.path().join("m.mcv");
    let explained = stdout(program("mcv-compile").args(["--explain", "-q", "--stock-kernels", "-o"]).arg(&output));
    assert!(explained.contains("phase decode") && explained.contains("predicted") && explained.contains("cpu"));
}

#[test]
fn the_report_is_one_page_with_everything() {
    let folder = folder();
    let (output, report) = (folder.path().join("m.mcv"), folder.path().join("r.html"));
    let mut command = program("mcv-compile");
    command.args(["-q", "--json", "--stock-kernels", "-o"]).arg(&output).arg("--report").arg(&report);
    let json: serde_json::Value = serde_json::from_str(&stdout(&mut command)).expect("JSON");
    assert!(json["artifact_bytes"].as_u64().is_some_and(|b| b > 1 << 20));
    let page = std::fs::read_to_string(&report).expect("a page");
    for part in ["Sizes", "Resident memory", "Arenas", "Where the time goes", "Rounding error", "<svg"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http://") && !page.contains("https://"), "the page must stand alone");
}

#[test]
fn arenas_are_planned_from_csv() {
    let file = fixture::root().join("tests/fixtures/minimalloc/A.1048576.csv");
    let text = stdout(program("mcv-compile").arg("plan-arena").arg(&file).args(["--capacity", "1048576"]));
    assert_eq!(text.lines().next(), Some("id,offset"));
    assert_eq!(text.lines().count(), std::fs::read_to_string(&file).expect("a problem").lines().count());
    let message = fail(program("mcv-compile").arg("plan-arena").arg(&file).args(["--capacity", "1000"]));
    assert!(message.contains("1000"), "{message}");
}

#[test]
fn the_c_example_reads_a_picture() {
    let folder = folder();
    let (binary, root) = (folder.path().join("describe"), fixture::root().join("runtime/engine"));
    let mut cc = Command::new("cc");
    cc.args(["-Wall", "-Wextra", "-Werror", "-o"]).arg(&binary).arg(root.join("examples/c/describe.c"));
    cc.arg("-I")
        .arg(root.join("include"))
        .arg("-L")
        .arg(programs())
        .args(["-lmcv_runtime", "-Wl,-rpath"])
        .arg(programs());
    succeed(&mut cc);
    let mut example = Command::new(&binary);
    example.arg(fixture::artifact("q4")).arg(fixture::picture(0)).arg("What is the total?");
    assert!(stdout(&mut example).contains("11.36"));
}
