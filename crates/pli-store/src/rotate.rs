//! Keys that are renewed while the store serves: the root key's new version goes around everything that it wraps, an
//! account gets a new K1 with its epochs sealed to it, an account's own secret is destroyed. All in bounded commits,
//! each leaving a state from which any later start goes on.
//!
//! What is under which root is read from the wraps themselves: a pass that is broken off, in whatever step, is taken up
//! again because something is left under another root than the key store's present one.

use std::sync::Arc;

use pli_audit::{Class, LogKeyId};
use pli_crypto::{AccountKeyBlob, CryptoError, EpochBlob, RootId, Secret32, wrap_root};
use pli_types::{AccountId, Action, UnixMillis};

use crate::audit::key_role;
use crate::error::StoreError;
use crate::index::Next;
use crate::keys as header;
use crate::model_keys::{AccountKeyStatus, Erased, KeyProgress, KeyRules, KeyStatus, KeysKept, Rotated};
use crate::ops::allowed;
use crate::permit::Permit;
use crate::rows::directory::Blob;
use crate::rows::key::{KeyAge, KeyJob, KeyState};
use crate::rows::{Key, Table, decode, keys};
use crate::store::Store;

type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Accounts of one commit.
const PAGE_ACCOUNTS: usize = 32;
/// Log keys of one commit.
const PAGE_LOG_KEYS: usize = 64;
/// How often an account's keys are read again because they changed meanwhile.
const RENEW_TRIES: u32 = 5;
/// Passes over the accounts, until none is left that was made meanwhile under the old root.
const PASSES_MAX: u32 = 4;
const DAY_MS: i64 = 86_400_000;
/// Log keys are made so many days before their month.
const LOG_KEYS_AHEAD_DAYS: i64 = 35;
/// Versions of the root key that are kept: the present one and the one before, for backups taken under it.
const ROOTS_KEPT: u8 = 2;

/// Versions of the root key beyond which none is made while something is left under the oldest.
const ROOTS_MAX: usize = 32;

/// A row of the account key table: number, as it stands, decoded.
type KeyRow = (AccountId, Blob, AccountKeyBlob);

impl Store {
    /// Begins a rotation of the root key and carries it through: a new version, then everything wrapped anew. With
    /// `forget` all older versions are forgotten at the end, else the one before is kept for the backups under it.
    pub async fn rotate_root(&self, permit: Permit, forget: bool) -> Result<Rotated> {
        allowed(&permit, &[Action::KeyRotate], None)?;
        let permit = Arc::new(permit);
        let engine = Arc::clone(self.engine());
        let _one = engine.rotation.lock().await;
        // One that was begun and broken off is finished first: its roots are still needed.
        if self.root_is_behind()? {
            self.root_pass(&permit, ROOTS_KEPT).await?;
        }
        if engine.keystore.about().versions.len() >= ROOTS_MAX {
            return Err(StoreError::Impossible(
                "accounts under older root keys do not come over: see `pli key status`",
            ));
        }
        engine.keystore.rotate_root()?;
        self.root_pass(&permit, if forget { 1 } else { ROOTS_KEPT }).await
    }

    /// Gives one account, or (`None`) every account, a new key.
    pub async fn rotate_accounts(&self, permit: Permit, which: Option<AccountId>) -> Result<Rotated> {
        allowed(&permit, &[Action::KeyRotate], which)?;
        let permit = Arc::new(permit);
        let engine = Arc::clone(self.engine());
        let _one = engine.rotation.lock().await;
        match which {
            Some(id) => {
                let epochs = self.renew_account(id).await?;
                self.commit(move |txn| {
                    txn.audit(&permit, |event| event.account(id).count("epochs", epochs));
                    Ok(())
                })
                .await?;
                Ok(Rotated { version: engine.keystore.root_version(), accounts: 1, renewed: 1, ..Rotated::default() })
            }
            None => self.account_pass(&permit).await,
        }
    }

