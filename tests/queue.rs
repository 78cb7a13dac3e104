//! `pli queue` and `pli trace` against a running server, and without one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: a panic is the failure report"
)]

use std::time::{Duration, Instant};

use pli_tests::smtp::Smtp;
use pli_tests::{Builder, Instance};
use serde_json::Value;

const CODE_USAGE: i32 = 64;
const CODE_DATA: i32 = 65;
const CODE_NO_INPUT: i32 = 66;

fn json(instance: &Instance, words: &[&str]) -> Value {
    let mut all = words.to_vec();
    all.push("--json");
    serde_json::from_str(&instance.pli(&all).good()).unwrap()
}

fn ids(list: &Value) -> Vec<u64> {
    list.as_array().unwrap().iter().map(|row| row["id"].as_u64().unwrap()).collect()
}

/// Waits until the list is so; fails after 30 s.
fn until(instance: &Instance, what: &str, words: &[&str], so: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let list = json(instance, words);
        if so(&list) {
            return list;
        }
        assert!(Instant::now() < end, "not so: {what}: {list}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Three recipients at a port where nobody listens.
fn with_a_queue() -> (Instance, String) {
    let instance = Builder::default()
        .config("queue", "routes = { \"away.test\" = \"127.0.0.1:9\", \"slow.test\" = \"127.0.0.1:9\" }")
        .config("queue", "retry_s = [3600]")
        .start();
    let account = instance.account();
    let message = "Message-ID: <One.Two@client.test>\r\nSubject: s\r\n\r\ntext\r\n";
    let mut session = Smtp::submission(&instance, &account).unwrap();
    let to = ["ann@away.test", "bob@away.test", "cyd@slow.test"];
    session.send(&account.address, &to, message.as_bytes()).unwrap();
    session.quit();
    let tried = |list: &Value| list.as_array().unwrap().iter().all(|row| row["attempts"] == 1);
    until(&instance, "tried once", &["queue", "list"], tried);
    (instance, account.address)
}

#[test]
fn filters_name_entries_and_dry_runs_change_nothing() {
    let (instance, sender) = with_a_queue();
    let all = ids(&json(&instance, &["queue", "list"]));
    assert_eq!(all.len(), 3);
    for (filter, count) in [
        (vec!["--domain", "away.test"], 2),
        (vec!["--to", "CYD@slow.test"], 1),
        (vec!["--from", &sender], 3),
        (vec!["--from", "<>"], 0),
        (vec!["--error", "REFUSED"], 3),
        (vec!["--error", "no such words"], 0),
        (vec!["--older", "1h"], 0),
        (vec!["--older", "0s", "--domain", "slow.test"], 1),
        (vec!["--held"], 0),
    ] {
        let words = [vec!["queue", "list"], filter.clone()].concat();
        assert_eq!(json(&instance, &words).as_array().unwrap().len(), count, "{filter:?}");
    }
    let dry = json(&instance, &["queue", "drop", "--all", "--dry-run"]);
    assert_eq!(dry.as_array().unwrap().len(), 3);
    assert!(dry.as_array().unwrap().iter().all(|row| row["dry_run"] == true));
    assert_eq!(ids(&json(&instance, &["queue", "list"])), all);
    // Everything is never meant by saying nothing.
    assert_eq!(instance.pli(&["queue", "drop"]).code, CODE_DATA);
    assert_eq!(instance.pli(&["queue", "drop", "1", "--all"]).code, CODE_USAGE);
    assert_eq!(instance.pli(&["queue", "list", "--older", "soon"]).code, CODE_USAGE);
    assert_eq!(instance.pli(&["queue", "show", "999999"]).code, CODE_NO_INPUT);
    assert_eq!(instance.pli(&["queue", "reroute", "--via", "nowhere", "--all"]).code, CODE_DATA);

    let held = json(&instance, &["queue", "hold", "--domain", "away.test"]);
    assert!(held.as_array().unwrap().iter().all(|row| row["held"] == true));
    assert_eq!(json(&instance, &["queue", "list", "--held"]).as_array().unwrap().len(), 2);
    json(&instance, &["queue", "release", "--held"]);
    assert_eq!(json(&instance, &["queue", "list", "--held"]), serde_json::json!([]));
    let dropped = json(&instance, &["queue", "drop", "--to", "cyd@slow.test"]);
    assert_eq!(dropped[0]["dropped"], true);
    assert_eq!(json(&instance, &["queue", "list"]).as_array().unwrap().len(), 2);
}

#[test]
fn why_and_trace_tell_the_whole_story_with_the_server_and_without() {
    let (mut instance, _) = with_a_queue();
    let first = ids(&json(&instance, &["queue", "list", "--to", "ann@away.test"]))[0].to_string();
    for running in [true, false] {
        let why = json(&instance, &["queue", "why", &first]);
        assert_eq!(why["why"], if running { "waiting-to-retry" } else { "server-not-running" });
        let history = why["history"].as_array().unwrap();
        let attempt = history.iter().find(|event| event["what"] == "attempt").unwrap();
        assert!(attempt["reply"].as_str().unwrap().contains("127.0.0.1"), "{attempt}");
        let shown = instance.pli(&["queue", "why", &first]).good();
        assert!(shown.contains("last error"), "{shown}");
        for what in ["ann@away.test", &first] {
            let trace = json(&instance, &["trace", what]);
            assert!(trace.as_array().unwrap().iter().any(|event| event["what"] == "attempt"), "{what}: {trace}");
            assert!(instance.pli(&["trace", what]).good().contains("attempt"));
        }
        if running {
            instance.stop();
        }
    }
    assert_eq!(json(&instance, &["trace", "nobody@nowhere.test"]), serde_json::json!([]));
    // Who asked is recorded.
    let audit = instance.pli(&["audit", "tail", "-n", "50", "--json"]).good();
    assert!(audit.contains("trace-read"), "{audit}");
}

#[test]
fn a_frozen_domain_waits_and_a_rerouted_entry_goes_another_way() {
    let (instance, _) = with_a_queue();
    let frozen = json(&instance, &["queue", "freeze", "Away.test", "--reason", "asked to wait"]);
    assert_eq!((frozen["domain"].as_str(), frozen["recipients"].as_u64()), (Some("away.test"), Some(2)));
    json(&instance, &["queue", "retry", "--all"]);
    let slow = |list: &Value| list[0]["attempts"] == 2;
    until(&instance, "the other domain is tried", &["queue", "list", "--domain", "slow.test"], slow);
    let waiting = json(&instance, &["queue", "list", "--domain", "away.test"]);
    assert!(waiting.as_array().unwrap().iter().all(|row| row["attempts"] == 1 && row["frozen"] == true), "{waiting}");
    let first = ids(&waiting)[0].to_string();
    assert_eq!(json(&instance, &["queue", "why", &first])["why"], "domain-frozen");
    assert_eq!(json(&instance, &["queue", "frozen"])[0]["reason"], "asked to wait");
    assert_eq!(instance.pli(&["queue", "thaw", "slow.test"]).code, CODE_NO_INPUT);
    json(&instance, &["queue", "thaw", "away.test"]);
    let twice = |list: &Value| list.as_array().unwrap().iter().all(|row| row["attempts"] == 2);
    until(&instance, "tried after the thaw", &["queue", "list", "--domain", "away.test"], twice);

    // Another way: our own MX, which does not relay. The reply is the proof that it went there.
    let via = format!("127.0.0.1:{}", instance.port("smtp"));
    json(&instance, &["queue", "reroute", "--via", &via, &first]);
    until(&instance, "refused there and gone", &["queue", "list", "--to", "ann@away.test"], |list| {
        list.as_array().unwrap().is_empty()
    });
    let trace = json(&instance, &["trace", &first]);
    let end = trace.as_array().unwrap().last().unwrap();
    assert_eq!((end["what"].as_str(), end["rule"].as_str()), (Some("ended"), Some("failed")), "{trace}");
    assert!(end["reply"].as_str().unwrap().contains("550"), "{end}");
}
