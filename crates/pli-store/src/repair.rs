//! `repair`: mends what `verify` finds and can be mended, and lists the rest.
//!
//! Nothing is made worse: rows are put by ordinary commits, with their audit event in the same commit, after what they
//! replace (sealed as it stands) has been copied beside the store; no message is removed, and no frame is written over.
//! What only the log knows is taken from the log, what only the index has is written into the log again.

use std::collections::{BTreeMap, HashSet};
use std::io::IoSlice;
use std::path::PathBuf;
use std::sync::Arc;

use pli_crypto::sha256;
use pli_io::{DiskFile, OpenMode};
use pli_types::{Action, BodyId};
use serde::Serialize;

use crate::body::summary_bytes_in;
use crate::codec::{Reader, to_hex};
use crate::error::StoreError;
use crate::index::IndexError;
use crate::limits::{REPAIR_COMMIT_ROWS, REPAIR_ROWS_MAX};
use crate::log::frame::FrameKind;
use crate::log::segment::{SEGMENT_HEADER_BYTES, SEGMENT_START, Segment, segment_path};
use crate::log::walk::{Bodies, Piece, walk_each};
use crate::model::{Damage, VerifyOptions, VerifyProgress, VerifyReport};
use crate::open::list_segments;
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::log::{GoneRow, LogPlace};
use crate::rows::mail::BodyRow;
use crate::rows::{Key, RowPlace, Table, keys};
use crate::store::Store;
use crate::verify::{Fix, rows_of_frame};

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Times that what was mended is verified and what is left mended again.
const PASSES_MAX: usize = 4;

/// How to repair.
#[derive(Clone, Debug, Default)]
pub struct RepairOptions {
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
    /// Only what is safe while others use the store: headers, accounts' counts and names, the queue.
    pub online: bool,
    /// How the verifications go.
    pub verify: VerifyOptions,
}

/// What `repair` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RepairReport {
    /// Nothing was changed.
    pub dry_run: bool,
    /// What was mended; with `dry_run`, what would be.
    pub mended: Vec<String>,
    /// What waits until the server is stopped.
    pub needs_offline: Vec<String>,
    /// What is wrong still: it cannot be mended here.
    pub left: Vec<Damage>,
    /// Folder with copies of what was replaced.
    pub copies: Option<String>,
    /// Verifications that were made.
    pub passes: u64,
}

/// The folder that what is replaced is copied to. Made when first needed.
struct Copies {
    dir: PathBuf,
    file: Option<(Arc<dyn DiskFile>, u64)>,
}

