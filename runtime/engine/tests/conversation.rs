//! Sessions with a model whose answers depend on every token before: a wrong row, position or chunk changes them.

mod fake;

use fake::{QUERIES, SIZES, STOP, Sizes};
use mcv_runtime::image::Rgb;
use mcv_runtime::{Error, Finish, Options, Session};
use std::path::Path;

fn open(directory: &Path, sizes: Sizes) -> Session {
    let options = Options { threads: Some(2), ..Options::default() };
    Session::open(fake::write(directory, sizes), &options).unwrap()
}

fn answer(session: &mut Session) -> String {
    let mut text = String::new();
    while let Some(piece) = session.next_piece().unwrap() {
        text.push_str(&piece);
    }
    text
}

fn picture(width: u32, height: u32) -> Rgb {
    let data: Vec<u8> = (0..width * height * 3).map(|i| (i * 31 % 251) as u8).collect();
    Rgb::from_raw(width, height, &data).unwrap()
}

/// Tokens of a text with `<|im_start|>` as `{` and `<|im_end|>` as `}`: one a byte.
fn tokens(text: &str) -> Vec<u32> {
    let id = |c: u8| match c {
        b'{' => 256,
        b'}' => STOP,
        other => u32::from(other),
    };
    text.bytes().map(id).collect()
}

/// What the fake model says after `context`.
fn predict(context: &[u32]) -> u32 {
    let hash = context.iter().fold(2_166_136_261u32, |h, v| (h ^ v).wrapping_mul(16_777_619)) >> 8;
    if hash.is_multiple_of(11) { STOP } else { 97 + hash % 26 }
}

/// Lets the fake model answer; `context` grows by the answer.
fn expected(context: &mut Vec<u32>, most: usize) -> String {
    let mut text = String::new();
    while text.len() < most {
        match predict(context) {
            STOP => break,
            token => {
                context.push(token);
                text.push(char::from(token as u8));
            }
        }
    }
    text
}

#[test]
fn turns_continue_the_cache_they_find() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), SIZES);
    for most in [1, 2, 5, 40] {
        session.reset();
        session.set_max_tokens(most);
        let mut context = tokens("{system\nBe brief.}\n");
        for (turn, words) in ["hello", "and now?", "x", "why"].iter().enumerate() {
            let closing = if turn > 0 { "}\n" } else { "" };
            context.extend(tokens(&format!("{closing}{{user\n{words}}}\n{{assistant\n")));
            session.say(words, (turn == 0).then_some("Be brief.")).unwrap();
            let wanted = expected(&mut context, most);
            assert_eq!(answer(&mut session), wanted, "turn {turn}, {most} tokens");
            let finish = if wanted.len() == most { Finish::Length } else { Finish::Stop };
            assert_eq!(session.stats().finish, Some(finish));
            assert_eq!(session.stats().answer_tokens, wanted.len());
            assert_eq!(session.next_piece().unwrap(), None);
        }
    }
}

#[test]
fn chunks_and_groups_do_not_change_answers() {
    let directory = tempfile::tempdir().unwrap();
    let told = |sizes| {
        let mut session = open(directory.path(), sizes);
        session.image(picture(30, 20));
        session.image(picture(8, 8));
        session.say("two pictures", None).unwrap();
        let first = answer(&mut session);
        let slices = session.stats().slices;
        session.image(picture(20, 30));
        session.say("one more", None).unwrap();
        (slices, first, answer(&mut session))
    };
    let whole = told(SIZES);
    assert!(whole.0 > 5, "{whole:?}");
    for (chunk, slices) in [(1, 10), (3, 10), (64, 1), (5, 2), (7, 3)] {
        assert_eq!(told(Sizes { chunk, slices, ..SIZES }), whole, "chunk {chunk}, {slices} slices a group");
    }
}

#[test]
fn frames_are_cut_as_asked() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), SIZES);
    let mut told = vec![];
    for (frames, slices, wanted) in [(3, 1, 3), (3, 2, 9), (1, 9, 9)] {
        session.reset();
        (0..frames).for_each(|_| session.frame(picture(30, 20), slices));
        session.say("what happens?", None).unwrap();
        told.push(answer(&mut session));
        assert_eq!(session.stats().slices, wanted, "{frames} frames, {slices} slices each");
    }
    // The last is cut like a picture; this model numbers none.
    session.reset();
    session.image(picture(30, 20));
    session.say("what happens?", None).unwrap();
    assert_eq!(session.stats().slices, 9);
    assert_eq!(told[2], answer(&mut session));
}

