//! Every answer byte by byte, and read back by an independent reader where it knows the grammar.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::num::NonZeroU32;

use imap_codec::decode::Decoder;
use imap_codec::imap_types::IntoStatic;
use imap_codec::imap_types::core::NString;
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::mailbox::Mailbox;
use imap_codec::imap_types::response::{CommandContinuationRequest, Data, Response};
use imap_codec::{GreetingCodec, ResponseCodec};
use pli_imap_proto::*;
use pli_types::{ModSeq, SpecialUse, Uid, UidValidity, UnixMillis};
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut out = Out::new();
    write(&mut out);
    let len = out.len();
    let bytes = out.take();
    assert_eq!((bytes.len(), out.is_empty(), out.take().capacity()), (len, true, 0));
    bytes
}

/// The independent reader takes exactly one response and leaves nothing.
fn read(bytes: &[u8]) -> Response<'static> {
    let (rest, response) =
        ResponseCodec::new().decode(bytes).unwrap_or_else(|e| panic!("{}: {e:?}", String::from_utf8_lossy(bytes)));
    assert_eq!(rest, b"", "{}", String::from_utf8_lossy(bytes));
    response.into_static()
}

/// The bytes are these, and the reader takes them.
fn says(expected: &str, write: impl FnOnce(&mut Out)) -> Response<'static> {
    let bytes = written(write);
    assert_eq!(String::from_utf8_lossy(&bytes), expected);
    read(&bytes)
}

/// The bytes are these; the reader does not know this grammar.
fn only_says(expected: &str, write: impl FnOnce(&mut Out)) {
    assert_eq!(String::from_utf8_lossy(&written(write)), expected);
}

fn tag() -> Tag {
    Tag::new(b"A1").unwrap()
}
fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().map(|&n| Uid::new(n)).collect()
}
const AT: UnixMillis = UnixMillis::from_secs(837_571_465);

#[test]
fn statuses() {
    says("* OK ready\r\n", |o| o.untagged(Status::Ok, None, "ready"));
    says("A1 NO [ALERT] quota\r\n", |o| o.tagged(&tag(), Status::No, Some(Code::Alert), "quota"));
    says("A1 BAD no\r\n", |o| o.tagged(&tag(), Status::Bad, None, "no"));
    says("* BYE bye\r\n", |o| o.untagged(Status::Bye, None, "bye"));
    // Nothing in a text can end the line.
    says("A1 OK a??b?\r\n", |o| o.tagged(&tag(), Status::Ok, None, "a\r\nb\u{e9}"));
    says("A1 OK -\r\n", |o| o.tagged(&tag(), Status::Ok, None, ""));
    let mut out = Out::with_buffer(Vec::new());
    out.set_utf8(true);
    out.untagged(Status::Ok, None, "\u{e9}t\u{e9}\u{85}");
    assert_eq!(out.as_bytes(), "* OK \u{e9}t\u{e9}?\r\n".as_bytes());
    for (status, text) in [
        (Status::Ok, "* OK [CAPABILITY IMAP4rev1] hi\r\n"),
        (Status::Preauth, "* PREAUTH [CAPABILITY IMAP4rev1] hi\r\n"),
        (Status::Bye, "* BYE [CAPABILITY IMAP4rev1] hi\r\n"),
    ] {
        let bytes = written(|o| o.untagged(status, Some(Code::Capability("IMAP4rev1")), "hi"));
        assert_eq!(bytes, text.as_bytes());
        assert_eq!(GreetingCodec::new().decode(&bytes).unwrap().0, b"");
    }
    says("+ go on\r\n", |o| o.continuation("go on"));
    only_says("+ \r\n", |o| o.continuation(""));
    let challenge = says("+ AGEAYg==\r\n", |o| o.continuation_base64(b"\0a\0b"));
    assert!(
        matches!(challenge, Response::CommandContinuationRequest(CommandContinuationRequest::Base64(b)) if &*b == b"\0a\0b")
    );
    only_says("+ \r\n", |o| o.continuation_base64(b""));
}

