//! Does the client's address have a name that leads back to it? RFC 8601 §3.

use std::net::IpAddr;

use crate::dns::{Dns, addresses_of, ptr};

/// Names looked at.
const NAMES_MAX: usize = 5;

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IprevOutcome {
    /// `pass`, `fail`, `temperror`, `permerror`.
    pub result: &'static str,
    /// The name that leads back.
    pub name: Option<String>,
}

/// Looks.
pub async fn check(dns: &dyn Dns, ip: IpAddr) -> IprevOutcome {
    let ip = ip.to_canonical();
    let names = match ptr(dns, ip).await {
        Ok(names) => names,
        Err(error) => {
            let result = if error.is_absence() { "permerror" } else { "temperror" };
            return IprevOutcome { result, name: None };
        }
    };
    let mut result = "fail";
    for name in names.into_iter().take(NAMES_MAX) {
        match addresses_of(dns, &name, ip.is_ipv6()).await {
            Ok(list) if list.contains(&ip) => return IprevOutcome { result: "pass", name: Some(name) },
            Err(error) if !error.is_absence() => result = "temperror",
            _ => {}
        }
    }
    IprevOutcome { result, name: None }
}
