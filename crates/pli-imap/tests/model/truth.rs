//! What is in the mailboxes, kept by the commands' meaning alone: nothing here comes from the server.

use std::collections::BTreeSet;

/// Flags and keywords of a message.
pub type Flags = BTreeSet<String>;

#[derive(Clone, Debug)]
pub struct Message {
    pub uid: u32,
    pub flags: Flags,
    /// Which message it is: copies are the same one.
    pub identity: u32,
    /// Grows with each change of the flags.
    pub version: u32,
    /// Grows with each STORE that changed nothing: a server may count these as changes.
    pub touched: u32,
}

#[derive(Debug, Default)]
pub struct Mailbox {
    pub name: String,
    pub messages: Vec<Message>,
    pub last_uid: u32,
    /// Grows with each change.
    pub version: u32,
}

/// How STORE changes flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Add,
    Remove,
    Replace,
}

impl Mailbox {
    pub fn new(name: String) -> Self {
        Self { name, ..Self::default() }
    }

    pub fn uids(&self) -> Vec<u32> {
        self.messages.iter().map(|message| message.uid).collect()
    }

    pub fn get(&self, uid: u32) -> Option<&Message> {
        self.messages.iter().find(|message| message.uid == uid)
    }

    /// Adds one, and gives its UID.
    pub fn add(&mut self, identity: u32, flags: Flags) -> u32 {
        self.last_uid += 1;
        self.version += 1;
        let uid = self.last_uid;
        self.messages.push(Message { uid, flags, identity, version: 0, touched: 0 });
        uid
    }

    pub fn store(&mut self, uids: &[u32], change: Change, flags: &Flags) {
        for message in self.messages.iter_mut().filter(|message| uids.contains(&message.uid)) {
            let before = message.flags.clone();
            match change {
                Change::Add => message.flags.extend(flags.iter().cloned()),
                Change::Remove => message.flags.retain(|flag| !flags.contains(flag)),
                Change::Replace => message.flags.clone_from(flags),
            }
            if message.flags == before {
                message.touched += 1;
            } else {
                message.version += 1;
            }
            self.version += 1;
        }
    }

    /// Takes away those of these UIDs that are \Deleted, or of all.
    pub fn expunge(&mut self, uids: Option<&[u32]>) {
        self.take(|message| message.flags.contains("\\Deleted") && uids.is_none_or(|uids| uids.contains(&message.uid)));
    }

    pub fn remove(&mut self, uids: &[u32]) {
        self.take(|message| uids.contains(&message.uid));
    }

    fn take(&mut self, which: impl Fn(&Message) -> bool) {
        let before = self.messages.len();
        self.messages.retain(|message| !which(message));
        if self.messages.len() < before {
            self.version += 1;
        }
    }
}

/// The UIDs of these that are there, and the identity and flags of each: what COPY takes.
pub fn copied(from: &Mailbox, uids: &[u32]) -> Vec<(u32, u32, Flags)> {
    let there = from.messages.iter().filter(|message| uids.contains(&message.uid));
    there.map(|message| (message.uid, message.identity, message.flags.clone())).collect()
}
