//! Weights by name: which tensors there are, and their numbers row by row when the packer asks. Plain safetensors of a
//! Hugging Face directory are read here; other formats hand in their own [`Rows`].

use crate::error::{ImportError, Result};
use crate::onnx;
use crate::prequantized;
use crate::safetensors::{TensorEntry, read_header};
use half::{bf16, f16};
use mcv_ir::Elem;
use mcv_ir::encode::Rounded;
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// How a checkpoint keeps the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As floats.
    Float,
    /// As integers and f16 scales on the grid of this format: [`Rows::rounded`] hands them out as they are.
    Rounded(Elem),
    /// As integers on a grid that no format of the artifact has, for the reason in words: read as floats, which are
    /// rounded again where the artifact wants few bits.
    Other(&'static str),
}

/// The numbers of tensors, in whatever files they are.
pub trait Rows: std::fmt::Debug + Send + Sync {
    /// The file that an error about a tensor names.
    fn path(&self, entry: &TensorEntry) -> &Path;

    /// Rows `begin..end` (in range) of a tensor seen as `[shape[0], rest]`, as f32.
    ///
    /// # Errors
    /// What is wrong with the tensor, without its place.
    fn read(&self, entry: &TensorEntry, begin: u64, end: u64) -> std::result::Result<Vec<f32>, String>;

    /// How the tensor's numbers are kept.
    fn form(&self, _entry: &TensorEntry) -> Form {
        Form::Float
    }

    /// Rows `begin..end` (in range) of a tensor whose form is [`Form::Rounded`]: the integers and scales that
    /// [`Rows::read`] multiplies, so that they need not be rounded a second time. None for other tensors.
    ///
    /// # Errors
    /// As [`Rows::read`].
    fn rounded(&self, _entry: &TensorEntry, _begin: u64, _end: u64) -> std::result::Result<Option<Rounded>, String> {
        Ok(None)
    }
}

/// The weights of a checkpoint, by name.
#[derive(Debug)]
pub struct Checkpoint {
    dir: PathBuf,
    tensors: BTreeMap<String, TensorEntry>,
    rows: Box<dyn Rows>,
}

/// How a directory holds its weights.
#[derive(Debug)]
pub enum Found {
    /// As safetensors.
    Checkpoint(Checkpoint),
    /// As ONNX files, which are understood only with the config.
    Onnx,
}

/// Shards whose tensors are rows of bytes.
#[derive(Debug)]
pub(crate) struct Shards {
    paths: Vec<PathBuf>,
    files: Vec<File>,
}

impl Checkpoint {
    /// Reads and checks all headers, unless the weights are ONNX files.
    ///
    /// # Errors
    /// As [`Checkpoint::open`].
    pub fn find(dir: &Path) -> Result<Found> {
        look_at(dir)?;
        let onnx = !onnx::directory::files(dir).is_empty();
        let safetensors = dir.join(INDEX).exists() || files(dir, ".safetensors")?.next().is_some();
        if onnx && !safetensors { Ok(Found::Onnx) } else { Checkpoint::open(dir).map(Found::Checkpoint) }
    }

    /// Reads and checks all headers.
    ///
    /// # Errors
    /// Not a checkpoint directory, a damaged header, a missing shard: by name, with the remedy.
    pub fn open(dir: &Path) -> Result<Checkpoint> {
        look_at(dir)?;
        let names = shards(dir)?;
        let paths: Vec<PathBuf> = names.iter().map(|n| dir.join(n)).collect();
        let mut tensors: BTreeMap<String, TensorEntry> = BTreeMap::new();
        let mut files = Vec::new();
        for (index, path) in paths.iter().enumerate() {
            files.push(File::open(path).map_err(|e| ImportError::new(path, "file", e.to_string()))?);
            for entry in read_header(path, index)? {
                if let Some(other) = tensors.insert(entry.name.clone(), entry.clone()) {
                    let why = format!("is also in {}; remove the stale file", paths[other.file].display());
                    return Err(ImportError::new(path, &format!("tensor {}", entry.name), why));
                }
            }
        }
        check_index(dir, &paths, &tensors)?;
        let (tensors, rows) = prequantized::view(dir, tensors, Shards { paths, files })?;
        Ok(Checkpoint::of(dir, tensors, rows))
    }

