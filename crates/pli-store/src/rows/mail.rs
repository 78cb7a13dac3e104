//! Rows of mail: account state, mailbox, entries, message, body, expunged.

use std::sync::Arc;

use pli_crypto::KeyWrap;
use pli_types::{
    AccountId, BodyId, ByteCount, EmailId, Keyword, MailboxId, MailboxName, ModSeq, SpecialUse, Uid, UidValidity,
    UnixMillis,
};

use super::Row;
use crate::codec::{Reader, Writer};
use crate::limits::BLOCK_ENTRIES;
use crate::model::{Mailbox, Quota, QuotaLimit};
use crate::view::Entry;

/// Counters of the whole store. None goes back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Globals {
    pub(crate) next_account: u64,
    pub(crate) next_mailbox: u64,
    pub(crate) next_queue: u64,
    pub(crate) uid_validity: u32,
    pub(crate) next_trace: u64,
}

impl Row for Globals {
    const NAME: &'static str = "globals";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.next_account).u64(self.next_mailbox).u64(self.next_queue);
        w.u32(self.uid_validity).u64(self.next_trace);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            next_account: r.u64()?,
            next_mailbox: r.u64()?,
            next_queue: r.u64()?,
            uid_validity: r.u32()?,
            next_trace: r.u64()?,
        };
        r.end().map(|()| row)
    }
}

/// Counters and quota of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccountState {
    pub(crate) next_email: u64,
    pub(crate) modseq: u64,
    pub(crate) inbox: MailboxId,
    pub(crate) mailboxes: u32,
    pub(crate) quota: Quota,
    /// Thresholds of the quota that have been told and not been left since, in percent: of bytes, of messages.
    pub(crate) warned: (u8, u8),
}

impl Row for AccountState {
    const NAME: &'static str = "account state";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
        w.var(self.next_email).var(self.modseq).u64(self.inbox.get()).var(self.mailboxes.into());
        w.var(self.quota.bytes_used.get()).var(self.quota.messages_used);
        write_limit(&mut w, self.quota.limit);
        w.u8(self.warned.0).u8(self.warned.1);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::new(bytes);
        let version = r.u8().filter(|version| (1..=2).contains(version))?;
        let mut row = Self {
            warned: (0, 0),
            next_email: r.var()?,
            modseq: r.var()?,
            inbox: MailboxId::new(r.u64()?),
            mailboxes: r.var32()?,
            quota: Quota { bytes_used: ByteCount::new(r.var()?), messages_used: r.var()?, limit: read_limit(&mut r)? },
        };
        // Version 1 knew no warnings.
        if version == 2 {
            row.warned = (r.u8()?, r.u8()?);
        }
        r.end().map(|()| row)
    }
}

pub(super) fn write_limit(w: &mut Writer, limit: QuotaLimit) {
    w.option(limit.bytes, |w, v| {
        w.var(v.get());
    });
    w.option(limit.messages, |w, v| {
        w.var(v);
    });
}

pub(super) fn read_limit(r: &mut Reader<'_>) -> Option<QuotaLimit> {
    Some(QuotaLimit { bytes: r.option(|r| r.var().map(ByteCount::new))?, messages: r.option(Reader::var)? })
}

const fn use_code(special_use: SpecialUse) -> u8 {
    match special_use {
        SpecialUse::Archive => 1,
        SpecialUse::Drafts => 2,
        SpecialUse::Junk => 3,
        SpecialUse::Sent => 4,
        SpecialUse::Trash => 5,
    }
}

impl Row for Mailbox {
    const NAME: &'static str = "mailbox";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.id.get()).u64(self.account.get()).text(self.name.as_str());
        w.u8(self.special_use.map_or(0, use_code));
        w.u32(self.uid_validity.get()).u32(self.uid_next.get()).u64(self.highest_modseq.get());
        w.u32(self.messages).u32(self.unseen).u32(self.deleted).u64(self.bytes.get());
        w.var(self.keywords.len() as u64);
        self.keywords.iter().for_each(|keyword| {
            w.text(keyword.as_str());
        });
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self {
            id: MailboxId::new(r.u64()?),
            account: AccountId::new(r.u64()?),
            name: MailboxName::new(r.text()?).ok()?,
            special_use: match r.u8()? {
                0 => None,
                code => Some(SpecialUse::ALL.into_iter().find(|u| use_code(*u) == code)?),
            },
            uid_validity: UidValidity::new(r.u32()?),
            uid_next: Uid::new(r.u32()?),
            highest_modseq: ModSeq::new(r.u64()?),
            messages: r.u32()?,
            unseen: r.u32()?,
            deleted: r.u32()?,
            bytes: ByteCount::new(r.u64()?),
            keywords: {
                let count = r.count()?;
                (0..count).map(|_| Keyword::new(r.text()?).ok()).collect::<Option<Arc<[_]>>>()?
            },
        };
        r.end().map(|()| row)
    }
}

/// An entry with what the view leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StoredEntry {
    pub(crate) entry: Entry,
    /// When it came into this mailbox (SAVEDATE).
    pub(crate) saved: UnixMillis,
}

/// Up to 32 entries: those whose UIDs divided by 32 give the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntryBlock(pub(crate) Vec<StoredEntry>);

/// The block that holds a UID.
pub(crate) const fn block_of(uid: Uid) -> u32 {
    uid.get() / BLOCK_ENTRIES
}

