//! A zone in memory, read from a master file (RFC 1035 §5): the DNS of tests and of closed networks.
//!
//! What it holds is all there is: any other name does not exist. Besides records it can say how a name fails:
//!
//! ```text
//! $ORIGIN example.org.
//! @        MX    10 mail
//! mail     A     192.0.2.1
//! *.wild   TXT   "by a wildcard"
//! lost     FAULT servfail          ; servfail, bogus, timeout; silent: no answer at all
//! half     FAULT servfail TXT      ; only for one kind
//! $SECURE on                       ; what follows counts as signed
//! _25._tcp.mail TLSA 3 1 1 0102…
//! ```

use std::collections::HashMap;

use thiserror::Error;

use super::{Answer, DnsError, Kind, Record, fold};

/// Aliases followed.
const CNAMES_MAX: usize = 8;
/// A zone file is a test's or a small network's.
const BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is wrong with a master file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {reason}")]
pub struct ZoneError {
    /// Where, from 1.
    pub line: usize,
    /// What.
    pub reason: String,
}

/// How a name fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    ServFail,
    Bogus,
    TimeOut,
    Silent,
}

#[derive(Clone, Debug, Default)]
struct Node {
    records: Vec<(Record, bool)>,
    alias: Option<(String, bool)>,
    /// For one kind, or for all.
    faults: Vec<(Option<Kind>, Fault)>,
}

/// Names and their records.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    nodes: HashMap<String, Node>,
}

/// The state of reading a master file.
struct Reader {
    zone: Zone,
    origin: String,
    owner: String,
    secure: bool,
}

/// A word of a line, or a quoted string.
struct Word {
    text: Vec<u8>,
}

impl Word {
    fn text(&self) -> Result<&str, String> {
        std::str::from_utf8(&self.text).map_err(|_| String::from("not UTF-8"))
    }
    fn number<T: std::str::FromStr>(&self) -> Result<T, String> {
        let text = self.text()?;
        text.parse().map_err(|_| format!("{text} is not a number here"))
    }
}

impl Zone {
    /// Reads a master file.
    pub fn parse(text: &str) -> Result<Self, ZoneError> {
        if text.len() > BYTES_MAX {
            return Err(ZoneError { line: 0, reason: String::from("the file is too large") });
        }
        let mut reader = Reader { zone: Self::default(), origin: String::new(), owner: String::new(), secure: false };
        let mut entry = String::new();
        let mut began = 1;
        for (nth, line) in text.lines().enumerate() {
            if entry.is_empty() {
                began = nth + 1;
            } else {
                entry.push(' ');
            }
            entry.push_str(without_comment(line));
            if parentheses(&entry) > 0 {
                continue;
            }
            let fresh = entry.starts_with([' ', '\t']);
            let words = words(&entry);
            entry.clear();
            words.and_then(|words| reader.entry(&words, fresh)).map_err(|reason| ZoneError { line: began, reason })?;
        }
        if entry.is_empty() {
            Ok(reader.zone)
        } else {
            Err(ZoneError { line: began, reason: String::from("a parenthesis is not closed") })
        }
    }

    /// Adds a record, for tests that make their zones.
    pub fn add(&mut self, name: &str, record: Record, secure: bool) {
        self.nodes.entry(fold(name)).or_default().records.push((record, secure));
    }

    /// Adds an alias.
    pub fn add_alias(&mut self, name: &str, target: &str) {
        self.nodes.entry(fold(name)).or_default().alias = Some((fold(target), false));
    }

    /// Every question about a name, or about one kind at it, times out.
    pub fn add_timeout(&mut self, name: &str, kind: Option<Kind>) {
        self.nodes.entry(fold(name)).or_default().faults.push((kind, Fault::TimeOut));
    }

