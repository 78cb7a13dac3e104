//! What became of one recipient in one attempt.

use std::fmt;

/// The result of an attempt, with the words that stand in the row, the bounce and the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other MTA took responsibility.
    Delivered(Taken),
    /// Not now.
    Deferred(Reason),
    /// Never.
    Failed(Reason),
}

/// What the other MTA said when it took responsibility.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Its reply.
    pub reply: String,
    /// The host.
    pub host: String,
    /// It speaks RFC 3461: reports of success are its affair.
    pub reports: bool,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.is_empty() { f.write_str(&self.reply) } else { write!(f, "{}: {}", self.host, self.reply) }
    }
}

/// Why not: an RFC 3463 status and the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `5.1.1`; RFC 3463.
    pub status: String,
    /// The reply of the other MTA (`smtp;` diagnostic) when it said something.
    pub reply: Option<String>,
    /// In words.
    pub text: String,
    /// The host that was asked.
    pub host: Option<String>,
}

impl Reason {
    /// A reason of our own.
    pub(crate) fn new(status: &str, text: impl Into<String>) -> Self {
        Self { status: status.to_owned(), reply: None, text: text.into(), host: None }
    }
    /// The same, at a host.
    pub(crate) fn at(mut self, host: &str) -> Self {
        self.host = Some(host.to_owned());
        self
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}: ")?;
        }
        match &self.reply {
            Some(reply) => f.write_str(reply),
            None => write!(f, "{} ({})", self.text, self.status),
        }
    }
}

impl Outcome {
    /// Whether another host of the same destination may do better.
    #[must_use]
    pub(crate) const fn is_deferred(&self) -> bool {
        matches!(self, Self::Deferred(_))
    }
}
