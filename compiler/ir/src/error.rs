//! Errors by fault: the user's input, something this compiler does not support, or our own mistake.

/// Result of every fallible function of the compiler.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong, by whose turn it is to act.
#[derive(Debug, Clone, PartialEq)]
pub enum Error {
    /// The user's file or option is at fault; the text names file, field and remedy.
    Input(String),
    /// The input is fine, but this compiler, unit or target can't do it; the text names op, unit and reason.
    Unsupported(String),
    /// An invariant of the compiler does not hold: ours to mend.
    Bug(String),
}

impl Error {
    /// The user's input is at fault.
    pub fn input(text: impl Into<String>) -> Self {
        Error::Input(text.into())
    }
    /// Not supported here.
    pub fn unsupported(text: impl Into<String>) -> Self {
        Error::Unsupported(text.into())
    }
    /// A broken invariant of ours.
    pub fn bug(text: impl Into<String>) -> Self {
        Error::Bug(text.into())
    }
    /// The same fault, with the place where it happened in front.
    pub fn at(self, place: impl std::fmt::Display) -> Self {
        match self {
            Error::Input(t) => Error::Input(format!("{place}: {t}")),
            Error::Unsupported(t) => Error::Unsupported(format!("{place}: {t}")),
            Error::Bug(t) => Error::Bug(format!("{place}: {t}")),
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Input(t) => write!(f, "{t}"),
            Error::Unsupported(t) => write!(f, "not supported: {t}"),
            Error::Bug(t) => write!(f, "internal error (please report): {t}"),
        }
    }
}

impl std::error::Error for Error {}
