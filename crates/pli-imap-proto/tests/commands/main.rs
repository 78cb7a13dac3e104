//! Known answers: a line of each command and what it means, and lines that are refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod mailboxes;
mod messages;
mod rights;

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
        ("Unauthenticate", CommandBody::Unauthenticate),
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
    for (line, creates) in [
        ("SELECT a//b", false),
        ("CREATE /a", true),
        ("DELETE \"a\x01b\"", false),
        ("RENAME a b//c", true),
        ("RENAME a//b c", false),
    ] {
        let error = parse(format!("a1 {line}").as_bytes(), false).unwrap_err();
        assert!(
            matches!(error, CommandError::MailboxName { creating, .. } if creating == creates),
            "{line}: {error:?}"
        );
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
    let login =
        |user: &[u8], password: &[u8]| CommandBody::Login { user: user.to_vec(), password: Hidden(password.to_vec()) };
    assert_eq!(body("LOGIN anne secret"), login(b"anne", b"secret"));
    assert_eq!(body("login \"anne\" \"a \\\"b\\\\c\""), login(b"anne", b"a \"b\\c"));
    assert_eq!(body("LOGIN {4}\r\nanne {6+}\r\nse\r\nct"), login(b"anne", b"se\r\nct"));
    assert_eq!(body("LOGIN \"\" \"\""), login(b"", b""));
    assert_eq!(body("LOGIN ann\u{e9} \"\u{e9}\""), login("ann\u{e9}".as_bytes(), "\u{e9}".as_bytes()));
    for line in [
        "LOGIN",
        "LOGIN anne",
        "LOGIN anne secret x",
        "LOGIN \"anne",
        "LOGIN \"a\\b\" c",
        "LOGIN {9}\r\nanne x",
        "LOGIN (a) b",
    ] {
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
    assert_eq!(
        body("ENABLE condstore UTF8=ACCEPT"),
        CommandBody::Enable(vec!["CONDSTORE".into(), "UTF8=ACCEPT".into()])
    );
    bad("ENABLE");
    assert_eq!(body("compress deflate"), CommandBody::Compress { mechanism: "DEFLATE".into() });
}
