//! The command table: one row a command. CAPABILITY, the state check, the check of actions and `docs/imap.md` come
//! from it. To add a command: its grammar in `pli-imap-proto`, a row here, a file in `command`, a transcript.

use std::fmt::Write as _;

use pli_sasl::{Mechanism, Terms};
use pli_types::Action;

use crate::config::ImapConfig;

/// RFC 9051 §3: in which states a command may be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct States(u8);

impl States {
    const NOT_AUTHENTICATED: Self = Self(1);
    const AUTHENTICATED: Self = Self(6);
    const SELECTED: Self = Self(4);
    const ANY: Self = Self(7);

    /// Whether the state before login is among them.
    #[must_use]
    pub const fn before_login(self) -> bool {
        self.0 & 1 != 0
    }
    /// Whether the state after login without a mailbox is among them.
    #[must_use]
    pub const fn after_login(self) -> bool {
        self.0 & 2 != 0
    }
    /// Whether the state with a mailbox open is among them.
    #[must_use]
    pub const fn with_mailbox(self) -> bool {
        self.0 & 4 != 0
    }
    /// Whether a mailbox must be open.
    #[must_use]
    pub const fn with_mailbox_only(self) -> bool {
        self.0 == Self::SELECTED.0
    }
    const fn words(self) -> &'static str {
        match self.0 {
            1 => "before login",
            4 => "mailbox selected",
            6 => "after login",
            _ => "any",
        }
    }
}

/// What a session may be told of its mailbox before the command's tagged answer (RFC 9051 §7.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Nothing: the mailbox is being closed, or the command tells by itself.
    Nothing,
    /// New messages and flags, no EXPUNGE: message numbers must hold.
    NoExpunge,
    /// Everything.
    All,
}

/// What a command asks of the gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing, and why that is right.
    Free(&'static str),
    /// One or more of these, by its arguments. Another one is refused as a defect.
    Actions(&'static [Action]),
}

/// One command.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// As [`pli_imap_proto::CommandBody::verb`] gives it.
    pub verb: &'static str,
    /// Where it may be given.
    pub states: States,
    /// What it may tell.
    pub tells: Tells,
    /// What CAPABILITY shows for it.
    pub capabilities: &'static [&'static str],
    /// What it asks of the gate.
    pub need: Need,
    /// Where it is defined.
    pub rfc: &'static str,
}

const SESSION: Need = Need::Free("touches the session only");

const fn row(
    verb: &'static str,
    states: States,
    tells: Tells,
    capabilities: &'static [&'static str],
    need: Need,
    rfc: &'static str,
) -> Row {
    Row { verb, states, tells, capabilities, need, rfc }
}

use Need::Actions;
use Tells::{All, NoExpunge, Nothing};

const READ: Need = Actions(&[Action::FetchMetadata, Action::FetchContent, Action::MarkSeen]);

/// Searches read filters (RFC 5466).
const FIND: Need = Actions(&[Action::Search, Action::GetMetadata]);

const REPLACE: Need = Actions(&[Action::List, Action::Append, Action::Expunge, Action::FetchContent]);

const NOTIFY: Need =
    Actions(&[Action::List, Action::Status, Action::FetchMetadata, Action::FetchContent, Action::Store]);