    /// The answer; `None`: there will never be one.
    pub(super) fn look(&self, name: &str, kind: Kind) -> Option<Result<Answer, DnsError>> {
        let asked = name;
        let mut name = fold(name);
        let mut secure = true;
        let temporary = |reason: &str| DnsError::Temporary { name: asked.to_owned(), reason: reason.to_owned() };
        for _ in 0..=CNAMES_MAX {
            let Some(node) = self.node(&name) else {
                return Some(Err(self.absence(asked, &name)));
            };
            let fault = node.faults.iter().find(|(of, _)| of.is_none_or(|of| of == kind));
            match fault.map(|(_, fault)| *fault) {
                Some(Fault::ServFail) => return Some(Err(temporary("Server Failure"))),
                Some(Fault::TimeOut) => return Some(Err(temporary("timed out"))),
                Some(Fault::Bogus) => return Some(Err(DnsError::Bogus(asked.to_owned()))),
                Some(Fault::Silent) => return None,
                None => {}
            }
            if let Some((target, signed)) = &node.alias {
                secure &= signed;
                name = target.clone();
                continue;
            }
            let of_kind: Vec<_> = node.records.iter().filter(|(record, _)| record.kind() == kind).collect();
            if of_kind.is_empty() {
                return Some(Err(DnsError::NoData(asked.to_owned())));
            }
            let secure = secure && of_kind.iter().all(|(_, signed)| *signed);
            let records = of_kind.into_iter().map(|(record, _)| record.clone()).collect();
            return Some(Ok(Answer { records, secure, canonical: name }));
        }
        Some(Err(temporary("aliases go in a circle")))
    }

    /// The name's own node, or the wildcard's that covers it. RFC 4592 §3.3.
    fn node(&self, name: &str) -> Option<&Node> {
        if let Some(node) = self.nodes.get(name) {
            return Some(node);
        }
        if self.exists(name) {
            return None;
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(node) = self.nodes.get(&format!("*.{parent}")) {
                return Some(node);
            }
            if self.exists(parent) {
                return None;
            }
            rest = parent;
        }
        self.nodes.get("*")
    }

    /// Whether the name or anything below it has records.
    fn exists(&self, name: &str) -> bool {
        self.nodes.contains_key(name)
            || self.nodes.keys().any(|n| n.strip_suffix(name).is_some_and(|left| left.ends_with('.')))
    }

    fn absence(&self, asked: &str, name: &str) -> DnsError {
        if self.exists(name) { DnsError::NoData(asked.to_owned()) } else { DnsError::NoSuchName(asked.to_owned()) }
    }
}

/// The line up to its comment.
fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ';' if !quoted => return line.get(..at).unwrap_or_default(),
            _ => {}
        }
    }
    line
}

/// Parentheses that are open at the end.
fn parentheses(text: &str) -> i32 {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
    }
    depth
}

/// RFC 1035 §5.1: words, quoted strings, `\X` and `\DDD`.
fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quoted = false;
    let mut bytes = line.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                let word = word.get_or_insert(Word { text: Vec::new() });
                let next = bytes.next().ok_or("a line ends with a backslash")?;
                if next.is_ascii_digit() {
                    let mut code = u32::from(next - b'0');
                    for _ in 0..2 {
                        let digit = bytes.next().filter(u8::is_ascii_digit).ok_or("\\DDD needs three digits")?;
                        code = code * 10 + u32::from(digit - b'0');
                    }
                    word.text.push(u8::try_from(code).map_err(|_| "\\DDD is above 255")?);
                } else {
                    word.text.push(next);
                }
            }
            b'"' => {
                quoted = !quoted;
                if quoted {
                    words.extend(word.take());
                    word = Some(Word { text: Vec::new() });
                } else {
                    words.extend(word.take());
                }
            }
            b' ' | b'\t' | b'(' | b')' if !quoted => words.extend(word.take()),
            other => word.get_or_insert(Word { text: Vec::new() }).text.push(other),
        }
    }
    if quoted {
        return Err(String::from("a quote is not closed"));
    }
    words.extend(word);
    Ok(words)
}

impl Reader {
    fn absolute(&self, name: &str) -> String {
        if name == "@" {
            return self.origin.clone();
        }
        match name.strip_suffix('.') {
            Some(absolute) => absolute.to_ascii_lowercase(),
            None if self.origin.is_empty() => name.to_ascii_lowercase(),
            None => format!("{}.{}", name.to_ascii_lowercase(), self.origin),
        }
    }

