//! What a destination demands of TLS: MTA-STS (RFC 8461) and DANE (RFC 7672).
//!
//! [`sts`] parses and matches policies, [`dane`] finds and matches TLSA records. Who delivers asks for each MX host what
//! it demands ([`dane::of_host`]), and for the domain its [`sts::Policy`]; DANE goes first (RFC 8461 §2).

pub mod dane;
pub mod sts;
