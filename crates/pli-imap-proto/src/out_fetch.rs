//! `* n FETCH (...)`: the hottest answer, item by item.
//!
//! `fetch_start`, then items in any order, then `fetch_end`. Between items the session may send what the buffer
//! holds, and after [`Out::fetch_section_start`] it may send the bytes past the buffer.

use pli_types::{ModSeq, Uid, UnixMillis};

use crate::command::{Section, SectionKind};
use crate::out::Out;

impl Out {
    /// `* n FETCH (`; RFC 9586 §3.3: `* uid UIDFETCH (` once UIDONLY is enabled.
    pub fn fetch_start(&mut self, number: u32, uid: Uid) {
        self.raw(b"* ");
        if self.uid_only {
            self.number(uid.get().into());
            self.raw(b" UIDFETCH (");
        } else {
            self.number(number.into());
            self.raw(b" FETCH (");
        }
        self.first_item = true;
    }
    /// `)` and the line end.
    pub fn fetch_end(&mut self) {
        self.raw(b")\r\n");
    }
    fn item(&mut self, name: &[u8]) {
        if !std::mem::replace(&mut self.first_item, false) {
            self.raw(b" ");
        }
        self.raw(name);
    }
    /// An item as it was written before, by one of the calls below and without the blank before it.
    pub fn fetch_again(&mut self, item: &[u8]) {
        self.item(item);
    }
    /// FLAGS with the flags as they stand between the parentheses, `\Seen $Junk`.
    pub fn fetch_flags(&mut self, flags: &[u8]) {
        self.item(b"FLAGS (");
        self.raw(flags);
        self.raw(b")");
    }
    /// UID
    pub fn fetch_uid(&mut self, uid: Uid) {
        self.item(b"UID ");
        self.number(uid.get().into());
    }
    /// MODSEQ (RFC 7162 §3.1.4.2)
    pub fn fetch_modseq(&mut self, modseq: ModSeq) {
        self.item(b"MODSEQ (");
        self.number(modseq.get());
        self.raw(b")");
    }
    /// INTERNALDATE
    pub fn fetch_internal_date(&mut self, at: UnixMillis) {
        self.item(b"INTERNALDATE ");
        self.date_time(at);
    }
    /// RFC822.SIZE
    pub fn fetch_size(&mut self, bytes: u64) {
        self.item(b"RFC822.SIZE ");
        self.number(bytes);
    }
    /// EMAILID (RFC 8474 §5.1)
    pub fn fetch_email_id(&mut self, id: &str) {
        self.item(b"EMAILID (");
        self.atom(id);
        self.raw(b")");
    }
    /// THREADID (RFC 8474 §5.2); `None` gives NIL.
    pub fn fetch_thread_id(&mut self, id: Option<&str>) {
        self.item(b"THREADID ");
        match id {
            None => self.raw(b"NIL"),
            Some(id) => {
                self.raw(b"(");
                self.atom(id);
                self.raw(b")");
            }
        }
    }
    /// SAVEDATE (RFC 8514 §4); `None` gives NIL.
    pub fn fetch_save_date(&mut self, at: Option<UnixMillis>) {
        self.item(b"SAVEDATE ");
        match at {
            None => self.raw(b"NIL"),
            Some(at) => self.date_time(at),
        }
    }
    /// PREVIEW (RFC 8970 §4); `None` gives NIL.
    pub fn fetch_preview(&mut self, text: Option<&str>) {
        self.item(b"PREVIEW ");
        self.nstring(text.map(str::as_bytes));
    }
    /// An item whose value is already in wire form: `ENVELOPE`, `BODYSTRUCTURE`, `BODY`.
    pub fn fetch_raw(&mut self, name: &str, value: &[u8]) {
        self.item(name.as_bytes());
        self.raw(b" ");
        self.raw(value);
    }
    /// An item whose value is a string or NIL: `RFC822`, `RFC822.HEADER`, `RFC822.TEXT`.
    pub fn fetch_string(&mut self, name: &str, value: Option<&[u8]>) {
        self.item(name.as_bytes());
        self.raw(b" ");
        match value {
            None => self.raw(b"NIL"),
            Some(bytes) => self.literal(bytes),
        }
    }
    /// `name {n}`: exactly `bytes` bytes follow (RFC822 and its kin, streamed).
    pub fn fetch_string_start(&mut self, name: &str, bytes: u64) {
        self.item(name.as_bytes());
        self.raw(b" ");
        self.literal_header(bytes);
    }
    /// `BODY[section]<origin> {n}bytes`; `None` gives NIL (no such part).
    pub fn fetch_section(&mut self, section: &Section, origin: Option<u64>, value: Option<&[u8]>) {
        self.section_name(section, origin);
        match value {
            None => self.raw(b"NIL"),
            Some(bytes) => self.literal(bytes),
        }
    }
    /// `BODY[section]<origin> {n}`: exactly `bytes` bytes follow.
    pub fn fetch_section_start(&mut self, section: &Section, origin: Option<u64>, bytes: u64) {
        self.section_name(section, origin);
        self.literal_header(bytes);
    }
    /// `BINARY[part]<origin>` (RFC 3516 §4.3) as literal8 where a NUL needs it; `None` gives NIL.
    pub fn fetch_binary(&mut self, part: &[std::num::NonZeroU32], origin: Option<u64>, value: Option<&[u8]>) {
        self.item(b"BINARY[");
        self.part_numbers(part);
        self.raw(b"]");
        self.origin(origin);
        match value {
            None => self.raw(b"NIL"),
            Some(bytes) if memchr::memchr(0, bytes).is_some() => self.literal8(bytes),
            Some(bytes) => self.literal(bytes),
        }
    }
    /// `BINARY.SIZE[part] n`
    pub fn fetch_binary_size(&mut self, part: &[std::num::NonZeroU32], bytes: u64) {
        self.item(b"BINARY.SIZE[");
        self.part_numbers(part);
        self.raw(b"] ");
        self.number(bytes);
    }

    fn origin(&mut self, origin: Option<u64>) {
        if let Some(origin) = origin {
            self.raw(b"<");
            self.number(origin);
            self.raw(b">");
        }
        self.raw(b" ");
    }
    fn part_numbers(&mut self, part: &[std::num::NonZeroU32]) {
        for (i, n) in part.iter().enumerate() {
            if i > 0 {
                self.raw(b".");
            }
            self.number(n.get().into());
        }
    }
    /// RFC 9051 §7.5.2: the section is repeated as asked, without PEEK, and of the range only the origin.
    fn section_name(&mut self, section: &Section, origin: Option<u64>) {
        self.item(b"BODY[");
        self.part_numbers(&section.part);
        if !section.part.is_empty() && section.kind != SectionKind::Full {
            self.raw(b".");
        }
        let mut fields = |name: &[u8], fields: &[Box<str>]| {
            self.raw(name);
            for (i, field) in fields.iter().enumerate() {
                self.raw(if i == 0 { b" (" } else { b" " });
                self.astring(field.as_bytes());
            }
            self.raw(b")");
        };
        match &section.kind {
            SectionKind::Full => {}
            SectionKind::Header => self.raw(b"HEADER"),
            SectionKind::HeaderFields(names) => fields(b"HEADER.FIELDS", names),
            SectionKind::HeaderFieldsNot(names) => fields(b"HEADER.FIELDS.NOT", names),
            SectionKind::Text => self.raw(b"TEXT"),
            SectionKind::Mime => self.raw(b"MIME"),
        }
        self.raw(b"]");
        self.origin(origin);
    }
}
