//! The small model end to end on every kind of device that can run here: natively, emulated, on an OpenCL device.

use crate::{fixture, run};
use mcv_compile::args::CompileArgs;
use mcv_compile::compile::compile;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A processor, or several, that stand in for a phone's.
pub struct Device {
    /// For people: `aarch64/i8mm + hexagon`.
    pub name: &'static str,
    /// What executes it.
    pub emulator: &'static str,
    /// Name or file of the target.
    pub target: &'static str,
    /// `--place`.
    pub place: &'static str,
    /// What starts `mcv-run`; nothing for this machine's own.
    start: &'static [&'static str],
    /// Level that the device must choose by itself; none: any.
    level: Option<&'static str>,
    /// Whether the DSP is emulated.
    dsp: bool,
    /// Units that must really work.
    units: &'static [&'static str],
}

const EVERYTHING: Device =
    Device { name: "", emulator: "native", target: "host", place: "", start: &[], level: None, dsp: false, units: &[] };
/// A 64-bit ARM CPU without little features.
const ARM: Device = Device { target: "generic-arm64", ..EVERYTHING };

/// All of them; the first is what the others are compared with.
pub const DEVICES: [Device; 8] = [
    Device { name: "host", ..EVERYTHING },
    Device {
        name: "aarch64/neon",
        emulator: "qemu-aarch64 -cpu cortex-a53",
        start: &["qemu-aarch64", "-cpu", "cortex-a53", "-L", "/"],
        level: Some("neon"),
        ..ARM
    },
    Device {
        name: "aarch64/dotprod",
        emulator: "qemu-aarch64 -cpu cortex-a76",
        start: &["qemu-aarch64", "-cpu", "cortex-a76", "-L", "/"],
        level: Some("dotprod"),
        ..ARM
    },
    Device {
        name: "aarch64/i8mm",
        emulator: "qemu-aarch64 -cpu max without SME",
        start: &["qemu-aarch64", "-cpu", "max,sme=off", "-L", "/"],
        level: Some("i8mm"),
        ..ARM
    },
    Device {
        name: "aarch64/sme",
        emulator: "qemu-aarch64 10 -cpu max",
        start: &["target/emulators/usr/bin/qemu-aarch64", "-cpu", "max", "-L", "/"],
        level: Some("sme"),
        ..ARM
    },
    Device {
        name: "aarch64 + hexagon vision",
        emulator: "qemu-aarch64 -cpu max without SME, qemu-hexagon -cpu v67",
        target: "snapdragon8g3",
        place: "vision=npu,prefill=cpu,decode=cpu",
        start: &["qemu-aarch64", "-cpu", "max,sme=off", "-L", "/"],
        dsp: true,
        units: &["npu"],
        ..ARM
    },
    Device {
        name: "host + opencl prefill",
        emulator: "native, PoCL",
        target: "tests/fixtures/opencl.yaml",
        place: "vision=cpu,prefill=gpu,decode=cpu",
        units: &["gpu"],
        ..EVERYTHING
    },
    Device {
        name: "host + opencl prefill and decode",
        emulator: "native, PoCL",
        target: "tests/fixtures/opencl.yaml",
        place: "vision=cpu,prefill=gpu,decode=gpu",
        units: &["gpu"],
        ..EVERYTHING
    },
];

/// What a device said.
pub struct Answers {
    /// Answer by picture.
    pub outputs: Vec<(u64, String)>,
    /// What its statistics say of the units.
    pub units: serde_json::Value,
    /// Level of its CPU kernels.
    pub level: String,
    /// Seconds for all pictures.
    pub seconds: f64,
}

/// Why a device said nothing.
#[derive(Debug)]
pub enum Silent {
    /// It can't be had here.
    Missing(String),
    /// It failed.
    Failed(String),
}

impl Device {
    /// What is missing to run it here.
    pub fn missing(&self) -> Option<String> {
        let lacks = |program: &str| Command::new(located(program)).arg("--version").output().is_err();
        let emulators = self.start.first().copied().into_iter().chain(self.dsp.then_some(DSP));
        let missing: Vec<&str> = emulators.filter(|e| lacks(e)).collect();
        match (missing.is_empty(), self.start.is_empty() || runtime().is_some()) {
            (false, _) => Some(format!("{} is missing; tests/emulators.sh installs it", missing.join(", "))),
            (true, false) => Some("no mcv-run for aarch64; runtime/engine/cross/aarch64-linux.sh builds it".into()),
            (true, true) => None,
        }
    }

    /// Compiles the small model for it.
    pub fn compile(&self, recipe: &str, output: &Path) -> Result<(), Silent> {
        self.compile_with(recipe, output, None)
    }

    /// The same with records of a tuning.
    pub fn compile_with(&self, recipe: &str, output: &Path, tuning: Option<&Path>) -> Result<(), Silent> {
        let target = match self.target.contains('/') {
            true => fixture::root().join(self.target).display().to_string(),
            false => self.target.to_string(),
        };
        let place = (!self.place.is_empty()).then(|| self.place.to_string());
        // This machine's own kernels are tested elsewhere as they are compiled for a model; those at hand are quicker.
        let stock_kernels = self.start.is_empty();
        let tuning = tuning.map(Path::to_path_buf);
        let options = CompileArgs { target, place, stock_kernels, tuning, ..fixture::options(recipe, output) };
        compile(&options).map(|_| ()).map_err(|e| Silent::Failed(e.to_string()))
    }

