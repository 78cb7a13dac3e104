//! Commands on messages.

use super::*;

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
    assert_eq!(
        body("UID STORE 2:4 -flags.silent \\seen Old"),
        store(true, StoreAction::Remove, true, flags(&[SystemFlag::Seen], &["old"]), None)
    );
    assert_eq!(
        body("STORE 2:4 (UNCHANGEDSINCE 320162338) FLAGS.SILENT ()"),
        store(false, StoreAction::Replace, true, flags(&[], &[]), Some(320_162_338))
    );
    assert_eq!(
        body("STORE 2:4 (unchangedsince 0) FLAGS (\\Seen \\Recent)"),
        store(false, StoreAction::Replace, false, seen(), Some(0))
    );
    for line in [
        "STORE 1 FLAGS",
        "STORE 1 FLAGS (\\Foo)",
        "STORE 1 FLAGS (\\Seen\\Deleted)",
        "STORE 1 FLAGS (\\*)",
        "STORE 1 FOO (\\Seen)",
        "STORE 1 (FOO 1) FLAGS ()",
        "STORE 0 FLAGS ()",
        "STORE x FLAGS ()",
        "STORE 1 FLAGS (\\Seen) x",
        "STORE 1 FLAGS (\\Seen",
        "STORE 1 (UNCHANGEDSINCE) FLAGS ()",
    ] {
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
    for line in [
        "COPY 1",
        "COPY a 1",
        "MOVE 1 a b",
        "UID EXPUNGE",
        "UID EXPUNGE x",
        "COPY 1,, a",
        "COPY 1: a",
        "COPY 4294967296 a",
    ] {
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
        items(
            "(FLAGS ENVELOPE INTERNALDATE RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE UID BODY BODYSTRUCTURE MODSEQ EMAILID THREADID SAVEDATE PREVIEW FLAGS)"
        ),
        [
            Flags,
            Envelope,
            InternalDate,
            Rfc822,
            Rfc822Header,
            Rfc822Text,
            Rfc822Size,
            Uid,
            Body,
            BodyStructure,
            ModSeq,
            EmailId,
            ThreadId,
            SaveDate,
            Preview { lazy: false }
        ]
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
    assert_eq!(
        items("BODY[4.1.text]<5000000000.1>"),
        [section(&[4, 1], SectionKind::Text, false, Some((5_000_000_000, 1)))]
    );
    assert_eq!(items("BODY[HEADER]"), [section(&[], SectionKind::Header, false, None)]);
    assert_eq!(items("BODY[2.HEADER]"), [section(&[2], SectionKind::Header, false, None)]);
    let from_to = SectionKind::HeaderFields(fields(&["From", "To"]));
    assert_eq!(items("(UID BODY.PEEK[HEADER.FIELDS (From To)])"), [FetchItem::Uid, section(&[], from_to, true, None)]);
    let not = SectionKind::HeaderFieldsNot(fields(&["X"]));
    assert_eq!(items("BODY[1.HEADER.FIELDS.NOT (\"X\")]"), [section(&[1], not, false, None)]);
    let partial = Some(Partial { offset: 1, count: 2 });
    assert_eq!(items("BINARY.PEEK[1.2]<1.2>"), [FetchItem::Binary { part: parts(&[1, 2]), peek: true, partial }]);
    assert_eq!(
        items("(BINARY[1] BINARY.SIZE[])"),
        [FetchItem::Binary { part: parts(&[1]), peek: false, partial: None }, FetchItem::BinarySize { part: vec![] }]
    );
    for line in [
        "BODY[MIME]",
        "BODY[0]",
        "BODY[1.]",
        "BODY[1.FOO]",
        "BODY[HEADER.FIELDS]",
        "BODY[HEADER.FIELDS ()]",
        "BODY[]<1>",
        "BODY[]<1.0>",
        "BODY[]<1.2",
        "BINARY[HEADER]",
        "BINARY[1.]",
        "BINARY.SIZE[1]<0.1>",
        "BODY[99999999999]",
        "BODY[HEADER.TEXT]",
    ] {
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
        partial: None,
    };
    assert_eq!(body("FETCH 1:* (FLAGS) (CHANGEDSINCE 12345)"), fetch(false, &[FetchItem::Flags], 12345, false));
    assert_eq!(body("FETCH 1:* FLAGS (CHANGEDSINCE 0)"), fetch(false, &[FetchItem::Flags], 0, false));
    assert_eq!(body("UID FETCH 1:* (FLAGS) (changedsince 1 vanished)"), fetch(true, &[FetchItem::Flags], 1, true));
    for line in [
        "FETCH 1:* FLAGS (CHANGEDSINCE)",
        "FETCH 1:* FLAGS (CHANGEDSINCE 1 VANISHED)",
        "UID FETCH 1:* FLAGS (VANISHED)",
        "FETCH 1:*",
        "FETCH",
        "UID FETCH 1 FLAGS (CHANGEDSINCE x)",
    ] {
        bad(line);
    }
}

#[test]
fn search_keys() {
    use SearchKey::*;
    let flag = SystemFlag::ALL;
    for (word, expected) in
        [("ANSWERED", flag[1]), ("DELETED", flag[3]), ("DRAFT", flag[4]), ("FLAGGED", flag[2]), ("seen", flag[0])]
    {
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
    assert_eq!(
        key("MODSEQ \"/flags/\\\\draft\" all 620162338"),
        SearchKey::ModSeq(pli_types::ModSeq::new(620_162_338))
    );
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
    assert!(parse(format!("a SEARCH {}SEEN", "NOT ".repeat(32)).as_bytes(), false).is_ok());
    bad(&format!("SEARCH {}SEEN", "NOT ".repeat(33)));
    bad(&format!("SEARCH {}SEEN{}", "(".repeat(60_000), ")".repeat(60_000)));
    bad(&format!("SEARCH {}", "SEEN ".repeat(1001)));
    for line in [
        "SEARCH",
        "SEARCH FOO",
        "SEARCH NOT",
        "SEARCH OR SEEN",
        "SEARCH ()",
        "SEARCH (SEEN",
        "SEARCH SEEN)",
        "SEARCH BEFORE tomorrow",
        "SEARCH LARGER x",
        "SEARCH HEADER a",
        "SEARCH TEXT",
        "SEARCH KEYWORD \\Seen",
        "SEARCH OLDER 0",
        "SEARCH UID x",
        "SEARCH EMAILID a.b",
        "SEARCH MODSEQ x",
        "SEARCH ON 30-Feb-2024",
        "SEARCH SEEN(DRAFT)",
    ] {
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
    let every = SearchReturn { min: true, max: true, all: true, count: true, save: true, ..SearchReturn::default() };
    assert_eq!(
        search("UID SEARCH RETURN (MIN MAX ALL COUNT SAVE) CHARSET utf-8 SEEN"),
        Search { returns: Some(every), charset: Some("UTF-8".into()), key: SearchKey::Flag(SystemFlag::Seen) }
    );
    let save = SearchReturn { save: true, ..SearchReturn::default() };
    assert_eq!(search("SEARCH RETURN (SAVE) ALL").returns, Some(save));
    let ete = search("SEARCH CHARSET UTF-8 TEXT {5}\r\n\u{e9}t\u{e9}");
    assert_eq!(ete.key, SearchKey::Text("\u{e9}t\u{e9}".as_bytes().to_vec()));
    for line in [
        "SEARCH RETURN (FOO) ALL",
        "SEARCH RETURN ()",
        "SEARCH CHARSET UTF-8",
        "SEARCH CHARSET ALL",
        "SEARCH RETURN ALL",
    ] {
        bad(line);
    }
}

#[test]
fn search_contexts_parts_and_several_mailboxes() {
    let returns = |line: &str| match body(line) {
        CommandBody::Search { search, .. } | CommandBody::Sort { search, .. } => search.returns.unwrap(),
        other => panic!("{other:?}"),
    };
    let n = |n| NonZeroU32::new(n).unwrap();
    let partial = |first, last, from_end| Some(PartialRange { first: n(first), last: n(last), from_end });
    assert_eq!(returns("SEARCH RETURN (PARTIAL 1:500) ALL").partial, partial(1, 500, false));
    assert_eq!(returns("UID SORT RETURN (partial -1:-3) (DATE) UTF-8 ALL").partial, partial(1, 3, true));
    let update = returns("SEARCH RETURN (UPDATE CONTEXT COUNT) ALL");
    assert!(update.update && update.context && update.count && !update.all);
    assert_eq!(key("FUZZY (TEXT a SEEN)"), {
        let inner = vec![SearchKey::Text(b"a".to_vec()), SearchKey::Flag(SystemFlag::Seen)];
        SearchKey::Fuzzy(Box::new(SearchKey::And(inner)))
    });
    assert!(returns("SEARCH RETURN (RELEVANCY ALL) OR SEEN FUZZY TEXT a").relevancy);
    match body("ESEARCH IN (selected mailboxes INBOX subtree (a \"b c\") Subtree-One a) RETURN (COUNT) SEEN") {
        CommandBody::ESearch { sources: Some(sources), search } => {
            assert_eq!(
                sources,
                [
                    MailboxFilter::Selected,
                    MailboxFilter::Mailboxes(vec![name("INBOX")]),
                    MailboxFilter::Subtree(vec![name("a"), name("b c")]),
                    MailboxFilter::SubtreeOne(vec![name("a")])
                ]
            );
            assert!(search.returns.unwrap().count);
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(body("ESEARCH SEEN"), CommandBody::ESearch { sources: None, .. }));
    let tag = |text: &[u8]| Tag::new(text).unwrap();
    assert_eq!(body("CANCELUPDATE \"a1\" b2"), CommandBody::CancelUpdate(vec![tag(b"a1"), tag(b"b2")]));
    assert_eq!(body("UIDBATCHES 500"), CommandBody::UidBatches { size: 500, range: None });
    assert_eq!(body("UIDBATCHES 500 9:2"), CommandBody::UidBatches { size: 500, range: Some((2, 9)) });
    assert!(matches!(
        body("UID FETCH 1:* FLAGS (CHANGEDSINCE 5 PARTIAL -1:-30)"),
        CommandBody::Fetch { partial: Some(_), changed_since: Some(_), .. }
    ));
    for line in [
        "SEARCH RETURN (ALL PARTIAL 1:2) ALL",
        "SEARCH RETURN (PARTIAL 1:2 PARTIAL 3:4) ALL",
        "SEARCH RETURN (PARTIAL 0:2) ALL",
        "SEARCH RETURN (PARTIAL 1:-2) ALL",
        "SEARCH RETURN (PARTIAL -1:2) ALL",
        "SEARCH RETURN (PARTIAL 1:*) ALL",
        "SEARCH RETURN (RELEVANCY) ALL",
        "SORT (RELEVANCY) UTF-8 ALL",
        "ESEARCH IN () ALL",
        "ESEARCH IN (selected-delayed) ALL",
        "ESEARCH IN (mailboxes) ALL",
        "CANCELUPDATE",
        "UIDBATCHES",
        "UIDBATCHES 0",
        "UIDBATCHES 5 0:1",
        "UIDBATCHES 5 1",
        "FETCH 1 FLAGS (PARTIAL 1:2)",
        "SEARCH FUZZY",
    ] {
        bad(line);
    }
    let places = |first, last, from_end, len| partial(first, last, from_end).unwrap().places(len);
    assert_eq!((places(2, 3, false, 5), places(3, 2, false, 5), places(4, 9, false, 5)), (1..3, 1..3, 3..5));
    assert_eq!((places(1, 2, true, 5), places(9, 4, true, 5), places(6, 9, false, 5).len()), (3..5, 0..2, 0));
}

#[test]
fn sort_and_thread() {
    let search = Search { returns: None, charset: Some("UTF-8".into()), key: SearchKey::All };
    assert_eq!(
        body("UID SORT (REVERSE ARRIVAL subject) utf-8 ALL"),
        CommandBody::Sort {
            uid: true,
            criteria: vec![(SortKey::Arrival, true), (SortKey::Subject, false)],
            search: search.clone()
        }
    );
    let esort = body("SORT RETURN (COUNT) (DATE) UTF-8 ALL");
    assert!(matches!(
        esort,
        CommandBody::Sort { search: Search { returns: Some(SearchReturn { count: true, all: false, .. }), .. }, .. }
    ));
    assert_eq!(
        body("THREAD references UTF-8 ALL"),
        CommandBody::Thread { uid: false, algorithm: ThreadAlgorithm::References, search: search.clone() }
    );
    assert_eq!(
        body("UID THREAD X UTF-8 ALL"),
        CommandBody::Thread { uid: true, algorithm: ThreadAlgorithm::Other("X".into()), search }
    );
    for line in [
        "SORT () UTF-8 ALL",
        "SORT (FOO) UTF-8 ALL",
        "SORT (REVERSE) UTF-8 ALL",
        "SORT (DATE) UTF-8",
        "SORT (DATE)",
        "THREAD REFERENCES UTF-8",
    ] {
        bad(line);
    }
}
