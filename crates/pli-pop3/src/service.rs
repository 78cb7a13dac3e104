//! The service: what all sessions share, and the way in.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use pli_gate::Gate;
use pli_net::Connection;
use pli_types::{AccountId, Actor, Protocol, SessionId, SessionInfo};
use tokio_util::sync::CancellationToken;

use crate::config::Pop3Config;
use crate::session::Session;

/// What all sessions share.
pub struct Pop3Service {
    pub(crate) config: Pop3Config,
    pub(crate) gate: Arc<Gate>,
    locked: Mutex<HashSet<AccountId>>,
}

impl Pop3Service {
    /// Makes the service.
    #[must_use]
    pub fn new(config: Pop3Config, gate: Arc<Gate>) -> Self {
        Self { config, gate, locked: Mutex::default() }
    }

    /// Serves one connection, which is inside TLS, until it ends or `shutdown` is cancelled.
    pub async fn serve(self: Arc<Self>, connection: Connection, id: SessionId, shutdown: CancellationToken) {
        let info = Arc::new(SessionInfo {
            id,
            protocol: Protocol::Pop3,
            peer: Some(connection.peer()),
            tls: connection.tls(),
            client: None,
            actor: Actor::Anonymous,
        });
        Box::new(Session::new(self, connection, info)).run(&shutdown).await;
    }

    /// RFC 1939 §4: the mailbox is one session's alone. `None`: another one has it.
    pub(crate) fn lock(self: &Arc<Self>, account: AccountId) -> Option<Lock> {
        self.locked.lock().insert(account).then(|| Lock { service: Arc::clone(self), account })
    }
}

/// A mailbox that is one session's; given back when dropped.
pub(crate) struct Lock {
    service: Arc<Pop3Service>,
    account: AccountId,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.service.locked.lock().remove(&self.account);
    }
}
