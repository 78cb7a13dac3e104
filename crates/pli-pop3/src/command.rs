//! Commands: RFC 1939, RFC 2449 §5, RFC 5034 §4.

use pli_crypto::SecretString;
use zeroize::Zeroizing;

use crate::limits::NAME_BYTES_MAX;

/// A command.
#[derive(Clone, Debug)]
pub enum Command {
    /// `USER name`
    User(String),
    /// `PASS password`: all that follows the one blank.
    Pass(SecretString),
    /// `AUTH mechanism [initial-response]`
    Auth {
        /// The mechanism's name.
        mechanism: String,
        /// In Base64; `=` is an empty one.
        initial: Option<Zeroizing<Vec<u8>>>,
    },
    /// `AUTH` alone: which mechanisms are there? Outlook asks so, with a blank behind it.
    Mechanisms,
    /// `CAPA`
    Capa,
    /// `STAT`
    Stat,
    /// `LIST [message]`
    List(Option<u32>),
    /// `UIDL [message]`
    Uidl(Option<u32>),
    /// `RETR message`
    Retr(u32),
    /// `TOP message lines`
    Top(u32, u64),
    /// `DELE message`
    Dele(u32),
    /// `NOOP`
    Noop,
    /// `RSET`
    Rset,
    /// `QUIT`
    Quit,
}

/// Why a line is no command; the text of the reply.
pub type Wrong = &'static str;

/// Reads a line without its end. Blanks at the end are let through, apart from those of a password.
pub fn parse(line: &[u8]) -> Result<Command, Wrong> {
    let (verb, rest) = match memchr::memchr(b' ', line) {
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..).unwrap_or_default()),
        None => (line, &[][..]),
    };
    let is = |name: &str| verb.eq_ignore_ascii_case(name.as_bytes());
    if is("PASS") {
        return Ok(Command::Pass(SecretString::from(String::from_utf8_lossy(rest).into_owned())));
    }
    let rest = rest.trim_ascii();
    if is("USER") {
        let name = std::str::from_utf8(rest).map_err(|_| "The name is not UTF-8")?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX {
            return Err("A name is needed, not too long");
        }
        return Ok(Command::User(name.to_owned()));
    }
    let mut words = rest.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let command = if is("AUTH") {
        match words.next() {
            None => Command::Mechanisms,
            Some(name) => Command::Auth {
                mechanism: String::from_utf8_lossy(name).into_owned(),
                initial: words.next().map(|word| Zeroizing::new(word.to_vec())),
            },
        }
    } else if is("CAPA") {
        Command::Capa
    } else if is("STAT") {
        Command::Stat
    } else if is("LIST") {
        Command::List(words.next().map(number).transpose()?)
    } else if is("UIDL") {
        Command::Uidl(words.next().map(number).transpose()?)
    } else if is("RETR") {
        Command::Retr(needed(words.next())?)
    } else if is("TOP") {
        let message = needed(words.next())?;
        let lines = words.next().and_then(digits).ok_or("A number of lines is needed")?;
        Command::Top(message, lines)
    } else if is("DELE") {
        Command::Dele(needed(words.next())?)
    } else if is("NOOP") {
        Command::Noop
    } else if is("RSET") {
        Command::Rset
    } else if is("QUIT") {
        Command::Quit
    } else if is("STLS") {
        return Err("TLS is on already");
    } else {
        return Err("The command is not known");
    };
    if words.next().is_some() { Err("Too many arguments") } else { Ok(command) }
}

fn needed(word: Option<&[u8]>) -> Result<u32, Wrong> {
    number(word.ok_or("A message number is needed")?)
}

/// RFC 1939 §5: from 1 on.
fn number(word: &[u8]) -> Result<u32, Wrong> {
    digits(word).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0).ok_or("That is no message number")
}

fn digits(word: &[u8]) -> Option<u64> {
    // `parse` takes a sign.
    let plain = !word.is_empty() && word.iter().all(u8::is_ascii_digit);
    plain.then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
    use super::*;

    fn read(line: &str) -> String {
        match parse(line.as_bytes()) {
            Ok(Command::Pass(password)) => format!("Pass({})", password.expose()),
            Ok(command) => format!("{command:?}"),
            Err(wrong) => format!("-{wrong}"),
        }
    }

    #[test]
    fn commands() {
        assert_eq!(read("user Ann@example.org "), "User(\"Ann@example.org\")");
        assert_eq!(read("PASS  two blanks "), "Pass( two blanks )");
        assert_eq!(read("PASS"), "Pass()");
        assert_eq!(
            (read("AUTH"), read("AUTH "), read("auth  ")),
            ("Mechanisms".into(), "Mechanisms".into(), "Mechanisms".into())
        );
        assert_eq!(read("AUTH plain"), "Auth { mechanism: \"plain\", initial: None }");
        assert_eq!(read("LIST"), "List(None)");
        assert_eq!(read("list 2 "), "List(Some(2))");
        assert_eq!((read("UIDL 1"), read("RETR 7")), ("Uidl(Some(1))".into(), "Retr(7)".into()));
        assert_eq!((read("TOP 1 0"), read("DELE 4294967295")), ("Top(1, 0)".into(), "Dele(4294967295)".into()));
        for line in ["CAPA", "STAT", "NOOP", "RSET", "quit"] {
            assert!(!read(line).starts_with('-'), "{line}");
        }
        for line in [
            "",
            " ",
            "USER",
            "USER \u{0}",
            "RETR",
            "RETR 0",
            "RETR +1",
            "RETR -1",
            "RETR 4294967296",
            "TOP 1",
            "TOP 1 x",
            "DELE 1 2",
            "LIST x",
            "STAT 1",
            "STLS",
            "APOP a b",
            "RETRX 1",
            "AUTH a b c",
        ] {
            let wrong = read(line);
            assert!(wrong.starts_with('-') || line == "USER \u{0}", "{line:?}: {wrong}");
        }
    }
}
