//! Clients that trip over a capability do not get it: what is hidden from whom, and what then is no command.
//!
//! A quirk names a client by what ID says (RFC 2971) or an account by its address, or both; what it hides is neither
//! announced nor taken. Clients that behave may be told of a capability by nothing but CAPABILITY, so nothing else
//! changes for them.

use pli_imap_proto::{
    AppendPart, CommandBody, FetchItem, List, ListVerb, Metadata, Search, SearchKey, SortKey, StatusItem,
    ThreadAlgorithm,
};
use serde::Deserialize;

use crate::extension::EXTENSIONS;
use crate::table::Row;

/// What is hidden from a client, from an account, or from a client of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quirk {
    /// Name and version as ID has them, `Mailspring 1.0.*`: `*` is any text, case does not matter. Empty: any client.
    pub client: String,
    /// The account's address, `*@example.org`, in the same way. Empty: any account.
    pub account: String,
    /// The capabilities.
    pub hide: Vec<String>,
}

/// Known clients and what they trip over. `docs/imap.md` shows them.
pub const BUILT_IN: &[(&str, &[&str], &str)] =
    &[("Mailspring 1.0.*", &["QRESYNC"], "does not notice new mail where both QRESYNC and CONDSTORE are offered")];

/// A set of capabilities: one bit a row of [`EXTENSIONS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask(u128);

const _: () = assert!(EXTENSIONS.len() <= 128);

impl Mask {
    /// Of capabilities by their names; unknown ones are left out.
    pub fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(bit).fold(Self::default(), |mask, bit| Self(mask.0 | bit))
    }
    /// What both hide.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    /// Whether a capability is in it, with a value behind `=` or without.
    #[must_use]
    pub fn has(self, capability: &str) -> bool {
        self.0 != 0 && bit(capability).is_some_and(|bit| self.0 & bit != 0)
    }
    /// Whether nothing is hidden.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// A list of capabilities without those in it.
    #[must_use]
    pub fn apply(self, list: &str) -> String {
        list.split(' ').filter(|word| !self.has(word)).collect::<Vec<_>>().join(" ")
    }
}

fn bit(capability: &str) -> Option<u128> {
    let named = |name: &str| EXTENSIONS.iter().position(|known| known.capability.eq_ignore_ascii_case(name));
    let at = named(capability).or_else(|| named(capability.split('=').next()?))?;
    Some(1 << u32::try_from(at).ok()?)
}

/// Whether a name is one of a capability.
#[must_use]
pub fn is_known(capability: &str) -> bool {
    bit(capability).is_some()
}

/// All quirks, ready to be looked up.
#[derive(Clone, Debug, Default)]
pub struct Quirks {
    /// Hidden from everybody.
    always: Mask,
    rows: Vec<(String, String, Mask)>,
}

impl Quirks {
    /// Those of the configuration after the known ones.
    #[must_use]
    pub fn new(hidden: &[String], configured: &[Quirk]) -> Self {
        let known = BUILT_IN
            .iter()
            .map(|(client, hide, _)| (client.to_ascii_lowercase(), String::new(), Mask::of(hide.iter().copied())));
        let own = configured.iter().map(|quirk| {
            let hide = Mask::of(quirk.hide.iter().map(String::as_str));
            (quirk.client.to_ascii_lowercase(), quirk.account.to_ascii_lowercase(), hide)
        });
        Self { always: Mask::of(hidden.iter().map(String::as_str)), rows: known.chain(own).collect() }
    }
    /// What is hidden from a client and an account, as far as they are known.
    #[must_use]
    pub fn mask(&self, client: Option<&str>, account: Option<&str>) -> Mask {
        let [client, account] = [client, account].map(|text| text.map(str::to_ascii_lowercase));
        let fits = |pattern: &str, text: Option<&String>| {
            pattern.is_empty() || text.is_some_and(|text| matches(pattern.as_bytes(), text.as_bytes()))
        };
        self.rows
            .iter()
            .filter(|(of, to, _)| fits(of, client.as_ref()) && fits(to, account.as_ref()))
            .fold(self.always, |mask, (_, _, hide)| mask.with(*hide))
    }
}

/// Whether a pattern with `*` is a text: the last `*` alone is tried again, so it costs their product at most.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        match (pattern.get(p), text.get(t)) {
            (Some(b'*'), _) => {
                star = Some((p, t));
                p += 1;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                t += 1;
            }
            (None, None) => return true,
            _ => match star {
                Some((at, from)) if from < text.len() => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                _ => return false,
            },
        }
    }
}