#[test]
fn codes() {
    let from = uids(&[304, 319, 320]);
    let to = uids(&[3956, 3957, 3958]);
    let codes = [
        (Code::Alert, "ALERT"),
        (Code::AlreadyExists, "ALREADYEXISTS"),
        (Code::AppendUid { validity: UidValidity::new(38505), uids: &to[..1] }, "APPENDUID 38505 3956"),
        (Code::AppendUid { validity: UidValidity::new(38505), uids: &to }, "APPENDUID 38505 3956:3958"),
        (Code::AuthenticationFailed, "AUTHENTICATIONFAILED"),
        (Code::AuthorizationFailed, "AUTHORIZATIONFAILED"),
        (Code::BadCharset(&[]), "BADCHARSET"),
        (Code::BadCharset(&["UTF-8", "US-ASCII"]), "BADCHARSET (UTF-8 US-ASCII)"),
        (Code::Cannot, "CANNOT"),
        (Code::Capability("IMAP4rev1 IDLE"), "CAPABILITY IMAP4rev1 IDLE"),
        (Code::ClientBug, "CLIENTBUG"),
        (Code::Closed, "CLOSED"),
        (Code::CompressionActive, "COMPRESSIONACTIVE"),
        (Code::ContactAdmin, "CONTACTADMIN"),
        (
            Code::CopyUid { validity: UidValidity::new(38505), from: &from, to: &to },
            "COPYUID 38505 304,319:320 3956:3958",
        ),
        (Code::Corruption, "CORRUPTION"),
        (Code::Expired, "EXPIRED"),
        (Code::ExpungeIssued, "EXPUNGEISSUED"),
        (Code::HasChildren, "HASCHILDREN"),
        (Code::HighestModSeq(ModSeq::new(715_194_045_007)), "HIGHESTMODSEQ 715194045007"),
        (Code::InUse, "INUSE"),
        (Code::Limit, "LIMIT"),
        (Code::MailboxId("F2212ea87"), "MAILBOXID (F2212ea87)"),
        (Code::Modified(&[7, 9]), "MODIFIED 7,9"),
        (Code::NoModSeq, "NOMODSEQ"),
        (Code::NonExistent, "NONEXISTENT"),
        (Code::NoPerm, "NOPERM"),
        (Code::NotSaved, "NOTSAVED"),
        (Code::MetadataLongEntries(2199), "METADATA LONGENTRIES 2199"),
        (Code::MetadataMaxSize(9), "METADATA MAXSIZE 9"),
        (Code::MetadataTooMany, "METADATA TOOMANY"),
        (Code::OverQuota, "OVERQUOTA"),
        (Code::Parse, "PARSE"),
        (Code::PermanentFlags("\\Deleted \\Seen \\*"), "PERMANENTFLAGS (\\Deleted \\Seen \\*)"),
        (Code::PermanentFlags(""), "PERMANENTFLAGS ()"),
        (Code::PrivacyRequired, "PRIVACYREQUIRED"),
        (Code::ReadOnly, "READ-ONLY"),
        (Code::ReadWrite, "READ-WRITE"),
        (Code::ServerBug, "SERVERBUG"),
        (Code::TooBig, "TOOBIG"),
        (Code::TryCreate, "TRYCREATE"),
        (Code::UidNext(Uid::new(4392)), "UIDNEXT 4392"),
        (Code::UidNotSticky, "UIDNOTSTICKY"),
        (Code::UidValidity(UidValidity::new(3_857_529_045)), "UIDVALIDITY 3857529045"),
        (Code::Unavailable, "UNAVAILABLE"),
        (Code::UnknownCte, "UNKNOWN-CTE"),
        (Code::Unseen(12), "UNSEEN 12"),
        (Code::UseAttr, "USEATTR"),
    ];
    for (code, expected) in codes {
        let response = says(&format!("* OK [{expected}] x\r\n"), |o| o.untagged(Status::Ok, Some(code), "x"));
        assert!(expected.starts_with(code.name()));
        assert!(matches!(&response, Response::Status(s) if s.code().is_some()), "{response:?}");
    }
}

