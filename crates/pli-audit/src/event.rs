//! What is recorded of an act.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use pli_crypto::{Secret32, hmac};
use pli_types::{
    AccountId, Action, Actor, EmailId, MailboxId, Protocol, SessionId, SessionInfo, TlsInfo, Uid, UidValidity,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

use crate::class::{Class, LogKeyId};
use crate::error::{AuditError, Result};

/// Longest encoding of an event. With its seal's header and tag it stays below the 65,535 bytes of a log entry.
pub const EVENT_BYTES_MAX: usize = 65_000;
const VERSION: u8 = 1;
const REASON_CHARS_MAX: usize = 500;
const TEXT_CHARS_MAX: usize = 100;
const PARTIES_MAX: usize = 500;
const COUNTS_MAX: usize = 64;
const COUNT_NAME_BYTES_MAX: usize = 40;

/// One recorded act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Format version.
    #[serde(rename = "v")]
    pub version: u8,
    /// Index in the log; filled at commit, 0 before.
    #[serde(rename = "seq")]
    pub sequence: u64,
    /// Which installation or site.
    pub site: String,
    /// When.
    pub time: UnixMillis,
    /// How long it is kept.
    pub class: Class,
    /// Over which door.
    pub protocol: Protocol,
    /// Who.
    pub actor: Actor,
    /// In whose place the actor acted, if not his own.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "behalf")]
    pub on_behalf_of: Option<AccountId>,
    /// From where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// In which session.
    pub session: SessionId,
    /// What.
    #[serde(rename = "op")]
    pub operation: Action,
    /// To what.
    #[serde(default, skip_serializing_if = "Object::is_empty")]
    pub object: Object,
    /// Recipients and others concerned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<Party>,
    /// How many parties there were beyond those named, when there were too many to name.
    #[serde(default, skip_serializing_if = "is_zero", rename = "more")]
    pub parties_more: u64,
    /// Counts, such as a session's at its end.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// How it ended.
    pub result: Outcome,
    /// Which rule decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// From where an act came.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The other side's address.
    #[serde(rename = "ip")]
    pub address: IpAddr,
    /// Its port: behind carrier NAT the address alone names nobody.
    pub port: u16,
    /// TLS, when on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsInfo>,
    /// EHLO name or IMAP ID, as claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What an act was done to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Whose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<AccountId>,
    /// The mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<MailboxId>,
    /// Its UIDVALIDITY.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uidvalidity: Option<UidValidity>,
    /// The message in the mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<Uid>,
    /// The message in the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<EmailId>,
    /// SHA-256 of the object's ciphertext, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

impl Object {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody concerned: never a bare address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Party {
    /// A local account.
    #[serde(rename = "a")]
    Account(AccountId),
    /// Anybody else.
    #[serde(rename = "p")]
    Other(Pseudonym),
}

/// A keyed hash of an address: the same address is the same pseudonym, and only who has the key can tell which.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pseudonym([u8; 16]);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Pseudonym {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pseudonym {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| u128::from_str_radix(&text, 16).ok())
            .flatten()
            .ok_or_else(|| serde::de::Error::custom("pseudonym"))?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// The key of pseudonyms. Destroying it unlinks them all.
#[derive(Clone, Debug)]
pub struct PseudonymKey(Secret32);

impl PseudonymKey {
    /// From a secret that the store keeps wrapped.
    #[must_use]
    pub const fn new(secret: Secret32) -> Self {
        Self(secret)
    }
    /// An address's pseudonym; letter case does not count.
    #[must_use]
    pub fn of(&self, address: &str) -> Pseudonym {
        let tag = hmac(&self.0, address.to_lowercase().as_bytes());
        let mut out = [0; 16];
        if let Some(head) = tag.first_chunk() {
            out = *head;
        }
        Pseudonym(out)
    }
}

/// How an act ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Done, refused or failed.
    pub status: Status,
    /// The protocol's code: `552 5.2.2`, `OVERQUOTA`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why, without personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Done, refused or failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It was done.
    #[default]
    Done,
    /// It was not allowed.
    Refused,
    /// It was allowed and did not work.
    Failed,
}

/// Which rule decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The rule's name.
    pub rule: String,
    /// The account's profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
}

impl Event {
    /// An act of a session, done.
    #[must_use]
    pub fn new(site: &str, session: &SessionInfo, operation: Action, now: UnixMillis) -> Self {
        let origin = session.peer.map(|peer| Origin {
            address: peer.ip(),
            port: peer.port(),
            tls: session.tls.clone(),
            client: session.client.clone(),
        });
        Self {
            version: VERSION,
            sequence: 0,
            site: site.to_owned(),
            time: now,
            class: Class::of(operation),
            protocol: session.protocol,
            actor: session.actor,
            on_behalf_of: None,
            origin,
            session: session.id,
            operation,
            object: Object::default(),
            parties: Vec::new(),
            parties_more: 0,
            counts: BTreeMap::new(),
            result: Outcome::default(),
            policy: None,
        }
    }

