//! Opens an artifact: check everything once, so that turns need no checks.

use super::model::Model;
use super::{CancelHandle, Context, Session, units};
use crate::check::check;
use crate::device::library;
use crate::device::threads::{Arrangement, Threads};
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::stats::Stats;
use crate::text::{Chat, ImageTemplate, Sampling, Template, Tokenizer};
use mcv_artifact::manifest::{self as wire, Around, MANIFEST_ENTRY, Manifest, TOKENIZER_ENTRY};
use mcv_artifact::{Archive, Fault, Message};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Largest manifest that is read.
const MAX_MANIFEST: u64 = 64 << 20;
/// Largest tokenizer that is read.
const MAX_TOKENIZER: u64 = 128 << 20;
/// More threads than any phone or workstation has cores.
const MAX_THREADS: usize = 1024;

/// How to open an artifact.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Threads at work; all cores this process may use if absent.
    pub threads: Option<usize>,
    /// Instruction set level of the kernels; the arrangement's, else the best this CPU has, if absent.
    pub level: Option<String>,
    /// Whether to count seconds per step, see [`Session::profile`].
    pub profile: bool,
    /// Whether to compare all data with its SHA-256 first, which reads the whole file.
    pub verify: bool,
    /// Units beside the CPU that are used; all that the artifact is compiled for if absent.
    pub units: Option<Vec<String>>,
    /// Folder where programs that a driver built are kept; the user's cache folder if absent.
    pub cache: Option<PathBuf>,
    /// Whether the weights of all phases are read when the artifact is opened and stay, as in runtimes that load whole
    /// models: a diagnosis, to measure what releasing them saves.
    pub keep_weights: bool,
    /// Cores, split and waiting of the threads, per phase; today's defaults if untouched.
    pub arrangement: Arrangement,
}

impl Session {
    /// Opens an artifact. No weights are mapped yet, unless they are to be kept.
    ///
    /// # Errors
    /// The file is missing, foreign, damaged or of another version, or this device cannot run it.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self> {
        let started = Instant::now();
        let arrangement = arrangement(options)?;
        let level = options.level.clone().or_else(|| arrangement.level.clone());
        let archive = Archive::open(path)?;
        if options.verify {
            archive.verify(|_, _, _| ())?;
        }
        let manifest = read_manifest(&archive)?;
        let (tokenizer, chat) = read_text(&archive, &manifest)?;
        let library = library::load(&archive, &manifest, level.as_deref(), arrangement.kernels.as_ref())?;
        let units = units::open(&archive, &manifest, options)?;
        let mut machine = Machine::new(archive, Arc::clone(&manifest), library, arrangement, units)?;
        if options.profile {
            machine.enable_profile();
        }
        if options.keep_weights {
            machine.hold_weights()?;
        }
        let stats = Stats {
            level: machine.level().to_owned(),
            threads: machine.threads(),
            units: machine.units(),
            ..Stats::default()
        };
        let generation = manifest.generation.clone().unwrap_or_default();
        let mut session = Session {
            stop: manifest.chat.as_ref().map_or_else(Vec::new, |c| c.stop.clone()),
            model: Model::new(manifest, machine)?,
            tokenizer,
            chat,
            sampling: Sampling::default(),
            max_tokens: generation.max_tokens as usize,
            pictures: Vec::new(),
            context: Context::default(),
            answer: None,
            cancel: CancelHandle::default(),
            stats,
        };
        session.set_sampling(sampling(&generation))?;
        session.stats.load_seconds = started.elapsed().as_secs_f64();
        Ok(session)
    }
}

fn arrangement(options: &Options) -> Result<Arrangement> {
    let mut arrangement = options.arrangement.clone();
    match options.threads {
        None => Ok(arrangement),
        Some(count @ 1..=MAX_THREADS) => {
            arrangement.common = Threads { count, ..arrangement.common };
            Ok(arrangement)
        }
        Some(threads) => Err(Error::Input(format!("{threads} threads; give 1 to {MAX_THREADS}"))),
    }
}

fn read_manifest(archive: &Archive) -> Result<Arc<Manifest>> {
    let bytes = archive.read(MANIFEST_ENTRY, MAX_MANIFEST)?;
    let manifest = Manifest::decode(bytes.as_slice()).map_err(|e| {
        let detail = e.to_string();
        mcv_artifact::Error::new(archive.path(), Fault::Corrupt { field: "message", detail }).in_entry(MANIFEST_ENTRY)
    })?;
    check(archive, &manifest)?;
    Ok(Arc::new(manifest))
}

fn read_text(archive: &Archive, manifest: &Manifest) -> Result<(Tokenizer, Chat)> {
    let damaged = |e| Error::Artifact(format!("{}: {e}; compile the model again", archive.path().display()));
    let tokenizer = Tokenizer::from_json(&archive.read(TOKENIZER_ENTRY, MAX_TOKENIZER)?).map_err(damaged)?;
    let queries = manifest.image.as_ref().map_or(0, |i| i.queries);
    let template = template(manifest.chat.clone().unwrap_or_default(), queries);
    let chat = Chat::new(template, &tokenizer).map_err(damaged)?;
    Ok((tokenizer, chat))
}

/// The artifact's schema in the text side's words. Stop tokens stay ids: they need no lookup.
fn template(chat: wire::Chat, queries: u32) -> Template {
    let pair = |around: Option<Around>| around.map_or_else(Default::default, |a| (a.before, a.after));
    Template {
        bos: Some(chat.bos).filter(|bos| !bos.is_empty()),
        default_system: chat.default_system,
        system: pair(chat.system),
        user: pair(chat.user),
        assistant: pair(chat.assistant),
        thinking: chat.thinking,
        image: ImageTemplate {
            id: chat.image_id.map(|a| (a.before, a.after)),
            overview: pair(chat.overview),
            slice: pair(chat.slice),
            slices: pair(chat.slices),
            row_separator: chat.row_separator,
            placeholder: chat.placeholder,
            after: chat.after_image,
            queries,
        },
        stop: Vec::new(),
    }
}

/// Zeros in a manifest are absent fields: `top_p` and `repetition_penalty` have no such value.
fn sampling(generation: &wire::Generation) -> Sampling {
    let or_one = |value: f32| if value == 0.0 { 1.0 } else { value };
    Sampling {
        temperature: generation.temperature,
        top_k: generation.top_k,
        top_p: or_one(generation.top_p),
        repetition_penalty: or_one(generation.repetition_penalty),
        seed: 0,
    }
}