#[test]
fn pictures_matter() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), SIZES);
    let mut answers = std::collections::HashSet::new();
    for (width, height) in [(8, 8), (12, 6), (6, 12), (20, 20), (30, 10)] {
        session.reset();
        session.image(picture(width, height));
        session.say("what?", None).unwrap();
        answers.insert(answer(&mut session));
    }
    assert_eq!(answers.len(), 5, "{answers:?}");
}

#[test]
fn failures_leave_the_conversation_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), Sizes { patches: 12, ..SIZES });
    let mut untroubled = open(directory.path(), Sizes { patches: 12, ..SIZES });
    session.say("hello", None).unwrap();
    untroubled.say("hello", None).unwrap();
    assert_eq!(answer(&mut session), answer(&mut untroubled));

    let error = session.say(&"long ".repeat(100), None).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Input(_)) && text.contains("of 256") && text.contains("--context"), "{text}");
    session.image(picture(8, 8));
    let text = session.say("a square", None).unwrap_err().to_string();
    assert!(text.contains("8 x 8") && text.contains("takes 12"), "{text}");
    assert!(matches!(session.say("again", Some("system")), Err(Error::Input(_))));

    session.say("and?", None).unwrap();
    untroubled.say("and?", None).unwrap();
    assert_eq!(answer(&mut session), answer(&mut untroubled));
}

#[test]
fn cancelled_turns_never_were() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), SIZES);
    let mut untroubled = open(directory.path(), SIZES);
    let cancel = session.cancel_handle();
    cancel.cancel();
    for words in ["hello", "what else", "and then"] {
        session.say("never mind", None).unwrap();
        session.next_piece().unwrap();
        std::thread::scope(|scope| scope.spawn(|| cancel.cancel()).join().unwrap());
        assert_eq!(session.next_piece().unwrap(), None);
        assert_eq!(session.stats().finish, Some(Finish::Cancelled));
        session.say(words, None).unwrap();
        untroubled.say(words, None).unwrap();
        assert_eq!(answer(&mut session), answer(&mut untroubled));
    }
}

#[test]
fn a_cancelled_prefill_is_an_error_and_no_more() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), Sizes { context: 1 << 14, chunk: 1, ..SIZES });
    let cancel = session.cancel_handle();
    let done = std::sync::atomic::AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                cancel.cancel();
                std::thread::yield_now();
            }
        });
        let result = session.say(&"word ".repeat(3000), None);
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        result
    });
    assert!(matches!(result, Err(Error::Cancelled)));
    assert_eq!(session.stats().context_tokens, 0);
    session.say("hello", None).unwrap();
    let mut context = tokens("{user\nhello}\n{assistant\n");
    assert_eq!(answer(&mut session), expected(&mut context, 40));
}

#[test]
fn a_full_context_ends_the_answer() {
    let directory = tempfile::tempdir().unwrap();
    let mut session = open(directory.path(), Sizes { context: 32, ..SIZES });
    session.set_max_tokens(0);
    let words = (0..100).map(|i| format!("{i}")).find(|words| {
        let mut context = tokens(&format!("{{user\n{words}}}\n{{assistant\n"));
        expected(&mut context, 64).len() == 64
    });
    let words = words.unwrap();
    session.say(&words, None).unwrap();
    let told = answer(&mut session).len();
    assert_eq!(session.stats().finish, Some(Finish::ContextFull));
    assert_eq!((session.stats().context_tokens, session.stats().prefill_tokens + told), (32, 33));
    assert!(session.say("more", None).is_err());
}

#[test]
fn the_inside_shows() {
    let directory = tempfile::tempdir().unwrap();
    let options =
        Options { threads: Some(1), profile: true, verify: true, level: Some("plain".into()), ..Options::default() };
    let mut session = Session::open(fake::write(directory.path(), SIZES), &options).unwrap();
    let (vectors, width) = session.encode_slices(&picture(30, 20)).unwrap();
    assert_eq!((vectors.len() % QUERIES as usize, width), (0, 1));
    assert_eq!(vectors[1], vectors[0] + 1.0);
    let ids = tokens("{user\nhi");
    let rows = vec![-1; ids.len()];
    let logits = session.forward_logits(&ids, &rows).unwrap();
    for (at, logits) in logits.iter().enumerate() {
        assert_eq!(logits[predict(&ids[..=at]) as usize], 1.0, "position {at}");
    }
    assert!(session.forward_logits(&ids, &rows[1..]).is_err());
    assert!(session.forward_logits(&[9999], &[-1]).is_err());
    assert!(session.forward_logits(&[1], &[20]).is_err());
    assert!(session.profile().iter().any(|t| t.phase == "prefill" && t.seconds > 0.0));
}
