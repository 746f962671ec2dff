//! A checkpoint becomes an artifact.

use crate::args::CompileArgs;
use crate::emit::{self, Choice};
use crate::kv::{self, Kv};
use crate::manifest::{self, Parts, library_entry, segment_entry};
use crate::pack::{self, Origin, Rounding, output};
use crate::progress::Progress;
use crate::slices::{self, Wish};
use crate::stdout::show;
use crate::takeover::{self, Takeover};
use crate::units::Units;
use crate::{calibrate, embedded, explain, recipe, report, soc, tuning};
use mcv_artifact::Message;
use mcv_artifact::{Writer, manifest as m};
use mcv_calibrate::Kept;
use mcv_import::{Imported, Request};
use mcv_ir::plan::Plan;
use mcv_ir::soc::Soc;
use mcv_ir::{Error, Program, Result, Stage, text};
use mcv_passes::cost::Costs;
use mcv_passes::pass::{Context, pipeline_for, run_pass};
use mcv_passes::place::{self, Placement, Row};
use mcv_passes::plan::{self, arena};
use mcv_passes::recipe::Recipe;
use mcv_tune::Records;
use std::path::Path;

/// What a compilation did.
pub struct Outcome {
    /// The checkpoint's facts.
    pub imported: Imported,
    /// The laid-out program.
    pub program: Program,
    /// Its plan.
    pub plan: Plan,
    /// The target.
    pub soc: Soc,
    /// The recipe.
    pub recipe: Recipe,
    /// The type of the KV cache and who wants it.
    pub kv: Kv,
    /// What rounding did per weight.
    pub roundings: Vec<Rounding>,
    /// What became of integers that the checkpoint has.
    pub takeover: Takeover,
    /// Predicted cost per op.
    pub costs: Vec<Row>,
    /// Bytes of the artifact.
    pub artifact_bytes: u64,
    /// Seconds from start to rename.
    pub seconds: f64,
}

/// Imports, optimizes, plans, emits, packs. `None` when a dump or `--stop-after` ended it early.
pub fn compile(args: &CompileArgs) -> Result<Option<Outcome>> {
    let started = std::time::Instant::now();
    let soc = soc::load(&args.target)?;
    let known = tuning::known(args)?;
    let (recipe, kv) = cached(recipe::load(&args.recipe)?, args, &known)?;
    let reading = calibrate::reading(args)?;
    let built_in = if args.model.is_none() { Some(embedded::extract()?) } else { None };
    let dir = args.model.as_deref().or(built_in.as_ref().map(|d| d.path())).unwrap_or(Path::new("."));
    let units = Units::of(&soc)?;
    let targets = units.targets();
    let context = Context { recipe: &recipe, targets: &targets };
    let overrides = place::parse_overrides(args.place.as_deref().unwrap_or_default())?;
    let measured = tuning::measured(&known, &soc);
    let placement = Placement { overrides, records: Some(measured), ..Placement::on(&soc) };

    let mut request = request(args, &recipe);
    if let Some(wish) = wish(args)? {
        let (slices, table) = slices::plan(dir, &request, &context, &placement, &soc, wish)?;
        request.slices = Some(slices);
        if !args.quiet && !args.json {
            show(&table);
        }
    }
    let imported = mcv_import::import(dir, &request)?;
    imported.config.warnings.iter().for_each(|w| eprintln!("mcv-compile: warning: {w}"));
    let recipe = takeover::adapt(&recipe, &imported);
    let context = Context { recipe: &recipe, targets: &targets };
    let Some(optimized) = optimize(imported.program.clone(), &context, &placement, args)? else { return Ok(None) };
    let Optimized { program, quantized } = optimized;
    if args.explain {
        let costs = placement.costs().unwrap_or(Costs::of(&soc));
        show(&format!("recipe {}, KV cache {} by {}\n", recipe.name, kv.elem, kv.from));
        show(&explain::table(&program, &context, costs)?);
    }
    let plan = plan::build(&program, &search_limits())?;
    plan::check_budget(&program, &plan, budget(args, &soc)?)?;

    let records = tuning::records(known, &plan, &units.cpu, args)?;
    let levels = args.levels.as_deref().unwrap_or(&soc.levels);
    let choice = Choice { levels, stock: args.stock_kernels, records, quiet: args.quiet };
    let libraries = emit::libraries(&plan, &units, &choice)?;
    let parts = Parts {
        imported: &imported,
        program: &program,
        plan: &plan,
        libraries: &libraries,
        target: &args.target,
        recipe: &recipe.name,
    };
    let calibrated = calibrate::run(args, &reading, &imported, &quantized)?;
    let roundings = write(args, &parts, &calibrated)?;
    let artifact_bytes = std::fs::metadata(&args.output).map_or(0, |m| m.len());
    let seconds = started.elapsed().as_secs_f64();
    let costs = place::explain(&program, &context, &soc);
    let takeover = Takeover::of(&program, &plan, &imported.checkpoint);
    let recipe = recipe.clone();
    let outcome =
        Outcome { imported, program, plan, soc, recipe, kv, roundings, takeover, costs, artifact_bytes, seconds };
    if let Some(path) = &args.report {
        report::write(path, &outcome)?;
    }
    Ok(Some(outcome))
}