    /// Of another class than its action's.
    #[must_use]
    pub const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }
    /// In somebody's place.
    #[must_use]
    pub const fn on_behalf_of(mut self, account: AccountId) -> Self {
        self.on_behalf_of = Some(account);
        self
    }
    /// To what.
    #[must_use]
    pub fn object(mut self, object: Object) -> Self {
        self.object = object;
        self
    }
    /// To an account as a whole.
    #[must_use]
    pub const fn account(mut self, account: AccountId) -> Self {
        self.object.account = Some(account);
        self
    }
    /// To a mailbox.
    #[must_use]
    pub const fn mailbox(mut self, mailbox: MailboxId, uidvalidity: UidValidity) -> Self {
        self.object.mailbox = Some(mailbox);
        self.object.uidvalidity = Some(uidvalidity);
        self
    }
    /// To a message.
    #[must_use]
    pub const fn uid(mut self, uid: Uid) -> Self {
        self.object.uid = Some(uid);
        self
    }
    /// With the digest of the object's ciphertext.
    #[must_use]
    pub fn digest(mut self, sha256: &[u8; 32]) -> Self {
        self.object.digest = Some(sha256.iter().fold(String::with_capacity(64), |mut text, b| {
            for nibble in [b >> 4, b & 15] {
                text.push(char::from_digit(nibble.into(), 16).unwrap_or('0'));
            }
            text
        }));
        self
    }
    /// Concerning somebody as well.
    #[must_use]
    pub fn party(mut self, party: Party) -> Self {
        if self.parties.len() < PARTIES_MAX {
            self.parties.push(party);
        } else {
            self.parties_more = self.parties_more.saturating_add(1);
        }
        self
    }
    /// With a count.
    #[must_use]
    pub fn count(mut self, name: &str, value: u64) -> Self {
        self.counts.insert(name.to_owned(), value);
        self
    }
    /// It was not allowed.
    #[must_use]
    pub fn refused(self, code: &str, reason: &str) -> Self {
        self.ended(Status::Refused, code, reason)
    }
    /// It was allowed and did not work.
    #[must_use]
    pub fn failed(self, code: &str, reason: &str) -> Self {
        self.ended(Status::Failed, code, reason)
    }
    fn ended(mut self, status: Status, code: &str, reason: &str) -> Self {
        let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
        self.result = Outcome { status, code: text(code), reason: text(reason) };
        self
    }
    /// Decided by a rule.
    #[must_use]
    pub fn policy(mut self, rule: &str, profile: Option<&str>) -> Self {
        self.policy = Some(Policy { rule: rule.to_owned(), profile: profile.map(str::to_owned) });
        self
    }

    /// The key it is sealed under.
    #[must_use]
    pub fn key_id(&self) -> LogKeyId {
        LogKeyId::of(self.time, self.class)
    }

    /// Compact JSON of at most [`EVENT_BYTES_MAX`] bytes; what a peer made too long is cut.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let whole = to_json(self)?;
        if whole.len() <= EVENT_BYTES_MAX {
            return Ok(whole);
        }
        let mut cut = self.clone();
        cut.clamp();
        let bytes = to_json(&cut)?;
        if bytes.len() <= EVENT_BYTES_MAX { Ok(bytes) } else { Err(AuditError::TooLong(bytes.len())) }
    }

    /// Reads [`Event::encode`].
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let event: Self = serde_json::from_slice(bytes).map_err(|_| AuditError::Malformed("event"))?;
        if event.version == VERSION { Ok(event) } else { Err(AuditError::Malformed("event version")) }
    }

    // JSON makes at most six bytes of a byte: with these limits the whole stays under the limit, which a test says.
    fn clamp(&mut self) {
        cut(&mut self.site, TEXT_CHARS_MAX);
        for text in self.result.reason.iter_mut() {
            cut(text, REASON_CHARS_MAX);
        }
        for origin in self.origin.iter_mut() {
            for text in origin.client.iter_mut() {
                cut(text, TEXT_CHARS_MAX);
            }
            for tls in origin.tls.iter_mut() {
                cut(&mut tls.version, TEXT_CHARS_MAX);
                cut(&mut tls.cipher, TEXT_CHARS_MAX);
            }
        }
        for policy in self.policy.iter_mut() {
            cut(&mut policy.rule, TEXT_CHARS_MAX);
            for text in policy.profile.iter_mut() {
                cut(text, TEXT_CHARS_MAX);
            }
        }
        for text in self.result.code.iter_mut().chain(self.object.digest.iter_mut()) {
            cut(text, TEXT_CHARS_MAX);
        }
        let beyond = self.parties.len().saturating_sub(PARTIES_MAX);
        self.parties.truncate(PARTIES_MAX);
        self.parties_more = self.parties_more.saturating_add(u64::try_from(beyond).unwrap_or(u64::MAX));
        while self.counts.len() > COUNTS_MAX {
            self.counts.pop_last();
        }
        self.counts.retain(|name, _| name.len() <= COUNT_NAME_BYTES_MAX);
    }
}

fn to_json(event: &Event) -> Result<Vec<u8>> {
    serde_json::to_vec(event).map_err(|_| AuditError::Malformed("event"))
}

fn cut(text: &mut String, chars_max: usize) {
    if let Some((at, _)) = text.char_indices().nth(chars_max) {
        text.truncate(at);
        text.push('…');
    }
}
