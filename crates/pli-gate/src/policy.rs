//! The policy table: for each action who may do it, what it does to quota, its rate class and its audit level.
//!
//! This is the only place that says so. [`crate::Gate::admit`] reads it, `docs/policy.md` is generated from it
//! ([`markdown`]), and a test fails on an action without a row.

use std::fmt::Write as _;

use pli_types::Action;

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

/// A row on which only the owner may act, over IMAP.
const fn mail(action: Action, quota: QuotaEffect, audit: AuditLevel) -> Row {
    let refusal = if matches!(quota, QuotaEffect::Reserve) { "`NO [OVERQUOTA]`; `NO [NOPERM]`" } else { IMAP_NO };
    let who = &[Who::Owner];
    Row { action, rule: action.name(), who, profile: ProfileRight::Imap, quota, rate: RateClass::None, audit, refusal }
}

/// A row of administration.
const fn admin(action: Action, who: &'static [Who], audit: AuditLevel) -> Row {
    let (profile, quota, rate) = (ProfileRight::None, QuotaEffect::None, RateClass::None);
    Row { action, rule: action.name(), who, profile, quota, rate, audit, refusal: ADMIN_NO }
}

const ADMIN: &[Who] = &[Who::Admin];
const ADMIN_SYSTEM: &[Who] = &[Who::Admin, Who::System];
const OWNER_ADMIN: &[Who] = &[Who::Owner, Who::Admin];

/// One row for each action.
pub const TABLE: &[Row] = &[
    Row {
        action: Action::Login,
        rule: "login",
        who: &[Who::Anyone],
        profile: ProfileRight::None,
        quota: QuotaEffect::None,
        rate: RateClass::Login,
        audit: AuditLevel::Event,
        refusal: "`NO [AUTHENTICATIONFAILED]`; `535 5.7.8`, slowed down `454 4.7.0`",
    },
    Row { who: &[Who::Owner, Who::System], ..mail(Action::Logout, QuotaEffect::None, AuditLevel::Event) },
    mail(Action::List, QuotaEffect::None, AuditLevel::Session),
    mail(Action::Select, QuotaEffect::None, AuditLevel::Session),
    mail(Action::FetchMetadata, QuotaEffect::None, AuditLevel::Session),
    mail(Action::FetchContent, QuotaEffect::None, AuditLevel::Session),
    mail(Action::Search, QuotaEffect::None, AuditLevel::Session),
    mail(Action::Store, QuotaEffect::None, AuditLevel::Session),
    mail(Action::Append, QuotaEffect::Reserve, AuditLevel::Event),
    mail(Action::Copy, QuotaEffect::None, AuditLevel::Event),
    mail(Action::Move, QuotaEffect::None, AuditLevel::Event),
    mail(Action::Expunge, QuotaEffect::Release, AuditLevel::Event),
    mail(Action::Create, QuotaEffect::None, AuditLevel::Event),
    mail(Action::Delete, QuotaEffect::Release, AuditLevel::Event),
    mail(Action::Rename, QuotaEffect::None, AuditLevel::Event),
    mail(Action::Subscribe, QuotaEffect::None, AuditLevel::Session),
    Row { who: OWNER_ADMIN, ..mail(Action::GetQuota, QuotaEffect::None, AuditLevel::None) },
    mail(Action::Past, QuotaEffect::None, AuditLevel::Session),
    // The store takes what is made anew from the quota; what is still there costs nothing.
    Row { refusal: "`NO [OVERQUOTA]`; `NO [NOPERM]`", ..mail(Action::Restore, QuotaEffect::None, AuditLevel::Event) },
    Row {
        action: Action::Deliver,
        rule: "deliver",
        who: &[Who::Anyone],
        profile: ProfileRight::None,
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
        quota: QuotaEffect::None,
        rate: RateClass::None,
        audit: AuditLevel::Event,
        refusal: "`550 5.7.1`: relaying denied",
    },
    admin(Action::QueueAttempt, &[Who::System], AuditLevel::Event),
    admin(Action::QueueRead, ADMIN_SYSTEM, AuditLevel::None),
    admin(Action::QueueChange, ADMIN_SYSTEM, AuditLevel::Event),
    admin(Action::AccountCreate, ADMIN, AuditLevel::Event),
    admin(Action::AccountRead, OWNER_ADMIN, AuditLevel::None),
    admin(Action::AccountChange, ADMIN, AuditLevel::Event),
    Row { refusal: IMAP_NO, ..admin(Action::PasswordChange, OWNER_ADMIN, AuditLevel::Event) },
    Row { refusal: IMAP_NO, ..admin(Action::AppPasswordChange, OWNER_ADMIN, AuditLevel::Event) },
    admin(Action::SessionList, ADMIN, AuditLevel::None),
    admin(Action::SessionEnd, ADMIN, AuditLevel::Event),
    admin(Action::AccountRemove, ADMIN, AuditLevel::Event),
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

/// The docs page.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Policy\n\n\
         What each action needs and leaves behind. Generated from `crates/pli-gate/src/policy.rs` by `pli docs policy`; \
         a test compares them.\n\n\
         \"Owner\" is an authenticated account on its own mail, as far as its profile allows. Refusals are recorded too, \
         a bounded number of them each second.\n\n\
         | action | who | profile | quota | counted | recorded | refusal |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in TABLE {
        let who: Vec<_> = row.who.iter().map(|w| w.word()).collect();
        let profile = match row.profile {
            ProfileRight::None => "–",
            ProfileRight::Imap => "`imap`",
            ProfileRight::Submission => "`submission`",
            ProfileRight::Relay => "`relay`",
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
            "| {} | {} | {profile} | {quota} | {rate} | {audit} | {} |",
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
