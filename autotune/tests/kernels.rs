//! Tuning real kernels on this machine, candidates that crash and hang, and what records refuse.

use mcv_ir::target::{Level, Mode, Schedule, SourceText, Target};
use mcv_ir::{Act, Dim, Elem, Kernel, Layout, Op, Pointwise, Result, TensorType};
use mcv_targets::cpu::CpuTarget;
use mcv_targets::toolchain::Toolchain;
use mcv_tune::Records;
use mcv_tune::kernels::cache::Cache;
use mcv_tune::kernels::runner::{Apart, Here, Runner};
use mcv_tune::kernels::{Event, Request, candidate, tune};
use std::path::Path;
use std::time::Duration;

fn matmul() -> Kernel {
    let x =
        TensorType::new(Elem::Q8 { group: 32 }, [Dim::up_to("tokens", 24), Dim::Is(128)]).with_layout(Layout::Summed);
    let w = TensorType::new(Elem::Q4 { group: 32 }, [Dim::Is(256), Dim::Is(128)])
        .with_layout(Layout::Panels { rows: 16, depth: 4 });
    let result = TensorType::f32([Dim::up_to("tokens", 24), Dim::Is(128)]);
    Kernel::new(Op::MatMul, vec![Pointwise::Gated(Act::Silu)], vec![x, w], result)
}

/// A folder for objects, and what is tuned with it.
struct Bench {
    folder: tempfile::TempDir,
    known: Records,
    notes: Vec<String>,
}

impl Bench {
    fn new() -> Self {
        Bench { folder: tempfile::tempdir().expect("a folder"), known: Records::default(), notes: vec![] }
    }

    fn tune(&mut self, target: &(dyn Target + Sync), runner: &dyn Runner, kernels: &[Kernel]) -> Records {
        let cache = Cache::open(self.folder.path(), Toolchain::find().expect("a C compiler")).expect("a folder");
        let (level, known, priors) = (&target.levels()[0], &self.known, &Records::default());
        let request = Request { target, level, cache: &cache, runner, machine: "test", runs: 9, known, priors };
        let notes = &mut self.notes;
        let told = &mut |event: &Event| {
            if let Event::Note(text) = event {
                notes.push((*text).to_string());
            }
        };
        tune(kernels, &request, None, told).expect("nothing is written that could fail")
    }

    fn objects(&self) -> usize {
        std::fs::read_dir(self.folder.path()).expect("a folder").count()
    }
}

/// Candidates in processes of the real program.
fn apart(timeout: u64) -> Apart<'static> {
    let command = vec![env!("CARGO_BIN_EXE_mcv-tune").to_string(), candidate::FLAG.to_string()];
    let bring = Box::new(|path: &Path| Ok(path.to_str().expect("text").to_string()));
    Apart { command, shell: false, bring, told: Kernel::to_string, timeout: Duration::from_secs(timeout) }
}

/// The CPU, with candidates that don't behave.
struct Broken(CpuTarget);

/// Goes before a candidate's body, by its place in the target's list.
const FAULTS: [(usize, &str); 3] =
    [(0, "*(volatile int *)8 = 1;"), (1, "for (;;) __asm__ volatile(\"\");"), (2, "this is no C;")];

impl Target for Broken {
    fn unit(&self) -> &'static str {
        self.0.unit()
    }
    fn family(&self) -> &'static str {
        self.0.family()
    }
    fn levels(&self) -> &'static [Level] {
        self.0.levels()
    }
    fn supports(&self, kernel: &Kernel) -> Result<()> {
        self.0.supports(kernel)
    }
    fn layout(&self, kernel: &Kernel, arg: usize) -> Layout {
        self.0.layout(kernel, arg)
    }
    fn schedules(&self, kernel: &Kernel, level: &Level) -> Vec<Schedule> {
        self.0.schedules(kernel, level)
    }
    fn emit(&self, kernel: &Kernel, symbol: &str, level: &Level, s: &Schedule, mode: Mode) -> Result<SourceText> {
        let mut text = self.0.emit(kernel, symbol, level, s, mode)?;
        let at = self.schedules(kernel, level).iter().position(|other| other == s).expect("ours");
        if let Some((_, fault)) = FAULTS.iter().find(|(index, _)| *index == at) {
            text.body += &format!("__attribute__((constructor)) static void fault(void) {{ {fault} }}\n");
        }
        Ok(text)
    }
    fn prelude(&self, level: &Level) -> String {
        self.0.prelude(level)
    }
}