    /// What a timer calls: makes epochs and log keys ahead, goes on with what was broken off, and rotates what is due.
    pub async fn keep_keys(&self, permit: Permit, rules: KeyRules) -> Result<KeysKept> {
        allowed(&permit, &[Action::KeyRotate], None)?;
        let permit = Arc::new(permit);
        let engine = Arc::clone(self.engine());
        self.make_log_keys().await?;
        let mut kept = KeysKept { epochs: self.make_epochs_ahead(&permit).await?, ..KeysKept::default() };
        let _one = engine.rotation.lock().await;
        self.finish_erasures(&permit).await?;
        let state = self.key_state()?;
        let due = |since: UnixMillis, days: Option<u32>| {
            days.is_some_and(|days| engine.now().0.saturating_sub(since.0) >= i64::from(days).saturating_mul(DAY_MS))
        };
        let since = state.root.map_or(UnixMillis(i64::MAX), |(_, _, since)| since);
        if self.root_is_behind()? {
            kept.root = Some(self.root_pass(&permit, if state.keep == 0 { ROOTS_KEPT } else { state.keep }).await?);
        } else if engine.keystore.about().versions.len() > usize::from(state.keep) && self.behind()? == 0 {
            engine.keystore.forget_roots(state.keep.into())?;
        }
        if state.account_job.is_some() {
            kept.accounts = Some(self.account_pass(&permit).await?);
        }
        if kept.root.is_none() && due(since, rules.root_days) {
            match engine.keystore.rotate_root() {
                Ok(_) => kept.root = Some(self.root_pass(&permit, ROOTS_KEPT).await?),
                // A credential is changed by its owner; `key_status` says that it is due.
                Err(CryptoError::Unsupported(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if kept.accounts.is_none() && rules.account_days.is_some() {
            kept.accounts = self.renew_due(&permit, rules.account_days).await?;
        }
        Ok(kept)
    }

    /// Ages of the keys, what is due, how far a rotation is.
    pub fn key_status(&self, permit: &Permit, rules: KeyRules) -> Result<KeyStatus> {
        allowed(permit, &[Action::Operate, Action::KeyRotate], None)?;
        let engine = self.engine();
        let (state, about) = (self.key_state()?, engine.keystore.about());
        let mut status = KeyStatus {
            store: about.kind.to_owned(),
            note: about.note,
            unavailable: engine.keystore.check().err().map(|error| error.to_string()),
            versions: about.versions,
            own_secrets: about.own_secrets,
            root_since: state.root.map(|(_, _, since)| since),
            root_due: None,
            account_due: 0,
            progress: None,
            accounts: 0,
            under_other_roots: 0,
            without_own_secret: 0,
            oldest_account: None,
            erasing: self.erasing()?.len() as u64,
        };
        let after =
            |from: UnixMillis, days: u32| UnixMillis(from.0.saturating_add(i64::from(days).saturating_mul(DAY_MS)));
        status.root_due = status.root_since.zip(rules.root_days).map(|(since, days)| after(since, days));
        status.progress = state.root_job.or(state.account_job).map(|job| KeyProgress {
            what: if state.root_job.is_some() { "root" } else { "accounts" },
            started: job.started,
            done: job.done,
            total: job.total,
        });
        let now = engine.now();
        self.each_key_row(None, |(id, _, blob)| {
            status.accounts = status.accounts.saturating_add(1);
            status.under_other_roots =
                status.under_other_roots.saturating_add(u64::from(blob.root() != engine.keystore.root()));
            status.without_own_secret = status.without_own_secret.saturating_add(u64::from(!blob.has_own()));
            if let Some(made) = self.key_made(id)? {
                status.oldest_account = Some(status.oldest_account.map_or(made, |oldest| oldest.min(made)));
                let due = rules.account_days.is_some_and(|days| after(made, days) <= now);
                status.account_due = status.account_due.saturating_add(u64::from(due));
            }
            Ok(Next::More)
        })?;
        Ok(status)
    }

    /// The state of one account's key.
    pub fn account_key_status(&self, permit: &Permit, id: AccountId) -> Result<AccountKeyStatus> {
        allowed(permit, &[Action::Operate, Action::KeyRotate], Some(id))?;
        let blob = self.engine().account_key(id)?;
        let mut epochs = 0_u64;
        self.engine().rows.scan(&keys::epochs(id), None, |_, _| {
            epochs = epochs.saturating_add(1);
            Ok(Next::More)
        })?;
        let made = self.key_made(id)?;
        Ok(AccountKeyStatus { made, root_version: blob.root_version(), own_secret: blob.has_own(), epochs })
    }

    /// Whether some account's key has a secret of its own around it.
    pub fn has_own_secrets(&self) -> Result<bool> {
        let mut found = false;
        self.each_key_row(None, |(_, _, blob)| {
            found = blob.has_own();
            Ok(if found { Next::Stop } else { Next::More })
        })?;
        Ok(found)
    }

    /// Removes an account and destroys what its key cannot be opened without, in this store and in every copy of it.
    pub async fn erase_account(&self, permit: Permit, id: AccountId) -> Result<Erased> {
        allowed(&permit, &[Action::AccountRemove], Some(id))?;
        let engine = Arc::clone(self.engine());
        let _one = engine.rotation.lock().await;
        if !engine.keystore.about().own_secrets {
            return Err(CryptoError::Unsupported("accounts have no secrets of their own: see keys.accounts").into());
        }
        let covers_since = match (engine.account_key(id)?.has_own(), engine.rows.load::<KeyAge>(&keys::key_age(id))?) {
            (true, age) => age.and_then(|age| age.secret_since),
            (false, _) => Some(engine.now()),
        };
        let permit = Arc::new(permit);
        let begun = Arc::clone(&permit);
        self.commit(move |txn| {
            txn.remove_account(id)?;
            txn.begin_erasing(id);
            txn.audit(&begun, |event| event.account(id).count("erase", 1));
            Ok(())
        })
        .await?;
        self.erase(&permit, id).await?;
        Ok(Erased { covers_since })
    }
}

// ---- steps ----
impl Store {
    fn key_state(&self) -> Result<KeyState> {
        Ok(self.engine().rows.load(&keys::key_state())?.unwrap_or_default())
    }
    fn key_made(&self, id: AccountId) -> Result<Option<UnixMillis>> {
        if let Some(age) = self.engine().rows.load::<KeyAge>(&keys::key_age(id))? {
            return Ok(Some(age.made));
        }
        Ok(self.account(id)?.map(|account| account.created))
    }
    fn erasing(&self) -> Result<Vec<AccountId>> {
        let rows = self.engine().rows.list::<KeyAge>(&Key::new(Table::Erasing))?;
        Ok(rows.into_iter().map(|(key, _)| AccountId::new(key.number(1))).collect())
    }

    /// Whether something may be under another root than the present one.
    fn root_is_behind(&self) -> Result<bool> {
        let (state, root) = (self.key_state()?, self.engine().keystore.root());
        Ok(state.root_job.is_some() || state.root.is_none_or(|(under, _, _)| under != root))
    }

    fn each_key_row(&self, after: Option<u64>, mut visit: impl FnMut(KeyRow) -> Result<Next>) -> Result<()> {
        let from = after.map(|id| keys::account_key(AccountId::new(id.saturating_add(1))));
        self.engine().rows.scan(&Key::new(Table::AccountKey), from.as_ref(), |key, bytes| {
            let row = decode::<Blob>(&bytes)?;
            let blob = AccountKeyBlob::decode(&row.0)?;
            visit((AccountId::new(key.number(1)), row, blob))
        })
    }
    fn key_rows(&self, after: u64, limit: usize) -> Result<Vec<KeyRow>> {
        let mut rows = Vec::new();
        self.each_key_row(Some(after), |row| {
            rows.push(row);
            Ok(if rows.len() >= limit { Next::Stop } else { Next::More })
        })?;
        Ok(rows)
    }

    /// Accounts whose key is not wrapped as it would be now.
    fn behind(&self) -> Result<u64> {
        let mut behind = 0_u64;
        self.each_key_row(None, |(_, _, blob)| {
            behind = behind.saturating_add(u64::from(!self.engine().keystore.is_current(&blob)));
            Ok(Next::More)
        })?;
        Ok(behind)
    }

    /// Brings everything under the present root, from wherever an earlier pass ended.
    async fn root_pass(&self, permit: &Arc<Permit>, keep: u8) -> Result<Rotated> {
        let engine = self.engine();
        let (root, version) = (engine.keystore.root(), engine.keystore.root_version());
        self.begin_job(permit, root, Some(keep), |state| &mut state.root_job).await?;
        header::rewrap(&*engine.env.disk, &engine.dir, &*engine.keystore)?;
        let mut rotated = Rotated { version, log_keys: self.rewrap_log_keys(root).await?, ..Rotated::default() };
        let mut passes = PASSES_MAX;
        loop {
            self.rewrap_accounts(&mut rotated).await?;
            passes = passes.saturating_sub(1);
            // Those that were made under the old root while the pass went on.
            let left = self.behind()?;
            if left <= rotated.failed.saturating_add(rotated.erased) || passes == 0 {
                break;
            }
            (rotated.failed, rotated.erased) = (0, 0);
            self.commit(move |txn| {
                let mut state = txn.key_state()?;
                if let Some(job) = &mut state.root_job {
                    job.cursor = 0;
                }
                txn.put_key_state(&state);
                Ok(())
            })
            .await?;
        }
        self.end_root_job(permit, root, &rotated).await?;
        // What did not come over still needs its root.
        if rotated.failed == 0 {
            rotated.forgotten = engine.keystore.forget_roots(keep.into())? as u64;
        }
        Ok(rotated)
    }

    /// Notes that a pass has begun; one that was broken off goes on where it was.
    async fn begin_job(
        &self,
        permit: &Arc<Permit>,
        root: RootId,
        keep: Option<u8>,
        job: impl Fn(&mut KeyState) -> &mut Option<KeyJob> + Send + 'static,
    ) -> Result<()> {
        let mut total = 0_u64;
        self.engine().rows.scan(&Key::new(Table::AccountKey), None, |_, _| {
            total = total.saturating_add(1);
            Ok(Next::More)
        })?;
        let noted = Arc::clone(permit);
        self.commit(move |txn| {
            let mut state = txn.key_state()?;
            if let Some(keep) = keep.filter(|keep| *keep != state.keep) {
                state.keep = keep;
                txn.put_key_state(&state);
            }
            let place = job(&mut state);
            if place.is_none_or(|running| running.root != root) {
                *place = Some(KeyJob { started: txn.now(), root, cursor: 0, done: 0, total });
                txn.put_key_state(&state);
                txn.audit(&noted, |event| event.count("accounts-to-do", total));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn end_root_job(&self, permit: &Arc<Permit>, root: RootId, rotated: &Rotated) -> Result<()> {
        let (noted, version) = (Arc::clone(permit), rotated.version);
        let (accounts, log_keys, failed) = (rotated.accounts, rotated.log_keys, rotated.failed);
        self.commit(move |txn| {
            let mut state = txn.key_state()?;
            let started = state.root_job.map_or(txn.now(), |job| job.started);
            // A pass that found nothing new under the root (the first one of all) does not make it younger.
            let since = state.root.filter(|(under, _, _)| *under == root).map_or(started, |(_, _, since)| since);
            state.root = Some((root, version, since));
            state.root_job = None;
            txn.put_key_state(&state);
            txn.audit(&noted, |event| {
                event
                    .count("root-version", version.into())
                    .count("accounts", accounts)
                    .count("log-keys", log_keys)
                    .count("failed", failed)
            });
            Ok(())
        })
        .await?;
        Ok(())
    }

    async fn rewrap_log_keys(&self, root: RootId) -> Result<u64> {
        let engine = self.engine();
        let mut behind = Vec::new();
        for (key, row) in engine.rows.list::<Blob>(&Key::new(Table::LogKey))? {
            if wrap_root(&row.0) == Some(root) {
                continue;
            }
            let Some(id) = LogKeyId::decode(key.get(1..).unwrap_or_default()) else { continue };
            let role = key_role(id);
            let secret = engine.keystore.unwrap(&role, &row.0)?;
            behind.push((key, row, engine.keystore.wrap(&role, &secret)?));
        }
        let count = behind.len() as u64;
        for page in behind.chunks(PAGE_LOG_KEYS) {
            let page = page.to_vec();
            self.commit(move |txn| {
                for (key, old, new) in page {
                    txn.replace_blob(key, &old, new)?;
                }
                Ok(())
            })
            .await?;
        }
        Ok(count)
    }

    async fn rewrap_accounts(&self, rotated: &mut Rotated) -> Result<()> {
        let engine = self.engine();
        loop {
            let cursor = self.key_state()?.root_job.map_or(0, |job| job.cursor);
            let page = self.key_rows(cursor, PAGE_ACCOUNTS)?;
            let Some((last, _, _)) = page.last() else { return Ok(()) };
            let (last, passed) = (last.get(), page.len() as u64);
            let mut done = Vec::new();
            for (id, row, blob) in page {
                if engine.keystore.is_current(&blob) {
                    continue;
                }
                let outcome = match engine.keystore.rewrap_account(&blob, &engine.account_aad(id)) {
                    Ok(Some(new)) => {
                        done.push((id, row, new));
                        Ok(())
                    }
                    Ok(None) => {
                        self.renew_account(id).await.map(|_| rotated.renewed = rotated.renewed.saturating_add(1))
                    }
                    Err(error) => Err(error.into()),
                };
                match outcome {
                    Ok(()) => rotated.accounts = rotated.accounts.saturating_add(1),
                    // Of an older copy of the store: no root key opens it any more.
                    Err(StoreError::Keys(CryptoError::Erased)) => rotated.erased = rotated.erased.saturating_add(1),
                    Err(error) if passes_over(&error) => {
                        tracing::warn!(account = %id, %error, "an account's key could not be brought under the root key");
                        rotated.failed = rotated.failed.saturating_add(1);
                    }
                    Err(error) => return Err(error),
                }
            }
            self.commit(move |txn| {
                for (id, old, new) in done {
                    let late = !AccountKeyBlob::decode(&old.0)?.has_own() && new.has_own();
                    if txn.replace_blob(keys::account_key(id), &old, new.encode())? {
                        txn.own.keys_changed.push(id);
                        if late {
                            txn.mark_late_secret(id)?;
                        }
                    }
                }
                let mut state = txn.key_state()?;
                if let Some(job) = &mut state.root_job {
                    job.cursor = last;
                    job.done = job.done.saturating_add(passed).min(job.total);
                }
                txn.put_key_state(&state);
                Ok(())
            })
            .await?;
        }
    }

    /// A new key for every account, from wherever an earlier pass ended.
    async fn account_pass(&self, permit: &Arc<Permit>) -> Result<Rotated> {
        let root = self.engine().keystore.root();
        self.begin_job(permit, root, None, |state| &mut state.account_job).await?;
        let mut rotated = Rotated { version: self.engine().keystore.root_version(), ..Rotated::default() };
        loop {
            let cursor = self.key_state()?.account_job.map_or(0, |job| job.cursor);
            let page = self.key_rows(cursor, PAGE_ACCOUNTS)?;
            let Some((last, _, _)) = page.last() else { break };
            let (last, passed) = (last.get(), page.len() as u64);
            for (id, _, _) in page {
                self.renew_counted(id, &mut rotated).await?;
            }
            self.commit(move |txn| {
                let mut state = txn.key_state()?;
                if let Some(job) = &mut state.account_job {
                    job.cursor = last;
                    job.done = job.done.saturating_add(passed).min(job.total);
                }
                txn.put_key_state(&state);
                Ok(())
            })
            .await?;
        }
        let (noted, accounts, failed) = (Arc::clone(permit), rotated.accounts, rotated.failed);
        self.commit(move |txn| {
            let mut state = txn.key_state()?;
            state.account_job = None;
            txn.put_key_state(&state);
            txn.audit(&noted, |event| event.count("accounts", accounts).count("failed", failed));
            Ok(())
        })
        .await?;
        Ok(rotated)
    }

    /// New keys for accounts whose key is older than that.
    async fn renew_due(&self, permit: &Arc<Permit>, days: Option<u32>) -> Result<Option<Rotated>> {
        let days = i64::from(days.unwrap_or(u32::MAX));
        let oldest = self.engine().now().0.saturating_sub(days.saturating_mul(DAY_MS));
        let mut rotated = Rotated { version: self.engine().keystore.root_version(), ..Rotated::default() };
        let mut cursor = 0;
        loop {
            let page = self.key_rows(cursor, PAGE_ACCOUNTS)?;
            let Some((last, _, _)) = page.last() else { break };
            cursor = last.get();
            for (id, _, _) in page {
                if self.key_made(id)?.is_some_and(|made| made.0 <= oldest) {
                    self.renew_counted(id, &mut rotated).await?;
                }
            }
        }
        if rotated.accounts == 0 && rotated.failed == 0 {
            return Ok(None);
        }
        let (noted, accounts, failed) = (Arc::clone(permit), rotated.accounts, rotated.failed);
        self.commit(move |txn| {
            txn.audit(&noted, |event| event.count("accounts", accounts).count("failed", failed));
            Ok(())
        })
        .await?;
        Ok(Some(rotated))
    }

    async fn renew_counted(&self, id: AccountId, rotated: &mut Rotated) -> Result<()> {
        match self.renew_account(id).await {
            Ok(_) => {
                rotated.accounts = rotated.accounts.saturating_add(1);
                rotated.renewed = rotated.renewed.saturating_add(1);
            }
            // Removed meanwhile.
            Err(StoreError::NoAccount(_)) => {}
            Err(error) if passes_over(&error) => {
                tracing::warn!(account = %id, %error, "an account's key could not be renewed");
                rotated.failed = rotated.failed.saturating_add(1);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// A new K1 and all epochs sealed to it, in one commit. Returns the number of epochs.
    async fn renew_account(&self, id: AccountId) -> Result<u64> {
        let engine = self.engine();
        let aad = engine.account_aad(id);
        for _ in 0..RENEW_TRIES {
            let (row, epochs) = {
                let _applying = engine.apply.read();
                let row: Blob = engine.rows.load(&keys::account_key(id))?.ok_or(StoreError::NoAccount(id))?;
                (row, engine.rows.list::<Blob>(&keys::epochs(id))?)
            };
            let old = AccountKeyBlob::decode(&row.0)?;
            let mut secrets = Vec::with_capacity(epochs.len());
            for (_, epoch) in &epochs {
                secrets.push(engine.keystore.open_epoch(&old, &aad, &EpochBlob::decode(&epoch.0)?)?);
            }
            let new = engine.keystore.create_account(&aad)?;
            let sealed = engine.keystore.seal_epochs(&new, &aad, &secrets)?;
            drop(secrets);
            let count = sealed.len() as u64;
            let late = !old.has_own() && new.has_own();
            let renewed = self.commit(move |txn| {
                let renewed = txn.renew_account(id, &row, &new, &sealed)?;
                if renewed && late {
                    txn.mark_late_secret(id)?;
                }
                Ok(renewed)
            });
            if renewed.await?.value {
                return Ok(count);
            }
        }
        Err(StoreError::Impossible("the account's keys change all the time"))
    }

    async fn finish_erasures(&self, permit: &Arc<Permit>) -> Result<()> {
        for id in self.erasing()? {
            self.erase(permit, id).await?;
        }
        Ok(())
    }

    /// The secret goes, durably; then the mark.
    async fn erase(&self, permit: &Arc<Permit>, id: AccountId) -> Result<()> {
        let engine = self.engine();
        engine.keystore.erase_account(&engine.account_aad(id))?;
        let noted = Arc::clone(permit);
        self.commit(move |txn| {
            if txn.end_erasing(id)? {
                txn.audit(&noted, |event| event.account(id).count("erased", 1));
            }
            Ok(())
        })
        .await?;
        Ok(())
    }

    /// Makes the log keys of this month and of the next, and opens them: a key store that is gone for a while must not
    /// keep events from being recorded, and with them mail from being taken.
    async fn make_log_keys(&self) -> Result<()> {
        let engine = self.engine();
        let now = engine.now();
        let ahead = UnixMillis(now.0.saturating_add(LOG_KEYS_AHEAD_DAYS.saturating_mul(DAY_MS)));
        let mut ids = Vec::new();
        for class in Class::ALL {
            for time in [now, ahead] {
                ids.push(LogKeyId::of(time, *class));
            }
        }
        let mut made = Vec::new();
        for id in &ids {
            if engine.rows.get(&keys::log_key(id.encode()))?.is_none() {
                made.push((id.encode(), engine.keystore.wrap(&key_role(*id), &Secret32::generate()?)?));
            }
        }
        if !made.is_empty() {
            self.commit(move |txn| {
                for (id, wrapped) in &made {
                    txn.add_log_key(*id, wrapped)?;
                }
                Ok(())
            })
            .await?;
        }
        for id in ids {
            engine.log_keys.get(id, &engine.rows, &*engine.keystore)?;
        }
        Ok(())
    }
}

/// Errors of one account's key that do not end a pass over all.
const fn passes_over(error: &StoreError) -> bool {
    match error {
        StoreError::Keys(cause) => !matches!(cause, CryptoError::Unavailable(_) | CryptoError::Random),
        StoreError::Impossible(_) => true,
        _ => false,
    }
}