impl Store {
    /// Verifies, mends, and verifies again, until nothing is left that can be mended.
    pub async fn repair(
        &self,
        permit: Permit,
        options: RepairOptions,
        mut tell: Box<dyn FnMut(&VerifyProgress) + Send>,
    ) -> Result<RepairReport> {
        allowed(&permit, &[Action::Repair], None)?;
        let permit = Arc::new(permit);
        let engine = Arc::clone(self.engine());
        let stamp = engine.now().0;
        let named = (stamp..).map(|stamp| engine.dir.join(format!("repair-{stamp}")));
        let dir = named.into_iter().find(|dir| !engine.env.disk.exists(dir)).unwrap_or_default();
        let mut copies = Copies { dir, file: None };
        let mut report = RepairReport { dry_run: options.dry_run, ..RepairReport::default() };
        let mut done: Vec<Fix> = Vec::new();
        for _ in 0..PASSES_MAX {
            let (store, how) = (self.clone(), options.verify.clone());
            let work = move || {
                let checked = store.checked(&how, &mut *tell);
                (checked, tell)
            };
            let (checked, told) =
                tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Impossible("it was broken off"))?;
            tell = told;
            report.passes = report.passes.saturating_add(1);
            let (found, fixes) = match checked {
                // Rows that did not open: the index is being made again, and is looked at once it is there.
                Err(StoreError::Rebuilding) if !options.dry_run => {
                    self.index_again(&mut report).await?;
                    continue;
                }
                other => other?,
            };
            report.left = left_of(&found);
            let fixes: Vec<Fix> =
                chosen(fixes, &options, &mut report).into_iter().filter(|fix| !done.contains(fix)).collect();
            if options.dry_run {
                report.mended = fixes.iter().map(describe).collect();
                return Ok(report);
            }
            if engine.rows.is_broken() {
                self.index_again(&mut report).await?;
                continue;
            }
            let checkpoint = self.mend_checkpoint(&found, &mut copies, &mut report)?;
            if fixes.is_empty() && !checkpoint {
                break;
            }
            self.mend(&permit, &fixes, &mut copies, &mut report).await?;
            done.extend(fixes);
        }
        if copies.file.is_some() {
            report.copies = Some(copies.dir.display().to_string());
        }
        engine.damaged.clear();
        Ok(report)
    }

    /// Waits for an index that is made again from the log.
    async fn index_again(&self, report: &mut RepairReport) -> Result<()> {
        let engine = self.engine();
        engine.rows.fail(&IndexError::Failed(String::from("it does not fit the log")));
        engine.queue.nudge();
        while engine.rows.is_broken() {
            engine.stop_reason().map_or(Ok(()), Err)?;
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            engine.queue.nudge();
        }
        report.mended.push(String::from("index: made again from the log"));
        Ok(())
    }

    async fn mend(
        &self,
        permit: &Arc<Permit>,
        fixes: &[Fix],
        copies: &mut Copies,
        report: &mut RepairReport,
    ) -> Result<()> {
        let mut rows: Vec<(Key, Option<Vec<u8>>)> = Vec::new();
        let mut lost: BTreeMap<BodyId, (u32, u32)> = BTreeMap::new();
        for fix in fixes {
            match fix {
                Fix::Header(number) => self.mend_header(permit, *number, copies, report).await?,
                Fix::Row(key, place) => rows.push((*key, self.row_in_log(*place)?)),
                Fix::Keep(key) => rows.push((*key, self.engine().rows.get(key)?)),
                Fix::LostBody { body, messages, queued } => {
                    lost.insert(*body, (*messages, *queued));
                }
                other => self.mend_counts(permit, other, copies, report).await?,
            }
        }
        if rows.len() > REPAIR_ROWS_MAX {
            return self.index_again(report).await;
        }
        rows.extend(self.find_bodies(&lost)?);
        self.put_rows(permit, rows, copies, report).await
    }

    /// Puts rows as they should be, so many a commit.
    async fn put_rows(
        &self,
        permit: &Arc<Permit>,
        rows: Vec<(Key, Option<Vec<u8>>)>,
        copies: &mut Copies,
        report: &mut RepairReport,
    ) -> Result<()> {
        for some in rows.chunks(REPAIR_COMMIT_ROWS) {
            let keys: Vec<Key> = some.iter().map(|(key, _)| *key).collect();
            self.copy_rows(&keys, copies)?;
            let some = some.to_vec();
            let permit = Arc::clone(permit);
            self.commit(move |txn| {
                let count = some.len() as u64;
                for (key, value) in some {
                    txn.own.rows.insert(key, value.map(bytes::Bytes::from));
                }
                txn.audit(&permit, |event| event.count("rows", count));
                Ok(())
            })
            .await?;
            report.mended.extend(keys.iter().map(|key| format!("row {}: as it should be", name_of(key))));
            // Views were made of the rows as they were.
            let _applying = self.engine().apply.write();
            self.engine().views.clear();
        }
        Ok(())
    }

    async fn mend_counts(
        &self,
        permit: &Arc<Permit>,
        fix: &Fix,
        copies: &mut Copies,
        report: &mut RepairReport,
    ) -> Result<()> {
        let affected = self.rows_of(fix)?;
        self.copy_rows(&affected, copies)?;
        let (fix, permit) = (fix.clone(), Arc::clone(permit));
        let said = self.commit(move |txn| {
            let said = match &fix {
                Fix::Account(id) => txn.mend_account(*id)?,
                Fix::BodyCounts { body, messages, queued } => {
                    txn.mend_body_counts(*body, *messages, *queued)?;
                    vec![describe(&fix)]
                }
                Fix::QueueOrder { id, stray } => {
                    txn.mend_queue_order(*id, *stray)?;
                    vec![describe(&fix)]
                }
                Fix::QueueBody(body) => {
                    let held = txn.mend_queue_body(*body)?;
                    held.iter().map(|id| format!("queue entry {id}: held, its message does not open")).collect()
                }
                Fix::Header(_) | Fix::Row(..) | Fix::Keep(_) | Fix::LostBody { .. } => Vec::new(),
            };
            if !said.is_empty() {
                txn.audit(&permit, |event| event.count("mended", said.len() as u64));
            }
            Ok(said)
        });
        let said = said.await?.value;
        report.mended.extend(said);
        let _applying = self.engine().apply.write();
        self.engine().views.clear();
        Ok(())
    }

    /// The rows that a fix may change.
    fn rows_of(&self, fix: &Fix) -> Result<Vec<Key>> {
        let rows = &self.engine().rows;
        Ok(match fix {
            Fix::Account(id) => {
                let mut all = vec![keys::state(*id)];
                for prefix in [keys::mailboxes(*id), keys::mailbox_names(*id), keys::messages(*id)] {
                    rows.scan(&prefix, None, |key, _| {
                        all.push(key);
                        Ok(crate::index::Next::More)
                    })?;
                }
                all
            }
            Fix::BodyCounts { body, .. } => vec![keys::body(*body)],
            Fix::QueueOrder { id, .. } => vec![keys::queue(*id)],
            Fix::QueueBody(body) => vec![keys::queue_body(*body)],
            _ => Vec::new(),
        })
    }

    /// A row's value as a frame of the log has it.
    fn row_in_log(&self, place: Option<RowPlace>) -> Result<Option<Vec<u8>>> {
        let Some(place) = place else { return Ok(None) };
        let at = LogPlace { segment: place.segment, offset: place.offset };
        let rows = rows_of_frame(self.engine(), at)?;
        let row = rows.into_iter().nth(place.row as usize);
        row.map(|(_, value)| value).ok_or(StoreError::Impossible("the log has changed; try again"))
    }

    /// One copy of a segment's header from the other.
    async fn mend_header(
        &self,
        permit: &Arc<Permit>,
        number: u32,
        copies: &mut Copies,
        report: &mut RepairReport,
    ) -> Result<()> {
        let engine = self.engine();
        let dir = engine.segments_dir();
        let Some(segment) = Segment::open(&*engine.env.disk, &dir, &engine.keys, number, OpenMode::ReadWrite)? else {
            return Ok(());
        };
        let mut both = vec![0; 2 * SEGMENT_HEADER_BYTES];
        segment.file.read_exact_at(&mut both, 0)?;
        let (first, second) = both.split_at(SEGMENT_HEADER_BYTES);
        let is_whole = |copy: &[u8]| sha256(copy) == segment.header_hash;
        let (good, at) = if is_whole(first) { (first, SEGMENT_HEADER_BYTES as u64) } else { (second, 0) };
        copies.add(engine, &format!("{{\"segment\":{number},\"header\":\"{}\"}}\n", to_hex(&both)))?;
        segment.file.write_all_at(&[IoSlice::new(good)], at)?;
        segment.file.sync_data()?;
        let permit = Arc::clone(permit);
        self.commit(move |txn| {
            txn.audit(&permit, |event| event.count("segment", number.into()));
            Ok(())
        })
        .await?;
        report.mended.push(format!("segment {number}: its header is there twice again"));
        Ok(())
    }

    /// The checkpoint of the audit log as a file, from the row that has it too.
    fn mend_checkpoint(&self, found: &VerifyReport, copies: &mut Copies, report: &mut RepairReport) -> Result<bool> {
        let engine = self.engine();
        let file = engine.dir.join("audit").join("checkpoint");
        if !found.damage.iter().any(|damage| damage.kind == "audit" && damage.what.contains("checkpoint file")) {
            return Ok(false);
        }
        let row = engine.rows.load::<crate::audit::TreeRow>(&keys::audit_tree())?;
        let Some(row) = row.filter(|row| pli_audit::Checkpoint::verify(&row.note, engine.keys.signer.public()).is_ok())
        else {
            return Ok(false);
        };
        let before = engine.env.disk.read(&file).unwrap_or_default();
        copies.add(engine, &format!("{{\"checkpoint\":\"{}\"}}\n", to_hex(&before)))?;
        engine.env.disk.replace(&file, row.note.as_bytes())?;
        report.mended.push(String::from("audit: the checkpoint file is there again"));
        Ok(true)
    }

    /// Rows for bodies that are used and have none: from the gone row, or from the frame in the log. The summary of the
    /// latter is made again when somebody reads it.
    fn find_bodies(&self, lost: &BTreeMap<BodyId, (u32, u32)>) -> Result<Vec<(Key, Option<Vec<u8>>)>> {
        use crate::rows::Row as _;
        let engine = self.engine();
        let mut found: BTreeMap<BodyId, BodyRow> = BTreeMap::new();
        let mut rows = Vec::new();
        for body in lost.keys() {
            if let Some(gone) = engine.rows.load::<GoneRow>(&keys::gone(*body))? {
                found.insert(*body, gone.body);
                rows.push((keys::gone(*body), None));
            }
        }
        let wanted: HashSet<BodyId> = lost.keys().filter(|body| !found.contains_key(*body)).copied().collect();
        if !wanted.is_empty() {
            for number in list_segments(&*engine.env.disk, &engine.segments_dir())? {
                self.bodies_in(number, &wanted, &mut found)?;
            }
        }
        for (body, mut row) in found {
            let (messages, queued) = lost.get(&body).copied().unwrap_or_default();
            (row.messages, row.queued) = (messages, queued);
            rows.push((keys::body(body), Some(row.encode())));
        }
        Ok(rows)
    }

    fn bodies_in(&self, number: u32, wanted: &HashSet<BodyId>, found: &mut BTreeMap<BodyId, BodyRow>) -> Result<()> {
        let engine = self.engine();
        let path = segment_path(&engine.segments_dir(), number);
        if !engine.env.disk.exists(&path) {
            return Ok(());
        }
        let opened = Segment::open(&*engine.env.disk, &engine.segments_dir(), &engine.keys, number, OpenMode::Read)?;
        let Some(segment) = opened else { return Ok(()) };
        walk_each(&segment, SEGMENT_START, segment.file.len()?, Bodies::Check, &mut |piece, payload| {
            let (Piece::Frame { offset, header, .. }, Some(payload)) = (piece, payload) else { return Ok(()) };
            if header.kind != FrameKind::Body {
                return Ok(());
            }
            let mut r = Reader::new(payload.get(8..).unwrap_or_default());
            let (Some(body), Some(size)) = (r.u64().map(BodyId::new), r.u64()) else { return Ok(()) };
            if wanted.contains(&body) {
                let row = BodyRow {
                    segment: number,
                    offset,
                    length: header.length,
                    size,
                    // Nobody knows it any more; the chunks authenticate under the message's key.
                    digest: [0; 32],
                    sealed_digest: sha256(&payload),
                    messages: 0,
                    queued: 0,
                    summary_bytes: summary_bytes_in(&payload).unwrap_or(0),
                    summary_version: 0,
                    summary: Vec::new(),
                };
                found.insert(body, row);
            }
            Ok::<(), StoreError>(())
        })
    }

    /// Copies rows, sealed as they stand, before they are replaced.
    fn copy_rows(&self, keys: &[Key], copies: &mut Copies) -> Result<()> {
        let engine = self.engine();
        let index = engine.rows.index();
        let mut text = String::new();
        for key in keys {
            let sealed = index.get(key).map_err(|error| engine.rows.fail(&error))?;
            let sealed = sealed.map_or_else(|| String::from("null"), |sealed| format!("\"{}\"", to_hex(&sealed)));
            text.push_str(&format!("{{\"key\":\"{}\",\"sealed\":{sealed}}}\n", to_hex(key)));
        }
        copies.add(engine, &text)
    }
}

