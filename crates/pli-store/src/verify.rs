//! `verify`: every frame authenticates, every row opens, and the numbers fit. The numbers of the invariants are those of
//! `docs/design/store.md`.
//!
//! It works while the store serves. Commits wait for single steps only; what changes meanwhile is looked at again. Its
//! memory does not grow with the store: what is compared is sorted on disk ([`sort`]), beside the segments, and 24 bytes
//! for each message of the largest account are counted in memory.

mod counts;
mod log;
mod meter;
mod rows;
mod seen;
mod sort;
mod uses;

use std::collections::HashSet;

use pli_types::{AccountId, Action, BodyId, MailboxId, QueueId};

use self::meter::{Meter, Told};
pub(crate) use self::rows::frame_rows as rows_of_frame;
use self::sort::Scratch;
use self::uses::Uses;
use crate::engine::Engine;
use crate::error::StoreError;
use crate::limits::{DAMAGE_LISTED_MAX, VERIFY_RUN_BYTES};
use crate::model::{Account, Damage, Mailbox, VerifyOptions, VerifyProgress, VerifyReport, VerifyStep};
use crate::model_queue::QueueRow;
use crate::open::list_segments;
use crate::ops::{allowed, owner};
use crate::permit::Permit;
use crate::rows::directory::Blob;
use crate::rows::mail::{AccountState, BodyRow, EntryBlock, MessageRow};
use crate::rows::{Key, Row, RowPlace, Table};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Runs of a verification's sorts, in the store's folder.
const SCRATCH_DIR: &str = "verify";

/// Something that was found wrong and can be mended, in the terms of `repair`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fix {
    /// One copy of a segment's header, from the other.
    Header(u32),
    /// A row of the index: as the log has it at a place, or not at all.
    Row(Key, Option<RowPlace>),
    /// A row that only the index has: into the log again.
    Keep(Key),
    /// What a body counts.
    BodyCounts { body: BodyId, messages: u32, queued: u32 },
    /// A body that is used and has no row.
    LostBody { body: BodyId, messages: u32, queued: u32 },
    /// An account's counts, names, entries.
    Account(AccountId),
    /// A queue row's place in the order of dues, or one that is nobody's.
    QueueOrder { id: QueueId, stray: Option<i64> },
    /// The queue's key of a body that is not there, or does not open.
    QueueBody(BodyId),
}

/// A verification on its way.
pub(crate) struct Check<'c, 'm> {
    store: &'c Store,
    engine: &'c Engine,
    meter: Meter<'m>,
    /// What it saw.
    pub(crate) report: VerifyReport,
    /// What can be mended of it.
    pub(crate) fixes: Vec<Fix>,
    /// Bodies that do not open.
    bad: HashSet<BodyId>,
}

impl VerifyReport {
    pub(crate) fn add(&mut self, damage: Damage) {
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(damage);
        } else {
            self.damage_left_out = self.damage_left_out.saturating_add(1);
        }
    }
    /// Whether nothing was found wrong.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.damage.is_empty()
    }
}

impl<'c, 'm> Check<'c, 'm> {
    pub(crate) fn new(store: &'c Store, options: &VerifyOptions, tell: Told<'m>) -> Self {
        let engine = store.engine();
        let meter = Meter::new(std::sync::Arc::clone(&engine.env.clock), options, tell);
        let report = VerifyReport::default();
        Self { store, engine, meter, report, fixes: Vec::new(), bad: HashSet::new() }
    }
    fn add(&mut self, damage: Damage) {
        tracing::warn!(kind = damage.kind, place = %damage.place, what = %damage.what, "damage");
        self.report.add(damage);
        self.meter.damage = self.meter.damage.saturating_add(1);
    }
    fn damage(&mut self, kind: &'static str, place: String, what: impl Into<String>) {
        self.add(Damage { kind, place, what: what.into(), message: None });
    }
    fn fix(&mut self, fix: Fix) {
        self.fixes.push(fix);
    }

    /// All of it.
    pub(crate) fn whole(&mut self, scratch: &Scratch) -> Result<()> {
        let engine = self.engine;
        let mut log_bytes = 0_u64;
        for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
            log_bytes = log_bytes.saturating_add(engine.segment_length(number).unwrap_or(0));
        }
        let index_bytes = engine.rows.index().size_bytes();
        self.meter.expect(log_bytes.saturating_add(index_bytes.saturating_mul(2)));
        self.meter.step(VerifyStep::Log, log_bytes);
        let facts = self.log(scratch)?;
        self.meter.step(VerifyStep::Rows, index_bytes);
        let uses = Uses::new(scratch, engine.progress.lock().applied);
        let rows = self.rows(facts, uses)?;
        if rows.unreadable > 0 {
            // Nothing can be counted over rows that do not open; the index is made again.
            engine.rows.fail(&crate::index::IndexError::Failed(format!("{} rows do not open", rows.unreadable)));
            return Ok(());
        }
        self.meter.step(VerifyStep::Bodies, index_bytes / 10);
        self.uses(rows.uses)?;
        self.places(rows.bodies)?;
        self.numbers(index_bytes)
    }

    /// What can be counted over the index alone.
    pub(crate) fn numbers(&mut self, index_bytes: u64) -> Result<()> {
        self.meter.step(VerifyStep::Counts, index_bytes / 2);
        self.accounts()?;
        self.queue()?;
        self.name_messages()?;
        self.meter.step(VerifyStep::Audit, index_bytes / 4);
        self.store.check_audit(&mut self.report)?;
        self.meter.damage = self.report.damage.len() as u64;
        self.meter.end();
        Ok(())
    }
}