    fn entry(&mut self, words: &[Word], same_owner: bool) -> Result<(), String> {
        let Some(first) = words.first() else { return Ok(()) };
        match first.text()? {
            "$ORIGIN" => {
                let name = words.get(1).ok_or("$ORIGIN needs a name")?.text()?;
                self.origin = self.absolute(name);
                return Ok(());
            }
            "$TTL" => return Ok(()),
            "$SECURE" => {
                self.secure = match words.get(1).ok_or("$SECURE needs on or off")?.text()? {
                    "on" => true,
                    "off" => false,
                    other => return Err(format!("{other}: on or off")),
                };
                return Ok(());
            }
            other if other.starts_with('$') => return Err(format!("{other} is not known")),
            _ => {}
        }
        let mut rest = words;
        if !same_owner {
            self.owner = self.absolute(first.text()?);
            rest = rest.get(1..).unwrap_or_default();
        }
        // TTL and class, in any order.
        while let Some(word) = rest.first() {
            let text = word.text()?;
            let skip = text.eq_ignore_ascii_case("IN") || text.bytes().all(|b| b.is_ascii_digit());
            if !skip {
                break;
            }
            rest = rest.get(1..).unwrap_or_default();
        }
        let (kind, data) = rest.split_first().ok_or("a name without a record")?;
        self.record(kind.text()?, data)
    }

    fn record(&mut self, kind: &str, data: &[Word]) -> Result<(), String> {
        let word = |at: usize| data.get(at).ok_or_else(|| format!("{kind} needs more"));
        let record = match kind.to_ascii_uppercase().as_str() {
            "A" => Record::A(word(0)?.number()?),
            "AAAA" => Record::Aaaa(word(0)?.number()?),
            "MX" => Record::Mx { preference: word(0)?.number()?, host: self.absolute(word(1)?.text()?) },
            "PTR" => Record::Ptr(self.absolute(word(0)?.text()?)),
            "TXT" => {
                word(0)?;
                if data.iter().any(|part| part.text.len() > 255) {
                    return Err(String::from("a string of TXT has at most 255 bytes"));
                }
                Record::Txt(data.iter().flat_map(|part| part.text.iter().copied()).collect())
            }
            "TLSA" => {
                let hex: Vec<u8> = data.iter().skip(3).flat_map(|part| part.text.iter().copied()).collect();
                Record::Tlsa {
                    usage: word(0)?.number()?,
                    selector: word(1)?.number()?,
                    matching: word(2)?.number()?,
                    data: from_hex(&hex).ok_or("TLSA: no hexadecimal data")?,
                }
            }
            "SRV" => Record::Srv {
                priority: word(0)?.number()?,
                weight: word(1)?.number()?,
                port: word(2)?.number()?,
                target: self.absolute(word(3)?.text()?),
            },
            "CNAME" => {
                let alias = (self.absolute(word(0)?.text()?), self.secure);
                self.zone.nodes.entry(self.owner.clone()).or_default().alias = Some(alias);
                return Ok(());
            }
            "FAULT" => {
                let fault = match word(0)?.text()? {
                    "servfail" => Fault::ServFail,
                    "bogus" => Fault::Bogus,
                    "timeout" => Fault::TimeOut,
                    "silent" => Fault::Silent,
                    other => return Err(format!("{other}: servfail, bogus, timeout or silent")),
                };
                let of = match data.get(1) {
                    None => None,
                    Some(word) => {
                        let text = word.text()?.to_ascii_uppercase();
                        let known = Kind::NAMED.iter().find(|(name, _)| *name == text);
                        Some(known.ok_or_else(|| format!("{text} is no kind of record"))?.1)
                    }
                };
                self.zone.nodes.entry(self.owner.clone()).or_default().faults.push((of, fault));
                return Ok(());
            }
            // The name is there, and what the record says is not asked for here.
            "SOA" | "NS" | "CAA" | "SPF" => {
                self.zone.nodes.entry(self.owner.clone()).or_default();
                return Ok(());
            }
            other => return Err(format!("{other} is no kind of record that is known here")),
        };
        self.zone.nodes.entry(self.owner.clone()).or_default().records.push((record, self.secure));
        Ok(())
    }
}

