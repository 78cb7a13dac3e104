//! What IMAP URLs name, read for CATENATE (RFC 4469 §3) and URLFETCH (RFC 4467 §7).

use pli_gate::{AuthorizedUrl, UrlAccess, UrlDoor, UrlGrant};
use pli_imap_proto::{Access, Code, FetchItem, ImapUrl};
use pli_store::{Permit, Reader};
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
    if url.auth.is_some() {
        // One that carries its own leave.
        return match authorized(session, text, bytes_max).await {
            Ok(Some(bytes)) => Ok(bytes),
            Err(fail @ (Fail::Io(_) | Fail::No(Some(Code::TooBig), _))) => Err(fail),
            Ok(None) | Err(_) => Err(bad()),
        };
    }
    // RFC 4469 §3: of this server and this session only.
    if url.host.is_some() {
        return Err(bad());
    }
    let open = open(session, &url).await.ok().flatten().ok_or_else(bad)?;
    if let Some(found) = open.picture.by_uid(Uid::new(url.uid)) {
        others::record_reads(session, (&open).into(), &open.picture, &[(0, found)]).await?;
    }
    let permit = session.admit_on(Action::FetchContent, &open)?;
    match bytes_of(session, &permit, &open, &url, bytes_max)? {
        Some(bytes) => Ok(bytes),
        None => Err(bad()),
    }
}

/// The bytes that a URL with its authorization names; none if it gives nothing.
pub async fn authorized(session: &mut Session, text: &[u8], bytes_max: u64) -> Result<Option<Vec<u8>>, Fail> {
    let Some(url) = ImapUrl::parse(text) else { return Ok(None) };
    let (Some(user), Some(mailbox), Some(_), Some(auth)) = (&url.user, &url.mailbox, &url.host, &url.auth) else {
        return Ok(None);
    };
    let (Some((mechanism, token)), Some(rump)) = (&auth.token, text.get(..auth.rump_bytes)) else { return Ok(None) };
    if &**mechanism != "INTERNAL" {
        return Ok(None);
    }
    let access = match &auth.access {
        Access::Submit(user) => UrlAccess::Submit(user),
        Access::User(user) => UrlAccess::User(user),
        Access::AuthUser => UrlAccess::AuthUser,
        Access::Anonymous => UrlAccess::Anonymous,
    };
    let (uid_validity, uid, expire) = (url.uid_validity, url.uid, auth.expire);
    let asked = AuthorizedUrl { user, mailbox, uid_validity, uid, expire, access, rump, token };
    let login = session.login()?;
    let gate = std::sync::Arc::clone(&session.service.gate);
    let UrlGrant { mailbox, permit, keys } = gate.open_url(&login.session, UrlDoor::Imap, &asked).await?;
    let picture = session.store().read(&permit)?.view(mailbox.id)?.snapshot();
    let (account, mailbox) = (mailbox.account, mailbox.id);
    let open = Open { login, account, keys, mailbox, picture, read_only: true, past: None };
    bytes_of(session, &permit, &open, &url, bytes_max)
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
fn bytes_of(
    session: &mut Session,
    permit: &Permit,
    open: &Open,
    url: &ImapUrl,
    bytes_max: u64,
) -> Result<Option<Vec<u8>>, Fail> {
    let Some(entry) = open.picture.by_uid(Uid::new(url.uid)) else { return Ok(None) };
    let store = session.store();
    let reader: Reader<'_> = open.reader(&store, permit)?;
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
