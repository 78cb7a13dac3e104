//! What a session is told of its mailbox, and when (RFC 9051 §5.2, §7.5.1).

use std::collections::HashMap;
use std::sync::Arc;

use pli_imap_proto::{Code, Out, Status};
use pli_store::{Difference, Entry, Snapshot};
use pli_types::{Keyword, Rights, SystemFlag, Uid};

use crate::context;
use crate::state::{Enabled, Selected};

/// Prints flag words; a mailbox has few different ones, so each is printed once.
#[derive(Default)]
pub struct FlagPrinter {
    known: HashMap<u64, Box<[u8]>>,
}

impl FlagPrinter {
    /// The flags of a word between the parentheses.
    pub fn print(&mut self, snapshot: &Snapshot, word: u64) -> &[u8] {
        self.known.entry(word).or_insert_with(|| flag_list(snapshot, word).into_bytes().into_boxed_slice())
    }
}

/// The flags of a word with blanks between.
pub fn flag_list(snapshot: &Snapshot, word: u64) -> String {
    let mut text = String::new();
    let mut add = |name: &str| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(name);
    };
    SystemFlag::ALL.into_iter().filter(|flag| word & flag.bit() != 0).for_each(|flag| add(flag.name()));
    for (at, keyword) in snapshot.keywords.iter().enumerate() {
        let bit = u32::try_from(at).ok().and_then(|at| 1u64.checked_shl(at.saturating_add(5))).unwrap_or(0);
        if word & bit != 0 {
            add(keyword.as_str());
        }
    }
    text
}

/// All flags that the mailbox knows, for FLAGS.
pub fn all_flags(snapshot: &Snapshot) -> String {
    let mut text = SystemFlag::ALL.map(SystemFlag::name).join(" ");
    for keyword in &*snapshot.keywords {
        text.push(' ');
        text.push_str(keyword.as_str());
    }
    text
}

/// RFC 9051 §7.1, RFC 4314 §5.1.1: the flags that can be changed; `\*` where new keywords can be made.
fn changeable_flags(snapshot: &Snapshot, rights: Rights) -> String {
    let may = |flag: &SystemFlag| {
        rights.has(match flag {
            SystemFlag::Seen => Rights::SEEN,
            SystemFlag::Deleted => Rights::TRASH,
            _ => Rights::WRITE,
        })
    };
    let mut names: Vec<&str> = SystemFlag::ALL.into_iter().filter(may).map(SystemFlag::name).collect();
    if rights.has(Rights::WRITE) {
        names.extend(snapshot.keywords.iter().map(Keyword::as_str));
        names.push("\\*");
    }
    names.join(" ")
}

/// How one changed message is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// FLAGS (and MODSEQ where enabled).
    Flags,
    /// MODSEQ only, and only where enabled: the client asked not to be told the flags that it set itself.
    ModSeq,
    /// Not at all: it is shown another way.
    Nothing,
}

/// Prints the flags of one message. RFC 9051 §7.5.2: with the UID where the client did not ask for this very answer.
pub fn write_flags(
    out: &mut Out,
    printer: &mut FlagPrinter,
    enabled: Enabled,
    snapshot: &Snapshot,
    number: u32,
    entry: &Entry,
    (uid, show): (bool, Show),
) {
    if show == Show::Nothing || (show == Show::ModSeq && !enabled.condstore) {
        return;
    }
    out.fetch_start(number, entry.uid);
    // RFC 9586 §3.3: UIDFETCH has the UID already.
    if (uid || enabled.qresync) && !enabled.uid_only {
        out.fetch_uid(entry.uid);
    }
    if show == Show::Flags {
        out.fetch_flags(printer.print(snapshot, entry.flags));
    }
    // RFC 7162 §3.1: once CONDSTORE is on, every FETCH that tells of flags carries MODSEQ.
    if enabled.condstore {
        out.fetch_modseq(entry.modseq);
    }
    out.fetch_end();
}

/// RFC 9051 §7.5.1: `* n EXPUNGE` for each, rising; RFC 7162 §3.2.10, RFC 9586 §3.4: VANISHED instead.
pub fn write_expunged(out: &mut Out, enabled: Enabled, expunged: &[(u32, Uid)]) {
    if enabled.qresync || enabled.uid_only {
        out.vanished(false, expunged.iter().map(|(_, uid)| *uid));
        return;
    }
    // RFC 9051 §6.4.3: each EXPUNGE moves the numbers behind it down by one.
    for (gone, (number, _)) in (0u32..).zip(expunged) {
        out.expunge(number.saturating_sub(gone));
    }
}

impl Selected {
    /// Tells the client what changed since the picture, and takes the picture forward. `show` says for each changed
    /// message how it is shown.
    pub fn tell(
        &mut self,
        out: &mut Out,
        enabled: Enabled,
        expunges: bool,
        mut show: impl FnMut(&Entry) -> (bool, Show),
    ) {
        let newest = self.newest();
        if Arc::ptr_eq(&newest, &self.picture) {
            return;
        }
        let mut difference = self.picture.difference(&newest);
        let mut next = newest;
        if !expunges && !difference.expunged.is_empty() {
            next = Arc::new(self.picture.keeping_expunged(&next));
            difference.expunged.clear();
        }
        let before = std::mem::replace(&mut self.picture, next);
        context::expunge(&mut self.contexts, out, &before, &difference.expunged);
        self.write_difference(out, enabled, &before, &difference, &mut show);
    }

    fn write_difference(
        &mut self,
        out: &mut Out,
        enabled: Enabled,
        before: &Snapshot,
        difference: &Difference,
        show: &mut dyn FnMut(&Entry) -> (bool, Show),
    ) {
        write_expunged(out, enabled, &difference.expunged);
        // RFC 9051 §7.4.1: EXISTS whenever the number grew; it must follow the EXPUNGEs.
        let left = before.messages.saturating_sub(u32::try_from(difference.expunged.len()).unwrap_or(u32::MAX));
        if self.picture.messages != left {
            out.exists(self.picture.messages);
            if !enabled.rev2 {
                out.recent(0);
            }
        }
        self.tell_keywords(out);
        let mut printer = FlagPrinter::default();
        for entry in &difference.changed {
            let Some(number) = self.picture.number_of(entry.uid) else { continue };
            write_flags(out, &mut printer, enabled, &self.picture, number, entry, show(entry));
        }
    }

    /// RFC 9051 §7.3.5: FLAGS and PERMANENTFLAGS again when keywords were added.
    pub fn tell_keywords(&mut self, out: &mut Out) {
        if self.keywords_told == self.picture.keywords.len() {
            return;
        }
        self.keywords_told = self.picture.keywords.len();
        write_flag_lines(out, &self.picture, self.changeable());
    }
}

/// FLAGS and PERMANENTFLAGS.
pub fn write_flag_lines(out: &mut Out, snapshot: &Snapshot, rights: Rights) {
    out.flags(&all_flags(snapshot));
    let permanent = changeable_flags(snapshot, rights);
    out.untagged(Status::Ok, Some(Code::PermanentFlags(&permanent)), "Flags that stay");
}
