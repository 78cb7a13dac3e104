//! K2: an account's X25519 pair for 30 days, where keys rotate by themselves.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use hpke::{Deserializable, Kem, Serializable};
use parking_lot::Mutex;
use pli_types::UnixMillis;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::aad::Aad;
use crate::account::AccountKeyBlob;
use crate::aead::{AeadKey, hkdf};
use crate::codec::Reader;
use crate::error::{CryptoError, OpenError, Result};
use crate::hpke_seal::{self, Context, P256, X25519};
use crate::message::MessageKey;
use crate::secret::Secret32;
use crate::wrap::{KeyWrap, SealedKey, WrappedKey};

/// Days that an epoch lasts.
pub const EPOCH_DAYS: u32 = 30;
const EPOCH_MS: i64 = EPOCH_DAYS as i64 * 86_400_000;

/// A key epoch: days since 1970-01-01, divided by 30.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The epoch of a moment; moments before 1970 count as its first.
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        let number = now.0.max(0) / EPOCH_MS;
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The raw public half, and what K1 signs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PublicPart(pub(crate) [u8; 32]);

impl PublicPart {
    pub(crate) fn signed_bytes(&self, ctx: &Aad, epoch: Epoch) -> Vec<u8> {
        let mut out = b"pli K2 public v1\0".to_vec();
        out.extend_from_slice(&ctx.role("k2-public").epoch(epoch).encode());
        out.extend_from_slice(&self.0);
        out
    }
}

pub(crate) const K2_INFO: &[u8] = b"pli K2 v1";
const BLOB_VERSION: u8 = 1;
const BLOB_MAGIC: [u8; 3] = *b"pK2";

/// K2 as stored: the public half signed by K1, the private half sealed to K1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochBlob {
    pub(crate) epoch: Epoch,
    pub(crate) public: PublicPart,
    pub(crate) sealed: [u8; Self::SEALED_BYTES],
    pub(crate) signature: [u8; 64],
}

impl EpochBlob {
    pub(crate) const SEALED_BYTES: usize = 65 + 32 + 16;
    /// Length of the encoding.
    pub const BYTES: usize = 3 + 1 + 4 + 32 + Self::SEALED_BYTES + 64;

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The public half, after its signature by K1 was checked: all that a delivery needs, and no secret.
    pub fn public(&self, account: &AccountKeyBlob, ctx: &Aad) -> Result<EpochPublic> {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, account.signature)
            .verify(&self.public.signed_bytes(ctx, self.epoch), &self.signature)
            .map_err(|_| OpenError)?;
        Ok(EpochPublic { epoch: self.epoch, key: self.public })
    }

    /// Seals an epoch's private half to K1's public one; `sign` signs with K1, ECDSA P-256 over SHA-256, r and s of 32
    /// bytes each. The private half of K1's encryption key is not needed.
    pub fn seal(
        account: &AccountKeyBlob,
        ctx: &Aad,
        secret: &EpochSecret,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64]>,
    ) -> Result<Self> {
        let to = <P256 as Kem>::PublicKey::from_bytes(&account.encryption).map_err(|_| OpenError)?;
        Self::seal_to(&to, ctx, secret, sign)
    }

    pub(crate) fn seal_to(
        to: &<P256 as Kem>::PublicKey,
        ctx: &Aad,
        secret: &EpochSecret,
        sign: impl FnOnce(&[u8]) -> Result<[u8; 64]>,
    ) -> Result<Self> {
        let (epoch, public) = (secret.epoch, secret.public);
        let aad = ctx.role("k2").epoch(epoch).encode();
        let private = secret.private_bytes();
        let sealed = hpke_seal::seal::<P256, { Self::SEALED_BYTES }>(to, K2_INFO, &aad, &private)?;
        let signature = sign(&public.signed_bytes(ctx, epoch))?;
        Ok(Self { epoch, public, sealed, signature })
    }

    /// The encapsulated key, an uncompressed point: with K1's private half it gives the secret that
    /// [`EpochBlob::open_with`] wants.
    #[must_use]
    pub fn encapsulated(&self) -> &[u8] {
        self.sealed.get(..65).unwrap_or_default()
    }

    /// Opens with the Diffie-Hellman secret of the encapsulated key and K1, where that was computed elsewhere: a token
    /// gives nothing more out.
    pub fn open_with(&self, account: &AccountKeyBlob, ctx: &Aad, dh: &Secret32) -> Result<EpochSecret, OpenError> {
        let aad = ctx.role("k2").epoch(self.epoch).encode();
        let private = hpke_seal::open_with(dh, &account.encryption, K2_INFO, &aad, &self.sealed)?;
        self.secret(&private)
    }

    pub(crate) fn secret(&self, private: &Secret32) -> Result<EpochSecret, OpenError> {
        let secret = EpochSecret::from_private(self.epoch, private)?;
        // The public half that deliveries seal to must be the other half of what opens here.
        if secret.public == self.public { Ok(secret) } else { Err(OpenError) }
    }

    /// The bytes to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::BYTES);
        out.extend_from_slice(&BLOB_MAGIC);
        out.push(BLOB_VERSION);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.public.0);
        out.extend_from_slice(&self.sealed);
        out.extend_from_slice(&self.signature);
        out
    }

    /// Reads exactly one encoding. Whether it is whole is seen when it is used.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let malformed = CryptoError::Malformed("epoch blob");
        let mut r = Reader::new(bytes);
        if r.array() != Some(BLOB_MAGIC) {
            return Err(malformed);
        }
        match r.u8() {
            Some(BLOB_VERSION) => {}
            Some(other) => return Err(CryptoError::Version("epoch blob", other.into())),
            None => return Err(malformed),
        }
        let mut read = || {
            let blob = Self {
                epoch: Epoch(r.u32()?),
                public: PublicPart(r.array()?),
                sealed: r.array()?,
                signature: r.array()?,
            };
            r.end().map(|()| blob)
        };
        read().ok_or(malformed)
    }
}

