//! Predicted figures of compiled programs on a device, beside published measurements. Nothing here is measured.

pub mod models;

use crate::recipe;
use mcv_import::Request;
use mcv_ir::soc::Soc;
use mcv_ir::target::Target;
use mcv_ir::{Error, Layout, Program, Result};
use mcv_passes::cost::Costs;
use mcv_passes::cost::loops::LOOPS;
use mcv_passes::pass::{Context, pipeline_for, run_pass};
use mcv_passes::place::{PhaseCost, Placement, phase_costs};
use mcv_passes::plan::{self, arena};
use mcv_targets::{CpuTarget, OpenClTarget};
use models::{MODELS, Model};
use std::fmt::Write;

/// Slices of a 1344x1344 picture: nine and the overview.
pub const MOST_SLICES: u32 = 10;
/// Tokens of a prompt beside the picture's. Assumed.
const PROMPT: u32 = 40;
/// Tokens per prefill call.
const CHUNK: u32 = 256;

/// A predicted quantity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Predicted {
    /// Best guess.
    pub value: f64,
    /// The truth is expected between `value / error` and `value * error`.
    pub error: f64,
}

impl Predicted {
    /// For people: `1.40 (0.93-2.10)`.
    pub fn range(&self) -> String {
        let digits = if self.value < 10.0 { 2 } else { usize::from(self.value < 100.0) };
        let (low, high) = (self.value / self.error, self.value * self.error);
        format!("{:.digits$} ({low:.digits$}-{high:.digits$})", self.value)
    }
}

/// What a device is predicted to do with a program.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Seconds to encode one slice of 448x448 pixels, resampler included.
    pub encode_slice: Predicted,
    /// Tokens per second of prefill.
    pub prefill: Predicted,
    /// Tokens per second of decode, after 1024 tokens.
    pub decode: Predicted,
    /// Largest bytes of any phase: mapped weights, arenas, states. Follows from the plan; exact up to the process's own.
    pub peak_bytes: u64,
    /// Unit that does most of vision, prefill, decode.
    pub units: [String; 3],
}

impl Figures {
    /// Seconds until the first token of an answer about a picture of `slices` slices.
    pub fn first_token(&self, slices: u32, queries: u32) -> Predicted {
        let encode = f64::from(slices) * self.encode_slice.value;
        let prefill = f64::from(slices * queries + PROMPT) / self.prefill.value;
        let value = encode + prefill;
        let wrong = encode * self.encode_slice.error + prefill * self.prefill.error;
        Predicted { value, error: wrong / value.max(1e-12) }
    }
}

/// Predicts for a laid-out program.
///
/// # Errors
/// No plan can be made.
pub fn figures(program: &Program, context: &Context, soc: &Soc) -> Result<Figures> {
    let limits = arena::Limits { capacity: None, budget: std::time::Duration::from_secs(2), max_steps: 20_000 };
    let plan = plan::build(program, &limits)?;
    let peak_bytes = plan.phases.iter().map(|p| plan::peak(program, &plan, p).total()).max().unwrap_or(0);
    let costs = phase_costs(program, context, Costs::of(soc))?;
    let nothing = PhaseCost {
        phase: String::new(),
        seconds: f64::INFINITY,
        error: 1.0,
        moving: 0.0,
        moves: 0,
        calls: 0,
        nodes: vec![],
        alternatives: vec![],
    };
    let cost = |phase: &str| costs.iter().find(|c| c.phase == phase).unwrap_or(&nothing);
    let rate = |phase: &str, tokens: f64| {
        let cost = cost(phase);
        Predicted { value: tokens / cost.seconds, error: cost.error }
    };
    let vision = cost("vision");
    Ok(Figures {
        encode_slice: Predicted { value: vision.seconds, error: vision.error },
        prefill: rate("prefill", f64::from(CHUNK)),
        decode: rate("decode", 1.0),
        peak_bytes,
        units: ["vision", "prefill", "decode"].map(|phase| main_unit(cost(phase))),
    })
}

/// The unit with most nodes.
fn main_unit(cost: &PhaseCost) -> String {
    cost.nodes.iter().max_by_key(|(_, n)| *n).map_or(String::new(), |(unit, _)| unit.clone())
}

/// Compiles a published model's shapes for a device and predicts.
///
/// # Errors
/// As [`compiled`] and [`figures`].
pub fn predict(model: &Model, soc: &Soc, targets: &[&dyn Target]) -> Result<Figures> {
    let recipe = recipe::load("q4")?;
    figures(&compiled(model, soc, targets)?, &Context { recipe: &recipe, targets }, soc)
}

