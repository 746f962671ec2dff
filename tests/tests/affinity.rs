//! The system takes cores away while a model answers, and gives them back: the answer stays the same.

#![cfg(target_os = "linux")]

use mcv_compile::args::CompileArgs;
use mcv_runtime::device::cores::{affinity, pin, thread};
use mcv_runtime::device::threads::{Arrangement, Split, Threads};
use mcv_runtime::text::Sampling;
use mcv_runtime::{Options, Session};
use mcv_tests::{fixture, nano};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const TOKENS: usize = 100;
const MOST_TURNS: usize = 8;
/// Times that cores go or come while it answers.
const CHANGES: usize = TOKENS / 2;

fn compile(dir: &Path) -> std::path::PathBuf {
    nano::write("v2_6", dir).expect("the fixture is complete");
    let output = dir.join("nano.mcv");
    let args = CompileArgs { model: Some(dir.into()), stock_kernels: true, ..fixture::options("q4", &output) };
    mcv_compile::compile::compile(&args).expect("stock kernels cover the model").expect("not stopped");
    output
}

/// The answer's pieces; `between` runs after each.
fn answer(artifact: &Path, threads: &Threads, between: &mut dyn FnMut()) -> Vec<String> {
    let arrangement = Arrangement { common: threads.clone(), ..Arrangement::default() };
    let options = Options { arrangement, ..Options::default() };
    let mut session = Session::open(artifact, &options).expect("the artifact opens");
    session.set_sampling(Sampling::default()).expect("greedy");
    session.set_max_tokens(TOKENS);
    let mut pieces = Vec::new();
    // A random model ends its answers as it likes.
    for _ in 0..MOST_TURNS {
        session.say("What is the total?", None).expect("it is read");
        while let Some(piece) = session.next_piece().expect("decode runs") {
            pieces.push(piece);
            between();
        }
        if pieces.len() >= TOKENS {
            break;
        }
    }
    pieces
}

/// Lets all threads of this process but the calling one run on `cores` only, as `taskset -a -p` does from outside.
fn give_all(cores: &[usize]) {
    let own = thread();
    let tasks = std::fs::read_dir("/proc/self/task").expect("a process has threads").flatten();
    let others = tasks.filter_map(|t| t.file_name().to_str()?.parse::<i32>().ok()).filter(|tid| *tid != own);
    // A thread may have ended meanwhile.
    others.for_each(|tid| drop(pin(tid, cores)));
}

#[test]
fn answers_stay_the_same_while_cores_go_and_come() {
    let all = affinity(0);
    let [one, two, ..] = all[..] else { return mcv_conformance::skip("one core: none can be taken away") };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let artifact = compile(dir.path());
    for threads in [
        Threads::default(),
        Threads { cores: vec![one, two], split: Split::Speed, polls: 64_000, ..Threads::default() },
        Threads { count: 3, split: Split::Even, polls: 0, ..Threads::default() },
    ] {
        let untroubled = answer(&artifact, &threads, &mut || ());
        assert!(untroubled.len() >= TOKENS / 2, "{} pieces: {untroubled:?}", untroubled.len());

        let (changes, done) = (AtomicUsize::new(0), AtomicBool::new(false));
        let mut seen = 0;
        let troubled = std::thread::scope(|scope| {
            scope.spawn(|| {
                for cores in [&[one][..], &all, &[two], &all].iter().cycle() {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    give_all(cores);
                    changes.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(Duration::from_micros(300));
                }
                give_all(&all);
            });
            // In the midst of tokens, and at least once between two of them.
            let told = answer(&artifact, &threads, &mut || {
                while changes.load(Ordering::Relaxed) == seen {
                    std::thread::yield_now();
                }
                seen = changes.load(Ordering::Relaxed);
            });
            done.store(true, Ordering::Relaxed);
            told
        });
        assert_eq!(troubled, untroubled, "{threads:?}");
        assert!(changes.into_inner() >= CHANGES);
        assert_eq!(affinity(0), all, "the calling thread has all cores again");
    }
}
