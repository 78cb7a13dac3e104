//! The policy table: for each action who may do it, what it does to quota, its rate class and its audit level.
//!
//! This is the only place that says so. [`crate::Gate::admit`] reads it, `docs/policy.md` is generated from it
//! ([`markdown`]), and a test fails on an action without a row.

use std::fmt::Write as _;

use pli_types::{Action, Rights};

/// Who may do something. A row names one or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody, authenticated or not: another MTA that delivers, a client that logs in.
    Anyone,
    /// An authenticated account, on its own mail.
    Owner,
    /// An administrator on the admin socket or the command line.
    Admin,
    /// The server itself: queue, timers, start-up.
    System,
}

impl Who {
    /// The word in the docs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Owner => "owner",
            Self::Admin => "administrator",
            Self::System => "system",
        }
    }
}

/// What the owner's profile must allow besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProfileRight {
    /// Nothing.
    None,
    /// `imap = true`
    Imap,
    /// `submission = true`
    Submission,
    /// `relay = true`
    Relay,
}

/// The rights that make an action possible on another's mailbox (RFC 4314 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Nobody but the owner.
    Never,
    /// All of these.
    All(Rights),
    /// One of these at least.
    Any(Rights),
    /// All of the first, and one of the others.
    Both(Rights, Rights),
}

impl Others {
    /// Whether these rights are enough.
    #[must_use]
    pub const fn allows(self, rights: Rights) -> bool {
        match self {
            Self::Never => false,
            Self::All(needed) => rights.has(needed),
            Self::Any(needed) => rights.has_any(needed),
            Self::Both(all, any) => rights.has(all) && rights.has_any(any),
        }
    }
}

/// What an action does to quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaEffect {
    /// Nothing.
    None,
    /// What it adds must fit, and is refused before the bytes come.
    Reserve,
    /// It gives room back.
    Release,
}

/// What an action is counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateClass {
    /// Nothing.
    None,
    /// Failed logins, by account and by peer address.
    Login,
    /// `submit_per_hour` of the profile, by account.
    Submit,
}

/// What is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditLevel {
    /// Nothing, but refusals.
    None,
    /// Counted in the record of the session.
    Session,
    /// An event of its own, in the commit of the effect.
    Event,
}

/// The table's row for one action.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What.
    pub action: Action,
    /// The row's name in audit events and docs: which rule decided.
    pub rule: &'static str,
    /// By whom.
    pub who: &'static [Who],
    /// What the owner's profile must allow.
    pub profile: ProfileRight,
    /// What others need to do it on a mailbox that is not theirs.
    pub others: Others,
    /// What it does to quota.
    pub quota: QuotaEffect,
    /// What it is counted against.
    pub rate: RateClass,
    /// What is recorded.
    pub audit: AuditLevel,
    /// What a refused peer gets, by protocol.
    pub refusal: &'static str,
}

const IMAP_NO: &str = "`NO [NOPERM]`, before login `BAD`";
const ADMIN_NO: &str = "exit code 77 (`EX_NOPERM`)";

/// A row on which the owner may act, over IMAP, and others by right.
const fn mail(action: Action, others: Others, quota: QuotaEffect, audit: AuditLevel) -> Row {
    let refusal = if matches!(quota, QuotaEffect::Reserve) { "`NO [OVERQUOTA]`; `NO [NOPERM]`" } else { IMAP_NO };
    let who = &[Who::Owner];
    let (profile, rate) = (ProfileRight::Imap, RateClass::None);
    Row { action, rule: action.name(), who, profile, others, quota, rate, audit, refusal }
}

/// A row of administration.
const fn admin(action: Action, who: &'static [Who], audit: AuditLevel) -> Row {
    let (profile, quota, rate) = (ProfileRight::None, QuotaEffect::None, RateClass::None);
    let others = Others::Never;
    Row { action, rule: action.name(), who, profile, others, quota, rate, audit, refusal: ADMIN_NO }
}

const ADMIN: &[Who] = &[Who::Admin];
const ADMIN_SYSTEM: &[Who] = &[Who::Admin, Who::System];
const OWNER_ADMIN: &[Who] = &[Who::Owner, Who::Admin];

const FLAGS: Rights = Rights::SEEN.with(Rights::WRITE).with(Rights::TRASH);
const MOVE: Rights = Rights::READ.with(Rights::TRASH).with(Rights::EXPUNGE);
const ANNOTATE: Others = Others::Both(
    Rights::LOOKUP,
    Rights::READ.with(Rights::SEEN).with(Rights::WRITE).with(Rights::INSERT).with(Rights::POST),
);

use Others::{All, Any, Never};

