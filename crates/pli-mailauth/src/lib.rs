//! Mail authentication, and the DNS that it stands on. It reads no clock, opens no file and keeps no mail: bytes, names
//! and a resolver come in, verdicts with their reasons go out.
//!
//! Read [`dns`] first, then [`policy`] (what a destination demands of TLS: MTA-STS, DANE).

pub mod dns;
pub mod policy;
