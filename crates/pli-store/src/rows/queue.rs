//! Rows of the outbound queue.

use pli_types::{AccountId, Address, BodyId, ByteCount, QueueId, UnixMillis};

use super::Row;
use crate::codec::{Reader, Writer};
use crate::model::QueueRow;

impl Row for QueueRow {
    const NAME: &'static str = "queue";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.get()).u64(self.body.get()).var(self.size.get());
        w.option(self.reverse_path.as_ref(), |w, v| {
            w.text(&v.to_string());
        });
        w.text(&self.forward_path.to_string());
        w.option(self.submitter, |w, v| {
            w.u64(v.get());
        });
        w.i64(self.created.0).u32(self.attempts).i64(self.next_attempt.0);
        w.option(self.last_error.as_deref(), |w, v| {
            w.text(v);
        });
        w.flag(self.held).flag(self.smtputf8).flag(self.eight_bit).bytes(&self.parameters);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            id: QueueId::new(r.u64()?),
            body: BodyId::new(r.u64()?),
            size: ByteCount::new(r.var()?),
            reverse_path: r.option(|r| Address::parse(r.text()?).ok())?,
            forward_path: Address::parse(r.text()?).ok()?,
            submitter: r.option(|r| r.u64().map(AccountId::new))?,
            created: UnixMillis(r.i64()?),
            attempts: r.u32()?,
            next_attempt: UnixMillis(r.i64()?),
            last_error: r.option(|r| r.text().map(str::to_owned))?,
            held: r.flag()?,
            smtputf8: r.flag()?,
            eight_bit: r.flag()?,
            parameters: r.bytes()?.to_vec(),
        };
        r.end().map(|()| row)
    }
}