impl Row for EntryBlock {
    const NAME: &'static str = "entries";
    fn encode(&self) -> Vec<u8> {
        // Differences to the entry before: twelve bytes an entry in a mailbox that fills in order.
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        let (mut uid, mut email, mut modseq, mut saved) = (0_u32, 0_u64, 0_u64, 0_i64);
        for StoredEntry { entry, saved: time } in &self.0 {
            w.var(entry.uid.get().wrapping_sub(uid).into());
            w.zigzag(entry.email.get().wrapping_sub(email).cast_signed());
            w.zigzag(entry.modseq.get().wrapping_sub(modseq).cast_signed());
            w.var(entry.flags).zigzag(time.0.wrapping_sub(saved));
            (uid, email, modseq, saved) = (entry.uid.get(), entry.email.get(), entry.modseq.get(), time.0);
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let (mut uid, mut email, mut modseq, mut saved) = (0_u32, 0_u64, 0_u64, 0_i64);
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            uid = uid.wrapping_add(r.var32()?);
            email = email.wrapping_add(r.zigzag()?.cast_unsigned());
            modseq = modseq.wrapping_add(r.zigzag()?.cast_unsigned());
            let flags = r.var()?;
            saved = saved.wrapping_add(r.zigzag()?);
            entries.push(StoredEntry {
                entry: Entry { uid: Uid::new(uid), email: EmailId::new(email), modseq: ModSeq::new(modseq), flags },
                saved: UnixMillis(saved),
            });
        }
        r.end()?;
        Some(Self(entries))
    }
}

/// A message of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MessageRow {
    pub(crate) body: BodyId,
    pub(crate) size: u64,
    pub(crate) received: UnixMillis,
    /// Place for threads; 0 so far.
    pub(crate) thread: u64,
    /// Entries of mailboxes that stand for it.
    pub(crate) refs: u32,
    /// K3 for the account.
    pub(crate) wrap: KeyWrap,
}

impl Row for MessageRow {
    const NAME: &'static str = "message";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.u64(self.body.get()).var(self.size).i64(self.received.0).var(self.thread).var(self.refs.into());
        self.wrap.encode_into(&mut w.0);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        Some(Self {
            body: BodyId::new(r.u64()?),
            size: r.var()?,
            received: UnixMillis(r.i64()?),
            thread: r.var()?,
            refs: r.var32()?,
            wrap: KeyWrap::decode(r.rest()).ok()?,
        })
    }
}

/// A body: where its frame stands. Its summary is the end of the frame's payload, sealed under K3: in the row it would
/// be written with each batch and each snapshot round, and the index would carry it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BodyRow {
    pub(crate) segment: u32,
    pub(crate) offset: u64,
    /// Bytes of the frame's payload.
    pub(crate) length: u32,
    /// Original bytes.
    pub(crate) size: u64,
    /// SHA-256 of the original bytes.
    pub(crate) digest: [u8; 32],
    /// SHA-256 of the frame's payload.
    pub(crate) sealed_digest: [u8; 32],
    /// Message rows that use it.
    pub(crate) messages: u32,
    /// Queue rows that use it.
    pub(crate) queued: u32,
    /// Bytes of the summary at the end of the payload; 0 if there is none.
    pub(crate) summary_bytes: u32,
    /// Times that the summary was made again: its chunk index.
    pub(crate) summary_version: u32,
    /// A summary that counts instead of the frame's, compressed and sealed: one that was made again, or that a program
    /// of format 2 wrote. Mostly empty.
    pub(crate) summary: Vec<u8>,
}

impl Row for BodyRow {
    const NAME: &'static str = "body";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(2);
        w.u32(self.segment).u64(self.offset).u32(self.length).var(self.size);
        w.raw(&self.digest).raw(&self.sealed_digest);
        w.var(self.messages.into()).var(self.queued.into()).var(self.summary_bytes.into());
        w.var(self.summary_version.into()).bytes(&self.summary);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (mut row, summary) = Self::decode_borrowed(bytes)?;
        row.summary = summary.to_vec();
        Some(row)
    }
}

impl BodyRow {
    /// The row with its summary left where it stands.
    pub(crate) fn decode_borrowed(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let mut r = Reader::new(bytes);
        let version = r.u8().filter(|version| (1..=2).contains(version))?;
        let row = Self {
            segment: r.u32()?,
            offset: r.u64()?,
            length: r.u32()?,
            size: r.var()?,
            digest: r.array()?,
            sealed_digest: r.array()?,
            messages: r.var32()?,
            queued: r.var32()?,
            // Version 1 had the summary in the row alone.
            summary_bytes: if version == 1 { 0 } else { r.var32()? },
            summary_version: r.var32()?,
            summary: Vec::new(),
        };
        let summary = r.bytes()?;
        r.end().map(|()| (row, summary))
    }
}

/// UIDs that one modseq removed, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expunged(pub(crate) Vec<Uid>);

impl Row for Expunged {
    const NAME: &'static str = "expunged";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        let mut before = 0_u32;
        for uid in &self.0 {
            w.var(uid.get().wrapping_sub(before).into());
            before = uid.get();
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let mut before = 0_u32;
        let mut uids = Vec::with_capacity(count);
        for _ in 0..count {
            before = before.wrapping_add(r.var32()?);
            uids.push(Uid::new(before));
        }
        r.end()?;
        Some(Self(uids))
    }
}

/// How far back the expunged rows of a mailbox go, and how many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct History {
    /// What was expunged at this modseq or before may be missing.
    pub(crate) floor: ModSeq,
    /// Rows.
    pub(crate) rows: u64,
    /// UIDs in them.
    pub(crate) uids: u64,
}

impl Row for History {
    const NAME: &'static str = "history";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.floor.get()).var(self.rows).var(self.uids);
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { floor: ModSeq::new(r.var()?), rows: r.var()?, uids: r.var()? };
        r.end().map(|()| row)
    }
}
