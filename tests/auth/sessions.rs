//! App passwords on the command line, `pli who`, `pli kick`, and how many connections an account may have.

use pli_tests::{Account, Instance};

use crate::{command, imap, json, login, next};

#[test]
fn app_passwords_are_made_used_and_revoked() {
    let instance = Instance::start();
    let account = instance.account();
    let made = json(&instance, &["app-password", "add", &account.address, "--label", "phone"]);
    let password = made["password"].as_str().unwrap();
    assert!(password.len() == 24 && password.bytes().all(|b| b.is_ascii_alphanumeric()), "{password}");
    assert_eq!((&made["id"], &made["label"]), (&1.into(), &"phone".into()));
    assert_eq!(instance.pli(&["app-password", "add", &account.address, "--label", "phone"]).code, 73, "there is one");
    assert_eq!(instance.pli(&["app-password", "add", &account.address, "--label", " "]).code, 65);
    let typed: Vec<&str> = password.as_bytes().chunks(4).map(|c| std::str::from_utf8(c).unwrap()).collect();
    let app = Account { password: typed.join("-"), ..account.clone() };
    let mut phone = login(&instance, &app);
    let mut own = login(&instance, &account);
    let listed = json(&instance, &["app-password", "list", &account.address]);
    assert!(listed[0]["last_used"].is_i64() && listed[0].get("password").is_none(), "{listed}");
    let mut smtp = instance.connect("submissions").unwrap();
    next(&mut smtp);
    smtp.line("EHLO client.example").unwrap();
    next(&mut smtp);
    let plain = crate::encode(format!("\0{}\0{}", account.address, typed.join(" ")));
    smtp.line(&format!("AUTH PLAIN {plain}")).unwrap();
    assert!(next(&mut smtp).starts_with("235"));

    let revoked = json(&instance, &["app-password", "revoke", &account.address, "1"]);
    assert_eq!((&revoked["revoked"], &revoked["sessions_ended"]), (&true.into(), &2.into()));
    assert!(next(&mut phone).starts_with("* BYE"), "what it opened is ended");
    assert!(next(&mut smtp).starts_with("421"));
    assert!(command(&mut own, "n", "NOOP").starts_with("n OK"), "the others stay");
    let mut again = imap(&instance);
    let answer = command(&mut again, "a", &format!("LOGIN {} {}", app.address, app.password));
    assert!(answer.starts_with("a NO [AUTHENTICATIONFAILED]"), "{answer}");
    assert_eq!(instance.pli(&["app-password", "revoke", &account.address, "1"]).code, 66);
    let next = json(&instance, &["app-password", "add", &account.address, "--label", "phone"]);
    assert_eq!(next["id"], 2, "the newest one's number is not given again either");
    let audit = instance.pli(&["audit", "export"]).good();
    assert_eq!(audit.lines().filter(|line| line.contains("app-password-change")).count(), 3, "{audit}");
    assert!(!audit.contains(password) && !instance.log().contains(password));
    assert!(instance.pli(&["store", "verify", "--fast"]).code == 0);
}

#[test]
fn sessions_end_with_what_opened_them() {
    let instance = Instance::start();
    let account = instance.account();
    let made = json(&instance, &["app-password", "add", &account.address, "--label", "phone"]);
    let app = Account { password: made["password"].as_str().unwrap().to_owned(), ..account.clone() };
    let submit = |account: &Account| {
        let mut smtp = instance.connect("submissions").unwrap();
        next(&mut smtp);
        smtp.line("EHLO client.example").unwrap();
        next(&mut smtp);
        let plain = crate::encode(format!("\0{}\0{}", account.address, account.password));
        smtp.line(&format!("AUTH PLAIN {plain}")).unwrap();
        assert!(next(&mut smtp).starts_with("235"));
        smtp
    };
    let (mut own, mut smtp, mut phone) = (login(&instance, &account), submit(&account), login(&instance, &app));
    let mut idle = login(&instance, &account);
    command(&mut idle, "s", "SELECT INBOX");
    idle.line("d IDLE").unwrap();
    assert!(next(&mut idle).starts_with('+'));
    // A new password ends what the old one opened, and not what an app password did.
    let new = Account { password: String::from("Another-Horse-1"), ..account.clone() };
    let words = ["account", "passwd", &account.address, "--password-stdin"];
    instance.pli_with(&words, format!("{}\n", new.password).as_bytes()).good();
    for wire in [&mut own, &mut idle] {
        assert!(next(wire).starts_with("* BYE"));
        assert_eq!(wire.read().unwrap(), None);
    }
    assert!(next(&mut smtp).starts_with("421"));
    assert!(command(&mut phone, "n", "NOOP").starts_with("n OK"));
    let mut old = imap(&instance);
    let answer = command(&mut old, "a", &format!("LOGIN {} {}", account.address, account.password));
    assert!(answer.starts_with("a NO [AUTHENTICATIONFAILED]"), "{answer}");
    // Suspended: nothing is left, whatever opened it.
    let mut own = login(&instance, &new);
    instance.pli(&["account", "suspend", &account.address]).good();
    assert!(next(&mut own).starts_with("* BYE") && next(&mut phone).starts_with("* BYE"));
    instance.pli(&["account", "resume", &account.address]).good();
    let mut own = login(&instance, &new);
    instance.pli(&["account", "rm", &account.address, "--yes"]).good();
    assert!(next(&mut own).starts_with("* BYE"));
    let audit = instance.pli(&["audit", "export"]).good();
    assert_eq!(audit.lines().filter(|line| line.contains("session-end")).count(), 3, "{audit}");
    assert!(instance.pli(&["store", "verify", "--fast"]).code == 0);
}

