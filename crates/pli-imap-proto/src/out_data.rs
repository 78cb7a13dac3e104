//! Untagged data other than FETCH: LIST, STATUS, SEARCH, EXISTS, VANISHED, QUOTA and their kin.

use pli_types::{ModSeq, SpecialUse, Uid, UidValidity};

use crate::command::{ListVerb, StatusItem};
use crate::out::Out;

/// RFC 9051 §7.3.1: attributes of a LIST answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListAttribute {
    /// \NonExistent
    NonExistent,
    /// \Noinferiors
    NoInferiors,
    /// \Noselect
    NoSelect,
    /// \HasChildren
    HasChildren,
    /// \HasNoChildren
    HasNoChildren,
    /// \Marked
    Marked,
    /// \Unmarked
    Unmarked,
    /// \Subscribed
    Subscribed,
    /// \Remote
    Remote,
    /// \Inbox, only in XLIST
    Inbox,
    /// RFC 6154 §2. In XLIST Junk is written \Spam and Archive \AllMail is never written.
    SpecialUse(SpecialUse),
}

impl ListAttribute {
    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NonExistent => "\\NonExistent",
            Self::NoInferiors => "\\Noinferiors",
            Self::NoSelect => "\\Noselect",
            Self::HasChildren => "\\HasChildren",
            Self::HasNoChildren => "\\HasNoChildren",
            Self::Marked => "\\Marked",
            Self::Unmarked => "\\Unmarked",
            Self::Subscribed => "\\Subscribed",
            Self::Remote => "\\Remote",
            Self::Inbox => "\\Inbox",
            Self::SpecialUse(u) => u.attribute(),
        }
    }
}

/// One LIST, LSUB or XLIST answer.
#[derive(Clone, Copy, Debug)]
pub struct ListRow<'a> {
    /// Which command it answers.
    pub verb: ListVerb,
    /// In the order to be written.
    pub attributes: &'a [ListAttribute],
    /// `None` gives NIL for a name without hierarchy.
    pub separator: Option<char>,
    /// UTF-8; empty for the answer to an empty pattern.
    pub name: &'a str,
    /// RFC 9051 §6.3.9.7 OLDNAME: the name before a rename or normalisation.
    pub old_name: Option<&'a str>,
    /// RFC 5258 §4 CHILDINFO: `SUBSCRIBED` below a name that RECURSIVEMATCH brought in.
    pub child_info_subscribed: bool,
}

/// The value of a STATUS item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusValue<'a> {
    /// A number.
    Number(u64),
    /// An object id, for MAILBOXID.
    Id(&'a str),
    /// NIL, for APPENDLIMIT without a limit.
    Nil,
}

impl StatusItem {
    /// As on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "MESSAGES",
            Self::Recent => "RECENT",
            Self::UidNext => "UIDNEXT",
            Self::UidValidity => "UIDVALIDITY",
            Self::Unseen => "UNSEEN",
            Self::Deleted => "DELETED",
            Self::Size => "SIZE",
            Self::HighestModSeq => "HIGHESTMODSEQ",
            Self::MailboxId => "MAILBOXID",
            Self::DeletedStorage => "DELETED-STORAGE",
            Self::AppendLimit => "APPENDLIMIT",
        }
    }
}

/// RFC 9208 §5.1: one resource of a QUOTA answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaResource<'a> {
    /// `STORAGE` (in KiB), `MESSAGE`, `MAILBOX`
    pub name: &'a str,
    /// In use.
    pub usage: u64,
    /// At most.
    pub limit: u64,
}

