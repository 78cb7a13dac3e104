//! The annotated file holds every key and parses; mistakes name line and reason.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;

use super::*;

const ANNOTATED: &str = include_str!("../../../../conf/pli.toml");

#[test]
fn the_annotated_file_parses_and_is_the_default() {
    let config = parse(ANNOTATED).unwrap();
    let least = parse("[server]\nhostname = \"mail.example.org\"\n[[profile]]\nname = \"x\"\nquota = 1\n").unwrap();
    assert_eq!(config.imap, least.imap);
    assert_eq!(config.mail_auth, least.mail_auth);
    assert_eq!(config.queue, least.queue);
    assert_eq!(format!("{:?}", config.listen), format!("{:?}", least.listen));
    assert_eq!(format!("{:?}", config.store), format!("{:?}", least.store));
    assert_eq!(format!("{:?}", config.keys), format!("{:?}", least.keys));
    assert_eq!(config.log, least.log);
    let names: Vec<_> = config.profile.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["student", "alumni", "staff", "teacher"]);
    assert_eq!(config.profile[0].quota, Limit(Some(2 << 30)));
}

/// The fields of a type, out of serde's own complaint about one that is not there.
fn fields<T: DeserializeOwned>(required: &str) -> BTreeSet<String> {
    let Err(error) = toml::from_str::<T>(&format!("{required}\nno_such_key_at_all = 1\n")) else {
        panic!("an unknown key was taken");
    };
    let message = error.message().to_owned();
    let (_, expected) = message.split_once("expected").unwrap_or_else(|| panic!("{message}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn keys(table: &toml::Table) -> BTreeSet<String> {
    table.keys().cloned().collect()
}

#[test]
fn every_key_of_every_section_is_in_the_annotated_file() {
    let file: toml::Table = ANNOTATED.parse().unwrap();
    let table = |name: &str| keys(file[name].as_table().unwrap());
    assert_eq!(keys(&file), fields::<Config>(""));
    assert_eq!(table("server"), fields::<Server>(""));
    assert_eq!(table("listen"), fields::<Listen>(""));
    for door in ["smtp", "submission", "submissions", "imaps", "pop3s", "lmtp"] {
        assert_eq!(keys(file["listen"][door].as_table().unwrap()), fields::<Door>(""), "{door}");
    }
    assert_eq!(table("tls"), fields::<Tls>(""));
    assert_eq!(table("store"), fields::<Store>(""));
    assert_eq!(keys(file["keys"]["pkcs11"].as_table().unwrap()), fields::<Token>(""));
    // `previous` is for the time of a move only: it has no default that a file could hold.
    let mut in_file = table("keys");
    in_file.insert(String::from("previous"));
    assert_eq!(in_file, fields::<Keys>(""));
    assert_eq!(table("imap"), fields::<ImapConfig>(""));
    assert_eq!(table("pop3"), fields::<Pop3Config>(""));
    assert_eq!(table("smtp"), fields::<SmtpConfig>(""));
    assert_eq!(table("mail_auth"), fields::<MailAuthConfig>(""));
    assert_eq!(table("queue"), fields::<QueueConfig>(""));
    assert_eq!(table("dns"), fields::<DnsSection>(""));
    assert_eq!(table("log"), fields::<Log>(""));
    for profile in file["profile"].as_array().unwrap() {
        assert_eq!(keys(profile.as_table().unwrap()), fields::<ProfileSection>(""));
    }
}

#[test]
fn mistakes_name_line_and_reason() {
    let line = |needle: &str| ANNOTATED.lines().position(|l| l.starts_with(needle)).unwrap() + 1;
    for (old, new, at, reason) in [
        ("port_offset = 0", "port_ofset = 0", line("port_offset"), "unknown field `port_ofset`"),
        ("port_offset = 0", "port_offset = \"many\"", line("port_offset"), "invalid type"),
        ("port_offset = 0", "port_offset = 65000", line("port_offset"), "above 65535"),
        ("hostname = \"mail.example.org\"", "hostname = \"mail\"", line("hostname"), "no full host name"),
        ("postmaster = \"admin@example.org\"", "postmaster = \"admin\"", line("postmaster"), "local@domain"),
        ("port = 587", "port = 993", line("port = 993"), "is the port of"),
        ("index_cache = \"16M\"", "index_cache = \"16X\"", line("index_cache"), "no size"),
        ("level = \"info\"", "level = \"in=fo=x\"", line("level"), "level"),
        ("resolver = \"system\"", "resolver = \"none\"", line("resolver"), "\"off\", \"system\""),
        ("name = \"alumni\"", "name = \"student\"", line("name = \"alumni\""), "there is a profile student already"),
        ("routes = {}", "routes = { \"a.test\" = \"b\" }", line("routes"), "not host:port"),
        ("private_networks = []", "private_networks = [\"10.0.0\"]", line("private_networks"), "no network"),
        ("hosts = []", "hosts = [{ host = \"a.test:25\" }]", line("hosts"), "no route leads to"),
        ("rotate_after = \"90d\"", "rotate_after = \"90\"", line("rotate_after"), "\"90d\", or \"never\""),
        ("source = \"file\"", "source = \"pkcs11\"", line("module"), "needed where the root key is in a token"),
        ("[log]", "[lag]", line("[log]"), "unknown field `lag`"),
    ] {
        assert!(ANNOTATED.contains(old), "{old}");
        let error = parse(&ANNOTATED.replacen(old, new, 1)).unwrap_err();
        assert!(error.starts_with(&format!("line {at}: ")), "{new}: {error}, not line {at}");
        assert!(error.contains(reason), "{new}: {error}");
    }
    let error = parse("[server]\nhostname = \"a.test\"\nthis is no toml\n").unwrap_err();
    assert!(error.starts_with("line 3: "), "{error}");
}

#[test]
fn lmtp_stays_on_loopback() {
    let text = ANNOTATED.replacen("[\"127.0.0.1\"]", "[\"0.0.0.0\", \"::\"]", 1);
    let loaded = Loaded { file: "x".into(), config: parse(&text).unwrap(), data_dir: ".".into() };
    for (name, _, addresses) in loaded.doors() {
        let loopback = addresses.iter().all(|a| a.ip().is_loopback());
        assert_eq!(loopback, name == "lmtp", "{name}");
    }
}