/// Commands that belong to extensions: none is taken when all of these are hidden. Those of IMAP itself stand with an
/// extension for some of their arguments, and are taken.
const COMMANDS: &[(&str, &[&str])] = &[
    ("ID", &["ID"]),
    ("ENABLE", &["ENABLE"]),
    ("XLIST", &["XLIST"]),
    ("NAMESPACE", &["NAMESPACE"]),
    ("REPLACE", &["REPLACE"]),
    ("UID REPLACE", &["REPLACE"]),
    ("IDLE", &["IDLE"]),
    ("LANGUAGE", &["LANGUAGE"]),
    ("UNSELECT", &["UNSELECT"]),
    ("UID EXPUNGE", &["UIDPLUS"]),
    ("ESEARCH", &["MULTISEARCH"]),
    ("NOTIFY", &["NOTIFY"]),
    ("CANCELUPDATE", &["CONTEXT=SEARCH", "CONTEXT=SORT"]),
    ("UIDBATCHES", &["UIDBATCHES"]),
    ("SORT", &["SORT"]),
    ("UID SORT", &["SORT"]),
    ("MOVE", &["MOVE"]),
    ("UID MOVE", &["MOVE"]),
    ("GETQUOTA", &["QUOTA"]),
    ("GETQUOTAROOT", &["QUOTA"]),
    ("SETQUOTA", &["QUOTA"]),
    ("SETACL", &["ACL"]),
    ("DELETEACL", &["ACL"]),
    ("GETACL", &["ACL"]),
    ("LISTRIGHTS", &["ACL"]),
    ("MYRIGHTS", &["ACL"]),
    ("GETMETADATA", &["METADATA", "METADATA-SERVER"]),
    ("SETMETADATA", &["METADATA", "METADATA-SERVER"]),
    ("GENURLAUTH", &["URLAUTH"]),
    ("RESETKEY", &["URLAUTH"]),
    ("URLFETCH", &["URLAUTH"]),
    ("COMPRESS", &["COMPRESS=DEFLATE"]),
    ("UNAUTHENTICATE", &["UNAUTHENTICATE"]),
];

/// RFC 9051 Appendix E: these are part of IMAP4rev2, and stay once that is enabled.
const IN_REV2: &[&str] = &[
    "NAMESPACE",
    "UNSELECT",
    "UIDPLUS",
    "ESEARCH",
    "SEARCHRES",
    "ENABLE",
    "IDLE",
    "SASL-IR",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "MOVE",
    "LITERAL+",
    "BINARY",
    "SPECIAL-USE",
    "STATUS=SIZE",
];

/// Whether a capability is hidden, in a session that has enabled IMAP4rev2 or not.
#[must_use]
pub fn hides(mask: Mask, capability: &str, rev2: bool) -> bool {
    mask.has(capability) && !(rev2 && IN_REV2.contains(&capability))
}

/// Whether a command is none, because all that it belongs to is hidden.
#[must_use]
pub fn hides_command(mask: Mask, row: &Row, rev2: bool) -> bool {
    !mask.is_empty()
        && COMMANDS.iter().any(|(verb, of)| *verb == row.verb && of.iter().all(|name| hides(mask, name, rev2)))
}

/// Whether a command asks for something that is hidden.
#[must_use]
pub fn hides_part(mask: Mask, body: &CommandBody, rev2: bool) -> bool {
    !mask.is_empty() && uses(body).into_iter().any(|name| hides(mask, name, rev2))
}

