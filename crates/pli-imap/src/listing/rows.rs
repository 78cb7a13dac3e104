//! What SORT and THREAD compare of a message, as bytes on a page; and threads as they were last made.

use std::sync::Arc;

use super::forms::Keeper;

/// Pieces of a record: numbers, texts, ids.
pub(super) const FIELDS: usize = 1 + TEXTS + 1;
const TEXTS: usize = 7;
const NUMBERS_BYTES: usize = 25;

/// Its texts. All but the last are as SORT compares them, collated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// The base subject.
    Subject = 0,
    /// Local part of the first From address, and so on.
    From = 1,
    To = 2,
    Cc = 3,
    /// RFC 5957.
    DisplayFrom = 4,
    DisplayTo = 5,
    /// The base subject, folded: what THREAD gathers by.
    Thread = 6,
}

/// A record just made of a message.
#[derive(Debug, Default)]
pub struct Record {
    /// The Date field, else the internal date.
    pub date: i64,
    /// The internal date.
    pub received: i64,
    /// RFC822.SIZE
    pub size: u64,
    /// The subject is that of a reply.
    pub reply: bool,
    /// In the order of [`Text`].
    pub texts: [String; TEXTS],
    /// The message's id, hashed; 0: none.
    pub id: u64,
    /// Those it refers to.
    pub references: Vec<u64>,
}

impl Record {
    fn numbers(&self) -> [u8; NUMBERS_BYTES] {
        let mut bytes = [0; NUMBERS_BYTES];
        let words = [self.date.to_le_bytes(), self.received.to_le_bytes(), self.size.to_le_bytes()];
        bytes.iter_mut().zip(words.as_flattened()).for_each(|(to, from)| *to = *from);
        if let Some(last) = bytes.last_mut() {
            *last = self.reply.into();
        }
        bytes
    }
    fn ids(&self) -> Vec<u8> {
        std::iter::once(&self.id).chain(&self.references).flat_map(|id| id.to_le_bytes()).collect()
    }
    /// As it is read.
    pub fn read<T>(&self, read: impl FnOnce(View<'_>) -> T) -> T {
        let (numbers, ids) = (self.numbers(), self.ids());
        read(View(self.pieces(&numbers, &ids)))
    }
    fn pieces<'a>(&'a self, numbers: &'a [u8], ids: &'a [u8]) -> [&'a [u8]; FIELDS] {
        let [a, b, c, d, e, f, g] = &self.texts;
        let [a, b, c, d, e, f, g] = [a, b, c, d, e, f, g].map(String::as_bytes);
        [numbers, a, b, c, d, e, f, g, ids]
    }
}

/// A record as it is read.
#[derive(Clone, Copy, Debug)]
pub struct View<'a>([&'a [u8]; FIELDS]);

impl<'a> View<'a> {
    fn number(self, at: usize) -> u64 {
        let [numbers, ..] = self.0;
        numbers.as_chunks::<8>().0.get(at).copied().map(u64::from_le_bytes).unwrap_or_default()
    }
    /// See [`Record`].
    pub fn date(self) -> i64 {
        self.number(0).cast_signed()
    }
    /// See [`Record`].
    pub fn received(self) -> i64 {
        self.number(1).cast_signed()
    }
    /// See [`Record`].
    pub fn size(self) -> u64 {
        self.number(2)
    }
    /// See [`Record`].
    pub fn reply(self) -> bool {
        let [numbers, ..] = self.0;
        numbers.last().is_some_and(|last| *last != 0)
    }
    /// One of the texts.
    pub fn text(self, which: Text) -> &'a str {
        let bytes = self.0.get((which as usize).saturating_add(1)).copied().unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }
    /// The message's id, then those it refers to.
    pub fn ids(self) -> impl Iterator<Item = u64> {
        let [.., ids] = self.0;
        ids.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// Reads and writes records of one mailbox, in the order of UIDs.
pub struct Records(Keeper);

impl Records {
    pub(super) const fn new(keeper: Keeper) -> Self {
        Self(keeper)
    }
    /// See [`Keeper::has`].
    pub fn has(&mut self, uid: u32) -> bool {
        self.0.has(uid)
    }
    /// The record of a message, if it is there.
    pub fn get(&mut self, uid: u32) -> Option<View<'_>> {
        self.0.turn_to(uid).then(|| View(std::array::from_fn(|at| self.0.piece(at))))
    }
    /// Keeps one.
    pub fn keep(&mut self, uid: u32, record: &Record) {
        record.read(|view| self.0.keep(uid, &view.0));
    }
    /// See [`Keeper::finish`].
    pub fn finish(&mut self) {
        self.0.finish();
    }
}

/// Threads, flat: places of messages among those they were made of, and what stands between them.
#[derive(Debug)]
pub struct Forest {
    /// What they were made of.
    pub uids: Arc<[u32]>,
    /// See [`Self::OPEN`].
    pub steps: Vec<u32>,
}

impl Forest {
    /// `(`
    pub const OPEN: u32 = u32::MAX;
    /// `)`
    pub const CLOSE: u32 = u32::MAX - 1;
    /// The blank before the first of several branches.
    pub const BRANCHES: u32 = u32::MAX - 2;

    /// What it takes in memory.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>().saturating_add(size_of_val(&*self.uids)).saturating_add(size_of_val(&*self.steps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_it_was_made() {
        let text = |n: usize| "é".repeat(n);
        let record = Record {
            date: -5,
            received: i64::MAX,
            size: 1 << 40,
            reply: true,
            texts: std::array::from_fn(text),
            id: 9,
            references: vec![3, u64::MAX],
        };
        record.read(|view| {
            assert_eq!((view.date(), view.received(), view.size(), view.reply()), (-5, i64::MAX, 1 << 40, true));
            assert_eq!((view.text(Text::Subject), view.text(Text::Thread)), ("", &*text(6)));
            assert_eq!(view.ids().collect::<Vec<_>>(), [9, 3, u64::MAX]);
        });
    }
}
