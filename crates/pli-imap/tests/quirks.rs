//! Capabilities hidden from all, from a client, from an account (RFC 2971, `imap.quirks`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use pli_imap::{ImapConfig, Quirk};
use support::*;

fn config() -> ImapConfig {
    let quirk = |client: &str, account: &str, hide: &[&str]| Quirk {
        client: client.into(),
        account: account.into(),
        hide: hide.iter().map(|name| (*name).to_owned()).collect(),
    };
    ImapConfig {
        hidden_capabilities: vec![String::from("XLIST")],
        quirks: vec![
            quirk("Odd*", "", &["CONDSTORE", "QRESYNC", "OBJECTID", "IDLE", "AUTH=LOGIN", "MULTIAPPEND", "CATENATE"]),
            quirk("", "bob@example.org", &["NOTIFY", "UIDPLUS"]),
        ],
        ..ImapConfig::default()
    }
}

/// What ID says counts at once, before login and after it, and another name gives everything back.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_known_by_its_id() {
    let server = server_with(config(), None).await;
    let mut client = server.connect().await;
    let list = client.ok("CAPABILITY").await;
    assert!(list.contains(" CONDSTORE") && list.contains(" AUTH=LOGIN") && !list.contains("XLIST"), "{list}");
    client.ok("ID (\"name\" \"Odd mail\" \"version\" \"2\")").await;
    let list = client.ok("CAPABILITY").await;
    assert!(!list.contains("CONDSTORE") && !list.contains("AUTH=LOGIN") && list.contains(" AUTH=PLAIN"), "{list}");
    assert!(client.run("AUTHENTICATE LOGIN").await.contains("a BAD "));
    let login = client.ok(&format!("LOGIN alice@example.org \"{PASSWORD}\"")).await;
    assert!(login.contains("[CAPABILITY ") && !login.contains("QRESYNC") && !login.contains(" IDLE"), "{login}");
    let enabled = client.ok("ENABLE CONDSTORE QRESYNC UTF8=ACCEPT").await;
    assert!(enabled.contains("* ENABLED UTF8=ACCEPT\r\n"), "{enabled}");
    for line in ["SELECT INBOX (CONDSTORE)", "STATUS INBOX (MAILBOXID)", "IDLE", "XLIST \"\" *"] {
        assert!(client.run(line).await.contains("a BAD "), "{line}");
    }
    assert!(client.run("APPEND INBOX {3+}\r\nx\r\n {3+}\r\ny\r\n").await.contains("a BAD "));
    assert!(client.run("APPEND INBOX CATENATE (URL \"/INBOX/;UID=1\")").await.contains("a BAD "));
    let selected = client.ok("SELECT INBOX").await;
    assert!(!selected.contains("HIGHESTMODSEQ") && !selected.contains("MAILBOXID"), "{selected}");
    let made = client.ok("CREATE x").await;
    assert!(!made.contains("MAILBOXID"), "{made}");
    client.ok("ID (\"name\" \"other\")").await;
    assert!(client.ok("SELECT INBOX").await.contains("HIGHESTMODSEQ"));
}

/// An account's own mask comes with the login and goes with it; what belongs to IMAP4rev2 comes with that.
#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_known_by_its_login() {
    let server = server_with(config(), None).await;
    let mut client = server.connect().await;
    let login = client.ok(&format!("LOGIN bob@example.org \"{PASSWORD}\"")).await;
    assert!(!login.contains("NOTIFY") && !login.contains("UIDPLUS"), "{login}");
    assert!(client.run("NOTIFY NONE").await.contains("a BAD "));
    let appended = client.append("INBOX", "\\Deleted", &message("one")).await;
    assert!(!appended.contains("APPENDUID"), "{appended}");
    client.ok("SELECT INBOX").await;
    assert!(!client.ok("COPY 1 Trash").await.contains("COPYUID"));
    assert!(client.run("UID EXPUNGE 1").await.contains("a BAD "));
    client.ok("ENABLE IMAP4rev2").await;
    assert!(client.ok("COPY 1 Trash").await.contains("COPYUID"));
    client.ok("UID EXPUNGE 1").await;
    assert!(client.ok("UNAUTHENTICATE").await.contains("NOTIFY"));
    assert!(server.login("alice").await.ok("CAPABILITY").await.contains(" NOTIFY"));
}
