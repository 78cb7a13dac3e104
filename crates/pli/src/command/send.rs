//! `pli send --from --to --subject [FILE|-]`

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_admin::Request;
use pli_io::{Clock as _, RealClock};
use pli_types::{Address, UnixMillis};

use crate::cli::{Global, Send};
use crate::failure::{DATA, Failure, SOFTWARE};
use crate::link::ask;
use crate::output::{line, value};
use crate::pki::Date;
use crate::texts::Text;

/// Longest text, in bytes.
const TEXT_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// RFC 2045 §6.8: characters of a base64 line.
const BASE64_LINE_CHARS: usize = 76;
/// RFC 2047 §2: an encoded word has 75 characters at most; this many bytes of text fit one.
const ENCODED_WORD_BYTES: usize = 42;

/// Runs it.
pub fn run(global: &Global, arguments: &Send) -> Result<(), Failure> {
    let text = read(arguments.file.as_deref())?;
    let unique: [u8; 8] = pli_crypto::random_bytes().map_err(|e| Failure::new(SOFTWARE, e.to_string()))?;
    let now = Arc::new(RealClock::new()).now();
    let Send { from, to, subject, .. } = arguments;
    let message = message(from, to, subject, &text, now, u64::from_le_bytes(unique));
    let answer = ask(global, Request::Send { from: from.clone(), to: to.clone(), message })?;
    if global.json {
        value(&answer);
    } else {
        let here = answer.pointer("/delivered").map_or_else(String::new, ToString::to_string);
        let queued = answer.pointer("/queued").and_then(|q| q.as_array()).map_or(0, Vec::len);
        line(&Text::Sent.with(global.language(), &[&here, &queued.to_string()]));
    }
    Ok(())
}

fn read(file: Option<&Path>) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let path = file.filter(|f| *f != Path::new("-"));
    let result = match path {
        Some(path) => std::fs::File::open(path).and_then(|f| f.take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes)),
        None => std::io::stdin().lock().take(TEXT_BYTES_MAX + 1).read_to_end(&mut bytes),
    };
    let shown = path.unwrap_or(Path::new("standard input"));
    result.map_err(|error| Failure::file("read", shown, &error))?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > TEXT_BYTES_MAX {
        return Err(Failure::new(DATA, format!("{}: more than {TEXT_BYTES_MAX} bytes", shown.display())));
    }
    String::from_utf8(bytes).map_err(|_| Failure::new(DATA, format!("{}: not UTF-8", shown.display())))
}

/// RFC 5322: a text message in UTF-8, in base64 so that any next hop takes it.
fn message(from: &Address, to: &[Address], subject: &str, text: &str, now: UnixMillis, unique: u64) -> String {
    let to: Vec<String> = to.iter().map(ToString::to_string).collect();
    let mut out = format!(
        "Date: {}\r\nFrom: {from}\r\nTo: {}\r\nMessage-ID: <{:x}.{unique:016x}@{}>\r\nSubject: {}\r\n",
        date(now),
        to.join(",\r\n "),
        now.0,
        from.domain_ascii(),
        header_text(subject)
    );
    out.push_str(
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n",
    );
    // RFC 2046 §4.1.1: lines of text end in CRLF before the transfer encoding.
    let encoded = BASE64.encode(text.replace("\r\n", "\n").replace('\n', "\r\n"));
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(BASE64_LINE_CHARS).unwrap_or((rest, ""));
        out.push_str(line);
        out.push_str("\r\n");
        rest = after;
    }
    out
}

/// RFC 5322 §3.3, in UTC.
fn date(now: UnixMillis) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let secs = now.secs();
    let date = Date::of(secs);
    let of_day = secs.rem_euclid(86_400);
    let weekday = usize::try_from(secs.div_euclid(86_400).rem_euclid(7)).unwrap_or(0);
    format!(
        "{}, {:02} {} {:04} {:02}:{:02}:{:02} +0000",
        DAYS.get(weekday).unwrap_or(&""),
        date.day,
        MONTHS.get(usize::from(date.month.saturating_sub(1))).unwrap_or(&""),
        date.year,
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

/// A header's text: as it is where it is short printable ASCII, in encoded words otherwise (RFC 2047 §2). Line breaks,
/// with which a subject could add headers, become blanks.
fn header_text(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_ascii() && text.len() <= 900 && !text.contains("=?") {
        return text;
    }
    let mut words: Vec<String> = Vec::new();
    let mut chunk = String::new();
    for c in text.chars() {
        // RFC 2047 §5: no character is split between words.
        if chunk.len() + c.len_utf8() > ENCODED_WORD_BYTES {
            words.push(std::mem::take(&mut chunk));
        }
        chunk.push(c);
    }
    words.push(chunk);
    let words: Vec<String> = words.iter().map(|w| format!("=?utf-8?B?{}?=", BASE64.encode(w))).collect();
    words.join("\r\n ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn headers_cannot_be_smuggled_and_lines_stay_short() {
        let from = Address::parse("alice@a.test").unwrap();
        let to = [Address::parse("bob@a.test").unwrap()];
        let text = message(&from, &to, "Été\r\nBcc: x@y.test", &"ligne\n".repeat(200), UnixMillis(0), 7);
        assert!(text.starts_with("Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: alice@a.test\r\n"), "{text}");
        assert!(!text.contains("\r\nBcc:"));
        assert!(text.lines().all(|l| l.len() <= 78));
        assert!(text.ends_with("\r\n"));
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']));
    }

    #[test]
    fn subjects_and_dates() {
        assert_eq!(header_text("Hello"), "Hello");
        assert_eq!(header_text("é"), "=?utf-8?B?w6k=?=");
        assert!(header_text(&"é".repeat(100)).split("\r\n ").all(|w| w.len() <= 75));
        assert!(header_text("=?utf-8?Q?x?=").starts_with("=?utf-8?B?"));
        assert_eq!(date(UnixMillis::from_secs(1_795_526_700)), "Tue, 24 Nov 2026 13:25:00 +0000");
    }
}
