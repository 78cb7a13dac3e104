//! Named limits of the directory.

/// How deep aliases may stand for aliases; what lies deeper gets no mail and is named in the log.
pub const ALIAS_DEPTH_MAX: usize = 10;
/// Local accounts and remote addresses that one address may stand for.
pub const ROUTE_TARGETS_MAX: usize = 2_000;
