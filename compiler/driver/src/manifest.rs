//! The plan and the model's facts as the artifact's manifest.

use crate::emit::Library;
use mcv_artifact::manifest as m;
use mcv_import::{ChatTemplate, Imported};
use mcv_ir::plan::{PhasePlan, Place, Plan, Port, Size, Step};
use mcv_ir::{Dim, Error, Program, Result, WeightId, encode};
use mcv_passes::plan::{build::weight_place, peak};
use std::collections::BTreeSet;

/// Entry of a segment's bytes.
pub fn segment_entry(name: &str) -> String {
    format!("weights/{name}.bin")
}

/// Entry of a level's shared object, or of its source text.
pub fn library_entry(family: &str, level: &str, extension: &str) -> String {
    format!("kernels/{family}-{level}.{extension}")
}

/// What the manifest is made of.
pub struct Parts<'a> {
    /// Facts of the checkpoint.
    pub imported: &'a Imported,
    /// The laid-out program.
    pub program: &'a Program,
    /// Its plan.
    pub plan: &'a Plan,
    /// Kernels by level, best first.
    pub libraries: &'a [Library],
    /// Instruction set family of the libraries.
    pub family: &'a str,
    /// `--target`.
    pub target: &'a str,
    /// Recipe name.
    pub recipe: &'a str,
}

/// Builds the manifest.
pub fn build(parts: &Parts) -> Result<m::Manifest> {
    let Parts { imported, program, plan, .. } = parts;
    let weights = Weights::new(program, plan);
    let phases = plan.phases.iter().map(|p| phase(program, plan, p, &weights)).collect::<Result<_>>()?;
    let config = &imported.config;
    Ok(m::Manifest {
        format: m::FORMAT,
        producer: concat!("mcv-compile ", env!("CARGO_PKG_VERSION")).into(),
        model: program.name.clone(),
        model_version: config.version.to_string(),
        target: parts.target.into(),
        recipe: parts.recipe.into(),
        libraries: parts.libraries.iter().map(|l| library(l, parts.family)).collect(),
        kernels: plan.kernels.iter().map(kernel).collect(),
        segments: plan
            .segments
            .iter()
            .map(|s| m::Segment { name: s.name.clone(), entry: segment_entry(&s.name), bytes: s.bytes })
            .collect(),
        weights: weights.entries,
        states: program.states.iter().map(state).collect(),
        phases,
        image: Some(image(imported)),
        chat: Some(chat(&imported.chat, &imported.stop)),
        generation: Some(generation(imported)),
        limits: Some(limits(parts)),
    })
}

/// Weights in manifest order: segment by segment.
struct Weights {
    entries: Vec<m::Weight>,
    ids: Vec<WeightId>,
}

impl Weights {
    fn new(program: &Program, plan: &Plan) -> Self {
        let mut weights = Weights { entries: vec![], ids: vec![] };
        for placed in plan.segments.iter().flat_map(|s| &s.weights) {
            let weight = program.weight(placed.id);
            let (segment, offset, bytes) = weight_place(&plan.segments, placed.id).unwrap_or_default();
            weights.ids.push(placed.id);
            weights.entries.push(m::Weight {
                name: weight.name.clone(),
                ty: weight.ty.to_string(),
                segment: segment as u32,
                offset,
                bytes,
            });
        }
        weights
    }

    fn index(&self, id: WeightId) -> Result<(u32, u64)> {
        let index =
            self.ids.iter().position(|w| *w == id).ok_or_else(|| Error::bug("a step reads an unplaced weight"))?;
        Ok((index as u32, self.entries[index].bytes))
    }
}

fn library(l: &Library, family: &str) -> m::Library {
    m::Library {
        level: l.level.name.into(),
        family: family.into(),
        needs: l.level.needs.iter().map(|n| n.to_string()).collect(),
        entry: library_entry(family, l.level.name, "so"),
        source: l.source.as_ref().map_or(String::new(), |_| library_entry(family, l.level.name, "c")),
        symbols: l.symbols.clone(),
        unit: "cpu".into(),
    }
}

fn kernel(k: &mcv_ir::plan::PlannedKernel) -> m::Kernel {
    m::Kernel {
        text: k.kernel.to_string(),
        unit: k.unit.clone(),
        dims: k.kernel.dims().len() as u32,
        args: k.kernel.args.len() as u32 + 1,
        scalars: k.kernel.scalars().len() as u32,
    }
}

fn state(s: &mcv_ir::State) -> m::State {
    m::State {
        name: s.name.clone(),
        ty: s.ty.to_string(),
        rows: s.ty.max_rows() as u32,
        stride: encode::row_bytes(&s.ty),
    }
}

fn phase(program: &Program, plan: &Plan, p: &PhasePlan, weights: &Weights) -> Result<m::Phase> {
    let variables = variables(program, p);
    let at = Places { program, phase: p, weights };
    Ok(m::Phase {
        name: p.name.clone(),
        segments: p.segments.iter().map(|s| *s as u32).collect(),
        arena: p.arena,
        inputs: p.inputs.iter().map(|port| at.port(port)).collect::<Result<_>>()?,
        outputs: p.outputs.iter().map(|port| at.port(port)).collect::<Result<_>>()?,
        steps: p.steps.iter().map(|s| at.step(s, &variables)).collect::<Result<_>>()?,
        peak: peak(program, plan, p).total(),
        variables,
    })
}

