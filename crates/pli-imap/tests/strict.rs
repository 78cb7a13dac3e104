//! What a session says is read back by an independent parser (imap-codec).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use imap_codec::ResponseCodec;
use imap_codec::decode::Decoder as _;
use support::{message, server};

/// Reads all of `text` as responses.
fn check(text: &str) {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match ResponseCodec::default().decode(rest) {
            Ok((after, _)) => rest = after,
            Err(error) => panic!("{error:?} at {:?}", String::from_utf8_lossy(&rest[..rest.len().min(200)])),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_read_by_an_independent_parser() {
    let server = server().await;
    let mut client = server.inbox().await;
    let multipart = "From: \"Quote \\\" Me\" <q@x>, Group: a@b, c@d;\r\nSubject: =?utf-8?q?=C3=A9?=\r\nMessage-ID: <\"odd\\\\\"@x>\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nhi\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\ninner body\r\n--b--\r\n";
    for text in [
        message("one"),
        multipart.to_owned(),
        String::from("no header at all"),
        String::from("Subject: bare\nFrom: a@b\n\nbody\n"),
        String::from("Subject: \u{e9}t\u{e9}\r\nTo: undisclosed-recipients:;\r\n\r\nx\r\n"),
    ] {
        client.append("INBOX", "\\Seen $Label", &text).await;
    }
    for command in [
        "CAPABILITY",
        "NOOP",
        "LIST \"\" \"*\"",
        "LSUB \"\" \"*\"",
        "STATUS INBOX (MESSAGES UIDNEXT UIDVALIDITY UNSEEN)",
        "SELECT INBOX",
        "FETCH 1:* (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE)",
        "FETCH 1:* (BODY.PEEK[HEADER] BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[2.1] BODY.PEEK[]<0.9>)",
        "FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)]",
        "SEARCH ALL",
        "STORE 1 +FLAGS (\\Deleted)",
        "COPY 1:2 Archive",
        "MOVE 2 Archive",
        "EXPUNGE",
        "GETQUOTAROOT INBOX",
        "NAMESPACE",
        "ENABLE CONDSTORE",
        "ID NIL",
    ] {
        check(&client.ok(command).await);
    }
}
