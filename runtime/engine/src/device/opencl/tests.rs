//! On the system's OpenCL device, where there is one.

use super::*;
use std::io::Write;

const SOURCE: &str = "
#ifndef MCV_WAVE
#error the form's macros are missing
#endif
/* mcv launch scale local 64 1 1 groups d0/64 1 1 */
__kernel void scale(__global const uchar *b0, const ulong o0, const long s0, __global uchar *b1, const ulong o1,
                    const long s1, const int d0, const float f0) {
    const int i = get_global_id(0);
    if (i < d0) ((__global float *)(b1 + o1))[i] = f0 * ((__global const float *)(b0 + o0))[i];
}
/* mcv launch wide local 1024 1 1 groups 1 1 1 */
__kernel void wide(__global uchar *b0, const ulong o0, const long s0) { b0[o0] = 7; }
";

fn symbols() -> Vec<String> {
    ["scale", "", "wide"].map(String::from).into()
}

/// The device, or a line that says that there is none.
fn open(text: &Text) -> Option<OpenCl> {
    match OpenCl::open(text) {
        Ok(device) => Some(device),
        Err(why) if why.to_string().contains("no OpenCL library") || why.to_string().contains("finds no device") => {
            let test = std::thread::current().name().unwrap_or("a test").to_string();
            let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
            None
        }
        Err(why) => panic!("{why}"),
    }
}

fn run(device: &mut OpenCl) -> Vec<f32> {
    let mut file = tempfile::tempfile().expect("a file");
    let weights: Vec<u8> = (0..200u32).flat_map(|i| (i as f32).to_le_bytes()).collect();
    file.write_all(&weights).expect("written");
    // SAFETY: nobody else has the file. As in the runtime, the mapping can't be written.
    let weights = unsafe { memmap2::Mmap::map(&file) }.expect("mapped");
    let shared = device.allocate(1024, "a test").expect("memory");
    let bytes = Weights { name: "w", path: Path::new("w"), offset: 0, bytes: &weights };
    let region = device.attach(&bytes).expect("attached");
    // SAFETY: the CPU owns the 1024 bytes.
    let host = || unsafe { std::slice::from_raw_parts(shared.host.cast::<f32>(), 256) };
    assert!(host().iter().all(|v| *v == 0.0));
    let args = [Argument { region, offset: 8, stride: 4 }, Argument { region: shared.region, offset: 64, stride: 4 }];
    let launch = Launch { kernel: 0, args: &args, dims: &[100], scalars: &[2.0] };
    device.hand_over(false).expect("handed over");
    device.run(&[launch]).expect("run");
    device.hand_over(true).expect("handed back");
    device.hand_over(true).expect("twice is harmless");
    let found = host().to_vec();
    device.detach(region);
    assert!(device.run(&[Launch { kernel: 0, args: &args, dims: &[1], scalars: &[2.0] }]).is_err(), "detached");
    assert!(device.run(&[Launch { kernel: 0, args: &args[1..], dims: &[1], scalars: &[2.0] }]).is_err());
    assert!(device.run(&[Launch { kernel: 1, args: &args, dims: &[1], scalars: &[2.0] }]).is_err());
    assert!(device.run(&[Launch { kernel: 0, args: &args, dims: &[], scalars: &[2.0] }]).is_err());
    found
}

#[test]
fn a_kernel_runs_on_shared_memory_and_weights() {
    let symbols = symbols();
    let Some(mut device) = open(&Text { source: SOURCE, symbols: &symbols, segment: 800, cache: None }) else { return };
    assert!(device.has(0) && !device.has(1) && !device.has(3));
    for _ in 0..2 {
        let found = run(&mut device);
        assert_eq!(found[16..116], (0..100).map(|i| 2.0 * (i + 2) as f32).collect::<Vec<_>>());
        assert!(found[..16].iter().chain(&found[116..]).all(|v| *v == 0.0));
    }
    assert!(device.allocate(u64::MAX, "too much").is_err());
    assert!(device.describe().contains("driver"), "{}", device.describe());
}

#[test]
fn built_programs_are_kept_and_built_again_when_damaged() {
    let (folder, symbols) = (tempfile::tempdir().expect("folder"), symbols());
    let text = Text { source: SOURCE, symbols: &symbols, segment: 800, cache: Some(folder.path()) };
    let Some(first) = open(&text) else { return };
    assert!(!first.cached());
    drop(first);
    let mut second = open(&text).expect("a device");
    assert!(second.cached());
    assert_eq!(run(&mut second)[17], 6.0);
    drop(second);
    let files = || std::fs::read_dir(folder.path()).expect("folder").map(|e| e.expect("entry").path());
    let file = files().next().expect("a file");
    for damage in [b"".as_slice(), b"mcvocl01 and then something else entirely, which is no program at all"] {
        std::fs::write(&file, damage).expect("written");
        assert!(!open(&text).expect("a device").cached());
        assert!(open(&text).expect("a device").cached());
    }
    let longer = format!("{SOURCE}\n");
    assert!(!open(&Text { source: &longer, ..text }).expect("a device").cached());
    assert_eq!(files().count(), 2);
}

#[test]
fn a_text_that_does_not_build_says_why() {
    let symbols = symbols();
    let text = Text { source: "__kernel void scale( nonsense", symbols: &symbols, segment: 0, cache: None };
    match OpenCl::open(&text) {
        Ok(_) => panic!("built"),
        Err(why) if why.to_string().contains("no OpenCL") || why.to_string().contains("no device") => {}
        Err(why) => assert!(why.to_string().contains("nonsense"), "{why}"),
    }
    let silent = SOURCE.replace("mcv launch", "mcv lunch");
    if let Err(why) = OpenCl::open(&Text { source: &silent, ..text }) {
        let why = why.to_string();
        assert!(why.contains("does not say how it is launched") || why.contains("OpenCL"), "{why}");
    }
}
