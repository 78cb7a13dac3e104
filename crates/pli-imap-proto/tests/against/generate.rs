//! Random commands in the independent grammar's types, from a seed.

use std::num::{NonZeroU32, NonZeroU64};

use imap_codec::imap_types as t;
use t::auth::AuthMechanism;
use t::command::{Command, CommandBody, FetchModifier, SelectParameter, StoreModifier};
use t::core::{AString, Atom, Charset, IString, Literal, NString, Quoted, Tag, Vec1};
use t::datetime::{DateTime, NaiveDate};
use t::extensions::binary::{Literal8, LiteralOrLiteral8};
use t::extensions::quota::QuotaSet;
use t::extensions::sort::{SortCriterion, SortKey};
use t::extensions::thread::ThreadingAlgorithm;
use t::fetch::{Macro, MacroOrMessageDataItemNames, MessageDataItemName as Item, Part, Section};
use t::flag::{Flag, StoreResponse, StoreType};
use t::mailbox::{ListMailbox, Mailbox};
use t::search::SearchKey as Key;
use t::sequence::{SeqOrUid, Sequence, SequenceSet};
use t::status::StatusDataItemName as Status;

/// xorshift64*
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
    pub fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % n
    }
    pub fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
    fn some<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.coin().then(|| make(self))
    }
    fn many<T>(&mut self, from: usize, to: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = from + self.below(to - from + 1);
        (0..count).map(|_| make(self)).collect()
    }
    fn many1<T: std::fmt::Debug + Clone>(&mut self, to: usize, make: impl FnMut(&mut Self) -> T) -> Vec1<T> {
        Vec1::try_from(self.many(1, to, make)).unwrap()
    }
}

fn n32(r: &mut Rng) -> NonZeroU32 {
    let shift = r.below(32);
    NonZeroU32::new(u32::try_from(r.next() >> 32).unwrap() >> shift).unwrap_or(NonZeroU32::MIN)
}
fn modseq(r: &mut Rng) -> NonZeroU64 {
    let shift = r.below(62) + 1;
    NonZeroU64::new(r.next() >> shift).unwrap_or(NonZeroU64::MIN)
}
fn text(r: &mut Rng) -> Vec<u8> {
    let bytes: &[u8] = r.pick(&[b"abcXYZ019".as_slice(), b"a b\"\\(){}%*]", b"a\r\n{1}\x01~", b"a\xc3\xa9"]);
    r.many(0, 9, |r| r.pick(bytes))
}
fn astring(r: &mut Rng) -> AString<'static> {
    let mut text = text(r);
    if r.below(4) == 0 {
        text.retain(|&b| b != 0);
        let literal = Literal::try_from(text).unwrap();
        return AString::from(if r.coin() { literal.into_non_sync() } else { literal });
    }
    AString::try_from(text).unwrap()
}
/// Strings that read as text.
fn ascii(r: &mut Rng) -> AString<'static> {
    AString::try_from(r.pick(&["From", "Message-ID", "a b", "X\"Y", "", "x]"])).unwrap()
}
fn istring(r: &mut Rng) -> IString<'static> {
    IString::Quoted(Quoted::try_from(r.pick(&["name", "a \"b\"", "\\", ""])).unwrap())
}
fn atom(r: &mut Rng) -> Atom<'static> {
    Atom::try_from(r.pick(&["$Junk", "Old", "a+b", "x[y", "NIL", "1"])).unwrap()
}
fn mailbox(r: &mut Rng) -> Mailbox<'static> {
    Mailbox::try_from(
        r.pick(&["inbox", "a", "a/b", "&AMk-l", "a b", "a\"b", "a\\b", "R&-D", "x]", "(", "{1}", "NIL", "INBOX/b"]),
    )
    .unwrap()
}
fn flag(r: &mut Rng) -> Flag<'static> {
    Flag::try_from(r.pick(&["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft", "$Junk", "Old", "a+b"]))
        .unwrap()
}
fn set(r: &mut Rng, star: bool) -> SequenceSet {
    let end = |r: &mut Rng| {
        if star && r.below(5) == 0 { SeqOrUid::Asterisk } else { SeqOrUid::Value(n32(r)) }
    };
    SequenceSet(r.many1(4, |r| if r.coin() { Sequence::Single(end(r)) } else { Sequence::Range(end(r), end(r)) }))
}
fn date(r: &mut Rng) -> NaiveDate {
    let (y, m, d) = (1900 + r.below(300), 1 + r.below(12), 1 + r.below(28));
    let date = chrono::NaiveDate::from_ymd_opt(
        i32::try_from(y).unwrap(),
        u32::try_from(m).unwrap(),
        u32::try_from(d).unwrap(),
    )
    .unwrap();
    NaiveDate::try_from(date).unwrap()
}
fn date_time(r: &mut Rng) -> DateTime {
    let zone = chrono::FixedOffset::east_opt((i32::try_from(r.below(27 * 4)).unwrap() - 48) * 900).unwrap();
    let at = chrono::DateTime::from_timestamp(i64::try_from(r.below(4_000_000_000)).unwrap(), 0).unwrap();
    DateTime::try_from(at.with_timezone(&zone)).unwrap()
}
fn charset(r: &mut Rng) -> Charset<'static> {
    let name = r.pick(&["UTF-8", "us-ascii", "ISO-8859-1"]);
    if r.coin() {
        Charset::Atom(Atom::try_from(name).unwrap())
    } else {
        Charset::Quoted(Quoted::try_from(name).unwrap())
    }
}

