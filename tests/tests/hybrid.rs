//! Linear attention in conversations: its memory sums up all tokens so far, so chunks, turns and abandoned turns must
//! leave it as the tokens say.

use mcv_compile::args::CompileArgs;
use mcv_runtime::text::{Sampling, Tokenizer};
use mcv_runtime::{Options, Session, image};
use mcv_tests::{fixture, nano};
use tempfile::TempDir;

const LENGTH: usize = 12;

/// 4.6 with kernels that were built beforehand, prefilled seven tokens at a time.
fn compile() -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write("v4_6", dir.path()).expect("the fixture is complete");
    let output = dir.path().join("nano.mcv");
    let options = fixture::options("float", &output);
    let model = Some(dir.path().into());
    let args = CompileArgs { model, prefill_chunk: 7, max_ratio: 2.25, stock_kernels: true, ..options };
    mcv_compile::compile::compile(&args).expect("stock kernels cover the model").expect("not stopped");
    dir
}

fn open(dir: &TempDir) -> Session {
    let mut session = Session::open(dir.path().join("nano.mcv"), &Options::default()).expect("the artifact opens");
    session.set_sampling(Sampling::default()).expect("greedy");
    session.set_max_tokens(LENGTH);
    session
}

fn answer(session: &mut Session) -> String {
    let mut answer = String::new();
    while let Some(piece) = session.next_piece().expect("decode runs") {
        answer.push_str(&piece);
    }
    answer
}

fn show(session: &mut Session) {
    let bytes = std::fs::read(nano::picture()).expect("a picture");
    session.image(image::decode("picture.png", &bytes).expect("a PNG"));
}

#[test]
fn memories_are_those_of_the_tokens_that_count() {
    let dir = compile();
    let tokenizer = std::fs::read(dir.path().join("tokenizer.json")).expect("a file");
    let tokenizer = Tokenizer::from_json(&tokenizer).expect("valid");
    let (mut session, mut untroubled) = (open(&dir), open(&dir));
    for case in ["image", "text", "image"] {
        let golden = nano::golden("v4_6", case);
        session.reset();
        if case == "image" {
            show(&mut session);
        }
        session.say(golden.info["prompt"].as_str().expect("a prompt"), None).expect("it fits");
        let tokens = &golden.ints("greedy")[..LENGTH];
        let bytes: Vec<u8> = tokens.iter().flat_map(|id| tokenizer.decode_bytes(*id)).copied().collect();
        assert_eq!(answer(&mut session), String::from_utf8_lossy(&bytes), "{case}, in chunks");
    }
    session.reset();
    for (turn, words) in ["one", "two", "three"].into_iter().enumerate() {
        abandon(&mut session);
        if turn == 1 {
            show(&mut session);
            show(&mut untroubled);
        }
        session.say(words, None).expect("it fits");
        untroubled.say(words, None).expect("it fits");
        assert_eq!(answer(&mut session), answer(&mut untroubled), "after an abandoned turn: {words}");
    }
    abandon_early(&mut session);
    session.say("four", None).expect("it fits");
    untroubled.say("four", None).expect("it fits");
    assert_eq!(answer(&mut session), answer(&mut untroubled), "after a turn that was refused");
}

/// A turn that is cancelled while it answers.
fn abandon(session: &mut Session) {
    session.say("never mind, never mind", None).expect("it fits");
    for _ in 0..3 {
        session.next_piece().expect("decode runs");
    }
    session.cancel_handle().cancel();
    assert_eq!(session.next_piece().expect("cancelled"), None);
}

/// Turns that are cancelled while they are prefilled, wherever that happens.
fn abandon_early(session: &mut Session) {
    let cancel = session.cancel_handle();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                cancel.cancel();
                std::thread::yield_now();
            }
        });
        assert!(session.say(&"word ".repeat(300), None).is_err());
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
