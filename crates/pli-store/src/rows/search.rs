//! Rows of the search index: which segments an account has.

use pli_crypto::KeyWrap;
use pli_types::BodyId;

use super::Row;
use crate::codec::{Reader, Writer};

/// A search segment: bytes that stand in the log as a body does, under a key of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SearchRow {
    pub(crate) body: BodyId,
    /// `pli_search::TEXT_VERSION` when it was made; another one's are made anew.
    pub(crate) text_version: u32,
    /// The first message that it covers, by email id.
    pub(crate) first: u64,
    /// The last email id that was looked at for it.
    pub(crate) last: u64,
    /// How many messages it covers.
    pub(crate) messages: u32,
    /// Plain bytes.
    pub(crate) size: u64,
    /// Its key for the account.
    pub(crate) wrap: KeyWrap,
}

impl Row for SearchRow {
    const NAME: &'static str = "search segment";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.body.get()).var(self.text_version.into()).var(self.first).var(self.last);
        w.var(self.messages.into()).var(self.size);
        self.wrap.encode_into(&mut w.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        Some(Self {
            body: BodyId::new(r.u64()?),
            text_version: r.var32()?,
            first: r.var()?,
            last: r.var()?,
            messages: r.var32()?,
            size: r.var()?,
            wrap: KeyWrap::decode(r.rest()).ok()?,
        })
    }
}
