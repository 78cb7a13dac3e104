//! A command line → a [`Command`]. RFC 5321 §4.1.1, with the extensions that Pli has.
//!
//! Why not `smtp-proto` here: `docs/decisions/0005-smtp-grammar.md`.

use pli_types::{Address, RcptParameters, Ret, UnixMillis};

use crate::extension::Extension;
use crate::parameter;
use crate::path::{ForwardPath, PathError, forward_path, reverse_path, split_parameters};
use crate::reply::Reply;

/// A command with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// `EHLO` or `LHLO` with the name as claimed.
    Ehlo {
        /// As claimed.
        name: String,
        /// `LHLO` (RFC 2033).
        lmtp: bool,
    },
    /// `HELO`
    Helo(String),
    /// `MAIL FROM:`
    Mail(MailFrom),
    /// `RCPT TO:`
    Rcpt {
        /// To whom.
        path: ForwardPath,
        /// Whether the path has bytes outside ASCII.
        non_ascii: bool,
        /// RFC 3461, RFC 7293.
        parameters: RcptParameters,
        /// The extensions that they are of.
        extensions: Vec<Extension>,
    },
    /// `DATA`
    Data,
    /// `BDAT` (RFC 3030)
    Bdat {
        /// Bytes that follow.
        bytes: u64,
        /// The last chunk.
        last: bool,
    },
    /// `AUTH` (RFC 4954)
    Auth {
        /// In upper case.
        mechanism: String,
        /// `=` is the empty one.
        initial: Option<String>,
    },
    /// `STARTTLS` (RFC 3207)
    StartTls,
    /// `RSET`
    Rset,
    /// `NOOP`
    Noop,
    /// `VRFY`
    Vrfy,
    /// `EXPN`
    Expn,
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
}

/// `MAIL FROM:` with its parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailFrom {
    /// `None` is `<>`.
    pub reverse_path: Option<Address>,
    /// RFC 1870.
    pub size: Option<u64>,
    /// RFC 6152.
    pub eight_bit: bool,
    /// RFC 6531.
    pub smtputf8: bool,
    /// Whether the path has bytes outside ASCII.
    pub non_ascii: bool,
    /// RFC 3030: the content may hold any bytes.
    pub binary: bool,
    /// RFC 3461 §4.3.
    pub ret: Option<Ret>,
    /// RFC 3461 §4.4, as xtext.
    pub envid: Option<String>,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 4865.
    pub hold: Option<Hold>,
    /// The extensions that the parameters are of.
    pub extensions: Vec<Extension>,
}

/// How long a message is to wait. RFC 4865.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Seconds from now.
    For(u32),
    /// Until then.
    Until(UnixMillis),
}

/// Parses a line without its CRLF.
pub fn parse(line: &[u8]) -> Result<Command, Reply> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Err(Reply::new(500, "5.5.2", "The command is not UTF-8"));
    };
    if line.contains('\0') {
        return Err(Reply::new(500, "5.5.2", "NUL in a command"));
    }
    let line = line.trim_end_matches([' ', '\t']);
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    let arguments = rest.trim_start_matches(' ');
    let verb = verb.to_ascii_uppercase();
    match verb.as_str() {
        "EHLO" => Ok(Command::Ehlo { name: client_name(arguments)?, lmtp: false }),
        "LHLO" => Ok(Command::Ehlo { name: client_name(arguments)?, lmtp: true }),
        "HELO" => Ok(Command::Helo(client_name(arguments)?)),
        "MAIL" => mail(arguments).map(Command::Mail),
        "RCPT" => rcpt(arguments),
        "DATA" => none(arguments, Command::Data),
        "BDAT" => bdat(arguments),
        "AUTH" => auth(arguments),
        "STARTTLS" => none(arguments, Command::StartTls),
        "RSET" => none(arguments, Command::Rset),
        "QUIT" => none(arguments, Command::Quit),
        // RFC 5321 §4.1.1.9: a parameter of NOOP is ignored.
        "NOOP" => Ok(Command::Noop),
        "HELP" => Ok(Command::Help),
        "VRFY" => some(arguments, Command::Vrfy),
        "EXPN" => some(arguments, Command::Expn),
        _ => Err(Reply::new(500, "5.5.1", "Command not recognised")),
    }
}

