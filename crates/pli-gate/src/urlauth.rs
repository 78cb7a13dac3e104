//! URLs that carry their own leave to read a message (RFC 4467): made over a key of the mailbox, and opened for whom they
//! name. IMAP's URLFETCH and CATENATE and submission's BURL come in here.

use std::sync::Arc;

use pli_crypto::{Opened, is_hmac, random_bytes, sign_hmac};
use pli_store::{Mailbox, Permit};
use pli_types::{AccountId, Action, MailboxName, SessionInfo, Uid, UnixMillis};

use crate::Refusal;
use crate::gate::{Gate, Target, unavailable};
use crate::policy::row;

/// What a token begins with: how it was made. RFC 4467 §9.
const ALGORITHM: &str = "01";

/// Whom a URL lets in. RFC 4467 §3 `access`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlAccess<'a> {
    /// A submission server that acts for this user.
    Submit(&'a str),
    /// This user.
    User(&'a str),
    /// Whoever has logged in.
    AuthUser,
    /// Anybody.
    Anonymous,
}

/// Where a URL is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlDoor {
    /// URLFETCH, CATENATE.
    Imap,
    /// BURL.
    Submission,
}

/// A URL with its authorization, taken apart.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizedUrl<'a> {
    /// Whose mailbox.
    pub user: &'a str,
    /// Which.
    pub mailbox: &'a MailboxName,
    /// Only while the mailbox has it.
    pub uid_validity: Option<u32>,
    /// Which message.
    pub uid: u32,
    /// No use after this.
    pub expire: Option<UnixMillis>,
    /// Who.
    pub access: UrlAccess<'a>,
    /// The URL up to its access, as it stands: what the token is made over.
    pub rump: &'a [u8],
    /// The token.
    pub token: &'a [u8],
}

/// What an opened URL gives: leave to read that mailbox, and the keys that open it.
pub struct UrlGrant {
    /// The mailbox, by its name in its account.
    pub mailbox: Mailbox,
    /// For reading what messages say.
    pub permit: Permit,
    /// Of the mailbox's account.
    pub keys: Arc<Opened>,
}

impl Gate {
    /// The token for a URL of the session's own mailbox; the mailbox gets a key if it has none. RFC 4467 §7.
    pub async fn url_token(
        &self,
        session: &Arc<SessionInfo>,
        mailbox: &Mailbox,
        rump: &[u8],
    ) -> Result<String, Refusal> {
        let target = Target { account: Some(mailbox.account), mailbox: Some(mailbox.id), ..Target::default() };
        let permit = self.admit(session, Action::UrlKey, &target)?;
        let fresh: [u8; 32] = random_bytes().map_err(|_| Refusal::Unavailable)?;
        let key = self.store.url_key_or(permit, fresh).await.map_err(|e| unavailable(&e))?.value;
        Ok(token(&key, rump))
    }

    /// Opens a URL for a session, if it is let in, the URL has not expired and its token is right. All else is answered
    /// alike (RFC 4467 §8): who holds a wrong URL learns nothing of what is there. The event is on disk before
    /// anything can be read.
    pub async fn open_url(
        &self,
        session: &Arc<SessionInfo>,
        door: UrlDoor,
        url: &AuthorizedUrl<'_>,
    ) -> Result<UrlGrant, Refusal> {
        let about = Target::default();
        // Whoever is let in may use URLs at all: not suspended, with a profile.
        if session.account().is_some() {
            self.admit(session, Action::UrlFetch, &about)?;
        }
        let expired = url.expire.is_some_and(|until| until.0 < self.clock.now().0);
        if expired || !self.lets_in(session, door, url.access)? {
            return Err(Refusal::Hidden);
        }
        let account = self.directory.account_by_login(url.user).map_err(|e| unavailable(&e))?;
        let account = account.filter(|account| !account.suspended).ok_or(Refusal::Hidden)?.id;
        let mailbox = self.mailbox_of(session, account, url.mailbox)?.ok_or(Refusal::Hidden)?;
        if url.uid_validity.is_some_and(|validity| validity != mailbox.uid_validity.get()) {
            return Err(Refusal::Hidden);
        }
        let grant = |action| self.grant(session, action, Some(account), Some(mailbox.id), row(action));
        let permit = grant(Action::UrlFetch);
        let key = self.store.url_key(&permit).map_err(|e| unavailable(&e))?.ok_or(Refusal::Hidden)?;
        if !is_token(&key, url.rump, url.token) {
            return Err(Refusal::Hidden);
        }
        let event = self.event(session, Action::UrlFetch).account(account).on_behalf_of(account);
        let event = event.mailbox(mailbox.id, mailbox.uid_validity).uid(Uid::new(url.uid)).policy("url-fetch", None);
        self.store.record(permit, event).await.map_err(|e| unavailable(&e))?;
        let keys = self.store.open_keys(&grant(Action::OpenShared)).map_err(|e| unavailable(&e))?;
        Ok(UrlGrant { permit: grant(Action::FetchContent), mailbox, keys: Arc::new(keys) })
    }