fn seal_info(epoch: Epoch) -> [u8; 13] {
    let mut info = *b"pli K3 v1....";
    if let Some(end) = info.last_chunk_mut() {
        *end = epoch.0.to_be_bytes();
    }
    info
}

/// K2's public half, checked: seals message keys.
#[derive(Clone, Copy)]
pub struct EpochPublic {
    epoch: Epoch,
    key: PublicPart,
}

impl EpochPublic {
    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Agrees on a secret with the account by HPKE, for the messages of a short while: [`Sender`].
    pub fn sender(&self, now: UnixMillis) -> Result<Sender> {
        let (encapsulated, context) = Context::to_x25519(&self.key.0, &seal_info(self.epoch))?;
        Ok(Sender { epoch: self.epoch, encapsulated, context, made: now, next: 0 })
    }
    /// Seals one K3 by an agreement of its own. `aad` says whose and which message.
    pub fn seal(&self, key: &MessageKey, aad: &[u8]) -> Result<KeyWrap> {
        self.sender(UnixMillis(0))?.seal(UnixMillis(0), key, aad).ok_or(CryptoError::Malformed("seal"))
    }
}

/// Milliseconds for which a delivery's key agreement may serve.
pub const SENDER_MS_MAX: i64 = 60_000;
/// Messages for which it may serve.
const SENDER_MESSAGES_MAX: u32 = 1 << 16;

/// A key agreement with one account that seals the keys of the messages of at most a minute.
///
/// Whoever holds it could open what it sealed: that is the price of one curve operation for many messages instead of two
/// for each, and why it ends soon. Its keys are in memory alone.
pub struct Sender {
    epoch: Epoch,
    encapsulated: [u8; 32],
    context: Context,
    made: UnixMillis,
    next: u32,
}

