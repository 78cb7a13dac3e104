//! What a session may do now: rights, quota, rate, audit, one table for all protocols; it makes the permits.
//!
//! No protocol bytes, no sockets. The gate owns the store's only [`pli_store::Mint`]: nobody else can make a permit.
//!
//! Invariants: what the table does not allow is refused; a refusal is recorded (a bounded number each second); no login
//! is answered before its event is durable; an unknown account takes the time of a wrong password.
//!
//! Read [`policy`] (the table), then [`Gate::admit`], then [`Gate::authenticate`].

mod gate;
pub mod limits;
mod login;
pub mod policy;
mod refusal;
mod sasl;
mod sessions;
mod sharing;
mod throttle;
mod urlauth;

pub use gate::{Gate, Target};
pub use login::{AuthError, Login, LoginSettings};
pub use refusal::Refusal;
pub use sasl::Answer;
pub use sessions::{Handle, Method, Presence, Present, Which};
pub use sharing::{Other, Space, is_shareable};
pub use urlauth::{AuthorizedUrl, UrlAccess, UrlDoor, UrlGrant};
