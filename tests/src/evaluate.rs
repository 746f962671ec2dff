//! An imported program, before or after the passes, run by `eval`.

use mcv_compile::recipe;
use mcv_import::Imported;
use mcv_import::config::Canvas;
use mcv_ir::eval::Trace;
use mcv_ir::{Error, HostTensor, Machine, Program, Result, Source};
use mcv_passes::pass::{Context, run_passes};
use mcv_runtime::image::{self, Crop, Markers, Place, Policy, Rgb, Slice};
use mcv_targets::cpu::CpuTarget;

/// The program after all passes for x86-64 by a built-in recipe.
pub fn optimized(imported: &Imported, recipe: &str) -> Program {
    let recipe = recipe::load(recipe).expect("a built-in recipe");
    let cpu = CpuTarget::x86_64();
    let mut program = imported.program.clone();
    let context = Context { recipe: &recipe, targets: &[&cpu] };
    run_passes(&mut program, &context, &mut |_, _| Ok(())).expect("all passes run");
    program
}

/// The overview and the slices of a picture as the model's own policy cuts it.
pub fn slices(imported: &Imported, picture: &Rgb) -> Vec<Slice> {
    image::slices(picture, &policy(imported)).expect("the picture fits the policy").slices
}

fn policy(imported: &Imported) -> Policy {
    let image = &imported.config.image;
    Policy {
        max_slices: image.max_slice_nums,
        scale_resolution: image.scale_resolution,
        patch: image.patch_size,
        slice_mode: image.slice_mode,
        unit: imported.config.vision.unit(),
        square: image.square.unwrap_or(0),
        mean: image.mean,
        std: image.std,
    }
}

fn load(imported: &Imported, source: &Source) -> Result<Vec<f32>> {
    let Source::Stored { tensor, rows, transposed } = source else {
        return Err(Error::bug("only stored tensors are asked for"));
    };
    let entry = imported.checkpoint.tensor(tensor).expect("imported");
    let values = imported.checkpoint.read_rows(entry, u64::from(rows.start), u64::from(rows.end)).expect("readable");
    if !transposed {
        return Ok(values);
    }
    let (r, c) = (rows.len(), values.len() / rows.len());
    Ok((0..c).flat_map(|j| (0..r).map(move |i| (i, j))).map(|(i, j)| values[i * c + j]).collect())
}

fn ints(values: impl IntoIterator<Item = i32>) -> HostTensor {
    let data: Vec<f32> = values.into_iter().map(|v| v as f32).collect();
    HostTensor { shape: vec![data.len()], data }
}

fn coordinates(places: &[Place]) -> HostTensor {
    HostTensor { shape: vec![places.len(), 3], data: places.as_flattened().iter().map(|v| *v as f32).collect() }
}

/// A program with its weights and states.
pub struct Evaluator<'m> {
    imported: &'m Imported,
    machine: Machine<'m>,
    /// Rows and columns of patches of the slices that were encoded.
    encoded: Vec<(usize, usize)>,
    /// The next token's place, where the model has canvases.
    next: i32,
}

impl<'m> Evaluator<'m> {
    /// Loads the weights of `program`, which comes from `imported`.
    pub fn new(imported: &'m Imported, program: &'m Program) -> Self {
        let machine = Machine::new(program, &|source| load(imported, source)).expect("weights load");
        Evaluator { imported, machine, encoded: vec![], next: 0 }
    }

