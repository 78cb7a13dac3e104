//! IMAP URLs of messages and their parts (RFC 5092 §6, RFC 4467 §3), as CATENATE and URLAUTH have them.

use chrono::DateTime;
use pli_types::{MailboxName, UnixMillis};

use crate::command::{Partial, Section};
use crate::cursor::Cursor;
use crate::fetch::read_section;
use crate::limits::URL_BYTES_MAX;
use crate::number::{parse_u32, parse_u64};

/// A message, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImapUrl {
    /// Whose mailbox; `None` in a relative URL.
    pub user: Option<String>,
    /// Which server; `None` in a relative URL.
    pub host: Option<String>,
    /// `None`: the selected one.
    pub mailbox: Option<MailboxName>,
    /// Only if the mailbox has it.
    pub uid_validity: Option<u32>,
    /// Which message.
    pub uid: u32,
    /// Which part; all of it by default.
    pub section: Section,
    /// Only this range (RFC 5550 §5: URL-PARTIAL).
    pub partial: Option<Partial>,
    /// RFC 4467: who may use the URL.
    pub auth: Option<UrlAuth>,
}

/// RFC 4467 §3: the authorization in a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlAuth {
    /// No use after this.
    pub expire: Option<UnixMillis>,
    /// Who.
    pub access: Access,
    /// The mechanism in capitals and the token, where they are there.
    pub token: Option<(Box<str>, Vec<u8>)>,
    /// Bytes of the URL without mechanism and token: what the token is made over.
    pub rump_bytes: usize,
}

/// RFC 4467 §3 `access`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// submit+user: a submission server for that user
    Submit(String),
    /// user+user
    User(String),
    /// authuser: anybody who has logged in
    AuthUser,
    /// anonymous: anybody
    Anonymous,
}

impl ImapUrl {
    /// Reads one; `None` for anything else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= URL_BYTES_MAX)?;
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return None;
        }
        let (rest, auth) = read_auth(text)?;
        let (user, host, path) = match strip(rest, "imap://") {
            None => (None, None, rest),
            Some(rest) => {
                let (server, _) = rest.split_once('/')?;
                let (user, host) = match server.rsplit_once('@') {
                    Some((user, host)) => (Some(decode(before(user, ';'))?), host),
                    None => (None, server),
                };
                (user, Some(host.to_ascii_lowercase()).filter(|host| !host.is_empty()), rest.get(server.len()..)?)
            }
        };
        let (mailbox, rest) = split(path, ";UID=")?;
        let mailbox = mailbox.strip_suffix('/').unwrap_or(mailbox);
        let (mailbox, uid_validity) = match split(mailbox, ";UIDVALIDITY=") {
            Some((mailbox, validity)) => (mailbox, Some(parse_u32(validity.as_bytes()).filter(|n| *n > 0)?)),
            None => (mailbox, None),
        };
        let mailbox = mailbox.strip_prefix('/').unwrap_or(mailbox);
        let mailbox = if mailbox.is_empty() { None } else { Some(MailboxName::new(&decode(mailbox)?).ok()?) };
        let mut pieces = rest.split("/;");
        let uid = parse_u32(pieces.next()?.as_bytes()).filter(|uid| *uid > 0)?;
        let mut url = Self { user, host, mailbox, uid_validity, uid, section: Section::default(), partial: None, auth };
        let mut piece = pieces.next();
        if let Some(section) = piece.and_then(|piece| strip(piece, "SECTION=")) {
            let section = format!("{}]", decode(section)?);
            let mut cursor = Cursor::new(section.as_bytes(), true);
            url.section = read_section(&mut cursor).ok()?;
            cursor.end().ok()?;
            piece = pieces.next();
        }
        if let Some(partial) = piece {
            url.partial = Some(read_partial(strip(partial, "PARTIAL=")?)?);
        }
        pieces.next().is_none().then_some(url)
    }
}

/// What stands before the authorization, and the authorization.
fn read_auth(text: &str) -> Option<(&str, Option<UrlAuth>)> {
    let Some((before, auth)) = split(text, ";URLAUTH=") else {
        return Some((text, None));
    };
    let (rest, expire) = match split(before, ";EXPIRE=") {
        None => (before, None),
        Some((rest, at)) => {
            let at = DateTime::parse_from_rfc3339(at).ok()?;
            (rest, Some(UnixMillis(at.timestamp_millis())))
        }
    };
    let mut words = auth.splitn(3, ':');
    let access = words.next()?;
    let rump_bytes = text.len().checked_sub(auth.len())?.checked_add(access.len())?;
    let token = match (words.next(), words.next()) {
        (None, _) => None,
        (Some(mechanism), Some(token)) => Some((mechanism.to_ascii_uppercase().into(), token.as_bytes().to_vec())),
        (Some(_), None) => return None,
    };
    let name = |text: &str| decode(text).filter(|name| !name.is_empty());
    let access = match (strip(access, "submit+"), strip(access, "user+")) {
        (Some(user), _) => Access::Submit(name(user)?),
        (_, Some(user)) => Access::User(name(user)?),
        _ if access.eq_ignore_ascii_case("authuser") => Access::AuthUser,
        _ if access.eq_ignore_ascii_case("anonymous") => Access::Anonymous,
        _ => return None,
    };
    Some((rest, Some(UrlAuth { expire, access, token, rump_bytes })))
}