#[test]
fn candidates_that_crash_hang_or_do_not_compile_are_survived() {
    let (target, mut bench) = (Broken(CpuTarget::x86_64()), Bench::new());
    let kernel =
        Kernel { epilogue: vec![], result: TensorType::f32([Dim::up_to("tokens", 24), Dim::Is(256)]), ..matmul() };
    let records = bench.tune(&target, &apart(2), std::slice::from_ref(&kernel));
    let left = &target.schedules(&kernel, &target.levels()[0])[3];
    let record = records.records.first().unwrap_or_else(|| panic!("{:?}", bench.notes));
    assert_eq!((&record.schedule(), record.failed), (left, 3), "{:?}", bench.notes);
    let told = |word: &str| bench.notes.iter().filter(|n| n.contains(word)).count();
    assert_eq!((told("the agent ended: signal: 11"), told("no answer in 2 s"), told("error:")), (1, 1, 1));
}

#[test]
fn a_process_of_its_own_measures_the_same_work() {
    let (target, mut bench) = (CpuTarget::x86_64(), Bench::new());
    let alone = bench.tune(&target, &apart(60), &[matmul()]);
    assert_eq!((alone.records[0].failed, bench.notes.len()), (0, 0), "{:?}", bench.notes);
    let built = bench.objects();
    assert!(built > 1);
    let here = bench.tune(&target, &Here, &[matmul()]);
    assert_eq!(bench.objects(), built, "objects come from the cache");
    let ratio = alone.records[0].default_seconds / here.records[0].default_seconds;
    assert!((0.05..20.0).contains(&ratio), "{ratio}");
    bench.known = alone;
    assert_eq!(bench.tune(&target, &Here, &[matmul()]).records, []);
}

#[test]
fn kernels_that_cannot_run_are_left_alone() {
    let (target, mut bench) = (CpuTarget::x86_64(), Bench::new());
    let huge = Kernel::parse("matmul(f32[4,60000], f32[4000000,60000]@panels16x4) -> f32[4,4000000]");
    let wrong = Kernel::parse("matmul(f32[4,60], f32[9,61]@panels16x4, f32[9]) -> f32[7,4]");
    let kernels = [huge.expect("a kernel"), wrong.expect("a kernel")];
    assert_eq!(bench.tune(&target, &Here, &kernels).records, []);
    assert_eq!(bench.notes.len(), 2, "{:?}", bench.notes);
}

#[test]
fn a_kernel_is_tuned_and_its_record_comes_back() {
    let target = CpuTarget::x86_64();
    let level = &target.levels()[0];
    let records = Bench::new().tune(&target, &Here, &[matmul()]);
    assert_eq!(records.records.len(), 1);
    let record = &records.records[0];
    assert!(record.seconds > 0.0 && record.seconds <= record.default_seconds && record.driver.len() > 2);
    assert!(target.schedules(&matmul(), level).contains(&record.schedule()));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("host.tuning.yaml");
    records.write(&path).expect("room for a file");
    let read = Records::read(&path).expect("what was written");
    assert_eq!(read, records);
    assert_eq!(read.schedule(&matmul(), "cpu", level.name), Some(record.schedule()));
    assert_eq!(read.schedule(&matmul(), "cpu", "another"), None);

    let text = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, text.replace("emitter: 1", "emitter: 99")).expect("room");
    let refusal = Records::read(&path).expect_err("stale").to_string();
    assert!(refusal.contains("emitter is 99") && refusal.contains("tune again"), "{refusal}");
    std::fs::write(&path, "records: [1, 2]").expect("room");
    assert!(Records::read(&path).expect_err("no records").to_string().contains("host.tuning.yaml"));
}

#[test]
fn merging_replaces_equal_keys() {
    let first = Bench::new().tune(&CpuTarget::x86_64(), &Here, &[matmul()]);
    let mut both = first.clone();
    both.merge(first.clone());
    assert_eq!(both, first);
    let mut other = first.clone();
    other.records[0].machine = "another".into();
    both.merge(other);
    assert_eq!(both.records.len(), 2);
}
