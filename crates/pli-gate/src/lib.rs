//! What a session may do now: rights, quota, rate, audit, one table for all protocols; it makes the permits.
//!
//! No protocol bytes, no sockets. The gate owns the store's only [`pli_store::Mint`]: nobody else can make a permit.
//! Read [`policy`] (the table), then [`Gate::admit`].

mod gate;
pub mod policy;

pub use gate::{AuthError, Gate, Login, Refusal, Target};
