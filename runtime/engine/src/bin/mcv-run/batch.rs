//! Many prompts, each a conversation of its own, with one open model.

use crate::Failure;
use crate::args::Args;
use crate::output::{Stream, print_stats};
use crate::run::{collect, read_picture};
use mcv_runtime::Session;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Instant;

/// One line of a prompts file.
#[derive(Debug, PartialEq)]
struct Task {
    id: Value,
    images: Vec<String>,
    prompt: String,
}

/// Answers each line of `path` by a line on stdout; stops at the first that fails.
pub fn run(args: &Args, session: &mut Session, path: &Path) -> Result<(), Failure> {
    let text = std::fs::read_to_string(path).map_err(|e| Failure::file(path, &e))?;
    let tasks = parse(&text).map_err(|e| Failure::Message(format!("{}: {e}", path.display())))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let mut out = Stream::new();
    for task in tasks {
        let started = Instant::now();
        session.reset();
        for image in &task.images {
            session.image(read_picture(&directory.join(image))?);
        }
        session.say(&task.prompt, args.system.as_deref())?;
        let output = collect(session)?;
        let seconds = started.elapsed().as_secs_f64();
        let mut line = json!({ "id": task.id, "output": output, "seconds": seconds });
        if args.json {
            line["stats"] = session.stats().json();
        }
        out.line(&line.to_string())?;
        if args.stats {
            print_stats(session.stats());
        }
    }
    Ok(())
}

/// All tasks, or which line is wrong. Checked before the first one runs.
fn parse(text: &str) -> Result<Vec<Task>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| task(line).map_err(|e| format!("line {}: {e}", number + 1))).collect()
}

fn task(line: &str) -> Result<Task, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("{e}; give one JSON object a line"))?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let prompt = match value.get("prompt") {
        None | Some(Value::Null) => return Err("there is no `prompt`; give one as a string".into()),
        Some(prompt) => text(prompt).ok_or("`prompt` is not a string")?,
    };
    let images = match value.get("image") {
        None | Some(Value::Null) => Some(vec![]),
        Some(Value::Array(list)) => list.iter().map(text).collect(),
        Some(one) => text(one).map(|path| vec![path]),
    };
    let images = images.ok_or("`image` is not a string, nor a list of strings")?;
    Ok(Task { id: value.get("id").cloned().unwrap_or_default(), images, prompt })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_keep_their_ids() {
        let tasks =
            parse("{\"id\": 7, \"prompt\": \"a\"}\n\n{\"id\":\"x\",\"image\":[\"i.png\",\"j\"],\"prompt\":\"b\"}\n")
                .unwrap();
        let second = Task { id: json!("x"), images: vec!["i.png".into(), "j".into()], prompt: "b".into() };
        assert_eq!(tasks, [Task { id: json!(7), images: vec![], prompt: "a".into() }, second]);
    }

    #[test]
    fn wrong_lines_are_named() {
        for (text, wanted) in [
            ("{\"prompt\":\"a\"}\n{", "line 2:"),
            ("[]", "line 1: there is no `prompt`"),
            ("{\"prompt\":3}", "`prompt` is not a string"),
            ("{\"prompt\":\"a\",\"image\":3}", "`image` is not a string"),
            ("{\"prompt\":\"a\",\"image\":[\"i\",3]}", "nor a list of strings"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