/// Bytes of hexadecimal digits.
pub(crate) fn from_hex(hex: &[u8]) -> Option<Vec<u8>> {
    if hex.is_empty() || !hex.len().is_multiple_of(2) {
        return None;
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    hex.chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    const FILE: &str = r#"
$ORIGIN example.org.
$TTL 3600
@        3600 IN MX 10 mail ; the one
         IN   MX 20 b.example.net.
mail     A     192.0.2.1
         AAAA  2001:db8::1
a.b.deep A     192.0.2.9
www      CNAME mail
loop1    CNAME loop2
loop2    CNAME loop1
*.wild   TXT   "by a wildcard"
there.wild A   192.0.2.7
t        TXT   ( "v=spf1 ;" ; comment
                 " \034-all" )
nullmx   MX 0 .
lost     FAULT servfail
half     FAULT timeout TXT
half     A 192.0.2.3
bad      FAULT bogus
$SECURE on
_25._tcp.mail TLSA 3 1 1 ( 0102 aBff )
signed   CNAME mail
sec      A 192.0.2.4
_imaps._tcp SRV 0 1 993 mail
"#;

    fn look(name: &str, kind: Kind) -> Result<Answer, DnsError> {
        Zone::parse(FILE).unwrap().look(name, kind).unwrap()
    }

    #[test]
    fn records_of_a_master_file() {
        let mx = look("Example.ORG.", Kind::Mx).unwrap();
        assert_eq!(
            mx.records,
            [
                Record::Mx { preference: 10, host: String::from("mail.example.org") },
                Record::Mx { preference: 20, host: String::from("b.example.net") }
            ]
        );
        assert!(!mx.secure);
        assert_eq!(look("t.example.org", Kind::Txt).unwrap().records, [Record::Txt(b"v=spf1 ; \"-all".to_vec())]);
        let www = look("www.example.org", Kind::A).unwrap();
        assert_eq!((www.canonical.as_str(), www.records.len()), ("mail.example.org", 1));
        let tlsa = look("_25._tcp.mail.example.org", Kind::Tlsa).unwrap();
        assert!(tlsa.secure);
        assert_eq!(tlsa.records, [Record::Tlsa { usage: 3, selector: 1, matching: 1, data: vec![1, 2, 0xab, 0xff] }]);
        assert!(look("sec.example.org", Kind::A).unwrap().secure);
        // A signed alias to what is not signed is not secure.
        assert!(!look("signed.example.org", Kind::A).unwrap().secure);
        assert_eq!(
            look("nullmx.example.org", Kind::Mx).unwrap().records,
            [Record::Mx { preference: 0, host: String::new() }]
        );
        assert!(matches!(
            look("_imaps._tcp.example.org", Kind::Srv).unwrap().records[0],
            Record::Srv { port: 993, .. }
        ));
    }

    #[test]
    fn what_is_not_there_and_what_fails() {
        assert!(matches!(look("no.example.org", Kind::A), Err(DnsError::NoSuchName(_))));
        assert!(matches!(look("mail.example.org", Kind::Txt), Err(DnsError::NoData(_))));
        assert!(matches!(look("deep.example.org", Kind::A), Err(DnsError::NoData(_))), "an empty node exists");
        assert!(matches!(look("other.test", Kind::A), Err(DnsError::NoSuchName(_))));
        assert!(matches!(look("lost.example.org", Kind::A), Err(DnsError::Temporary { .. })));
        assert!(matches!(look("half.example.org", Kind::Txt), Err(DnsError::Temporary { .. })));
        assert!(look("half.example.org", Kind::A).is_ok());
        assert!(matches!(look("bad.example.org", Kind::A), Err(DnsError::Bogus(_))));
        assert!(matches!(look("loop1.example.org", Kind::A), Err(DnsError::Temporary { .. })));
    }

    #[test]
    fn wildcards() {
        assert!(look("any.thing.wild.example.org", Kind::Txt).is_ok());
        // RFC 4592: a name that exists is not covered.
        assert!(matches!(look("there.wild.example.org", Kind::Txt), Err(DnsError::NoData(_))));
        assert!(matches!(look("wild.example.org", Kind::Txt), Err(DnsError::NoData(_))));
    }

    #[test]
    fn mistakes_have_their_line() {
        for (text, line) in
            [("a A x", 1), ("\na MX 10", 2), ("a WHAT 1", 1), ("\n\na TXT \"x", 3), ("a TXT ( \"x\"", 1), ("$X", 1)]
        {
            assert_eq!(Zone::parse(text).err().map(|e| e.line), Some(line), "{text:?}");
        }
    }
}