/// One row for each action.
pub const TABLE: &[Row] = &[
    Row {
        action: Action::Login,
        rule: "login",
        who: &[Who::Anyone],
        profile: ProfileRight::None,
        others: Never,
        quota: QuotaEffect::None,
        rate: RateClass::Login,
        audit: AuditLevel::Event,
        refusal: "`NO [AUTHENTICATIONFAILED]`; `535 5.7.8`, slowed down `454 4.7.0`",
    },
    Row { who: &[Who::Owner, Who::System], ..mail(Action::Logout, Never, QuotaEffect::None, AuditLevel::Event) },
    mail(Action::List, All(Rights::LOOKUP), QuotaEffect::None, AuditLevel::Session),
    mail(Action::Status, All(Rights::READ), QuotaEffect::None, AuditLevel::Session),
    mail(Action::Select, All(Rights::READ), QuotaEffect::None, AuditLevel::Session),
    mail(Action::FetchMetadata, All(Rights::READ), QuotaEffect::None, AuditLevel::Session),
    // Of another's mail each message is recorded, besides.
    mail(Action::FetchContent, All(Rights::READ), QuotaEffect::None, AuditLevel::Session),
    mail(Action::Search, All(Rights::READ), QuotaEffect::None, AuditLevel::Session),
    // Which flags change is what the permit's rights say.
    mail(Action::Store, Any(FLAGS), QuotaEffect::None, AuditLevel::Session),
    mail(Action::MarkSeen, All(Rights::SEEN), QuotaEffect::None, AuditLevel::Session),
    mail(Action::Append, All(Rights::INSERT), QuotaEffect::Reserve, AuditLevel::Event),
    mail(Action::Copy, All(Rights::READ), QuotaEffect::None, AuditLevel::Event),
    // The store takes what is made anew from the quota of the mailbox's account.
    Row {
        refusal: "`NO [OVERQUOTA]`; `NO [NOPERM]`",
        ..mail(Action::CopyInto, All(Rights::INSERT), QuotaEffect::None, AuditLevel::Event)
    },
    // RFC 6851 §4.2: what COPY, STORE of \Deleted and EXPUNGE need together.
    mail(Action::Move, All(MOVE), QuotaEffect::None, AuditLevel::Event),
    mail(Action::Expunge, All(Rights::EXPUNGE), QuotaEffect::Release, AuditLevel::Event),
    // The right on the nearest mailbox above.
    mail(Action::Create, All(Rights::CREATE), QuotaEffect::None, AuditLevel::Event),
    mail(Action::Delete, All(Rights::DELETE), QuotaEffect::Release, AuditLevel::Event),
    mail(Action::Rename, All(Rights::DELETE), QuotaEffect::None, AuditLevel::Event),
    mail(Action::Subscribe, Never, QuotaEffect::None, AuditLevel::Session),
    Row { who: OWNER_ADMIN, ..mail(Action::GetQuota, All(Rights::READ), QuotaEffect::None, AuditLevel::None) },
    mail(Action::OpenShared, All(Rights::READ), QuotaEffect::None, AuditLevel::Event),
    mail(Action::GetAcl, All(Rights::ADMINISTER), QuotaEffect::None, AuditLevel::None),
    mail(Action::SetAcl, All(Rights::ADMINISTER), QuotaEffect::None, AuditLevel::Event),
    // RFC 5464 §3.3
    mail(Action::GetMetadata, ANNOTATE, QuotaEffect::None, AuditLevel::None),
    mail(Action::SetPrivate, ANNOTATE, QuotaEffect::None, AuditLevel::Event),
    mail(Action::SetMetadata, All(Rights::LOOKUP.with(Rights::WRITE)), QuotaEffect::None, AuditLevel::Event),
    Row { refusal: IMAP_NO, ..admin(Action::SetServerMetadata, ADMIN, AuditLevel::Event) },
    mail(Action::UrlKey, Never, QuotaEffect::None, AuditLevel::Event),
    // Whom a URL lets in and to what, it says itself; the gate looks before it gives leave to read (RFC 4467).
    Row { profile: ProfileRight::None, ..mail(Action::UrlFetch, Never, QuotaEffect::None, AuditLevel::Event) },
    mail(Action::Past, Never, QuotaEffect::None, AuditLevel::Session),
    // The store takes what is made anew from the quota; what is still there costs nothing.
    Row {
        refusal: "`NO [OVERQUOTA]`; `NO [NOPERM]`",
        ..mail(Action::Restore, Never, QuotaEffect::None, AuditLevel::Event)
    },
    Row {
        action: Action::Deliver,
        rule: "deliver",
        who: &[Who::Anyone],
        profile: ProfileRight::None,
        others: Never,
        quota: QuotaEffect::Reserve,
        rate: RateClass::None,
        audit: AuditLevel::Event,
        refusal: "`452 4.2.2`, or `552 5.2.2` where it would never fit",
    },
    Row {
        action: Action::Submit,
        rule: "submit",
        who: &[Who::Owner],
        profile: ProfileRight::Submission,
        others: Never,
        quota: QuotaEffect::None,
        rate: RateClass::Submit,
        audit: AuditLevel::Event,
        refusal: "`530 5.7.0` before login; `550 5.7.1`; too many `451 4.7.1`",
    },
    Row {
        action: Action::Relay,
        rule: "relay",
        who: &[Who::Owner, Who::System],
        profile: ProfileRight::Relay,
        others: Never,
        quota: QuotaEffect::None,
        rate: RateClass::None,
        audit: AuditLevel::Event,
        refusal: "`550 5.7.1`: relaying denied",
    },
    admin(Action::QueueAttempt, &[Who::System], AuditLevel::Event),
    admin(Action::QueueRead, ADMIN_SYSTEM, AuditLevel::None),
    admin(Action::QueueChange, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::TraceRead, ADMIN, AuditLevel::Event),
    // The server itself, by the age that the configuration gives.
    admin(Action::TraceSweep, &[Who::System], AuditLevel::None),
    admin(Action::AccountCreate, ADMIN, AuditLevel::Event),
    admin(Action::AccountRead, OWNER_ADMIN, AuditLevel::None),
    admin(Action::AccountChange, ADMIN, AuditLevel::Event),
    Row { refusal: IMAP_NO, ..admin(Action::PasswordChange, OWNER_ADMIN, AuditLevel::Event) },
    Row { refusal: IMAP_NO, ..admin(Action::AppPasswordChange, OWNER_ADMIN, AuditLevel::Event) },
    admin(Action::SessionList, ADMIN, AuditLevel::None),
    admin(Action::SessionEnd, ADMIN, AuditLevel::Event),
    admin(Action::AccountRemove, ADMIN, AuditLevel::Event),
    admin(Action::SharedChange, ADMIN, AuditLevel::Event),
    admin(Action::GroupChange, ADMIN, AuditLevel::Event),
    admin(Action::AliasChange, ADMIN, AuditLevel::Event),
    admin(Action::DomainChange, ADMIN, AuditLevel::Event),
    admin(Action::SetQuota, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::AuditRead, ADMIN, AuditLevel::Event),
    admin(Action::Inspect, ADMIN, AuditLevel::Event),
    admin(Action::Rewind, ADMIN, AuditLevel::Event),
    admin(Action::Verify, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::Repair, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::QuotaWarning, &[Who::System], AuditLevel::Event),
    admin(Action::Compact, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::KeyRotate, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::Operate, ADMIN_SYSTEM, AuditLevel::Event),
];

