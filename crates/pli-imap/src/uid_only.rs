//! UIDONLY (RFC 9586): once enabled, no command and no answer has a message number.

use pli_imap_proto::{CommandBody, SearchKey};

/// RFC 9586 §3.2, §3.5, §3.7, §3.8: whether a command means messages by number.
pub fn names_numbers(body: &CommandBody) -> bool {
    match body {
        CommandBody::Fetch { uid, .. }
        | CommandBody::Store { uid, .. }
        | CommandBody::Copy { uid, .. }
        | CommandBody::Move { uid, .. } => !uid,
        CommandBody::Search { uid, search }
        | CommandBody::Sort { uid, search, .. }
        | CommandBody::Thread { uid, search, .. } => !uid || has_numbers(&search.key),
        CommandBody::Append(prefix) => prefix.replaces.is_some_and(|replaces| !replaces.uid),
        CommandBody::ESearch { search, .. } => has_numbers(&search.key),
        CommandBody::Select { qresync: Some(qresync), .. } => qresync.matches.is_some(),
        _ => false,
    }
}

fn has_numbers(key: &SearchKey) -> bool {
    key.any(&|key| matches!(key, SearchKey::Numbers(_)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::names_numbers;

    #[test]
    fn commands_by_number_are_known() {
        let names =
            |line: &str| names_numbers(&pli_imap_proto::parse(format!("t {line}").as_bytes(), false).unwrap().body);
        for line in [
            "FETCH 1 FLAGS",
            "STORE 1 FLAGS ()",
            "COPY 1 a",
            "MOVE 1 a",
            "SEARCH ALL",
            "SORT (DATE) UTF-8 ALL",
            "THREAD REFS UTF-8 ALL",
            "UID SEARCH 1:5",
            "UID SEARCH OR SEEN NOT (FUZZY 3)",
            "UID SORT (DATE) UTF-8 1",
            "ESEARCH IN (personal) 1",
            "SELECT a (QRESYNC (1 2 1:3 (1 2)))",
        ] {
            assert!(names(line), "{line}");
        }
        for line in [
            "UID FETCH 1 FLAGS",
            "UID SEARCH UID 1:5",
            "UID SEARCH $",
            "EXPUNGE",
            "ESEARCH UID 1",
            "SELECT a (QRESYNC (1 2 1:3))",
        ] {
            assert!(!names(line), "{line}");
        }
    }
}
