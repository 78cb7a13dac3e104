//! Who is logged in now: for limits, for `pli who`, and to end sessions from outside.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use pli_sasl::KeyId;
use pli_types::{AccountId, Address, Protocol, SessionId, SessionInfo, UnixMillis};
use tokio_util::sync::CancellationToken;

/// The part of a connection that others may reach: it counts bytes, and can be told to end.
#[derive(Debug, Default)]
pub struct Handle {
    ended: CancellationToken,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Handle {
    /// For a new connection.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }
    /// Bytes came from the peer.
    pub fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    /// Bytes went to the peer.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }
    /// Resolves when somebody has ended the session.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }
    /// Whether somebody has ended the session.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }
}

/// By what somebody logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The account's password.
    Password,
    /// The same, without sending it.
    Scram,
    /// An app password, by its number.
    App(u32),
    /// A token of the issuer.
    Token {
        /// Until when it is taken, in Unix seconds.
        until: i64,
        /// The issuer's key that verified it.
        key: KeyId,
    },
    /// A certificate.
    Certificate,
}

impl Method {
    /// In records and lists.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Password => String::from("password"),
            Self::Scram => String::from("scram"),
            Self::App(id) => format!("app password {id}"),
            Self::Token { .. } => String::from("token"),
            Self::Certificate => String::from("certificate"),
        }
    }
}

/// A session that is logged in. It is listed as long as this lives.
pub struct Presence {
    number: u64,
    /// Whose.
    pub account: AccountId,
    /// The account's address.
    pub address: Address,
    /// Since when.
    pub since: UnixMillis,
    /// By what.
    pub method: Method,
    protocol: Protocol,
    told: Mutex<Told>,
    ended: Mutex<Ended>,
    gone: CancellationToken,
    sessions: Arc<Sessions>,
}

/// What the session says of itself.
struct Told {
    info: Arc<SessionInfo>,
    selected: Option<Arc<str>>,
}

#[derive(Default)]
struct Ended {
    handle: Option<Arc<Handle>>,
    before: bool,
}

impl Presence {
    /// Names the connection; one that was to end meanwhile ends now.
    pub fn attach(&self, handle: &Arc<Handle>) {
        let mut ended = self.ended.lock();
        if ended.before {
            handle.ended.cancel();
        }
        ended.handle = Some(Arc::clone(handle));
    }
    /// The session knows more of its client.
    pub fn set_info(&self, info: &Arc<SessionInfo>) {
        self.told.lock().info = Arc::clone(info);
    }
    /// The session has opened another mailbox, or none.
    pub fn set_selected(&self, mailbox: Option<&str>) {
        self.told.lock().selected = mailbox.map(Arc::from);
    }
    /// Ends the session after a time, if it is still there.
    pub(crate) fn end_after(self: &Arc<Self>, time: Duration) {
        let (presence, gone) = (Arc::downgrade(self), self.gone.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = gone.cancelled() => {}
                () = tokio::time::sleep(time) => if let Some(presence) = presence.upgrade() {
                    tracing::info!(account = %presence.account, "the token has expired");
                    presence.end();
                },
            }
        });
    }
    fn end(&self) {
        let mut ended = self.ended.lock();
        ended.before = true;
        if let Some(handle) = &ended.handle {
            handle.ended.cancel();
        }
    }
    fn present(&self) -> Present {
        let (info, selected) = {
            let told = self.told.lock();
            (Arc::clone(&told.info), told.selected.clone())
        };
        let handle = self.ended.lock().handle.clone();
        let count = |of: fn(&Handle) -> &AtomicU64| handle.as_deref().map_or(0, |h| of(h).load(Ordering::Relaxed));
        Present {
            account: self.account,
            address: self.address.clone(),
            since: self.since,
            method: self.method,
            info,
            selected,
            received: count(|h| &h.received),
            sent: count(|h| &h.sent),
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.gone.cancel();
        self.sessions.leave(self);
    }
}

/// A session as it is listed.
#[derive(Clone, Debug)]
pub struct Present {
    /// Whose.
    pub account: AccountId,
    /// The account's address.
    pub address: Address,
    /// Since when.
    pub since: UnixMillis,
    /// By what.
    pub method: Method,
    /// Protocol, peer, TLS, client.
    pub info: Arc<SessionInfo>,
    /// The open mailbox.
    pub selected: Option<Arc<str>>,
    /// Bytes from the peer.
    pub received: u64,
    /// Bytes to the peer.
    pub sent: u64,
}

/// Which sessions are to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All of an account.
    Account(AccountId),
    /// This one.
    Session(SessionId),
    /// Those that logged in with an app password.
    App(AccountId, u32),
    /// Those that logged in with the account's own password.
    Password(AccountId),
}

/// All sessions that are logged in.
#[derive(Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    all: HashMap<u64, Weak<Presence>>,
    counts: HashMap<(AccountId, Protocol), usize>,
}