fn syntax(text: &'static str) -> Reply {
    Reply::new(501, "5.5.4", text)
}

fn none(arguments: &str, command: Command) -> Result<Command, Reply> {
    if arguments.is_empty() { Ok(command) } else { Err(syntax("This command takes no argument")) }
}

fn some(arguments: &str, command: Command) -> Result<Command, Reply> {
    if arguments.is_empty() { Err(syntax("An argument is missing")) } else { Ok(command) }
}

/// RFC 5321 §4.1.1.1: a domain or an address literal. Names with underscores and bare host names are let through
/// (clients.md row 15); what could break a `Received` field is not.
fn client_name(arguments: &str) -> Result<String, Reply> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    if arguments.is_empty() || arguments.len() > 255 || !arguments.chars().all(allowed) {
        return Err(syntax("A domain name or an address literal is needed"));
    }
    Ok(arguments.to_owned())
}

fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let head = arguments.get(..keyword.len())?;
    // Some clients put a blank after the colon (clients.md row 15); it carries no meaning.
    head.eq_ignore_ascii_case(keyword)
        .then(|| arguments.get(keyword.len()..).unwrap_or_default().trim_start_matches(' '))
}

fn of_path_error(error: PathError, sender: bool) -> Reply {
    match error {
        PathError::Syntax if sender => Reply::new(501, "5.5.4", "Syntax: MAIL FROM:<address> [parameters]"),
        PathError::Syntax => Reply::new(501, "5.5.4", "Syntax: RCPT TO:<address> [parameters]"),
        PathError::Address(error) if sender => Reply::new(501, "5.1.7", format!("Bad sender address: {error}")),
        PathError::Address(error) => Reply::new(501, "5.1.3", format!("Bad recipient address: {error}")),
        PathError::Empty => Reply::new(501, "5.1.3", "The recipient is empty"),
    }
}

fn mail(arguments: &str) -> Result<MailFrom, Reply> {
    let rest = after_keyword(arguments, "FROM:").ok_or_else(|| of_path_error(PathError::Syntax, true))?;
    let (path, parameters) = split_parameters(rest).map_err(|e| of_path_error(e, true))?;
    let reverse_path = reverse_path(path).map_err(|e| of_path_error(e, true))?;
    let mut from = MailFrom { reverse_path, non_ascii: !path.is_ascii(), ..MailFrom::default() };
    let unknown = "A parameter of MAIL is not recognised";
    from.extensions = parameter::each(parameters, unknown, |k, v| parameter::of_mail(&mut from, k, v))?;
    Ok(from)
}

fn rcpt(arguments: &str) -> Result<Command, Reply> {
    let rest = after_keyword(arguments, "TO:").ok_or_else(|| of_path_error(PathError::Syntax, false))?;
    let (path, words) = split_parameters(rest).map_err(|e| of_path_error(e, false))?;
    let mut parameters = RcptParameters::default();
    let unknown = "A parameter of RCPT is not recognised";
    let extensions = parameter::each(words, unknown, |k, v| parameter::of_rcpt(&mut parameters, k, v))?;
    let non_ascii = !path.is_ascii() || parameters.orcpt.as_ref().is_some_and(|orcpt| !orcpt.is_ascii());
    let path = forward_path(path).map_err(|e| of_path_error(e, false))?;
    Ok(Command::Rcpt { path, non_ascii, parameters, extensions })
}

/// RFC 3030 §2: `BDAT chunk-size [LAST]`.
fn bdat(arguments: &str) -> Result<Command, Reply> {
    let mut words = arguments.split(' ').filter(|w| !w.is_empty());
    let size = words.next().unwrap_or_default();
    let last = match words.next() {
        None => false,
        Some(word) if word.eq_ignore_ascii_case("LAST") => true,
        Some(_) => return Err(syntax("Syntax: BDAT bytes [LAST]")),
    };
    let digits = !size.is_empty() && size.len() <= 20 && size.bytes().all(|b| b.is_ascii_digit());
    match size.parse() {
        Ok(bytes) if digits && words.next().is_none() => Ok(Command::Bdat { bytes, last }),
        _ => Err(syntax("Syntax: BDAT bytes [LAST]")),
    }
}

