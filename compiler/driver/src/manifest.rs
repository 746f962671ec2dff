//! The plan and the model's facts as the artifact's manifest.

use crate::emit::Library;
use mcv_artifact::manifest as m;
use mcv_import::config::{Canvas, Tower};
use mcv_import::{ChatTemplate, Imported};
use mcv_ir::plan::{ArenaBuffer, PhasePlan, Place, Plan, Port, Size, Step};
use mcv_ir::{Dim, Error, Op, Program, Result, WeightId, encode};
use mcv_passes::place::CPU;
use mcv_passes::plan::build::weight_place;
use mcv_passes::plan::peak;
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
    /// Kernels by unit and level, best first.
    pub libraries: &'a [Library],
    /// `--target`.
    pub target: &'a str,
    /// Recipe name.
    pub recipe: &'a str,
}

/// Builds the manifest.
pub fn build(parts: &Parts) -> Result<m::Manifest> {
    let Parts { imported, program, plan, .. } = parts;
    let (weights, units) = (Weights::new(program, plan), units(plan));
    let phases = plan.phases.iter().map(|p| phase(program, plan, p, &weights, &units)).collect::<Result<_>>()?;
    let config = &imported.config;
    Ok(m::Manifest {
        format: m::FORMAT,
        producer: concat!("mcv-compile ", env!("CARGO_PKG_VERSION")).into(),
        model: program.name.clone(),
        model_version: config.version.to_string(),
        target: parts.target.into(),
        recipe: parts.recipe.into(),
        libraries: parts.libraries.iter().map(library).collect(),
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
        units,
        canvas: config.canvas.as_ref().map(canvas),
    })
}

fn canvas(c: &Canvas) -> m::Canvas {
    let Canvas { image_start, image_end, slice_start, slice_end, newline } = *c;
    m::Canvas { image_start, image_end, slice_start, slice_end, newline }
}

/// Units beside the CPU, by first use.
fn units(plan: &Plan) -> Vec<String> {
    let mut units: Vec<String> = Vec::new();
    let arenas = plan.phases.iter().flat_map(|p| &p.arenas).map(|a| &a.unit);
    for unit in plan.kernels.iter().map(|k| &k.unit).chain(arenas) {
        if unit != CPU && !units.contains(unit) {
            units.push(unit.clone());
        }
    }
    units
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

fn library(l: &Library) -> m::Library {
    m::Library {
        level: l.level.name.into(),
        family: l.family.into(),
        needs: l.level.needs.iter().map(|n| n.to_string()).collect(),
        entry: library_entry(l.family, l.level.name, l.extension),
        source: l.source.as_ref().map_or(String::new(), |_| library_entry(l.family, l.level.name, "c")),
        symbols: l.symbols.clone(),
        unit: l.unit.into(),
    }
}

fn kernel(k: &mcv_ir::plan::PlannedKernel) -> m::Kernel {
    m::Kernel {
        text: k.kernel.to_string(),
        unit: k.unit.clone(),
        dims: k.kernel.dims().len() as u32,
        args: k.kernel.args.len() as u32 + 1,
        scalars: k.kernel.scalars().len() as u32,
        result: k.kernel.result.to_string(),
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

fn phase(program: &Program, plan: &Plan, p: &PhasePlan, weights: &Weights, units: &[String]) -> Result<m::Phase> {
    let variables = variables(program, p);
    let at = Places { program, plan, phase: p, weights, units };
    let arena = |unit: &str| p.arenas.iter().find(|a| a.unit == unit).map_or(0, |a| a.bytes);
    Ok(m::Phase {
        name: p.name.clone(),
        segments: p.segments.iter().map(|s| *s as u32).collect(),
        arena: arena(CPU),
        arenas: units.iter().map(|u| arena(u)).collect(),
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
    plan: &'a Plan,
    phase: &'a PhasePlan,
    weights: &'a Weights,
    units: &'a [String],
}

impl Places<'_> {
    fn place(&self, place: &Place) -> Result<m::Place> {
        match place {
            Place::Arena { unit, offset, stride } => Ok(m::Place {
                memory: m::Memory::Arena as i32,
                index: 0,
                offset: *offset,
                stride: *stride,
                bytes: self.room(unit, *offset),
                unit: self.units.iter().position(|u| u == unit).map_or(0, |i| i as u32 + 1),
            }),
            Place::Weight { id, offset, stride } => {
                let (index, size) = self.weights.index(*id)?;
                let (memory, bytes) = (m::Memory::Weight as i32, size - offset);
                Ok(m::Place { memory, index, offset: *offset, stride: *stride, bytes, unit: 0 })
            }
            Place::State { id, offset, stride } => {
                let bytes = encode::bytes(&self.program.state(*id).ty) - offset;
                let memory = m::Memory::State as i32;
                Ok(m::Place { memory, index: id.0, offset: *offset, stride: *stride, bytes, unit: 0 })
            }
        }
    }

    /// Bytes from an arena offset to the end of the largest buffer around it.
    fn room(&self, unit: &str, offset: u64) -> u64 {
        let holds = |b: &&ArenaBuffer| b.unit == unit && b.offset <= offset && offset < b.offset + b.size;
        let around = self.phase.buffers.iter().filter(holds);
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
            copy: copied(self.plan, step),
        })
    }
}

/// Bytes of a row that a step copies between units; 0 for a launch.
fn copied(plan: &Plan, step: &Step) -> u64 {
    let kernel = &plan.kernels[step.kernel].kernel;
    match (&kernel.op, kernel.result.shape.len()) {
        (Op::Move, 1) => encode::row_bytes(&kernel.result) / u64::from(kernel.result.width()).max(1),
        (Op::Move, _) => encode::row_bytes(&kernel.result),
        _ => 0,
    }
}

fn image(imported: &Imported) -> m::ImagePolicy {
    let (image, vision) = (&imported.config.image, &imported.config.vision);
    m::ImagePolicy {
        max_slices: image.max_slice_nums,
        scale_resolution: image.scale_resolution,
        patch: image.patch_size,
        slice_mode: image.slice_mode,
        square: image.square.unwrap_or(0),
        mean: image.mean.to_vec(),
        std: image.std.to_vec(),
        position_side: vision.position_side(),
        positions: match (vision.tower, vision.merger) {
            (Tower::Navit, Some(_)) => m::Positions::Nearest,
            (Tower::Navit, None) => m::Positions::Bucketed,
            (Tower::Timm, _) => m::Positions::Resampled,
        } as i32,
        unit: vision.merger.map_or(0, |merger| merger.side()),
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
        thinking: c.thinking.clone(),
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
