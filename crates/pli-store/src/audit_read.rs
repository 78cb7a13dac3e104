//! Reading and verifying the audit log.

use pli_audit::{Checkpoint, Event, StoredEntry, Tile, TileId, Verifier};
use pli_types::Action;

use crate::audit::{AuditRow, TreeRow, open_event};
use crate::error::StoreError;
use crate::index::Next;
use crate::model::{Damage, VerifyReport};
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::directory::Blob;
use crate::rows::{Key, Table, decode, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

impl Store {
    /// Events in log order from an index, opened. Those whose retention is over are left out.
    pub fn audit_events(&self, permit: &Permit, from: u64, limit: usize) -> Result<Vec<(u64, Event)>> {
        allowed(permit, &[Action::AuditRead], None)?;
        let engine = self.engine();
        let mut rows = Vec::new();
        if limit == 0 {
            return Ok(Vec::new());
        }
        engine.rows.scan(&Key::new(Table::AuditEntry), Some(&keys::audit_entry(from)), |key, bytes| {
            rows.push((key.number(1), decode::<AuditRow>(&bytes)?));
            Ok(if rows.len() >= limit { Next::Stop } else { Next::More })
        })?;
        let mut events = Vec::with_capacity(rows.len());
        for (index, row) in rows {
            if let Some(event) = open_event(row, &engine.rows, &engine.log_keys, &*engine.keystore)? {
                events.push((index, event));
            }
        }
        Ok(events)
    }
    /// The number of entries and the newest signed checkpoint.
    #[must_use]
    pub fn audit_checkpoint(&self) -> (u64, Option<String>) {
        self.engine().audit_head.lock().clone()
    }
    /// The public key of the log in the form that auditors and witnesses take (C2SP signed-note).
    #[must_use]
    pub fn audit_public_key(&self) -> String {
        self.engine().keys.signer.public().vkey()
    }
    /// Reads every entry's bytes again and compares them with the tree and the signed checkpoint.
    pub fn audit_verify(&self, permit: &Permit) -> Result<VerifyReport> {
        allowed(permit, &[Action::Verify, Action::AuditRead], None)?;
        let mut report = VerifyReport::default();
        self.check_audit(&mut report)?;
        Ok(report)
    }

    pub(crate) fn check_audit(&self, report: &mut VerifyReport) -> Result<()> {
        let engine = self.engine();
        let mut damage = |what: String| {
            report.add(Damage { kind: "audit", place: String::from("audit log"), what, message: None });
        };
        // The copy that went out: an index rolled back to an older state would not know of it. Read first, since it
        // grows.
        let mut checkpoints = Vec::new();
        let file = engine.dir.join("audit").join("checkpoint");
        if engine.env.disk.exists(&file) {
            let note = engine.env.disk.read(&file).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            match note.map(|note| Checkpoint::verify(&note, engine.keys.signer.public())) {
                Some(Ok(checkpoint)) => checkpoints.push(checkpoint),
                _ => damage(String::from("the checkpoint file does not verify")),
            }
        }
        let (size, row) = {
            let size = engine.audit_head.lock().0;
            (size, engine.rows.load::<TreeRow>(&keys::audit_tree())?)
        };
        if let Some(row) = row {
            match Checkpoint::verify(&row.note, engine.keys.signer.public()) {
                // A group may have come in between.
                Ok(checkpoint) if checkpoint.size <= size => checkpoints.push(checkpoint),
                Ok(_) => {}
                Err(error) => damage(format!("the checkpoint does not verify: {error}")),
            }
        }
        let entries = (0..size).map(|index| {
            let row: AuditRow = engine
                .rows
                .load(&keys::audit_entry(index))
                .ok()
                .flatten()
                .ok_or(pli_audit::AuditError::Malformed("entry"))?;
            Ok(StoredEntry { leaf: row.leaf, sealed: row.sealed })
        });
        let tiles = |id: TileId| -> pli_audit::Result<Vec<pli_audit::Hash>> {
            let missing = pli_audit::AuditError::Malformed("tile");
            let blob: Option<Blob> = engine.rows.load(&keys::audit_tile(id.level, id.index)).ok().flatten();
            let full = TileId { width: 256, ..id };
            Ok(Tile::decode(full, &blob.ok_or(missing)?.0)?.hashes)
        };
        let now = engine.now();
        let verified = Verifier {
            keys: &|id| engine.log_keys.make(id, &engine.rows, &*engine.keystore).ok().flatten(),
            // Full tiles only: the partial ones are the tree's own state, which its rows replace.
            tiles: Some(&tiles),
            may_lack: &|id| id.expired(now),
        }
        .run(entries, &checkpoints);
        match verified {
            Ok(found) => report.audit_entries = report.audit_entries.saturating_add(found.entries),
            Err(fault) => damage(fault.to_string()),
        }
        Ok(())
    }
}