fn auth(arguments: &str) -> Result<Command, Reply> {
    let mut words = arguments.split(' ').filter(|w| !w.is_empty());
    let Some(mechanism) = words.next() else { return Err(syntax("Syntax: AUTH mechanism [initial-response]")) };
    let initial = words.next().map(str::to_owned);
    if words.next().is_some() {
        return Err(syntax("Syntax: AUTH mechanism [initial-response]"));
    }
    Ok(Command::Auth { mechanism: mechanism.to_ascii_uppercase(), initial })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn code(line: &str) -> u16 {
        parse(line.as_bytes()).unwrap_err().code
    }

    #[test]
    fn known_answers() {
        assert_eq!(parse(b"ehlo [127.0.0.1]").unwrap(), Command::Ehlo { name: "[127.0.0.1]".into(), lmtp: false });
        assert_eq!(parse(b"EHLO my_pc").unwrap(), Command::Ehlo { name: "my_pc".into(), lmtp: false });
        assert_eq!(parse(b"bdat 5 last").unwrap(), Command::Bdat { bytes: 5, last: true });
        assert_eq!(parse(b"BDAT 0").unwrap(), Command::Bdat { bytes: 0, last: false });
        assert_eq!(parse(b"noop whatever").unwrap(), Command::Noop);
        assert_eq!(parse(b"AUTH LOGIN ").unwrap(), Command::Auth { mechanism: "LOGIN".into(), initial: None });
        assert_eq!(
            parse(b"AUTH plain =").unwrap(),
            Command::Auth { mechanism: "PLAIN".into(), initial: Some("=".into()) }
        );
        assert_eq!(parse(b"quit  ").unwrap(), Command::Quit);
    }

    #[test]
    fn mail_parameters() {
        let Command::Mail(from) = parse(b"MAIL FROM: <a@Example.ORG> body=8bitmime SIZE=12 SMTPUTF8").unwrap() else {
            panic!("not MAIL")
        };
        assert_eq!(from.reverse_path.unwrap().to_string(), "a@example.org");
        assert_eq!((from.size, from.eight_bit, from.smtputf8), (Some(12), true, true));
        let Command::Mail(from) = parse(b"mail from:<>").unwrap() else { panic!("not MAIL") };
        assert_eq!(from, MailFrom::default());
        let Command::Mail(from) = parse(b"MAIL FROM:<> SIZE=99999999999999999999").unwrap() else { panic!("not MAIL") };
        assert_eq!(from.size, Some(u64::MAX));
    }

    #[test]
    fn refused_lines() {
        for line in ["", "XYZZY", "MAI FROM:<>", "EHLOx"] {
            assert_eq!(code(line), 500, "{line}");
        }
        let wrong = [
            "EHLO",
            "EHLO a b",
            "HELO",
            "EHLO (x)",
            "MAIL",
            "MAIL FROM",
            "MAIL FROM:",
            "MAIL FROM:a@b",
            "MAIL TO:<a@b>",
            "MAIL FROM:<a@b",
            "MAIL FROM:<a@b>SIZE=1",
            "MAIL FROM:<a b@c>",
            "MAIL FROM:<a@b> SIZE=x",
            "MAIL FROM:<a@b> SIZE=1 SIZE=2",
            "RCPT TO:<>",
            "RCPT TO:a@b",
            "RCPT TO:<a@b>>",
            "DATA now",
            "RSET x",
            "QUIT x",
            "STARTTLS x",
            "BDAT",
            "BDAT x",
            "BDAT -1",
            "BDAT +1",
            "BDAT 1 LAST x",
            "BDAT 1 2",
            "VRFY",
            "AUTH",
            "AUTH PLAIN a b",
            "BDAT 99999999999999999999 LAST",
        ];
        for line in wrong {
            assert_eq!(code(line), 501, "{line}");
        }
        assert_eq!(code("MAIL FROM:<a@b> XYZZY=1"), 555);
        assert_eq!(code("RCPT TO:<a@b> XYZZY"), 555);
        assert_eq!(parse(b"NOOP \0").unwrap_err().code, 500);
        assert_eq!(parse(b"NOOP \xff").unwrap_err().code, 500);
    }
}
