//! The views that are loaded: shared while somebody looks, kept a while after.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use pli_types::MailboxId;
use tokio::sync::watch;

use crate::limits::IDLE_VIEWS_MAX;
use crate::model::Mailbox;
use crate::txn::ViewChange;
use crate::view::{ChunkBuilder, Snapshot, View};

#[derive(Default)]
struct Loaded {
    views: HashMap<MailboxId, Weak<View>>,
    /// The last ones used, kept alive.
    recent: VecDeque<Arc<View>>,
}

/// All loaded views.
#[derive(Default)]
pub(crate) struct Views(Mutex<Loaded>);

/// A snapshot's head from a mailbox's row.
pub(crate) fn snapshot(mailbox: &Mailbox, builder: ChunkBuilder) -> Snapshot {
    let (chunks, messages) = builder.finish();
    Snapshot {
        mailbox: mailbox.id,
        uid_validity: mailbox.uid_validity,
        uid_next: mailbox.uid_next,
        highest_modseq: mailbox.highest_modseq,
        keywords: Arc::clone(&mailbox.keywords),
        exists: true,
        chunks,
        messages,
    }
}

impl Views {
    pub(crate) fn get(&self, mailbox: MailboxId) -> Option<Arc<View>> {
        let mut loaded = self.0.lock();
        let view = loaded.views.get(&mailbox).and_then(Weak::upgrade)?;
        if !loaded.recent.back().is_some_and(|last| Arc::ptr_eq(last, &view)) {
            loaded.recent.retain(|known| !Arc::ptr_eq(known, &view));
            keep(&mut loaded.recent, &view);
        }
        Some(view)
    }
    /// Shares a snapshot just loaded; must be called under the apply lock under which it was read.
    pub(crate) fn insert(&self, snapshot: Snapshot) -> Arc<View> {
        let mailbox = snapshot.mailbox;
        let mut loaded = self.0.lock();
        if let Some(view) = loaded.views.get(&mailbox).and_then(Weak::upgrade) {
            return view;
        }
        let view = Arc::new(View { current: watch::Sender::new(Arc::new(snapshot)) });
        if loaded.views.len() > 2 * IDLE_VIEWS_MAX {
            loaded.views.retain(|_, weak| weak.strong_count() > 0);
        }
        loaded.views.insert(mailbox, Arc::downgrade(&view));
        keep(&mut loaded.recent, &view);
        view
    }
    /// Takes a group's changes over into the views that are loaded, and wakes those who watch.
    pub(crate) fn publish(&self, changes: BTreeMap<MailboxId, ViewChange>) {
        for (mailbox, change) in changes {
            let view = self.0.lock().views.get(&mailbox).and_then(Weak::upgrade);
            let Some(view) = view else { continue };
            let mut next = Snapshot::clone(&view.snapshot());
            match change.mailbox {
                Some(None) => {
                    next.exists = false;
                    self.0.lock().views.remove(&mailbox);
                }
                Some(Some(row)) => {
                    next.uid_validity = row.uid_validity;
                    next.uid_next = row.uid_next;
                    next.highest_modseq = row.highest_modseq;
                    next.keywords = row.keywords;
                    next.patch(&change.entries);
                }
                None => next.patch(&change.entries),
            }
            view.current.send_replace(Arc::new(next));
        }
    }
    pub(crate) fn clear(&self) {
        *self.0.lock() = Loaded::default();
    }
}

fn keep(recent: &mut VecDeque<Arc<View>>, view: &Arc<View>) {
    recent.push_back(Arc::clone(view));
    while recent.len() > IDLE_VIEWS_MAX {
        recent.pop_front();
    }
}
