//! Mail authentication, and the DNS that it stands on. It reads no clock, opens no file and keeps no mail: bytes, names
//! and a resolver come in, verdicts with their reasons go out.
//!
//! Read [`dns`] first, then [`check`] (all checks of a message that comes in) with what it calls: [`spf`], [`dkim`],
//! [`dmarc`], [`arc`], [`iprev`]; [`results`] writes what was found into the message. [`policy`] is what a destination
//! demands of TLS (MTA-STS, DANE). `docs/mailauth.md` says how it behaves.

pub mod arc;
pub mod check;
pub mod dkim;
pub mod dmarc;
pub mod dns;
pub mod iprev;
pub mod message;
pub mod policy;
pub mod results;
pub mod spf;
pub mod tags;