    /// RFC 4467 §3: whether a session is one that a URL lets in.
    fn lets_in(&self, session: &SessionInfo, door: UrlDoor, access: UrlAccess<'_>) -> Result<bool, Refusal> {
        let is = |user: &str| -> Result<bool, Refusal> {
            let Some(own) = session.account() else { return Ok(false) };
            let named = self.directory.account_by_login(user).map_err(|e| unavailable(&e))?;
            Ok(named.is_some_and(|named| named.id == own))
        };
        match access {
            UrlAccess::Submit(user) => Ok(door == UrlDoor::Submission && is(user)?),
            UrlAccess::User(user) => is(user),
            UrlAccess::AuthUser => Ok(session.account().is_some()),
            UrlAccess::Anonymous => Ok(true),
        }
    }

    fn mailbox_of(
        &self,
        session: &Arc<SessionInfo>,
        account: AccountId,
        name: &MailboxName,
    ) -> Result<Option<Mailbox>, Refusal> {
        let permit = self.grant(session, Action::List, Some(account), None, row(Action::List));
        let read = || self.store.read(&permit)?.mailbox_by_name(name);
        read().map_err(|e| unavailable(&e))
    }
}

/// RFC 4467 §9: an HMAC over the URL, in hexadecimal.
fn token(key: &[u8], rump: &[u8]) -> String {
    let tag = sign_hmac(key, rump);
    tag.iter().fold(String::from(ALGORITHM), |text, byte| text + &format!("{byte:02x}"))
}

/// Whether a token is the one of a URL; compared in the same time wherever it differs.
fn is_token(key: &[u8], rump: &[u8], token: &[u8]) -> bool {
    let hex = |token: &[u8]| -> Option<Vec<u8>> {
        let digits = std::str::from_utf8(token).ok()?.strip_prefix(ALGORITHM)?.as_bytes();
        let pairs = digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        if digits.len() == 64 { pairs.collect() } else { None }
    };
    hex(token).is_some_and(|tag| is_hmac(key, rump, &tag))
}

#[cfg(test)]
mod tests {
    use super::{is_token, token};

    #[test]
    fn a_token_fits_its_url_and_key_alone() {
        let one = token(&[1; 32], b"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous");
        assert_eq!(one.len(), 66);
        assert!(is_token(&[1; 32], b"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous", one.as_bytes()));
        assert!(is_token(&[1; 32], b"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous", one.to_uppercase().as_bytes()));
        assert!(!is_token(&[1; 32], b"imap://a@h/INBOX/;UID=2;URLAUTH=anonymous", one.as_bytes()));
        assert!(!is_token(&[2; 32], b"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous", one.as_bytes()));
        for wrong in ["", "01", "02", &one[..64], &format!("{one}00"), &one.replace(&one[2..3], "g")] {
            assert!(!is_token(&[1; 32], b"imap://a@h/INBOX/;UID=1;URLAUTH=anonymous", wrong.as_bytes()), "{wrong}");
        }
    }
}
