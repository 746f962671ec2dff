//! One prompt, or a conversation.

use crate::args::Args;
use crate::output::{Stream, print_profile, print_stats};
use crate::{Failure, batch, frames};
use mcv_runtime::Session;
use mcv_runtime::image::{Rgb, decode};
use mcv_runtime::text::Preset;
use serde_json::json;
use std::io::{BufRead, Read};
use std::path::Path;

/// Does what the command line says.
pub fn run(args: &Args) -> Result<(), Failure> {
    let mut session = Session::open(&args.model, &args.options()?)?;
    session.set_sampling(args.sampling(session.sampling()))?;
    session.set_thinking(args.think)?;
    if let Some(tokens) = args.max_tokens {
        session.set_max_tokens(tokens as usize);
    }
    for path in &args.image {
        session.image(read_picture(path)?);
    }
    if let Some(folder) = &args.frames {
        for path in frames::chosen(folder, args.max_frames as usize)? {
            session.frame(read_picture(&path)?, args.frame_slices);
        }
    }
    match (args.prompt.as_deref().or(args.preset.map(Preset::prompt)), &args.prompts) {
        (Some(prompt), _) => ask(args, &mut session, prompt)?,
        (None, Some(prompts)) => batch::run(args, &mut session, prompts)?,
        (None, None) => chat(args, &mut session)?,
    }
    if args.profile {
        print_profile(&session.profile());
    }
    Ok(())
}

/// Decodes a picture file.
pub fn read_picture(path: &Path) -> Result<Rgb, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::file(path, &e))?;
    let picture = decode(&path.display().to_string(), &bytes);
    picture.map_err(|e| Failure::Message(e.to_string()))
}

fn ask(args: &Args, session: &mut Session, prompt: &str) -> Result<(), Failure> {
    let prompt = match prompt {
        "-" => read_stdin()?,
        text => text.to_owned(),
    };
    session.say(&prompt, args.system.as_deref())?;
    if args.json {
        let text = collect(session)?;
        let stats = session.stats();
        let finish = stats.finish.map(|f| f.word());
        let object = json!({ "text": text, "tokens": stats.answer_tokens, "finish": finish, "stats": stats.json() });
        Stream::new().line(&object.to_string())?;
    } else {
        stream(session)?;
    }
    if args.stats {
        print_stats(session.stats());
    }
    Ok(())
}

fn chat(args: &Args, session: &mut Session) -> Result<(), Failure> {
    let mut system = args.system.as_deref();
    for line in std::io::stdin().lock().lines() {
        let line = line.map_err(|e| Failure::Message(format!("stdin: cannot read: {e}; give UTF-8 text")))?;
        if line.trim().is_empty() {
            continue;
        }
        session.say(&line, system.take())?;
        stream(session)?;
        if args.stats {
            print_stats(session.stats());
        }
    }
    Ok(())
}

/// The whole answer.
pub fn collect(session: &mut Session) -> Result<String, Failure> {
    let mut text = String::new();
    while let Some(piece) = session.next_piece()? {
        text.push_str(&piece);
    }
    Ok(text)
}

fn stream(session: &mut Session) -> Result<(), Failure> {
    let mut out = Stream::new();
    while let Some(piece) = session.next_piece()? {
        out.piece(&piece)?;
    }
    out.line("")
}

/// The message without the line end that a pipe puts behind it.
fn read_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().read_to_string(&mut text);
    read.map_err(|e| Failure::Message(format!("stdin: cannot read: {e}; give UTF-8 text")))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}
