//! What a hostile client may make the server hold or do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::time::Duration;

use pli_imap::ImapConfig;
use support::{PASSWORD, message, server, server_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_login_nothing_large_is_kept() {
    let server = server().await;
    let mut client = server.connect().await;
    client.send("x LOGIN {60000}\r\n").await;
    let text = client.line().await;
    assert!(text.starts_with("x BAD [TOOBIG]"), "{text}");
    client.send("y".repeat(40_000)).await;
    client.send("\r\n").await;
    let text = client.line().await;
    assert!(text.contains("BAD") && text.contains("too long"), "{text}");
    // A password in a literal is welcome, and whoever has logged in may send more.
    client.send("z LOGIN {17}\r\n").await;
    assert!(client.line().await.starts_with("+ "));
    client.send(format!("alice@example.org {{{}}}\r\n", PASSWORD.len())).await;
    assert!(client.line().await.starts_with("+ "));
    client.send(format!("{PASSWORD}\r\n")).await;
    assert!(client.line().await.starts_with("z OK"));
    client.send("x SELECT {60000}\r\n").await;
    assert!(client.line().await.starts_with("+ "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_never_logs_in_is_sent_away() {
    let server = server_with(ImapConfig { login_timeout_s: 1, ..ImapConfig::default() }, None).await;
    let mut client = server.connect().await;
    let chatter = async {
        for _ in 0..100 {
            let text = client.run_or_bye("NOOP").await;
            if text.contains("* BYE") {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        false
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), chatter).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appended_messages_share_a_bounded_memory() {
    let server = server_with(ImapConfig { in_flight_bytes_max: 100_000, ..ImapConfig::default() }, None).await;
    let mut client = server.inbox().await;
    let large = format!("{}{}", message("large"), "0123456789abcdef\r\n".repeat(10_000));
    let text = client.run(&format!("APPEND INBOX {{{}+}}\r\n{large}", large.len())).await;
    assert!(text.starts_with("a NO [LIMIT]"), "{text}");
    // What was held is given back, and the session is where it was.
    let small = format!("{}{}", message("small"), "0123456789abcdef\r\n".repeat(4_000));
    for _ in 0..3 {
        client.append("INBOX", "", &small).await;
    }
    assert!(client.ok("STATUS INBOX (MESSAGES)").await.contains("MESSAGES 3"));
}

/// The most memory that this process has had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_pieces_of_one_message_are_not_heaped_up() {
    let server = server().await;
    let mut client = server.inbox().await;
    let header = format!("X-Long: {}\r\n", "x".repeat(900)).repeat(1_100);
    client.append("INBOX", "", &format!("{header}{}", message("wide"))).await;
    let before = peak_kib();
    let items: Vec<String> = (0..120).map(|n| format!("BODY.PEEK[HEADER.FIELDS.NOT (A{n})]")).collect();
    client.send(format!("x FETCH 1 ({})\r\n", items.join(" "))).await;
    // The client does not read: the server must wait with little in hand, whatever was asked.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let grown = peak_kib().saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB");
    let mut bytes = 0;
    loop {
        let line = client.line().await;
        if line.starts_with("x OK") {
            break;
        }
        bytes += line.len();
        assert!(bytes < 1_000_000_000, "no end");
    }
    assert!(bytes > 110_000_000, "all of it comes in the end: {bytes}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_named_often_is_answered_once() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let text =
        client.ok("FETCH 1 (BODY.PEEK[TEXT] BODY.PEEK[TEXT] BODY.PEEK[TEXT]<0.3> RFC822.SIZE RFC822.SIZE)").await;
    assert_eq!(text.matches("BODY[TEXT] ").count(), 1, "{text}");
    assert_eq!(text.matches("BODY[TEXT]<0> ").count(), 1, "{text}");
    assert_eq!(text.matches("RFC822.SIZE ").count(), 1, "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_looks_for_a_bounded_number_of_texts() {
    let server = server().await;
    let mut client = server.inbox().await;
    client.append("INBOX", "", &message("one")).await;
    let text = client.run(&format!("SEARCH{}", " TEXT Hello".repeat(33))).await;
    assert!(text.contains("a NO [LIMIT]"), "{text}");
    assert!(client.ok(&format!("SEARCH{}", " BODY Hello".repeat(32))).await.contains("SEARCH 1"));
}
