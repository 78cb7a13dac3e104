//! The commands on a real store, and what a real store shows.

use super::*;
use pli_crypto::Opened;
use pli_types::{FlagSet, MailboxName};

/// Names of flags as the store takes them.
fn flag_set(names: &Flags) -> FlagSet {
    let mut set = FlagSet::default();
    for flag in SystemFlag::ALL.into_iter().filter(|flag| names.contains(&flag.name().to_lowercase())) {
        set.insert(flag);
    }
    for keyword in KEYWORDS.into_iter().filter(|keyword| names.contains(&keyword.to_lowercase())) {
        set.insert_keyword(Keyword::new(keyword).unwrap());
    }
    set
}

fn uids(numbers: &[u32]) -> Vec<Uid> {
    numbers.iter().map(|uid| Uid::new(*uid)).collect()
}

impl Twin {
    fn mailbox(&self, open: &Open, account: usize, text: &str) -> Result<MailboxId, StoreError> {
        let permit = open.permit(Action::List, Some(self.ids[account]));
        let found = open.store.read(&permit)?.mailbox_by_name(&name(text))?;
        found.map(|mailbox| mailbox.id).ok_or(StoreError::NoMailbox)
    }

    pub(super) async fn perform(&self, open: &Open, command: &Command) -> Result<Answer, StoreError> {
        let store = &open.store;
        let permit = |action, account: usize| open.permit(action, Some(self.ids[account]));
        let plain = |uids: Vec<Uid>| Answer::Uids(uids.into_iter().map(Uid::get).collect());
        match command {
            Command::Deliver { raw, to, remote } => {
                let to: Vec<AccountId> = to.iter().map(|to| self.ids[*to]).collect();
                let remote = vec!["x@remote.test"; *remote];
                let done = open.deliver_all(&to, &remote, &self.raws[*raw]).await?.value;
                Ok(Answer::Delivered {
                    uids: done.local.iter().map(|(_, _, uid)| uid.get()).collect(),
                    queued: done.queued.iter().map(|id| id.get()).collect(),
                })
            }
            Command::Append { account, to, raws, flags } => {
                let mailbox = self.mailbox(open, *account, to)?;
                let mut messages = Vec::new();
                for raw in raws {
                    let prepared = store.prepare(self.raws[*raw].clone())?;
                    messages.push(AppendMessage { prepared, flags: flag_set(flags), internal_date: None });
                }
                let keys = store.open_keys(&permit(Action::Login, *account))?;
                let done = store.append(permit(Action::Append, *account), &keys, mailbox, messages).await?;
                Ok(plain(done.value.uids))
            }
            Command::Flags { account, of, uids: of_uids, mode, flags } => {
                let mailbox = self.mailbox(open, *account, of)?;
                let permit = permit(Action::Store, *account);
                let done = store.change_flags(permit, mailbox, uids(of_uids), *mode, flag_set(flags), None).await?;
                Ok(plain(done.value.uids))
            }
            Command::Copy { account, from, uids: of_uids, to, moving } => {
                let (from, to) = (self.mailbox(open, *account, from)?, self.mailbox(open, *account, to)?);
                let done = if *moving {
                    store.move_messages(permit(Action::Move, *account), from, uids(of_uids), to).await?
                } else {
                    store.copy(permit(Action::Copy, *account), from, uids(of_uids), to).await?
                };
                Ok(Answer::Pairs(done.value.uids.iter().map(|(a, b)| (a.get(), b.get())).collect()))
            }
            Command::Expunge { account, of, only } => {
                let mailbox = self.mailbox(open, *account, of)?;
                let only = only.as_ref().map(|only| uids(only));
                Ok(plain(store.expunge(permit(Action::Expunge, *account), mailbox, only).await?.value))
            }
            Command::Create { account, name: text } => {
                store.create_mailbox(permit(Action::Create, *account), name(text), None).await?;
                Ok(Answer::Done)
            }
            Command::Delete { account, name: text } => {
                let mailbox = self.mailbox(open, *account, text)?;
                store.delete_mailbox(permit(Action::Delete, *account), mailbox).await?;
                Ok(Answer::Done)
            }
            Command::Rename { account, from, to } => {
                let mailbox = self.mailbox(open, *account, from)?;
                store.rename_mailbox(permit(Action::Rename, *account), mailbox, name(to)).await?;
                Ok(Answer::Done)
            }
            Command::Subscribe { account, name: text, on } => {
                store.subscribe(permit(Action::Subscribe, *account), name(text), *on).await?;
                Ok(Answer::Done)
            }
            _ => self.perform_elsewhere(open, command).await,
        }
    }

