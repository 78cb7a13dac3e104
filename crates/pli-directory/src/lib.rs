//! Who somebody is: accounts, profiles, aliases and domains, over the store's rows.
//!
//! No protocol, no sockets, no clock. LDAP and OIDC come later behind the same calls.
//!
//! A newcomer reads [`Directory::route`] (where mail goes), then [`Directory::account_by_login`] (who logs in), then
//! [`Profile`] (what a kind of person may do).
//!
//! Invariants: an account goes before an alias of the same address; an alias never loops; a route names each account
//! and each remote address once.

mod directory;
mod limits;
mod profile;
mod route;
mod srs;

pub use directory::Directory;
pub use limits::{ALIAS_DEPTH_MAX, ROUTE_TARGETS_MAX};
pub use profile::Profile;
pub use route::Route;
