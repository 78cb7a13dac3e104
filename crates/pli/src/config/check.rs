//! What types cannot check: values that go together, names, ports.

use std::collections::{HashMap, HashSet};

use pli_types::Address;

use super::{Config, KeySource, Loaded};

/// The number of the line at a byte.
pub fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|b| *b == b'\n').count() + 1
}

/// The line of a key: in the `nth` table of that header.
fn line_of(text: &str, header: &str, nth: usize, key: &str) -> usize {
    let mut tables = 0;
    let mut inside = header.is_empty();
    let mut of_header = 1;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            let this = line.split('#').next().unwrap_or_default().trim() == header;
            tables += usize::from(this);
            inside = this && tables == nth + 1;
            if inside {
                of_header = number + 1;
            }
        } else if inside && line.split('=').next().is_some_and(|k| k.trim() == key) {
            return number + 1;
        }
    }
    of_header
}

struct Text<'a>(&'a str);

impl Text<'_> {
    fn wrong<T>(&self, header: &str, key: &str, reason: impl AsRef<str>) -> Result<T, String> {
        self.wrong_nth(header, 0, key, reason)
    }
    fn wrong_nth<T>(&self, header: &str, nth: usize, key: &str, reason: impl AsRef<str>) -> Result<T, String> {
        Err(format!("line {}: {key}: {}", line_of(self.0, header, nth, key), reason.as_ref()))
    }
}

/// All checks; the first mistake is told.
pub fn check(config: &Config, text: &str) -> Result<(), String> {
    let text = Text(text);
    server(config, &text)?;
    listen(config, &text)?;
    profiles(config, &text)?;
    if let Err(error) = crate::logging::parse(&config.log.level) {
        return text.wrong("[log]", "level", error);
    }
    keys(config, &text)?;
    tokens(config, &text)?;
    sizes(config, &text)?;
    for (domain, host) in &config.queue.routes {
        let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|p| p == 0) {
            return text.wrong("[queue]", "routes", format!("{domain}: {host:?} is not host:port"));
        }
    }
    for network in &config.queue.private_networks {
        if !pli_queue::is_network(network) {
            return text.wrong("[queue]", "private_networks", format!("{network:?} is no network"));
        }
    }
    for host in &config.queue.hosts {
        if !config.queue.routes.values().any(|route| *route == host.host) {
            return text.wrong("[queue]", "hosts", format!("no route leads to {:?}", host.host));
        }
        if host.user.is_some() != host.password_file.is_some() {
            return text.wrong("[queue]", "hosts", format!("{:?}: user and password_file go together", host.host));
        }
        if host.user.is_some() && host.tls == pli_queue::HostTls::Off {
            return text.wrong("[queue]", "hosts", format!("{:?}: no password without TLS", host.host));
        }
    }
    if config.queue.retry_s.is_empty() || config.queue.retry_s.contains(&0) {
        return text.wrong("[queue]", "retry_s", "one waiting time at least, none of them 0");
    }
    Ok(())
}

fn keys(config: &Config, text: &Text<'_>) -> Result<(), String> {
    let keys = &config.keys;
    if keys.source != KeySource::Pkcs11 && keys.previous != Some(KeySource::Pkcs11) {
        return Ok(());
    }
    for (key, empty) in [
        ("module", keys.pkcs11.module.as_os_str().is_empty()),
        ("token", keys.pkcs11.token.is_empty()),
        ("label", keys.pkcs11.label.is_empty()),
    ] {
        if empty {
            return text.wrong("[keys.pkcs11]", key, "needed where the root key is in a token");
        }
    }
    let known = keys
        .pkcs11
        .pin
        .split_once(':')
        .is_some_and(|(kind, name)| ["file", "credential", "env"].contains(&kind) && !name.is_empty());
    if !known {
        return text.wrong("[keys.pkcs11]", "pin", "file:PATH, credential:NAME or env:NAME; never the PIN itself");
    }
    Ok(())
}

fn server(config: &Config, text: &Text<'_>) -> Result<(), String> {
    let server = &config.server;
    let named = Address::new("postmaster", &server.hostname);
    if !server.hostname.contains('.') || named.is_err() || server.hostname.starts_with('[') {
        return text.wrong("[server]", "hostname", format!("{:?} is no full host name", server.hostname));
    }
    if !server.postmaster.is_empty()
        && let Err(error) = Address::parse(&server.postmaster)
    {
        return text.wrong("[server]", "postmaster", format!("{:?}: {error}", server.postmaster));
    }
    let separator = server.subaddress_separator;
    if !separator.is_ascii_punctuation() || "@\".".contains(separator) {
        return text.wrong("[server]", "subaddress_separator", "one ASCII sign, neither @ nor . nor \"");
    }
    if server.shutdown_seconds == 0 || server.shutdown_seconds > 600 {
        return text.wrong("[server]", "shutdown_seconds", "1 to 600");
    }
    if server.workers > 1024 {
        return text.wrong("[server]", "workers", "0 to 1024");
    }
    Ok(())
}

