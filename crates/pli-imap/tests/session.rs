//! Sessions over pipes, on a store in memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use pli_imap::ImapConfig;
use support::{PASSWORD, message, server, server_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn login_gives_capabilities_and_wrong_password_a_code() {
    let server = server().await;
    let mut client = server.connect().await;
    let text = client.run("LOGIN alice@example.org wrong").await;
    assert!(text.starts_with("a NO [AUTHENTICATIONFAILED]"), "{text}");
    assert!(client.run("SELECT INBOX").await.starts_with("a BAD"));
    let text = client.ok(&format!("LOGIN alice@example.org \"{PASSWORD}\"")).await;
    assert!(text.contains("[CAPABILITY IMAP4rev1 IMAP4rev2") && !text.contains("AUTH="), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn authenticate_plain_in_each_way() {
    // alice@example.org twice (authzid = authcid), then the password.
    let response = "YWxpY2VAZXhhbXBsZS5vcmcAYWxpY2VAZXhhbXBsZS5vcmcAY29ycmVjdCBob3JzZQ==";
    let server = server().await;
    let mut client = server.connect().await;
    client.ok(&format!("AUTHENTICATE PLAIN {response}")).await;

    let mut client = server.connect().await;
    client.send("x authenticate plain\r\n").await;
    assert_eq!(client.line().await, "+ ");
    client.send("*\r\n").await;
    assert!(client.line().await.starts_with("x BAD"));
    client.send("y AUTHENTICATE PLAIN\r\n").await;
    assert_eq!(client.line().await, "+ ");
    client.send(format!("{response}\r\n")).await;
    assert!(client.line().await.starts_with("y OK [CAPABILITY"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_login_outside_tls() {
    let server = server().await;
    let mut client = server.connect_over(None).await;
    assert!(client.ok("CAPABILITY").await.contains("LOGINDISABLED"));
    let text = client.run(&format!("LOGIN alice@example.org \"{PASSWORD}\"")).await;
    assert!(text.starts_with("a NO [PRIVACYREQUIRED]"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_logins_end_the_connection() {
    let server = server_with(ImapConfig { login_failures_max: 2, ..ImapConfig::default() }, None).await;
    let mut client = server.connect().await;
    client.run("LOGIN nobody@example.org wrong").await;
    let text = client.run("LOGIN nobody@example.org wrong").await;
    assert!(text.starts_with("* BYE"), "{text}");
    assert!(client.at_end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_mailboxes_are_listed_with_their_uses() {
    let server = server().await;
    let mut client = server.login("alice").await;
    let text = client.ok("LIST (SUBSCRIBED) \"\" \"*\" RETURN (SPECIAL-USE)").await;
    for name in ["Archive", "Drafts", "Junk", "Sent", "Trash"] {
        assert!(text.contains(&format!("\\{name}) \"/\" {name}\r\n")), "{text}");
    }
    assert!(text.contains("(\\Subscribed \\HasNoChildren) \"/\" INBOX"), "{text}");
    assert!(client.ok("LIST \"\" \"\"").await.contains("* LIST (\\Noselect) \"/\" \"\""));
    assert!(client.ok("LSUB \"\" \"*\"").await.contains("\\Sent) \"/\" Sent"));
    assert!(client.ok("XLIST \"\" \"%\"").await.contains("\\Inbox) \"/\" INBOX"));
    client.ok("CREATE a/b/c").await;
    let text = client.ok("LIST \"\" \"a%\"").await;
    assert!(text.contains("\\HasChildren) \"/\" a\r\n") && !text.contains("a/b"), "{text}");
    let text = client.ok("LIST \"\" (INBOX \"a/*\") RETURN (STATUS (MESSAGES UIDNEXT))").await;
    assert!(text.contains("* STATUS INBOX (MESSAGES 0 UIDNEXT 1)"), "{text}");
    assert!(text.contains("a/b/c"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_into_the_open_mailbox_tells_exists_before_ok() {
    let server = server().await;
    let mut client = server.inbox().await;
    let text = client.append("INBOX", "\\Seen", &message("one")).await;
    let exists = text.find("* 1 EXISTS").expect("EXISTS");
    let ok = text.find("a OK [APPENDUID ").expect("APPENDUID");
    assert!(exists < ok, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_appended_comes_back_byte_for_byte() {
    let server = server().await;
    let mut client = server.inbox().await;
    let body = format!("{}{}", message("big"), "0123456789abcdef\r\n".repeat(20_000));
    client.append("INBOX", "", &body).await;
    let text = client.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])").await;
    assert!(text.contains(&format!("RFC822.SIZE {} BODY[] {{{}}}\r\n{body})\r\n", body.len(), body.len())));
    let text = client.ok("FETCH 1 BODY.PEEK[]<10.5>").await;
    assert!(text.contains(&format!("BODY[]<10> {{5}}\r\n{})", &body[10..15])), "{text}");
    let text = client.ok("FETCH 1 BODY.PEEK[]<99999999.5>").await;
    assert!(text.contains("BODY[]<99999999> {0}\r\n)"), "{text}");
    let text = client.ok("FETCH 1 BODY.PEEK[HEADER.FIELDS (SUBJECT)]").await;
    assert!(text.contains("BODY[HEADER.FIELDS (SUBJECT)] {16}\r\nSubject: big\r\n\r\n)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_content_sets_seen_and_examine_does_not() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    client.ok("EXAMINE INBOX").await;
    let text = client.ok("FETCH 1 (BODY[TEXT] FLAGS)").await;
    assert!(text.contains("FLAGS ()"), "{text}");
    client.ok("SELECT INBOX").await;
    let text = client.ok("FETCH 1 BODY[TEXT]").await;
    assert!(text.contains("FLAGS (\\Seen)"), "{text}");
    assert!(client.ok("FETCH 1 RFC822.HEADER").await.contains("RFC822.HEADER {"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envelope_and_structure() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let text = client.ok("FETCH 1 (ENVELOPE BODY BODYSTRUCTURE)").await;
    let envelope = "ENVELOPE (\"Mon, 2 Feb 2026 10:00:00 +0100\" \"one\" ((\"Ann\" NIL \"ann\" \"example.net\"))";
    assert!(text.contains(envelope), "{text}");
    assert!(text.to_ascii_uppercase().contains("BODY (\"TEXT\" \"PLAIN\""), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_echoes_and_silent_does_not() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let text = client.ok("STORE 1 +FLAGS (\\Flagged $Work)").await;
    assert!(text.contains("* 1 FETCH (FLAGS (\\Flagged $Work))"), "{text}");
    assert!(text.contains("PERMANENTFLAGS"), "{text}");
    let text = client.ok("STORE 1 +FLAGS.SILENT (\\Answered)").await;
    assert_eq!(text.lines().count(), 1, "{text}");
    let text = client.ok("UID STORE 1 -FLAGS (\\Flagged)").await;
    assert!(text.contains("* 1 FETCH (UID 1 FLAGS (\\Answered $Work))"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_store_tells_what_another_changed_with_its_uid() {
    let server = server().await;
    let mut one = server.inbox().await;
    one.append("INBOX", "", &message("one")).await;
    let mut two = server.inbox().await;
    one.ok("STORE 1 +FLAGS (\\Deleted)").await;
    // RFC 9051 §7.5.2: it did not ask for this answer.
    let text = two.ok("STORE 1 +FLAGS.SILENT (\\Answered)").await;
    assert!(text.starts_with("* 1 FETCH (UID 1 FLAGS (\\Answered \\Deleted))\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_comes_too_late_is_modified() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let text = client.ok("FETCH 1 MODSEQ").await;
    let modseq: u64 = text.split("MODSEQ (").nth(1).unwrap().split(')').next().unwrap().parse().unwrap();
    client.ok("STORE 1 +FLAGS (\\Seen)").await;
    let text = client.ok(&format!("STORE 1 (UNCHANGEDSINCE {modseq}) +FLAGS (\\Deleted)")).await;
    assert!(text.contains("[MODIFIED 1]"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_sessions_hear_of_changes_where_they_may() {
    let server = server().await;
    let mut one = server.inbox().await;
    for n in 1..=4 {
        one.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    let mut two = server.inbox().await;
    one.ok("STORE 2:3 +FLAGS.SILENT (\\Deleted)").await;
    let text = one.ok("EXPUNGE").await;
    assert!(text.contains("* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n"), "{text}");
    // No EXPUNGE during FETCH: numbers hold.
    let text = two.ok("FETCH 1:4 UID").await;
    assert!(!text.contains("EXPUNGE\r\n") && text.contains("* 4 FETCH (UID 4)"), "{text}");
    let text = two.ok("NOOP").await;
    assert!(text.contains("* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n"), "{text}");
    let text = two.ok("FETCH 1:* UID").await;
    assert!(text.contains("* 2 FETCH (UID 4)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_hears_at_once_and_done_may_bring_more() {
    let server = server().await;
    let mut watcher = server.inbox().await;
    watcher.send("i IDLE\r\n").await;
    assert!(watcher.line().await.starts_with("+ "));
    let mut other = server.login("alice").await;
    other.append("INBOX", "", &message("new")).await;
    assert_eq!(watcher.line().await, "* 1 EXISTS");
    assert_eq!(watcher.line().await, "* 0 RECENT");
    watcher.send("DONE\r\nj NOOP\r\n").await;
    assert!(watcher.line().await.starts_with("i OK"));
    assert!(watcher.line().await.starts_with("j OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_and_move_answer_copyuid() {
    let server = server().await;
    let mut client = server.inbox().await;
    for n in 1..=3 {
        client.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    let text = client.ok("COPY 1:2 Archive").await;
    assert!(text.contains("[COPYUID ") && text.contains(" 1:2 1:2]"), "{text}");
    let text = client.ok("MOVE 1,3 Archive").await;
    let copyuid = text.find("* OK [COPYUID ").unwrap();
    let expunge = text.find("* 1 EXPUNGE\r\n* 2 EXPUNGE\r\n").unwrap();
    assert!(copyuid < expunge && text.contains(" 1,3 3:4]"), "{text}");
    assert!(client.run("COPY 1 nowhere").await.contains("NO [TRYCREATE]"));
    // clients.md 21
    assert!(client.run("UID MOVE 99 Archive").await.starts_with("a OK"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uid_expunge_takes_only_its_set() {
    let server = server().await;
    let mut client = server.inbox().await;
    for n in 1..=3 {
        client.append("INBOX", "\\Deleted", &message(&format!("m{n}"))).await;
    }
    let text = client.ok("UID EXPUNGE 2").await;
    assert!(text.contains("* 2 EXPUNGE\r\n") && !text.contains("* 1 EXPUNGE"), "{text}");
    client.ok("CLOSE").await;
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 0)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn search_by_flags_headers_dates_and_text() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "\\Seen", &message("apple")).await;
    client.append("INBOX", "", &message("pear")).await;
    let quoted = "From: x@y\r\nSubject: =?utf-8?q?=C3=A9t=C3=A9?=\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nun bel =E9t=E9\r\n";
    client.append("INBOX", "\\Flagged", quoted).await;
    for (key, found) in [
        ("ALL", "1 2 3"),
        ("SEEN", "1"),
        ("UNSEEN", "2 3"),
        ("SUBJECT apple", "1"),
        ("NOT SUBJECT apple", "2 3"),
        ("OR SUBJECT APPLE FLAGGED", "1 3"),
        ("SENTON 2-Feb-2026", "1 2"),
        ("SENTSINCE 3-Feb-2026", ""),
        ("BODY hello", "1 2"),
        ("TEXT ann@example.net", "1 2"),
        ("BODY ann@example.net", ""),
        ("HEADER Message-ID pear", "2"),
        ("LARGER 10 SMALLER 1000000", "1 2 3"),
        ("1:50 SINCE 1-Jan-2026 NOT DELETED", "1 2 3"),
        ("UID 2:*", "2 3"),
    ] {
        let text = client.ok(&format!("SEARCH {key}")).await;
        let expected = format!("* SEARCH {found}").trim_end().to_owned();
        assert_eq!(text.lines().next().unwrap(), expected, "{key}");
    }
    let text = client.ok("SEARCH CHARSET UTF-8 TEXT {5+}\r\n\u{e9}t\u{e9}").await;
    assert!(text.starts_with("* SEARCH 3\r\n"), "{text}");
    let text = client.ok("SEARCH CHARSET UTF-8 SUBJECT {5+}\r\n\u{e9}t\u{e9}").await;
    assert!(text.starts_with("* SEARCH 3\r\n"), "{text}");
    assert!(client.run("SEARCH CHARSET X-NONE TEXT a").await.starts_with("a NO [BADCHARSET"));
    let text = client.ok("SEARCH RETURN (MIN MAX COUNT ALL) ALL").await;
    assert!(text.contains("MIN 1 MAX 3 ALL 1:3 COUNT 3"), "{text}");
    client.ok("SEARCH RETURN (SAVE) UNSEEN").await;
    assert!(client.ok("UID FETCH $ FLAGS").await.contains("* 2 FETCH"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sort_and_thread() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("pear")).await;
    client.append("INBOX", "", &message("apple")).await;
    let text = client.ok("UID SORT (SUBJECT) UTF-8 ALL").await;
    assert!(text.starts_with("* SORT 2 1\r\n"), "{text}");
    let text = client.ok("SORT (REVERSE ARRIVAL) UTF-8 ALL").await;
    assert!(text.starts_with("* SORT "), "{text}");
    let text = client.ok("THREAD REFERENCES UTF-8 ALL").await;
    assert!(text.starts_with("* THREAD (1)(2)\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_over_quota_is_refused_before_the_bytes() {
    let server = server_with(ImapConfig::default(), Some(1000)).await;
    let mut client = server.inbox().await;
    client.send("x APPEND INBOX {5000}\r\n").await;
    assert!(client.line().await.starts_with("x NO [OVERQUOTA]"));
    client.send(format!("y APPEND INBOX {{5000+}}\r\n{}\r\nz NOOP\r\n", "x".repeat(5000))).await;
    assert!(client.line().await.starts_with("y NO [OVERQUOTA]"));
    assert!(client.line().await.starts_with("z OK"));
    let text = client.ok("GETQUOTAROOT INBOX").await;
    assert!(text.contains("* QUOTAROOT INBOX \"\"\r\n* QUOTA \"\" (STORAGE 0 "), "{text}");
    assert!(client.run("SETQUOTA \"\" (STORAGE 1)").await.starts_with("a NO [NOPERM]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn append_too_big_or_nowhere() {
    let server = server_with(ImapConfig { message_bytes_max: 100, ..ImapConfig::default() }, None).await;
    let mut client = server.inbox().await;
    client.send("x APPEND INBOX {101}\r\n").await;
    assert!(client.line().await.starts_with("x NO [TOOBIG]"));
    client.send("y APPEND nowhere {10}\r\n").await;
    assert!(client.line().await.starts_with("y NO [TRYCREATE]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn qresync_tells_what_vanished() {
    let server = server().await;
    let mut one = server.inbox().await;
    for n in 1..=4 {
        one.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    let mut two = server.login("alice").await;
    two.ok("ENABLE QRESYNC").await;
    let text = two.ok("SELECT INBOX").await;
    let number =
        |key: &str| -> u64 { text.split(key).nth(1).unwrap().split(']').next().unwrap().trim().parse().unwrap() };
    let (validity, modseq) = (number("[UIDVALIDITY "), number("[HIGHESTMODSEQ "));
    one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    one.ok("STORE 1 +FLAGS (\\Flagged)").await;
    let text = two.ok("NOOP").await;
    assert!(text.contains("* VANISHED 2\r\n") && !text.contains("EXPUNGE"), "{text}");
    let text = two.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await;
    assert!(text.contains("* OK [CLOSED]") && text.contains("* VANISHED (EARLIER) 2\r\n"), "{text}");
    assert!(text.contains("* 1 FETCH (UID 1 FLAGS (\\Flagged) MODSEQ ("), "{text}");
    let text = two.ok(&format!("UID FETCH 1:* FLAGS (CHANGEDSINCE {modseq} VANISHED)")).await;
    assert!(text.contains("* VANISHED (EARLIER) 2\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_away_longer_than_the_history_is_told_all_that_is_not_there() {
    let server = server().await;
    let mut one = server.inbox().await;
    for n in 1..=6 {
        one.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    one.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    let mut two = server.login("alice").await;
    two.ok("ENABLE QRESYNC").await;
    let text = two.ok("SELECT INBOX").await;
    let number =
        |key: &str| -> u64 { text.split(key).nth(1).unwrap().split(']').next().unwrap().trim().parse().unwrap() };
    let (validity, modseq) = (number("[UIDVALIDITY "), number("[HIGHESTMODSEQ "));
    one.ok("STORE 4 +FLAGS.SILENT (\\Deleted)").await;
    one.ok("EXPUNGE").await;
    // The client knows that 1 and 3 are gone.
    let text = two.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await;
    assert!(text.contains("* VANISHED (EARLIER) 6\r\n"), "{text}");
    // As if so much had been expunged that the history began at the last one.
    let id: u64 =
        text.split("[MAILBOXID (").nth(1).unwrap().split(')').next().unwrap().trim_start_matches('F').parse().unwrap();
    let floor = u8::try_from(modseq).unwrap() + 2;
    let row = vec![1, floor, 0, 0];
    server.store.plant_row(&[&[0x54][..], &id.to_be_bytes()].concat(), Some(row), true).await.unwrap();
    let text = two.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq}))")).await;
    assert!(text.contains("* VANISHED (EARLIER) 1,3,6\r\n"), "{text}");
    let text = two.ok(&format!("SELECT INBOX (QRESYNC ({validity} {modseq} 2:6))")).await;
    assert!(text.contains("* VANISHED (EARLIER) 3,6\r\n"), "{text}");
    let text = two.ok(&format!("UID FETCH 1:2 FLAGS (CHANGEDSINCE {modseq} VANISHED)")).await;
    assert!(text.contains("* VANISHED (EARLIER) 1\r\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mailbox_deleted_under_a_session_is_told_as_expunged() {
    let server = server().await;
    let mut one = server.login("alice").await;
    one.ok("CREATE gone").await;
    one.append("gone", "", &message("x")).await;
    let mut two = server.login("alice").await;
    two.ok("SELECT gone").await;
    one.ok("DELETE gone").await;
    let text = two.run("NOOP").await;
    assert!(text.contains("* 1 EXPUNGE"), "{text}");
    assert!(two.run("SELECT gone").await.contains("NO [NONEXISTENT]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelined_commands_are_answered_in_order() {
    let server = server().await;
    let mut client = server.inbox().await;
    let mut lines = String::new();
    for n in 0..50 {
        lines.push_str(&format!("p{n} UID FETCH 1:* FLAGS\r\n"));
    }
    lines.push_str("q CLOSE\r\nr NAMESPACE\r\n");
    client.send(lines).await;
    for n in 0..50 {
        assert!(client.line().await.starts_with(&format!("p{n} OK")));
    }
    assert!(client.line().await.starts_with("q OK"));
    assert!(client.line().await.starts_with("* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_says_bye() {
    let server = server().await;
    let mut client = server.inbox().await;
    let mut idle = server.inbox().await;
    idle.send("i IDLE\r\n").await;
    assert!(idle.line().await.starts_with("+ "));
    server.shutdown.cancel();
    assert!(client.line().await.starts_with("* BYE"));
    assert!(idle.line().await.starts_with("* BYE"));
    assert!(client.at_end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_mailbox_sets_mean_nothing() {
    let server = server().await;
    let mut client = server.inbox().await;
    assert_eq!(client.ok("UID FETCH *:* FLAGS").await.lines().count(), 1);
    assert_eq!(client.ok("FETCH 1:* FLAGS").await.lines().count(), 1);
    assert!(client.run("FETCH 5 FLAGS").await.starts_with("a BAD"));
    assert!(client.ok("SEARCH 1:50 ALL").await.starts_with("* SEARCH\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_commands_go_on_and_then_end() {
    let server = server().await;
    let mut client = server.inbox().await;
    assert!(client.run("FROBNICATE").await.starts_with("a BAD"));
    client.ok("NOOP").await;
    for _ in 0..=30 {
        client.send("x FROBNICATE\r\n").await;
    }
    client.until("* BYE").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_utf7_until_utf8_is_enabled() {
    let server = server().await;
    let mut client = server.login("alice").await;
    client.ok("CREATE \"&AMk-l&AOk-ments envoy&AOk-s\"").await;
    let text = client.ok("LIST \"\" \"&AMk-*\"").await;
    assert!(text.contains("\"&AMk-l&AOk-ments envoy&AOk-s\""), "{text}");
    client.ok("ENABLE UTF8=ACCEPT").await;
    let text = client.ok("LIST \"\" \"*\"").await;
    assert!(text.contains("\"\u{c9}l\u{e9}ments envoy\u{e9}s\""), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_messages_are_kept_and_read() {
    let server = server().await;
    let mut client = server.inbox().await;
    let header = format!("Subject: big\r\nX-Big: {}\r\n\r\nbody\r\n", "x".repeat(10 << 20));
    let mut nested = String::new();
    for n in 0..10_000 {
        nested.push_str(&format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n"));
    }
    let nul = "Subject: nul\r\n\r\na\0b\r\n";
    for text in [&header, &nested, nul, "", "\r\n", "no colon"] {
        if text.is_empty() {
            continue;
        }
        client.append("INBOX", "", text).await;
    }
    let text = client
        .ok("FETCH 1:* (RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[1] BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
        .await;
    assert_eq!(text.matches(" FETCH (").count(), 5, "{}", &text[..500]);
    assert!(client.ok("FETCH 1 BODY.PEEK[]").await.contains(&header));
    // RFC 9051 §4.3: no literal holds NUL; literal8 does, and has the very bytes.
    assert!(client.ok("FETCH 3 BINARY.PEEK[]").await.contains("a\0b"));
    let literal = client.ok("FETCH 3 BODY.PEEK[]").await;
    assert!(literal.contains("BODY[] {21}") && !literal.contains('\0'), "{literal}");
    assert!(client.ok("SEARCH SUBJECT big").await.starts_with("* SEARCH 1\r\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unfinished_literal_leaves_nothing() {
    let server = server().await;
    let mut client = server.login("alice").await;
    client.send("x APPEND INBOX {1000+}\r\nSubject: half").await;
    drop(client);
    let mut client = server.login("alice").await;
    assert!(client.ok("STATUS INBOX (MESSAGES UIDNEXT)").await.contains("(MESSAGES 0 UIDNEXT 1)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_messages_in_one_append_are_one_commit() {
    let server = server().await;
    let mut client = server.inbox().await;
    let text = client.ok("APPEND INBOX (\\Seen) {12+}\r\nSubject: a\r\n (\\Flagged) \"17-Jul-2026 02:44:25 -0700\" {12+}\r\nSubject: b\r\n").await;
    assert!(text.contains(" 1:2] "), "{text}");
    let text = client.ok("FETCH 2 (FLAGS INTERNALDATE)").await;
    assert!(text.contains("FLAGS (\\Flagged) INTERNALDATE \"17-Jul-2026 09:44:25 +0000\""), "{text}");
    // A bad second message takes the first one with it.
    let text = client.run("APPEND INBOX {12+}\r\nSubject: a\r\n {12+}\r\nSubject: b\r\n oops").await;
    assert!(text.starts_with("a BAD"), "{text}");
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 2)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_literal_too_large_to_skip_ends_the_session() {
    let server = server_with(ImapConfig { message_bytes_max: 100, ..ImapConfig::default() }, None).await;
    let mut client = server.login("alice").await;
    client.send("x APPEND INBOX {99999999999+}\r\n").await;
    assert!(client.line().await.starts_with("* BYE [TOOBIG]"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn binary_undoes_the_encoding() {
    let server = server().await;
    let mut client = server.inbox().await;
    let text = "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\naGVsbG8=\r\n";
    client.append("INBOX", "", text).await;
    let text = client.ok("FETCH 1 (BINARY.PEEK[1] BINARY.SIZE[1])").await;
    assert!(text.contains("BINARY[1] {5}\r\nhello BINARY.SIZE[1] 5)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uid_fetch_sees_what_another_session_moved_in() {
    let server = server().await;
    let mut one = server.inbox().await;
    one.append("INBOX", "", &message("x")).await;
    let mut two = server.login("alice").await;
    two.ok("SELECT Archive").await;
    one.ok("MOVE 1 Archive").await;
    let text = two.ok("UID FETCH 1:* FLAGS").await;
    assert!(text.starts_with("* 1 EXISTS\r\n") && text.contains("* 1 FETCH (UID 1 FLAGS ())"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_reads_slowly_holds_up_nobody() {
    let server = server().await;
    let mut slow = server.inbox().await;
    let body = format!("{}{}", message("big"), "0123456789abcdef\r\n".repeat(100_000));
    slow.append("INBOX", "", &body).await;
    // Asks for far more than the pipe holds, and does not read.
    slow.send("x FETCH 1 BODY.PEEK[]\r\n").await;
    let mut other = server.inbox().await;
    other.ok("STORE 1 +FLAGS (\\Seen)").await;
    assert!(slow.until("x OK").await.contains(&body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recursive_match_shows_levels_above_subscribed_names() {
    let server = server().await;
    let mut client = server.login("alice").await;
    client.ok("CREATE top/sub").await;
    client.ok("SUBSCRIBE top/sub").await;
    client.ok("UNSUBSCRIBE top").await;
    let text = client.ok("LIST (SUBSCRIBED RECURSIVEMATCH) \"\" \"top%\"").await;
    assert!(text.contains("\"/\" top (\"CHILDINFO\" (\"SUBSCRIBED\"))"), "{text}");
    assert!(client.ok("LSUB \"\" \"top%\"").await.contains("* LSUB (\\Noselect) \"/\" top"));
    assert!(client.run("LIST (RECURSIVEMATCH) \"\" *").await.starts_with("a BAD"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rev2_changes_what_select_and_search_say() {
    let server = server().await;
    let mut client = server.login("alice").await;
    assert!(client.ok("ENABLE IMAP4rev2 X-UNKNOWN").await.contains("* ENABLED IMAP4rev2\r\n"));
    let text = client.ok("SELECT INBOX").await;
    assert!(text.contains("* LIST () \"/\" INBOX") && !text.contains("RECENT"), "{text}");
    assert!(client.ok("SEARCH ALL").await.starts_with("* ESEARCH (TAG "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_before_login_ends_the_session() {
    let server = server_with(ImapConfig { login_timeout_s: 1, ..ImapConfig::default() }, None).await;
    let mut client = server.connect().await;
    assert!(client.line().await.starts_with("* BYE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_accounts_see_nothing_of_each_other() {
    let server = server().await;
    let mut alice = server.inbox().await;
    alice.append("INBOX", "", &message("private")).await;
    alice.ok("CREATE secret").await;
    let mut bob = server.login("bob").await;
    assert!(bob.ok("SELECT INBOX").await.contains("* 0 EXISTS"));
    assert!(bob.run("SELECT secret").await.contains("NO [NONEXISTENT]"));
    assert!(!bob.ok("LIST \"\" *").await.contains("secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_and_move_into_the_same_mailbox_succeed() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("x")).await;
    let text = client.ok("COPY 1 INBOX").await;
    assert!(text.contains("* 2 EXISTS") && text.contains("[COPYUID "), "{text}");
    let text = client.ok("MOVE 1 INBOX").await;
    assert!(text.contains("* 1 EXPUNGE"), "{text}");
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("(MESSAGES 2)"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_cannot_be_are_refused_with_codes() {
    let server = server().await;
    let mut client = server.login("alice").await;
    client.ok("CREATE one/").await;
    for (command, answer) in [
        ("CREATE one", "a NO [ALREADYEXISTS]"),
        ("CREATE inbox", "a NO [ALREADYEXISTS]"),
        ("CREATE \"\"", "a NO [CANNOT]"),
        ("CREATE new (USE (\\Flagged))", "a NO [USEATTR]"),
        ("DELETE inbox", "a NO [CANNOT]"),
        ("DELETE none", "a NO [NONEXISTENT]"),
        ("RENAME none other", "a NO [NONEXISTENT]"),
        ("RENAME one Sent", "a NO [ALREADYEXISTS]"),
        ("STATUS none (MESSAGES)", "a NO [NONEXISTENT]"),
        ("SELECT none", "a NO [NONEXISTENT]"),
        ("SUBSCRIBE none", "a NO [NONEXISTENT]"),
        ("GETQUOTA other", "a NO [NONEXISTENT]"),
    ] {
        let text = client.run(command).await;
        assert!(text.starts_with(answer), "{command}: {text}");
    }
}

/// clients.md 30: a middlebox that forgets quiet connections hears something in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_says_that_it_is_still_there() {
    let server = server_with(ImapConfig { keepalive_s: 1, ..ImapConfig::default() }, None).await;
    let mut client = server.inbox().await;
    client.send("i IDLE\r\n").await;
    assert!(client.line().await.starts_with("+ "));
    for _ in 0..2 {
        assert!(client.line().await.starts_with("* OK "));
    }
    client.send("DONE\r\n").await;
    assert!(client.line().await.starts_with("i OK"));
}
