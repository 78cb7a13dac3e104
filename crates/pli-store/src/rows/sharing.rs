//! Rows of sharing: members of shared accounts, groups, access control lists, who has seen what, annotations.

use pli_types::{AccountId, ModSeq, Rights, Uid};

use super::Row;
use crate::codec::{Reader, Writer};
use crate::limits::SEEN_BLOCK_UIDS;
use crate::model_sharing::{Group, Member, Subject};

fn write_subject(w: &mut Writer, subject: &Subject) {
    match subject {
        Subject::Anyone => w.u8(0),
        Subject::Account(id) => w.u8(1).u64(id.get()),
        Subject::Group(name) => w.u8(2).text(name),
    };
}

fn read_subject(r: &mut Reader<'_>) -> Option<Subject> {
    Some(match r.u8()? {
        0 => Subject::Anyone,
        1 => Subject::Account(AccountId::new(r.u64()?)),
        2 => Subject::Group(r.text()?.to_owned()),
        _ => return None,
    })
}

/// What makes an account a shared one: its members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Members(pub(crate) Vec<Member>);

impl Row for Members {
    const NAME: &'static str = "members";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        for member in &self.0 {
            write_subject(&mut w, &member.subject);
            let bits = [member.owner, member.send_as, member.send_on_behalf];
            w.u8(bits.iter().zip([1_u8, 2, 4]).filter(|(on, _)| **on).map(|(_, bit)| bit).sum());
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let mut members = Vec::with_capacity(count);
        for _ in 0..count {
            let subject = read_subject(&mut r)?;
            let bits = r.u8().filter(|bits| *bits < 8)?;
            let [owner, send_as, send_on_behalf] = [1_u8, 2, 4].map(|bit| bits & bit != 0);
            members.push(Member { subject, owner, send_as, send_on_behalf });
        }
        r.end().map(|()| Self(members))
    }
}

impl Row for Group {
    const NAME: &'static str = "group";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.text(&self.name).var(self.members.len() as u64);
        self.members.iter().for_each(|id| {
            w.u64(id.get());
        });
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let name = r.text()?.to_owned();
        let count = r.count()?;
        let members = (0..count).map(|_| r.u64().map(AccountId::new)).collect::<Option<_>>()?;
        r.end().map(|()| Self { name, members })
    }
}

/// The access control list of a mailbox, as far as it says something of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl(pub(crate) Vec<(Subject, Rights)>);

impl Row for Acl {
    const NAME: &'static str = "access control list";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        for (subject, rights) in &self.0 {
            write_subject(&mut w, subject);
            w.var(rights.bits().into());
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let subject = read_subject(&mut r)?;
            let bits = u16::try_from(r.var()?).ok()?;
            let rights = Rights::from_bits(bits);
            (rights.bits() == bits).then_some(())?;
            entries.push((subject, rights));
        }
        r.end().map(|()| Self(entries))
    }
}

/// What somebody has seen of another's mailbox, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenHead {
    /// Messages that are there and seen.
    pub(crate) seen: u32,
    /// The newest modseq of a change.
    pub(crate) highest: ModSeq,
}

impl Row for SeenHead {
    const NAME: &'static str = "seen";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.seen.into()).var(self.highest.get());
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let row = Self { seen: r.var32()?, highest: ModSeq::new(r.var()?) };
        r.end().map(|()| row)
    }
}

/// Whether somebody has seen a message, and since which modseq that is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) uid: Uid,
    pub(crate) seen: bool,
    pub(crate) modseq: ModSeq,
}

/// What somebody has ever marked, of UIDs that divided by [`SEEN_BLOCK_UIDS`] give the same; ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SeenBlock(pub(crate) Vec<Seen>);

/// The block that holds a UID.
pub(crate) const fn seen_block_of(uid: Uid) -> u32 {
    uid.get() / SEEN_BLOCK_UIDS
}

