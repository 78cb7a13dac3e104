//! Known answers: a line of each command and what it means, and lines that are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::num::NonZeroU32;

use chrono::NaiveDate;
use pli_imap_proto::*;
use pli_types::{FlagSet, Keyword, MailboxName, ModSeq, SpecialUse, SystemFlag, UidValidity, UnixMillis};

fn body(line: &str) -> CommandBody {
    let command = parse(format!("a1 {line}").as_bytes(), false).unwrap_or_else(|e| panic!("{line}: {e}"));
    assert_eq!(command.tag.as_str(), "a1");
    command.body
}

fn bad(line: &str) {
    match parse(format!("a1 {line}").as_bytes(), false) {
        Err(CommandError::BadArguments { tag, text }) => {
            assert_eq!(tag.as_str(), "a1");
            assert!(!text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b)), "{text:?}");
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn name(text: &str) -> MailboxName {
    MailboxName::new(text).unwrap()
}
fn seq(text: &str) -> SequenceSet {
    SequenceSet::parse(text.as_bytes()).unwrap()
}
fn set(text: &str) -> MessageSet {
    MessageSet::Set(seq(text))
}
fn parts(numbers: &[u32]) -> Vec<NonZeroU32> {
    numbers.iter().map(|&n| NonZeroU32::new(n).unwrap()).collect()
}
fn day(y: i32, m: u32, d: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(y, m, d).unwrap()
}
fn flags(system: &[SystemFlag], keywords: &[&str]) -> FlagSet {
    let mut set: FlagSet = system.iter().copied().collect();
    keywords.iter().for_each(|k| set.insert_keyword(Keyword::new(k).unwrap()));
    set
}
fn key(line: &str) -> SearchKey {
    match body(&format!("SEARCH {line}")) {
        CommandBody::Search { uid: false, search: Search { returns: None, charset: None, key } } => key,
        other => panic!("{other:?}"),
    }
}
fn items(line: &str) -> Vec<FetchItem> {
    match body(&format!("FETCH 1 {line}")) {
        CommandBody::Fetch { uid: false, items, changed_since: None, vanished: false, .. } => items,
        other => panic!("{other:?}"),
    }
}

#[test]
fn verbs_without_arguments_in_any_case_and_with_trailing_blanks() {
    let cases = [
        ("CAPABILITY", CommandBody::Capability),
        ("noop", CommandBody::Noop),
        ("Logout  ", CommandBody::Logout),
        ("STARTTLS", CommandBody::StartTls),
        ("namespace ", CommandBody::Namespace),
        ("IDLE", CommandBody::Idle),
        ("check", CommandBody::Check),
        ("CLOSE", CommandBody::Close),
        ("UNSELECT", CommandBody::Unselect),
        ("EXPUNGE", CommandBody::Expunge { uids: None }),
    ];
    for (line, expected) in cases {
        assert_eq!(body(line), expected, "{line}");
        bad(&format!("{} x", line.trim()));
        assert!(line.trim().eq_ignore_ascii_case(expected.verb()));
    }
}

#[test]
fn errors_are_told_apart() {
    assert_eq!(parse(b"", false), Err(CommandError::NoTag));
    assert_eq!(parse(b" NOOP", false), Err(CommandError::NoTag));
    assert_eq!(parse(b"+ NOOP", false), Err(CommandError::NoTag));
    assert_eq!(parse(b"\xff NOOP", false), Err(CommandError::NoTag));
    assert_eq!(parse("t".repeat(300).as_bytes(), false), Err(CommandError::NoTag));
    for line in [&b"a1"[..], b"a1 ", b"a1 FROBNICATE", b"a1 NOOPNOOPNOOPNOOPNOOP", b"a1 \"NOOP\""] {
        let error = parse(line, false).unwrap_err();
        assert!(matches!(&error, CommandError::UnknownCommand { tag } if tag.as_str() == "a1"), "{error:?}");
    }
    bad("UID NOOP");
    bad("UID");
    // The syntax is right, the name is impossible: NO, not BAD.
    for (line, creates) in [("SELECT a//b", false), ("CREATE /a", true), ("DELETE \"a\x01b\"", false), ("RENAME a b//c", true), ("RENAME a//b c", false)] {
        let error = parse(format!("a1 {line}").as_bytes(), false).unwrap_err();
        assert!(matches!(error, CommandError::MailboxName { creating, .. } if creating == creates), "{line}: {error:?}");
    }
    let mut out = Out::new();
    for line in [&b"+ x"[..], b"a1 FOO", b"a1 NOOP x", b"a1 SELECT a//b", b"a1 CREATE a//b"] {
        out.command_error(&parse(line, false).unwrap_err());
    }
    let expected = "* BAD A command starts with a tag\r\na1 BAD Unknown command\r\na1 BAD Too many arguments\r\n\
        a1 NO [NONEXISTENT] A mailbox name has no empty level\r\na1 NO [CANNOT] A mailbox name has no empty level\r\n";
    assert_eq!(std::str::from_utf8(out.as_bytes()).unwrap(), expected);
}

#[test]
fn login_and_authenticate() {
    let login = |user: &[u8], password: &[u8]| CommandBody::Login { user: user.to_vec(), password: Hidden(password.to_vec()) };
    assert_eq!(body("LOGIN anne secret"), login(b"anne", b"secret"));
    assert_eq!(body("login \"anne\" \"a \\\"b\\\\c\""), login(b"anne", b"a \"b\\c"));
    assert_eq!(body("LOGIN {4}\r\nanne {6+}\r\nse\r\nct"), login(b"anne", b"se\r\nct"));
    assert_eq!(body("LOGIN \"\" \"\""), login(b"", b""));
    assert_eq!(body("LOGIN ann\u{e9} \"\u{e9}\""), login("ann\u{e9}".as_bytes(), "\u{e9}".as_bytes()));
    for line in ["LOGIN", "LOGIN anne", "LOGIN anne secret x", "LOGIN \"anne", "LOGIN \"a\\b\" c", "LOGIN {9}\r\nanne x", "LOGIN (a) b"] {
        bad(line);
    }
    assert!(!format!("{:?}", body("LOGIN anne s3cret")).contains("s3cret"));

    let auth = |mechanism: &str, initial: Option<&[u8]>| CommandBody::Authenticate {
        mechanism: mechanism.into(),
        initial: initial.map(|i| Hidden(i.to_vec())),
    };
    assert_eq!(body("AUTHENTICATE PLAIN"), auth("PLAIN", None));
    assert_eq!(body("authenticate plain AGEAYg=="), auth("PLAIN", Some(b"\0a\0b")));
    assert_eq!(body("AUTHENTICATE PLAIN AGEAYg"), auth("PLAIN", Some(b"\0a\0b")));
    assert_eq!(body("AUTHENTICATE EXTERNAL ="), auth("EXTERNAL", Some(b"")));
    bad("AUTHENTICATE");
    bad("AUTHENTICATE PLAIN %%%");
    bad("AUTHENTICATE PLAIN AGEAYg== x");
}

#[test]
fn id_enable_compress() {
    assert_eq!(body("ID NIL"), CommandBody::Id(None));
    assert_eq!(body("ID ()"), CommandBody::Id(Some(vec![])));
    let fields = vec![("name".to_owned(), Some("x y".to_owned())), ("os".to_owned(), None)];
    assert_eq!(body("id (\"name\" \"x y\" \"os\" nil)"), CommandBody::Id(Some(fields)));
    bad("ID");
    bad("ID (\"name\")");
    bad("ID (name x)");
    bad(&format!("ID ({})", "\"a\" NIL ".repeat(31)));
    assert_eq!(body("ENABLE condstore UTF8=ACCEPT"), CommandBody::Enable(vec!["CONDSTORE".into(), "UTF8=ACCEPT".into()]));
    bad("ENABLE");
    assert_eq!(body("compress deflate"), CommandBody::Compress { mechanism: "DEFLATE".into() });
}

#[test]
fn select_and_examine() {
    let select = |mailbox: &str, read_only, condstore, qresync| CommandBody::Select { mailbox: name(mailbox), read_only, condstore, qresync };
    assert_eq!(body("SELECT inbox"), select("INBOX", false, false, None));
    assert_eq!(body("EXAMINE \"a b\" (CONDSTORE)"), select("a b", true, true, None));
    let qresync = |known: Option<&str>, pairs: Option<(&str, &str)>| {
        Some(Qresync {
            uid_validity: UidValidity::new(67),
            mod_seq: ModSeq::new(9_000_000_000),
            known_uids: known.map(seq),
            matches: pairs.map(|(a, b)| (seq(a), seq(b))),
        })
    };
    assert_eq!(body("SELECT a (QRESYNC (67 9000000000))"), select("a", false, false, qresync(None, None)));
    assert_eq!(body("SELECT a (QRESYNC (67 9000000000 1:9,20))"), select("a", false, false, qresync(Some("1:9,20"), None)));
    assert_eq!(
        body("SELECT a (CONDSTORE QRESYNC (67 9000000000 41:211 (1,2 3,4)))"),
        select("a", false, true, qresync(Some("41:211"), Some(("1,2", "3,4"))))
    );
    assert_eq!(body("SELECT a (QRESYNC (67 9000000000 (1 3)))"), select("a", false, false, qresync(None, Some(("1", "3")))));
    for line in ["SELECT", "SELECT a b", "SELECT a (FOO)", "SELECT a (QRESYNC)", "SELECT a (QRESYNC (67))", "SELECT a (QRESYNC (0 1))",
        "SELECT a (QRESYNC (67 1 1:*))", "SELECT a (QRESYNC (67 9223372036854775808))", "SELECT a (CONDSTORE", "SELECT a (QRESYNC (67 1 1:2 (1)))"]
    {
        bad(line);
    }
}

#[test]
fn mailbox_names() {
    let select = |line: &[u8], utf8| match parse(line, utf8).map(|c| c.body) {
        Ok(CommandBody::Select { mailbox, .. }) => Ok(mailbox.as_str().to_owned()),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(select(b"a1 SELECT \"&AMk-l&AOk-ments envoy&AOk-s\"", false).unwrap(), "\u{c9}l\u{e9}ments envoy\u{e9}s");
    assert_eq!(select("a1 SELECT \"\u{c9}l\u{e9}ments\"".as_bytes(), false).unwrap(), "\u{c9}l\u{e9}ments");
    assert_eq!(select("a1 SELECT \u{c9}l\u{e9}ments".as_bytes(), true).unwrap(), "\u{c9}l\u{e9}ments");
    assert_eq!(select(b"a1 SELECT \"R&-D\"", false).unwrap(), "R&D");
    assert_eq!(select(b"a1 SELECT \"R&D\"", true).unwrap(), "R&D");
    assert_eq!(select(b"a1 SELECT {5}\r\ninbox", false).unwrap(), "INBOX");
    for broken in [&b"a1 SELECT \"R&D\""[..], b"a1 SELECT &AMk", b"a1 SELECT \"\xff\"", b"a1 SELECT &AGE-"] {
        assert!(matches!(select(broken, false), Err(CommandError::BadArguments { .. })), "{broken:?}");
    }
    assert!(select(b"a1 SELECT \"\xff\"", true).is_err());
}

#[test]
fn create_rename_delete_subscribe() {
    let create = |mailbox: &str, special_use: &[SpecialUse], unknown: &[&str]| CommandBody::Create {
        mailbox: name(mailbox),
        special_use: special_use.to_vec(),
        unknown_use: unknown.iter().map(|&u| u.into()).collect(),
    };
    assert_eq!(body("CREATE a/b/"), create("a/b", &[], &[]));
    assert_eq!(body("CREATE a (USE (\\drafts \\Sent \\Foo))"), create("a", &[SpecialUse::Drafts, SpecialUse::Sent], &["\\Foo"]));
    assert_eq!(body("CREATE a ()"), create("a", &[], &[]));
    for line in ["CREATE", "CREATE a b", "CREATE a (USE)", "CREATE a (FOO (x))", "CREATE a (USE (Drafts))"] {
        bad(line);
    }
    assert_eq!(body("RENAME a \"b c\""), CommandBody::Rename { from: name("a"), to: name("b c") });
    bad("RENAME a");
    bad("RENAME a b c");
    assert_eq!(body("DELETE a"), CommandBody::Delete(name("a")));
    assert_eq!(body("SUBSCRIBE a"), CommandBody::Subscribe(name("a")));
    assert_eq!(body("UNSUBSCRIBE a"), CommandBody::Unsubscribe(name("a")));
    bad("DELETE");
    bad("SUBSCRIBE a b");
}

#[test]
fn list_lsub_xlist() {
    let plain = |verb, reference: &str, pattern: &str| List {
        verb,
        select: ListSelect::default(),
        reference: reference.to_owned(),
        patterns: vec![pattern.to_owned()],
        returns: ListReturn::default(),
        extended: false,
    };
    let base = plain(ListVerb::List, "", "*");
    assert_eq!(body("LIST \"\" *"), CommandBody::List(base.clone()));
    assert_eq!(body("list \"\" \"\""), CommandBody::List(plain(ListVerb::List, "", "")));
    assert_eq!(body("LSUB a/ \"b%\""), CommandBody::List(plain(ListVerb::Lsub, "a/", "b%")));
    assert_eq!(body("XLIST \"\" %"), CommandBody::List(plain(ListVerb::Xlist, "", "%")));
    assert_eq!(body("LIST \"\" \"&AMk-*\""), CommandBody::List(plain(ListVerb::List, "", "\u{c9}*")));
    let returns = ListReturn { special_use: true, ..ListReturn::default() };
    let select = ListSelect { subscribed: true, ..ListSelect::default() };
    assert_eq!(
        body("LIST (SUBSCRIBED) \"\" \"*\" RETURN (SPECIAL-USE)"),
        CommandBody::List(List { select, returns, extended: true, ..base.clone() })
    );
    assert_eq!(
        body("LIST (subscribed recursivematch remote special-use) \"\" (\"INBOX\" a/%) return (subscribed children status (messages size))"),
        CommandBody::List(List {
            select: ListSelect { subscribed: true, remote: true, recursive_match: true, special_use: true },
            patterns: vec!["INBOX".into(), "a/%".into()],
            returns: ListReturn { subscribed: true, children: true, special_use: false, status: vec![StatusItem::Messages, StatusItem::Size] },
            extended: true,
            ..base.clone()
        })
    );
    assert_eq!(body("LIST () \"\" % RETURN ()"), CommandBody::List(List { patterns: vec!["%".into()], extended: true, ..base }));
    for line in ["LIST", "LIST \"\"", "LIST \"\" a b", "LIST (RECURSIVEMATCH) \"\" *", "LIST (RECURSIVEMATCH REMOTE) \"\" *", "LIST (FOO) \"\" *",
        "LIST \"\" * RETURN", "LIST \"\" * RETURN (FOO)", "LIST \"\" * RETURN (STATUS)", "LIST \"\" * RETURN (STATUS ())", "LIST \"\" ()",
        "LSUB (SUBSCRIBED) \"\" *", "LSUB \"\" * RETURN ()", "LIST \"\" &AMk*"]
    {
        bad(line);
    }
}

#[test]
fn status_and_quota() {
    use StatusItem::*;
    let status = |items: &[StatusItem]| CommandBody::Status { mailbox: name("a"), items: items.to_vec() };
    assert_eq!(
        body("STATUS a (MESSAGES recent UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID DELETED-STORAGE APPENDLIMIT)"),
        status(&[Messages, Recent, UidNext, UidValidity, Unseen, Deleted, Size, HighestModSeq, MailboxId, DeletedStorage, AppendLimit])
    );
    assert_eq!(body("STATUS a ( MESSAGES MESSAGES )"), status(&[Messages]));
    for line in ["STATUS a", "STATUS a ()", "STATUS a (FOO)", "STATUS a MESSAGES", "STATUS a (MESSAGES) x", "STATUS a (MESSAGES"] {
        bad(line);
    }
    assert_eq!(body("GETQUOTA \"\""), CommandBody::GetQuota { root: String::new() });
    assert_eq!(body("GETQUOTAROOT inbox"), CommandBody::GetQuotaRoot(name("INBOX")));
    assert_eq!(
        body("SETQUOTA \"#user/anne\" (STORAGE 512 message 7)"),
        CommandBody::SetQuota { root: "#user/anne".into(), limits: vec![("STORAGE".into(), 512), ("MESSAGE".into(), 7)] }
    );
    assert_eq!(body("SETQUOTA a ()"), CommandBody::SetQuota { root: "a".into(), limits: vec![] });
    bad("SETQUOTA a (STORAGE)");
    bad("SETQUOTA a (STORAGE x)");
}

#[test]
fn append_whole_and_by_prefix() {
    let date = UnixMillis::from_secs(837_571_465); // 17-Jul-1996 02:44:25 +0000
    let meta = AppendMeta { flags: flags(&[SystemFlag::Seen], &["$Junk"]), internal_date: Some(date), ..AppendMeta::default() };
    let prefix = |meta: &AppendMeta| AppendPrefix { tag: Tag::new(b"a1").unwrap(), mailbox: name("INBOX"), meta: meta.clone() };
    assert_eq!(
        body("APPEND inbox (\\Seen $Junk \\Recent) \"16-Jul-1996 19:44:25 -0700\" {3+}\r\na\r\n"),
        CommandBody::Append { prefix: prefix(&meta), message: b"a\r\n".to_vec(), more: vec![] }
    );
    let two = body("APPEND inbox {1}\r\nx () {2}\r\nyz");
    let expected = (AppendMeta::default(), b"yz".to_vec());
    assert_eq!(two, CommandBody::Append { prefix: prefix(&AppendMeta::default()), message: b"x".to_vec(), more: vec![expected] });

    let read = |text: &str| parse_append_prefix(text.as_bytes(), false);
    assert_eq!(read("a1 APPEND INBOX {310}").unwrap(), prefix(&AppendMeta::default()));
    assert_eq!(read("a1 append {5}\r\ninbox (\\Seen $Junk)  \" 7-Jul-1996 02:44:25 +0000\" {310+}").unwrap().mailbox, name("INBOX"));
    assert_eq!(read("a1 APPEND inbox (\\SEEN $Junk) \"17-Jul-1996 02:44:25 +0000\" {310}").unwrap(), prefix(&meta));
    let utf8 = read("a1 APPEND inbox UTF8 (~{3+}").unwrap().meta;
    assert!(utf8.utf8 && utf8.binary);
    assert!(read("a1 APPEND inbox ~{3}").unwrap().meta.binary);
    for text in ["a1 APPEND inbox", "a1 APPEND {5}", "a1 APPEND inbox(\\Seen) {3}", "a1 APPEND inbox (\\Foo) {3}", "a1 APPEND inbox \"yesterday\" {3}",
        "a1 APPEND inbox {3} x", "a1 APPEND inbox UTF8 ({3}", "a1 APPEND inbox () () {3}"]
    {
        assert!(matches!(read(text), Err(CommandError::BadArguments { .. })), "{text}");
    }
    assert!(matches!(read("a1 APPEND a//b {3}"), Err(CommandError::MailboxName { creating: false, .. })));
    let tag = Tag::new(b"a1").unwrap();
    assert_eq!(parse_append_next(&tag, &AppendMeta::default(), b" (\\Seen $Junk) \"17-Jul-1996 02:44:25 +0000\" {4}").unwrap(), meta);
    assert!(parse_append_next(&tag, &AppendMeta::default(), b"{4}").is_err());
    assert!(parse_append_next(&tag, &utf8, b") {4}").is_ok());
    assert!(parse_append_end(&tag, &AppendMeta::default(), b"  ").is_ok());
    assert!(parse_append_end(&tag, &AppendMeta::default(), b")").is_err());
    assert!(parse_append_end(&tag, &utf8, b")").is_ok());
    assert!(parse_append_end(&tag, &utf8, b"").is_err());
    bad("APPEND inbox");
    bad("APPEND inbox x");
    bad("APPEND inbox \"x\"");
}

#[test]
fn dates_of_append() {
    let secs = |text: &str| parse_append_prefix(format!("a1 APPEND a \"{text}\" {{1}}").as_bytes(), false).ok()?.meta.internal_date.map(UnixMillis::secs);
    assert_eq!(secs("01-Jan-1970 00:00:00 +0000"), Some(0));
    assert_eq!(secs(" 1-jan-1970 01:00:00 +0100"), Some(0));
    assert_eq!(secs("31-Dec-1969 23:59:60 +0000"), Some(-1));
    assert_eq!(secs("29-Feb-2024 12:00:00 -0930"), Some(1_709_242_200));
    for text in ["29-Feb-2023 12:00:00 +0000", "1-Jan-70 00:00:00 +0000", "01-Jan-1970 24:00:00 +0000", "01-Jan-1970 00:00:00", "01-Jan-1970 00:00:00 +2500",
        "01-Jan-1970 00:00:00 +0060", "01-Foo-1970 00:00:00 +0000", "001-Jan-1970 00:00:00 +0000", "01-Jan-1970 0:00:00 +0000"]
    {
        assert_eq!(secs(text), None, "{text}");
    }
}

#[test]
fn store() {
    let store = |uid, action, silent, flags: FlagSet, unchanged: Option<u64>| CommandBody::Store {
        uid,
        set: set("2:4"),
        action,
        silent,
        flags,
        unchanged_since: unchanged.map(ModSeq::new),
    };
    let seen = || flags(&[SystemFlag::Seen], &[]);
    assert_eq!(body("STORE 2:4 +FLAGS (\\Seen)"), store(false, StoreAction::Add, false, seen(), None));
    assert_eq!(body("UID STORE 2:4 -flags.silent \\seen Old"), store(true, StoreAction::Remove, true, flags(&[SystemFlag::Seen], &["old"]), None));
    assert_eq!(body("STORE 2:4 (UNCHANGEDSINCE 320162338) FLAGS.SILENT ()"), store(false, StoreAction::Replace, true, flags(&[], &[]), Some(320_162_338)));
    assert_eq!(body("STORE 2:4 (unchangedsince 0) FLAGS (\\Seen \\Recent)"), store(false, StoreAction::Replace, false, seen(), Some(0)));
    for line in ["STORE 1 FLAGS", "STORE 1 FLAGS (\\Foo)", "STORE 1 FLAGS (\\*)", "STORE 1 FOO (\\Seen)", "STORE 1 (FOO 1) FLAGS ()", "STORE 0 FLAGS ()",
        "STORE x FLAGS ()", "STORE 1 FLAGS (\\Seen) x", "STORE 1 FLAGS (\\Seen", "STORE 1 (UNCHANGEDSINCE) FLAGS ()"]
    {
        bad(line);
    }
}

#[test]
fn copy_move_expunge() {
    assert_eq!(body("COPY 1:* a"), CommandBody::Copy { uid: false, set: set("1:*"), mailbox: name("a") });
    assert_eq!(body("UID COPY $ a"), CommandBody::Copy { uid: true, set: MessageSet::Saved, mailbox: name("a") });
    assert_eq!(body("MOVE 1 a"), CommandBody::Move { uid: false, set: set("1"), mailbox: name("a") });
    assert_eq!(body("uid move 1,3:5 a"), CommandBody::Move { uid: true, set: set("1,3:5"), mailbox: name("a") });
    assert_eq!(body("UID EXPUNGE 1:3"), CommandBody::Expunge { uids: Some(set("1:3")) });
    assert_eq!(body("UID EXPUNGE 1:3").verb(), "UID EXPUNGE");
    assert_eq!(body("UID MOVE 1 a").verb(), "UID MOVE");
    for line in ["COPY 1", "COPY a 1", "MOVE 1 a b", "UID EXPUNGE", "UID EXPUNGE x", "COPY 1,, a", "COPY 1: a", "COPY 4294967296 a"] {
        bad(line);
    }
}

#[test]
fn fetch_items() {
    use FetchItem::*;
    assert_eq!(items("ALL"), [Flags, InternalDate, Rfc822Size, Envelope]);
    assert_eq!(items("fast"), [Flags, InternalDate, Rfc822Size]);
    assert_eq!(items("FULL"), [Flags, InternalDate, Rfc822Size, Envelope, Body]);
    assert_eq!(
        items("(FLAGS ENVELOPE INTERNALDATE RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE UID BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE PREVIEW FLAGS)"),
        [Flags, Envelope, InternalDate, Rfc822, Rfc822Header, Rfc822Text, Rfc822Size, Uid, Body, BodyStructure, ModSeq, EmailId, ThreadId, SaveDate, Preview { lazy: false }]
    );
    assert_eq!(items("(PREVIEW (LAZY) uid)"), [Preview { lazy: true }, Uid]);
    assert_eq!(items("PREVIEW (LAZY)"), [Preview { lazy: true }]);
    assert_eq!(items("body"), [Body]);
    for line in ["", "()", "FOO", "(FLAGS", "FLAGS UID", "(FLAGS,UID)", "BODY[", "BODY[]<", "FLAGS[]", "(UID) (FOO)"] {
        bad(&format!("FETCH 1 {line}"));
    }
    assert!(items("RFC822.TEXT")[0].sets_seen() && items("BODY[]")[0].sets_seen());
    assert!(!items("RFC822.HEADER")[0].sets_seen() && !items("BODY.PEEK[]")[0].sets_seen());
}

#[test]
fn fetch_sections() {
    let section = |part: &[u32], kind, peek, partial: Option<(u64, u64)>| FetchItem::Section {
        section: Section { part: parts(part), kind },
        peek,
        partial: partial.map(|(offset, count)| Partial { offset, count }),
    };
    let fields = |names: &[&str]| names.iter().map(|&n| n.into()).collect::<Vec<Box<str>>>();
    assert_eq!(items("BODY[]"), [section(&[], SectionKind::Full, false, None)]);
    assert_eq!(items("BODY.PEEK[]<0.65536>"), [section(&[], SectionKind::Full, true, Some((0, 65536)))]);
    assert_eq!(items("body.peek[1.2.3]"), [section(&[1, 2, 3], SectionKind::Full, true, None)]);
    assert_eq!(items("BODY[1.MIME]"), [section(&[1], SectionKind::Mime, false, None)]);
    assert_eq!(items("BODY[4.1.text]<5000000000.1>"), [section(&[4, 1], SectionKind::Text, false, Some((5_000_000_000, 1)))]);
    assert_eq!(items("BODY[HEADER]"), [section(&[], SectionKind::Header, false, None)]);
    assert_eq!(items("BODY[2.HEADER]"), [section(&[2], SectionKind::Header, false, None)]);
    let from_to = SectionKind::HeaderFields(fields(&["From", "To"]));
    assert_eq!(items("(UID BODY.PEEK[HEADER.FIELDS (From To)])"), [FetchItem::Uid, section(&[], from_to, true, None)]);
    let not = SectionKind::HeaderFieldsNot(fields(&["X"]));
    assert_eq!(items("BODY[1.HEADER.FIELDS.NOT (\"X\")]"), [section(&[1], not, false, None)]);
    let partial = Some(Partial { offset: 1, count: 2 });
    assert_eq!(items("BINARY.PEEK[1.2]<1.2>"), [FetchItem::Binary { part: parts(&[1, 2]), peek: true, partial }]);
    assert_eq!(items("(BINARY[1] BINARY.SIZE[])"), [FetchItem::Binary { part: parts(&[1]), peek: false, partial: None }, FetchItem::BinarySize { part: vec![] }]);
    for line in ["BODY[MIME]", "BODY[0]", "BODY[1.]", "BODY[1.FOO]", "BODY[HEADER.FIELDS]", "BODY[HEADER.FIELDS ()]", "BODY[]<1>", "BODY[]<1.0>", "BODY[]<1.2", "BINARY[HEADER]", "BINARY[1.]",
        "BINARY.SIZE[1]<0.1>", "BODY[99999999999]", "BODY[HEADER.TEXT]"]
    {
        bad(&format!("FETCH 1 {line}"));
    }
    bad(&format!("FETCH 1 BODY[{}1]", "1.".repeat(100)));
}

#[test]
fn fetch_modifiers() {
    let fetch = |uid, items: &[FetchItem], changed: u64, vanished| CommandBody::Fetch {
        uid,
        set: set("1:*"),
        items: items.to_vec(),
        changed_since: Some(ModSeq::new(changed)),
        vanished,
    };
    assert_eq!(body("FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)"), fetch(false, &[FetchItem::Flags], 12345, false));
    assert_eq!(body("FETCH 1:* FLAGS (CHANGEDSINCE 0)"), fetch(false, &[FetchItem::Flags], 0, false));
    assert_eq!(body("UID FETCH 1:* (FLAGS) (changedsince 1 vanished)"), fetch(true, &[FetchItem::Flags], 1, true));
    for line in ["FETCH 1:* FLAGS (CHANGEDSINCE)", "FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)", "UID FETCH 1:* FLAGS (VANISHED)", "FETCH 1:*", "FETCH", "UID FETCH 1 FLAGS (CHANGEDSINCE x)"] {
        bad(line);
    }
}

#[test]
fn search_keys() {
    use SearchKey::*;
    let flag = SystemFlag::ALL;
    for (word, expected) in [("ANSWERED", flag[1]), ("DELETED", flag[3]), ("DRAFT", flag[4]), ("FLAGGED", flag[2]), ("seen", flag[0])] {
        assert_eq!(key(word), Flag(expected));
        assert_eq!(key(&format!("un{word}")), NoFlag(expected));
    }
    assert_eq!(key("ALL"), All);
    assert_eq!(key("new"), New);
    assert_eq!(key("OLD"), Old);
    assert_eq!(key("RECENT"), Recent);
    assert_eq!(key("1:50,*"), Numbers(seq("1:50,*")));
    assert_eq!(key("UID 1:*"), Uids(seq("1:*")));
    assert_eq!(key("$"), Saved);
    assert_eq!(key("UID $"), Saved);
    assert_eq!(key("KEYWORD $Forwarded"), SearchKey::Keyword(pli_types::Keyword::new("$Forwarded").unwrap()));
    assert_eq!(key("UNKEYWORD a"), NoKeyword(pli_types::Keyword::new("a").unwrap()));
    assert_eq!(key("BCC a"), Bcc(b"a".to_vec()));
    assert_eq!(key("CC \"a b\""), Cc(b"a b".to_vec()));
    assert_eq!(key("FROM {2}\r\n\u{e9}"), From("\u{e9}".as_bytes().to_vec()));
    assert_eq!(key("TO a"), To(b"a".to_vec()));
    assert_eq!(key("SUBJECT \"\""), Subject(vec![]));
    assert_eq!(key("BODY a"), Body(b"a".to_vec()));
    assert_eq!(key("TEXT a"), Text(b"a".to_vec()));
    assert_eq!(key("HEADER Message-ID \"<a@b>\""), Header("Message-ID".into(), b"<a@b>".to_vec()));
    assert_eq!(key("BEFORE 1-Feb-1994"), Before(day(1994, 2, 1)));
    assert_eq!(key("ON \"01-feb-1994\""), On(day(1994, 2, 1)));
    assert_eq!(key("SINCE 31-Dec-2026"), Since(day(2026, 12, 31)));
    assert_eq!(key("SENTBEFORE 1-Feb-1994"), SentBefore(day(1994, 2, 1)));
    assert_eq!(key("SENTON 1-Feb-1994"), SentOn(day(1994, 2, 1)));
    assert_eq!(key("SENTSINCE 1-Feb-1994"), SentSince(day(1994, 2, 1)));
    assert_eq!(key("SAVEDBEFORE 1-Feb-1994"), SavedBefore(day(1994, 2, 1)));
    assert_eq!(key("SAVEDON 1-Feb-1994"), SavedOn(day(1994, 2, 1)));
    assert_eq!(key("SAVEDSINCE 1-Feb-1994"), SavedSince(day(1994, 2, 1)));
    assert_eq!(key("SAVEDATESUPPORTED"), SaveDateSupported);
    assert_eq!(key("LARGER 5000000000"), Larger(5_000_000_000));
    assert_eq!(key("SMALLER 1"), Smaller(1));
    assert_eq!(key("OLDER 3600"), Older(3600));
    assert_eq!(key("YOUNGER 3600"), Younger(3600));
    assert_eq!(key("MODSEQ 620162338"), SearchKey::ModSeq(pli_types::ModSeq::new(620_162_338)));
    assert_eq!(key("MODSEQ \"/flags/\\\\draft\" all 620162338"), SearchKey::ModSeq(pli_types::ModSeq::new(620_162_338)));
    assert_eq!(key("EMAILID M6d99ac3275bb4e"), EmailId("M6d99ac3275bb4e".into()));
    assert_eq!(key("THREADID T-_1"), ThreadId("T-_1".into()));
}

#[test]
fn search_structure() {
    use SearchKey::*;
    let seen = || Flag(SystemFlag::Seen);
    let draft = || Flag(SystemFlag::Draft);
    assert_eq!(key("SEEN DRAFT"), And(vec![seen(), draft()]));
    assert_eq!(key("(SEEN DRAFT) ALL"), And(vec![And(vec![seen(), draft()]), All]));
    assert_eq!(key("((SEEN))"), seen());
    assert_eq!(key("NOT OR SEEN ( DRAFT )"), Not(Box::new(Or(Box::new(seen()), Box::new(draft())))));
    assert_eq!(
        key("1:50 SINCE 1-Jan-2026 NOT DELETED"),
        And(vec![Numbers(seq("1:50")), Since(day(2026, 1, 1)), Not(Box::new(Flag(SystemFlag::Deleted)))])
    );
    assert!(matches!(parse(format!("a SEARCH {}SEEN", "NOT ".repeat(32)).as_bytes(), false), Ok(_)));
    bad(&format!("SEARCH {}SEEN", "NOT ".repeat(33)));
    bad(&format!("SEARCH {}SEEN{}", "(".repeat(60_000), ")".repeat(60_000)));
    bad(&format!("SEARCH {}", "SEEN ".repeat(1001)));
    for line in ["SEARCH", "SEARCH FOO", "SEARCH NOT", "SEARCH OR SEEN", "SEARCH ()", "SEARCH (SEEN", "SEARCH SEEN)", "SEARCH BEFORE tomorrow", "SEARCH LARGER x",
        "SEARCH HEADER a", "SEARCH TEXT", "SEARCH KEYWORD \\Seen", "SEARCH OLDER 0", "SEARCH UID x", "SEARCH EMAILID a.b", "SEARCH MODSEQ x", "SEARCH ON 30-Feb-2024", "SEARCH SEEN(DRAFT)"]
    {
        bad(line);
    }
}

#[test]
fn search_returns_and_charset() {
    let search = |line: &str| match body(line) {
        CommandBody::Search { search, .. } => search,
        other => panic!("{other:?}"),
    };
    let all = SearchReturn { all: true, ..SearchReturn::default() };
    assert_eq!(search("SEARCH RETURN () SEEN").returns, Some(all));
    let every = SearchReturn { min: true, max: true, all: true, count: true, save: true };
    assert_eq!(search("UID SEARCH RETURN (MIN MAX ALL COUNT SAVE) CHARSET utf-8 SEEN"), Search { returns: Some(every), charset: Some("UTF-8".into()), key: SearchKey::Flag(SystemFlag::Seen) });
    let save = SearchReturn { save: true, ..SearchReturn::default() };
    assert_eq!(search("SEARCH RETURN (SAVE) ALL").returns, Some(save));
    let ete = search("SEARCH CHARSET UTF-8 TEXT {5}\r\n\u{e9}t\u{e9}");
    assert_eq!(ete.key, SearchKey::Text("\u{e9}t\u{e9}".as_bytes().to_vec()));
    for line in ["SEARCH RETURN (FOO) ALL", "SEARCH RETURN ()", "SEARCH CHARSET UTF-8", "SEARCH CHARSET ALL", "SEARCH RETURN ALL"] {
        bad(line);
    }
}

#[test]
fn sort_and_thread() {
    let search = Search { returns: None, charset: Some("UTF-8".into()), key: SearchKey::All };
    assert_eq!(
        body("UID SORT (REVERSE ARRIVAL subject) utf-8 ALL"),
        CommandBody::Sort { uid: true, criteria: vec![(SortKey::Arrival, true), (SortKey::Subject, false)], search: search.clone() }
    );
    let esort = body("SORT RETURN (COUNT) (DATE) UTF-8 ALL");
    assert!(matches!(esort, CommandBody::Sort { search: Search { returns: Some(SearchReturn { count: true, all: false, .. }), .. }, .. }));
    assert_eq!(body("THREAD references UTF-8 ALL"), CommandBody::Thread { uid: false, algorithm: ThreadAlgorithm::References, search: search.clone() });
    assert_eq!(body("UID THREAD X UTF-8 ALL"), CommandBody::Thread { uid: true, algorithm: ThreadAlgorithm::Other("X".into()), search });
    for line in ["SORT () UTF-8 ALL", "SORT (FOO) UTF-8 ALL", "SORT (REVERSE) UTF-8 ALL", "SORT (DATE) UTF-8", "SORT (DATE)", "THREAD REFERENCES UTF-8"] {
        bad(line);
    }
}
