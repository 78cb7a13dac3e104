//! What comes back.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// It was done; what there is to show.
    Ok(Value),
    /// It was not done.
    Error(Failure),
    /// How far it is; the answer comes later.
    Progress(Value),
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// For scripts.
    pub kind: ErrorKind,
    /// For people.
    pub message: String,
}

/// Kinds of failure; the command line turns each into its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The request makes no sense.
    Usage,
    /// What it names is not there.
    NotFound,
    /// What it would make is there already.
    Exists,
    /// The gate refused.
    Refused,
    /// Verification found damage; the report is in the message.
    Damaged,
    /// Not now.
    Unavailable,
}

impl Failure {
    /// A failure of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl From<Result<Value, Failure>> for Reply {
    fn from(result: Result<Value, Failure>) -> Self {
        match result {
            Ok(value) => Self::Ok(value),
            Err(failure) => Self::Error(failure),
        }
    }
}