/// Every command.
pub const ROWS: &[Row] = &[
    row("CAPABILITY", States::ANY, All, &["IMAP4rev1", "IMAP4rev2"], SESSION, "RFC 9051 §6.1.1"),
    row("NOOP", States::ANY, All, &[], SESSION, "RFC 9051 §6.1.2"),
    row("LOGOUT", States::ANY, Nothing, &[], SESSION, "RFC 9051 §6.1.3"),
    row("ID", States::ANY, All, &["ID"], SESSION, "RFC 2971 §3.1"),
    row("STARTTLS", States::NOT_AUTHENTICATED, Nothing, &[], SESSION, "RFC 9051 §6.2.1"),
    row(
        "AUTHENTICATE",
        States::NOT_AUTHENTICATED,
        Nothing,
        &[
            "AUTH=PLAIN",
            "AUTH=LOGIN",
            "AUTH=SCRAM-SHA-256",
            "AUTH=SCRAM-SHA-256-PLUS",
            "AUTH=OAUTHBEARER",
            "AUTH=XOAUTH2",
            "AUTH=EXTERNAL",
            "SASL-IR",
        ],
        Actions(&[Action::Login]),
        "RFC 9051 §6.2.2",
    ),
    row("LOGIN", States::NOT_AUTHENTICATED, Nothing, &[], Actions(&[Action::Login]), "RFC 9051 §6.2.3"),
    row("LANGUAGE", States::ANY, All, &["LANGUAGE"], Actions(&[Action::List]), "RFC 5255 §3.2"),
    row("ENABLE", States::AUTHENTICATED, All, &["ENABLE", "UTF8=ACCEPT", "UIDONLY"], SESSION, "RFC 9051 §6.3.1"),
    row(
        "SELECT",
        States::AUTHENTICATED,
        Nothing,
        &["CONDSTORE", "QRESYNC"],
        Actions(&[Action::List, Action::Past, Action::Select, Action::OpenShared]),
        "RFC 9051 §6.3.2",
    ),
    row(
        "EXAMINE",
        States::AUTHENTICATED,
        Nothing,
        &[],
        Actions(&[Action::List, Action::Past, Action::Select, Action::OpenShared]),
        "RFC 9051 §6.3.3",
    ),
    row(
        "CREATE",
        States::AUTHENTICATED,
        All,
        &["CREATE-SPECIAL-USE"],
        Actions(&[Action::List, Action::Create]),
        "RFC 9051 §6.3.4",
    ),
    row("DELETE", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::Delete]), "RFC 9051 §6.3.5"),
    row(
        "RENAME",
        States::AUTHENTICATED,
        All,
        &[],
        Actions(&[Action::List, Action::Rename, Action::Create]),
        "RFC 9051 §6.3.6",
    ),
    row("SUBSCRIBE", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::Subscribe]), "RFC 9051 §6.3.7"),
    row("UNSUBSCRIBE", States::AUTHENTICATED, All, &[], Actions(&[Action::Subscribe]), "RFC 9051 §6.3.8"),
    row(
        "LIST",
        States::AUTHENTICATED,
        All,
        &["CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "LIST-MYRIGHTS", "LIST-METADATA", "SPECIAL-USE"],
        Actions(&[Action::List, Action::Past, Action::Status, Action::GetMetadata]),
        "RFC 9051 §6.3.9",
    ),
    row("LSUB", States::AUTHENTICATED, All, &[], Actions(&[Action::List]), "RFC 3501 §6.3.9"),
    row("XLIST", States::AUTHENTICATED, All, &["XLIST"], Actions(&[Action::List, Action::Past]), "before RFC 6154"),
    row("NAMESPACE", States::AUTHENTICATED, All, &["NAMESPACE"], Actions(&[Action::List]), "RFC 9051 §6.3.10"),
    row(
        "STATUS",
        States::AUTHENTICATED,
        All,
        &["STATUS=SIZE", "OBJECTID"],
        Actions(&[Action::List, Action::Past, Action::Status]),
        "RFC 9051 §6.3.11",
    ),
    row(
        "APPEND",
        States::AUTHENTICATED,
        All,
        &["LITERAL+", "MULTIAPPEND", "APPENDLIMIT", "CATENATE"],
        Actions(&[Action::List, Action::Append, Action::FetchContent]),
        "RFC 9051 §6.3.12",
    ),
    row("REPLACE", States::SELECTED, All, &["REPLACE"], REPLACE, "RFC 8508 §3.2"),
    row("UID REPLACE", States::SELECTED, All, &[], REPLACE, "RFC 8508 §3.3"),
    row("IDLE", States::AUTHENTICATED, All, &["IDLE"], SESSION, "RFC 9051 §6.3.13"),
    row("CHECK", States::SELECTED, All, &[], SESSION, "RFC 3501 §6.4.1"),
    row("CLOSE", States::SELECTED, Nothing, &[], Actions(&[Action::Expunge]), "RFC 9051 §6.4.1"),
    row("UNSELECT", States::SELECTED, Nothing, &["UNSELECT"], SESSION, "RFC 9051 §6.4.2"),
    row("EXPUNGE", States::SELECTED, All, &[], Actions(&[Action::Expunge]), "RFC 9051 §6.4.3"),
    row("UID EXPUNGE", States::SELECTED, All, &["UIDPLUS"], Actions(&[Action::Expunge]), "RFC 4315 §2.1"),
    row(
        "SEARCH",
        States::SELECTED,
        NoExpunge,
        &[
            "ESEARCH",
            "SEARCHRES",
            "WITHIN",
            "PARTIAL",
            "SEARCH=FUZZY",
            "CONTEXT=SEARCH",
            "SAVEDATE",
            "INPROGRESS",
            "MESSAGELIMIT",
            "FILTERS",
        ],
        FIND,
        "RFC 9051 §6.4.4",
    ),
    row("UID SEARCH", States::SELECTED, All, &[], FIND, "RFC 9051 §6.4.4"),
    row(
        "ESEARCH",
        States::AUTHENTICATED,
        All,
        &["MULTISEARCH"],
        Actions(&[Action::List, Action::Search, Action::GetMetadata]),
        "RFC 7377 §2",
    ),
    row("NOTIFY", States::AUTHENTICATED, Nothing, &["NOTIFY"], NOTIFY, "RFC 5465 §3.1"),
    row("CANCELUPDATE", States::SELECTED, All, &[], SESSION, "RFC 5267 §4.3.5"),
    row("UIDBATCHES", States::SELECTED, All, &["UIDBATCHES"], SESSION, "RFC 10022 §3"),
    row(
        "SORT",
        States::SELECTED,
        NoExpunge,
        &["SORT", "SORT=DISPLAY", "ESORT", "CONTEXT=SORT", "I18NLEVEL=1"],
        FIND,
        "RFC 5256 §3",
    ),
    row("UID SORT", States::SELECTED, All, &[], FIND, "RFC 5256 §3"),
    row(
        "THREAD",
        States::SELECTED,
        NoExpunge,
        &["THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "THREAD=REFS"],
        FIND,
        "RFC 5256 §3",
    ),
    row("UID THREAD", States::SELECTED, All, &[], FIND, "RFC 5256 §3"),
    row("FETCH", States::SELECTED, NoExpunge, &["BINARY", "PREVIEW"], READ, "RFC 9051 §6.4.5"),
    row("UID FETCH", States::SELECTED, All, &[], READ, "RFC 9051 §6.4.9"),
    row("STORE", States::SELECTED, NoExpunge, &[], Actions(&[Action::Store]), "RFC 9051 §6.4.6"),
    row("UID STORE", States::SELECTED, All, &[], Actions(&[Action::Store]), "RFC 9051 §6.4.9"),
    row(
        "COPY",
        States::SELECTED,
        All,
        &[],
        Actions(&[Action::List, Action::Copy, Action::CopyInto, Action::Restore]),
        "RFC 9051 §6.4.7",
    ),
    row(
        "UID COPY",
        States::SELECTED,
        All,
        &[],
        Actions(&[Action::List, Action::Copy, Action::CopyInto, Action::Restore]),
        "RFC 9051 §6.4.9",
    ),
    row(
        "MOVE",
        States::SELECTED,
        All,
        &["MOVE"],
        Actions(&[Action::List, Action::Move, Action::CopyInto]),
        "RFC 9051 §6.4.8",
    ),
    row(
        "UID MOVE",
        States::SELECTED,
        All,
        &[],
        Actions(&[Action::List, Action::Move, Action::CopyInto]),
        "RFC 9051 §6.4.9",
    ),
    row(
        "GETQUOTA",
        States::AUTHENTICATED,
        All,
        &["QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE", "QUOTA=RES-MAILBOX"],
        Actions(&[Action::GetQuota]),
        "RFC 9208 §4.1.2",
    ),
    row("GETQUOTAROOT", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::GetQuota]), "RFC 9208 §4.1.3"),
    row(
        "SETQUOTA",
        States::AUTHENTICATED,
        All,
        &[],
        Need::Free("always refused: quotas are set by administrators"),
        "RFC 9208 §4.1.1",
    ),
    row(
        "SETACL",
        States::AUTHENTICATED,
        All,
        &["ACL", "RIGHTS=texk"],
        Actions(&[Action::List, Action::SetAcl]),
        "RFC 4314 §3.1",
    ),
    row("DELETEACL", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::SetAcl]), "RFC 4314 §3.2"),
    row("GETACL", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::GetAcl]), "RFC 4314 §3.3"),
    row("LISTRIGHTS", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::GetAcl]), "RFC 4314 §3.4"),
    row("MYRIGHTS", States::AUTHENTICATED, All, &[], Actions(&[Action::List]), "RFC 4314 §3.5"),
    row(
        "GETMETADATA",
        States::AUTHENTICATED,
        All,
        &["METADATA", "METADATA-SERVER"],
        Actions(&[Action::List, Action::GetMetadata]),
        "RFC 5464 §4.2",
    ),
    row(
        "SETMETADATA",
        States::AUTHENTICATED,
        All,
        &[],
        Actions(&[Action::List, Action::SetPrivate, Action::SetMetadata]),
        "RFC 5464 §4.3",
    ),
    row(
        "GENURLAUTH",
        States::AUTHENTICATED,
        All,
        &["URLAUTH", "URL-PARTIAL"],
        Actions(&[Action::List, Action::UrlKey]),
        "RFC 4467 §7",
    ),
    row("RESETKEY", States::AUTHENTICATED, All, &[], Actions(&[Action::List, Action::UrlKey]), "RFC 4467 §7"),
    row("URLFETCH", States::AUTHENTICATED, All, &[], Actions(&[Action::UrlFetch]), "RFC 4467 §7"),
    row("COMPRESS", States::AUTHENTICATED, All, &["COMPRESS=DEFLATE"], SESSION, "RFC 4978 §3"),
    row("UNAUTHENTICATE", States::AUTHENTICATED, Nothing, &["UNAUTHENTICATE"], SESSION, "RFC 8437 §3"),
];

