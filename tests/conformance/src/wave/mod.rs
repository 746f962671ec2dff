//! The Adreno form of the kernels, executed without a GPU: clang compiles the very text for this machine, the built-in
//! functions and a scheduler that steps the items of a wave in lockstep are ours (`wave.c` says what it checks).

use crate::opencl::{Host, Pick, Rule, target, text};
use crate::runner::{Job, Runner};
use mcv_ir::encode::decode_rows;
use mcv_ir::target::{Mode, Target};
use mcv_ir::{Elem, Kernel};
use mcv_targets::OpenClTarget;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// The compiler that knows OpenCL C and this machine.
const CLANG: &str = "clang-19";
/// How a kernel is compiled as an ordinary object.
const FLAGS: [&str; 10] = [
    "-x",
    "cl",
    "-cl-std=CL3.0",
    "-O1",
    "-w",
    "-Xclang",
    "-cl-ext=+cl_khr_fp16,+cl_khr_subgroups,+__opencl_c_subgroups,+__opencl_c_images,+cl_khr_integer_dot_product,+__opencl_c_integer_dot_product_input_4x8bit_packed",
    "-Xclang",
    "-finclude-default-header",
    "-c",
];

/// Kernels as a phone would build them, in waves.
pub struct WaveRunner {
    host: Host,
    form: Form,
    exact: Option<Box<WaveRunner>>,
    worst: Mutex<f32>,
    _folder: tempfile::TempDir,
}

/// A form of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Items of a subgroup: 64 or 128.
    pub wave: i64,
    /// `MCV_DOT`: 1 half, 2 integer dot products.
    pub dot: u32,
}

/// Largest difference between products in half precision and exact ones, as a share of the largest value.
pub const HALF_TOLERANCE: f32 = 1e-3;

impl WaveRunner {
    /// Compiles `kernels` with their `schedule`th schedules. Half precision is held against a second runner that sums
    /// whole numbers, within [`HALF_TOLERANCE`]; results are the second one's then.
    ///
    /// # Errors
    /// A tool is missing (the message says which), or the text does not compile.
    pub fn new(depth: u16, kernels: &[Kernel], schedule: usize, form: Form) -> Result<Self, String> {
        let target = target(depth)?;
        let exact = match form.dot {
            1 => Some(Box::new(WaveRunner::new(depth, kernels, schedule, Form { dot: 2, ..form })?)),
            _ => None,
        };
        let text = text(&target, kernels, Pick { mode: Mode::Specialized, schedule });
        WaveRunner::of(&target, kernels, text, form, exact)
    }

    fn of(
        target: &OpenClTarget,
        kernels: &[Kernel],
        text: String,
        form: Form,
        exact: Option<Box<WaveRunner>>,
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let program = build(folder.path(), target, kernels, &text, form)?;
        let host = Host::start(Command::new(program).arg(form.wave.to_string()), text, form.wave)?;
        Ok(WaveRunner { host, form, exact, worst: Mutex::new(0.0), _folder: folder })
    }

    /// Largest difference of half precision so far.
    pub fn worst(&self) -> f32 {
        self.worst.lock().map_or(f32::INFINITY, |w| *w)
    }

    fn compare(&self, job: &Job, found: &[u8], wanted: &[u8]) -> Result<(), String> {
        if found == wanted {
            return Ok(());
        }
        if job.kernel.result.elem != Elem::F32 {
            return Err("half precision changed a result that is no product".into());
        }
        let row = job.kernel.result.width() as usize * 4;
        let values = |bytes: &[u8]| {
            let rows: Vec<u8> = bytes.chunks_exact(job.result.1 as usize).flat_map(|r| r[..row].to_vec()).collect();
            let one = mcv_ir::TensorType {
                shape: vec![1.into(), (rows.len() as u32 / 4).into()],
                ..job.kernel.result.clone()
            };
            decode_rows(&one, 1, &rows).map_err(|e| e.to_string())
        };
        let (found, wanted) = (values(found)?, values(wanted)?);
        let most = wanted.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        let off = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs() / most);
        let off = off.fold(0.0, |m: f32, d| if d.is_nan() { f32::INFINITY } else { m.max(d) });
        if let Ok(mut worst) = self.worst.lock() {
            *worst = worst.max(off);
        }
        if off <= HALF_TOLERANCE { Ok(()) } else { Err(format!("half precision is off by {off}")) }
    }
}

impl Runner for WaveRunner {
    fn name(&self) -> String {
        let dot = if self.form.dot == 1 { "half" } else { "integer dot" };
        format!("gpu opencl/adreno {dot}, subgroups of {}", self.form.wave)
    }

    fn emulator(&self) -> String {
        "waves in lockstep on this CPU".into()
    }

    fn run(&self, job: &Job) -> Result<Vec<u8>, String> {
        let found = self.host.run(job)?;
        let Some(exact) = &self.exact else { return Ok(found) };
        let wanted = exact.host.run(job)?;
        self.compare(job, &found, &wanted).map(|()| wanted)
    }
}