    /// Asks about the first `limit` pictures of the small model's set, as at a first start.
    pub fn answers(&self, artifact: &Path, limit: usize) -> Result<Answers, Silent> {
        let cache = tempfile::tempdir().map_err(|e| Silent::Failed(e.to_string()))?;
        self.answers_with(artifact, limit, cache.path())
    }

    /// [`Device::answers`] with a cache folder that may hold what an earlier start left.
    pub fn answers_with(&self, artifact: &Path, limit: usize, cache: &Path) -> Result<Answers, Silent> {
        if let Some(why) = self.missing() {
            return Err(Silent::Missing(why));
        }
        let pictures = fixture::root().join("models/tiny/pictures");
        let fail = |e: &dyn std::fmt::Display| Silent::Failed(format!("{}: {e}", self.name));
        let items = std::fs::read_to_string(pictures.join("items.jsonl")).map_err(|e| fail(&e))?;
        let folder = tempfile::tempdir().map_err(|e| fail(&e))?;
        let tasks: Vec<String> = items.lines().take(limit).map(|line| absolute(line, &pictures)).collect();
        std::fs::write(folder.path().join("tasks.jsonl"), tasks.join("\n")).map_err(|e| fail(&e))?;
        let started = std::time::Instant::now();
        let mut command = self.command();
        command.arg(artifact).arg("--cache").arg(cache).args(["--temperature", "0", "--json", "--prompts"]);
        let output = command.arg(folder.path().join("tasks.jsonl")).output().map_err(|e| fail(&e))?;
        if !output.status.success() {
            return Err(fail(&String::from_utf8_lossy(&output.stderr)));
        }
        let answers = self.read(&String::from_utf8_lossy(&output.stdout), started.elapsed().as_secs_f64())?;
        self.check(&answers).map_err(|e| fail(&e))?;
        Ok(answers)
    }

    fn command(&self) -> Command {
        let mut command = match self.start {
            [] => run::program("mcv-run"),
            [emulator, arguments @ ..] => {
                let mut command = Command::new(located(emulator));
                command.args(arguments).arg(runtime().unwrap_or_default());
                command
            }
        };
        if self.dsp {
            command.env("MCV_QEMU_HEXAGON", which(DSP).unwrap_or_else(|| DSP.into()));
        }
        command
    }

    fn read(&self, text: &str, seconds: f64) -> Result<Answers, Silent> {
        let mut answers = Answers { outputs: vec![], units: serde_json::Value::Null, level: String::new(), seconds };
        for line in text.lines() {
            let json: serde_json::Value = serde_json::from_str(line).map_err(|e| Silent::Failed(e.to_string()))?;
            let output = (json["id"].as_u64(), json["output"].as_str());
            let (Some(id), Some(output)) = output else { return Err(Silent::Failed(format!("no answer in {line}"))) };
            answers.outputs.push((id, output.to_string()));
            answers.units = json["stats"]["units"].clone();
            answers.level = json["stats"]["level"].as_str().unwrap_or_default().to_string();
        }
        Ok(answers)
    }

    /// The device must have done it by itself, at its own level.
    fn check(&self, answers: &Answers) -> Result<(), String> {
        if let Some(level) = self.level.filter(|l| *l != answers.level) {
            return Err(format!("ran kernels of level {}, not {level}", answers.level));
        }
        let units = answers.units.as_array().cloned().unwrap_or_default();
        for unit in self.units {
            let state = units.iter().find(|u| u["unit"] == *unit).ok_or(format!("no unit {unit} in {units:?}"))?;
            if state["device"].is_null() || state["notes"].as_array().is_none_or(|n| !n.is_empty()) {
                return Err(format!("unit {unit} did not do all its work: {state}"));
            }
        }
        Ok(())
    }
}

const DSP: &str = "qemu-hexagon";

/// `mcv-run` for aarch64: of the folder that `MCV_AARCH64` names, else of the cross build.
pub fn runtime() -> Option<PathBuf> {
    let named = std::env::var_os("MCV_AARCH64").map(PathBuf::from);
    let built = || run::programs().parent().map(|target| target.join("cross/aarch64-linux"));
    let path = named.or_else(built)?.join("mcv-run");
    path.exists().then_some(path)
}

/// A program of the PATH, or a file of the repository.
fn located(program: &str) -> PathBuf {
    if program.contains('/') { fixture::root().join(program) } else { program.into() }
}

fn which(program: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.exists())
}

/// A task whose picture is named by its whole path.
fn absolute(line: &str, folder: &Path) -> String {
    let mut json: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    let image = folder.join(json["image"].as_str().unwrap_or_default());
    json["image"] = image.display().to_string().into();
    json.to_string()
}
