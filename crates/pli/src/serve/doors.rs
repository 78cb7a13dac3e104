//! The doors: certificates, ports, and which protocol is behind which port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pli_gate::{Gate, LoginSettings};
use pli_imap::{ImapService, Peer, Security};
use pli_io::Env;
use pli_mailauth::dns::{Dns, Resolver, Source, Zone};
use pli_net::{BindError, ConnectionLimits, Listener, ServeOptions, Shutdown, TlsConfig};
use pli_pop3::Pop3Service;
use pli_sasl::Issuer;
use pli_smtp::{Checks, Role, SmtpService};
use pli_types::SessionId;

use crate::config::{Door, Loaded};
use crate::failure::{CONFIG, Failure, NO_PERMISSION, UNAVAILABLE};

/// Ports at which clients log in, wherever a forwarder may lead them.
const STANDARD_PORTS: [u16; 6] = [993, 143, 465, 587, 995, 443];

/// For the handshake of implicit TLS.
const HANDSHAKE: Duration = Duration::from_secs(30);

/// Certificates as they are on disk.
pub struct Pem {
    /// The server's chain.
    pub chain: Vec<u8>,
    /// Its key.
    pub key: Vec<u8>,
    /// CAs of client certificates.
    pub client_ca: Option<Vec<u8>>,
}

/// Reads what the configuration names.
pub fn pem(loaded: &Loaded) -> Result<Pem, Failure> {
    let read = |path: std::path::PathBuf| {
        std::fs::read(&path).map_err(|error| Failure::file("read the certificate", &path, &error))
    };
    let client_ca = loaded.client_ca().map(read).transpose()?;
    Ok(Pem { chain: read(loaded.certificate())?, key: read(loaded.tls_key())?, client_ca })
}

/// Whether they can be used.
pub fn check(pem: &Pem) -> Result<TlsConfig, Failure> {
    TlsConfig::with_client_ca(&pem.chain, &pem.key, pem.client_ca.as_deref())
        .map_err(|error| Failure::new(CONFIG, format!("[tls]: {error}")))
}

/// TLS as configured.
pub fn tls(loaded: &Loaded) -> Result<Arc<TlsConfig>, Failure> {
    check(&pem(loaded)?).map(Arc::new)
}

/// Who is asked for names: a zone in memory goes before name servers, and then nobody else is asked.
pub fn resolver(loaded: &Loaded) -> Result<Arc<Resolver>, Failure> {
    let source = match loaded.zone_file() {
        Some(path) => {
            let text = std::fs::read_to_string(&path).map_err(|e| Failure::file("read the zone", &path, &e))?;
            let zone =
                Zone::parse(&text).map_err(|error| Failure::new(CONFIG, format!("{}: {error}", path.display())))?;
            Source::Zone(Arc::new(zone))
        }
        None => Source::Servers(loaded.config.dns.resolver.0.clone()),
    };
    let resolver = Resolver::new(&source, loaded.config.dns.dnssec)
        .map_err(|error| Failure::new(CONFIG, format!("dns.resolver: {error}")))?;
    Ok(Arc::new(resolver))
}

/// What the gate is told of logins.
pub fn logins(loaded: &Loaded) -> Result<LoginSettings, Failure> {
    let tokens = &loaded.config.auth.tokens;
    let issuer = if tokens.issuer.is_empty() {
        None
    } else {
        let path = loaded.in_data_dir(&tokens.keys);
        let keys = std::fs::read(&path).map_err(|error| Failure::file("read the issuer's keys", &path, &error))?;
        let issuer = Issuer::new(&tokens.issuer, &tokens.audience, &tokens.claim, &keys);
        Some(issuer.map_err(|error| Failure::new(CONFIG, format!("[auth.tokens] keys: {error}")))?)
    };
    // RFC 7628 §3.1: the names under which clients can have verified this server, and the ports that lead here, with and
    // without an offset before them.
    let mut names = pli_net::certificate_names(&pem(loaded)?.chain);
    names.push(loaded.config.server.hostname.clone());
    let mut ports = STANDARD_PORTS.to_vec();
    for (_, door, addresses) in loaded.doors() {
        ports.push(door.port);
        ports.extend(addresses.iter().map(SocketAddr::port));
    }
    Ok(LoginSettings {
        issuer,
        names,
        ports,
        imap_sessions_max: loaded.config.imap.connections_per_account_max,
        submission_sessions_max: loaded.config.smtp.connections_per_account_max,
    })
}

