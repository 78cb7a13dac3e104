//! Admission.

use std::sync::Arc;

use parking_lot::Mutex;
use pli_audit::Event;
use pli_directory::{Directory, Profile, Route};
use pli_io::{Clock, RealClock};
use pli_store::{Account, Grant, Mint, Permit, Quota, Store, StoreError};
use pli_types::{AccountId, Action, Actor, Address, ByteCount, MailboxId, Rights, SessionId, SessionInfo};

use crate::Refusal;
use crate::limits::{REFUSAL_EACH, REFUSALS_BURST};
use crate::login::Logins;
use crate::policy::{AuditLevel, ProfileRight, QuotaEffect, RateClass, Row, Who, row};
use crate::throttle::{Bucket, SubmitRate};

/// What an action is about.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target {
    /// On whose mail; the session's own account if `None` and the action needs one.
    pub account: Option<AccountId>,
    /// On which mailbox.
    pub mailbox: Option<MailboxId>,
    /// Bytes that the action would add (an announced literal, MAIL SIZE=).
    pub adds: ByteCount,
}

/// The gate. Cheap to clone behind an `Arc`.
pub struct Gate {
    pub(crate) store: Store,
    mint: Mint,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    site: String,
    system: Arc<SessionInfo>,
    pub(crate) logins: Logins,
    submissions: Mutex<SubmitRate>,
    refusals: Mutex<Refusals>,
}

/// Recorded refusals: a bucket, and how many found it empty.
struct Refusals {
    bucket: Bucket,
    unrecorded: u64,
}