fn key(r: &mut Rng, depth: usize) -> Key<'static> {
    let plain = [
        Key::All,
        Key::Answered,
        Key::Deleted,
        Key::Draft,
        Key::Flagged,
        Key::New,
        Key::Old,
        Key::Recent,
        Key::Seen,
        Key::Unanswered,
        Key::Undeleted,
        Key::Undraft,
        Key::Unflagged,
        Key::Unseen,
    ];
    match r.below(if depth > 3 { 25 } else { 29 }) {
        0 => Key::Bcc(astring(r)),
        1 => Key::Before(date(r)),
        2 => Key::Body(astring(r)),
        3 => Key::Cc(astring(r)),
        4 => Key::From(astring(r)),
        5 => Key::Header(ascii(r), astring(r)),
        6 => Key::Keyword(atom(r)),
        7 => Key::Unkeyword(atom(r)),
        8 => Key::Larger(n32(r).get()),
        9 => Key::Smaller(n32(r).get()),
        10 => Key::Older(n32(r)),
        11 => Key::Younger(n32(r)),
        12 => Key::On(date(r)),
        13 => Key::SentBefore(date(r)),
        14 => Key::SentOn(date(r)),
        15 => Key::SentSince(date(r)),
        16 => Key::Since(date(r)),
        17 => Key::Subject(astring(r)),
        18 => Key::Text(astring(r)),
        19 => Key::To(astring(r)),
        20 => Key::Uid(set(r, true)),
        21 => Key::SequenceSet(set(r, true)),
        25 => Key::Not(Box::new(key(r, depth + 1))),
        26 => Key::Or(Box::new(key(r, depth + 1)), Box::new(key(r, depth + 1))),
        27 => Key::And(Vec1::try_from(r.many(2, 3, |r| key(r, depth + 1))).unwrap()),
        _ => r.pick(&plain),
    }
}

fn part(r: &mut Rng) -> Part {
    Part(r.many1(3, n32))
}
fn item(r: &mut Rng) -> Item<'static> {
    let plain = [
        Item::Body,
        Item::BodyStructure,
        Item::Envelope,
        Item::Flags,
        Item::InternalDate,
        Item::Rfc822,
        Item::Rfc822Header,
        Item::Rfc822Size,
        Item::Rfc822Text,
        Item::Uid,
        Item::ModSeq,
    ];
    let partial = r.some(|r| (n32(r).get() - 1, n32(r)));
    match r.below(5) {
        0 => Item::BodyExt {
            section: r.some(|r| match r.below(6) {
                0 => Section::Part(part(r)),
                1 => Section::Header(r.some(part)),
                2 => Section::HeaderFields(r.some(part), r.many1(3, ascii)),
                3 => Section::HeaderFieldsNot(r.some(part), r.many1(3, ascii)),
                4 => Section::Text(r.some(part)),
                _ => Section::Mime(part(r)),
            }),
            partial,
            peek: r.coin(),
        },
        1 => Item::Binary { section: r.many(0, 2, n32), partial, peek: r.coin() },
        2 => Item::BinarySize { section: r.many(0, 2, n32) },
        _ => r.pick(&plain),
    }
}

fn select_parameters(r: &mut Rng) -> Vec<SelectParameter> {
    match r.below(3) {
        0 => vec![],
        1 => vec![SelectParameter::CondStore],
        _ => vec![SelectParameter::QResync {
            uid_validity: n32(r),
            mod_sequence_value: modseq(r),
            known_uids: r.some(|r| set(r, false)),
            seq_match_data: r.some(|r| (set(r, false), set(r, false))),
        }],
    }
}

pub fn command(r: &mut Rng) -> Command<'static> {
    let tag = Tag::try_from(r.pick(&["a1", "A.2", "]", "x-3", "0"])).unwrap();
    Command { tag, body: body(r) }
}