/// The mailbox.
impl Out {
    /// `* n EXISTS`
    pub fn exists(&mut self, count: u32) {
        self.counted(count, b" EXISTS\r\n");
    }
    /// `* n RECENT` (RFC 3501 §7.3.2)
    pub fn recent(&mut self, count: u32) {
        self.counted(count, b" RECENT\r\n");
    }
    /// `* n EXPUNGE`
    pub fn expunge(&mut self, number: u32) {
        self.counted(number, b" EXPUNGE\r\n");
    }
    fn counted(&mut self, n: u32, what: &[u8]) {
        self.raw(b"* ");
        self.number(n.into());
        self.raw(what);
    }
    /// `* VANISHED (EARLIER) set` (RFC 7162 §3.2.10); the UIDs rise; nothing for none.
    pub fn vanished(&mut self, earlier: bool, uids: impl IntoIterator<Item = Uid>) {
        let mut uids = uids.into_iter().peekable();
        if uids.peek().is_none() {
            return;
        }
        self.raw(if earlier { b"* VANISHED (EARLIER) " } else { b"* VANISHED " });
        self.runs(uids.map(Uid::get));
        self.crlf();
    }
    /// `* VANISHED (EARLIER) set` of ranges that rise and do not touch; nothing for none.
    pub fn vanished_earlier(&mut self, ranges: &[(u32, u32)]) {
        if ranges.is_empty() {
            return;
        }
        self.raw(b"* VANISHED (EARLIER) ");
        for (at, (first, last)) in ranges.iter().enumerate() {
            if at > 0 {
                self.raw(b",");
            }
            self.number((*first).into());
            if first != last {
                self.raw(b":");
                self.number((*last).into());
            }
        }
        self.crlf();
    }
    /// `* FLAGS (...)` with what stands between the parentheses.
    pub fn flags(&mut self, flags: &str) {
        self.raw(b"* FLAGS (");
        self.raw(flags.as_bytes());
        self.raw(b")\r\n");
    }
    /// `* SEARCH n n`, with RFC 7162 §3.1.6 `(MODSEQ n)`, which an empty answer leaves out.
    pub fn search(&mut self, numbers: &[u32], modseq: Option<ModSeq>) {
        self.numbers(b"* SEARCH", numbers, modseq);
    }
    /// `* SORT n n` (RFC 5256 §4)
    pub fn sort(&mut self, numbers: &[u32], modseq: Option<ModSeq>) {
        self.numbers(b"* SORT", numbers, modseq);
    }
    fn numbers(&mut self, verb: &[u8], numbers: &[u32], modseq: Option<ModSeq>) {
        self.raw(verb);
        for &n in numbers {
            self.space_number(n.into());
        }
        if let Some(modseq) = modseq.filter(|_| !numbers.is_empty()) {
            self.modseq_list(modseq);
        }
        self.crlf();
    }
    /// `* THREAD` and, for each thread, `thread_open`, numbers, `thread_close`; at the end `thread_end` (RFC 5256 §4).
    pub fn thread_start(&mut self) {
        self.raw(b"* THREAD ");
        self.first_item = true;
    }
    /// `(`
    pub fn thread_open(&mut self) {
        self.raw(b"(");
        self.first_item = true;
    }
    /// A message, with the blank before it if it needs one.
    pub fn thread_number(&mut self, n: u32) {
        if !std::mem::replace(&mut self.first_item, false) {
            self.raw(b" ");
        }
        self.number(n.into());
    }
    /// A blank between a message and its branches.
    pub fn thread_branches(&mut self) {
        self.raw(b" ");
    }
    /// `)`
    pub fn thread_close(&mut self) {
        self.raw(b")");
    }
    /// The line end.
    pub fn thread_end(&mut self) {
        if self.as_bytes().ends_with(b"* THREAD ") {
            self.truncate(self.len() - 1);
        }
        self.crlf();
    }
}