impl Gate {
    /// Takes the store's mint. Time is the operating system's, unless [`Gate::with_clock`] says otherwise.
    #[must_use]
    pub fn new(store: Store, mint: Mint, directory: Arc<Directory>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RealClock::new());
        let refusals = Refusals { bucket: Bucket::full(REFUSALS_BURST, clock.monotonic()), unrecorded: 0 };
        Self {
            store,
            mint,
            directory,
            clock,
            site: String::new(),
            system: Arc::new(SessionInfo::system(SessionId(0))),
            logins: Logins::new(),
            submissions: Mutex::new(SubmitRate::new()),
            refusals: Mutex::new(refusals),
        }
    }
    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.refusals.get_mut().bucket = Bucket::full(REFUSALS_BURST, clock.monotonic());
        self.clock = clock;
        self
    }
    /// With the site's name, as audit events carry it.
    #[must_use]
    pub fn with_site(mut self, site: impl Into<String>) -> Self {
        self.site = site.into();
        self
    }
    /// The store behind the gate.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }
    /// The directory behind the gate.
    #[must_use]
    pub const fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
    /// The session of the server's own work.
    #[must_use]
    pub const fn system_session(&self) -> &Arc<SessionInfo> {
        &self.system
    }

    /// May the session do this now? Refusals are audited. RFC 9051's rights and quota, SMTP's relay rule: all here.
    pub fn admit(&self, session: &Arc<SessionInfo>, action: Action, target: &Target) -> Result<Permit, Refusal> {
        self.decide(session, action, target).inspect_err(|refusal| {
            self.note_refusal(session, action, target, *refusal);
        })
    }
    /// A permit for the server's own work (queue, timers, start-up).
    pub fn admit_system(&self, action: Action) -> Permit {
        let row = row(action);
        if !row.is_some_and(|r| r.who.contains(&Who::System) || r.who.contains(&Who::Anyone)) {
            // A defect of the caller. The permit names no account, so that it reaches nobody's mail.
            tracing::error!(action = action.name(), "the policy table does not give this action to the server");
        }
        self.grant(&self.system, action, None, None, row)
    }
    /// Where mail for an address goes: local accounts and remote addresses after aliases and subaddresses; for the sender of
    /// mail that was sent on from here, where it came from.
    pub fn route(&self, address: &Address) -> Result<Route, Refusal> {
        match self.directory.bounce_route(address, self.clock.now()).map_err(|e| unavailable(&e))? {
            Some(route) => Ok(route),
            None => self.directory.route(address).map_err(|e| unavailable(&e)),
        }
    }
    /// Whether the address is the sender of mail that was sent on from here: only bounces go there.
    pub fn is_for_bounces(&self, address: &Address) -> Result<bool, Refusal> {
        let route = self.directory.bounce_route(address, self.clock.now()).map_err(|e| unavailable(&e))?;
        Ok(matches!(route, Some(Route::To { .. })))
    }
    /// The sender that mail has which is sent on for an address of the domain `through`.
    pub fn sender_when_sent_on(&self, sender: &Address, through: &str) -> Result<Address, Refusal> {
        self.directory.sender_when_sent_on(sender, through, self.clock.now()).map_err(|e| unavailable(&e))
    }
    /// Whether the account may send in the name of the address (its own, or an alias that leads to it alone).
    pub fn owns(&self, account: AccountId, address: &Address) -> Result<bool, Refusal> {
        self.directory.owns(account, address).map_err(|e| unavailable(&e))
    }
    /// Quota of an account, for GETQUOTA.
    pub fn quota(&self, permit: &Permit) -> Result<Quota, Refusal> {
        let account = permit.grant().account.ok_or(Refusal::NoRight)?;
        self.store.quota(account).map_err(|e| unavailable(&e))
    }
    /// The profile in force for an account: what it may do, recipients of one message.
    pub fn profile(&self, account: AccountId) -> Result<Profile, Refusal> {
        self.owner(account).map(|(_, profile)| profile)
    }
    /// Records the end of an authenticated session, with its counts (commands, messages read, bytes).
    pub fn logout(&self, session: &Arc<SessionInfo>, counts: &[(&str, u64)]) {
        let Ok(permit) = self.admit(session, Action::Logout, &Target::default()) else { return };
        let event = self.event(session, Action::Logout);
        let event = counts.iter().fold(event, |event, (name, value)| event.count(name, *value));
        self.store.note(permit, event);
    }
    /// An event of a session, made now.
    #[must_use]
    pub fn event(&self, session: &SessionInfo, action: Action) -> Event {
        let event = Event::new(&self.site, session, action, self.clock.now());
        match session.account() {
            Some(account) => event.account(account),
            None => event,
        }
    }

    fn decide(&self, session: &Arc<SessionInfo>, action: Action, target: &Target) -> Result<Permit, Refusal> {
        let Some(row) = row(action) else { return Err(Refusal::NoRight) };
        let (account, rights) = self.check_who(session, row, target)?;
        if row.quota == QuotaEffect::Reserve
            && let Some(account) = account
        {
            self.check_quota(account, target.adds)?;
        }
        Ok(self.grant_with(session, action, account, target.mailbox, Some(row), rights))
    }

    /// Whether the row lets the actor; returns on whose mail, and with which rights.
    fn check_who(
        &self,
        session: &SessionInfo,
        row: &Row,
        target: &Target,
    ) -> Result<(Option<AccountId>, Rights), Refusal> {
        let has = |who| row.who.contains(&who);
        let all = |account| Ok((account, Rights::ALL));
        match session.actor {
            Actor::Account(own) if has(Who::Owner) => {
                self.check_owner(own, row)?;
                match target.account {
                    Some(account) if account != own => {
                        let rights = self.check_others(own, account, row, target.mailbox)?;
                        Ok((Some(account), rights))
                    }
                    _ => all(Some(own)),
                }
            }
            Actor::Admin(_) if has(Who::Admin) => all(target.account),
            Actor::System if has(Who::System) => all(target.account),
            _ if has(Who::Anyone) => all(target.account),
            Actor::Anonymous => Err(Refusal::NotAuthenticated),
            _ => Err(Refusal::NoRight),
        }
    }

    fn check_owner(&self, own: AccountId, row: &Row) -> Result<(), Refusal> {
        if row.action == Action::Logout {
            // The end of a session is recorded whatever became of the account meanwhile.
            return Ok(());
        }
        let (account, profile) = self.owner(own)?;
        if account.suspended {
            return Err(Refusal::Suspended);
        }
        let allowed = match row.profile {
            ProfileRight::None => true,
            ProfileRight::Imap => profile.imap,
            ProfileRight::Submission => profile.submission,
            ProfileRight::Relay => profile.relay,
        };
        if !allowed {
            return Err(Refusal::NoRight);
        }
        match (row.rate, profile.submit_per_hour) {
            (RateClass::Submit, Some(per_hour)) => {
                let now = self.clock.monotonic();
                let fits = self.submissions.lock().take(own, per_hour, now);
                if fits { Ok(()) } else { Err(Refusal::RateLimited) }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn owner(&self, id: AccountId) -> Result<(Account, Profile), Refusal> {
        // An account removed while its session stands has no right left.
        let account = self.store.account(id).map_err(|e| unavailable(&e))?.ok_or(Refusal::NoRight)?;
        let Some(profile) = self.directory.profile_of(&account) else {
            tracing::warn!(account = %id, profile = account.profile, "the configuration has no such profile");
            return Err(Refusal::NoRight);
        };
        Ok((account, profile))
    }

    /// What is added must fit; a message of a size not yet told needs one byte at least.
    fn check_quota(&self, account: AccountId, adds: ByteCount) -> Result<(), Refusal> {
        let quota = match self.store.quota(account) {
            Ok(quota) => quota,
            Err(StoreError::NoAccount(_)) => return Err(Refusal::NoRight),
            Err(error) => return Err(unavailable(&error)),
        };
        let adds = adds.get().max(1);
        if let Some(limit) = quota.limit.bytes {
            if adds > limit.get() {
                return Err(Refusal::OverQuota { never: true });
            }
            if quota.bytes_used.get().saturating_add(adds) > limit.get() {
                return Err(Refusal::OverQuota { never: false });
            }
        }
        match quota.limit.messages {
            Some(0) => Err(Refusal::OverQuota { never: true }),
            Some(limit) if quota.messages_used >= limit => Err(Refusal::OverQuota { never: false }),
            _ => Ok(()),
        }
    }

    pub(crate) fn grant(
        &self,
        session: &Arc<SessionInfo>,
        action: Action,
        account: Option<AccountId>,
        mailbox: Option<MailboxId>,
        row: Option<&'static Row>,
    ) -> Permit {
        self.grant_with(session, action, account, mailbox, row, Rights::ALL)
    }

    fn grant_with(
        &self,
        session: &Arc<SessionInfo>,
        action: Action,
        account: Option<AccountId>,
        mailbox: Option<MailboxId>,
        row: Option<&'static Row>,
        rights: Rights,
    ) -> Permit {
        self.mint.permit(Grant {
            action,
            session: Arc::clone(session),
            account,
            mailbox,
            rights,
            rule: row.map_or("none", |r| r.rule),
            audited: row.is_none_or(|r| r.audit == AuditLevel::Event),
        })
    }

    fn note_refusal(&self, session: &Arc<SessionInfo>, action: Action, target: &Target, refusal: Refusal) {
        tracing::debug!(session = %session.id, action = action.name(), %refusal, "refused");
        let Some(unrecorded) = self.may_record_refusal() else { return };
        let mut event = self.event(session, action).refused(refusal.code(), "");
        if let Some(account) = target.account {
            event = event.account(account);
        }
        if let Some(row) = row(action) {
            event = event.policy(row.rule, None);
        }
        if unrecorded > 0 {
            event = event.count("refusals-not-recorded", unrecorded);
        }
        let permit = self.grant(session, action, target.account, target.mailbox, row(action));
        self.store.note(permit, event);
    }

    /// Whether one more refusal is recorded now; then how many were not since the last one.
    pub(crate) fn may_record_refusal(&self) -> Option<u64> {
        let mut refusals = self.refusals.lock();
        if refusals.bucket.take(REFUSALS_BURST, REFUSAL_EACH, self.clock.monotonic()) {
            Some(std::mem::take(&mut refusals.unrecorded))
        } else {
            refusals.unrecorded = refusals.unrecorded.saturating_add(1);
            None
        }
    }
}

pub(crate) fn unavailable(error: &StoreError) -> Refusal {
    tracing::error!(%error, "the store does not answer the gate");
    Refusal::Unavailable
}
