//! What IMAP URLs name, read for CATENATE (RFC 4469 §3).

use pli_imap_proto::{Code, FetchItem, ImapUrl};
use pli_store::Reader;
use pli_types::{Action, Uid};

use crate::command::find;
use crate::fail::Fail;
use crate::message::{Content, Message, off_worker, retried};
use crate::others;
use crate::session::Session;
use crate::state::Open;

/// The bytes that a relative URL names, up to a number of them. They are not marked \Seen.
pub async fn read(session: &mut Session, text: &[u8], bytes_max: u64) -> Result<Vec<u8>, Fail> {
    let bad = || Fail::BadUrl(String::from_utf8_lossy(text).into_owned());
    let url = ImapUrl::parse(text).ok_or_else(bad)?;
    // RFC 4469 §3: of this server and this session only.
    if url.host.is_some() || url.auth.is_some() {
        return Err(bad());
    }
    let open = open(session, &url).await.ok().flatten().ok_or_else(bad)?;
    match bytes_of(session, &open, &url, bytes_max)? {
        Some(bytes) => Ok(bytes),
        None => Err(bad()),
    }
}

/// The mailbox of a URL; none if it is not there, or is another one by now.
pub async fn open(session: &mut Session, url: &ImapUrl) -> Result<Option<Open>, Fail> {
    let open = match &url.mailbox {
        None => session.open()?,
        Some(name) => {
            let mailbox = find(session, name)?;
            let permit = session.admit_on(Action::FetchContent, &mailbox)?;
            let picture = session.store().read(&permit)?.view(mailbox.id)?.snapshot();
            let keys = others::keys(session, &mailbox).await?;
            let login = session.login()?;
            Open { login, account: mailbox.account, keys, mailbox: mailbox.id, picture, read_only: true, past: None }
        }
    };
    let same = url.uid_validity.is_none_or(|validity| validity == open.picture.uid_validity.get());
    Ok(same.then_some(open))
}

/// The bytes of a message or a part of it; none if there is no such thing.
pub fn bytes_of(session: &mut Session, open: &Open, url: &ImapUrl, bytes_max: u64) -> Result<Option<Vec<u8>>, Fail> {
    let Some(entry) = open.picture.by_uid(Uid::new(url.uid)) else { return Ok(None) };
    let permit = session.admit_on(Action::FetchContent, open)?;
    let store = session.store();
    let reader: Reader<'_> = open.reader(&store, &permit)?;
    let item = FetchItem::Section { section: url.section.clone(), peek: true, partial: url.partial };
    let mut read = || {
        let mut message = Message::read(reader, &open.keys, entry.email, true)?;
        let (_, content) = message.section(&item);
        Ok(match content? {
            Content::None => None,
            Content::Bytes(bytes) => Some(Ok(bytes)),
            Content::Range(range) if range.end.saturating_sub(range.start) > bytes_max => Some(Err(())),
            Content::Range(range) => Some(Ok(message.bytes(range)?.to_vec())),
        })
    };
    session.counts.read = session.counts.read.saturating_add(1);
    match off_worker(|| retried(reader, &mut read))? {
        None => Ok(None),
        Some(Ok(bytes)) => Ok(Some(bytes)),
        // RFC 4469 §4.2
        Some(Err(())) => Err(Fail::No(Some(Code::TooBig), "The message is too large")),
    }
}