/// The recipe with the type of KV cache that is wanted; told where a record decided.
fn cached(recipe: Recipe, args: &CompileArgs, known: &Records) -> Result<(Recipe, Kv)> {
    let kv = kv::choose(args, &recipe, known)?;
    if let Some(line) = kv.line(args, &recipe).filter(|_| !args.quiet && !args.json) {
        show(&format!("{line}\n"));
    }
    Ok((Recipe { kv: kv.elem, ..recipe }, kv))
}

fn request(args: &CompileArgs, recipe: &Recipe) -> Request {
    Request {
        context: args.context,
        prefill_chunk: args.prefill_chunk,
        pictures: args.pictures,
        max_ratio: args.max_ratio,
        mmproj: args.mmproj.clone(),
        kv: recipe.kv,
        slices: args.slices,
    }
}

fn wish(args: &CompileArgs) -> Result<Option<Wish>> {
    match (args.slices, args.ttft_target) {
        (Some(slices), _) => Ok(Some(Wish::Slices(slices))),
        (None, Some(seconds)) if seconds.is_finite() && seconds > 0.0 => Ok(Some(Wish::FirstToken(seconds))),
        (None, Some(seconds)) => Err(Error::input(format!("--ttft-target {seconds}: write seconds, e.g. 2.5"))),
        (None, None) => Ok(None),
    }
}

/// A program after the passes.
struct Optimized {
    /// Ready to plan.
    program: Program,
    /// As it was once formats were chosen, every weight by itself.
    quantized: Program,
}

/// Runs the passes; `None` when a dump or `--stop-after` ended it.
fn optimize(
    mut program: Program,
    context: &Context,
    placement: &Placement,
    args: &CompileArgs,
) -> Result<Option<Optimized>> {
    let passes = pipeline_for(placement.clone());
    let mut names = vec!["imported"];
    names.extend(passes.iter().map(|p| p.name()));
    if let Some(unknown) = args.dump_ir.iter().chain(&args.stop_after).find(|n| !names.contains(&n.as_str())) {
        return Err(Error::input(format!("no pass is called '{unknown}'; there are {}", names.join(", "))));
    }
    if ends_after("imported", &program, args) {
        return Ok(None);
    }
    let mut quantized = None;
    for pass in passes {
        run_pass(&*pass, &mut program, context)?;
        if program.stage == Stage::Quantized && quantized.is_none() {
            quantized = Some(program.clone());
        }
        if ends_after(pass.name(), &program, args) {
            return Ok(None);
        }
    }
    let quantized = quantized.ok_or_else(|| Error::bug("no pass chose formats"))?;
    Ok(Some(Optimized { program, quantized }))
}

/// Dumps the program where asked; whether the user wants no more.
fn ends_after(pass: &str, program: &Program, args: &CompileArgs) -> bool {
    let dumps = args.dump_ir.as_deref() == Some(pass);
    if dumps {
        show(&text::print(program));
    }
    dumps || args.stop_after.as_deref() == Some(pass)
}

fn search_limits() -> arena::Limits {
    arena::Limits { capacity: None, budget: std::time::Duration::from_secs(5), max_steps: 200_000 }
}

fn budget(args: &CompileArgs, soc: &Soc) -> Result<u64> {
    args.ram_budget.as_deref().map_or(Ok(soc.ram_budget), parse_bytes)
}

/// `3GiB`, `900MiB`, `1500000`.
pub fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(1u64),
        "k" | "kib" => Some(1 << 10),
        "m" | "mib" => Some(1 << 20),
        "g" | "gib" => Some(1 << 30),
        _ => None,
    };
    let number: Option<f64> = digits.trim().parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0);
    match (number, unit) {
        (Some(n), Some(u)) => Ok((n * u as f64) as u64),
        _ => Err(Error::input(format!("--ram-budget: '{text}' is no size; write e.g. 3GiB or 900MiB"))),
    }
}

/// Writes the artifact; nothing is left behind when it fails.
fn write(args: &CompileArgs, parts: &Parts, calibrated: &Kept) -> Result<Vec<Rounding>> {
    let manifest = manifest::build(parts)?;
    let mut writer = Writer::create(&args.output).map_err(output)?;
    writer.put(m::MANIFEST_ENTRY, &manifest.encode_to_vec()).map_err(output)?;
    writer.put(m::TOKENIZER_ENTRY, &parts.imported.tokenizer).map_err(output)?;
    for library in parts.libraries {
        let entry = |extension| library_entry(library.family, library.level.name, extension);
        writer.put(&entry(library.extension), &library.object).map_err(output)?;
        if let Some(source) = &library.source {
            writer.put(&entry("c"), source.as_bytes()).map_err(output)?;
        }
    }
    let total = parts.plan.segments.iter().map(|s| s.bytes).sum();
    let progress = Progress::bytes("weights", total, args.quiet);
    let origin = Origin { program: parts.program, checkpoint: &parts.imported.checkpoint, calibrated };
    let mut roundings = Vec::new();
    for segment in &parts.plan.segments {
        roundings.extend(pack::segment(&mut writer, &segment_entry(&segment.name), segment, origin, &progress)?);
    }
    writer.finish().map_err(output)?;
    Ok(roundings)
}
