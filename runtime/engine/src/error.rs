//! Errors of the runtime, by whose turn it is to act.

/// Result of every fallible function of the runtime.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug)]
pub enum Error {
    /// The caller's input (picture, text, option) is at fault.
    Input(String),
    /// The artifact is damaged, foreign or too new.
    Artifact(String),
    /// This device can't do it (no fitting kernels, out of memory).
    Device(String),
    /// `cancel` was called.
    Cancelled,
    /// Our own mistake.
    Bug(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Input(t) | Error::Artifact(t) | Error::Device(t) => write!(f, "{t}"),
            Error::Cancelled => write!(f, "cancelled"),
            Error::Bug(t) => write!(f, "internal error (please report): {t}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<mcv_artifact::Error> for Error {
    fn from(e: mcv_artifact::Error) -> Self {
        Error::Artifact(e.to_string())
    }
}

impl From<crate::image::ImageError> for Error {
    fn from(e: crate::image::ImageError) -> Self {
        match e {
            crate::image::ImageError::Policy { .. } => Error::Artifact(e.to_string()),
            _ => Error::Input(e.to_string()),
        }
    }
}

impl From<crate::text::TextError> for Error {
    fn from(e: crate::text::TextError) -> Self {
        use crate::text::TextError;
        match e {
            TextError::Turn(_) | TextError::Sampling { .. } => Error::Input(e.to_string()),
            TextError::Tokenizer { .. } | TextError::Template { .. } => Error::Artifact(e.to_string()),
            TextError::Logits(_) => Error::Bug(e.to_string()),
        }
    }
}
