//! GENURLAUTH, RESETKEY and URLFETCH. RFC 4467 §7; parts by RFC 5550 §5 (URL-PARTIAL).

use pli_gate::Target;
use pli_imap_proto::{Code, ImapUrl};
use pli_store::Mailbox;
use pli_types::{Action, MailboxId, MailboxName};

use super::find;
use crate::fail::{Fail, Reply, ReplyCode};
use crate::session::Session;
use crate::url;

/// RFC 4467 §3: the only mechanism.
const INTERNAL: &str = "INTERNAL";

pub async fn generate(session: &mut Session, urls: Vec<(Vec<u8>, Box<str>)>) -> Result<Reply, Fail> {
    let mut made = Vec::with_capacity(urls.len());
    for (text, mechanism) in urls {
        if &*mechanism != INTERNAL {
            return Err(Fail::Bad("This mechanism is not offered"));
        }
        // RFC 4467 §7: a URL that is whole but for its token, of the one who asks.
        let url = ImapUrl::parse(&text).ok_or(Fail::Bad("Not a URL"))?;
        let auth = url.auth.as_ref().filter(|auth| auth.token.is_none()).ok_or(Fail::Bad("Not a URL"))?;
        let (Some(user), Some(name), Some(_)) = (&url.user, &url.mailbox, &url.host) else {
            return Err(Fail::Bad("Not a URL"));
        };
        if auth.expire.is_some_and(|until| until.0 < session.service.clock.now().0) {
            return Err(Fail::No(Some(Code::Expired), "This time is over"));
        }
        let mailbox = own(session, Some(user), name)?;
        if url.uid_validity.is_some_and(|validity| validity != mailbox.uid_validity.get()) {
            return Err(Fail::No(Some(Code::NonExistent), "No such mailbox"));
        }
        let login = session.login()?;
        let token = session.service.gate.url_token(&login.session, &mailbox, &text).await?;
        let text = String::from_utf8_lossy(&text).into_owned();
        made.push(format!("{text}:{}:{token}", INTERNAL.to_ascii_lowercase()));
    }
    session.wire.out.gen_url_auth(&made);
    Ok(Reply::ok("GENURLAUTH done"))
}

pub async fn reset(session: &mut Session, name: Option<MailboxName>, mechanisms: &[Box<str>]) -> Result<Reply, Fail> {
    if mechanisms.iter().any(|mechanism| &**mechanism != INTERNAL) {
        return Err(Fail::Bad("This mechanism is not offered"));
    }
    let permit = session.admit(Action::UrlKey, &Target::default())?;
    let mailboxes: Vec<MailboxId> = match &name {
        Some(name) => vec![own(session, None, name)?.id],
        // RFC 4467 §7: of all mailboxes.
        None => {
            let list = session.admit_any(Action::List)?;
            session.store().read(&list)?.mailboxes()?.into_iter().map(|mailbox| mailbox.id).collect()
        }
    };
    session.store().forget_url_keys(permit, mailboxes).await?;
    Ok(match name {
        Some(_) => Reply::ok_code(ReplyCode::Plain(Code::UrlMech(INTERNAL)), "RESETKEY done"),
        None => Reply::ok("RESETKEY done"),
    })
}

pub async fn fetch(session: &mut Session, urls: Vec<Vec<u8>>) -> Result<Reply, Fail> {
    for text in urls {
        let most = session.service.config.message_bytes_max;
        // RFC 4467 §7: NIL for each that gives nothing, whyever.
        let bytes = match url::authorized(session, &text, most).await {
            Ok(bytes) => bytes,
            Err(Fail::Io(error)) => return Err(Fail::Io(error)),
            Err(fail) => {
                tracing::debug!(%fail, "a URL gives nothing");
                None
            }
        };
        session.wire.out.url_fetch(&text, bytes.as_deref());
        session.wire.flush_if_full().await?;
    }
    Ok(Reply::ok("URLFETCH done"))
}

/// A mailbox of the session's own account: keys are for one's own mail only.
fn own(session: &Session, user: Option<&str>, name: &MailboxName) -> Result<Mailbox, Fail> {
    let login = session.login()?;
    let named = |user| session.service.gate.directory().account_by_login(user);
    let refused = Fail::No(Some(Code::NoPerm), "Only URLs of your own mail");
    if let Some(user) = user
        && named(user)?.is_none_or(|named| named.id != login.account)
    {
        return Err(refused);
    }
    let mailbox = find(session, name)?;
    if mailbox.account == login.account { Ok(mailbox) } else { Err(refused) }
}
