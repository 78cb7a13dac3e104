//! The service: what all sessions share, and the way in.

use std::net::SocketAddr;
use std::sync::Arc;

use pli_gate::Gate;
use pli_io::Clock;
use pli_types::{Actor, Protocol, SessionId, SessionInfo, TlsInfo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::budget::Budget;
use crate::config::ImapConfig;
use crate::indexing::Indexing;
use crate::listing::Listings;
use crate::quirks::Quirks;
use crate::session::Session;
use crate::table;

/// The other side of a connection, as the listener knows it.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The session's random id.
    pub id: SessionId,
    /// Its address.
    pub address: Option<SocketAddr>,
    /// TLS, when the stream is inside it.
    pub tls: Option<TlsInfo>,
    /// What TLS knows of the client.
    pub security: Security,
}

/// What TLS knows of the client, for AUTHENTICATE.
#[derive(Clone, Debug, Default)]
pub struct Security {
    /// The TLS session's exported keying material. RFC 9266.
    pub binding: Option<[u8; 32]>,
    /// The addresses in the certificate that the client showed, if it showed one that was verified.
    pub addresses: Box<[String]>,
}

/// What all sessions share.
pub struct ImapService {
    pub(crate) config: ImapConfig,
    pub(crate) gate: Arc<Gate>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) capabilities: table::Capabilities,
    pub(crate) quirks: Quirks,
    pub(crate) appending: Arc<Budget>,
    pub(crate) indexing: Indexing,
    pub(crate) listings: Listings,
}

impl ImapService {
    /// Makes the service; sessions end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(config: ImapConfig, gate: Arc<Gate>, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        let capabilities = table::Capabilities::new(&config);
        let quirks = Quirks::new(&config.hidden_capabilities, &config.quirks);
        let appending = Budget::new(config.in_flight_bytes_max);
        let listings = Listings::new(config.list_cache_bytes);
        let indexing = Indexing::default();
        Self { config, gate, clock, shutdown, capabilities, quirks, appending, indexing, listings }
    }

    /// Serves one connection until it ends. The stream is inside TLS already where `peer.tls` says so.
    pub async fn serve<S>(self: Arc<Self>, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let info = Arc::new(SessionInfo {
            id: peer.id,
            protocol: Protocol::Imap,
            peer: peer.address,
            tls: peer.tls,
            client: None,
            actor: Actor::Anonymous,
        });
        Box::new(Session::new(self, Box::new(stream), info, peer.security)).run().await;
    }
}

/// Sessions run on any thread.
const fn _is_send<T: Send>(_: &T) {}
#[allow(dead_code, reason = "checked by the compiler only")]
fn _serve_is_send(service: Arc<ImapService>, peer: Peer) {
    _is_send(&service.serve(tokio::io::empty(), peer));
}