fn listen(config: &Config, text: &Text<'_>) -> Result<(), String> {
    if config.listen.addresses.is_empty() {
        return text.wrong("[listen]", "addresses", "one address at least");
    }
    let loaded = Loaded { file: "pli.toml".into(), config: config.clone(), data_dir: ".".into() };
    let mut seen = HashMap::new();
    for (name, door, addresses) in loaded.doors() {
        if !door.on {
            continue;
        }
        let header = format!("[listen.{name}]");
        if door.port.checked_add(config.listen.port_offset).is_none() {
            return text.wrong("[listen]", "port_offset", format!("{name} would have a port above 65535"));
        }
        for address in addresses {
            if let Some(other) = seen.insert(address, name) {
                return text.wrong(&header, "port", format!("{address} is the port of {other} already"));
            }
        }
        if door.connections_max == 0 || door.connections_per_address_max == 0 {
            return text.wrong(&header, "connections_max", "a door without connections; write on = false");
        }
    }
    Ok(())
}

/// An issuer without its keys would refuse every token.
fn tokens(config: &Config, text: &Text<'_>) -> Result<(), String> {
    let tokens = &config.auth.tokens;
    if tokens.issuer.is_empty() {
        return Ok(());
    }
    for (key, none) in [
        ("audience", tokens.audience.is_empty()),
        ("keys", tokens.keys.as_os_str().is_empty()),
        ("claim", tokens.claim.is_empty()),
    ] {
        if none {
            return text.wrong("[auth.tokens]", key, "needed where tokens of an issuer are taken");
        }
    }
    Ok(())
}

/// Numbers with which nothing could be received or sent.
fn sizes(config: &Config, text: &Text<'_>) -> Result<(), String> {
    let (imap, smtp, queue) = (&config.imap, &config.smtp, &config.queue);
    for (header, key, none) in [
        ("[imap]", "message_bytes_max", imap.message_bytes_max == 0),
        ("[imap]", "idle_timeout_s", imap.idle_timeout_s == 0),
        ("[pop3]", "idle_timeout_s", config.pop3.idle_timeout_s == 0),
        ("[pop3]", "login_timeout_s", config.pop3.login_timeout_s == 0),
        ("[pop3]", "login_failures_max", config.pop3.login_failures_max == 0),
        ("[imap]", "connections_per_account_max", imap.connections_per_account_max == 0),
        ("[smtp]", "connections_per_account_max", smtp.connections_per_account_max == 0),
        ("[imap]", "login_timeout_s", imap.login_timeout_s == 0),
        ("[smtp]", "message_bytes_max", smtp.message_bytes_max == 0),
        ("[smtp]", "recipients_max", smtp.recipients_max == 0),
        ("[smtp]", "submission_recipients_max", smtp.submission_recipients_max == 0),
        ("[smtp]", "command_timeout_s", smtp.command_timeout_s == 0),
        ("[smtp]", "data_timeout_s", smtp.data_timeout_s == 0),
        ("[smtp]", "message_timeout_s", smtp.message_timeout_s == 0),
        ("[queue]", "connections_max", queue.connections_max == 0),
        ("[queue]", "connections_per_destination_max", queue.connections_per_destination_max == 0),
        ("[queue]", "recipients_per_transaction_max", queue.recipients_per_transaction_max == 0),
        ("[queue]", "port", queue.port == 0),
        ("[queue]", "attempt_timeout_s", queue.attempt_timeout_s == 0),
        ("[queue]", "messages_per_connection_max", queue.messages_per_connection_max == 0),
    ] {
        if none {
            return text.wrong(header, key, "1 at least");
        }
    }
    quirks(config, text)?;
    for (header, in_flight, message) in [
        ("[imap]", imap.in_flight_bytes_max, imap.message_bytes_max),
        ("[smtp]", smtp.in_flight_bytes_max, smtp.message_bytes_max),
    ] {
        if in_flight < message {
            let reason = "less than message_bytes_max: the largest message would never be taken";
            return text.wrong(header, "in_flight_bytes_max", reason);
        }
    }
    Ok(())
}

/// Capabilities by names that there are, of somebody.
fn quirks(config: &Config, text: &Text<'_>) -> Result<(), String> {
    let known = |name: &&String| !pli_imap::quirks::is_known(name);
    if let Some(name) = config.imap.hidden_capabilities.iter().find(known) {
        return text.wrong("[imap]", "hidden_capabilities", format!("{name}: no such capability"));
    }
    for quirk in &config.imap.quirks {
        if let Some(name) = quirk.hide.iter().find(known) {
            return text.wrong("[imap]", "quirks", format!("{name}: no such capability"));
        }
        if quirk.client.is_empty() && quirk.account.is_empty() {
            return text.wrong("[imap]", "quirks", "a client or an account is needed; hidden_capabilities is for all");
        }
    }
    Ok(())
}

fn profiles(config: &Config, text: &Text<'_>) -> Result<(), String> {
    if config.profile.is_empty() {
        return text.wrong("[[profile]]", "name", "one [[profile]] at least: accounts have no rights without one");
    }
    let mut names = HashSet::new();
    for (nth, profile) in config.profile.iter().enumerate() {
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if profile.name.is_empty() || profile.name.len() > 64 || !profile.name.chars().all(fine) {
            return text.wrong_nth("[[profile]]", nth, "name", "1 to 64 letters, digits, - and _");
        }
        if !names.insert(profile.name.as_str()) {
            return text.wrong_nth("[[profile]]", nth, "name", format!("there is a profile {} already", profile.name));
        }
    }
    Ok(())
}