impl Copies {
    fn add(&mut self, engine: &crate::engine::Engine, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            engine.env.disk.create_dir_all(&self.dir)?;
            let file = engine.env.disk.open(&self.dir.join("replaced.jsonl"), OpenMode::CreateNew)?;
            engine.env.disk.sync_dir(&self.dir)?;
            self.file = Some((file, 0));
        }
        if let Some((file, at)) = &mut self.file {
            file.write_all_at(&[IoSlice::new(text.as_bytes())], *at)?;
            file.sync_data()?;
            *at = at.saturating_add(text.len() as u64);
        }
        Ok(())
    }
}

/// Which fixes are for this pass. Rows first: what is counted over wrong rows is wrong.
fn chosen(fixes: Vec<Fix>, options: &RepairOptions, report: &mut RepairReport) -> Vec<Fix> {
    report.needs_offline.clear();
    let (safe, other): (Vec<Fix>, Vec<Fix>) = fixes.into_iter().partition(|fix| {
        !options.online || matches!(fix, Fix::Header(_) | Fix::Account(_) | Fix::QueueOrder { .. } | Fix::QueueBody(_))
    });
    report.needs_offline.extend(other.iter().map(describe));
    let is_row = |fix: &Fix| matches!(fix, Fix::Row(..) | Fix::Keep(_) | Fix::Header(_) | Fix::LostBody { .. });
    if options.dry_run || !safe.iter().any(|fix| is_row(fix) && !matches!(fix, Fix::Header(_))) {
        return safe;
    }
    safe.into_iter().filter(is_row).collect()
}

fn describe(fix: &Fix) -> String {
    match fix {
        Fix::Header(number) => format!("segment {number}: the damaged copy of its header, from the other"),
        Fix::Row(key, Some(_)) => format!("row {}: as the log has it", name_of(key)),
        Fix::Row(key, None) => format!("row {}: removed, since the log does not have it", name_of(key)),
        Fix::Keep(key) => format!("row {}: into the log again, since only the index has it", name_of(key)),
        Fix::BodyCounts { body, messages, queued } => {
            format!("body {body}: used by {messages} messages and {queued} queue entries")
        }
        Fix::LostBody { body, .. } => format!("body {body}: a row for it, if its frame is found"),
        Fix::Account(id) => format!("account {id}: counts, names and references made again"),
        Fix::QueueOrder { id, .. } => format!("queue entry {id}: its place in the order"),
        Fix::QueueBody(body) => format!("body {body}: its queue entries are held"),
    }
}

fn name_of(key: &Key) -> String {
    let table = key.table().unwrap_or(Table::Position);
    format!("{table:?} {}", to_hex(key.get(1..).unwrap_or_default()))
}

fn left_of(found: &VerifyReport) -> Vec<Damage> {
    found.damage.clone()
}