#[test]
fn mailbox_data() {
    assert_eq!(says("* 23 EXISTS\r\n", |o| o.exists(23)), Response::Data(Data::Exists(23)));
    assert_eq!(says("* 0 RECENT\r\n", |o| o.recent(0)), Response::Data(Data::Recent(0)));
    says("* 44 EXPUNGE\r\n", |o| o.expunge(44));
    says("* VANISHED 505,507:508\r\n", |o| o.vanished(false, uids(&[505, 507, 508])));
    says("* VANISHED (EARLIER) 1:2\r\n", |o| o.vanished(true, uids(&[1, 2])));
    only_says("", |o| o.vanished(true, []));
    says("* FLAGS (\\Seen $Junk)\r\n", |o| o.flags("\\Seen $Junk"));
    says("* SEARCH 2 84 882\r\n", |o| o.search(&[2, 84, 882], None));
    says("* SEARCH\r\n", |o| o.search(&[], Some(ModSeq::new(9))));
    says("* SEARCH 2 5 (MODSEQ 917162500)\r\n", |o| o.search(&[2, 5], Some(ModSeq::new(917_162_500))));
    says("* SORT 5 3\r\n", |o| o.sort(&[5, 3], None));
    only_says("* ESEARCH (TAG \"A1\") UID MIN 2 MAX 9 ALL 2:3,9 COUNT 3 MODSEQ 7\r\n", |o| {
        let tag = tag();
        let all = [2, 3, 9];
        o.esearch(&ESearch {
            tag: Some(&tag),
            uid: true,
            min: Some(2),
            max: Some(9),
            count: Some(3),
            all: Some(&all),
            modseq: Some(ModSeq::new(7)),
            ..ESearch::default()
        });
    });
    // RFC 9394 §3.1, RFC 6203 §4, RFC 7377 §2.1
    only_says(
        "* ESEARCH (TAG \"A1\" MAILBOX \"a b\" UIDVALIDITY 5) UID PARTIAL (-1:-3 9,7) RELEVANCY (100 4)\r\n",
        |o| {
            let tag = tag();
            let n = |n| NonZeroU32::new(n).unwrap();
            let range = PartialRange { first: n(1), last: n(3), from_end: true };
            o.esearch(&ESearch {
                tag: Some(&tag),
                mailbox: Some(("a b", UidValidity::new(5))),
                uid: true,
                partial: Some((range, &[9, 7])),
                relevancy: Some(&[100, 4]),
                ..ESearch::default()
            });
        },
    );
    // RFC 5267 §4.3.3, §4.3.4
    only_says("* ESEARCH (TAG \"A1\") UID ADDTO (0 5:6 3 9)\r\n", |o| {
        o.search_update(&tag(), true, Change::Add, &[(0, vec![5, 6]), (3, vec![9])]);
    });
    only_says("* ESEARCH (TAG \"A1\") REMOVEFROM (0 2)\r\n", |o| {
        o.search_update(&tag(), false, Change::Remove, &[(0, vec![2])]);
        o.search_update(&tag(), false, Change::Remove, &[]);
    });
    // RFC 10022 §4
    only_says("* UIDBATCHES (TAG \"A1\") 90:41,40,7:1\r\n* UIDBATCHES (TAG \"A1\")\r\n", |o| {
        o.uid_batches(&tag(), &[(90, 41), (40, 40), (7, 1)]);
        o.uid_batches(&tag(), &[]);
    });
    // RFC 9586 §3.3
    only_says("* 25996 UIDFETCH (FLAGS (\\Seen))\r\n", |o| {
        o.set_uid_only(true);
        o.fetch_start(4, Uid::new(25_996));
        o.fetch_flags(b"\\Seen");
        o.fetch_end();
    });
    let code = |code: Code<'_>, text: &str| {
        only_says(&format!("* OK [{text}] x\r\n"), |o| o.untagged(Status::Ok, Some(code), "x"))
    };
    code(Code::InProgress { tag: "A1", done: 7, goal: Some(90) }, "INPROGRESS (\"A1\" 7 90)");
    code(Code::InProgress { tag: "A1", done: 7, goal: None }, "INPROGRESS (\"A1\" 7 NIL)");
    code(Code::MessageLimit(100, Some(Uid::new(7))), "MESSAGELIMIT 100 7");
    code(Code::MessageLimit(100, None), "MESSAGELIMIT 100");
    code(Code::NoUpdate("A1"), "NOUPDATE \"A1\"");
    code(Code::UidRequired, "UIDREQUIRED");
    only_says("* ESEARCH\r\n", |o| o.esearch(&ESearch { all: Some(&[]), ..ESearch::default() }));
    says("* THREAD (2)(3 6 (4 23)(44 7 96))\r\n", |o| {
        o.thread_start();
        o.thread_open();
        o.thread_number(2);
        o.thread_close();
        o.thread_open();
        o.thread_number(3);
        o.thread_number(6);
        o.thread_branches();
        for branch in [&[4, 23][..], &[44, 7, 96]] {
            o.thread_open();
            branch.iter().for_each(|&n| o.thread_number(n));
            o.thread_close();
        }
        o.thread_close();
        o.thread_end();
    });
    only_says("* THREAD\r\n", |o| {
        o.thread_start();
        o.thread_end();
    });
}

