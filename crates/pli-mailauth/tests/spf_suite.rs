//! The openspf suite for RFC 7208, as data (`data/spf-rfc7208.LICENSE`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::sync::Arc;

use pli_mailauth::dns::{Kind, Record, Resolver, Zone};
use pli_mailauth::spf::{Sender, check};
use serde_json::Value;

const SUITE: &str = include_str!("data/spf-rfc7208.json");

/// Tests whose result differs on purpose, with the reason.
const DEVIATIONS: [(&str, &str); 0] = [];

/// The suite writes bytes as the characters of the same number.
fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

fn joined(value: &Value) -> Vec<u8> {
    match value {
        Value::Array(parts) => parts.iter().flat_map(|part| bytes(part.as_str().unwrap())).collect(),
        other => bytes(other.as_str().unwrap()),
    }
}

fn host(value: &Value) -> String {
    value.as_str().unwrap().trim_end_matches('.').to_ascii_lowercase()
}

/// RFC 7208 has no type SPF: its records stand for TXT, unless TXT is there as well.
fn zone(data: &Value) -> Zone {
    let mut zone = Zone::default();
    for (name, entries) in data.as_object().unwrap() {
        let entries = entries.as_array().unwrap();
        let has_txt = entries.iter().any(|e| e.get("TXT").is_some());
        for entry in entries {
            let Some(entry) = entry.as_object() else {
                assert_eq!(entry, "TIMEOUT");
                // Records before it are served; what is not there times out.
                let known: Vec<Kind> = entries
                    .iter()
                    .filter_map(|e| e.as_object())
                    .flatten()
                    .filter(|(_, value)| *value != "NONE")
                    .filter_map(|(k, _)| Kind::NAMED.iter().find(|(n, _)| *n == k).map(|(_, kind)| *kind))
                    .collect();
                for (_, kind) in Kind::NAMED {
                    if !known.contains(&kind) {
                        zone.add_timeout(name, Some(kind));
                    }
                }
                continue;
            };
            for (kind, value) in entry {
                let record = match kind.as_str() {
                    "A" => Record::A(value.as_str().unwrap().parse().unwrap()),
                    "AAAA" => Record::Aaaa(value.as_str().unwrap().parse().unwrap()),
                    "MX" => Record::Mx {
                        preference: u16::try_from(value[0].as_u64().unwrap()).unwrap(),
                        host: host(&value[1]),
                    },
                    "PTR" => Record::Ptr(host(value)),
                    "CNAME" => {
                        zone.add_alias(name, &host(value));
                        continue;
                    }
                    "TXT" if value == "NONE" => continue,
                    "SPF" if has_txt => continue,
                    "TXT" | "SPF" => Record::Txt(joined(value)),
                    other => panic!("{other}"),
                };
                zone.add(name, record, false);
            }
        }
    }
    zone
}

#[tokio::test]
async fn the_suite() {
    let suite: Value = serde_json::from_str(SUITE).unwrap();
    let (mut run, mut wrong) = (0, Vec::new());
    for scenario in suite.as_array().unwrap() {
        let dns = Resolver::of_zone(Arc::new(zone(&scenario["zonedata"])));
        for (name, test) in scenario["tests"].as_object().unwrap() {
            run += 1;
            let text = |key: &str| test[key].as_str().unwrap_or_default();
            let mail_from =
                text("mailfrom").rsplit_once('@').or(Some(("", text("mailfrom"))).filter(|m| !m.1.is_empty()));
            let sender = Sender {
                ip: text("host").parse().unwrap(),
                helo: text("helo"),
                mail_from,
                receiver: "receiver.test",
                now_s: 1_700_000_000,
            };
            let outcome = check(&dns, &sender).await;
            let results: Vec<&str> = match &test["result"] {
                Value::Array(list) => list.iter().map(|r| r.as_str().unwrap()).collect(),
                one => vec![one.as_str().unwrap()],
            };
            if !results.contains(&outcome.result.name()) {
                wrong.push(format!("{name}: {results:?}, not {outcome:?}"));
            } else if let Some(wanted) = test["explanation"].as_str()
                && wanted != "DEFAULT"
                && outcome.explanation.as_deref() != Some(wanted)
            {
                wrong.push(format!("{name}: {wanted:?}, not {:?}", outcome.explanation));
            }
        }
    }
    wrong.retain(|line| !DEVIATIONS.iter().any(|(name, _)| line.starts_with(&format!("{name}:"))));
    assert!(run > 190, "{run}");
    assert!(wrong.is_empty(), "{} of {run}:\n{}", wrong.len(), wrong.join("\n"));
}
