//! ESEARCH and UIDBATCHES answers. RFC 9051 §7.3.4, RFC 4731, RFC 5267, RFC 6203, RFC 7377, RFC 9394, RFC 10022.

use pli_types::{ModSeq, UidValidity};

use crate::command::{PartialRange, Tag};
use crate::out::Out;

/// RFC 9051 §7.3.4: an ESEARCH answer; what is `None` is not written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ESearch<'a> {
    /// The command's tag.
    pub tag: Option<&'a Tag>,
    /// RFC 7377 §2.1: the mailbox that was searched.
    pub mailbox: Option<(&'a str, UidValidity)>,
    /// Numbers are UIDs.
    pub uid: bool,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// COUNT
    pub count: Option<u64>,
    /// ALL: in the order of the results; not written when empty (RFC 9051 §7.3.4).
    pub all: Option<&'a [u32]>,
    /// PARTIAL (RFC 9394 §3.1): the range as sent and what lies in it.
    pub partial: Option<(PartialRange, &'a [u32])>,
    /// RELEVANCY (RFC 6203 §4): a score for each of ALL or PARTIAL.
    pub relevancy: Option<&'a [u8]>,
    /// MODSEQ (RFC 7162 §3.1.10)
    pub modseq: Option<ModSeq>,
}

/// RFC 5267 §4.3: how the results of a search change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// ADDTO
    Add,
    /// REMOVEFROM
    Remove,
}

impl Out {
    fn correlators(&mut self, tag: Option<&Tag>, mailbox: Option<(&str, UidValidity)>) {
        let Some(tag) = tag else { return };
        self.raw(b" (TAG ");
        self.string(tag.as_str().as_bytes());
        if let Some((name, validity)) = mailbox {
            self.raw(b" MAILBOX ");
            self.mailbox(name);
            self.raw(b" UIDVALIDITY");
            self.space_number(validity.get().into());
        }
        self.raw(b")");
    }

    /// `* ESEARCH (TAG "t") UID MIN n MAX n ALL set COUNT n MODSEQ n`
    pub fn esearch(&mut self, answer: &ESearch<'_>) {
        self.raw(b"* ESEARCH");
        self.correlators(answer.tag, answer.mailbox);
        if answer.uid {
            self.raw(b" UID");
        }
        if let Some(min) = answer.min {
            self.raw(b" MIN");
            self.space_number(min.into());
        }
        if let Some(max) = answer.max {
            self.raw(b" MAX");
            self.space_number(max.into());
        }
        if let Some(all) = answer.all.filter(|a| !a.is_empty()) {
            self.raw(b" ALL ");
            self.runs(all.iter().copied());
        }
        if let Some((range, results)) = answer.partial {
            self.partial(range, results);
        }
        if let Some(scores) = answer.relevancy {
            self.raw(b" RELEVANCY (");
            for (i, score) in scores.iter().enumerate() {
                if i > 0 {
                    self.raw(b" ");
                }
                self.number((*score).into());
            }
            self.raw(b")");
        }
        if let Some(count) = answer.count {
            self.raw(b" COUNT");
            self.space_number(count);
        }
        if let Some(modseq) = answer.modseq {
            self.raw(b" MODSEQ");
            self.space_number(modseq.get());
        }
        self.crlf();
    }

    fn partial(&mut self, range: PartialRange, results: &[u32]) {
        let minus: &[u8] = if range.from_end { b"-" } else { b"" };
        self.raw(b" PARTIAL (");
        self.raw(minus);
        self.number(range.first.get().into());
        self.raw(b":");
        self.raw(minus);
        self.number(range.last.get().into());
        self.raw(b" ");
        if results.is_empty() {
            self.raw(b"NIL");
        } else {
            self.runs(results.iter().copied());
        }
        self.raw(b")");
    }

    /// RFC 5267 §4.3: `* ESEARCH (TAG "t") UID ADDTO (place set place set)`; nothing for no changes.
    pub fn search_update(&mut self, tag: &Tag, uid: bool, change: Change, sets: &[(u32, Vec<u32>)]) {
        if sets.is_empty() {
            return;
        }
        self.raw(b"* ESEARCH");
        self.correlators(Some(tag), None);
        if uid {
            self.raw(b" UID");
        }
        self.raw(match change {
            Change::Add => b" ADDTO (",
            Change::Remove => b" REMOVEFROM (",
        });
        for (i, (place, set)) in sets.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            self.number((*place).into());
            self.raw(b" ");
            self.runs(set.iter().copied());
        }
        self.raw(b")");
        self.crlf();
    }

    /// RFC 10022 §4: `* UIDBATCHES (TAG "t") high:low,high:low`
    pub fn uid_batches(&mut self, tag: &Tag, batches: &[(u32, u32)]) {
        self.raw(b"* UIDBATCHES");
        self.correlators(Some(tag), None);
        for (i, (high, low)) in batches.iter().enumerate() {
            self.raw(if i == 0 { b" " } else { b"," });
            self.number((*high).into());
            if high != low {
                self.raw(b":");
                self.number((*low).into());
            }
        }
        self.crlf();
    }
}