    /// Encodes slice `index`, those before it being encoded; the value of each node.
    pub fn encode(&mut self, index: usize, slice: &Slice) -> Trace {
        let (rows, cols) = (slice.rows as usize, slice.cols as usize);
        let side = self.imported.config.vision.position_side() as usize;
        let policy = policy(self.imported);
        let rectangle =
            |width: usize| HostTensor { shape: vec![rows * cols, width], data: vec![0.0; rows * cols * width] };
        let (mut patches, mut weights) = (rectangle(image::row_len(&policy)), rectangle(side * side));
        image::patchify(slice, &policy, &mut patches.data).expect("room for all patches");
        image::position_weights(rows, cols, side, &mut weights.data).expect("room for all weights");
        let places = image::places(rows, cols, &policy);
        let (nearest, merged) = (image::nearest_ids, policy.unit > 1);
        let position = |(r, c): &(usize, usize)| nearest(rows, side)[*r] * side as i32 + nearest(cols, side)[*c];
        let ids = match merged {
            true => places.iter().map(position).collect(),
            false => image::position_ids(rows, cols, side),
        };
        let inputs = [
            ("patches", patches),
            ("position_ids", ints(ids)),
            ("position_weights", weights),
            ("grid_rows", ints(places.iter().map(|(row, _)| *row as i32))),
            ("grid_cols", ints(places.iter().map(|(_, col)| *col as i32))),
        ];
        self.encoded.truncate(index);
        let slot = self.encoded.iter().map(|(r, c)| self.vectors_of(r * c)).sum::<usize>() as u32;
        self.encoded.push((rows, cols));
        self.machine.trace("vision", &[("slot", slot)], &inputs).expect("vision runs").1
    }

    /// Vectors of a slice of so many patches.
    fn vectors_of(&self, patches: usize) -> usize {
        policy(self.imported).vectors(patches, self.imported.config.resampler.queries as usize)
    }

    /// The vectors of the first `slices`, row-major.
    pub fn vectors(&self, slices: &[Slice]) -> Vec<f32> {
        let rows: usize = slices.iter().map(|s| self.vectors_of((s.rows * s.cols) as usize)).sum();
        self.machine.states[0].data[..rows * self.imported.config.llm.hidden_size as usize].to_vec()
    }

    /// Logits after a prompt; `rows` as for [`mcv_runtime::Session::forward_logits`].
    pub fn prefill(&mut self, ids: &[u32], rows: &[i32]) -> Vec<f32> {
        let places = self.places(ids, rows);
        self.next = places.last().map_or(0, |place| place[0] + 1);
        let inputs = [
            ("token_ids", ints(ids.iter().map(|id| *id as i32))),
            ("canvas", coordinates(&places)),
            ("positions", ints(0..ids.len() as i32)),
            ("image_rows", ints(rows.iter().copied())),
        ];
        self.run("prefill", 0, &inputs)
    }

    /// Places on canvases, where the model has them.
    fn places(&self, ids: &[u32], rows: &[i32]) -> Vec<Place> {
        let Some(canvas) = &self.imported.config.canvas else { return vec![[0; 3]; ids.len()] };
        let Canvas { image_start, image_end, slice_start, slice_end, newline } = *canvas;
        let unit = self.imported.config.vision.unit() as usize;
        let crop = |(tokens, (r, c)): (_, &(usize, usize))| Crop { tokens, rows: r / unit, cols: c / unit };
        let crops: Vec<Crop> = image::slots(rows).into_iter().zip(&self.encoded).map(crop).collect();
        image::canvas_places(ids, &crops, &Markers { image_start, image_end, slice_start, slice_end, newline }, 0)
    }

    /// Logits after one more token at cache row `at`, text behind what was told before.
    pub fn decode(&mut self, id: u32, at: usize) -> Vec<f32> {
        let place = coordinates(&[[self.next; 3]]);
        self.next += 1;
        let inputs = [("token_ids", ints([id as i32])), ("canvas", place), ("positions", ints([at as i32]))];
        self.run("decode", at as u32, &inputs)
    }

    fn run(&mut self, phase: &str, pos: u32, inputs: &[(&str, HostTensor)]) -> Vec<f32> {
        let mut outputs = self.machine.run(phase, &[("pos", pos)], inputs).expect("the phase runs");
        outputs.remove("logits").expect("logits").data
    }
}
