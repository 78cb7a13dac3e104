//! Lists of `tag=value;`, of which DKIM, ARC, DMARC and others are made. RFC 6376 §3.2.

/// Tags of one list, at most.
const TAGS_MAX: usize = 64;

/// A list, with each value's blanks at both ends gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<(String, String)>);

impl Tags {
    /// Parses a list; a tag that stands twice is a mistake (RFC 6376 §3.2).
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(text).map_err(|_| "not UTF-8")?;
        let mut tags: Vec<(String, String)> = Vec::new();
        for part in text.split(';') {
            let part = part.trim_matches([' ', '\t', '\r', '\n']);
            if part.is_empty() {
                continue;
            }
            let (name, value) = part.split_once('=').ok_or("a tag without =")?;
            let name = name.trim_end_matches([' ', '\t', '\r', '\n']);
            let fine = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fine {
                return Err("a tag's name is not one");
            }
            if tags.iter().any(|(n, _)| n == name) {
                return Err("a tag stands twice");
            }
            if tags.len() >= TAGS_MAX {
                return Err("too many tags");
            }
            tags.push((name.to_owned(), value.trim_matches([' ', '\t', '\r', '\n']).to_owned()));
        }
        Ok(Self(tags))
    }

    /// A tag's value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first tag's name and value.
    #[must_use]
    pub fn first(&self) -> Option<(&str, &str)> {
        self.0.first().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A value that is a list itself, blanks gone.
    pub fn list<'a>(&'a self, name: &str, separator: char) -> Vec<&'a str> {
        self.get(name).unwrap_or_default().split(separator).map(str::trim).filter(|item| !item.is_empty()).collect()
    }

    /// Base64, with folding inside.
    #[must_use]
    pub fn base64(&self, name: &str) -> Option<Vec<u8>> {
        from_base64(self.get(name)?)
    }

    /// A number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, &'static str> {
        match self.get(name) {
            None => Ok(None),
            Some(text) if !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map(Some).map_err(|_| "not a number")
            }
            Some(_) => Err("not a number"),
        }
    }
}

/// Base64 with blanks and line ends anywhere.
#[must_use]
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&base64::alphabet::STANDARD, config).decode(text).ok().filter(|bytes| !bytes.is_empty())
}

/// Base64 on one line.
#[must_use]
pub fn to_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The field's bytes with the value of the tag `b` gone. RFC 6376 §3.7.
#[must_use]
pub fn without_signature(raw: &[u8]) -> Vec<u8> {
    let colon = memchr::memchr(b':', raw).map_or(0, |at| at + 1);
    let (name, list) = raw.split_at(colon);
    let mut out = name.to_vec();
    for (nth, part) in list.split(|b| *b == b';').enumerate() {
        if nth > 0 {
            out.push(b';');
        }
        match memchr::memchr(b'=', part) {
            Some(at) if part.get(..at).unwrap_or_default().trim_ascii() == b"b" => {
                out.extend_from_slice(part.get(..=at).unwrap_or_default());
            }
            _ => out.extend_from_slice(part),
        }
    }
    out
}
