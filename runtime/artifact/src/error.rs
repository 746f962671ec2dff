//! What can be wrong with an artifact file, in words that name the file, the entry and the field.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The result of an operation on an artifact.
pub type Result<T> = std::result::Result<T, Error>;

/// A failure to read or write one artifact file.
///
/// Its `Display` is one line: the file, the entry where one is concerned, what is wrong, a remedy.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    entry: Option<String>,
    fault: Fault,
}

/// What is wrong, by who can mend it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fault {
    /// The operating system refused an action.
    Io {
        /// The action that failed, as a verb: "open", "write".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// The file is something else than an artifact.
    Foreign {
        /// What the file is, as far as its first bytes tell.
        found: String,
    },
    /// The file begins like an artifact but its end is missing.
    Truncated,
    /// The file was written by another version of the container.
    Version {
        /// The version that the file states.
        found: String,
    },
    /// A field holds a value that no writer would have written there.
    Corrupt {
        /// The field, in the terms of the ZIP format or of the caller's own format.
        field: &'static str,
        /// What was found and what should be there.
        detail: String,
    },
    /// The archive holds no entry of this name.
    Missing,
    /// An entry is larger than the caller is willing to hold in memory.
    TooLarge {
        /// Size of the entry in bytes.
        size: u64,
        /// The caller's limit in bytes.
        limit: u64,
    },
    /// A byte range does not lie within its entry.
    OutOfRange {
        /// Start of the range, in bytes from the entry's start.
        offset: u64,
        /// Length of the range in bytes.
        len: u64,
        /// Size of the entry in bytes.
        size: u64,
    },
    /// The name cannot be the name of an entry.
    Name {
        /// Why not.
        reason: &'static str,
    },
    /// The calling program broke the order of calls: its bug, not the file's.
    Misuse {
        /// Which rule was broken.
        rule: &'static str,
    },
}

const LONGEST_SHOWN: usize = 255;
const AGAIN: &str = "compile the model again with mcv-compile";

impl Error {
    /// A fault of the whole file at `path`.
    pub fn new(path: impl AsRef<Path>, fault: Fault) -> Self {
        Self { path: path.as_ref().to_path_buf(), entry: None, fault }
    }

    /// The system's refusal of `action` (a verb) on the file at `path`.
    pub fn io(path: impl AsRef<Path>, action: &'static str, source: io::Error) -> Self {
        Self::new(path, Fault::Io { action, source })
    }

    /// A field with an impossible value in the file at `path`.
    pub fn corrupt(path: impl AsRef<Path>, field: &'static str, detail: impl Into<String>) -> Self {
        Self::new(path, Fault::Corrupt { field, detail: detail.into() })
    }

    /// The same error, said of the entry `name`.
    #[must_use]
    pub fn in_entry(mut self, name: impl Into<String>) -> Self {
        self.entry = Some(name.into());
        self
    }

    /// The file concerned.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The entry concerned, if the fault lies in one.
    pub fn entry(&self) -> Option<&str> {
        self.entry.as_deref()
    }

    /// What is wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }
}

impl Fault {
    /// What the user can do about it; empty where the fault's own words say it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Fault::Io { source, .. } => io_remedy(source.kind()),
            Fault::Foreign { .. } => {
                "give the .mcv file that mcv-compile writes; to make one, compile the model with mcv-compile"
            }
            Fault::Truncated => {
                "copy the file again, and if that does not help, compile the model again with mcv-compile"
            }
            Fault::Version { .. } => {
                "use the runtime and mcv-compile of one release, or compile the model again with mcv-compile"
            }
            Fault::Corrupt { .. } => AGAIN,
            Fault::Missing => "the file may come from another release; compile the model again with mcv-compile",
            Fault::TooLarge { .. } => AGAIN,
            Fault::OutOfRange { .. } => AGAIN,
            Fault::Name { .. } => "use ASCII letters, digits, `._-+=@` and single `/` between parts",
            Fault::Misuse { .. } => "this is a bug in the calling program",
        }
    }
}

fn io_remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "check the path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "check the permissions of the file and its directory"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "free space there, or name another directory"
        }
        io::ErrorKind::UnexpectedEof => "the file changed while it was in use; copy it again",
        _ => "check the file and the device that holds it",
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io { action, source } => write!(f, "cannot {action}: {source}"),
            Fault::Foreign { found } => write!(f, "not an .mcv artifact but {found}"),
            Fault::Truncated => f.write_str("the end record is missing: cut short or altered"),
            Fault::Version { found } => write!(f, "container version {found} is not supported"),
            Fault::Corrupt { field, detail } => write!(f, "{field}: {detail}"),
            Fault::Missing => f.write_str("there is no such entry"),
            Fault::TooLarge { size, limit } => {
                write!(f, "size: {size} bytes, more than the {limit} allowed")
            }
            Fault::OutOfRange { offset, len, size } => {
                write!(f, "range: {len} bytes at {offset} do not lie within its {size} bytes")
            }
            Fault::Name { reason } => write!(f, "name: {reason}"),
            Fault::Misuse { rule } => f.write_str(rule),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        if let Some(entry) = &self.entry {
            // A hostile name may be long, or speak to the terminal.
            let shown: String = entry.chars().take(LONGEST_SHOWN).collect();
            write!(f, "entry `{}`: ", shown.escape_debug())?;
        }
        write!(f, "{}; {}", self.fault, self.fault.remedy())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.fault {
            Fault::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}
