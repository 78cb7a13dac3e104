//! What a command of the independent grammar means in our types; `None` where ours is stricter on purpose.

use std::num::NonZeroU32;

use imap_codec::imap_types as t;
use pli_imap_proto as p;
use pli_imap_proto::{CommandBody as Ours, MessageSet, SearchKey as Key};
use pli_types::{FlagSet, MailboxName, ModSeq, SystemFlag, UidValidity, UnixMillis};
use t::command::{CommandBody as Theirs, FetchModifier, SelectParameter, StoreModifier};
use t::core::{AString, Atom, Charset};
use t::fetch::{Macro, MacroOrMessageDataItemNames, MessageDataItemName, Section};
use t::flag::{Flag, StoreResponse, StoreType};
use t::mailbox::{ListMailbox, Mailbox};
use t::search::SearchKey;
use t::sequence::{SeqOrUid, Sequence, SequenceSet};

fn set(theirs: &SequenceSet) -> p::SequenceSet {
    let bound = |s: SeqOrUid| match s {
        SeqOrUid::Asterisk => p::Bound::Star,
        SeqOrUid::Value(n) => p::Bound::Number(n),
    };
    let range = |s: &Sequence| match *s {
        Sequence::Single(n) => (bound(n), bound(n)),
        Sequence::Range(a, b) => (bound(a), bound(b)),
    };
    p::SequenceSet::from_ranges(theirs.0.as_ref().iter().map(range).collect()).unwrap()
}
fn messages(theirs: &SequenceSet) -> MessageSet {
    MessageSet::Set(set(theirs))
}
fn bytes(s: &AString<'_>) -> Vec<u8> {
    s.as_ref().to_vec()
}
fn text(s: &AString<'_>) -> Option<String> {
    String::from_utf8(bytes(s)).ok()
}
fn raw_name(m: &Mailbox<'_>) -> Option<String> {
    match m {
        Mailbox::Inbox => Some("INBOX".to_owned()),
        Mailbox::Other(other) => p::utf7::decode(other.inner().as_ref()).ok(),
    }
}
/// A name that our store cannot have stands for itself: the parser answers NO.
fn mailbox(m: &Mailbox<'_>) -> Option<MailboxName> {
    MailboxName::new(&raw_name(m)?).ok()
}
fn keyword(a: &Atom<'_>) -> Option<pli_types::Keyword> {
    pli_types::Keyword::new(a.inner()).ok()
}
fn flags(theirs: &[Flag<'_>]) -> Option<FlagSet> {
    let mut set = FlagSet::default();
    for flag in theirs {
        match flag {
            Flag::Answered => set.insert(SystemFlag::Answered),
            Flag::Deleted => set.insert(SystemFlag::Deleted),
            Flag::Draft => set.insert(SystemFlag::Draft),
            Flag::Flagged => set.insert(SystemFlag::Flagged),
            Flag::Seen => set.insert(SystemFlag::Seen),
            // Ours refuses system flags that nobody knows, and drops \Recent.
            extension @ Flag::Extension(_) if extension.to_string().eq_ignore_ascii_case("\\Recent") => {}
            Flag::Extension(_) => return None,
            Flag::Keyword(k) => set.insert_keyword(keyword(k)?),
        }
    }
    Some(set)
}
fn charset(c: &Charset<'_>) -> Option<Box<str>> {
    let name = match c {
        Charset::Atom(a) => a.inner(),
        Charset::Quoted(q) => q.inner(),
    };
    Some(name.to_ascii_uppercase().into())
}
fn date(d: &t::datetime::NaiveDate) -> chrono::NaiveDate {
    *d.as_ref()
}

fn keys(theirs: &[SearchKey<'_>]) -> Option<Key> {
    let mut all = theirs.iter().map(key).collect::<Option<Vec<_>>>()?;
    Some(if all.len() == 1 { all.remove(0) } else { Key::And(all) })
}
fn key(k: &SearchKey<'_>) -> Option<Key> {
    Some(match k {
        SearchKey::And(all) => keys(all.as_ref())?,
        SearchKey::SequenceSet(s) => Key::Numbers(set(s)),
        SearchKey::All => Key::All,
        SearchKey::Answered => Key::Flag(SystemFlag::Answered),
        SearchKey::Bcc(s) => Key::Bcc(bytes(s)),
        SearchKey::Before(d) => Key::Before(date(d)),
        SearchKey::Body(s) => Key::Body(bytes(s)),
        SearchKey::Cc(s) => Key::Cc(bytes(s)),
        SearchKey::Deleted => Key::Flag(SystemFlag::Deleted),
        SearchKey::Draft => Key::Flag(SystemFlag::Draft),
        SearchKey::Flagged => Key::Flag(SystemFlag::Flagged),
        SearchKey::From(s) => Key::From(bytes(s)),
        SearchKey::Header(name, s) => Key::Header(text(name)?.into(), bytes(s)),
        SearchKey::Keyword(a) => Key::Keyword(keyword(a)?),
        SearchKey::Larger(n) => Key::Larger((*n).into()),
        SearchKey::New => Key::New,
        SearchKey::Not(k) => Key::Not(Box::new(key(k)?)),
        SearchKey::Old => Key::Old,
        SearchKey::Older(n) => Key::Older(n.get()),
        SearchKey::On(d) => Key::On(date(d)),
        SearchKey::Or(a, b) => Key::Or(Box::new(key(a)?), Box::new(key(b)?)),
        SearchKey::Recent => Key::Recent,
        SearchKey::Seen => Key::Flag(SystemFlag::Seen),
        SearchKey::SentBefore(d) => Key::SentBefore(date(d)),
        SearchKey::SentOn(d) => Key::SentOn(date(d)),
        SearchKey::SentSince(d) => Key::SentSince(date(d)),
        SearchKey::Since(d) => Key::Since(date(d)),
        SearchKey::Smaller(n) => Key::Smaller((*n).into()),
        SearchKey::Subject(s) => Key::Subject(bytes(s)),
        SearchKey::Text(s) => Key::Text(bytes(s)),
        SearchKey::To(s) => Key::To(bytes(s)),
        SearchKey::Uid(s) => Key::Uids(set(s)),
        SearchKey::Unanswered => Key::NoFlag(SystemFlag::Answered),
        SearchKey::Undeleted => Key::NoFlag(SystemFlag::Deleted),
        SearchKey::Undraft => Key::NoFlag(SystemFlag::Draft),
        SearchKey::Unflagged => Key::NoFlag(SystemFlag::Flagged),
        SearchKey::Unkeyword(a) => Key::NoKeyword(keyword(a)?),
        SearchKey::Unseen => Key::NoFlag(SystemFlag::Seen),
        SearchKey::Younger(n) => Key::Younger(n.get()),
        // Its meaning is compared by known answers.
        _ => return None,
    })
}

fn section(s: Option<&Section<'_>>) -> Option<p::Section> {
    use p::SectionKind as K;
    let fields =
        |names: &[AString<'_>]| names.iter().map(|n| text(n).map(Into::into)).collect::<Option<Vec<Box<str>>>>();
    let (part, kind) = match s {
        None => (None, K::Full),
        Some(Section::Part(part)) => (Some(part), K::Full),
        Some(Section::Header(part)) => (part.as_ref(), K::Header),
        Some(Section::HeaderFields(part, names)) => (part.as_ref(), K::HeaderFields(fields(names.as_ref())?)),
        Some(Section::HeaderFieldsNot(part, names)) => (part.as_ref(), K::HeaderFieldsNot(fields(names.as_ref())?)),
        Some(Section::Text(part)) => (part.as_ref(), K::Text),
        Some(Section::Mime(part)) => (Some(part), K::Mime),
    };
    Some(p::Section { part: part.map(|p| p.0.as_ref().to_vec()).unwrap_or_default(), kind })
}
fn partial(theirs: Option<(u32, NonZeroU32)>) -> Option<p::Partial> {
    theirs.map(|(offset, count)| p::Partial { offset: offset.into(), count: count.get().into() })
}
fn item(i: &MessageDataItemName<'_>) -> Option<p::FetchItem> {
    use MessageDataItemName as T;
    use p::FetchItem as F;
    Some(match i {
        T::Body => F::Body,
        T::BodyExt { section: s, partial: part, peek } => {
            F::Section { section: section(s.as_ref())?, peek: *peek, partial: partial(*part) }
        }
        T::BodyStructure => F::BodyStructure,
        T::Envelope => F::Envelope,
        T::Flags => F::Flags,
        T::InternalDate => F::InternalDate,
        T::Rfc822 => F::Rfc822,
        T::Rfc822Header => F::Rfc822Header,
        T::Rfc822Size => F::Rfc822Size,
        T::Rfc822Text => F::Rfc822Text,
        T::Uid => F::Uid,
        T::Binary { section, partial: part, peek } => {
            F::Binary { part: section.clone(), peek: *peek, partial: partial(*part) }
        }
        T::BinarySize { section } => F::BinarySize { part: section.clone() },
        T::ModSeq => F::ModSeq,
    })
}
fn items(theirs: &MacroOrMessageDataItemNames<'_>) -> Option<Vec<p::FetchItem>> {
    use p::FetchItem::{Body, Envelope, Flags, InternalDate, Rfc822Size};
    Some(match theirs {
        MacroOrMessageDataItemNames::Macro(m) => match m {
            Macro::Fast => vec![Flags, InternalDate, Rfc822Size],
            Macro::All => vec![Flags, InternalDate, Rfc822Size, Envelope],
            Macro::Full => vec![Flags, InternalDate, Rfc822Size, Envelope, Body],
            _ => return None,
        },
        MacroOrMessageDataItemNames::MessageDataItemNames(names) => {
            let mut all = Vec::new();
            for name in names {
                let item = item(name)?;
                if !all.contains(&item) {
                    all.push(item);
                }
            }
            (!all.is_empty()).then_some(all)?
        }
    })
}

fn select(m: &Mailbox<'_>, read_only: bool, parameters: &[SelectParameter]) -> Option<Ours> {
    let mut condstore = false;
    let mut qresync = None;
    for parameter in parameters {
        match parameter {
            SelectParameter::CondStore => condstore = true,
            SelectParameter::QResync { .. } if qresync.is_some() => return None,
            SelectParameter::QResync { uid_validity, mod_sequence_value, known_uids, seq_match_data } => {
                let known = known_uids.as_ref().map(set);
                let matches = seq_match_data.as_ref().map(|(a, b)| (set(a), set(b)));
                let star = known.as_ref().is_some_and(p::SequenceSet::has_star)
                    || matches.as_ref().is_some_and(|(a, b)| a.has_star() || b.has_star());
                if star || mod_sequence_value.get() > u64::MAX >> 1 {
                    return None;
                }
                qresync = Some(p::Qresync {
                    uid_validity: UidValidity::new(uid_validity.get()),
                    mod_seq: ModSeq::new(mod_sequence_value.get()),
                    known_uids: known,
                    matches,
                });
            }
        }
    }
    Some(Ours::Select { mailbox: mailbox(m)?, read_only, condstore, qresync })
}

fn list(verb: p::ListVerb, reference: &Mailbox<'_>, pattern: &ListMailbox<'_>) -> Option<Ours> {
    let pattern = match pattern {
        ListMailbox::Token(s) => s.as_ref().to_vec(),
        ListMailbox::String(s) => s.as_ref().to_vec(),
    };
    Some(Ours::List(p::List {
        verb,
        select: p::ListSelect::default(),
        reference: raw_name(reference)?,
        patterns: vec![p::utf7::decode(&pattern).ok()?],
        returns: p::ListReturn::default(),
        extended: false,
    }))
}

fn status(items: &[t::status::StatusDataItemName]) -> Vec<p::StatusItem> {
    use p::StatusItem as O;
    use t::status::StatusDataItemName as T;
    let mut all = Vec::new();
    for item in items {
        let item = match item {
            T::Messages => O::Messages,
            T::Recent => O::Recent,
            T::UidNext => O::UidNext,
            T::UidValidity => O::UidValidity,
            T::Unseen => O::Unseen,
            T::Deleted => O::Deleted,
            T::DeletedStorage => O::DeletedStorage,
            T::Size => O::Size,
            T::HighestModSeq => O::HighestModSeq,
        };
        if !all.contains(&item) {
            all.push(item);
        }
    }
    all
}

fn sort_key(k: &t::extensions::sort::SortKey) -> p::SortKey {
    use t::extensions::sort::SortKey as T;
    match k {
        T::Arrival => p::SortKey::Arrival,
        T::Cc => p::SortKey::Cc,
        T::Date => p::SortKey::Date,
        T::From => p::SortKey::From,
        T::Size => p::SortKey::Size,
        T::Subject => p::SortKey::Subject,
        T::To => p::SortKey::To,
        T::DisplayFrom => p::SortKey::DisplayFrom,
        T::DisplayTo => p::SortKey::DisplayTo,
    }
}

// Long because it is one table: a line or two for each command.
pub fn meaning(theirs: &t::command::Command<'_>) -> Option<Ours> {
    let lossy = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    Some(match &theirs.body {
        Theirs::Capability => Ours::Capability,
        Theirs::Noop => Ours::Noop,
        Theirs::Logout => Ours::Logout,
        Theirs::Authenticate { mechanism, initial_response } => Ours::Authenticate {
            mechanism: mechanism.to_string().to_ascii_uppercase().into(),
            initial: initial_response.as_ref().map(|i| p::Hidden(i.declassify().to_vec())),
        },
        Theirs::Login { username, password } => {
            Ours::Login { user: bytes(username), password: p::Hidden(bytes(password.declassify())) }
        }
        Theirs::Select { mailbox: m, parameters } => select(m, false, parameters)?,
        Theirs::Examine { mailbox: m, parameters } => select(m, true, parameters)?,
        Theirs::Unselect => Ours::Unselect,
        Theirs::Create { mailbox: m } => {
            Ours::Create { mailbox: mailbox(m)?, special_use: vec![], unknown_use: vec![] }
        }
        Theirs::Delete { mailbox: m } => Ours::Delete(mailbox(m)?),
        Theirs::Rename { from, to } => Ours::Rename { from: mailbox(from)?, to: mailbox(to)? },
        Theirs::Subscribe { mailbox: m } => Ours::Subscribe(mailbox(m)?),
        Theirs::Unsubscribe { mailbox: m } => Ours::Unsubscribe(mailbox(m)?),
        Theirs::List { reference, mailbox_wildcard } => list(p::ListVerb::List, reference, mailbox_wildcard)?,
        Theirs::Lsub { reference, mailbox_wildcard } => list(p::ListVerb::Lsub, reference, mailbox_wildcard)?,
        Theirs::Status { mailbox: m, item_names } if !item_names.is_empty() => {
            Ours::Status { mailbox: mailbox(m)?, items: status(item_names) }
        }
        Theirs::Append { mailbox: m, flags: f, date, message } => {
            let (message, binary) = match message {
                t::extensions::binary::LiteralOrLiteral8::Literal(l) => (l.data(), false),
                t::extensions::binary::LiteralOrLiteral8::Literal8(l) => (&*l.data, true),
            };
            let internal_date = date.as_ref().map(|d| UnixMillis::from_secs(d.as_ref().timestamp()));
            let meta = p::AppendMeta { flags: flags(f)?, internal_date, binary, utf8: false };
            let tag = p::Tag::new(theirs.tag.inner().as_bytes()).unwrap();
            // How far the reader is after one message.
            let Ok(p::Command { body: Ours::Append(done), .. }) = p::parse(b"t APPEND a {1}\r\nx", false) else {
                panic!()
            };
            Ours::Append(p::AppendPrefix {
                tag,
                mailbox: mailbox(m)?,
                replaces: None,
                parts: vec![p::AppendPart::Begin(meta), p::AppendPart::Data(message.to_vec())],
                reader: done.reader,
            })
        }
        Theirs::Check => Ours::Check,
        Theirs::Close => Ours::Close,
        Theirs::Expunge => Ours::Expunge { uids: None },
        Theirs::ExpungeUid { sequence_set } => Ours::Expunge { uids: Some(messages(sequence_set)) },
        Theirs::Search { charset: c, criteria, uid } => {
            let charset = match c {
                Some(c) => Some(charset(c)?),
                None => None,
            };
            Ours::Search { uid: *uid, search: p::Search { returns: None, charset, key: keys(criteria.as_ref())? } }
        }
        Theirs::Sort { sort_criteria, charset: c, search_criteria, uid } => Ours::Sort {
            uid: *uid,
            criteria: sort_criteria.as_ref().iter().map(|c| (sort_key(&c.key), c.reverse)).collect(),
            search: p::Search { returns: None, charset: Some(charset(c)?), key: keys(search_criteria.as_ref())? },
        },
        Theirs::Thread { algorithm, charset: c, search_criteria, uid } => Ours::Thread {
            uid: *uid,
            algorithm: match algorithm.to_string().to_ascii_uppercase().as_str() {
                "ORDEREDSUBJECT" => p::ThreadAlgorithm::OrderedSubject,
                "REFERENCES" => p::ThreadAlgorithm::References,
                other => p::ThreadAlgorithm::Other(other.into()),
            },
            search: p::Search { returns: None, charset: Some(charset(c)?), key: keys(search_criteria.as_ref())? },
        },
        Theirs::Fetch { sequence_set, macro_or_item_names, uid, modifiers } => {
            let changed = modifiers.iter().rev().find_map(|m| match m {
                FetchModifier::ChangedSince(n) => Some(*n),
                FetchModifier::Vanished => None,
            });
            let vanished = modifiers.iter().any(|m| matches!(m, FetchModifier::Vanished));
            if vanished && !(*uid && changed.is_some()) || changed.is_some_and(|c| c.get() > u64::MAX >> 1) {
                return None;
            }
            Ours::Fetch {
                uid: *uid,
                set: messages(sequence_set),
                items: items(macro_or_item_names)?,
                changed_since: changed.map(|c| ModSeq::new(c.get())),
                vanished,
                partial: None,
            }
        }
        Theirs::Store { sequence_set, kind, response, flags: f, uid, modifiers } => {
            let unchanged = modifiers.last().map(|StoreModifier::UnchangedSince(n)| *n);
            if unchanged.is_some_and(|n| n > u64::MAX >> 1) {
                return None;
            }
            Ours::Store {
                uid: *uid,
                set: messages(sequence_set),
                action: match kind {
                    StoreType::Replace => p::StoreAction::Replace,
                    StoreType::Add => p::StoreAction::Add,
                    StoreType::Remove => p::StoreAction::Remove,
                },
                silent: *response == StoreResponse::Silent,
                flags: flags(f)?,
                unchanged_since: unchanged.map(ModSeq::new),
            }
        }
        Theirs::Copy { sequence_set, mailbox: m, uid } => {
            Ours::Copy { uid: *uid, set: messages(sequence_set), mailbox: mailbox(m)? }
        }
        Theirs::Move { sequence_set, mailbox: m, uid } => {
            Ours::Move { uid: *uid, set: messages(sequence_set), mailbox: mailbox(m)? }
        }
        Theirs::Idle => Ours::Idle,
        Theirs::Enable { capabilities } => {
            Ours::Enable(capabilities.as_ref().iter().map(|c| c.to_string().to_ascii_uppercase().into()).collect())
        }
        Theirs::Compress { algorithm } => {
            Ours::Compress { mechanism: algorithm.to_string().to_ascii_uppercase().into() }
        }
        Theirs::GetQuota { root } => Ours::GetQuota { root: text(root)? },
        Theirs::GetQuotaRoot { mailbox: m } => Ours::GetQuotaRoot(mailbox(m)?),
        Theirs::SetQuota { root, quotas } => Ours::SetQuota {
            root: text(root)?,
            limits: quotas.iter().map(|q| (q.resource.to_string().to_ascii_uppercase().into(), q.limit)).collect(),
        },
        Theirs::Id { parameters } => Ours::Id(parameters.as_ref().map(|all| {
            let value = |v: &t::core::NString<'_>| v.0.as_ref().map(|v| lossy(v.as_ref()));
            all.iter().map(|(name, v)| (lossy(name.as_ref()), value(v))).collect()
        })),
        Theirs::Namespace => Ours::Namespace,
        _ => return None,
    })
}

/// Sets merged: the independent reader merges what it reads.
pub fn canonical(body: Ours) -> Ours {
    let merge = |s: p::SequenceSet| {
        let bound = |n| p::Bound::Number(NonZeroU32::new(n).unwrap());
        let ranges = s.resolve(u32::MAX).ranges().iter().map(|&(a, b)| (bound(a), bound(b))).collect();
        p::SequenceSet::from_ranges(ranges).unwrap()
    };
    let one = |m| match m {
        MessageSet::Set(s) => MessageSet::Set(merge(s)),
        MessageSet::Saved => MessageSet::Saved,
    };
    fn key(k: Key, merge: &impl Fn(p::SequenceSet) -> p::SequenceSet) -> Key {
        match k {
            Key::Numbers(s) => Key::Numbers(merge(s)),
            Key::Uids(s) => Key::Uids(merge(s)),
            Key::Not(k) => Key::Not(Box::new(key(*k, merge))),
            Key::Or(a, b) => Key::Or(Box::new(key(*a, merge)), Box::new(key(*b, merge))),
            Key::And(all) => Key::And(all.into_iter().map(|k| key(k, merge)).collect()),
            other => other,
        }
    }
    let search = |s: p::Search| p::Search { key: key(s.key, &merge), ..s };
    match body {
        Ours::Fetch { uid, set, items, changed_since, vanished, partial } => {
            Ours::Fetch { uid, set: one(set), items, changed_since, vanished, partial }
        }
        Ours::Store { uid, set, action, silent, flags, unchanged_since } => {
            Ours::Store { uid, set: one(set), action, silent, flags, unchanged_since }
        }
        Ours::Copy { uid, set, mailbox } => Ours::Copy { uid, set: one(set), mailbox },
        Ours::Move { uid, set, mailbox } => Ours::Move { uid, set: one(set), mailbox },
        Ours::Expunge { uids } => Ours::Expunge { uids: uids.map(one) },
        Ours::Search { uid, search: s } => Ours::Search { uid, search: search(s) },
        Ours::Sort { uid, criteria, search: s } => Ours::Sort { uid, criteria, search: search(s) },
        Ours::Thread { uid, algorithm, search: s } => Ours::Thread { uid, algorithm, search: search(s) },
        Ours::Select { mailbox, read_only, condstore, qresync: Some(q) } => {
            let matches = q.matches.map(|(a, b)| (merge(a), merge(b)));
            let qresync = Some(p::Qresync { known_uids: q.known_uids.map(merge), matches, ..q });
            Ours::Select { mailbox, read_only, condstore, qresync }
        }
        other => other,
    }
}
