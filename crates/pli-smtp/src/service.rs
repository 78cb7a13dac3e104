//! What all sessions share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use pli_gate::Gate;
use pli_io::{Clock, Random};
use pli_net::{Connection, TlsConfig};
use tokio_util::sync::CancellationToken;

use crate::SmtpConfig;
use crate::authenticate::Checks;
use crate::budget::Budget;

/// The door that a session came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Port 25: mail from other servers for accounts here.
    Mx,
    /// Port 587: STARTTLS, then AUTH, then mail from an account.
    Submission,
    /// Port 465: the same inside TLS from the start.
    Submissions,
    /// RFC 2033: mail from a server in front; one reply for each recipient.
    Lmtp,
}

impl Role {
    /// Whether accounts send here.
    #[must_use]
    pub const fn is_submission(self) -> bool {
        matches!(self, Self::Submission | Self::Submissions)
    }
}

/// Serves SMTP connections.
pub struct SmtpService {
    config: RwLock<Arc<SmtpConfig>>,
    pub(crate) hostname: String,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) tls: Arc<TlsConfig>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) checks: OnceLock<Checks>,
    sessions: AtomicU64,
}

impl SmtpService {
    /// Sets up; nothing is opened.
    #[must_use]
    pub fn new(
        config: SmtpConfig,
        hostname: String,
        gate: Arc<Gate>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        tls: Arc<TlsConfig>,
    ) -> Arc<Self> {
        let budget = Budget::new(config.in_flight_bytes_max);
        Arc::new(Self {
            config: RwLock::new(Arc::new(config)),
            hostname,
            gate,
            clock,
            random,
            tls,
            budget,
            checks: OnceLock::new(),
            sessions: AtomicU64::new(0),
        })
    }

    /// Messages from other servers are authenticated from now on; once, before the first session.
    pub fn set_checks(&self, checks: Checks) {
        if self.checks.set(checks).is_err() {
            tracing::error!("checks were set already");
        }
    }

    /// Replaces the configuration; sessions that stand keep theirs, and so does `in_flight_bytes_max`.
    pub fn set_config(&self, config: SmtpConfig) {
        *self.config.write() = Arc::new(config);
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<SmtpConfig> {
        Arc::clone(&self.config.read())
    }

    /// Sessions served now.
    #[must_use]
    pub fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Serves one connection to its end. `shutdown` lets the reply that is due go out, then ends with `421`.
    pub async fn serve(self: Arc<Self>, connection: Connection, role: Role, shutdown: CancellationToken) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        crate::shell::serve(&self, connection, role, &shutdown).await;
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}