/// The row of an action. None only for an action without a row, which nobody may do.
#[must_use]
pub fn row(action: Action) -> Option<&'static Row> {
    TABLE.iter().find(|r| r.action == action)
}

fn one_of(rights: Rights) -> String {
    rights.to_string().chars().map(String::from).collect::<Vec<_>>().join(" or ")
}

/// The docs page.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Policy\n\n\
         What each action needs and leaves behind. Generated from `crates/pli-gate/src/policy.rs` by `pli docs policy`; \
         a test compares them.\n\n\
         \"Owner\" is an authenticated account on its own mail, as far as its profile allows. On a mailbox of another it \
         needs the rights named under \"others need\" (RFC 4314), which the mailbox's list gives, or being a member of a \
         shared account. Refusals are recorded too, a bounded number of them each second.\n\n\
         | action | who | profile | others need | quota | counted | recorded | refusal |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in TABLE {
        let who: Vec<_> = row.who.iter().map(|w| w.word()).collect();
        let profile = match row.profile {
            ProfileRight::None => "–",
            ProfileRight::Imap => "`imap`",
            ProfileRight::Submission => "`submission`",
            ProfileRight::Relay => "`relay`",
        };
        let others = match row.others {
            Never => String::from("–"),
            All(rights) => rights.to_string(),
            Any(rights) => one_of(rights),
            Others::Both(all, any) => format!("{all} and {}", one_of(any)),
        };
        let quota = match row.quota {
            QuotaEffect::None => "–",
            QuotaEffect::Reserve => "reserves",
            QuotaEffect::Release => "releases",
        };
        let rate = match row.rate {
            RateClass::None => "–",
            RateClass::Login => "failures by account and address",
            RateClass::Submit => "`submit_per_hour`",
        };
        let audit = match row.audit {
            AuditLevel::None => "–",
            AuditLevel::Session => "per session",
            AuditLevel::Event => "event",
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            out,
            "| {} | {} | {profile} | {others} | {quota} | {rate} | {audit} | {} |",
            row.action.name(),
            who.join(", "),
            row.refusal
        );
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn every_action_has_one_row() {
        for action in Action::ALL {
            let rows = TABLE.iter().filter(|r| r.action == *action).count();
            assert_eq!(rows, 1, "{} has {rows} rows", action.name());
        }
        assert_eq!(TABLE.len(), Action::ALL.len());
    }

    #[test]
    fn rules_carry_the_action_s_name_and_somebody_may_act() {
        for row in TABLE {
            assert_eq!(row.rule, row.action.name());
            assert!(!row.who.is_empty(), "{}", row.rule);
        }
    }

    #[test]
    fn the_docs_page_is_current() {
        // Cargo and nextest run tests in their package's folder.
        let path = "../../docs/policy.md";
        let on_disk = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(on_disk, markdown(), "write it anew with `pli docs policy > docs/policy.md`");
    }
}
