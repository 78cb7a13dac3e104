//! SASL mechanisms, server side: one set for IMAP and SMTP. Pure: no sockets, no clock, no accounts.
//!
//! An [`Exchange`] takes the client's responses and says what comes next: a challenge to send, or an [`Ask`] that only the
//! world can answer (is this the password? what is kept of it? is this token good?). Base64 and the lines around it are
//! the protocol's.
//!
//! A newcomer reads [`Mechanism`] (the table of what is offered, and when), then [`Exchange`], then `scram`.
//!
//! Standards: RFC 4422, RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM), RFC 9266 (channel binding), RFC 7628
//! (OAUTHBEARER). LOGIN and XOAUTH2 are as clients send them.
//!
//! Invariants:
//! - a mechanism that is not offered on a connection does not begin there;
//! - to act for another account is never granted: an authorization identity is empty or the name that logs in;
//! - an exchange about an account that is not there goes as one with a wrong password.

mod exchange;
mod mechanism;
mod messages;
mod scram;
mod token;

pub use exchange::{Ask, Exchange, Failure, Server, Step, Verifiers};
pub use mechanism::{Mechanism, Terms};
pub use token::{Claim, Issuer, IssuerError, KeyId, TokenError};

/// Longest user name that is looked at.
pub const NAME_BYTES_MAX: usize = 320;
/// Longest nonce of a client that is taken. Clients send 18 to 64 bytes.
pub const NONCE_BYTES_MAX: usize = 256;
/// Longest token that is looked at.
pub const TOKEN_BYTES_MAX: usize = 16 * 1024;