/// Mailboxes.
impl Out {
    /// `* LIST (attributes) "/" name (extended data)`
    pub fn list(&mut self, row: &ListRow<'_>) {
        self.raw(match row.verb {
            ListVerb::List => b"* LIST (",
            ListVerb::Lsub => b"* LSUB (",
            ListVerb::Xlist => b"* XLIST (",
        });
        for (i, attribute) in row.attributes.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            let name = match (row.verb, *attribute) {
                // XLIST predates RFC 6154 and calls junk so.
                (ListVerb::Xlist, ListAttribute::SpecialUse(SpecialUse::Junk)) => "\\Spam",
                (_, other) => other.name(),
            };
            self.raw(name.as_bytes());
        }
        self.raw(b") ");
        match row.separator {
            None => self.raw(b"NIL"),
            Some(c) => self.string(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        self.raw(b" ");
        self.mailbox(row.name);
        if row.verb == ListVerb::List {
            self.list_extended(row);
        }
        self.crlf();
    }
    fn list_extended(&mut self, row: &ListRow<'_>) {
        if row.old_name.is_none() && !row.child_info_subscribed {
            return;
        }
        self.raw(b" (");
        if row.child_info_subscribed {
            self.raw(b"\"CHILDINFO\" (\"SUBSCRIBED\")");
        }
        if let Some(old) = row.old_name {
            if row.child_info_subscribed {
                self.raw(b" ");
            }
            self.raw(b"\"OLDNAME\" (");
            self.mailbox(old);
            self.raw(b")");
        }
        self.raw(b")");
    }
    /// `* STATUS name (ITEM value ...)`
    pub fn status(&mut self, name: &str, items: &[(StatusItem, StatusValue<'_>)]) {
        self.raw(b"* STATUS ");
        self.mailbox(name);
        self.raw(b" (");
        for (i, (item, value)) in items.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            self.raw(item.name().as_bytes());
            self.raw(b" ");
            match value {
                StatusValue::Number(n) => self.number(*n),
                StatusValue::Nil => self.raw(b"NIL"),
                StatusValue::Id(id) => {
                    self.raw(b"(");
                    self.atom(id);
                    self.raw(b")");
                }
            }
        }
        self.raw(b")\r\n");
    }
    /// `* NAMESPACE ((prefix "/")) ...` (RFC 2342 §5); an empty slice gives NIL. All have one separator.
    /// Each prefix may have a translation (RFC 5255 §3.4).
    pub fn namespace(
        &mut self,
        personal: &[(&str, Option<&str>)],
        others: &[(&str, Option<&str>)],
        shared: &[(&str, Option<&str>)],
        separator: char,
    ) {
        self.raw(b"* NAMESPACE");
        for group in [personal, others, shared] {
            if group.is_empty() {
                self.raw(b" NIL");
                continue;
            }
            self.raw(b" (");
            for (prefix, translation) in group {
                self.raw(b"(");
                let spelt = if self.is_utf8() { (*prefix).to_owned() } else { crate::utf7::encode(prefix) };
                self.string(spelt.as_bytes());
                self.raw(b" ");
                self.string(separator.encode_utf8(&mut [0; 4]).as_bytes());
                if let Some(translation) = translation {
                    // RFC 5255 §3.5: in modified UTF-7, always.
                    self.raw(b" \"TRANSLATION\" (");
                    self.string(crate::utf7::encode(translation).as_bytes());
                    self.raw(b")");
                }
                self.raw(b")");
            }
            self.raw(b")");
        }
        self.crlf();
    }
    /// `* GENURLAUTH url ...` (RFC 4467 §8)
    pub fn gen_url_auth(&mut self, urls: &[String]) {
        self.raw(b"* GENURLAUTH");
        for url in urls {
            self.raw(b" ");
            self.string(url.as_bytes());
        }
        self.crlf();
    }
    /// `* URLFETCH url content` (RFC 4467 §8); `None` gives NIL.
    pub fn url_fetch(&mut self, url: &[u8], content: Option<&[u8]>) {
        self.raw(b"* URLFETCH ");
        self.string(url);
        self.raw(b" ");
        match content {
            // No literal may hold NUL; as in BODY[], 0x80 stands for it.
            Some(bytes) if memchr::memchr(0, bytes).is_some() => {
                let shown: Vec<u8> = bytes.iter().map(|b| if *b == 0 { 0x80 } else { *b }).collect();
                self.literal(&shown);
            }
            content => self.nstring(content),
        }
        self.crlf();
    }
    /// `* LANGUAGE (tag ...)` (RFC 5255 §3.3): the one that is spoken now, or all.
    pub fn language(&mut self, tags: &[&str]) {
        self.raw(b"* LANGUAGE (");
        for (i, tag) in tags.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            self.astring(tag.as_bytes());
        }
        self.raw(b")\r\n");
    }
    /// `* QUOTAROOT mailbox root ...` (RFC 9208 §4.2.2)
    pub fn quota_root(&mut self, mailbox: &str, roots: &[&str]) {
        self.raw(b"* QUOTAROOT ");
        self.mailbox(mailbox);
        for root in roots {
            self.raw(b" ");
            self.quota_name(root);
        }
        self.crlf();
    }
    /// `* QUOTA root (NAME usage limit ...)` (RFC 9208 §4.2.1)
    pub fn quota(&mut self, root: &str, resources: &[QuotaResource<'_>]) {
        self.raw(b"* QUOTA ");
        self.quota_name(root);
        self.raw(b" (");
        for (i, resource) in resources.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            self.atom(resource.name);
            self.space_number(resource.usage);
            self.space_number(resource.limit);
        }
        self.raw(b")\r\n");
    }
    /// `* ACL mailbox identifier rights ...` (RFC 4314 §3.6)
    pub fn acl(&mut self, mailbox: &str, entries: &[(String, String)]) {
        self.raw(b"* ACL ");
        self.mailbox(mailbox);
        for (identifier, rights) in entries {
            self.raw(b" ");
            self.astring(identifier.as_bytes());
            self.raw(b" ");
            self.astring(rights.as_bytes());
        }
        self.crlf();
    }
    /// `* LISTRIGHTS mailbox identifier always optional ...` (RFC 4314 §3.7)
    pub fn list_rights(&mut self, mailbox: &str, identifier: &str, always: &str, optional: &[String]) {
        self.raw(b"* LISTRIGHTS ");
        self.mailbox(mailbox);
        self.raw(b" ");
        self.astring(identifier.as_bytes());
        self.raw(b" ");
        self.astring(always.as_bytes());
        for rights in optional {
            self.raw(b" ");
            self.astring(rights.as_bytes());
        }
        self.crlf();
    }
    /// `* MYRIGHTS mailbox rights` (RFC 4314 §3.8)
    pub fn my_rights(&mut self, mailbox: &str, rights: &str) {
        self.raw(b"* MYRIGHTS ");
        self.mailbox(mailbox);
        self.raw(b" ");
        self.astring(rights.as_bytes());
        self.crlf();
    }
    /// `* METADATA mailbox (entry value ...)` (RFC 5464 §4.4.1); an empty name is the server. A value with NUL is a
    /// literal8.
    pub fn metadata(&mut self, mailbox: &str, entries: &[(String, Option<Vec<u8>>)]) {
        self.raw(b"* METADATA ");
        if mailbox.is_empty() {
            self.raw(b"\"\"");
        } else {
            self.mailbox(mailbox);
        }
        self.raw(b" (");
        for (i, (name, value)) in entries.iter().enumerate() {
            if i > 0 {
                self.raw(b" ");
            }
            self.astring(name.as_bytes());
            self.raw(b" ");
            match value {
                Some(value) if value.contains(&0) => self.literal8(value),
                value => self.nstring(value.as_deref()),
            }
        }
        self.raw(b")\r\n");
    }
    fn quota_name(&mut self, root: &str) {
        self.string(root.as_bytes());
    }
}

/// The server.
impl Out {
    /// `* CAPABILITY list`
    pub fn capability(&mut self, list: &str) {
        self.raw(b"* CAPABILITY ");
        self.raw(list.as_bytes());
        self.crlf();
    }
    /// `* ENABLED ...` (RFC 5161 §3.2); empty if nothing was.
    pub fn enabled(&mut self, names: &[&str]) {
        self.raw(b"* ENABLED");
        for name in names {
            self.raw(b" ");
            self.atom(name);
        }
        self.crlf();
    }
    /// `* ID (...)` (RFC 2971 §3.2); no fields give NIL.
    pub fn id(&mut self, fields: &[(&str, Option<&str>)]) {
        self.raw(b"* ID ");
        if fields.is_empty() {
            self.raw(b"NIL");
        } else {
            for (i, (name, value)) in fields.iter().enumerate() {
                self.raw(if i == 0 { b"(" } else { b" " });
                self.string(name.as_bytes());
                self.raw(b" ");
                self.nstring(value.map(str::as_bytes));
            }
            self.raw(b")");
        }
        self.crlf();
    }
    /// The untagged lines that SELECT gives besides EXISTS and FLAGS: UIDVALIDITY and UIDNEXT.
    pub fn uid_lines(&mut self, validity: UidValidity, next: Uid) {
        use crate::code::Code;
        use crate::out::Status;
        self.untagged(Status::Ok, Some(Code::UidValidity(validity)), "UIDs valid");
        self.untagged(Status::Ok, Some(Code::UidNext(next)), "Predicted next UID");
    }
}
