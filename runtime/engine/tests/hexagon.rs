//! The emulated DSP behind the runtime's own interface: shared memory, weights mapped from a file, lists of launches.

use mcv_ir::target::Target;
use mcv_runtime::Error;
use mcv_runtime::device::accelerator::{Accelerator, Argument, Launch, Shared, Weights};
use mcv_runtime::device::hexagon::Hexagon;
use mcv_targets::CpuTarget;
use mcv_targets::hexagon::{Entry, FLAGS, program_source};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// y = x * scalar + w, and one that dies.
const BODIES: [&str; 2] = [
    "int64_t line_units(const mcv_call *c) { return c->dim[0]; }
void line(const mcv_call *c, int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i++)
        ((float *)c->arg[2].data)[i] = ((const float *)c->arg[0].data)[i] * c->scalar[0] + ((const float *)c->arg[1].data)[i];
}",
    "int64_t dies_units(const mcv_call *c) { return 1; }
void dies(const mcv_call *c, int64_t begin, int64_t end) { __builtin_trap(); }",
];
const LINE: usize = 1;
const DIES: usize = 2;
const COUNT: usize = 1000;
/// Where weights begin in their file, and where in the segment.
const SEGMENT: usize = 3 << 14;
const WEIGHT: usize = 256;

/// An emulated DSP with a gap, `line` and `dies`; none where the tools are missing.
fn dsp(folder: &Path) -> Option<Hexagon> {
    let present = |tool: &str| Command::new(tool).arg("--version").output().is_ok_and(|o| o.status.success());
    if let Some(absent) = ["clang-19", "ld.lld-19", "qemu-hexagon"].into_iter().find(|t| !present(t)) {
        let _ = std::io::stderr().write_all(format!("SKIPPED: this machine has no {absent}\n").as_bytes());
        return None;
    }
    let target = CpuTarget::hexagon();
    let [line, dies] = [("line", BODIES[0]), ("dies", BODIES[1])].map(|(symbol, body)| Some(Entry { symbol, body }));
    let (source, program) = (folder.join("k.c"), folder.join("k.elf"));
    std::fs::write(&source, program_source(&target.prelude(&target.levels()[0]), &[None, line, dies]))
        .expect("written");
    let status = Command::new("clang-19").args(FLAGS).arg("-o").arg(&program).arg(&source).status();
    assert!(status.expect("started").success());
    let bytes = std::fs::read(&program).expect("built");
    Some(Hexagon::emulated(Path::new("qemu-hexagon"), &bytes, vec![false, true, true]).expect("started"))
}

fn floats(shared: Shared) -> &'static mut [f32] {
    // SAFETY: allocated with room for as many, used by this thread only while the accelerator lives.
    unsafe { std::slice::from_raw_parts_mut(shared.host.cast(), COUNT) }
}

/// A file with a segment of weights 0, 1, 2, ...
fn weights_file(path: &Path) -> Vec<u8> {
    let values: Vec<u8> = (0..COUNT).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let segment = [vec![0xff; WEIGHT], values].concat();
    std::fs::write(path, [vec![0xee; SEGMENT], segment.clone()].concat()).expect("written");
    segment
}

fn line<'a>(args: &'a [Argument], scalar: &'a [f32]) -> Launch<'a> {
    Launch { kernel: LINE, args, dims: &[COUNT as i64], scalars: scalar }
}

#[test]
fn one_submission_runs_dependent_launches_over_shared_memory() {
    let folder = tempfile::tempdir().expect("folder");
    let Some(mut dsp) = dsp(folder.path()) else { return };
    assert!(dsp.unit() == "npu" && !dsp.has(0) && dsp.has(LINE) && !dsp.has(9));
    let path = folder.path().join("weights");
    let bytes = weights_file(&path);
    let arena = dsp.allocate(8 * COUNT as u64 * 4, "arena").expect("memory");
    let other = dsp.allocate(COUNT as u64 * 4, "states").expect("memory");
    assert!(floats(arena).iter().all(|x| *x == 0.0));
    let weights = Weights { name: "vision", path: &path, offset: SEGMENT as u64, bytes: &bytes };
    let before = dsp.mapped();
    for round in 0..3 {
        let region = dsp.attach(&weights).expect("mapped");
        floats(arena).iter_mut().enumerate().for_each(|(i, x)| *x = (i + round) as f32);
        let x = Argument { region: arena.region, offset: 0, stride: 0 };
        let w = Argument { region, offset: WEIGHT as u64, stride: 0 };
        let y = Argument { region: arena.region, offset: 16384, stride: 0 };
        let z = Argument { region: other.region, offset: 0, stride: 0 };
        dsp.hand_over(false).expect("handed over");
        dsp.run(&[line(&[x, w, y], &[2.0]), line(&[y, w, z], &[0.5])]).expect("run");
        dsp.hand_over(true).expect("handed back");
        let wrong = floats(other).iter().enumerate().find(|(i, z)| **z != (*i as f32 * 2.5 + round as f32));
        assert_eq!(wrong, None, "round {round}");
        dsp.detach(region);
        assert_eq!(dsp.mapped(), before, "nothing of the weights stays");
        let gone = dsp.run(&[line(&[x, w, y], &[2.0])]).expect_err("detached").to_string();
        assert!(gone.contains("outside its region"), "{gone}");
    }
}

fn launch(kernel: usize, args: &[Argument]) -> Launch<'_> {
    Launch { kernel, args, dims: &[4], scalars: &[1.0] }
}

#[test]
fn what_the_dsp_refuses_is_an_error_and_so_is_its_end() {
    let folder = tempfile::tempdir().expect("folder");
    let Some(mut dsp) = dsp(folder.path()) else { return };
    let arena = dsp.allocate(4096, "arena").expect("memory");
    let at = |offset| Argument { region: arena.region, offset, stride: 0 };
    let (start, far, many) = ([at(0); 3], [at(1 << 30); 3], [at(0); 17]);
    let missing = dsp.run(&[launch(0, &start)]).expect_err("a gap").to_string();
    assert!(missing.contains("lacks the kernel"), "{missing}");
    assert!(dsp.run(&[launch(77, &start)]).is_err());
    assert!(dsp.run(&[launch(LINE, &far)]).is_err());
    assert!(dsp.run(&[launch(LINE, &many)]).is_err(), "more arguments than the program takes");
    let nowhere = Weights { name: "w", path: Path::new("/no/such/file"), offset: 0, bytes: &[0; 16] };
    let error = dsp.attach(&nowhere).expect_err("no file").to_string();
    assert!(error.contains("/no/such/file") && error.contains("system error 2"), "{error}");
    assert!(dsp.run(&[launch(LINE, &start)]).is_ok(), "still alive");
    assert!(matches!(dsp.run(&[launch(DIES, &start)]), Err(Error::Device(_))));
    assert!(matches!(dsp.run(&[launch(LINE, &start)]), Err(Error::Device(_))));
    dsp.detach(arena.region);
}

#[test]
fn a_missing_emulator_is_an_error() {
    let Err(error) = Hexagon::emulated(Path::new("/no/such/emulator"), b"", vec![]) else {
        panic!("started nothing");
    };
    assert!(error.to_string().contains("/no/such/emulator"), "{error}");
}
