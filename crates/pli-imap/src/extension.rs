//! The extensions: each capability with the standard that defines it, the file that holds it, and the tests beside the
//! transcripts that show it. `cargo xtask rfc` reads the rows as text and writes the conformance table of
//! `docs/imap.md`; so each row stands in one line.
//!
//! A transcript says what it shows in a line `# shows: NAME…`.

/// One extension.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// As the command table has it.
    pub capability: &'static str,
    /// Where it is defined.
    pub rfc: &'static str,
    /// The file that holds it, below `crates/`.
    pub file: &'static str,
    /// Tests that show it and are no transcripts: `file function`, from the repository's root.
    pub tests: &'static [&'static str],
}

const fn of(
    capability: &'static str,
    rfc: &'static str,
    file: &'static str,
    tests: &'static [&'static str],
) -> Extension {
    Extension { capability, rfc, file, tests }
}

/// Every capability of the command table.
#[rustfmt::skip]
pub const EXTENSIONS: &[Extension] = &[
    of("IMAP4rev1", "RFC 3501", "pli-imap/src/table.rs", &[]),
    of("IMAP4rev2", "RFC 9051", "pli-imap/src/table.rs", &[]),
    of("ID", "RFC 2971", "pli-imap/src/command/id.rs", &[]),
    of("AUTH=PLAIN", "RFC 4616", "pli-sasl/src/messages.rs", &[]),
    of("AUTH=LOGIN", "draft-murchison-sasl-login", "pli-sasl/src/messages.rs", &[]),
    of("AUTH=SCRAM-SHA-256", "RFC 7677, RFC 5802", "pli-sasl/src/scram.rs", &["tests/auth/scram.rs bound_and_unbound_over_imap_and_submission"]),
    of("AUTH=SCRAM-SHA-256-PLUS", "RFC 7677, RFC 9266", "pli-sasl/src/scram.rs", &["tests/auth/scram.rs bound_and_unbound_over_imap_and_submission"]),
    of("AUTH=OAUTHBEARER", "RFC 7628", "pli-sasl/src/token.rs", &["tests/auth/tokens.rs good_and_bad_tokens"]),
    of("AUTH=XOAUTH2", "Google's and Microsoft's", "pli-sasl/src/token.rs", &["tests/auth/tokens.rs good_and_bad_tokens"]),
    of("AUTH=EXTERNAL", "RFC 4422 App. A", "pli-sasl/src/messages.rs", &["tests/auth/certificates.rs a_certificate_names_its_account"]),
    of("SASL-IR", "RFC 4959", "pli-imap/src/command/authenticate.rs", &[]),
    of("LANGUAGE", "RFC 5255", "pli-imap/src/command/language.rs", &[]),
    of("ENABLE", "RFC 5161", "pli-imap/src/command/enable.rs", &[]),
    of("UTF8=ACCEPT", "RFC 6855", "pli-imap/src/command/enable.rs", &[]),
    of("UIDONLY", "RFC 9586", "pli-imap/src/uid_only.rs", &[]),
    of("CONDSTORE", "RFC 7162", "pli-imap/src/command/store.rs", &["crates/pli-imap/tests/model/main.rs every_session_believes_what_is_true"]),
    of("QRESYNC", "RFC 7162", "pli-imap/src/command/select.rs", &["crates/pli-imap/tests/model/main.rs every_session_believes_what_is_true"]),
    of("CREATE-SPECIAL-USE", "RFC 6154", "pli-imap/src/command/create.rs", &[]),
    of("CHILDREN", "RFC 3348", "pli-imap/src/command/list.rs", &[]),
    of("LIST-EXTENDED", "RFC 5258", "pli-imap/src/command/list.rs", &[]),
    of("LIST-STATUS", "RFC 5819", "pli-imap/src/command/list.rs", &[]),
    of("LIST-MYRIGHTS", "RFC 8440", "pli-imap/src/command/list.rs", &[]),
    of("LIST-METADATA", "RFC 9590", "pli-imap/src/command/metadata.rs", &[]),
    of("SPECIAL-USE", "RFC 6154", "pli-imap/src/command/list.rs", &[]),
    of("XLIST", "before RFC 6154", "pli-imap/src/command/list.rs", &[]),
    of("NAMESPACE", "RFC 2342", "pli-imap/src/command/namespace.rs", &[]),
    of("STATUS=SIZE", "RFC 8438", "pli-imap/src/command/status.rs", &[]),
    of("OBJECTID", "RFC 8474", "pli-imap/src/command/status.rs", &[]),
    of("LITERAL+", "RFC 7888", "pli-imap-proto/src/framer.rs", &[]),
    of("MULTIAPPEND", "RFC 3502", "pli-imap/src/command/append.rs", &["crates/pli-imap/tests/limits_of_messages.rs many_messages_in_one_append_are_all_or_nothing"]),
    of("APPENDLIMIT", "RFC 7889", "pli-imap/src/command/append.rs", &[]),
    of("CATENATE", "RFC 4469", "pli-imap/src/url.rs", &[]),
    of("REPLACE", "RFC 8508", "pli-imap/src/command/append.rs", &[]),
    of("IDLE", "RFC 2177", "pli-imap/src/command/idle.rs", &[]),
    of("UNSELECT", "RFC 3691", "pli-imap/src/command/close.rs", &[]),
    of("UIDPLUS", "RFC 4315", "pli-imap/src/command/expunge.rs", &[]),
    of("ESEARCH", "RFC 4731", "pli-imap/src/answer.rs", &[]),
    of("SEARCHRES", "RFC 5182", "pli-imap/src/saved.rs", &[]),
    of("WITHIN", "RFC 5032", "pli-imap/src/search.rs", &[]),
    of("PARTIAL", "RFC 9394", "pli-imap/src/answer.rs", &[]),
    of("SEARCH=FUZZY", "RFC 6203", "pli-imap/src/search.rs", &[]),
    of("CONTEXT=SEARCH", "RFC 5267", "pli-imap/src/context.rs", &[]),
    of("SAVEDATE", "RFC 8514", "pli-imap/src/command/fetch.rs", &[]),
    of("INPROGRESS", "RFC 9585", "pli-imap/src/session.rs", &["crates/pli-imap/tests/limits_of_messages.rs a_long_search_tells_how_far_it_is"]),
    of("MESSAGELIMIT", "RFC 9738", "pli-imap/src/session.rs", &["crates/pli-imap/tests/limits_of_messages.rs a_message_limit_is_announced_and_kept"]),
    of("FILTERS", "RFC 5466", "pli-imap/src/filters.rs", &[]),
    of("MULTISEARCH", "RFC 7377", "pli-imap/src/command/esearch.rs", &[]),
    of("NOTIFY", "RFC 5465", "pli-imap/src/notify.rs", &[]),
    of("UIDBATCHES", "RFC 10022", "pli-imap/src/command/context.rs", &[]),
    of("SORT", "RFC 5256", "pli-imap/src/command/sort.rs", &[]),
    of("SORT=DISPLAY", "RFC 5957", "pli-imap/src/command/sort.rs", &[]),
    of("ESORT", "RFC 5267", "pli-imap/src/command/sort.rs", &[]),
    of("CONTEXT=SORT", "RFC 5267", "pli-imap/src/context.rs", &[]),
    of("I18NLEVEL=1", "RFC 5255", "pli-imap/src/collate.rs", &[]),
    of("THREAD=ORDEREDSUBJECT", "RFC 5256", "pli-imap/src/command/thread.rs", &[]),
    of("THREAD=REFERENCES", "RFC 5256", "pli-imap/src/threading.rs", &[]),
    of("THREAD=REFS", "draft-ietf-morg-inthread", "pli-imap/src/threading.rs", &[]),
    of("BINARY", "RFC 3516", "pli-imap/src/message.rs", &[]),
    of("PREVIEW", "RFC 8970", "pli-imap/src/command/fetch.rs", &[]),
    of("MOVE", "RFC 6851", "pli-imap/src/command/move.rs", &[]),
    of("QUOTA", "RFC 9208", "pli-imap/src/command/quota.rs", &[]),
    of("QUOTA=RES-STORAGE", "RFC 9208", "pli-imap/src/command/quota.rs", &[]),
    of("QUOTA=RES-MESSAGE", "RFC 9208", "pli-imap/src/command/quota.rs", &["crates/pli-imap/tests/limits_of_messages.rs messages_count_against_a_quota_of_messages"]),
    of("QUOTA=RES-MAILBOX", "RFC 9208", "pli-imap/src/command/quota.rs", &[]),
    of("ACL", "RFC 4314", "pli-imap/src/command/acl.rs", &[]),
    of("RIGHTS=texk", "RFC 4314", "pli-imap/src/command/acl.rs", &[]),
    of("METADATA", "RFC 5464", "pli-imap/src/command/metadata.rs", &[]),
    of("METADATA-SERVER", "RFC 5464", "pli-imap/src/command/metadata.rs", &[]),
    of("URLAUTH", "RFC 4467", "pli-imap/src/command/urlauth.rs", &[]),
    of("URL-PARTIAL", "RFC 5550", "pli-imap-proto/src/url.rs", &[]),
    of("COMPRESS=DEFLATE", "RFC 4978", "pli-imap/src/deflate.rs", &["tests/auth/compress.rs compressed_sessions_idle_append_and_end"]),
    of("UNAUTHENTICATE", "RFC 8437", "pli-imap/src/command/unauthenticate.rs", &["tests/auth/compress.rs unauthenticate_begins_again"]),
];

#[cfg(test)]
mod tests {
    use super::EXTENSIONS;
    use crate::table::ROWS;

    #[test]
    fn every_capability_of_the_command_table_is_here_once() {
        let advertised = || ROWS.iter().flat_map(|row| row.capabilities);
        for name in advertised() {
            assert_eq!(EXTENSIONS.iter().filter(|known| known.capability == *name).count(), 1, "{name}");
        }
        for known in EXTENSIONS {
            assert!(advertised().any(|name| *name == known.capability), "{}", known.capability);
        }
    }
}
