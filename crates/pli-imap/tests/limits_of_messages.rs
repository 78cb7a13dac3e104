//! What depends on the configuration or on a slow search: MESSAGELIMIT (RFC 9738), INPROGRESS (RFC 9585), quotas of messages.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pli_imap::ImapConfig;
use pli_io::{Clock, RealClock};
use pli_store::QuotaLimit;
use pli_types::UnixMillis;
use support::*;

/// RFC 9738 §3: the newest messages are done, and the lowest UID of these is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_limit_is_announced_and_kept() {
    let server = server_with(ImapConfig { message_limit: 3, ..ImapConfig::default() }, None).await;
    let mut client = server.login("alice").await;
    assert!(client.ok("CAPABILITY").await.contains(" MESSAGELIMIT=3 "));
    for n in 0..5 {
        client.append("INBOX", "", &message(&format!("m{n}"))).await;
    }
    client.ok("SELECT INBOX").await;
    let fetched = client.ok("FETCH 1:* UID").await;
    assert_eq!(fetched.matches(" FETCH (").count(), 3, "{fetched}");
    assert!(fetched.contains("* 3 FETCH (UID 3)") && fetched.contains("a OK [MESSAGELIMIT 3 3] "), "{fetched}");
    let rest = client.ok("UID FETCH 1:2 (UID)").await;
    assert!(rest.contains("* 1 FETCH") && !rest.contains("MESSAGELIMIT"), "{rest}");
    let found = client.ok("UID SEARCH ALL").await;
    assert!(found.contains("* SEARCH 3 4 5\r\n") && found.contains("[MESSAGELIMIT 3 3]"), "{found}");
    assert!(client.run("COPY 1:4 Trash").await.contains("a NO [MESSAGELIMIT 3] "));
    assert!(client.run("UID MOVE 1:4 Trash").await.contains("a NO [MESSAGELIMIT 3] "));
    client.ok("UID COPY 1:3 Trash").await;
    let stored = client.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)").await;
    assert!(stored.contains("a OK [MESSAGELIMIT 3 3] "), "{stored}");
    assert!(client.run("STORE 1:5 (UNCHANGEDSINCE 1) FLAGS ()").await.contains("a NO [MESSAGELIMIT 3] "));
    client.ok("UID STORE 1:2 +FLAGS.SILENT (\\Deleted)").await;
    let expunged = client.ok("UID EXPUNGE 1:*").await;
    assert_eq!(expunged.matches(" EXPUNGE\r\n").count(), 3, "{expunged}");
    assert!(expunged.contains("[MESSAGELIMIT 3 3]"), "{expunged}");
}

/// A clock on which every look takes a second.
struct Slow(AtomicU64);

impl Clock for Slow {
    fn now(&self) -> UnixMillis {
        RealClock::new().now()
    }
    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.0.fetch_add(6, Ordering::Relaxed))
    }
}

/// RFC 9585 §3: a search that takes long says how far it is, with its tag; a quick one does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_search_tells_how_far_it_is() {
    let config = ImapConfig { idle_timeout_s: 1_000_000, login_timeout_s: 1_000_000, ..ImapConfig::default() };
    let server = server_by(config, None, Arc::new(Slow(AtomicU64::new(0)))).await;
    let mut client = server.login("alice").await;
    for _ in 0..300 {
        client.append("INBOX", "", &message("x")).await;
    }
    client.ok("SELECT INBOX").await;
    let sorted = client.ok("SORT (SUBJECT) UTF-8 BODY hello").await;
    assert!(sorted.contains("* OK [INPROGRESS (\"a303\" 128 300)] "), "{sorted}");
    let none = client.ok("NOOP").await;
    assert!(!none.contains("INPROGRESS"), "{none}");
}

/// RFC 3502 §6.3.11: as many messages in one APPEND as there is memory for, and all of them or none.
#[tokio::test(flavor = "multi_thread")]
async fn many_messages_in_one_append_are_all_or_nothing() {
    let config = ImapConfig { message_bytes_max: 200_000, in_flight_bytes_max: 2_500_000, ..ImapConfig::default() };
    let server = server_with(config, None).await;
    let mut client = server.inbox().await;
    let one = message("x");
    let many = |count: usize| format!("APPEND INBOX{}", format!(" {{{}+}}\r\n{one}", one.len()).repeat(count));
    let appended = client.ok(&many(1_500)).await;
    assert!(appended.contains("* 1500 EXISTS") && appended.contains(" 1:1500] "), "{appended}");
    // Over the memory for messages that are being appended.
    let refused = client.run(&many(2_500)).await;
    assert!(refused.contains("a NO [LIMIT]"), "{refused}");
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 1500"));
}

/// RFC 9208 §5.2: a quota of messages is shown and kept.
#[tokio::test(flavor = "multi_thread")]
async fn messages_count_against_a_quota_of_messages() {
    let limit = QuotaLimit { bytes: None, messages: Some(2) };
    let server = server_of(ImapConfig::default(), limit, Arc::new(RealClock::new())).await;
    let mut client = server.login("alice").await;
    client.append("INBOX", "", &message("one")).await;
    client.append("INBOX", "", &message("two")).await;
    let told = client.ok("GETQUOTA \"\"").await;
    assert!(told.contains("MESSAGE 2 2"), "{told}");
    let refused = client.run("APPEND INBOX {3+}\r\nx\r\n").await;
    assert!(refused.contains("a NO [OVERQUOTA]"), "{refused}");
}