/// RFC 5092 §11 `partial-range`: `offset` or `offset.length`.
fn read_partial(text: &str) -> Option<Partial> {
    let (offset, count) = match text.split_once('.') {
        Some((offset, count)) => (offset, parse_u64(count.as_bytes()).filter(|count| *count > 0)?),
        None => (text, u64::MAX),
    };
    Some(Partial { offset: parse_u64(offset.as_bytes())?, count })
}

fn before(text: &str, end: char) -> &str {
    text.split(end).next().unwrap_or(text)
}

/// Takes a word of any case off the front.
fn strip<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(word.len())?;
    head.eq_ignore_ascii_case(word).then_some(rest)
}

/// Cuts at the last place of a word of any case.
fn split<'a>(text: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    let at = text.to_ascii_uppercase().rfind(word)?;
    Some((text.get(..at)?, text.get(at.checked_add(word.len())?..)?))
}

/// RFC 3986 §2.1
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        if b != b'%' {
            bytes.push(b);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push(digit(rest.next())? << 4 | digit(rest.next())?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::command::SectionKind;

    fn url(text: &str) -> ImapUrl {
        ImapUrl::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn relative_ones() {
        let one = url("/Drafts;UIDVALIDITY=385759045/;UID=20/;section=1.MIME");
        assert_eq!(one.mailbox.unwrap().as_str(), "Drafts");
        assert_eq!((one.uid_validity, one.uid, one.user, one.host), (Some(385_759_045), 20, None, None));
        assert_eq!((one.section.part.len(), one.section.kind), (1, SectionKind::Mime));
        let whole = url("/INBOX/Be%20%C3%A9/;uid=7");
        assert_eq!((whole.mailbox.unwrap().as_str(), whole.uid), ("INBOX/Be é", 7));
        assert_eq!(whole.section, Section::default());
        assert_eq!(url(";UID=3").mailbox, None);
        assert_eq!(url("/;UID=3/;PARTIAL=10.20").partial, Some(Partial { offset: 10, count: 20 }));
        let fields = url("/INBOX;UIDVALIDITY=1/;UID=2/;SECTION=HEADER.FIELDS%20(To%20From)/;PARTIAL=5");
        assert!(matches!(fields.section.kind, SectionKind::HeaderFields(names) if names.len() == 2));
        assert_eq!(fields.partial, Some(Partial { offset: 5, count: u64::MAX }));
    }

    #[test]
    fn with_authorization() {
        let text = "imap://joe%40example.com@Mail.example.com/INBOX/;uid=20/;section=1.2;expire=2026-01-02T03:04:05Z;urlauth=submit+fred:internal:91354a473744909d";
        let one = url(text);
        assert_eq!((one.user.as_deref(), one.host.as_deref()), (Some("joe@example.com"), Some("mail.example.com")));
        let auth = one.auth.unwrap();
        assert_eq!(auth.access, Access::Submit("fred".into()));
        assert_eq!(auth.expire, Some(UnixMillis(1_767_323_045_000)));
        assert_eq!(auth.token, Some(("INTERNAL".into(), b"91354a473744909d".to_vec())));
        assert!(text.get(..auth.rump_bytes).unwrap().ends_with("urlauth=submit+fred"));
        let rump = url("imap://joe@h/INBOX/;uid=20;urlauth=anonymous").auth.unwrap();
        assert_eq!((rump.token, rump.access), (None, Access::Anonymous));
    }

    #[test]
    fn what_is_none() {
        for text in [
            "",
            "/INBOX",
            "http://a/INBOX/;UID=1",
            "/INBOX/;UID=0",
            "/INBOX/;UID=x",
            "/INBOX;UIDVALIDITY=0/;UID=1",
            "/a//b/;UID=1",
            "/%zz/;UID=1",
            "/%ff/;UID=1",
            "/INBOX/;UID=1/;SECTION=FOO",
            "/INBOX/;UID=1/;SECTION=1]x",
            "/INBOX/;UID=1/;PARTIAL=0.0",
            "/INBOX/;UID=1/;PARTIAL=1.2/;SECTION=1",
            "/INBOX/;UID=1;URLAUTH=nobody",
            "/INBOX/;UID=1;URLAUTH=user+",
            "/INBOX/;UID=1;EXPIRE=tomorrow;URLAUTH=anonymous",
            "imap://host",
            "/IN BOX/;UID=1",
        ] {
            assert_eq!(ImapUrl::parse(text.as_bytes()), None, "{text}");
        }
    }
}