    /// What is not about one mailbox's messages.
    async fn perform_elsewhere(&self, open: &Open, command: &Command) -> Result<Answer, StoreError> {
        let store = &open.store;
        let queue = || open.permit(Action::QueueAttempt, None);
        match command {
            Command::QueueHold { id, held } => {
                let change = if *held { QueueChange::Hold } else { QueueChange::Release };
                store.queue_change(queue(), QueueId::new(*id), change).await?;
            }
            Command::QueueDefer { id } => {
                let next_attempt = UnixMillis(START.0 + 60_000 + i64::try_from(*id).unwrap());
                let change = QueueChange::Deferred { error: String::from("later"), next_attempt };
                store.queue_change(queue(), QueueId::new(*id), change).await?;
            }
            Command::QueueEnd { id } => {
                let outcome = QueueOutcome::Delivered(String::from("250 taken"));
                store.queue_end(queue(), QueueId::new(*id), outcome).await?;
            }
            Command::Read { account, of } => {
                let mailbox = self.mailbox(open, *account, of)?;
                let id = self.ids[*account];
                let keys = store.open_keys(&open.permit(Action::Login, Some(id)))?;
                for entry in open.entries(id, mailbox) {
                    open.body_with(&keys, id, entry)?;
                }
            }
            Command::Recalculate { account } => {
                let permit = open.permit(Action::Verify, Some(self.ids[*account]));
                let (before, after) = store.recalculate_quota(permit, self.ids[*account]).await?.value;
                assert_eq!(before, after, "the quota counts had drifted");
            }
            Command::Compact { all } => {
                let how = Compaction { all: *all, bytes_per_second: None };
                let done = store.compact(open.permit(Action::Compact, None), how).await?;
                DROPPED.fetch_add(done.segments_dropped, Ordering::Relaxed);
                MOVED.fetch_add(done.bodies_moved, Ordering::Relaxed);
                PURGED.fetch_add(done.bodies_purged, Ordering::Relaxed);
            }
            Command::RotateAccount { account } => {
                let id = self.ids[*account];
                store.rotate_accounts(open.permit(Action::KeyRotate, Some(id)), Some(id)).await?;
            }
            Command::Restore { account, at, from, picked, to } => {
                let to = self.mailbox(open, *account, to)?;
                let id = self.ids[*account];
                let moment = store.moment(&open.permit(Action::Past, Some(id)), UnixMillis(*at)).await?;
                let permit = open.permit(Action::FetchMetadata, Some(id));
                let from = store.read_past(&permit, &moment)?.mailbox_by_name(&name(from))?.unwrap().id;
                let wanted = picked.iter().map(|(uid, _)| Uid::new(*uid)).collect();
                let permit = open.permit(Action::Restore, Some(id));
                let done = store.restore(permit, &moment, from, wanted, to).await?.value;
                RESTORED.fetch_add(done.uids.len() as u64, Ordering::Relaxed);
                return Ok(Answer::Pairs(done.uids.iter().map(|(a, b)| (a.get(), b.get())).collect()));
            }
            Command::Snapshot => store.snapshot(open.permit(Action::Verify, None)).await?,
            other => unreachable!("{other:?}"),
        }
        Ok(Answer::Done)
    }

    /// What the store shows, as plain maps; its counts are checked on the way.
    pub fn found(&mut self, open: &Open) -> Plain {
        let mut found = Plain::default();
        for id in self.ids.clone() {
            found.accounts.push(self.found_account(open, id));
        }
        let permit = open.permit(Action::QueueRead, None);
        for row in open.store.queue_list(&permit, None, usize::MAX).unwrap() {
            let raw = self.number(&open.store.queue_body(&permit, row.id).unwrap());
            found.queue.insert(row.id.get(), (raw, row.held, row.attempts));
        }
        found
    }

    fn number(&self, raw: &Bytes) -> usize {
        *self.numbers.get(raw).expect("bytes that nobody sent")
    }

    fn found_account(&mut self, open: &Open, id: AccountId) -> PlainAccount {
        let permit = open.permit(Action::FetchContent, Some(id));
        let reader = open.store.read(&permit).unwrap();
        let names = |names: Vec<MailboxName>| names.iter().map(ToString::to_string).collect();
        let subscribed = names(reader.subscriptions().unwrap());
        let mut boxes = self.boxes(&reader, &open.keys(id));
        let mut sizes = BTreeMap::new();
        for mailbox in open.mailboxes(id) {
            let own = boxes.get_mut(mailbox.name.as_str()).unwrap();
            let expunged = reader.expunged_since(mailbox.id, ModSeq::new(0)).unwrap();
            own.expunged = expunged.iter().map(|uid| uid.get()).collect();
            let highest = self.modseqs.entry(mailbox.id).or_default();
            assert!(mailbox.highest_modseq >= *highest, "{}: modseq goes back", mailbox.name);
            *highest = mailbox.highest_modseq;
            for entry in open.entries(id, mailbox.id) {
                sizes.insert(entry.email, self.raws[own.entries[&entry.uid.get()].0].len() as u64);
            }
        }
        // A message counts once, however many mailboxes it is in.
        let quota = open.store.quota(id).unwrap();
        let counted = (quota.bytes_used.get(), quota.messages_used);
        assert_eq!(counted, (sizes.values().sum(), sizes.len() as u64), "quota of {id}");
        PlainAccount { boxes, subscribed }
    }

    /// Mailboxes of the present or of the past; what vanished is not asked for.
    pub(super) fn boxes(&self, reader: &Reader<'_>, keys: &Opened) -> BTreeMap<String, PlainBox> {
        let mut boxes = BTreeMap::new();
        for mailbox in reader.mailboxes().unwrap() {
            let snapshot = reader.view(mailbox.id).unwrap().snapshot();
            let mut entries = BTreeMap::new();
            for (_, entry) in snapshot.iter() {
                let raw = self.number(&reader.body(keys, entry.email, None).expect("a message does not open"));
                let mut flags: Flags = SystemFlag::ALL
                    .into_iter()
                    .filter(|flag| entry.flags & flag.bit() != 0)
                    .map(|flag| flag.name().to_lowercase())
                    .collect();
                for (bit, word) in (5..).zip(snapshot.keywords.iter()) {
                    if entry.flags >> bit & 1 == 1 {
                        flags.insert(word.as_str().to_lowercase());
                    }
                }
                assert!(entry.modseq <= mailbox.highest_modseq, "{} UID {}", mailbox.name, entry.uid);
                entries.insert(entry.uid.get(), (raw, flags));
            }
            assert_eq!(mailbox.messages as usize, entries.len(), "{}", mailbox.name);
            let (validity, uid_next) = (mailbox.uid_validity.get(), mailbox.uid_next.get());
            boxes.insert(mailbox.name.to_string(), PlainBox { validity, uid_next, entries, expunged: BTreeSet::new() });
        }
        boxes
    }
}
