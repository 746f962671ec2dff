//! `mcv-run` as a shell sees it.

mod fake;

use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

fn run(directory: &Path, words: &[&str], stdin: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-run"));
    command.args(words).current_dir(directory);
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// A directory with a model and a picture.
fn place() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let model = fake::write(directory.path(), fake::SIZES);
    // A BMP of 2 x 2 black pixels, 24 bits each.
    let mut bmp =
        b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\x02\0\0\0\x02\0\0\0\x01\0\x18\0\0\0\0\0\x10\0\0\0".to_vec();
    bmp.resize(70, 0);
    std::fs::create_dir(directory.path().join("set")).unwrap();
    std::fs::write(directory.path().join("set/dot.bmp"), bmp).unwrap();
    let model = model.file_name().unwrap().to_str().unwrap().to_owned();
    (directory, model)
}

#[test]
fn the_answer_is_all_of_stdout() {
    let (directory, model) = place();
    let run = |words: &[&str], stdin: &str| run(directory.path(), &[&[model.as_str()], words].concat(), stdin);
    let (code, told, noise) = run(&["--prompt", "hello you", "--image", "set/dot.bmp"], "");
    assert!(code == Some(0) && told.len() > 1 && noise.is_empty(), "{code:?} {told} {noise}");
    let picture = ["--prompt", "-", "--image", "set/dot.bmp", "--json", "--stats", "--profile", "--verify"];
    let (code, json, figures) = run(&picture, "hello you\n");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, json["text"].as_str().unwrap()), (Some(0), told.trim_end_matches('\n')));
    assert!(figures.contains("promised peak") && figures.contains("profile"), "{figures}");
    let (_, lines, _) = run(&["--chat", "--max-tokens", "3"], "hello\n\nmore\n");
    assert_eq!(lines.lines().count(), 2);
}

#[test]
fn a_film_is_a_folder_of_pictures() {
    let (directory, model) = place();
    for frame in ["f10.bmp", "f9.BMP", "notes.txt"] {
        std::fs::copy(directory.path().join("set/dot.bmp"), directory.path().join("set").join(frame)).unwrap();
    }
    for (most, slices) in [("64", 3), ("2", 2)] {
        let words = ["--prompt", "what?", "--frames", "set", "--max-frames", most, "--json"];
        let (code, told, noise) = run(directory.path(), &[&[model.as_str()], &words[..]].concat(), "");
        assert_eq!((code, noise.as_str()), (Some(0), ""));
        let told: Value = serde_json::from_str(&told).unwrap();
        assert_eq!(told["stats"]["slices"], slices, "{told}");
    }
}

#[test]
fn batches_answer_line_by_line() {
    let (directory, model) = place();
    let tasks = "{\"id\":1,\"image\":\"dot.bmp\",\"prompt\":\"a\"}\n{\"id\":\"b\",\"prompt\":\"a\"}\n\
                 {\"id\":3,\"image\":\"dot.bmp\",\"prompt\":\"a\"}\n";
    std::fs::write(directory.path().join("set/tasks.jsonl"), tasks).unwrap();
    let (code, told, noise) = run(directory.path(), &[&model, "--prompts", "set/tasks.jsonl"], "");
    assert_eq!((code, noise.as_str()), (Some(0), ""));
    let lines: Vec<Value> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<Value> = lines.iter().map(|line| line["id"].clone()).collect();
    assert_eq!(ids, [Value::from(1), Value::from("b"), Value::from(3)]);
    assert_eq!(lines[0]["output"], lines[2]["output"]);
    assert_ne!(lines[0]["output"], lines[1]["output"]);
    assert!(lines[0]["seconds"].as_f64().unwrap() >= 0.0);
}

#[test]
fn failures_are_one_line_and_a_status() {
    let (directory, model) = place();
    std::fs::write(directory.path().join("bad.jsonl"), "{\"id\":1}\n").unwrap();
    for (words, code, wanted) in [
        (&["gone.mcv", "--prompt", "a"][..], 1, "gone.mcv"),
        (&["set/dot.bmp", "--prompt", "a"], 1, "not an .mcv artifact"),
        (&[&model, "--prompt", "a", "--image", "gone.png"], 1, "gone.png"),
        (&[&model, "--prompt", "a", "--image", &model], 1, "mcv"),
        (&[&model, "--prompt", "a", "--level", "none"], 1, "at level none"),
        (&[&model, "--prompts", "bad.jsonl"], 1, "line 1"),
        (&[&model, "--prompt", "a", "--frames", "gone"], 1, "gone"),
        (&[&model, "--prompt", "a", "--frames", "."], 1, "no pictures here"),
        (&[&model, "--prompt", "a", "--max-frames", "3"], 2, "--frames"),
        (&[&model], 2, "--prompt"),
        (&[&model, "--prompt", "a", "--threads", "0"], 2, "--threads"),
    ] {
        let (status, told, message) = run(directory.path(), words, "");
        assert_eq!((status, told.as_str()), (Some(code), ""), "{words:?}: {message}");
        assert!(message.contains(wanted), "{message}");
        assert!(code == 2 || message.starts_with("mcv-run: ") && message.lines().count() == 1, "{message}");
    }
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let (directory, model) = place();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mcv-run"));
    command.args([&model, "--chat"]).current_dir(directory.path());
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    drop(child.stdout.take());
    let _ = child.stdin.take().unwrap().write_all(b"hello\nmore\n");
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), b"".as_slice()));
}