// Long because it is one table: a line or two for each command.
fn body(r: &mut Rng) -> CommandBody<'static> {
    let uid = r.coin();
    match r.below(38) {
        0 => CommandBody::Capability,
        1 => CommandBody::Noop,
        2 => CommandBody::Logout,
        3 => CommandBody::authenticate(AuthMechanism::Plain),
        4 => CommandBody::authenticate_with_ir(AuthMechanism::Login, text(r)),
        5 => CommandBody::login(astring(r), astring(r)).unwrap(),
        6 => CommandBody::Select { mailbox: mailbox(r), parameters: select_parameters(r) },
        7 => CommandBody::Examine { mailbox: mailbox(r), parameters: select_parameters(r) },
        8 => CommandBody::Unselect,
        9 => CommandBody::Create { mailbox: mailbox(r) },
        10 => CommandBody::Delete { mailbox: mailbox(r) },
        11 => CommandBody::Rename { from: mailbox(r), to: mailbox(r) },
        12 => CommandBody::Subscribe { mailbox: mailbox(r) },
        13 => CommandBody::Unsubscribe { mailbox: mailbox(r) },
        14 | 15 => {
            let reference = mailbox(r);
            let mailbox_wildcard =
                ListMailbox::try_from(r.pick(&["*", "%", "", "a/%", "INBOX*", "a b", "\"", "x]"])).unwrap();
            if uid {
                CommandBody::List { reference, mailbox_wildcard }
            } else {
                CommandBody::Lsub { reference, mailbox_wildcard }
            }
        }
        16 => {
            let all = [
                Status::Messages,
                Status::Recent,
                Status::UidNext,
                Status::UidValidity,
                Status::Unseen,
                Status::Deleted,
                Status::DeletedStorage,
                Status::Size,
                Status::HighestModSeq,
            ];
            let first = r.below(all.len());
            CommandBody::Status { mailbox: mailbox(r), item_names: all[first..].to_vec().into() }
        }
        17 | 18 => {
            let bytes = text(r);
            let message = if r.coin() {
                LiteralOrLiteral8::Literal(Literal::try_from(bytes).unwrap())
            } else {
                LiteralOrLiteral8::Literal8(Literal8 { data: bytes.into(), mode: t::core::LiteralMode::Sync })
            };
            CommandBody::Append { mailbox: mailbox(r), flags: r.many(0, 3, flag), date: r.some(date_time), message }
        }
        19 => CommandBody::Check,
        20 => CommandBody::Close,
        21 => CommandBody::Expunge,
        22 => CommandBody::ExpungeUid { sequence_set: set(r, true) },
        23 | 24 => CommandBody::Search { charset: r.some(charset), criteria: r.many1(3, |r| key(r, 0)), uid },
        25 => {
            let keys = [
                SortKey::Arrival,
                SortKey::Cc,
                SortKey::Date,
                SortKey::From,
                SortKey::Size,
                SortKey::Subject,
                SortKey::To,
                SortKey::DisplayFrom,
                SortKey::DisplayTo,
            ];
            let sort_criteria = r.many1(3, |r| SortCriterion { reverse: r.coin(), key: r.pick(&keys) });
            CommandBody::Sort { sort_criteria, charset: charset(r), search_criteria: r.many1(2, |r| key(r, 1)), uid }
        }
        26 => {
            let algorithm = r.pick(&[ThreadingAlgorithm::OrderedSubject, ThreadingAlgorithm::References]);
            CommandBody::Thread { algorithm, charset: charset(r), search_criteria: r.many1(2, |r| key(r, 1)), uid }
        }
        27 | 28 => {
            let macro_or_item_names = if r.below(4) == 0 {
                MacroOrMessageDataItemNames::Macro(r.pick(&[Macro::All, Macro::Fast, Macro::Full]))
            } else {
                MacroOrMessageDataItemNames::MessageDataItemNames(r.many(1, 4, item))
            };
            let mut modifiers: Vec<_> = r.some(|r| FetchModifier::ChangedSince(modseq(r))).into_iter().collect();
            if uid && !modifiers.is_empty() && r.coin() {
                modifiers.push(FetchModifier::Vanished);
            }
            CommandBody::Fetch { sequence_set: set(r, true), macro_or_item_names, uid, modifiers }
        }
        29 => CommandBody::Store {
            sequence_set: set(r, true),
            kind: r.pick(&[StoreType::Add, StoreType::Remove, StoreType::Replace]),
            response: r.pick(&[StoreResponse::Answer, StoreResponse::Silent]),
            flags: r.many(0, 4, flag),
            uid,
            modifiers: r.some(|r| StoreModifier::UnchangedSince(modseq(r).get())).into_iter().collect(),
        },
        30 => CommandBody::Copy { sequence_set: set(r, true), mailbox: mailbox(r), uid },
        31 => CommandBody::Move { sequence_set: set(r, true), mailbox: mailbox(r), uid },
        32 => CommandBody::Idle,
        33 => CommandBody::enable(vec![t::extensions::enable::CapabilityEnable::CondStore]).unwrap(),
        34 => CommandBody::compress(t::extensions::compress::CompressionAlgorithm::Deflate),
        35 => {
            if uid {
                CommandBody::GetQuota { root: ascii(r) }
            } else {
                CommandBody::GetQuotaRoot { mailbox: mailbox(r) }
            }
        }
        36 => {
            let quotas = r.many(0, 2, |r| QuotaSet::new(t::extensions::quota::Resource::Storage, modseq(r).get()));
            CommandBody::SetQuota { root: ascii(r), quotas }
        }
        _ => {
            if uid {
                CommandBody::Namespace
            } else {
                CommandBody::Id { parameters: r.some(|r| r.many(1, 3, |r| (istring(r), NString(r.some(istring))))) }
            }
        }
    }
}