impl Row for SeenBlock {
    const NAME: &'static str = "seen messages";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        let (mut uid, mut modseq) = (0_u32, 0_u64);
        for seen in &self.0 {
            // The flag in the difference's last bit: three bytes a message that was read in order.
            let step = u64::from(seen.uid.get().wrapping_sub(uid));
            w.var(step << 1 | u64::from(seen.seen));
            w.zigzag(seen.modseq.get().wrapping_sub(modseq).cast_signed());
            (uid, modseq) = (seen.uid.get(), seen.modseq.get());
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let (mut uid, mut modseq) = (0_u32, 0_u64);
        let mut block = Vec::with_capacity(count);
        for _ in 0..count {
            let step = r.var()?;
            uid = uid.checked_add(u32::try_from(step >> 1).ok()?)?;
            modseq = modseq.wrapping_add(r.zigzag()?.cast_unsigned());
            block.push(Seen { uid: Uid::new(uid), seen: step & 1 == 1, modseq: ModSeq::new(modseq) });
        }
        r.end().map(|()| Self(block))
    }
}

/// Annotations of a mailbox or of the server (RFC 5464), everybody's or one account's: name and value, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Annotations(pub(crate) Vec<(String, Vec<u8>)>);

impl Annotations {
    /// Among one account's own of its own mailbox: the key that URLs are made over (RFC 4467 §5). Names of annotations
    /// begin with `/`, so that no command of annotations reaches it.
    pub(crate) const URL_KEY: &'static str = "url-key";

    /// That key.
    pub(crate) fn url_key(&self) -> Option<Vec<u8>> {
        self.0.iter().find(|(name, _)| name == Self::URL_KEY).map(|(_, value)| value.clone())
    }
}

impl Row for Annotations {
    const NAME: &'static str = "annotations";
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new(1);
        w.var(self.0.len() as u64);
        for (name, value) in &self.0 {
            w.text(name).bytes(value);
        }
        w.done()
    }
    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut r = Reader::versioned(bytes, 1)?;
        let count = r.count()?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push((r.text()?.to_owned(), r.bytes()?.to_vec()));
        }
        r.end().map(|()| Self(entries))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn back<T: Row + PartialEq + std::fmt::Debug>(row: &T) {
        let bytes = row.encode();
        assert_eq!(T::decode(&bytes).as_ref(), Some(row));
        for cut in 0..bytes.len() {
            assert_ne!(T::decode(&bytes[..cut]).as_ref(), Some(row), "cut at {cut}");
        }
    }

    #[test]
    fn rows_come_back() {
        let member = |subject, owner, send_as, send_on_behalf| Member { subject, owner, send_as, send_on_behalf };
        back(&Members(vec![
            member(Subject::Account(AccountId::new(7)), true, false, true),
            member(Subject::Group("it".into()), false, true, false),
        ]));
        back(&Group { name: "it".into(), members: vec![AccountId::new(1), AccountId::new(9)] });
        back(&Acl(vec![(Subject::Anyone, Rights::LOOKUP), (Subject::Group("it".into()), Rights::ALL)]));
        back(&SeenHead { seen: 5, highest: ModSeq::new(70_000) });
        let seen = |uid, seen, modseq| Seen { uid: Uid::new(uid), seen, modseq: ModSeq::new(modseq) };
        back(&SeenBlock(vec![seen(1, true, 50), seen(2, false, 7), seen(200, true, 7_000_000_000)]));
        back(&Annotations(vec![("/comment".into(), b"x\0y".to_vec()), ("/vendor/a".into(), Vec::new())]));
    }

    #[test]
    fn a_message_read_in_order_takes_little() {
        let block: Vec<Seen> = (1..=256)
            .map(|uid| Seen { uid: Uid::new(uid), seen: true, modseq: ModSeq::new(1000 + u64::from(uid)) })
            .collect();
        assert!(SeenBlock(block).encode().len() < 256 * 3);
    }
}
