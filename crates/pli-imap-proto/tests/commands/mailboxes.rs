//! Commands on mailboxes, and APPEND.

use super::*;

#[test]
fn select_and_examine() {
    let select = |mailbox: &str, read_only, condstore, qresync| CommandBody::Select {
        mailbox: name(mailbox),
        read_only,
        condstore,
        qresync,
    };
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
    assert_eq!(
        body("SELECT a (QRESYNC (67 9000000000 1:9,20))"),
        select("a", false, false, qresync(Some("1:9,20"), None))
    );
    assert_eq!(
        body("SELECT a (CONDSTORE QRESYNC (67 9000000000 41:211 (1,2 3,4)))"),
        select("a", false, true, qresync(Some("41:211"), Some(("1,2", "3,4"))))
    );
    assert_eq!(
        body("SELECT a (QRESYNC (67 9000000000 (1 3)))"),
        select("a", false, false, qresync(None, Some(("1", "3"))))
    );
    for line in [
        "SELECT",
        "SELECT a b",
        "SELECT a (FOO)",
        "SELECT a (QRESYNC)",
        "SELECT a (QRESYNC (67))",
        "SELECT a (QRESYNC (0 1))",
        "SELECT a (QRESYNC (67 1 1:*))",
        "SELECT a (QRESYNC (67 9223372036854775808))",
        "SELECT a (CONDSTORE",
        "SELECT a (QRESYNC (67 1 1:2 (1)))",
    ] {
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
    assert_eq!(
        select(b"a1 SELECT \"&AMk-l&AOk-ments envoy&AOk-s\"", false).unwrap(),
        "\u{c9}l\u{e9}ments envoy\u{e9}s"
    );
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
    assert_eq!(
        body("CREATE a (USE (\\drafts \\Sent \\Foo))"),
        create("a", &[SpecialUse::Drafts, SpecialUse::Sent], &["\\Foo"])
    );
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
        body(
            "LIST (subscribed recursivematch remote special-use) \"\" (\"INBOX\" a/%) return (subscribed children status (messages size))"
        ),
        CommandBody::List(List {
            select: ListSelect { subscribed: true, remote: true, recursive_match: true, special_use: true },
            patterns: vec!["INBOX".into(), "a/%".into()],
            returns: ListReturn {
                subscribed: true,
                children: true,
                special_use: false,
                status: vec![StatusItem::Messages, StatusItem::Size],
                ..ListReturn::default()
            },
            extended: true,
            ..base.clone()
        })
    );
    assert_eq!(
        body("LIST () \"\" % RETURN ()"),
        CommandBody::List(List { patterns: vec!["%".into()], extended: true, ..base })
    );
    for line in [
        "LIST",
        "LIST \"\"",
        "LIST \"\" a b",
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (RECURSIVEMATCH REMOTE) \"\" *",
        "LIST (FOO) \"\" *",
        "LIST \"\" * RETURN",
        "LIST \"\" * RETURN (FOO)",
        "LIST \"\" * RETURN (STATUS)",
        "LIST \"\" * RETURN (STATUS ())",
        "LIST \"\" ()",
        "LSUB (SUBSCRIBED) \"\" *",
        "LSUB \"\" * RETURN ()",
        "LIST \"\" &AMk*",
    ] {
        bad(line);
    }
}

#[test]
fn status_and_quota() {
    use StatusItem::*;
    let status = |items: &[StatusItem]| CommandBody::Status { mailbox: name("a"), items: items.to_vec() };
    assert_eq!(
        body(
            "STATUS a (MESSAGES recent UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ MAILBOXID DELETED-STORAGE APPENDLIMIT)"
        ),
        status(&[
            Messages,
            Recent,
            UidNext,
            UidValidity,
            Unseen,
            Deleted,
            Size,
            HighestModSeq,
            MailboxId,
            DeletedStorage,
            AppendLimit
        ])
    );
    assert_eq!(body("STATUS a ( MESSAGES MESSAGES )"), status(&[Messages]));
    for line in [
        "STATUS a",
        "STATUS a ()",
        "STATUS a (FOO)",
        "STATUS a MESSAGES",
        "STATUS a (MESSAGES) x",
        "STATUS a (MESSAGES",
    ] {
        bad(line);
    }
    assert_eq!(body("GETQUOTA \"\""), CommandBody::GetQuota { root: String::new() });
    assert_eq!(body("GETQUOTAROOT inbox"), CommandBody::GetQuotaRoot(name("INBOX")));
    assert_eq!(
        body("SETQUOTA \"#user/anne\" (STORAGE 512 message 7)"),
        CommandBody::SetQuota {
            root: "#user/anne".into(),
            limits: vec![("STORAGE".into(), 512), ("MESSAGE".into(), 7)]
        }
    );
    assert_eq!(body("SETQUOTA a ()"), CommandBody::SetQuota { root: "a".into(), limits: vec![] });
    bad("SETQUOTA a (STORAGE)");
    bad("SETQUOTA a (STORAGE x)");
}

