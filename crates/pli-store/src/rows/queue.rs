//! Rows of the outbound queue, of domains that are frozen and of the trace.

use pli_types::{AccountId, Address, BodyId, ByteCount, QueueId, UnixMillis};

use super::Row;
use crate::codec::{Reader, Writer};
use crate::model_queue::{FrozenDomain, QueueRow, TraceEvent};

impl Row for QueueRow {
    const NAME: &'static str = "queue";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
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
        w.option(self.route.as_deref(), |w, v| {
            w.text(v);
        });
        w.option(self.last_attempt, |w, v| {
            w.i64(v.0);
        });
        w.flag(self.told_delay);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let version = r.u8().filter(|version| (1..=2).contains(version))?;
        let mut row = Self {
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
            route: None,
            last_attempt: None,
            told_delay: false,
        };
        if version >= 2 {
            row.route = r.option(|r| r.text().map(str::to_owned))?;
            row.last_attempt = r.option(|r| r.i64().map(UnixMillis))?;
            row.told_delay = r.flag()?;
        }
        r.end().map(|()| row)
    }
}

impl Row for FrozenDomain {
    const NAME: &'static str = "frozen domain";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(&self.domain).i64(self.since.0).text(&self.reason);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { domain: r.text()?.to_owned(), since: UnixMillis(r.i64()?), reason: r.text()?.to_owned() };
        r.end().map(|()| row)
    }
}

/// A trace event with what a search looks at before it reads the rest: time and rows of the queue.
pub(crate) struct TraceRow {
    pub(crate) time: UnixMillis,
    pub(crate) queue: Vec<QueueId>,
    /// [`TraceEvent`] as JSON.
    pub(crate) json: Vec<u8>,
}

impl TraceRow {
    pub(crate) fn of(event: &TraceEvent) -> Self {
        Self {
            time: UnixMillis(event.time),
            queue: event.to.iter().filter_map(|to| to.queue).collect(),
            // A struct of texts and numbers has a form in JSON.
            json: serde_json::to_vec(event).unwrap_or_default(),
        }
    }
    pub(crate) fn event(&self) -> Option<TraceEvent> {
        serde_json::from_slice(&self.json).ok()
    }
}

impl Row for TraceRow {
    const NAME: &'static str = "trace";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.i64(self.time.0).var(self.queue.len() as u64);
        for id in &self.queue {
            w.var(id.get());
        }
        w.bytes(&self.json);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let time = UnixMillis(r.i64()?);
        let count = r.count()?;
        let queue = (0..count).map(|_| r.var().map(QueueId::new)).collect::<Option<Vec<_>>>()?;
        let row = Self { time, queue, json: r.bytes()?.to_vec() };
        r.end().map(|()| row)
    }
}