/// A published model's laid-out program for a device, from its shapes.
///
/// # Errors
/// The importer does not know the model yet, or no unit runs one of its ops.
pub fn compiled(model: &Model, soc: &Soc, targets: &[&dyn Target]) -> Result<Program> {
    let dir = model.write()?;
    let recipe = recipe::load("q4")?;
    let request = Request {
        context: Some(4096),
        prefill_chunk: CHUNK,
        pictures: 1,
        max_ratio: 16.0,
        mmproj: None,
        kv: recipe.kv,
        slices: None,
    };
    let place = format!("{}/", dir.path().display());
    let named = |e: Error| Error::input(e.to_string().replace(&place, ""));
    let mut program = mcv_import::import(dir.path(), &request).map_err(named)?.program;
    let context = Context { recipe: &recipe, targets };
    for pass in pipeline_for(Placement::on(soc)) {
        run_pass(&*pass, &mut program, &context)?;
    }
    Ok(program)
}

/// [`table`] for all units of a device, whether or not their kernels can be compiled here.
///
/// # Errors
/// Its CPU's family is unknown.
pub fn report(soc: &Soc) -> Result<String> {
    let unknown = || Error::input(format!("target {}: no CPU family '{}'", soc.name, soc.cpu_family));
    let cpu = CpuTarget::of_family(&soc.cpu_family).ok_or_else(unknown)?;
    let gpu = match (&soc.gpu, cpu.panels()) {
        (Some(_), Layout::Panels { depth, .. }) => Some(OpenClTarget::new(depth)?),
        _ => None,
    };
    let npu = soc.npu.as_ref().map(|_| CpuTarget::hexagon());
    let mut targets: Vec<&dyn Target> = vec![&cpu];
    targets.extend(gpu.as_ref().map(|t| t as &dyn Target));
    targets.extend(npu.as_ref().map(|t| t as &dyn Target));
    Ok(table(soc, &targets))
}

/// The table of all models on a device, beside what the paper measured on a Snapdragon 8 Gen 3.
pub fn table(soc: &Soc, targets: &[&dyn Target]) -> String {
    let mut text =
        format!("PREDICTED for {}, recipe q4, context 4096; value (low-high by the model's error)\n", soc.title);
    let _ = writeln!(
        text,
        "{:21} {:>17} {:>21} {:>21} {:>20} {:>20} {:>8}  units: vision/prefill/decode",
        "model",
        "encode s a slice",
        "first token s, 1 sl.",
        "first token s, 10 sl.",
        "prefill tok/s",
        "decode tok/s",
        "peak MB"
    );
    let mut checks = String::new();
    for model in &MODELS {
        match predict(model, soc, targets) {
            Ok(figures) => {
                line(&mut text, model, &figures);
                if model.queries == PAPER_QUERIES && soc.name == PAPER_SOC {
                    checks.push_str(&check(&figures));
                }
            }
            Err(e) => {
                let _ = writeln!(text, "{:21} not predicted: {e}", model.name);
            }
        }
    }
    text + MEASURED + &checks + &loops()
}

/// Inner loops by the scheduling model.
fn loops() -> String {
    let mut text = "Inner loops by llvm-mca 19, cycles for 32 weights of a channel times a row (neoverse-n2 / neoverse-v2 / cortex-a510):\n".to_string();
    for inner in &LOOPS {
        let _ = writeln!(text, "  {:28} {:5.2} {:5.2} {:5.2}", inner.what, inner.n2, inner.v2, inner.a510);
    }
    text
}

fn line(text: &mut String, model: &Model, figures: &Figures) {
    let _ = writeln!(
        text,
        "{:21} {:>17} {:>21} {:>21} {:>20} {:>20} {:>8}  {}",
        model.name,
        figures.encode_slice.range(),
        figures.first_token(1, model.queries).range(),
        figures.first_token(MOST_SLICES, model.queries).range(),
        figures.prefill.range(),
        figures.decode.range(),
        figures.peak_bytes / 1_000_000,
        figures.units.join("/")
    );
}

/// The paper's model is the only one with so many vectors per slice.
const PAPER_QUERIES: u32 = 96;
const PAPER_SOC: &str = "snapdragon8g3";
/// What the paper measured: seconds of its ViT on the NPU, tokens per second of decode, seconds of prefill.
const PAPER: [f64; 3] = [1.3, 8.2, 13.3];

/// The paper's figures beside those predicted for the same model.
fn check(figures: &Figures) -> String {
    let [vision, decode, prefill] = PAPER;
    let slices = vision / figures.encode_slice.value;
    let tokens = prefill * figures.prefill.value;
    format!(
        "Against the paper (2.5): decode predicted {:.1}, measured {decode} tok/s (one of the seven figures behind it);\n\
         its {vision} s of ViT are {slices:.1} slices here (the NPU's attention is fitted to them as one slice, so that is no test);\n\
         its {prefill} s of prefill (17.0 - 3.7) would be {tokens:.0} tokens here, {:.1} slices of {PAPER_QUERIES}: its picture or its kernels differ.\n",
        figures.decode.value,
        tokens / f64::from(PAPER_QUERIES),
    )
}