#[test]
fn append_whole_and_by_prefix() {
    let date = UnixMillis::from_secs(837_571_465); // 17-Jul-1996 02:44:25 +0000
    let meta = AppendMeta {
        flags: flags(&[SystemFlag::Seen], &["$Junk"]),
        internal_date: Some(date),
        ..AppendMeta::default()
    };
    let parts = |line: &str| match body(line) {
        CommandBody::Append(prefix) => {
            assert_eq!((prefix.tag.as_str(), &prefix.mailbox, prefix.replaces), ("a1", &name("INBOX"), None));
            prefix.parts
        }
        other => panic!("{other:?}"),
    };
    let plain = AppendMeta::default;
    assert_eq!(
        parts("APPEND inbox (\\Seen $Junk \\Recent) \"16-Jul-1996 19:44:25 -0700\" {3+}\r\na\r\n"),
        [AppendPart::Begin(meta.clone()), AppendPart::Data(b"a\r\n".to_vec())]
    );
    assert_eq!(
        parts("APPEND inbox {1}\r\nx () {2}\r\nyz"),
        [
            AppendPart::Begin(plain()),
            AppendPart::Data(b"x".to_vec()),
            AppendPart::Begin(plain()),
            AppendPart::Data(b"yz".to_vec())
        ]
    );
    // RFC 4469 §5, RFC 8508 §5
    assert_eq!(
        parts("APPEND inbox catenate (url \"/a/;UID=1\" TEXT {1}\r\nx URL b)  () {2}\r\nyz"),
        [
            AppendPart::Begin(plain()),
            AppendPart::Url(b"/a/;UID=1".to_vec()),
            AppendPart::Data(b"x".to_vec()),
            AppendPart::Url(b"b".to_vec()),
            AppendPart::Begin(plain()),
            AppendPart::Data(b"yz".to_vec())
        ]
    );
    match body("UID REPLACE 7 Drafts CATENATE (URL a)") {
        CommandBody::Append(prefix) => {
            assert_eq!((prefix.mailbox, prefix.replaces), (name("Drafts"), Some(Replaces { uid: true, number: 7 })));
        }
        other => panic!("{other:?}"),
    }
    for line in [
        "APPEND inbox CATENATE ()",
        "APPEND inbox CATENATE (URL)",
        "APPEND inbox CATENATE (URL a",
        "APPEND inbox CATENATE URL a",
        "APPEND inbox CATENATE (FOO a)",
        "REPLACE inbox {1}\r\nx",
        "REPLACE 0 inbox {1}\r\nx",
        "REPLACE 1:2 inbox {1}\r\nx",
        "REPLACE 1 inbox {1}\r\nx {1}\r\ny",
    ] {
        bad(line);
    }

    let read = |text: &str| parse_append_prefix(text.as_bytes(), false);
    let message = |meta: AppendMeta| vec![AppendPart::Begin(meta), AppendPart::Literal(AppendLiteral::Message)];
    assert_eq!(read("a1 APPEND INBOX {310}").unwrap().parts, message(plain()));
    assert_eq!(
        read("a1 append {5}\r\ninbox (\\Seen $Junk)  \" 7-Jul-1996 02:44:25 +0000\" {310+}").unwrap().mailbox,
        name("INBOX")
    );
    let seen = read("a1 APPEND inbox (\\SEEN $Junk) \"17-Jul-1996 02:44:25 +0000\" {310}").unwrap();
    assert_eq!((seen.mailbox, seen.parts), (name("INBOX"), message(meta)));
    let utf8 = AppendMeta { utf8: true, binary: true, ..plain() };
    assert_eq!(read("a1 APPEND inbox UTF8 (~{3+}").unwrap().parts, message(utf8));
    assert_eq!(read("a1 APPEND inbox ~{3}").unwrap().parts, message(AppendMeta { binary: true, ..plain() }));
    let cat = read("a1 UID REPLACE 5 inbox CATENATE (URL a TEXT {3}").unwrap();
    assert_eq!(cat.replaces, Some(Replaces { uid: true, number: 5 }));
    assert_eq!(cat.parts[1..], [AppendPart::Url(b"a".to_vec()), AppendPart::Literal(AppendLiteral::Text)]);
    for text in [
        "a1 APPEND inbox",
        "a1 APPEND {5}",
        "a1 APPEND inbox(\\Seen) {3}",
        "a1 APPEND inbox (\\Foo) {3}",
        "a1 APPEND inbox \"yesterday\" {3}",
        "a1 APPEND inbox {3} x",
        "a1 APPEND inbox UTF8 ({3}",
        "a1 APPEND inbox () () {3}",
    ] {
        assert!(matches!(read(text), Err(CommandError::BadArguments { .. })), "{text}");
    }
    assert!(matches!(read("a1 APPEND a//b {3}"), Err(CommandError::MailboxName { creating: false, .. })));
    let tag = Tag::new(b"a1").unwrap();
    let after = |text: &str| read(text).unwrap().reader;
    let first = after("a1 APPEND inbox {4}");
    let utf8 = after("a1 APPEND inbox UTF8 (~{4}");
    let cat = after("a1 APPEND inbox CATENATE (TEXT {4}");
    let next = |mut reader: AppendReader, text: &[u8]| reader.next(&tag, text);
    let end = |mut reader: AppendReader, text: &[u8]| reader.end(&tag, text);
    let parts = next(first, b" (\\Seen $Junk) \"17-Jul-1996 02:44:25 +0000\" {4}").unwrap();
    assert!(matches!(parts.as_slice(), [AppendPart::Begin(_), AppendPart::Literal(AppendLiteral::Message)]));
    assert!(next(first, b"{4}").is_err());
    assert!(next(utf8, b") {4}").is_ok() && next(utf8, b" {4}").is_err());
    assert!(end(first, b"  ").is_ok() && end(first, b")").is_err());
    assert!(end(utf8, b")").is_ok() && end(utf8, b"").is_err());
    assert!(end(cat, b")").is_ok() && end(cat, b"").is_err());
    assert_eq!(end(cat, b" URL a)").unwrap(), [AppendPart::Url(b"a".to_vec())]);
    assert_eq!(next(cat, b" URL {3}").unwrap(), [AppendPart::Literal(AppendLiteral::Url)]);
    assert_eq!(next(cat, b" URL a) CATENATE (URL b TEXT {1}").unwrap().len(), 4);
    assert!(next(after("a1 REPLACE 1 inbox {4}"), b" {4}").is_err());
    bad("APPEND inbox");
    bad("APPEND inbox x");
    bad("APPEND inbox \"x\"");
}

