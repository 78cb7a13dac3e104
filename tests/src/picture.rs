//! Every answer of a server, as JSON: what the command line tells about
//! accounts, aliases, domains, quotas, queue and audit log, and what each
//! account's IMAP session sees. Two pictures are compared field by field; a
//! later program may tell more than an earlier one, never something else.

use serde_json::{Map, Value, json};

use crate::imap::{Answer, Imap};
use crate::{Account, Instance};

/// Takes the picture of a serving instance.
pub fn take(instance: &Instance, accounts: &[Account]) -> Value {
    let told = |words: &[&str]| -> Value {
        let text = instance.pli(&[words, &["--json"]].concat()).good();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}\n{text}"))
    };
    let mut seen = Map::new();
    for account in accounts {
        seen.insert(account.address.clone(), account_seen(instance, account));
    }
    json!({
        "accounts": told(&["account", "list"]),
        "aliases": told(&["alias", "list"]),
        "domains": told(&["domain", "list"]),
        "quotas": told(&["quota", "show"]),
        "queue": told(&["queue", "list"]),
        "imap": seen,
    })
}

/// The audit log's events, one JSON a line.
pub fn audit(instance: &Instance) -> Vec<Value> {
    let text = instance.pli(&["audit", "export"]).good();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// What differs: all of `before` must be in `now`, with the same value; the
/// fields that only `now` has are a later program's.
pub fn differences(before: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", before, now, &mut found);
    found
}

fn compare(place: &str, before: &Value, now: &Value, found: &mut Vec<String>) {
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (name, value) in before {
                compare(&format!("{place}/{name}"), value, now.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (at, (before, now)) in before.iter().zip(now).enumerate() {
                compare(&format!("{place}/{at}"), before, now, found);
            }
        }
        _ if before == now => {}
        _ => found.push(format!("{place}: was {before}, is {now}")),
    }
}

fn without_mailbox_limit(line: &str) -> String {
    line.find(" MAILBOX ").map_or_else(|| line.to_owned(), |at| format!("{})", &line[..at]))
}

fn account_seen(instance: &Instance, account: &Account) -> Value {
    let mut imap = Imap::login(instance, account).unwrap();
    imap.ok("ENABLE QRESYNC").unwrap();
    // What the store holds. The limit on mailboxes is the configuration's, and earlier programs did not tell it.
    let told = lines(&imap.ok("GETQUOTAROOT INBOX").unwrap());
    let quota: Vec<String> = told.into_iter().map(|line| without_mailbox_limit(&line)).collect();
    let subscribed = listed(&imap.ok("LIST (SUBSCRIBED) \"\" \"*\"").unwrap());
    let mut mailboxes = Map::new();
    let all = listed(&imap.ok("LIST \"\" \"*\"").unwrap());
    // A name that only holds others is a later program's view of the past: it is no mailbox, and changes with the hours.
    let is_view = |attributes: &Value| attributes.as_array().unwrap().iter().any(|word| word == "\\Noselect");
    let views: Vec<String> = all.iter().filter(|(_, a)| is_view(a)).map(|(name, _)| name.clone()).collect();
    for (name, attributes) in all {
        if views.iter().any(|view| name.starts_with(view.trim_end_matches('"'))) {
            continue;
        }
        let mut mailbox = mailbox_seen(&mut imap, &name);
        mailbox["attributes"] = attributes;
        mailboxes.insert(name, mailbox);
    }
    imap.logout();
    json!({ "quota": quota, "subscribed": subscribed, "mailboxes": mailboxes })
}

fn mailbox_seen(imap: &mut Imap, name: &str) -> Value {
    let status = "STATUS NAME (MESSAGES UNSEEN UIDNEXT UIDVALIDITY HIGHESTMODSEQ SIZE DELETED)";
    let status = lines(&imap.ok(&status.replace("NAME", name)).unwrap());
    // RFC 7162 §3.2.5: a client that has seen nothing since modseq 1 is told all that went.
    let select = imap.ok(&format!("EXAMINE {name}")).unwrap();
    let items = "UID FLAGS INTERNALDATE RFC822.SIZE MODSEQ ENVELOPE BODYSTRUCTURE";
    let fetched = imap.ok(&format!("UID FETCH 1:* ({items})")).unwrap();
    let bodies = imap.bodies().unwrap();
    let vanished = imap.ok("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 1 VANISHED)").unwrap();
    let vanished: Vec<String> = lines(&vanished).into_iter().filter(|line| line.contains("VANISHED")).collect();
    let words = ["SUBJECT invoice", "BODY orchard", "KEYWORD Later", "FROM \"Zoë\"", "LARGER 4000", "DELETED"];
    let searches: Map<String, Value> = words
        .iter()
        .map(|word| {
            let charset = if word.is_ascii() { "" } else { "CHARSET UTF-8 " };
            let answer = imap.raw(format!("UID SEARCH {charset}{word}").as_bytes()).unwrap();
            assert!(answer.tagged.starts_with("OK"), "{word}: {}", answer.tagged);
            ((*word).to_owned(), json!(lines(&answer)))
        })
        .collect();
    json!({
        "status": status,
        "select": coded(&lines(&select)),
        "messages": lines(&fetched),
        "bodies": bodies.iter().map(|(uid, bytes)| json!([uid, bytes.len(), sha256(bytes)])).collect::<Vec<_>>(),
        "vanished": vanished,
        "searches": searches,
    })
}

fn lines(answer: &Answer) -> Vec<String> {
    answer.untagged.iter().map(|line| String::from_utf8_lossy(line).trim_end().to_owned()).collect()
}

/// What SELECT tells in numbers; wording and order are free.
fn coded(lines: &[String]) -> Value {
    let code = |name: &str| {
        lines.iter().find_map(|line| Some(line.split(&format!("[{name} ")).nth(1)?.split(']').next()?.to_owned()))
    };
    json!({
        "uid_validity": code("UIDVALIDITY"),
        "uid_next": code("UIDNEXT"),
        "highest_modseq": code("HIGHESTMODSEQ"),
        "flags": lines.iter().find(|line| line.starts_with("* FLAGS")),
        "exists": lines.iter().find(|line| line.ends_with(" EXISTS")),
    })
}

/// Names, as LIST quotes them, with their attributes in order.
fn listed(answer: &Answer) -> Map<String, Value> {
    let mut found = Map::new();
    for line in lines(answer) {
        let Some(rest) = line.strip_prefix("* LIST (") else { continue };
        let (attributes, rest) = rest.split_once(") ").unwrap();
        let mut attributes: Vec<&str> = attributes.split_whitespace().collect();
        attributes.sort_unstable();
        let (_, name) = rest.split_once(' ').unwrap();
        found.insert(name.to_owned(), json!(attributes));
    }
    found
}

fn sha256(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::differences;
    use serde_json::json;

    #[test]
    fn more_is_no_difference_and_else_is() {
        let before = json!({"a": [1, {"b": "x"}]});
        assert!(differences(&before, &json!({"a": [1, {"b": "x", "new": 1}], "c": 2})).is_empty());
        assert_eq!(differences(&before, &json!({"a": [1, {"b": "y"}]})).len(), 1);
        assert_eq!(differences(&before, &json!({"a": [1]})).len(), 1);
        assert_eq!(differences(&before, &json!({})).len(), 1);
    }
}
