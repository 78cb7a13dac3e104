//! Rows of credentials beside an account's password: app passwords, and the highest number of one that was revoked.

use pli_crypto::ScramKeys;
use pli_types::UnixMillis;

use super::Row;
use crate::codec::{Reader, Writer};
use crate::model::AppPassword;

impl Row for AppPassword {
    const NAME: &'static str = "app password";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u32(self.id).text(&self.label).i64(self.created.0);
        w.option(self.last_used, |w, at| {
            w.i64(at.0);
        });
        w.raw(&self.hash).raw(&self.scram.to_bytes()).u32(self.iterations);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            id: r.u32()?,
            label: r.text()?.to_owned(),
            created: UnixMillis(r.i64()?),
            last_used: r.option(|r| r.i64().map(UnixMillis))?,
            hash: r.array()?,
            scram: ScramKeys::from_bytes(&r.array()?),
            iterations: r.u32()?,
        };
        r.end().map(|()| row)
    }
}

/// The highest number of an app password of an account that was revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AppNumber(pub(crate) u32);

impl Row for AppNumber {
    const NAME: &'static str = "app password number";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u32(self.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self(r.u32()?);
        r.end().map(|()| row)
    }
}
