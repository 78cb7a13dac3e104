//! CREATE, DELETE, RENAME, SUBSCRIBE.

use std::sync::Arc;

use pli_types::{AccountId, ByteCount, MailboxId, MailboxName, ModSeq, SpecialUse, Uid};

use super::{By, Result};
use crate::error::StoreError;
use crate::model::Mailbox;
use crate::rows::keys;
use crate::rows::mail::AccountState;
use crate::txn::Txn;

impl Txn<'_> {
    /// Makes one mailbox; its parents are the caller's. The state is not put.
    pub(crate) fn make_mailbox(
        &mut self,
        account: AccountId,
        state: &mut AccountState,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Mailbox> {
        if state.mailboxes >= self.base.mailboxes_max {
            return Err(StoreError::Limit("mailboxes of the account"));
        }
        state.mailboxes = state.mailboxes.saturating_add(1);
        let uid_validity = self.next_uid_validity()?;
        let mut globals = self.globals()?;
        globals.next_mailbox = globals.next_mailbox.saturating_add(1);
        self.put(keys::globals(), &globals);
        // RFC 7162 §3.1.2.1: never zero where CONDSTORE works.
        let highest_modseq = ModSeq::new(state.modseq.max(1));
        state.modseq = highest_modseq.get();
        let mailbox = Mailbox {
            id: MailboxId::new(globals.next_mailbox),
            account,
            name,
            special_use,
            uid_validity,
            uid_next: Uid::new(1),
            highest_modseq,
            messages: 0,
            unseen: 0,
            deleted: 0,
            bytes: ByteCount::default(),
            keywords: Arc::new([]),
        };
        self.put(keys::mailbox_name(self.base.keys, account, mailbox.name.as_str()), &mailbox.id);
        self.inherit_acl(account, mailbox.id, &mailbox.name)?;
        self.put_mailbox(&mailbox);
        Ok(mailbox)
    }

    /// The missing mailboxes above a name.
    fn make_parents(&mut self, account: AccountId, state: &mut AccountState, name: &MailboxName) -> Result<()> {
        let mut missing = Vec::new();
        let mut level = name.parent();
        while let Some(parent) = level {
            level = parent.parent();
            // One further up may be missing although this one is there: deleted above its children.
            if self.mailbox_id(account, &parent)?.is_none() {
                missing.push(parent);
            }
        }
        while let Some(parent) = missing.pop() {
            self.make_mailbox(account, state, parent, None)?;
        }
        Ok(())
    }

    /// RFC 9051 §6.3.4. RFC 6154 §3: one mailbox at most for each use.
    pub(crate) fn create_mailbox(
        &mut self,
        account: AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Mailbox> {
        if self.mailbox_id(account, &name)?.is_some() {
            return Err(StoreError::Exists(name.to_string()));
        }
        let mut state = self.state(account)?;
        if special_use.is_some() {
            let mailboxes = self.list::<Mailbox>(&keys::mailboxes(account))?;
            if mailboxes.iter().any(|(_, mailbox)| mailbox.special_use == special_use) {
                return Err(StoreError::Impossible("another mailbox has this special use"));
            }
        }
        self.make_parents(account, &mut state, &name)?;
        let mailbox = self.make_mailbox(account, &mut state, name, special_use)?;
        self.put_state(account, &state);
        Ok(mailbox)
    }

    /// Removes a mailbox with its entries. The state is not put.
    pub(crate) fn clear_mailbox(
        &mut self,
        account: AccountId,
        state: &mut AccountState,
        mailbox: &Mailbox,
    ) -> Result<()> {
        let mut gone = Vec::new();
        self.edit_entries(mailbox.id, None, |entry| {
            gone.push(entry);
            None
        })?;
        for entry in gone {
            self.release_entry(account, state, entry)?;
        }
        self.forget_expunged(mailbox.id)?;
        self.forget_mailbox_sharing(account, mailbox.id)?;
        self.drop_mailbox(mailbox);
        state.mailboxes = state.mailboxes.saturating_sub(1);
        Ok(())
    }

    /// RFC 9051 §6.3.5.
    pub(crate) fn delete_mailbox(&mut self, account: AccountId, id: MailboxId) -> Result<Mailbox> {
        let mut state = self.state(account)?;
        let mailbox = self.mailbox(account, id)?;
        if mailbox.name.is_inbox() {
            return Err(StoreError::Impossible("INBOX cannot be deleted"));
        }
        Self::next_modseq(&mut state);
        self.clear_mailbox(account, &mut state, &mailbox)?;
        self.put_state(account, &state);
        Ok(mailbox)
    }

    /// RFC 9051 §6.3.6.
    pub(crate) fn rename_mailbox(&mut self, account: AccountId, id: MailboxId, to: MailboxName) -> Result<Mailbox> {
        let mut state = self.state(account)?;
        let mailbox = self.mailbox(account, id)?;
        if self.mailbox_id(account, &to)?.is_some() {
            return Err(StoreError::Exists(to.to_string()));
        }
        if mailbox.name.is_inbox() {
            // RFC 9051 §6.3.6: INBOX stays, empty; what is in it moves; what is below it stays.
            self.make_parents(account, &mut state, &to)?;
            let target = self.make_mailbox(account, &mut state, to, None)?;
            self.put_state(account, &state);
            self.copy_or_move(account, id, None, target.id, true, By::OWNER)?;
            return self.mailbox(account, target.id);
        }
        if to.is_below(&mailbox.name) {
            return Err(StoreError::Impossible("a mailbox cannot move below itself"));
        }
        self.make_parents(account, &mut state, &to)?;
        let all = self.list::<Mailbox>(&keys::mailboxes(account))?;
        let below = all.into_iter().map(|(_, m)| m).filter(|m| m.name.is_below(&mailbox.name));
        let mut renames = vec![(mailbox.clone(), to.clone())];
        for child in below {
            let tail = child.name.as_str().get(mailbox.name.as_str().len()..).unwrap_or_default();
            let name = MailboxName::new(&format!("{to}{tail}"))
                .map_err(|_| StoreError::Impossible("a name would become too long"))?;
            if self.mailbox_id(account, &name)?.is_some() {
                return Err(StoreError::Exists(name.to_string()));
            }
            renames.push((child, name));
        }
        let mut renamed = mailbox;
        for (mut row, name) in renames.into_iter().rev() {
            self.delete(keys::mailbox_name(self.base.keys, account, row.name.as_str()));
            self.put(keys::mailbox_name(self.base.keys, account, name.as_str()), &row.id);
            row.name = name;
            self.put_mailbox(&row);
            renamed = row;
        }
        self.put_state(account, &state);
        Ok(renamed)
    }

    /// RFC 9051 §6.3.7: a name may be subscribed whether there is a mailbox or not.
    pub(crate) fn subscribe(&mut self, account: AccountId, name: &MailboxName, subscribed: bool) {
        let key = keys::subscription(self.base.keys, account, name.as_str());
        if subscribed {
            self.put(key, name);
        } else {
            self.delete(key);
        }
    }
}
