//! What a machine does to a server short of killing it: its clock jumps, its
//! files run out, its disk turns read-only. Kills are in `crash.rs`, a full
//! disk is in `start.rs`, and every failing call of the disk is in the store's
//! own tests, on a simulated one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

mod clock;
mod files;
mod readonly;

use pli_tests::acknowledged::{Fate, Found, Ledger, Place, message};
use pli_tests::imap::Imap;
use pli_tests::smtp::Smtp;
use pli_tests::{Account, Instance};

/// One account, and what it was promised.
struct Promised {
    account: Account,
    ledger: Ledger,
    next: u64,
}

impl Promised {
    fn new(instance: &Instance) -> Self {
        Self { account: instance.account(), ledger: Ledger::default(), next: 1 }
    }

    fn inbox(&self) -> Place {
        (self.account.address.clone(), "INBOX".to_owned())
    }

    /// One message by SMTP; the refusal if it is refused.
    fn deliver(&mut self, instance: &Instance) -> Result<(), String> {
        let mark = self.next;
        self.next += 1;
        self.ledger.write(&self.inbox(), mark, Fate::Offered);
        let sent = Smtp::mx(instance)
            .and_then(|mut smtp| smtp.send("a@example.net", &[&self.account.address], &message(mark)).map(drop));
        if sent.is_ok() {
            self.ledger.write(&self.inbox(), mark, Fate::Kept);
        }
        sent
    }

    /// INBOX is what was promised.
    fn compare(&self, instance: &Instance) {
        let mut imap = Imap::login(instance, &self.account).unwrap();
        self.ledger.compare(&self.inbox(), &found(&mut imap, "INBOX")).unwrap();
        imap.logout();
    }
}

/// A mailbox as SELECT and FETCH show it.
fn found(imap: &mut Imap, mailbox: &str) -> Found {
    let answer = imap.ok(&format!("SELECT {mailbox}")).unwrap();
    let text: String = answer.untagged.iter().map(|line| String::from_utf8_lossy(line) + "\n").collect();
    let code = |name: &str| -> u64 {
        let rest = text.split(&format!("[{name} ")).nth(1).unwrap_or_else(|| panic!("no {name} in {text}"));
        rest.split(']').next().unwrap().parse().unwrap()
    };
    let number = |name: &str| u32::try_from(code(name)).unwrap();
    Found {
        uid_validity: number("UIDVALIDITY"),
        uid_next: number("UIDNEXT"),
        highest_modseq: code("HIGHESTMODSEQ"),
        messages: imap.messages().unwrap(),
    }
}

/// The product's own checks agree; the server is stopped.
fn sound(instance: &mut Instance) {
    let quota = || instance.pli(&["quota", "show", "--json"]).good();
    let before = quota();
    instance.pli(&["quota", "recalculate"]).good();
    assert_eq!(before, quota(), "the quota counts had drifted");
    assert_eq!(instance.stop(), 0, "{}", instance.log());
    instance.pli(&["store", "verify"]).good();
    instance.pli(&["audit", "verify"]).good();
}