/// The row of a verb.
#[must_use]
pub fn find(verb: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.verb == verb)
}

/// The capability lists, made once from the rows.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Inside TLS, before login, with all mechanisms of AUTHENTICATE.
    pub before_login: String,
    /// Outside TLS: nobody may log in.
    pub in_the_clear: String,
    /// After login.
    pub after_login: String,
}

impl Capabilities {
    /// From the rows and the configuration.
    #[must_use]
    pub fn new(config: &ImapConfig) -> Self {
        let shown = |name: &str| {
            (name != "MESSAGELIMIT" || config.message_limit > 0)
                && !config.hidden_capabilities.iter().any(|hidden| hidden.eq_ignore_ascii_case(name))
        };
        let list = |keep: &dyn Fn(&str) -> bool| {
            let mut text = String::new();
            for name in ROWS.iter().flat_map(|row| row.capabilities).filter(|name| keep(name) && shown(name)) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(name);
                match *name {
                    // RFC 7889 §2: one limit for all mailboxes.
                    "APPENDLIMIT" => {
                        let _ = write!(text, "={}", config.message_bytes_max);
                    }
                    // RFC 9738 §3
                    "MESSAGELIMIT" => {
                        let _ = write!(text, "={}", config.message_limit);
                    }
                    _ => {}
                }
            }
            text
        };
        let login = |name: &str| name.starts_with("AUTH=") || name == "SASL-IR";
        Self {
            before_login: list(&|_| true),
            in_the_clear: format!("{} LOGINDISABLED", list(&|name| !login(name))),
            after_login: list(&|name| !login(name)),
        }
    }
}