    /// Tensors of another format under their Hugging Face names.
    pub fn of(dir: &Path, tensors: BTreeMap<String, TensorEntry>, rows: Box<dyn Rows>) -> Checkpoint {
        Checkpoint { dir: dir.to_path_buf(), tensors, rows }
    }

    /// The same with other names: of each that begins with a pair's first text, that is replaced by the second.
    pub fn renamed(mut self, prefixes: &[(&str, &str)]) -> Checkpoint {
        let rename = |name: String| {
            let found = prefixes.iter().find_map(|(from, to)| Some(format!("{to}{}", name.strip_prefix(from)?)));
            found.unwrap_or(name)
        };
        self.tensors = self.tensors.into_iter().map(|(name, entry)| (rename(name), entry)).collect();
        self
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<&TensorEntry> {
        self.tensors.get(name)
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// How the tensor's numbers are kept.
    pub fn form(&self, entry: &TensorEntry) -> Form {
        self.rows.form(entry)
    }

    /// Rows `begin..end` of a tensor seen as `[shape[0], rest]`, as f32. Any number of threads may read at once.
    ///
    /// # Errors
    /// Rows that the tensor hasn't, a file that can't be read.
    pub fn read_rows(&self, entry: &TensorEntry, begin: u64, end: u64) -> Result<Vec<f32>> {
        self.checked(entry, begin, end, |rows| rows.read(entry, begin, end))
    }

    /// As [`Checkpoint::read_rows`], the integers and scales of a tensor whose form is [`Form::Rounded`]; else none.
    pub fn rounded_rows(&self, entry: &TensorEntry, begin: u64, end: u64) -> Result<Option<Rounded>> {
        self.checked(entry, begin, end, |rows| rows.rounded(entry, begin, end))
    }

    fn checked<T>(
        &self,
        entry: &TensorEntry,
        begin: u64,
        end: u64,
        read: impl FnOnce(&dyn Rows) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let fail = |why: String| ImportError::new(self.rows.path(entry), &format!("tensor {}", entry.name), why);
        let rows = entry.shape.first().copied().unwrap_or(1);
        if begin > end || end > rows {
            return Err(fail(format!("has {rows} rows; {begin}..{end} were asked for")));
        }
        read(&*self.rows).map_err(fail)
    }
}

impl Shards {
    /// The shard of that index.
    pub fn file(&self, index: usize) -> &Path {
        &self.paths[index]
    }

    /// `len` bytes of a tensor from byte `begin` on; both within it.
    pub fn bytes(&self, entry: &TensorEntry, begin: u64, len: u64) -> std::result::Result<Vec<u8>, String> {
        let mut bytes = vec![0; len as usize];
        read_at(&self.files[entry.file], &mut bytes, entry.begin + begin).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    /// Bytes `columns` of every row of a tensor whose rows have `row` bytes, under each other.
    pub fn strip(&self, entry: &TensorEntry, row: u64, columns: Range<u64>) -> std::result::Result<Vec<u8>, String> {
        if columns == (0..row) {
            return self.bytes(entry, 0, entry.len);
        }
        let width = (columns.end - columns.start) as usize;
        let mut bytes = vec![0; width * (entry.len / row.max(1)) as usize];
        for (i, line) in bytes.chunks_exact_mut(width.max(1)).enumerate() {
            let begin = entry.begin + i as u64 * row + columns.start;
            read_at(&self.files[entry.file], line, begin).map_err(|e| e.to_string())?;
        }
        Ok(bytes)
    }
}

impl Rows for Shards {
    fn path(&self, entry: &TensorEntry) -> &Path {
        self.file(entry.file)
    }

    fn read(&self, entry: &TensorEntry, begin: u64, end: u64) -> std::result::Result<Vec<f32>, String> {
        let elem = entry.elem()?;
        let row = entry.len / entry.shape.first().copied().unwrap_or(1).max(1);
        Ok(to_f32(elem, &self.bytes(entry, begin * row, (end - begin) * row)?))
    }
}

/// Every tensor of the index is where it says.
fn check_index(dir: &Path, paths: &[PathBuf], tensors: &BTreeMap<String, TensorEntry>) -> Result<()> {
    let path = dir.join(INDEX);
    let Some(map) = weight_map(dir)? else { return Ok(()) };
    for (name, shard) in map {
        let found = tensors.get(&name).map(|t| paths[t.file].clone());
        if found.as_deref() != Some(&dir.join(&shard)) {
            let why = format!("should be in {shard} but is not there; download that shard again");
            return Err(ImportError::new(&path, &format!("weight_map.{name}"), why));
        }
    }
    Ok(())
}

/// Little-endian floats of that format.
pub(crate) fn to_f32(elem: Elem, bytes: &[u8]) -> Vec<f32> {
    let pair = |c: &[u8]| [c[0], c[1]];
    match elem {
        Elem::F16 => bytes.chunks_exact(2).map(|c| f16::from_le_bytes(pair(c)).to_f32()).collect(),
        Elem::Bf16 => bytes.chunks_exact(2).map(|c| bf16::from_le_bytes(pair(c)).to_f32()).collect(),
        _ => bytes.chunks_exact(4).map(|c| f32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
    }
}

/// Fills `bytes` from byte `offset` of a file on.
#[cfg(unix)]
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(crate) fn read_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> std::io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if n == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[n..];
        offset += n as u64;
    }
    Ok(())
}

const INDEX: &str = "model.safetensors.index.json";

/// Refuses what is no Hugging Face directory, saying what to do.
fn look_at(dir: &Path) -> Result<()> {
    let fail = |why: &str| Err(ImportError::new(dir, "MODEL_DIR", why));
    if !dir.exists() {
        return fail("does not exist; give the Hugging Face directory or the GGUF file of a MiniCPM-V checkpoint");
    }
    if !dir.is_dir() {
        return fail(
            "is a file; give the Hugging Face directory that holds config.json and *.safetensors or *.onnx (a GGUF file's name ends in .gguf)",
        );
    }
    if !dir.join("config.json").exists() {
        return fail("has no config.json; give the Hugging Face directory of a MiniCPM-V checkpoint");
    }
    Ok(())
}

/// File names that hold weights.
fn shards(dir: &Path) -> Result<Vec<String>> {
    if let Some(map) = weight_map(dir)? {
        let mut names: Vec<String> = map.into_values().collect();
        names.sort();
        names.dedup();
        let missing = names.iter().find(|n| !dir.join(n).is_file());
        return match missing {
            None => Ok(names),
            Some(n) => {
                Err(ImportError::new(&dir.join(INDEX), "weight_map", format!("shard {n} is missing; download it")))
            }
        };
    }
    if dir.join("model.safetensors").is_file() {
        return Ok(vec!["model.safetensors".into()]);
    }
    let pickled = files(dir, ".bin")?.chain(files(dir, ".pt")?).next().is_some();
    let mut names: Vec<String> = files(dir, ".safetensors")?.collect();
    names.sort();
    match (names.is_empty(), pickled) {
        (false, _) => Ok(names),
        (true, true) => Err(ImportError::new(
            dir,
            "weights",
            "only pickled weights (*.bin) here; save the model with safe_serialization=True",
        )),
        (true, false) => Err(ImportError::new(dir, "weights", "no *.safetensors or *.onnx here; download the weights")),
    }
}

/// Names in a directory that end so.
fn files(dir: &Path, end: &'static str) -> Result<impl Iterator<Item = String>> {
    let listed = std::fs::read_dir(dir).map_err(|e| ImportError::new(dir, "MODEL_DIR", e.to_string()))?;
    Ok(listed.flatten().filter_map(|e| e.file_name().into_string().ok()).filter(move |n| n.ends_with(end)))
}

fn weight_map(dir: &Path) -> Result<Option<BTreeMap<String, String>>> {
    let path = dir.join(INDEX);
    if !path.exists() {
        return Ok(None);
    }
    let fail = |field: &str, why: String| ImportError::new(&path, field, why);
    let text = std::fs::read(&path).map_err(|e| fail("file", e.to_string()))?;
    let json: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| fail("file", format!("bad JSON: {e}; download it again")))?;
    let map = json["weight_map"].as_object().ok_or_else(|| fail("weight_map", "is missing or no object".into()))?;
    let mut files = BTreeMap::new();
    for (name, file) in map {
        let plain = file.as_str().filter(|f| !f.contains(['/', '\\', ':']) && f.ends_with(".safetensors"));
        let plain = plain
            .ok_or_else(|| fail(&format!("weight_map.{name}"), format!("{file} is no file name of this directory")))?;
        files.insert(name.clone(), plain.to_string());
    }
    Ok(Some(files))
}
