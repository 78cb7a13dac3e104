//! The extensions, one row each: EHLO, the check of parameters and the table in `docs/smtp.md` follow from it.

use std::fmt::Write as _;

use crate::Role;

/// An extension of SMTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// PIPELINING
    Pipelining,
    /// SIZE
    Size,
    /// 8BITMIME
    EightBitMime,
    /// SMTPUTF8
    SmtpUtf8,
    /// ENHANCEDSTATUSCODES
    EnhancedStatusCodes,
    /// CHUNKING
    Chunking,
    /// BINARYMIME
    BinaryMime,
    /// DSN
    Dsn,
    /// REQUIRETLS. In no row: a server that passes mail on cannot prove itself to us yet, by MTA-STS or DANE. Rows that
    /// have it go nowhere without.
    RequireTls,
    /// LIMITS
    Limits,
    /// FUTURERELEASE
    FutureRelease,
    /// RRVS
    Rrvs,
    /// STARTTLS
    StartTls,
    /// AUTH
    Auth,
    /// HELP
    Help,
}

/// The doors at which an extension is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doors {
    All,
    Submission,
}

/// When it is offered there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    InTheClear,
    /// Inside TLS, before somebody has logged in.
    BeforeLogin,
}

struct Row {
    extension: Extension,
    keyword: &'static str,
    rfc: &'static str,
    doors: Doors,
    when: When,
    /// What is done with it, for the docs.
    does: &'static str,
}

const fn row(
    extension: Extension,
    keyword: &'static str,
    rfc: &'static str,
    doors: Doors,
    when: When,
    does: &'static str,
) -> Row {
    Row { extension, keyword, rfc, doors, when, does }
}

/// In the order of EHLO.
const TABLE: [Row; 14] = [
    row(
        Extension::Pipelining,
        "PIPELINING",
        "2920",
        Doors::All,
        When::Always,
        "replies leave in the order of commands",
    ),
    row(Extension::Size, "SIZE", "1870", Doors::All, When::Always, "the largest message; quota is asked at RCPT"),
    row(Extension::EightBitMime, "8BITMIME", "6152", Doors::All, When::Always, "content goes on as it came"),
    row(
        Extension::SmtpUtf8,
        "SMTPUTF8",
        "6531",
        Doors::All,
        When::Always,
        "never downgraded: a server without it gets no such mail",
    ),
    row(
        Extension::EnhancedStatusCodes,
        "ENHANCEDSTATUSCODES",
        "2034",
        Doors::All,
        When::Always,
        "in every reply that may have one",
    ),
    row(Extension::Chunking, "CHUNKING", "3030", Doors::All, When::Always, "`BDAT`"),
    row(
        Extension::BinaryMime,
        "BINARYMIME",
        "3030",
        Doors::All,
        When::Always,
        "with `BDAT` only; binary parts become Base64 before they are stored or sent on",
    ),
    row(
        Extension::Dsn,
        "DSN",
        "3461",
        Doors::All,
        When::Always,
        "`RET`, `ENVID`, `NOTIFY`, `ORCPT` go into the queue's row and on to the next server",
    ),
    row(Extension::Limits, "LIMITS", "9422", Doors::All, When::Always, "`RCPTMAX`"),
    row(
        Extension::FutureRelease,
        "FUTURERELEASE",
        "4865",
        Doors::Submission,
        When::Always,
        "`HOLDFOR`, `HOLDUNTIL`: the message waits in the queue; to other domains only",
    ),
    row(
        Extension::Rrvs,
        "RRVS",
        "7293",
        Doors::All,
        When::Always,
        "a mailbox made since then is refused; the header field is heeded too",
    ),
    row(
        Extension::StartTls,
        "STARTTLS",
        "3207",
        Doors::All,
        When::InTheClear,
        "what was pipelined behind it is thrown away",
    ),
    row(
        Extension::Auth,
        "AUTH",
        "4954",
        Doors::Submission,
        When::BeforeLogin,
        "PLAIN LOGIN SCRAM-SHA-256 (7677) and, where the configuration allows, OAUTHBEARER (7628), XOAUTH2, EXTERNAL",
    ),
    row(Extension::Help, "HELP", "5321", Doors::All, When::Always, ""),
];

/// What decides about an offer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circumstances {
    pub(crate) role: Role,
    pub(crate) tls: bool,
    pub(crate) starttls: bool,
    pub(crate) authenticated: bool,
}

impl Doors {
    const fn are(self, role: Role) -> bool {
        match self {
            Self::All => true,
            Self::Submission => role.is_submission(),
        }
    }
}

impl Row {
    const fn is_offered(&self, at: Circumstances) -> bool {
        self.doors.are(at.role)
            && match self.when {
                When::Always => true,
                When::InTheClear => at.starttls && !at.tls,
                When::BeforeLogin => at.tls && !at.authenticated,
            }
    }
}

/// What EHLO lists, in order, with its keyword.
pub(crate) fn offered(at: Circumstances) -> impl Iterator<Item = (Extension, &'static str)> {
    TABLE.iter().filter(move |row| row.is_offered(at)).map(|row| (row.extension, row.keyword))
}

/// Whether parameters of the extension are taken now.
pub(crate) fn is_offered(extension: Extension, at: Circumstances) -> bool {
    TABLE.iter().any(|row| row.extension == extension && row.is_offered(at))
}

/// The table of `docs/smtp.md`.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from("| extension | RFC | offered | what is done |\n| --- | --- | --- | --- |\n");
    for row in &TABLE {
        let doors = match row.doors {
            Doors::All => "everywhere",
            Doors::Submission => "submission",
        };
        let when = match row.when {
            When::Always => "",
            When::InTheClear => ", before TLS",
            When::BeforeLogin => ", inside TLS, before login",
        };
        // Writing to a String does not fail.
        let _ = writeln!(out, "| {} | {} | {doors}{when} | {} |", row.keyword, row.rfc, row.does);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn the_docs_hold_the_table() {
        // Cargo and nextest run tests in their package's folder.
        let page = std::fs::read_to_string("../../docs/smtp.md").unwrap();
        assert!(page.contains(&markdown()), "put this into docs/smtp.md:\n{}", markdown());
    }
}
