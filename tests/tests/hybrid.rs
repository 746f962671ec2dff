//! Linear attention in conversations: its memory sums up all tokens so far, so chunks, turns and abandoned turns must
//! leave it as the tokens say. So must they with places on the canvases of pictures.

use mcv_compile::args::CompileArgs;
use mcv_import::Request;
use mcv_runtime::image::{self, Rgb, Slice};
use mcv_runtime::text::{Sampling, Tokenizer};
use mcv_runtime::{Options, Session};
use mcv_tests::evaluate::{self, Evaluator};
use mcv_tests::goldens::Golden;
use mcv_tests::measure::{argmax, share};
use mcv_tests::{fixture, nano};
use tempfile::TempDir;

const LENGTH: usize = 12;

/// A version with kernels that were built beforehand, prefilled seven tokens at a time.
fn compile(version: &str) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write(version, dir.path()).expect("the fixture is complete");
    let output = dir.path().join("nano.mcv");
    let options = fixture::options("float", &output);
    let model = Some(dir.path().into());
    let args = CompileArgs { model, prefill_chunk: 7, max_ratio: 9.0, stock_kernels: true, ..options };
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

/// A part (left, top, width, height) of the picture of all goldens.
fn part(picture: &Rgb, part: &serde_json::Value) -> Rgb {
    let [left, top, width, height] = [0, 1, 2, 3].map(|i| part[i].as_u64().expect("a number") as usize);
    let rows = picture.data().chunks_exact(3 * picture.width() as usize).skip(top).take(height);
    let bytes: Vec<u8> = rows.flat_map(|row| &row[3 * left..3 * (left + width)]).copied().collect();
    Rgb::from_raw(width as u32, height as u32, &bytes).expect("a picture")
}

/// A turn of 4.7's conversation: its pictures, what is said, how many tokens the context then has, the answer.
struct Turn {
    pictures: Vec<Rgb>,
    text: String,
    end: usize,
    answer: Vec<u32>,
}

fn turns(golden: &Golden) -> Vec<Turn> {
    let picture = image::decode("picture.png", &std::fs::read(nano::picture()).expect("a picture")).expect("a PNG");
    let list = |value: &serde_json::Value| value.as_array().expect("a list").clone();
    let number = |value: &serde_json::Value| value.as_u64().expect("a number") as u32;
    let turn = |turn: &serde_json::Value| Turn {
        pictures: list(&turn["parts"]).iter().map(|p| part(&picture, p)).collect(),
        text: turn["text"].as_str().expect("a text").to_string(),
        end: number(&turn["end"]) as usize,
        answer: list(&turn["answer"]).iter().map(number).collect(),
    };
    list(&golden.info["turns"]).iter().map(turn).collect()
}

#[test]
fn canvases_mean_what_the_reference_computes() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    nano::write("v4_7", dir.path()).expect("the fixture is complete");
    let (context, chunk) = (Some(320), 320);
    let request = Request { context, prefill_chunk: chunk, pictures: 2, max_ratio: 9.0, ..nano::request() };
    let model = mcv_import::import(dir.path(), &request).expect("the fixture is valid");
    let golden = nano::golden("v4_7", "turns");
    let turns = turns(&golden);
    let (ids, rows, logits) = (golden.ints("ids"), golden.image_rows(), &golden.tensors["logits"].1);
    let slices: Vec<Slice> =
        turns.iter().flat_map(|turn| &turn.pictures).flat_map(|shown| evaluate::slices(&model, shown)).collect();
    for recipe in ["imported", "float"] {
        let program = if recipe == "float" { evaluate::optimized(&model, recipe) } else { model.program.clone() };
        let mut machine = Evaluator::new(&model, &program);
        slices.iter().enumerate().for_each(|(i, slice)| drop(machine.encode(i, slice)));
        for (turn, expected) in turns.iter().zip(logits.chunks_exact(logits.len() / turns.len())) {
            let found = machine.prefill(&ids[..turn.end], &rows[..turn.end]);
            let far = share(&found, expected);
            println!("{recipe}, {} tokens: {far}", turn.end);
            assert!(far < 1e-5, "{recipe}: logits after {} tokens differ by {far}", turn.end);
            assert_eq!(argmax(&found), turn.answer[0] as usize, "{recipe}");
        }
    }
}

#[test]
fn conversations_with_canvases_are_the_references() {
    let dir = compile("v4_7");
    let tokenizer = std::fs::read(dir.path().join("tokenizer.json")).expect("a file");
    let tokenizer = Tokenizer::from_json(&tokenizer).expect("valid");
    let mut session = open(&dir);
    let turns = turns(&nano::golden("v4_7", "turns"));
    for (at, turn) in turns.into_iter().enumerate() {
        abandon(&mut session);
        session.set_max_tokens(turn.answer.len());
        turn.pictures.into_iter().for_each(|shown| session.image(shown));
        session.say(&turn.text, None).expect("it fits");
        assert_eq!(session.stats().context_tokens, turn.end, "turn {at}");
        let bytes: Vec<u8> = turn.answer.iter().flat_map(|id| tokenizer.decode_bytes(*id)).copied().collect();
        assert_eq!(answer(&mut session), String::from_utf8_lossy(&bytes), "turn {at}");
        session.set_max_tokens(LENGTH);
    }
}

#[test]
fn memories_are_those_of_the_tokens_that_count() {
    let dir = compile("v4_6");
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
