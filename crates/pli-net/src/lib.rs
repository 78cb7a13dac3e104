//! Listeners, TLS and certificates, connection limits, graceful shutdown.
//!
//! No protocol: a listener hands out [`Connection`]s, each an `AsyncRead + AsyncWrite`, already inside TLS where the
//! door has implicit TLS, or able to be upgraded where it has STARTTLS. It never opens a file: certificates come in
//! as bytes.
//!
//! Read [`serve`] (what happens to one accepted connection), then [`TlsConfig`], then [`Shutdown`].

mod client;
mod connection;
mod limits;
mod listener;
mod shutdown;
mod tls;

pub use client::ClientTls;
pub use connection::Connection;
pub use limits::{ConnectionGuard, ConnectionLimits, LimitReached};
pub use listener::{BindError, Listener, ServeOptions, serve};
pub use shutdown::Shutdown;
pub use tls::{TlsConfig, TlsError, certificate_names};
