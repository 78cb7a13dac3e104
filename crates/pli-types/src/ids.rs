//! Newtypes for every id and count, so that a UID is never added to a size.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name($inner);

        impl $name {
            /// Wraps the raw number.
            #[must_use]
            pub const fn new(raw: $inner) -> Self {
                Self(raw)
            }
            /// The raw number.
            #[must_use]
            pub const fn get(self) -> $inner {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A mail store of a person or of a shared mailbox. Never reused.
    AccountId(u64)
}
id! {
    /// A mailbox within the whole store. Never reused. Shown to clients as MAILBOXID (RFC 8474).
    MailboxId(u64)
}
id! {
    /// A message within one account, whatever mailboxes it stands in. Shown as EMAILID (RFC 8474).
    EmailId(u64)
}
id! {
    /// A stored body (the message's exact bytes), shared by all its recipients.
    BodyId(u64)
}
id! {
    /// A recipient's row in the outbound queue.
    QueueId(u64)
}
id! {
    /// RFC 9051 §2.3.1.1: unique identifier of a message in a mailbox; 1 to 2^31−1 (clients hold it signed).
    Uid(u32)
}
id! {
    /// RFC 9051 §2.3.1.1: UIDVALIDITY.
    UidValidity(u32)
}
id! {
    /// RFC 7162 §3.1: modification sequence; 63 bits; counted per account, so that one number names a state.
    ModSeq(u64)
}
id! {
    /// A number of original (uncompressed) bytes.
    ByteCount(u64)
}