#[test]
fn listings() {
    use ListAttribute::*;
    let row = |verb, attributes, name| ListRow {
        verb,
        attributes,
        separator: Some('/'),
        name,
        old_name: None,
        child_info_subscribed: false,
    };
    let list = ListVerb::List;
    says("* LIST (\\HasNoChildren \\Sent) \"/\" Sent\r\n", |o| {
        o.list(&row(list, &[HasNoChildren, SpecialUse(self::SpecialUse::Sent)], "Sent"))
    });
    let inbox = says("* LIST () \"/\" INBOX\r\n", |o| o.list(&row(list, &[], "INBOX")));
    assert!(matches!(inbox, Response::Data(Data::List { mailbox: Mailbox::Inbox, .. })));
    says("* LIST (\\Noselect) NIL \"\"\r\n", |o| o.list(&ListRow { separator: None, ..row(list, &[NoSelect], "") }));
    says("* LIST () \"/\" \"a \\\"b\\\\\"\r\n", |o| o.list(&row(list, &[], "a \"b\\")));
    says("* LIST () \"/\" \"nil\"\r\n", |o| o.list(&row(list, &[], "nil")));
    says("* LIST () \"/\" \"&AMk-l&AOk-ments envoy&AOk-s\"\r\n", |o| {
        o.list(&row(list, &[], "\u{c9}l\u{e9}ments envoy\u{e9}s"))
    });
    says("* LIST () \"/\" R&-D\r\n", |o| o.list(&row(list, &[], "R&D")));
    says("* LSUB (\\Subscribed) \"/\" a\r\n", |o| o.list(&row(ListVerb::Lsub, &[Subscribed], "a")));
    only_says("* XLIST (\\Spam \\Inbox) \"/\" a\r\n", |o| {
        o.list(&row(ListVerb::Xlist, &[SpecialUse(self::SpecialUse::Junk), Inbox], "a"))
    });
    only_says("* LIST (\\NonExistent \\Remote) \"/\" a (\"CHILDINFO\" (\"SUBSCRIBED\") \"OLDNAME\" (b))\r\n", |o| {
        o.list(&ListRow { old_name: Some("b"), child_info_subscribed: true, ..row(list, &[NonExistent, Remote], "a") });
    });
    let mut out = Out::new();
    out.set_utf8(true);
    assert!(out.is_utf8());
    out.list(&row(list, &[], "\u{e9}"));
    out.list(&row(list, &[], "R&D"));
    assert_eq!(out.as_bytes(), "* LIST () \"/\" \"\u{e9}\"\r\n* LIST () \"/\" R&D\r\n".as_bytes());

    let number = StatusValue::Number;
    says("* STATUS a (MESSAGES 231 UIDNEXT 44292 SIZE 99 HIGHESTMODSEQ 7 DELETED 0)\r\n", |o| {
        use StatusItem::*;
        o.status(
            "a",
            &[
                (Messages, number(231)),
                (UidNext, number(44292)),
                (Size, number(99)),
                (HighestModSeq, number(7)),
                (Deleted, number(0)),
            ],
        );
    });
    only_says("* STATUS INBOX (MAILBOXID (F1) APPENDLIMIT NIL)\r\n", |o| {
        o.status(
            "INBOX",
            &[(StatusItem::MailboxId, StatusValue::Id("F1")), (StatusItem::AppendLimit, StatusValue::Nil)],
        );
    });
    only_says("* NAMESPACE ((\"\" \"/\")) NIL ((\"Shared/\" \"/\" \"TRANSLATION\" (\"Partag&AOk-/\")))\r\n", |o| {
        o.namespace(&[("", None)], &[], &[("Shared/", Some("Partag\u{e9}/"))], '/')
    });
    only_says("* LANGUAGE (EN FR i-default)\r\n", |o| o.language(&["EN", "FR", "i-default"]));
    says("* NAMESPACE ((\"\" \"/\")) NIL ((\"Partages/\" \"/\")(\"&AOk-/\" \"/\"))\r\n", |o| {
        o.namespace(&[("", None)], &[], &[("Partages/", None), ("\u{e9}/", None)], '/')
    });
    says("* QUOTAROOT INBOX \"\" \"#user/a\"\r\n", |o| o.quota_root("INBOX", &["", "#user/a"]));
    let storage = QuotaResource { name: "STORAGE", usage: 10, limit: 512 };
    says("* QUOTA \"\" (STORAGE 10 512)\r\n", |o| o.quota("", &[storage]));
    says("* QUOTA \"a\" (STORAGE 10 512 MESSAGE 1 20)\r\n", |o| {
        o.quota("a", &[storage, QuotaResource { name: "MESSAGE", usage: 1, limit: 20 }])
    });
}