impl Sender {
    /// The epoch whose pair it was agreed with.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }
    /// Whether its time is over. A clock that went back ends it as well.
    #[must_use]
    pub fn is_over(&self, now: UnixMillis) -> bool {
        !(0..SENDER_MS_MAX).contains(&now.0.saturating_sub(self.made.0)) || self.next >= SENDER_MESSAGES_MAX
    }
    /// Seals K3; `aad` says whose and which message. `None` when its time is over.
    pub fn seal(&mut self, now: UnixMillis, key: &MessageKey, aad: &[u8]) -> Option<KeyWrap> {
        if self.is_over(now) {
            return None;
        }
        let sequence = self.next;
        self.next = sequence.saturating_add(1);
        let sealed = self.context.seal(sequence, aad, &key.0);
        let bytes = SealedKey { sequence, encapsulated: self.encapsulated, sealed };
        Some(KeyWrap::Sealed { epoch: self.epoch, bytes })
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl fmt::Debug for EpochPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochPublic").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

/// K2's private half, opened. Wiped when dropped.
pub struct EpochSecret {
    epoch: Epoch,
    private: <X25519 as Kem>::PrivateKey,
    public: PublicPart,
    derive: Secret32,
    wrap: AeadKey,
    /// Agreements of deliveries that were opened last: their messages mostly stand together.
    agreed: Mutex<VecDeque<([u8; 32], Arc<Context>)>>,
}

/// Agreements kept by an opened epoch.
const AGREED_MAX: usize = 8;

impl EpochSecret {
    /// A new epoch's pair. Delivery and sessions get it from a key store.
    pub fn generate(epoch: Epoch) -> Result<Self> {
        let ikm = Secret32::generate()?;
        let (private, public) = X25519::derive_keypair(ikm.expose());
        Ok(Self::build(epoch, private, &public))
    }

    pub(crate) fn from_private(epoch: Epoch, private: &Secret32) -> Result<Self, OpenError> {
        let private = <X25519 as Kem>::PrivateKey::from_bytes(private.expose()).map_err(|_| OpenError)?;
        let public = X25519::sk_to_pk(&private);
        Ok(Self::build(epoch, private, &public))
    }

    fn build(epoch: Epoch, private: <X25519 as Kem>::PrivateKey, public: &<X25519 as Kem>::PublicKey) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        private.write_exact(bytes.as_mut());
        let derive = hkdf(&Secret32::new(*bytes), b"pli K2 v1", &[b"derive", &epoch.0.to_be_bytes()]);
        let wrap = AeadKey::new(&hkdf(&derive, b"pli K2 wrap v1", &[]));
        let mut raw = [0; 32];
        public.write_exact(&mut raw);
        Self { epoch, private, public: PublicPart(raw), derive, wrap, agreed: Mutex::default() }
    }

    pub(crate) fn private_bytes(&self) -> Secret32 {
        let mut bytes = Zeroizing::new([0; 32]);
        self.private.write_exact(bytes.as_mut());
        Secret32::new(*bytes)
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// A key of its own for another use of this epoch, such as search segments.
    #[must_use]
    pub fn derive(&self, role: &str) -> Secret32 {
        hkdf(&self.derive, b"pli K2 role v1", &[role.as_bytes()])
    }

    /// Opens a delivery's seal: one curve operation, or none if another message of its agreement was opened just now.
    pub fn open_seal(&self, sealed: &SealedKey, aad: &[u8]) -> Result<MessageKey, OpenError> {
        let known = |agreed: &VecDeque<([u8; 32], Arc<Context>)>| {
            agreed.iter().find(|(enc, _)| *enc == sealed.encapsulated).map(|(_, context)| Arc::clone(context))
        };
        let context = known(&self.agreed.lock());
        let context = match context {
            Some(context) => context,
            None => {
                let enc = &sealed.encapsulated;
                let made = Context::from_x25519(&self.private_bytes(), &self.public.0, enc, &seal_info(self.epoch))?;
                let made = Arc::new(made);
                let mut agreed = self.agreed.lock();
                agreed.truncate(AGREED_MAX.saturating_sub(1));
                agreed.push_front((*enc, Arc::clone(&made)));
                made
            }
        };
        context.open(sealed.sequence, aad, &sealed.sealed).map(MessageKey)
    }

    /// Wraps K3 under the derived key, with a random nonce (one wrap for each message and epoch: far below 2^32).
    pub fn wrap_key(&self, key: &MessageKey, aad: &[u8]) -> Result<WrappedKey> {
        key.wrap_under(&self.wrap, aad)
    }

    /// Opens a wrap of [`EpochSecret::wrap_key`].
    pub fn open_wrap(&self, wrapped: &WrappedKey, aad: &[u8]) -> Result<MessageKey, OpenError> {
        MessageKey::open_under(&self.wrap, wrapped, aad)
    }

    /// Opens whichever form the row has; for a seal also returns the wrap that should replace it.
    pub fn open(&self, wrap: &KeyWrap, aad: &[u8]) -> Result<(MessageKey, Option<KeyWrap>)> {
        if wrap.epoch() != self.epoch {
            return Err(CryptoError::NoEpoch(wrap.epoch().0));
        }
        match wrap {
            KeyWrap::Wrapped { bytes, .. } => Ok((self.open_wrap(bytes, aad)?, None)),
            KeyWrap::Sealed { bytes, .. } => {
                let key = self.open_seal(bytes, aad)?;
                let bytes = self.wrap_key(&key, aad)?;
                Ok((key, Some(KeyWrap::Wrapped { epoch: self.epoch, bytes })))
            }
        }
    }
}

impl fmt::Debug for EpochSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochSecret").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}