/// The extensions that the arguments of a command are of.
fn uses(body: &CommandBody) -> Vec<&'static str> {
    let mut used = Vec::new();
    let mut add = |name: &'static str, when: bool| {
        if when {
            used.push(name);
        }
    };
    match body {
        CommandBody::Authenticate { mechanism, initial } => {
            add("SASL-IR", initial.is_some());
            let all = EXTENSIONS.iter().map(|known| known.capability);
            used.extend(all.filter(|name| name.strip_prefix("AUTH=") == Some(&**mechanism)));
        }
        CommandBody::Select { condstore, qresync, .. } => {
            add("CONDSTORE", *condstore);
            add("QRESYNC", qresync.is_some());
        }
        CommandBody::Create { special_use, unknown_use, .. } => {
            add("CREATE-SPECIAL-USE", !special_use.is_empty() || !unknown_use.is_empty());
        }
        CommandBody::Status { items, .. } => used.extend(items.iter().filter_map(of_status)),
        CommandBody::List(list) => of_list(list, &mut used),
        CommandBody::Append(prefix) => {
            let begins = prefix.parts.iter().filter(|part| matches!(part, AppendPart::Begin(_))).count();
            add("MULTIAPPEND", begins > 1);
            add("CATENATE", prefix.parts.iter().any(|part| matches!(part, AppendPart::Url(_))));
        }
        CommandBody::Search { search, .. } | CommandBody::ESearch { search, .. } => of_search(search, &mut used),
        CommandBody::Sort { criteria, search, .. } => {
            add(
                "SORT=DISPLAY",
                criteria.iter().any(|(key, _)| matches!(key, SortKey::DisplayFrom | SortKey::DisplayTo)),
            );
            add("ESORT", search.returns.is_some());
            add("CONTEXT=SORT", search.returns.is_some_and(|returns| returns.update));
            of_keys(&search.key, &mut used);
        }
        CommandBody::Thread { algorithm, search, .. } => {
            add("THREAD=ORDEREDSUBJECT", *algorithm == ThreadAlgorithm::OrderedSubject);
            add("THREAD=REFERENCES", *algorithm == ThreadAlgorithm::References);
            add("THREAD=REFS", *algorithm == ThreadAlgorithm::Refs);
            of_keys(&search.key, &mut used);
        }
        CommandBody::Fetch { items, changed_since, vanished, partial, .. } => {
            add("CONDSTORE", changed_since.is_some());
            add("QRESYNC", *vanished);
            add("PARTIAL", partial.is_some());
            used.extend(items.iter().filter_map(of_fetch));
        }
        CommandBody::Store { unchanged_since, .. } => add("CONDSTORE", unchanged_since.is_some()),
        CommandBody::GetMetadata(Metadata { mailbox, .. }) | CommandBody::SetMetadata { mailbox, .. } => {
            add("METADATA", mailbox.is_some());
            add("METADATA-SERVER", mailbox.is_none());
        }
        _ => {}
    }
    used
}

const fn of_status(item: &StatusItem) -> Option<&'static str> {
    match item {
        StatusItem::Size => Some("STATUS=SIZE"),
        StatusItem::MailboxId => Some("OBJECTID"),
        StatusItem::HighestModSeq => Some("CONDSTORE"),
        StatusItem::AppendLimit => Some("APPENDLIMIT"),
        _ => None,
    }
}

const fn of_fetch(item: &FetchItem) -> Option<&'static str> {
    match item {
        FetchItem::Binary { .. } | FetchItem::BinarySize { .. } => Some("BINARY"),
        FetchItem::ModSeq => Some("CONDSTORE"),
        FetchItem::EmailId | FetchItem::ThreadId => Some("OBJECTID"),
        FetchItem::Preview { .. } => Some("PREVIEW"),
        FetchItem::SaveDate => Some("SAVEDATE"),
        _ => None,
    }
}

fn of_list(list: &List, used: &mut Vec<&'static str>) {
    let returns = &list.returns;
    for (name, when) in [
        ("LIST-EXTENDED", list.extended && list.verb == ListVerb::List),
        ("LIST-STATUS", !returns.status.is_empty()),
        ("LIST-MYRIGHTS", returns.my_rights),
        ("LIST-METADATA", !returns.metadata.is_empty()),
        ("SPECIAL-USE", list.select.special_use || returns.special_use),
    ] {
        if when {
            used.push(name);
        }
    }
    used.extend(returns.status.iter().filter_map(of_status));
}

fn of_search(search: &Search, used: &mut Vec<&'static str>) {
    if let Some(returns) = search.returns {
        used.push("ESEARCH");
        for (name, when) in [
            ("SEARCHRES", returns.save),
            ("PARTIAL", returns.partial.is_some()),
            ("CONTEXT=SEARCH", returns.update || returns.context),
        ] {
            if when {
                used.push(name);
            }
        }
    }
    of_keys(&search.key, used);
}