impl Capabilities {
    /// Before login on a connection that allows these mechanisms.
    #[must_use]
    pub fn offering(&self, terms: &Terms) -> String {
        let fits = |word: &&str| match word.strip_prefix("AUTH=") {
            Some(mechanism) => Mechanism::find(mechanism, terms).is_some(),
            None => true,
        };
        let words: Vec<&str> = self.before_login.split(' ').filter(fits).collect();
        words.join(" ")
    }
}

/// The table of `docs/imap.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "| command | may be given | may tell before its answer | capabilities | actions at the gate | defined in |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in ROWS {
        let tells = match row.tells {
            Nothing => "nothing",
            NoExpunge => "all but EXPUNGE",
            All => "all",
        };
        let need = match row.need {
            Need::Free(why) => format!("none: {why}"),
            Actions(actions) => actions.iter().map(|a| a.name()).collect::<Vec<_>>().join(", "),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {tells} | {} | {need} | {} |",
            row.verb,
            row.states.words(),
            row.capabilities.join(" "),
            row.rfc
        );
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use pli_sasl::{Mechanism, Terms};

    use super::{Capabilities, Need, ROWS, find, markdown};
    use crate::ImapConfig;

    #[test]
    fn every_command_has_one_row_and_an_action_or_a_reason() {
        for row in ROWS {
            assert_eq!(ROWS.iter().filter(|other| other.verb == row.verb).count(), 1, "{}", row.verb);
            match row.need {
                Need::Free(why) => assert!(!why.is_empty(), "{}", row.verb),
                Need::Actions(actions) => assert!(!actions.is_empty(), "{}", row.verb),
            }
            assert!(!row.rfc.is_empty());
        }
    }

    #[test]
    fn every_command_that_the_grammar_reads_has_a_row() {
        for line in [
            "CAPABILITY",
            "NOOP",
            "LOGOUT",
            "ID NIL",
            "STARTTLS",
            "AUTHENTICATE PLAIN",
            "LOGIN a b",
            "ENABLE X",
            "SELECT a",
            "EXAMINE a",
            "CREATE a",
            "DELETE a",
            "RENAME a b",
            "SUBSCRIBE a",
            "UNSUBSCRIBE a",
            "LIST \"\" *",
            "LSUB \"\" *",
            "XLIST \"\" *",
            "NAMESPACE",
            "LANGUAGE fr",
            "STATUS a (MESSAGES)",
            "IDLE",
            "CHECK",
            "CLOSE",
            "UNSELECT",
            "EXPUNGE",
            "UID EXPUNGE 1",
            "SEARCH ALL",
            "UID SEARCH ALL",
            "ESEARCH IN (personal) ALL",
            "CANCELUPDATE \"a\"",
            "UIDBATCHES 500",
            "NOTIFY NONE",
            "SORT (DATE) UTF-8 ALL",
            "UID SORT (DATE) UTF-8 ALL",
            "THREAD REFERENCES UTF-8 ALL",
            "UID THREAD REFERENCES UTF-8 ALL",
            "FETCH 1 FLAGS",
            "UID FETCH 1 FLAGS",
            "STORE 1 FLAGS ()",
            "UID STORE 1 FLAGS ()",
            "COPY 1 a",
            "UID COPY 1 a",
            "MOVE 1 a",
            "UID MOVE 1 a",
            "GETQUOTA \"\"",
            "GETQUOTAROOT a",
            "SETQUOTA \"\" (STORAGE 1)",
            "SETACL a b lr",
            "DELETEACL a b",
            "GETACL a",
            "LISTRIGHTS a b",
            "MYRIGHTS a",
            "GETMETADATA a /shared/comment",
            "SETMETADATA a (/shared/comment NIL)",
            "GENURLAUTH x INTERNAL",
            "RESETKEY",
            "URLFETCH x",
            "COMPRESS DEFLATE",
            "UNAUTHENTICATE",
            "APPEND a {1}\r\nx",
            "REPLACE 1 a {1}\r\nx",
            "UID REPLACE 1 a {1}\r\nx",
        ] {
            let command = pli_imap_proto::parse(format!("t {line}").as_bytes(), false).unwrap();
            assert!(find(command.body.verb()).is_some(), "{line}");
        }
    }

    #[test]
    fn capabilities_come_once_and_login_only_before_it() {
        let lists = Capabilities::new(&ImapConfig::default());
        let words: Vec<&str> = lists.before_login.split(' ').collect();
        for word in &words {
            assert_eq!(words.iter().filter(|other| *other == word).count(), 1, "{word}");
        }
        assert!(words.contains(&"AUTH=PLAIN") && words.contains(&"IMAP4rev2") && words.contains(&"IMAP4rev1"));
        assert!(!lists.after_login.contains("AUTH="));
        assert!(lists.in_the_clear.ends_with("LOGINDISABLED") && !lists.in_the_clear.contains("AUTH="));
    }

    #[test]
    fn every_mechanism_is_in_the_table_and_offered_where_it_can_be_used() {
        let lists = Capabilities::new(&ImapConfig::default());
        for mechanism in Mechanism::ALL {
            let word = format!("AUTH={}", mechanism.name());
            assert!(lists.before_login.split(' ').any(|w| w == word), "{word}");
        }
        let plain = lists.offering(&Terms::default());
        assert!(plain.contains("AUTH=PLAIN AUTH=LOGIN AUTH=SCRAM-SHA-256 SASL-IR"), "{plain}");
        let bound = lists.offering(&Terms { binding: Some([0; 32]), ..Terms::default() });
        assert!(bound.contains("AUTH=SCRAM-SHA-256-PLUS") && !bound.contains("OAUTH") && !bound.contains("EXTERNAL"));
    }

    #[test]
    fn a_capability_can_be_hidden() {
        let config = ImapConfig { hidden_capabilities: vec![String::from("QRESYNC")], ..ImapConfig::default() };
        assert!(!Capabilities::new(&config).before_login.contains("QRESYNC"));
    }

    #[test]
    fn the_page_shows_the_table() {
        let page = include_str!("../../../docs/imap.md");
        assert!(page.contains(&markdown()), "docs/imap.md is behind the table; it should hold:\n{}", markdown());
    }
}
