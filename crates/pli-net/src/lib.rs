//! Listeners, TLS and certificates, connection limits, graceful shutdown.
//!
//! No protocol: a listener hands out [`Connection`]s, each an `AsyncRead + AsyncWrite`, already inside TLS where the
//! door has implicit TLS, or able to be upgraded where it has STARTTLS.

mod connection;

pub use connection::Connection;