#[test]
fn server_data() {
    says("* CAPABILITY IMAP4rev1 IDLE\r\n", |o| o.capability("IMAP4rev1 IDLE"));
    says("* ENABLED CONDSTORE\r\n", |o| o.enabled(&["CONDSTORE"]));
    says("* ENABLED\r\n", |o| o.enabled(&[]));
    says("* ID (\"name\" \"Pli\" \"os\" NIL)\r\n", |o| o.id(&[("name", Some("Pli")), ("os", None)]));
    says("* ID NIL\r\n", |o| o.id(&[]));
    let lines = written(|o| o.uid_lines(UidValidity::new(7), Uid::new(9)));
    assert_eq!(lines, b"* OK [UIDVALIDITY 7] UIDs valid\r\n* OK [UIDNEXT 9] Predicted next UID\r\n");
}

fn parts(numbers: &[u32]) -> Vec<NonZeroU32> {
    numbers.iter().map(|&n| NonZeroU32::new(n).unwrap()).collect()
}

#[test]
fn fetch() {
    let response = says(
        "* 12 FETCH (FLAGS (\\Seen $Junk) UID 104 MODSEQ (624140003) INTERNALDATE \"17-Jul-1996 02:44:25 +0000\" RFC822.SIZE 4286 RFC822 {2}\r\nab RFC822.TEXT NIL)\r\n",
        |o| {
            o.fetch_start(12, Uid::new(100));
            o.fetch_flags(b"\\Seen $Junk");
            o.fetch_uid(Uid::new(104));
            o.fetch_modseq(ModSeq::new(624_140_003));
            o.fetch_internal_date(AT);
            o.fetch_size(4286);
            o.fetch_string("RFC822", Some(b"ab"));
            o.fetch_string("RFC822.TEXT", None);
            o.fetch_end();
        },
    );
    let Response::Data(Data::Fetch { seq, items }) = response else { panic!("not FETCH") };
    assert_eq!((seq.get(), items.as_ref().len()), (12, 7));
    says("* 1 FETCH (FLAGS ())\r\n", |o| {
        o.fetch_start(1, Uid::new(100));
        o.fetch_flags(b"");
        o.fetch_end();
    });
    says("* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) RFC822.HEADER {1}\r\nx)\r\n", |o| {
        o.fetch_start(1, Uid::new(100));
        o.fetch_raw("ENVELOPE", b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
        o.fetch_string_start("RFC822.HEADER", 1);
        o.raw(b"x");
        o.fetch_end();
    });
    only_says(
        "* 1 FETCH (EMAILID (M1) THREADID NIL THREADID (T1) SAVEDATE NIL SAVEDATE \"17-Jul-1996 02:44:25 +0000\" PREVIEW \"a\" PREVIEW NIL)\r\n",
        |o| {
            o.fetch_start(1, Uid::new(100));
            o.fetch_email_id("M1");
            o.fetch_thread_id(None);
            o.fetch_thread_id(Some("T1"));
            o.fetch_save_date(None);
            o.fetch_save_date(Some(AT));
            o.fetch_preview(Some("a"));
            o.fetch_preview(None);
            o.fetch_end();
        },
    );
}

#[test]
fn fetch_sections() {
    let names = |n: &[&str]| n.iter().map(|&n| n.into()).collect::<Vec<Box<str>>>();
    let sections = [
        (vec![], SectionKind::Full, ""),
        (vec![1, 2], SectionKind::Full, "1.2"),
        (vec![], SectionKind::Header, "HEADER"),
        (vec![3], SectionKind::Header, "3.HEADER"),
        (vec![], SectionKind::Text, "TEXT"),
        (vec![3], SectionKind::Mime, "3.MIME"),
        (vec![], SectionKind::HeaderFields(names(&["From", "X Y"])), "HEADER.FIELDS (From \"X Y\")"),
        (vec![9], SectionKind::HeaderFieldsNot(names(&["From"])), "9.HEADER.FIELDS.NOT (From)"),
    ];
    for (part, kind, expected) in sections {
        let section = Section { part: parts(&part), kind };
        for origin in [None, Some(4096)] {
            let at = origin.map(|o| format!("<{o}>")).unwrap_or_default();
            let response =
                says(&format!("* 1 FETCH (BODY[{expected}]{at} {{3}}\r\na\r\n BODY[{expected}]{at} NIL)\r\n"), |o| {
                    o.fetch_start(1, Uid::new(100));
                    o.fetch_section(&section, origin, Some(b"a\r\n"));
                    o.fetch_section(&section, origin, None);
                    o.fetch_end();
                });
            let Response::Data(Data::Fetch { items, .. }) = response else { panic!("not FETCH") };
            let [
                MessageDataItem::BodyExt { origin: read, data: NString(Some(data)), .. },
                MessageDataItem::BodyExt { data: NString(None), .. },
            ] = items.as_ref()
            else {
                panic!("{items:?}")
            };
            assert_eq!((read.map(u64::from), data.as_ref()), (origin, &b"a\r\n"[..]));
            // What a client asked is what it is answered: the command's parser reads the section back.
            let asked = parse(format!("a FETCH 1 BODY[{expected}]").as_bytes(), false).unwrap().body;
            assert!(
                matches!(asked, CommandBody::Fetch { items, .. } if items == [FetchItem::Section { section: section.clone(), peek: false, partial: None }])
            );
        }
        let streamed = written(|o| {
            o.fetch_start(1, Uid::new(100));
            o.fetch_section_start(&section, None, 3);
            o.raw(b"a\r\n");
            o.fetch_end();
        });
        read(&streamed);
    }
    says("* 1 FETCH (BINARY[1.2] {1}\r\na BINARY[] NIL BINARY.SIZE[1] 7)\r\n", |o| {
        o.fetch_start(1, Uid::new(100));
        o.fetch_binary(&parts(&[1, 2]), None, Some(b"a"));
        o.fetch_binary(&[], None, None);
        o.fetch_binary_size(&parts(&[1]), 7);
        o.fetch_end();
    });
    only_says("* 1 FETCH (BINARY[1]<0> ~{1}\r\n\0)\r\n", |o| {
        o.fetch_start(1, Uid::new(100));
        o.fetch_binary(&parts(&[1]), Some(0), Some(b"\0"));
        o.fetch_end();
    });
}

#[test]
fn dates_stay_within_four_digits() {
    let date = |secs| String::from_utf8(written(|o| o.date_time(UnixMillis::from_secs(secs)))).unwrap();
    assert_eq!(date(0), "\"01-Jan-1970 00:00:00 +0000\"");
    assert_eq!(date(-1), "\"31-Dec-1969 23:59:59 +0000\"");
    assert_eq!(date(i64::MAX / 1000), "\"31-Dec-9999 23:59:59 +0000\"");
    assert_eq!(date(i64::MIN / 1000), "\"01-Jan-0001 00:00:00 +0000\"");
}

proptest! {
    /// Whatever a string holds, the reader gets it back (without NUL, which no string can hold).
    #[test]
    fn strings_read_back(bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(b'"'), Just(b'\\'), 32u8..127], 0..60), long in prop::bool::weighted(0.05)) {
        let bytes = if long { bytes.repeat(40) } else { bytes };
        let written = written(|o| {
            o.raw(b"* 1 FETCH (RFC822 ");
            o.string(&bytes);
            o.raw(b")\r\n");
        });
        let Response::Data(Data::Fetch { items, .. }) = read(&written) else { panic!("not FETCH") };
        let [MessageDataItem::Rfc822(NString(Some(got)))] = items.as_ref() else { panic!("{items:?}") };
        let expected: Vec<u8> = bytes.iter().copied().filter(|&b| b != 0).collect();
        prop_assert_eq!(got.as_ref(), expected.as_slice());
    }

    /// Names go out so that the reader and our own parser read them back.
    #[test]
    fn names_read_back(name in "[a-zA-Z0-9&é日 \"\\\\/(){}%*~+.-]{1,20}", utf8 in any::<bool>()) {
        let mut out = Out::new();
        out.set_utf8(utf8);
        out.raw(b"a LIST \"\" ");
        out.mailbox(&name);
        let line = out.take();
        let CommandBody::List(list) = parse(&line, utf8).unwrap().body else { panic!("not LIST") };
        prop_assert_eq!(list.patterns, vec![name.clone()]);
        if !utf8 {
            let row = ListRow { verb: ListVerb::List, attributes: &[], separator: Some('/'), name: &name, old_name: None, child_info_subscribed: false };
            out.set_utf8(false);
            out.list(&row);
            let Response::Data(Data::List { mailbox, .. }) = read(out.as_bytes()) else { panic!("not LIST") };
            let got = match &mailbox { Mailbox::Inbox => b"INBOX".to_vec(), Mailbox::Other(other) => other.inner().as_ref().to_vec() };
            prop_assert_eq!(String::from_utf8(got).unwrap(), utf7::encode(&name));
        }
    }

    /// No text, tag or name can break a line.
    #[test]
    fn texts_never_break_a_line(text in "\\PC*|[\\x00-\\x1f]*", utf8 in any::<bool>()) {
        let mut out = Out::new();
        out.set_utf8(utf8);
        out.untagged(Status::No, None, &text);
        let bytes = out.take();
        prop_assert_eq!(bytes.iter().filter(|&&b| b == b'\n' || b == b'\r').count(), 2);
        prop_assert!(!bytes.contains(&0));
    }
}