/// Bound listeners that nobody accepts on yet.
pub struct Bound(Vec<(&'static str, Door, Listener)>);

impl Bound {
    /// `imaps=127.0.0.1:10993` and so on.
    pub fn describe(&self) -> Vec<String> {
        let address = |listener: &Listener| listener.address().map_or_else(|_| String::from("?"), |a| a.to_string());
        self.0.iter().map(|(name, _, listener)| format!("{name}={}", address(listener))).collect()
    }
}

/// Binds every door that is on.
pub fn bind(loaded: &Loaded) -> Result<Bound, Failure> {
    let mut bound = Vec::new();
    for (name, door, addresses) in loaded.doors() {
        for address in addresses.into_iter().filter(|_| door.on) {
            let listener = Listener::bind(name, address).map_err(|error| {
                let code = if matches!(error, BindError::Forbidden { .. }) { NO_PERMISSION } else { UNAVAILABLE };
                Failure::new(code, error.to_string())
            })?;
            bound.push((name, door, listener));
        }
    }
    Ok(Bound(bound))
}

/// What the doors share.
pub struct Doors {
    /// Clock and randomness.
    pub env: Env,
    /// The gate.
    pub gate: Arc<Gate>,
    /// Certificates.
    pub tls: Arc<TlsConfig>,
    /// DNS.
    pub resolver: Arc<Resolver>,
    /// The end.
    pub shutdown: Shutdown,
}

impl Doors {
    /// Accepts on every bound door, each with its protocol behind it.
    pub fn open(&self, loaded: &Loaded, bound: Bound) -> Result<(), Failure> {
        let imap = Arc::new(ImapService::new(
            loaded.config.imap.clone(),
            Arc::clone(&self.gate),
            Arc::clone(&self.env.clock),
            self.shutdown.token().clone(),
        ));
        let smtp = SmtpService::new(
            loaded.config.smtp.clone(),
            loaded.config.server.hostname.clone(),
            Arc::clone(&self.gate),
            Arc::clone(&self.env.clock),
            Arc::clone(&self.env.random),
            Arc::clone(&self.tls),
        );
        let pop3 = Arc::new(Pop3Service::new(loaded.config.pop3.clone(), Arc::clone(&self.gate)));
        if self.resolver.is_on() {
            let dns: Arc<dyn Dns> = Arc::clone(&self.resolver) as Arc<dyn Dns>;
            smtp.set_checks(Checks { dns, config: loaded.config.mail_auth.clone() });
        }
        let mut limits: Vec<(&str, Arc<ConnectionLimits>)> = Vec::new();
        for (name, door, listener) in bound.0 {
            // The addresses of one door count together.
            let counted = match limits.iter().find(|(known, _)| *known == name) {
                Some((_, counted)) => Arc::clone(counted),
                None => {
                    let counted = ConnectionLimits::new(door.connections_max, door.connections_per_address_max);
                    limits.push((name, Arc::clone(&counted)));
                    counted
                }
            };
            let options = self.options(name, counted, &loaded.config.server.hostname);
            match name {
                "imaps" => self.imap(listener, options, Arc::clone(&imap)),
                "pop3s" => self.pop3(listener, options, Arc::clone(&pop3)),
                "submission" => self.smtp(listener, options, Arc::clone(&smtp), Role::Submission),
                "submissions" => self.smtp(listener, options, Arc::clone(&smtp), Role::Submissions),
                "lmtp" => self.smtp(listener, options, Arc::clone(&smtp), Role::Lmtp),
                _ => self.smtp(listener, options, Arc::clone(&smtp), Role::Mx),
            }
        }
        Ok(())
    }

    fn options(&self, name: &str, limits: Arc<ConnectionLimits>, hostname: &str) -> ServeOptions {
        let implicit = matches!(name, "imaps" | "pop3s" | "submissions");
        ServeOptions {
            implicit_tls: implicit.then(|| Arc::clone(&self.tls)),
            limits,
            handshake_timeout: HANDSHAKE,
            // RFC 5321 §4.2.2: 421 may answer a connection.
            refusal: format!("421 4.7.0 {hostname} too many connections, try again later\r\n"),
            shutdown: self.shutdown.clone(),
        }
    }

    fn imap(&self, listener: Listener, options: ServeOptions, service: Arc<ImapService>) {
        let random = Arc::clone(&self.env.random);
        self.shutdown.tracker().spawn(pli_net::serve(listener, options, move |connection, _| {
            let security = Security { binding: connection.binding(), addresses: connection.client_addresses() };
            let id = SessionId(random.next_u64());
            let peer = Peer { id, address: Some(connection.peer()), tls: connection.tls(), security };
            Arc::clone(&service).serve(connection, peer)
        }));
    }

    fn pop3(&self, listener: Listener, options: ServeOptions, service: Arc<Pop3Service>) {
        let random = Arc::clone(&self.env.random);
        self.shutdown.tracker().spawn(pli_net::serve(listener, options, move |connection, end| {
            Arc::clone(&service).serve(connection, SessionId(random.next_u64()), end)
        }));
    }

    fn smtp(&self, listener: Listener, options: ServeOptions, service: Arc<SmtpService>, role: Role) {
        self.shutdown.tracker().spawn(pli_net::serve(listener, options, move |connection, end| {
            Arc::clone(&service).serve(connection, role, end)
        }));
    }
}
