//! What a protocol command can do. The gate's policy table has one row for each.

use serde::{Deserialize, Serialize};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// One variant for each thing that a command of any protocol can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        #[non_exhaustive]
        pub enum Action { $($(#[$doc])* $name,)* }

        impl Action {
            /// Every action, in table order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The name in the audit log and the docs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

actions! {
    /// Authenticate on any protocol.
    Login => "login",
    /// End of an authenticated session (its record carries the session's counts).
    Logout => "logout",
    /// List mailboxes (LIST, LSUB, NAMESPACE), and find them by name.
    List => "list",
    /// Read the state of a mailbox (STATUS).
    Status => "status",
    /// Open a mailbox.
    Select => "select",
    /// Read envelopes, structures, flags, sizes.
    FetchMetadata => "fetch-metadata",
    /// Read message content.
    FetchContent => "fetch-content",
    /// Search a mailbox.
    Search => "search",
    /// Change flags.
    Store => "store",
    /// Set \Seen by reading.
    MarkSeen => "mark-seen",
    /// Add a message by IMAP.
    Append => "append",
    /// Copy messages of a mailbox.
    Copy => "copy",
    /// Put copies of messages into a mailbox.
    CopyInto => "copy-into",
    /// Move messages to a mailbox.
    Move => "move",
    /// Remove messages marked deleted.
    Expunge => "expunge",
    /// Create a mailbox.
    Create => "create",
    /// Delete a mailbox.
    Delete => "delete",
    /// Rename a mailbox.
    Rename => "rename",
    /// Subscribe to or unsubscribe from a mailbox.
    Subscribe => "subscribe",
    /// Read quota.
    GetQuota => "get-quota",
    /// Open the keys of another's mail, by a right that was given.
    OpenShared => "open-shared",
    /// Read who may do what with a mailbox.
    GetAcl => "get-acl",
    /// Change who may do what with a mailbox.
    SetAcl => "set-acl",
    /// Read annotations of a mailbox or of the server.
    GetMetadata => "get-metadata",
    /// Change one's own annotations of a mailbox or of the server.
    SetPrivate => "set-private-metadata",
    /// Change annotations of a mailbox that others see.
    SetMetadata => "set-metadata",
    /// Change annotations of the server that all see.
    SetServerMetadata => "set-server-metadata",
    /// Make, read and forget the keys that URLs of one's own mailboxes are made over.
    UrlKey => "url-key",
    /// Read what a URL with its own authorization names.
    UrlFetch => "url-fetch",
    /// Look at one's mail as it was at a moment of the past.
    Past => "past",
    /// Copy messages out of the past.
    Restore => "restore",
    /// Receive a message for a local account.
    Deliver => "deliver",
    /// Send a message as an authenticated account.
    Submit => "submit",
    /// Put a recipient of another domain into the queue.
    Relay => "relay",
    /// Record the outcome of a delivery attempt.
    QueueAttempt => "queue-attempt",
    /// List or show queue rows.
    QueueRead => "queue-read",
    /// Hold, release, retry or drop a queue row.
    QueueChange => "queue-change",
    /// Read where a message went.
    TraceRead => "trace-read",
    /// Remove old events of the trace.
    TraceSweep => "trace-sweep",
    /// Add an account.
    AccountCreate => "account-create",
    /// Read accounts.
    AccountRead => "account-read",
    /// Change an account (profile, quota, suspension).
    AccountChange => "account-change",
    /// Set an account's password.
    PasswordChange => "password-change",
    /// Make or revoke a password of one device.
    AppPasswordChange => "app-password-change",
    /// List the sessions that are logged in.
    SessionList => "session-list",
    /// End sessions of others.
    SessionEnd => "session-end",
    /// Remove an account.
    AccountRemove => "account-remove",
    /// Add a shared account, or change who its members are.
    SharedChange => "shared-change",
    /// Add, change or remove a group of accounts.
    GroupChange => "group-change",
    /// Add, change or remove an alias.
    AliasChange => "alias-change",
    /// Add or remove a domain.
    DomainChange => "domain-change",
    /// Set a quota.
    SetQuota => "set-quota",
    /// Note that an account has crossed a threshold of its quota.
    QuotaWarning => "quota-warning",
    /// Read the audit log.
    AuditRead => "audit-read",
    /// List an account's mailboxes and messages as they were, without what they say, as an administrator.
    Inspect => "inspect",
    /// Put an account's mailboxes back to a moment of the past.
    Rewind => "rewind",
    /// Verify the store or the audit log.
    Verify => "verify",
    /// Mend what verification found.
    Repair => "repair",
    /// Make or rotate keys.
    KeyRotate => "key-rotate",
    /// Remove from the disk what the retention window no longer holds.
    Compact => "compact",
    /// Start and stop of the server, reload of its configuration.
    Operate => "operate",
}