impl Store {
    /// Authenticates every frame and compares index, counts and quota with the log, as fast as can be.
    pub fn verify(&self, permit: &Permit, progress: &mut dyn FnMut(u64, u64)) -> Result<VerifyReport> {
        self.verify_with(permit, &VerifyOptions::default(), &mut |told| progress(told.done, told.total))
    }

    /// The same at a pace, telling how far it is. One at a time.
    pub fn verify_with(
        &self,
        permit: &Permit,
        options: &VerifyOptions,
        tell: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<VerifyReport> {
        allowed(permit, &[Action::Verify], None)?;
        self.checked(options, tell).map(|(report, _)| report)
    }

    pub(crate) fn checked(
        &self,
        options: &VerifyOptions,
        tell: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<(VerifyReport, Vec<Fix>)> {
        let engine = self.engine();
        let Some(_one) = engine.verifying.try_lock() else {
            return Err(StoreError::Impossible("another verification is running"));
        };
        let run_bytes = options.run_bytes.unwrap_or(VERIFY_RUN_BYTES);
        let disk = std::sync::Arc::clone(&engine.env.disk);
        let scratch = Scratch::new(disk, engine.dir.join(SCRATCH_DIR), run_bytes)?;
        let mut check = Check::new(self, options, tell);
        check.whole(&scratch)?;
        Ok((check.report, check.fixes))
    }

    /// Opens every message of the permit's account, and compares what comes out with the SHA-256 of what came in. The
    /// key store opens the account's keys; nothing that is read leaves the store.
    pub fn verify_messages(
        &self,
        permit: &Permit,
        options: &VerifyOptions,
        tell: &mut dyn FnMut(&VerifyProgress),
    ) -> Result<VerifyReport> {
        let id = owner(permit, &[Action::Verify], None)?;
        let engine = self.engine();
        let account = self.account(id)?.ok_or(StoreError::NoAccount(id))?;
        let keys = self.opened_keys(id)?;
        let mut check = Check::new(self, options, tell);
        let bytes = self.quota(id)?.bytes_used.get();
        check.meter.expect(bytes);
        check.meter.step(VerifyStep::Originals, bytes);
        engine.rows.check()?;
        check.originals(&account, &keys)?;
        check.meter.end();
        Ok(check.report)
    }
}

/// Whether a row's bytes are a row of their table.
fn decodes(key: Key, value: &[u8]) -> bool {
    use crate::audit::{AuditRow, TreeRow};
    use crate::model::{Alias, Domain};
    use crate::rows::key::{KeyAge, KeyState};
    use crate::rows::log::{DroppedRow, GoneRow, RoundRow};
    use crate::rows::mail::{Expunged, Globals, History};
    use crate::rows::sharing::{Acl, Annotations, Members, SeenBlock, SeenHead};
    match key.table() {
        None | Some(Table::Position) => false,
        Some(Table::Globals) => Globals::decode(value).is_some(),
        Some(Table::Account) => Account::decode(value).is_some(),
        Some(Table::Address) => AccountId::decode(value).is_some(),
        Some(Table::Alias) => Alias::decode(value).is_some(),
        Some(Table::Domain) => Domain::decode(value).is_some(),
        Some(Table::AccountState) => AccountState::decode(value).is_some(),
        Some(Table::KeyState) => KeyState::decode(value).is_some(),
        Some(Table::KeyAge | Table::Erasing) => KeyAge::decode(value).is_some(),
        Some(Table::AppPassword) => crate::model::AppPassword::decode(value).is_some(),
        Some(Table::AppNumber) => crate::rows::credential::AppNumber::decode(value).is_some(),
        Some(Table::Mailbox) => Mailbox::decode(value).is_some(),
        Some(Table::MailboxName) => MailboxId::decode(value).is_some(),
        Some(Table::Subscription) => pli_types::MailboxName::decode(value).is_some(),
        Some(Table::Entries) => EntryBlock::decode(value).is_some(),
        Some(Table::Expunged) => Expunged::decode(value).is_some(),
        Some(Table::History) => History::decode(value).is_some(),
        Some(Table::Message) => MessageRow::decode(value).is_some(),
        Some(Table::Body) => BodyRow::decode(value).is_some(),
        Some(Table::Gone) => GoneRow::decode(value).is_some(),
        Some(Table::Dropped) => DroppedRow::decode(value).is_some(),
        Some(Table::Round) => RoundRow::decode(value).is_some(),
        Some(Table::Queue) => QueueRow::decode(value).is_some(),
        Some(Table::Frozen) => crate::model_queue::FrozenDomain::decode(value).is_some(),
        Some(Table::Trace) => crate::rows::queue::TraceRow::decode(value).is_some_and(|row| row.event().is_some()),
        Some(Table::SearchSegment) => crate::rows::search::SearchRow::decode(value).is_some(),
        Some(Table::ChangedHours) => crate::moment::hours::ChangedHours::decode(value).is_some(),
        Some(Table::Members) => Members::decode(value).is_some(),
        Some(Table::Group) => crate::model_sharing::Group::decode(value).is_some(),
        Some(Table::Acl) => Acl::decode(value).is_some(),
        Some(Table::SeenHead) => SeenHead::decode(value).is_some(),
        Some(Table::SeenBlock) => SeenBlock::decode(value).is_some(),
        Some(Table::Annotations) => Annotations::decode(value).is_some(),
        Some(Table::AuditEntry) => AuditRow::decode(value).is_some(),
        Some(Table::AuditTree) => TreeRow::decode(value).is_some(),
        Some(
            Table::AccountKey | Table::EpochKey | Table::QueueBody | Table::QueueDue | Table::AuditTile | Table::LogKey,
        ) => Blob::decode(value).is_some(),
    }
}
