//! DKIM, DMARC and ARC: the vectors of RFC 8463, and what this crate signs itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use bytes::Bytes;
use pli_mailauth::arc::{self, ChainState};
use pli_mailauth::check::{Disposition, Incoming, MailAuthConfig, Temporary, check};
use pli_mailauth::dkim::DkimResult;
use pli_mailauth::dkim::key::Algorithm;
use pli_mailauth::dkim::sign::Signer;
use pli_mailauth::dkim::verify::{Bodies, verify};
use pli_mailauth::dmarc::{DmarcResult, Policy, Walk};
use pli_mailauth::dns::{Resolver, Zone};
use pli_mailauth::message::Message;
use pli_mailauth::results;

const RFC_8463: &[u8] = include_bytes!("data/rfc8463.eml");
const NOW: u64 = 1_700_000_000;

const ZONE: &str = r#"
$ORIGIN example.com.
brisbane._domainkey.football TXT "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
test._domainkey.football TXT "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR"
 "iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutAC"
 "DfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3"
 "Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
"#;

fn zone(text: &str) -> Resolver {
    Resolver::of_zone(Arc::new(Zone::parse(text).unwrap()))
}

fn signer(selector: &str) -> Signer {
    let mut pkcs8 =
        vec![0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
    pkcs8.extend(selector.bytes().cycle().take(32));
    Signer::new("a.test", selector, Algorithm::Ed25519Sha256, &pkcs8).unwrap()
}

async fn dkim(dns: &Resolver, raw: &[u8]) -> Vec<(DkimResult, String)> {
    let message = Message::parse(raw);
    let found = verify(dns, &message, &mut Bodies::of_message(&message), NOW).await;
    found.into_iter().map(|one| (one.result, one.reason)).collect()
}

#[tokio::test]
async fn the_message_of_rfc_8463() {
    let text = ZONE.replace("TXT \"v=DKIM1; k=rsa", "TXT ( \"v=DKIM1; k=rsa").replace("w3QIDAQAB\"", "w3QIDAQAB\" )");
    let dns = zone(&text);
    let found = dkim(&dns, RFC_8463).await;
    assert_eq!(found.iter().map(|f| f.0).collect::<Vec<_>>(), [DkimResult::Pass, DkimResult::Pass], "{found:?}");
    let changed = String::from_utf8(RFC_8463.to_vec()).unwrap();
    for (old, new) in [("dinner", "supper"), ("hungry", "thirsty")] {
        let found = dkim(&dns, changed.replace(old, new).as_bytes()).await;
        assert!(found.iter().all(|f| f.0 == DkimResult::Fail), "{old}: {found:?}");
    }
    // Blanks may change (relaxed), and fields that are not signed may come.
    let moved = changed.replace("Is dinner ready?", " Is  dinner\r\n\tready? ");
    assert!(dkim(&dns, format!("X: y\r\n{moved}").as_bytes()).await.iter().all(|f| f.0 == DkimResult::Pass));
    // Another From would be seen, and is signed not to be there.
    assert!(
        dkim(&dns, format!("From: evil@x.test\r\n{changed}").as_bytes()).await.iter().all(|f| f.0 == DkimResult::Fail)
    );
    let lost =
        zone("_domainkey.football.example.com FAULT servfail\ntest._domainkey.football.example.com FAULT servfail\n");
    let found = dkim(&lost, RFC_8463).await;
    assert_eq!((found[0].0, found[1].0), (DkimResult::PermError, DkimResult::TempError));
}

fn own_zone(more: &str) -> Resolver {
    let keys: String = ["s1", "s2"].map(|s| format!("{s}._domainkey.a.test TXT \"{}\"\n", signer(s).record())).concat();
    zone(&format!("{keys}{more}"))
}

const MAIL: &str = "From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\n\
                    Message-ID: <1@a.test>\r\n\r\nHello.  \r\n\r\nBye.\r\n\r\n";

#[tokio::test]
async fn what_is_signed_verifies() {
    let dns = own_zone("");
    let message = Message::parse(MAIL.as_bytes());
    let signed = format!("{}{MAIL}", signer("s1").sign(&message, NOW).unwrap());
    assert!(signed.lines().all(|line| line.len() <= 78 && !line.ends_with('\r')), "{signed}");
    assert_eq!(dkim(&dns, signed.as_bytes()).await[0].0, DkimResult::Pass);
    // §8.15: no second Subject, no second To.
    for field in ["Subject: other\r\n", "To: x@y.test\r\n", "Content-Type: text/html\r\n"] {
        assert_eq!(dkim(&dns, format!("{field}{signed}").as_bytes()).await[0].0, DkimResult::Fail, "{field}");
    }
    // What the signature itself says is signed.
    let other = signed.replace("t=1700000000", "t=1699999999");
    assert_eq!(dkim(&dns, other.as_bytes()).await[0].0, DkimResult::Fail);
}

#[tokio::test]
async fn signatures_that_prove_nothing() {
    let good = "v=1; a=ed25519-sha256; d=a.test; s=s1; h=from; bh=YQ==; b=YQ==";
    let dns = own_zone("");
    for (old, new, reason) in [
        ("a=ed25519-sha256", "a=rsa-sha1", "rsa-sha1"),
        ("h=from", "h=to", "From is not signed"),
        ("v=1", "v=2", "version"),
        ("s=s1", "s=s1; x=1600000000", "expired"),
        ("s=s1", "s=s1; t=1900000000", "future"),
        ("s=s1", "s=s1; i=@b.test", "identity"),
        ("s=s1", "s=s1; i=@evila.test", "identity"),
        ("d=a.test", "d=test", "no domain of anybody"),
        ("d=a.test", "d=a.test; d=b.test", "twice"),
        ("b=YQ==", "b=!", "base64"),
    ] {
        let raw = format!("DKIM-Signature: {}\r\nFrom: a@a.test\r\n\r\n", good.replacen(old, new, 1));
        let found = dkim(&dns, raw.as_bytes()).await;
        assert_eq!(found[0].0, DkimResult::PermError, "{new}: {found:?}");
        assert!(found[0].1.contains(reason), "{new}: {found:?}");
    }
    let many = "DKIM-Signature: v=1\r\n".repeat(100);
    assert!(dkim(&dns, many.as_bytes()).await.len() <= 8);
}

#[tokio::test]
async fn a_chain_of_seals() {
    let dns = own_zone("");
    let message = MAIL.as_bytes();
    let state = async |raw: &[u8]| {
        let message = Message::parse(raw);
        arc::verify(&dns, &message, &mut Bodies::of_message(&message), NOW).await
    };
    assert_eq!(state(message).await.state, ChainState::None);
    let one = arc::seal(&signer("s1"), message, "a.test; spf=pass", ChainState::None, NOW).unwrap().unwrap();
    let once = format!("{one}{MAIL}");
    assert_eq!(state(once.as_bytes()).await.state, ChainState::Pass, "{:?}", state(once.as_bytes()).await);
    let two = arc::seal(&signer("s2"), once.as_bytes(), "b.test; arc=pass", ChainState::Pass, NOW).unwrap().unwrap();
    let twice = format!("{two}{once}");
    let found = state(twice.as_bytes()).await;
    assert_eq!((found.state, found.sets, found.sealer.as_deref()), (ChainState::Pass, 2, Some("a.test")));
    for (old, new) in [
        ("Hello", "Hallo"),
        ("spf=pass", "spf=fail"),
        ("cv=pass", "cv=none"),
        ("ARC-Seal: i=1", "ARC-Seal: i=3"),
        ("i=2; b.test", "i=2; c.test"),
    ] {
        assert!(twice.contains(old), "{old}");
        assert_eq!(state(twice.replacen(old, new, 1).as_bytes()).await.state, ChainState::Fail, "{new}");
    }
    // A broken chain is not gone on with.
    assert_eq!(arc::seal(&signer("s1"), twice.as_bytes(), "x", ChainState::Fail, NOW), Ok(None));
    // Every set is signed by the next: none can be taken away.
    let without = twice.replacen(&one, "", 1);
    assert_eq!(state(without.as_bytes()).await.state, ChainState::Fail);
}

#[tokio::test]
async fn dmarc_finds_organisation_and_policy() {
    let dns = zone(
        "_dmarc.org.test TXT \"v=DMARC1; p=reject; sp=quarantine; np=reject\"\nmail.org.test A 192.0.2.1\n\
         _dmarc.own.org.test TXT \"v=DMARC1; p=none; psd=n\"\n_dmarc.reg.test TXT \"v=DMARC1; p=none; psd=y\"\n\
         _dmarc.twice.test TXT \"v=DMARC1; p=reject\"\n_dmarc.twice.test TXT \"v=DMARC1; p=none\"\n_dmarc.lost.test FAULT servfail\n\
         _dmarc.try.test TXT \"v=DMARC1; p=reject; t=y\"\n_dmarc.strict.test TXT \"v=DMARC1; p=reject; adkim=s; aspf=s\"\n",
    );
    for (domain, organisation) in [
        ("org.test", "org.test"),
        ("a.b.org.test", "org.test"),
        ("x.own.org.test", "own.org.test"),
        ("a.b.reg.test", "b.reg.test"),
        ("reg.test", "reg.test"),
        ("none.test", "none.test"),
    ] {
        assert_eq!(Walk::up(&dns, domain).await.unwrap().organisation(), organisation, "{domain}");
    }
    let of = async |from: &str, dkim: &[&str], spf| pli_mailauth::dmarc::check(&dns, from, dkim, spf, false).await;
    for (from, dkim, spf, result, policy) in [
        ("org.test", &["org.test"][..], None, DmarcResult::Pass, Policy::None),
        ("org.test", &["news.org.test"], None, DmarcResult::Pass, Policy::None),
        ("org.test", &[], Some("bounce.org.test"), DmarcResult::Pass, Policy::None),
        ("org.test", &["own.org.test"], None, DmarcResult::Fail, Policy::Reject),
        ("org.test", &["notorg.test", "test"], Some("evil.test"), DmarcResult::Fail, Policy::Reject),
        ("mail.org.test", &[], None, DmarcResult::Fail, Policy::Quarantine),
        ("absent.org.test", &[], None, DmarcResult::Fail, Policy::Reject),
        ("try.test", &[], None, DmarcResult::Fail, Policy::Quarantine),
        ("strict.test", &["a.strict.test"], Some("b.strict.test"), DmarcResult::Fail, Policy::Reject),
        ("strict.test", &[], Some("strict.test"), DmarcResult::Pass, Policy::None),
        ("twice.test", &[], None, DmarcResult::None, Policy::None),
        ("none.test", &[], None, DmarcResult::None, Policy::None),
        ("lost.test", &[], None, DmarcResult::TempError, Policy::None),
    ] {
        let found = of(from, dkim, spf).await;
        assert_eq!((found.result, found.policy), (result, policy), "{from} {dkim:?} {spf:?}: {found:?}");
    }
}

#[tokio::test]
async fn all_checks_and_what_they_lead_to() {
    let dns = own_zone(
        "_dmarc.a.test TXT \"v=DMARC1; p=reject\"\na.test TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
         1.2.0.192.in-addr.arpa PTR mx.a.test.\nmx.a.test A 192.0.2.1\n_dmarc.q.test TXT \"v=DMARC1; p=quarantine\"\n\
         _dmarc.lost.test FAULT servfail\n",
    );
    let config = MailAuthConfig::default();
    let run = async |config: &MailAuthConfig, ip: [u8; 4], from: &[&str], message: &str| {
        let from: Vec<String> = from.iter().map(|s| (*s).to_owned()).collect();
        let incoming = Incoming {
            ip: ip.into(),
            helo: "mx.a.test",
            mail_from: Some(("ann", "a.test")),
            from_domains: &from,
            message: Bytes::from(message.to_owned()),
            server: "mx.b.test",
            now_s: i64::try_from(NOW).unwrap(),
        };
        check(&dns, config, &incoming).await
    };
    let good = run(&config, [192, 0, 2, 1], &["a.test"], MAIL).await;
    assert_eq!(good.disposition, Disposition::Accept);
    let field = results::field("mx.b.test", &good);
    for part in
        ["iprev=pass (mx.a.test)", "spf=pass", "smtp.mailfrom=a.test", "dkim=none", "dmarc=pass", "header.from=a.test"]
    {
        assert!(field.contains(part), "{part}: {field}");
    }
    let bad = run(&config, [192, 0, 2, 9], &["a.test"], MAIL).await;
    assert!(matches!(&bad.disposition, Disposition::Refuse("5.7.26", _)), "{bad:?}");
    assert_eq!(bad.summary(), "iprev=permerror spf=fail dmarc=fail policy=reject -> refuse");
    assert_eq!(run(&config, [192, 0, 2, 1], &["q.test"], MAIL).await.disposition, Disposition::Quarantine);
    // Any of several domains may be the one that a reader sees.
    let both = run(&config, [192, 0, 2, 9], &["nobody.test", "a.test"], MAIL).await;
    assert!(matches!(both.disposition, Disposition::Refuse(..)));
    let report = MailAuthConfig { dmarc: pli_mailauth::check::DmarcMode::Report, ..config.clone() };
    assert_eq!(run(&report, [192, 0, 2, 9], &["a.test"], MAIL).await.disposition, Disposition::Accept);
    assert_eq!(run(&config, [192, 0, 2, 9], &["lost.test"], MAIL).await.disposition, Disposition::Accept);
    let defer = MailAuthConfig { temporary: Temporary::Defer, ..config.clone() };
    assert!(matches!(run(&defer, [192, 0, 2, 9], &["lost.test"], MAIL).await.disposition, Disposition::Defer(..)));
    // A seal by somebody who is trusted.
    let sealed =
        arc::seal(&signer("s1"), MAIL.as_bytes(), "x.test; dmarc=pass", ChainState::None, NOW).unwrap().unwrap();
    let forwarded = format!("{sealed}{MAIL}").replace("From: Ann <ann@a.test>", "From: Ann <ann@a.test>");
    assert!(matches!(run(&config, [192, 0, 2, 9], &["a.test"], &forwarded).await.disposition, Disposition::Refuse(..)));
    let trusting = MailAuthConfig { trusted_sealers: vec![String::from("a.test")], ..config };
    assert_eq!(run(&trusting, [192, 0, 2, 9], &["a.test"], &forwarded).await.disposition, Disposition::Accept);
}
