//! The past over IMAP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "tests"
)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pli_imap::{ImapConfig, ImapService};
use pli_io::RealClock;
use support::{Client, Server, message, server, server_with};

/// The time now, which what follows is later than.
async fn tick() -> DateTime<Utc> {
    let now = DateTime::from_timestamp_millis(Utc::now_ms()).unwrap();
    tokio::time::sleep(Duration::from_millis(5)).await;
    now
}

trait NowMs {
    fn now_ms() -> i64;
}
impl NowMs for Utc {
    fn now_ms() -> i64 {
        pli_io::Clock::now(&RealClock::new()).0
    }
}

fn moment(at: DateTime<Utc>) -> String {
    at.format("Restore/%Y-%m-%d/%Hh%Mm%Ss%3f").to_string()
}

async fn with_two_gone() -> (Server, Client, String) {
    let server = server().await;
    let mut client = server.login("alice").await;
    client.append("INBOX", "\\Flagged Later", &message("first")).await;
    client.append("INBOX", "", &message("second")).await;
    let at = moment(tick().await);
    client.ok("SELECT INBOX").await;
    client.ok("STORE 1:2 +FLAGS (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    (server, client, at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_read_and_copied_back() {
    let (_server, mut client, at) = with_two_gone().await;
    let present = client.ok("STATUS INBOX (MESSAGES UIDVALIDITY MAILBOXID)").await;
    assert!(present.contains("MESSAGES 0"), "{present}");
    let validity = present.split("UIDVALIDITY ").nth(1).unwrap().split([' ', ')']).next().unwrap().to_owned();

    let text = client.ok(&format!("SELECT {at}/INBOX")).await;
    assert!(text.contains("* 2 EXISTS") && text.contains(&format!("[UIDVALIDITY {validity}]")), "{text}");
    assert!(text.contains("a OK [READ-ONLY]") && text.contains("[PERMANENTFLAGS ()]"), "{text}");
    let text = client.ok("FETCH 1:2 (UID FLAGS RFC822.SIZE ENVELOPE BODY[TEXT] EMAILID)").await;
    assert!(text.contains("Hello first.") && text.contains("Hello second."), "{text}");
    assert!(text.contains("FLAGS (\\Flagged Later)") && !text.contains("\\Seen"), "{text}");
    assert!(client.ok("SEARCH SUBJECT second").await.contains("* SEARCH 2"));
    assert!(client.ok("SEARCH TEXT \"Hello first\"").await.contains("* SEARCH 1"));
    assert!(client.ok("SORT (REVERSE SUBJECT) UTF-8 ALL").await.contains("* SORT 2 1"));
    assert!(client.ok("THREAD REFERENCES UTF-8 ALL").await.contains("(1)(2)"));
    for command in ["STORE 1 +FLAGS (\\Seen)", "UID STORE 1 FLAGS ()", "EXPUNGE", "MOVE 1 INBOX"] {
        let text = client.run(command).await;
        assert!(text.contains("a NO [NOPERM]"), "{command}: {text}");
    }
    let text = client.run("COPY 1:2 Nowhere").await;
    assert!(text.contains("a NO [TRYCREATE]"), "{text}");
    let text = client.ok("UID COPY 1:2 INBOX").await;
    assert!(text.contains(&format!("[COPYUID {validity} 1:2 3:4]")), "{text}");
    client.ok("CLOSE").await;
    let text = client.ok("SELECT INBOX").await;
    assert!(text.contains("* 2 EXISTS"), "{text}");
    let text = client.ok("FETCH 1:2 (FLAGS BODY.PEEK[])").await;
    assert!(text.contains(&message("first")) && text.contains(&message("second")), "{text}");
    assert!(text.contains("FLAGS (\\Flagged Later)"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_the_past_are_listed_to_those_who_ask() {
    let (_server, mut client, at) = with_two_gone().await;
    let levels: Vec<&str> = at.split('/').collect();
    let day = format!("{}/{}", levels[0], levels[1]);
    let hour = format!("{day}/{}h", &levels[2][..2]);
    assert!(
        client.ok("NAMESPACE").await.contains(
            "* NAMESPACE ((\"\" \"/\")) ((\"Other Users/\" \"/\")) ((\"Shared/\" \"/\")(\"Restore/\" \"/\"))"
        )
    );
    for everything in ["\"\" *", "\"\" %"] {
        let text = client.ok(&format!("LIST {everything}")).await;
        assert!(text.contains("* LIST (\\Noselect \\HasChildren) \"/\" Restore\r\n"), "{text}");
        assert!(!text.contains("Restore/") && text.contains(" INBOX\r\n"), "{text}");
    }
    let text = client.ok("LIST \"\" Restore/%").await;
    assert!(text.contains(&format!(" {day}\r\n")) && !text.contains(&hour), "{text}");
    let text = client.ok("LIST \"Restore/\" *").await;
    assert!(text.contains(&format!(" {day}\r\n")) && text.contains(&format!(" {hour}\r\n")), "{text}");
    assert!(!text.contains("INBOX") && !text.contains(" Restore\r\n"), "{text}");
    let text = client.ok(&format!("LIST \"{at}/\" %")).await;
    assert!(text.contains(&format!("* LIST (\\HasNoChildren) \"/\" {at}/INBOX\r\n")), "{text}");
    assert!(text.contains(&format!("{at}/Trash")) && !text.contains("\\Trash"), "{text}");
    let text = client.ok(&format!("LIST \"\" ({at}/*) RETURN (STATUS (MESSAGES MAILBOXID))")).await;
    assert!(text.contains(&format!("* STATUS {at}/INBOX (MESSAGES 2 MAILBOXID (F")), "{text}");
    let text = client.ok(&format!("STATUS {at}/INBOX (MESSAGES UNSEEN DELETED-STORAGE)")).await;
    assert!(text.contains("MESSAGES 2 UNSEEN 2 DELETED-STORAGE 0"), "{text}");
    for nothing in ["LSUB \"\" *", "LIST (SUBSCRIBED) \"\" *", "LIST (SPECIAL-USE) \"\" *", "LSUB \"\" Restore/*"] {
        assert!(!client.ok(nothing).await.contains("Restore"), "{nothing}");
    }
    // Before the window, after now, and names that are none.
    for name in ["1999-01-01/10h/INBOX", "2999-01-01/10h/INBOX", "2026-02-30/10h/INBOX", "x"] {
        let text = client.run(&format!("SELECT Restore/{name}")).await;
        assert!(text.contains("a NO [NONEXISTENT]"), "{name}: {text}");
    }
    assert!(!client.ok("LIST \"\" Restore/1999-01-01/10h/%").await.contains("* LIST"));
    assert!(client.run(&format!("SELECT {day}")).await.contains("a NO [CANNOT]"));
    assert!(client.run(&format!("STATUS {at}/Nowhere (MESSAGES)")).await.contains("a NO [NONEXISTENT]"));
    let many: Vec<String> = (10..16).map(|minute| format!("{day}/00h{minute}/%")).collect();
    let text = client.run(&format!("LIST \"\" ({})", many.join(" "))).await;
    assert!(text.contains("a NO [LIMIT]"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_not_changed() {
    let (_server, mut client, at) = with_two_gone().await;
    client.append("INBOX", "", &message("third")).await;
    client.ok("SELECT INBOX").await;
    for command in [
        format!("COPY 1 {at}/INBOX"),
        format!("MOVE 1 {at}/INBOX"),
        format!("DELETE {at}/INBOX"),
        format!("RENAME {at}/INBOX other"),
        format!("SUBSCRIBE {at}/INBOX"),
        format!("APPEND {at}/INBOX {{3+}}\r\nx\r\n"),
    ] {
        let text = client.run(&command).await;
        assert!(text.contains("a NO [NOPERM]"), "{command}: {text}");
    }
    for command in [format!("CREATE {at}/new"), "CREATE Restore".into(), "RENAME Trash Restore/x".into()] {
        let text = client.run(&command).await;
        assert!(text.contains("a NO [CANNOT]"), "{command}: {text}");
    }
    // IDLE does no harm there.
    client.ok(&format!("EXAMINE {at}/INBOX")).await;
    client.send("i IDLE\r\n").await;
    assert!(client.line().await.starts_with('+'));
    client.send("DONE\r\n").await;
    client.until("i OK").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quota_holds_for_what_comes_back() {
    let server = server_with(ImapConfig::default(), Some(250)).await;
    let mut client = server.login("alice").await;
    client.append("INBOX", "", &message("first")).await;
    let at = moment(tick().await);
    client.ok("SELECT INBOX").await;
    client.ok("STORE 1 +FLAGS (\\Deleted)").await;
    client.ok("EXPUNGE").await;
    client.append("INBOX", "", &message("other")).await;
    client.ok(&format!("SELECT {at}/INBOX")).await;
    let text = client.run("COPY 1 INBOX").await;
    assert!(text.contains("a NO [OVERQUOTA]"), "{text}");
    // What is still there costs nothing.
    let at = moment(tick().await);
    client.ok(&format!("SELECT {at}/INBOX")).await;
    client.ok("COPY 1 Trash").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_can_be_turned_off_and_mailboxes_of_its_name_go_first() {
    let mut server = server_with(ImapConfig { restore: false, ..ImapConfig::default() }, None).await;
    let mut client = server.login("alice").await;
    assert!(client.ok("NAMESPACE").await.contains("((\"Shared/\" \"/\"))"));
    assert!(!client.ok("LIST \"\" *").await.contains("Restore"));
    let text = client.run("SELECT Restore/2026-11-24/13h/INBOX").await;
    assert!(text.contains("a NO [NONEXISTENT]"), "{text}");
    client.ok("CREATE Restore/2026-11-24").await;
    let clock = Arc::new(RealClock::new());
    let service = ImapService::new(ImapConfig::default(), server.gate.clone(), clock, server.shutdown.clone());
    server.service = Arc::new(service);
    let mut client = server.login("alice").await;
    let text = client.ok("LIST \"\" *").await;
    assert_eq!(text.matches("Restore").count(), 2, "{text}");
    assert!(!text.contains("Noselect"), "{text}");
    client.ok("SELECT Restore/2026-11-24").await;
    client.ok("CREATE Restore/more").await;
}
