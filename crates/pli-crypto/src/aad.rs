//! Associated data: what a sealed blob is, whose, and where it stands.

use std::fmt;
use std::ops::Deref;

use pli_types::{AccountId, BodyId, EmailId};

use crate::epoch::Epoch;

/// The random id of one store, in the associated data of all that it seals: nothing opens in another store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// A new random id.
    pub fn generate() -> crate::Result<Self> {
        crate::random::random_bytes().map(Self)
    }
}

const ENCODING_VERSION: u8 = 1;
const ROLE_BYTES_MAX: usize = 31;
const AAD_BYTES_MAX: usize = 1 + 1 + 2 + 16 + 8 + 8 + 8 + 4 + 4 + 1 + ROLE_BYTES_MAX;

/// Builder of associated data: format, store, account, message, body, epoch, chunk, role.
///
/// `Aad::new("summary", store).account(a).message(m).encode()`. The encoding is unambiguous: fixed width, a bit for
/// each field that is present, then the role with its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aad {
    role: &'static str,
    format: u16,
    store: StoreId,
    account: Option<AccountId>,
    message: Option<EmailId>,
    body: Option<BodyId>,
    epoch: Option<Epoch>,
    chunk: Option<u32>,
}

impl Aad {
    /// Associated data of a blob with this role in this store. A role is at most 31 bytes; what is beyond is cut.
    #[must_use]
    pub const fn new(role: &'static str, store: StoreId) -> Self {
        Self { role, format: 1, store, account: None, message: None, body: None, epoch: None, chunk: None }
    }
    /// The context of an account's keys, as [`crate::KeyStore`] wants it.
    #[must_use]
    pub const fn for_account(store: StoreId, account: AccountId) -> Self {
        Self::new("account", store).account(account)
    }
    /// The account, where there is one.
    #[must_use]
    pub const fn account_id(&self) -> Option<AccountId> {
        self.account
    }
    /// The same with another role.
    #[must_use]
    pub const fn role(mut self, role: &'static str) -> Self {
        self.role = role;
        self
    }
    /// The format version of what is sealed (1 unless told).
    #[must_use]
    pub const fn format(mut self, format: u16) -> Self {
        self.format = format;
        self
    }
    /// The account.
    #[must_use]
    pub const fn account(mut self, account: AccountId) -> Self {
        self.account = Some(account);
        self
    }
    /// The message in its account.
    #[must_use]
    pub const fn message(mut self, message: EmailId) -> Self {
        self.message = Some(message);
        self
    }
    /// The shared body.
    #[must_use]
    pub const fn body(mut self, body: BodyId) -> Self {
        self.body = Some(body);
        self
    }
    /// The key epoch.
    #[must_use]
    pub const fn epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }
    /// The chunk, or any other number within the object (a sequence, a segment).
    #[must_use]
    pub const fn chunk(mut self, chunk: u32) -> Self {
        self.chunk = Some(chunk);
        self
    }

    /// The bytes to seal with. No allocation.
    #[must_use]
    pub fn encode(&self) -> AadBytes {
        let mut out = AadBytes { bytes: [0; AAD_BYTES_MAX], len: 0 };
        let present = u8::from(self.account.is_some())
            | u8::from(self.message.is_some()) << 1
            | u8::from(self.body.is_some()) << 2
            | u8::from(self.epoch.is_some()) << 3
            | u8::from(self.chunk.is_some()) << 4;
        out.push(&[ENCODING_VERSION, present]);
        out.push(&self.format.to_be_bytes());
        out.push(&self.store.0);
        out.push(&self.account.map_or(0, AccountId::get).to_be_bytes());
        out.push(&self.message.map_or(0, EmailId::get).to_be_bytes());
        out.push(&self.body.map_or(0, BodyId::get).to_be_bytes());
        out.push(&self.epoch.map_or(0, |e| e.0).to_be_bytes());
        out.push(&self.chunk.unwrap_or(0).to_be_bytes());
        let role = self.role.as_bytes();
        let role = role.get(..ROLE_BYTES_MAX).unwrap_or(role);
        out.push(&[u8::try_from(role.len()).unwrap_or(u8::MAX)]);
        out.push(role);
        out
    }
}

/// Encoded associated data, on the stack.
#[derive(Clone, Copy)]
pub struct AadBytes {
    bytes: [u8; AAD_BYTES_MAX],
    len: usize,
}

impl AadBytes {
    fn push(&mut self, part: &[u8]) {
        let end = self.len.saturating_add(part.len());
        if let Some(dst) = self.bytes.get_mut(self.len..end) {
            dst.copy_from_slice(part);
            self.len = end;
        }
    }
}

impl Deref for AadBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&self.bytes)
    }
}

impl AsRef<[u8]> for AadBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for AadBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}