impl Sessions {
    /// Lists a session, unless the account has `max` over this protocol already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        (account, address): (AccountId, &Address),
        info: &Arc<SessionInfo>,
        method: Method,
        since: UnixMillis,
        max: usize,
    ) -> Option<Arc<Presence>> {
        let mut inner = self.inner.lock();
        let count = inner.counts.entry((account, info.protocol)).or_insert(0);
        if *count >= max {
            if *count == 0 {
                inner.counts.remove(&(account, info.protocol));
            }
            return None;
        }
        *count += 1;
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        let presence = Arc::new(Presence {
            number,
            account,
            address: address.clone(),
            since,
            method,
            protocol: info.protocol,
            told: Mutex::new(Told { info: Arc::clone(info), selected: None }),
            ended: Mutex::default(),
            gone: CancellationToken::new(),
            sessions: Arc::clone(self),
        });
        inner.all.insert(number, Arc::downgrade(&presence));
        Some(presence)
    }

    fn leave(&self, presence: &Presence) {
        let mut inner = self.inner.lock();
        inner.all.remove(&presence.number);
        let key = (presence.account, presence.protocol);
        if let Some(count) = inner.counts.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                inner.counts.remove(&key);
            }
        }
    }

    /// All, held: dropping the last hold of one must not happen under the lock.
    fn all(&self) -> Vec<Arc<Presence>> {
        self.inner.lock().all.values().filter_map(Weak::upgrade).collect()
    }

    /// Ends sessions; returns those that were told to.
    pub(crate) fn end(&self, which: Which) -> Vec<Present> {
        self.end_where(|presence| match which {
            Which::Account(account) => presence.account == account,
            Which::Session(id) => presence.told.lock().info.id == id,
            Which::App(account, id) => presence.account == account && presence.method == Method::App(id),
            Which::Password(account) => {
                presence.account == account && matches!(presence.method, Method::Password | Method::Scram)
            }
        })
    }

    /// The same by another measure.
    pub(crate) fn end_where(&self, fits: impl Fn(&Presence) -> bool) -> Vec<Present> {
        let told = self.all().into_iter().filter(|presence| fits(presence));
        told.map(|presence| {
            presence.end();
            presence.present()
        })
        .collect()
    }

    /// All, the oldest first.
    pub(crate) fn list(&self) -> Vec<Present> {
        let mut all = self.all();
        all.sort_by_key(|presence| presence.number);
        all.iter().map(|presence| presence.present()).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use pli_types::Actor;

    use super::*;

    fn info(id: u64, protocol: Protocol) -> Arc<SessionInfo> {
        Arc::new(SessionInfo { protocol, actor: Actor::Anonymous, ..SessionInfo::system(SessionId(id)) })
    }

    fn enter(sessions: &Arc<Sessions>, account: u64, id: u64, method: Method, max: usize) -> Option<Arc<Presence>> {
        let address = Address::parse("a@example.org").unwrap();
        sessions.enter((AccountId::new(account), &address), &info(id, Protocol::Imap), method, UnixMillis(0), max)
    }

    #[test]
    fn counted_by_account_and_protocol() {
        let sessions = Arc::new(Sessions::default());
        let first = enter(&sessions, 1, 1, Method::Password, 2).unwrap();
        let _second = enter(&sessions, 1, 2, Method::Password, 2).unwrap();
        assert!(enter(&sessions, 1, 3, Method::Password, 2).is_none());
        assert!(enter(&sessions, 2, 4, Method::Password, 2).is_some(), "another account");
        let address = Address::parse("a@example.org").unwrap();
        let submission = info(5, Protocol::Submission);
        let other = sessions.enter((AccountId::new(1), &address), &submission, Method::Scram, UnixMillis(0), 2);
        assert!(other.is_some(), "another protocol");
        drop(first);
        assert!(enter(&sessions, 1, 6, Method::Password, 2).is_some());
        drop((other, _second));
        assert!(sessions.list().is_empty() && sessions.inner.lock().counts.is_empty(), "nothing is left behind");
        assert!(enter(&sessions, 1, 7, Method::Password, 0).is_none() && sessions.inner.lock().counts.is_empty());
    }

    #[test]
    fn ended_from_outside() {
        let sessions = Arc::new(Sessions::default());
        let present: Vec<_> = [(1, Method::Password), (2, Method::App(3)), (3, Method::App(4))]
            .into_iter()
            .map(|(id, method)| enter(&sessions, 1, id, method, 10).unwrap())
            .collect();
        let handles: Vec<_> = present
            .iter()
            .map(|presence| {
                let handle = Handle::new();
                presence.attach(&handle);
                handle
            })
            .collect();
        let ended = || handles.iter().map(|handle| handle.has_ended()).collect::<Vec<_>>();
        assert_eq!(sessions.end(Which::App(AccountId::new(1), 3)).len(), 1);
        assert_eq!(ended(), [false, true, false]);
        assert_eq!(sessions.end(Which::Session(SessionId(1))).len(), 1);
        assert_eq!(ended(), [true, true, false]);
        assert_eq!(sessions.end(Which::Password(AccountId::new(1))).len(), 1, "app passwords are others");
        assert_eq!(ended(), [true, true, false]);
        assert!(sessions.end(Which::Account(AccountId::new(2))).is_empty());
        assert_eq!(sessions.end(Which::Account(AccountId::new(1))).len(), 3);
        assert_eq!(ended(), [true, true, true]);
        // One that is told to end before its connection is known.
        let late = enter(&sessions, 5, 9, Method::Certificate, 1).unwrap();
        sessions.end(Which::Account(AccountId::new(5)));
        let handle = Handle::new();
        late.attach(&handle);
        assert!(handle.has_ended());
    }
}