/// Names of the phase variables that its launches use.
fn variables(program: &Program, phase: &PhasePlan) -> Vec<String> {
    let mut names = BTreeSet::new();
    for size in phase.steps.iter().flat_map(|s| &s.dims) {
        if let Size::Var(name) = size {
            names.insert(name.clone());
        }
    }
    let graph = program.phase(&phase.name).map(|p| &p.graph);
    for id in graph.map(|g| g.order()).unwrap_or_default() {
        for dim in graph.iter().flat_map(|g| &g.node(id).ty.shape) {
            if let Dim::UpTo { name, .. } = dim {
                names.insert(name.clone());
            }
        }
    }
    names.into_iter().collect()
}

/// Places of one phase.
struct Places<'a> {
    program: &'a Program,
    phase: &'a PhasePlan,
    weights: &'a Weights,
}

impl Places<'_> {
    fn place(&self, place: &Place) -> Result<m::Place> {
        match place {
            Place::Arena { offset, stride } => {
                let bytes = self.room(*offset);
                Ok(m::Place { memory: m::Memory::Arena as i32, index: 0, offset: *offset, stride: *stride, bytes })
            }
            Place::Weight { id, offset, stride } => {
                let (index, size) = self.weights.index(*id)?;
                let bytes = size - offset;
                Ok(m::Place { memory: m::Memory::Weight as i32, index, offset: *offset, stride: *stride, bytes })
            }
            Place::State { id, offset, stride } => {
                let bytes = encode::bytes(&self.program.state(*id).ty) - offset;
                Ok(m::Place { memory: m::Memory::State as i32, index: id.0, offset: *offset, stride: *stride, bytes })
            }
        }
    }

    /// Bytes from an arena offset to the end of the largest buffer around it.
    fn room(&self, offset: u64) -> u64 {
        let around = self.phase.buffers.iter().filter(|b| b.offset <= offset && offset < b.offset + b.size);
        around.map(|b| b.offset + b.size - offset).max().unwrap_or(0)
    }

    fn port(&self, port: &Port) -> Result<m::Port> {
        let place = Some(self.place(&port.place)?);
        Ok(m::Port { name: port.name.clone(), place, width: port.width, max_rows: port.max_rows })
    }

    fn step(&self, step: &Step, variables: &[String]) -> Result<m::Step> {
        let size = |s: &Size| match s {
            Size::Is(value) => m::Size { value: *value, var: 0 },
            Size::Var(name) => {
                let index = variables.iter().position(|v| v == name).unwrap_or(usize::MAX - 1);
                m::Size { value: 0, var: index as u32 + 1 }
            }
        };
        Ok(m::Step {
            kernel: step.kernel as u32,
            args: step.args.iter().map(|a| self.place(a)).collect::<Result<_>>()?,
            dims: step.dims.iter().map(size).collect(),
            scalars: step.scalars.clone(),
            node: step.node.clone(),
        })
    }
}

fn image(imported: &Imported) -> m::ImagePolicy {
    let (image, vision) = (&imported.config.image, &imported.config.vision);
    m::ImagePolicy {
        max_slices: image.max_slice_nums,
        scale_resolution: image.scale_resolution,
        patch: image.patch_size,
        slice_mode: image.slice_mode,
        mean: image.mean.to_vec(),
        std: image.std.to_vec(),
        position_side: vision.image_size / vision.patch_size,
        queries: imported.config.resampler.queries,
    }
}

fn around((before, after): &(String, String)) -> Option<m::Around> {
    Some(m::Around { before: before.clone(), after: after.clone() })
}

fn chat(c: &ChatTemplate, stop: &[u32]) -> m::Chat {
    m::Chat {
        bos: c.bos.clone().unwrap_or_default(),
        default_system: c.default_system.clone(),
        system: around(&c.system),
        user: around(&c.user),
        assistant: around(&c.assistant),
        image_id: c.image_id.as_ref().and_then(around),
        overview: around(&c.overview),
        slice: around(&c.slice),
        slices: around(&c.slices),
        row_separator: c.row_separator.clone(),
        placeholder: c.placeholder.clone(),
        after_image: c.after_image.clone(),
        stop: stop.to_vec(),
    }
}

fn generation(imported: &Imported) -> m::Generation {
    let g = &imported.config.generation;
    m::Generation {
        temperature: if g.do_sample { g.temperature } else { 0.0 },
        top_k: g.top_k,
        top_p: g.top_p,
        repetition_penalty: g.repetition_penalty,
        max_tokens: g.max_new_tokens,
    }
}

fn limits(parts: &Parts) -> m::Limits {
    let sizes = &parts.imported.sizes;
    let anonymous = parts.plan.phases.iter().map(|p| {
        let peak = peak(parts.program, parts.plan, p);
        peak.arena + peak.states
    });
    m::Limits {
        context: sizes.context,
        prefill_chunk: sizes.prefill_chunk,
        patches: sizes.patches,
        slices: sizes.slices,
        vocab: parts.imported.config.llm.vocab_size,
        anonymous: anonymous.max().unwrap_or(0),
    }
}