#[test]
fn who_is_there_and_who_goes() {
    let instance = Instance::start();
    let (account, other) = (instance.account(), instance.account());
    let mut one = login(&instance, &account);
    command(&mut one, "i", "ID (\"name\" \"Test\" \"version\" \"1\")");
    command(&mut one, "s", "SELECT INBOX");
    one.line("d IDLE").unwrap();
    assert!(next(&mut one).starts_with('+'));
    let mut two = login(&instance, &account);
    let mut three = login(&instance, &other);
    let listed = json(&instance, &["who"]);
    let of = |address: &str| {
        let all = listed.as_array().unwrap().iter().filter(|s| s["address"] == address);
        all.cloned().collect::<Vec<_>>()
    };
    let mine = of(&account.address);
    assert_eq!((mine.len(), of(&other.address).len()), (2, 1), "{listed}");
    let idle = mine.iter().find(|session| session["mailbox"] == "INBOX").unwrap();
    assert_eq!((idle["client"].as_str(), idle["protocol"].as_str()), (Some("Test 1"), Some("imap")));
    assert!(idle["sent"].as_u64().unwrap() > 100 && idle["received"].as_u64().unwrap() > 50, "{idle}");
    assert!(idle["peer"].as_str().unwrap().starts_with("127.0.0.1:") && idle["since"].is_i64());
    assert!(instance.pli(&["who"]).good().contains("Test 1"), "for people as well");

    // One session, then the rest of the account.
    let ended = json(&instance, &["kick", idle["session"].as_str().unwrap()]);
    assert_eq!(ended.as_array().unwrap().len(), 1);
    assert!(next(&mut one).starts_with("* BYE"));
    assert_eq!(one.read().unwrap(), None, "and the connection is closed");
    assert_eq!(json(&instance, &["kick", &account.address]).as_array().unwrap().len(), 1);
    assert!(next(&mut two).starts_with("* BYE"));
    assert!(command(&mut three, "n", "NOOP").starts_with("n OK"));
    assert_eq!(instance.pli(&["kick", "0123456789abcdef"]).code, 66);
    assert_eq!(instance.pli(&["kick", "nonsense"]).code, 65);
    assert_eq!(json(&instance, &["who"]).as_array().unwrap().len(), 1);
    let audit = instance.pli(&["audit", "export"]).good();
    assert_eq!(audit.lines().filter(|line| line.contains("session-end")).count(), 2, "{audit}");
}

#[test]
fn connections_of_one_account_are_bounded() {
    let instance = pli_tests::Builder::default()
        .config("imap", "connections_per_account_max = 2")
        .config("listen.imaps", "connections_per_address_max = 4")
        .start();
    let (account, other) = (instance.account(), instance.account());
    let first = login(&instance, &account);
    let _second = login(&instance, &account);
    let mut third = imap(&instance);
    let words = format!("LOGIN {} {}", account.address, account.password);
    let answer = command(&mut third, "a", &words);
    assert!(answer.starts_with("a NO [LIMIT]"), "{answer}");
    let _other = login(&instance, &other);
    // Four of the address: a fifth one is closed before TLS.
    assert!(instance.connect("imaps").and_then(|mut wire| wire.read()).is_err());
    drop(first);
    // The server notices the end of the first one in its own time.
    let again = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        command(&mut third, "b", &words).starts_with("b OK")
    });
    assert!(again);
}
