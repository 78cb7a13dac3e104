//! Pieces of answers to FETCH, page by page.

use std::ops::Range;
use std::sync::Arc;

use pli_imap_proto::{FetchItem, SectionKind, SortKey, ThreadAlgorithm};
use pli_types::MailboxId;

use super::page::{Gather, Page, place};
use super::shelf::Value;
use super::{Listing, Place};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A FETCH of these items, in UTF-8 or not.
    Fetch(Vec<FetchItem>, bool),
    /// What SORT and THREAD compare.
    Records,
    /// An order.
    Sorted(Vec<(SortKey, bool)>),
    /// Threads.
    Threaded(ThreadAlgorithm),
}

/// Messages that make a page worth while where there is none.
const PAGE_MESSAGES_MIN: u32 = 8;
/// Bytes of one message on a page; larger ones are made each time.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;

/// Whether an item's answer is the same for ever, and short.
pub fn lasts(item: &FetchItem) -> bool {
    match item {
        FetchItem::InternalDate
        | FetchItem::Rfc822Size
        | FetchItem::Envelope
        | FetchItem::Body
        | FetchItem::BodyStructure
        | FetchItem::Preview { .. }
        | FetchItem::Rfc822Header => true,
        FetchItem::Section { section, peek: true, partial: None } => {
            let is_header = matches!(
                section.kind,
                SectionKind::Header | SectionKind::HeaderFields(_) | SectionKind::HeaderFieldsNot(_)
            );
            section.part.is_empty() && is_header
        }
        _ => false,
    }
}

/// Reads and writes the pages of one form of one mailbox, in the order of UIDs.
pub struct Keeper {
    listing: Arc<Listing>,
    mailbox: MailboxId,
    form: u32,
    pieces: usize,
    /// The page looked at last, and the one whose bytes are unpacked.
    looked: Option<(u32, Option<Arc<Page>>)>,
    open: Option<(u32, Arc<Page>)>,
    plain: Vec<u8>,
    slot: u32,
    /// The page that is made.
    gather: Gather,
    gathering: u32,
}

impl Keeper {
    pub(super) fn new(listing: Arc<Listing>, mailbox: MailboxId, form: u32, pieces: usize) -> Self {
        Self {
            listing,
            mailbox,
            form,
            pieces,
            looked: None,
            open: None,
            plain: Vec::new(),
            slot: 0,
            gather: Gather::default(),
            gathering: 0,
        }
    }
    fn place(&self, chunk: u32) -> Place {
        self.listing.place(self.mailbox, self.form, chunk)
    }
    fn page(&mut self, chunk: u32) -> Option<&Arc<Page>> {
        if self.looked.as_ref().is_none_or(|(looked, _)| *looked != chunk) {
            let page = match self.listing.get(&self.place(chunk)) {
                Some(Value::Page(page)) => Some(page),
                _ => None,
            };
            self.looked = Some((chunk, page));
        }
        self.looked.as_ref().and_then(|(_, page)| page.as_ref())
    }
    /// Whether a message's pieces are there.
    pub fn has(&mut self, uid: u32) -> bool {
        let (chunk, slot) = place(uid);
        self.page(chunk).is_some_and(|page| page.has(slot))
    }
    /// Makes a message's pieces readable; false if they are not there.
    pub fn turn_to(&mut self, uid: u32) -> bool {
        let (chunk, slot) = place(uid);
        self.slot = slot;
        if let Some((open, page)) = &self.open
            && *open == chunk
        {
            return page.has(slot);
        }
        self.open = None;
        let Some(page) = self.page(chunk).map(Arc::clone) else { return false };
        if !page.unpack(&mut self.plain) {
            return false;
        }
        let has = page.has(slot);
        self.open = Some((chunk, page));
        has
    }
    /// A piece of the message turned to.
    pub fn piece(&self, at: usize) -> &[u8] {
        let range = self.open.as_ref().and_then(|(_, page)| page.range(self.slot, at));
        range.and_then(|range| self.plain.get(range)).unwrap_or_default()
    }
    /// Keeps a message's pieces, as many as the form has.
    pub fn keep<T: AsRef<[u8]>>(&mut self, uid: u32, pieces: &[T]) {
        let bytes = pieces.iter().map(|piece| piece.as_ref().len()).fold(0, usize::saturating_add);
        if pieces.len() != self.pieces || bytes > MESSAGE_BYTES_MAX {
            return;
        }
        let (chunk, slot) = place(uid);
        if chunk != self.gathering {
            self.finish();
            self.gathering = chunk;
        }
        self.gather.push(slot, pieces.iter().map(AsRef::as_ref));
    }
    /// Keeps pieces that stand in some bytes.
    pub fn keep_ranges(&mut self, uid: u32, bytes: &[u8], ranges: &[Range<usize>]) {
        let pieces: Vec<&[u8]> = ranges.iter().map(|range| bytes.get(range.clone()).unwrap_or_default()).collect();
        self.keep(uid, &pieces);
    }
    /// Puts the page that is being made where others find it.
    pub fn finish(&mut self) {
        let count = self.gather.len();
        if count == 0 {
            return;
        }
        let place = self.place(self.gathering);
        let older = match self.listing.get(&place) {
            Some(Value::Page(page)) => Some(page),
            _ => None,
        };
        if older.is_some() || count >= PAGE_MESSAGES_MIN {
            let page = self.gather.pack(self.pieces, older.as_deref());
            self.listing.put(place, Value::Page(Arc::new(page)));
            self.looked = None;
            self.open = None;
        }
        self.gather.clear();
    }
}