#[test]
fn dates_of_append() {
    let secs = |text: &str| {
        parse_append_prefix(format!("a1 APPEND a \"{text}\" {{1}}").as_bytes(), false)
            .ok()?
            .parts
            .into_iter()
            .find_map(|part| if let AppendPart::Begin(meta) = part { Some(meta) } else { None })
            .unwrap()
            .internal_date
            .map(UnixMillis::secs)
    };
    assert_eq!(secs("01-Jan-1970 00:00:00 +0000"), Some(0));
    assert_eq!(secs(" 1-jan-1970 01:00:00 +0100"), Some(0));
    assert_eq!(secs("31-Dec-1969 23:59:60 +0000"), Some(-1));
    assert_eq!(secs("29-Feb-2024 12:00:00 -0930"), Some(1_709_242_200));
    for text in [
        "29-Feb-2023 12:00:00 +0000",
        "1-Jan-70 00:00:00 +0000",
        "01-Jan-1970 24:00:00 +0000",
        "01-Jan-1970 00:00:00",
        "01-Jan-1970 00:00:00 +2500",
        "01-Jan-1970 00:00:00 +0060",
        "01-Foo-1970 00:00:00 +0000",
        "001-Jan-1970 00:00:00 +0000",
        "01-Jan-1970 0:00:00 +0000",
    ] {
        assert_eq!(secs(text), None, "{text}");
    }
}