/// Others' measurements on the same device.
const MEASURED: &str = "
MEASURED by others on a Snapdragon 8 Gen 3 (nobody gives the picture's size, so slices are unknown)
  the paper (arXiv 2408.01800), MiniCPM-Llama3-V 2.5, Q4_K_M, Xiaomi 14 Pro:
    llama.cpp as it is              ViT 45.2 s, all encoding 64.2 s, decode 1.3 tok/s, 16-17 GB
    + vision and LLM in turns       ViT 31.5 s, all encoding 50.5 s, about 5 GB
    + compiled on the device        ViT  3.7 s, all encoding 17.0 s, decode 3.2 tok/s
    + search of cores               decode 8.2 tok/s
    + ViT on the NPU (QNN)          ViT  1.3 s, all encoding about 14.6 s (inferred), decode 8.2 tok/s
  llama.cpp users: MiniCPM-V 2.0 about 10 s a 448x448 slice; MiniCPM-V 2.6 load about 10 s, picture about 10 s
Errors: kinds of kernels with published figures carry the worst factor of predicting one figure from the others
(passes/src/cost/anchors.rs); those without carry assumed ones (passes/src/cost/rates.rs).
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::soc;
    use mcv_passes::cost::anchors;

    fn close(a: f64, b: f64) -> bool {
        (a / b - 1.0).abs() < 0.01
    }

    /// The anchors' peaks are those of the SoC file.
    #[test]
    fn anchors_and_soc_file_agree() {
        let phone = soc::load("snapdragon8g3").unwrap();
        let (gpu, npu) = (phone.gpu.as_ref().unwrap(), phone.npu.as_ref().unwrap());
        assert!(close(phone.int8_macs_per_second() * 1e-9, anchors::CPU_INT8), "{}", phone.int8_macs_per_second());
        assert!(close(phone.f32_macs_per_second() * 1e-9, anchors::CPU_F32), "{}", phone.f32_macs_per_second());
        assert!(close(phone.bandwidth_gbs, anchors::CPU_BYTES) && close(gpu.bandwidth_gbs, anchors::GPU_BYTES));
        assert!(close(gpu.f16_gmacs, anchors::GPU_F16) && close(npu.int8_gmacs, anchors::NPU_INT8));
    }

    #[test]
    fn shapes_are_those_of_the_published_checkpoints() {
        let size = |s: &Vec<u64>| s.iter().product::<u64>();
        let parameters = |m: &Model| m.tensors().iter().map(|(_, s)| size(s)).sum::<u64>();
        // 3,434,965,792 parameters in MiniCPM-V 2.0; here q, k and v have biases, which only 2.6 uses.
        let biases = 40 * 3 * 2304;
        assert_eq!(parameters(&MODELS[0]) - biases, 3_434_965_792);
        let billions: Vec<u64> = MODELS.iter().map(|m| parameters(m) / 100_000_000).collect();
        assert_eq!(billions, [34, 85, 80, 40]);
    }

    #[test]
    fn a_prediction_has_all_figures_and_a_band() {
        let phone = soc::load("snapdragon8g3").unwrap();
        let figures = predict(&MODELS[3], &phone, &[&CpuTarget::aarch64()]).unwrap();
        for figure in [figures.encode_slice, figures.prefill, figures.decode, figures.first_token(10, 64)] {
            assert!(figure.value.is_finite() && figure.value > 0.0 && figure.error > 1.0, "{figures:?}");
        }
        assert!(figures.first_token(10, 64).value > 10.0 * figures.encode_slice.value);
        assert_eq!(figures.units, ["cpu", "cpu", "cpu"]);
        // Half a byte a weight and more; the vision tower has left when the language model runs.
        assert!((1_900_000_000..4_000_000_000).contains(&figures.peak_bytes), "{}", figures.peak_bytes);
    }

    #[test]
    fn the_phone_uses_all_its_units() {
        let phone = soc::load("snapdragon8g3").unwrap();
        let (cpu, gpu, npu) = (CpuTarget::aarch64(), OpenClTarget::new(8).unwrap(), CpuTarget::hexagon());
        let figures = predict(&MODELS[1], &phone, &[&cpu, &gpu, &npu]).unwrap();
        assert_eq!(figures.units, ["npu", "gpu", "cpu"]);
        let text = report(&phone).unwrap();
        println!("{text}");
        for words in ["PREDICTED", "MiniCPM-V 4.0", "Against the paper", "45.2"] {
            assert!(text.contains(words), "{words} is missing");
        }
        assert_eq!(text.matches("npu/gpu/cpu").count(), MODELS.len(), "{text}");
    }
}