fn build(
    folder: &Path,
    target: &OpenClTarget,
    kernels: &[Kernel],
    text: &str,
    form: Form,
) -> Result<std::path::PathBuf, String> {
    let file = |name: &str| folder.join(name);
    let write = |name: &str, text: &str| std::fs::write(file(name), text).map_err(|e| e.to_string());
    write("kernels.cl", &[include_str!("builtins.cl"), text].concat())?;
    write("wave.c", include_str!("wave.c"))?;
    write("table.c", &table(kernels, text))?;
    let macros = [format!("-DMCV_WAVE={}", form.wave), format!("-DMCV_DOT={}", form.dot)];
    let shipped = target.levels()[1].flags.iter().filter(|f| f.starts_with("-D") && !f.contains("MCV_DOT"));
    let mut compile = Command::new(CLANG);
    compile
        .arg(format!("--target={}-unknown-linux-gnu", std::env::consts::ARCH))
        .args(FLAGS)
        .args(shipped)
        .args(macros);
    execute(compile.arg("-o").arg(file("kernels.o")).arg(file("kernels.cl")))?;
    let mut link = Command::new(CLANG);
    link.args(["-std=gnu11", "-O1", "-w", "-o"]).arg(file("wave"));
    execute(link.args(["wave.c", "table.c", "kernels.o"].map(file)).arg("-lm"))?;
    Ok(file("wave"))
}

fn execute(command: &mut Command) -> Result<(), String> {
    let out = command.output().map_err(|e| format!("{CLANG}: {e}"))?;
    if out.status.success() {
        Ok(())
    } else {
        Err(format!("does not compile: {}", String::from_utf8_lossy(&out.stderr)))
    }
}

/// C text that calls each kernel with its own parameters.
fn table(kernels: &[Kernel], text: &str) -> String {
    let mut out = String::from("typedef union { void *p; unsigned long u; long l; int i; float f; } value;\n");
    let mut rows = String::new();
    for (i, kernel) in kernels.iter().enumerate() {
        let symbol = format!("k{i}");
        let image = Rule::find(text, &symbol).and_then(|rule| rule.image);
        let mut parameters = Vec::new();
        for argument in 0..=kernel.args.len() {
            parameters.extend([("void *", "p"), ("unsigned long", "u"), ("long", "l")]);
            parameters.extend((image == Some(argument)).then_some(("void *", "p")));
        }
        parameters.extend(kernel.dims().iter().map(|_| ("int", "i")));
        parameters.extend(kernel.scalars().iter().map(|_| ("float", "f")));
        let types: Vec<&str> = parameters.iter().map(|(ty, _)| *ty).collect();
        let values: Vec<String> =
            parameters.iter().enumerate().map(|(at, (_, field))| format!("v[{at}].{field}")).collect();
        out += &format!("void {symbol}({});\n", types.join(", "));
        out += &format!("static void call_{symbol}(const value *v) {{ {symbol}({}); }}\n", values.join(", "));
        rows += &format!("    {{\"{symbol}\", call_{symbol}}},\n");
    }
    out + "typedef struct { const char *symbol; void (*call)(const value *); } entry;\n"
        + &format!("const entry wave_table[] = {{\n{rows}    {{0, 0}},\n}};\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Call;
    use mcv_ir::{Op, Pointwise, TensorType};

    /// What running `y = 2 x` on 100 columns with a kernel of this body ends in; none without the compiler.
    fn outcome(body: &str) -> Option<Result<f32, String>> {
        let x = TensorType::f32([1.into(), 100.into()]);
        let kernel = Kernel::new(Op::Pointwise(Pointwise::Scale(2.0)), vec![], vec![x.clone()], x);
        let text = format!(
            "/* mcv launch k0 local 128 1 1 groups 1 1 1 */\n\
             __kernel void k0(__global const uchar *b0, ulong o0, long s0, __global uchar *b1, ulong o1, long s1, int d0, int d1, float f0) {{\n\
             const int i = get_local_id(0);\n\
             const __global float *x = (const __global float *)(b0 + o0);\n\
             __global float *y = (__global float *)(b1 + o1);\n\
             __local float shared[128];\n{body}\n}}\n"
        );
        let target = target(8).expect("a depth");
        let made = WaveRunner::of(&target, std::slice::from_ref(&kernel), text, Form { wave: 64, dot: 2 }, None);
        match made {
            Ok(runner) => Some(Call { rows: 1, context: 1, at: 0 }.check(&kernel, "k0", &runner)),
            Err(why) if why.contains("does not compile") => panic!("{why}"),
            Err(_) => None,
        }
    }

    fn fails(body: &str, why: &str) {
        match outcome(body) {
            Some(Err(message)) => assert!(message.contains(why), "{message}"),
            Some(Ok(_)) => panic!("passed: {body}"),
            None => {}
        }
    }

    #[test]
    fn good_kernels_pass() {
        let shift = "shared[i] = i < 100 ? x[i] : 0.0f; barrier(1); if (i < 100) y[i] = f0 * shared[i];";
        let sum = "if (i < 100) y[i] = x[i] * (sub_group_reduce_add(1.0f) > 63.0f ? f0 : 0.0f);";
        assert!(outcome(shift).is_none_or(|r| r.is_ok()));
        fails(sum, "divergence in a subgroup");
        let whole = "float n = sub_group_reduce_add(1.0f); if (i < 100) y[i] = x[i] * (n == 64.0f ? f0 : 0.0f);";
        assert!(outcome(whole).is_none_or(|r| r.is_ok()));
    }

    #[test]
    fn bad_kernels_are_found_out() {
        fails("if (i < 100) y[i] = x[i];", "error");
        fails("if (i < 64) barrier(1); if (i < 100) y[i] = f0 * x[i];", "divergence at a barrier");
        fails("y[i + 4096] = f0 * x[i];", "outside of a buffer");
        let missing = "if (i < 100) shared[i] = x[i]; const int n = (i + 1) % 100; if (i < 100) y[n] = f0 * shared[n];";
        fails(missing, "");
        fails("if (i < 100) y[i] = f0 * x[i - 1000];", "outside of a buffer");
        let lanes = "uint w = sub_group_broadcast(as_uint(1.0f), i); if (i < 100) y[i] = f0 * x[i] * as_float(w);";
        fails(lanes, "different lanes");
    }
}