/// An extension, and whether a search key is of it.
type Kind = (&'static str, fn(&SearchKey) -> bool);

fn of_keys(key: &SearchKey, used: &mut Vec<&'static str>) {
    let kinds: [Kind; 7] = [
        ("FILTERS", |key| matches!(key, SearchKey::Filter(_))),
        ("WITHIN", |key| matches!(key, SearchKey::Older(_) | SearchKey::Younger(_))),
        ("SEARCH=FUZZY", |key| matches!(key, SearchKey::Fuzzy(_))),
        ("CONDSTORE", |key| matches!(key, SearchKey::ModSeq(_))),
        ("OBJECTID", |key| matches!(key, SearchKey::EmailId(_) | SearchKey::ThreadId(_))),
        ("SEARCHRES", |key| matches!(key, SearchKey::Saved)),
        ("SAVEDATE", |key| {
            matches!(
                key,
                SearchKey::SavedBefore(_)
                    | SearchKey::SavedOn(_)
                    | SearchKey::SavedSince(_)
                    | SearchKey::SaveDateSupported
            )
        }),
    ];
    used.extend(kinds.into_iter().filter(|(_, is)| key.any(is)).map(|(name, _)| name));
}

/// The table of `docs/imap.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| client | hidden | why |\n| --- | --- | --- |\n");
    for (client, hide, why) in BUILT_IN {
        text.push_str(&format!("| `{client}` | {} | {why} |\n", hide.join(" ")));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::table::{ROWS, find};

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("mail*", "mailspring 1", true),
            ("mail*", "amail", false),
            ("*@example.org", "a@example.org", true),
            ("*@example.org", "a@example.org.uk", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("*", "", true),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn who_is_meant() {
        let own = |client: &str, account: &str, hide: &str| Quirk {
            client: client.into(),
            account: account.into(),
            hide: vec![hide.into()],
        };
        let rows = [own("Odd*", "", "NOTIFY"), own("", "*@example.org", "MOVE"), own("Odd*", "b@x.y", "IDLE")];
        let quirks = Quirks::new(&[String::from("XLIST")], &rows);
        let hidden = |client, account, name: &str| quirks.mask(client, account).has(name);
        assert!(hidden(None, None, "XLIST") && !hidden(None, None, "NOTIFY"));
        assert!(hidden(Some("ODD 2.1"), None, "NOTIFY") && !hidden(Some("ODD 2.1"), None, "IDLE"));
        assert!(hidden(Some("odd"), Some("B@x.y"), "IDLE") && !hidden(None, Some("b@x.y"), "IDLE"));
        assert!(hidden(None, Some("a@example.org"), "MOVE"));
        assert!(hidden(Some("Mailspring 1.0.9"), None, "QRESYNC") && !hidden(Some("Mailspring 1.14"), None, "QRESYNC"));
    }

    #[test]
    fn lists_lose_their_words() {
        let mask = Mask::of(["appendlimit", "AUTH=PLAIN", "nonsense"]);
        assert_eq!(mask.apply("IMAP4rev1 AUTH=PLAIN AUTH=LOGIN APPENDLIMIT=5 IDLE"), "IMAP4rev1 AUTH=LOGIN IDLE");
        assert!(!Mask::of(["QUOTA"]).has("QUOTA=RES-STORAGE"), "each by its own name");
        assert!(!is_known("nonsense") && is_known("idle"));
    }

    #[test]
    fn every_name_in_the_tables_is_one() {
        for (verb, of) in COMMANDS {
            assert!(find(verb).is_some(), "{verb}");
            assert!(of.iter().all(|name| is_known(name)), "{verb}");
        }
        assert!(BUILT_IN.iter().all(|(_, hide, _)| hide.iter().all(|name| is_known(name))));
        assert!(IN_REV2.iter().all(|name| is_known(name)));
    }

    #[test]
    fn commands_and_their_parts() {
        let hidden = |mask: &str, line: &str, rev2: bool| {
            let mask = Mask::of(mask.split(' '));
            let command = pli_imap_proto::parse(format!("t {line}").as_bytes(), false).unwrap();
            let row = ROWS.iter().find(|row| row.verb == command.body.verb()).unwrap();
            (hides_command(mask, row, rev2), hides_part(mask, &command.body, rev2))
        };
        assert_eq!(hidden("IDLE", "IDLE", false), (true, false));
        assert_eq!(hidden("IDLE", "IDLE", true), (false, false), "part of IMAP4rev2");
        assert_eq!(hidden("METADATA", "GETMETADATA \"\" /shared/a", false), (false, false));
        for (mask, line) in [
            ("METADATA", "GETMETADATA a /shared/a"),
            ("CONDSTORE", "SELECT a (CONDSTORE)"),
            ("QRESYNC", "SELECT a (QRESYNC (1 2))"),
            ("OBJECTID", "FETCH 1 (FLAGS EMAILID)"),
            ("WITHIN", "SEARCH NOT YOUNGER 5"),
            ("ESEARCH", "SEARCH RETURN (COUNT) ALL"),
            ("THREAD=REFS", "THREAD REFS UTF-8 ALL"),
            ("SORT=DISPLAY", "SORT (DISPLAYTO) UTF-8 ALL"),
            ("LIST-STATUS", "LIST \"\" * RETURN (STATUS (MESSAGES))"),
            ("STATUS=SIZE", "STATUS a (SIZE)"),
            ("AUTH=LOGIN", "AUTHENTICATE LOGIN"),
            ("CONDSTORE", "STORE 1 (UNCHANGEDSINCE 1) FLAGS ()"),
        ] {
            assert_eq!(hidden(mask, line, false), (false, true), "{line}");
            assert_eq!(hidden("XLIST", line, false), (false, false), "{line}");
        }
    }

    #[test]
    fn the_page_shows_the_table() {
        assert!(include_str!("../../../docs/imap.md").contains(&markdown()), "{}", markdown());
    }
}
