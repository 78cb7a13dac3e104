//! `pli doctor`: looks for what is wrong and says where; exit code 1 when something is.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use pli_admin::{CallError, Client};
use pli_io::{Clock as _, Disk as _, RealClock, RealDisk, ResolverConfig};
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::ParsedCertificate;
use serde_json::{Value, json};

use crate::cli::Global;
use crate::config::{self, Loaded, show_size};
use crate::failure::{FOUND, Failure};
use crate::instance::Instance;
use crate::link::runtime;
use crate::output::{table, value, when};
use crate::pki::validity_of;
use crate::texts::{Language, Text};

/// A certificate that ends sooner than this draws a warning.
const EXPIRES_SOON_DAYS: i64 = 21;
/// The first second of 2026: a clock before it is wrong, since this program was not made then.
const MADE_SECS: i64 = 1_767_225_600;
const CONNECT: Duration = Duration::from_secs(2);

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Well,
    Warning,
    Wrong,
}

/// One thing looked at.
struct Finding {
    what: String,
    grade: Grade,
    says: String,
}

struct Doctor<'a> {
    loaded: &'a Loaded,
    language: Language,
    running: bool,
    findings: Vec<Finding>,
}

/// Runs it.
pub fn run(global: &Global) -> Result<u8, Failure> {
    let loaded = config::load(global.config.as_deref())?;
    let connected = runtime()?.block_on(Client::connect(&loaded.socket()));
    let running = connected.is_ok();
    let mut doctor = Doctor { loaded: &loaded, language: global.language(), running, findings: Vec::new() };
    let file = loaded.file.display().to_string();
    let says = Text::ConfigGood.with(doctor.language, &[&file]);
    doctor.found(Text::Configuration, Grade::Well, says);
    doctor.clock();
    doctor.disk();
    doctor.certificate();
    doctor.ports();
    doctor.store(connected.err().as_ref());
    doctor.dns();
    Ok(doctor.report(global))
}

impl Doctor<'_> {
    fn found(&mut self, what: Text, grade: Grade, says: String) {
        let what = what.in_language(self.language);
        self.findings.push(Finding { what, grade, says });
    }

    fn clock(&mut self) {
        let secs = RealClock::new().now().secs();
        if secs < MADE_SECS {
            let says = Text::ClockOff.with(self.language, &[&when(secs)]);
            self.found(Text::Clock, Grade::Wrong, says);
        } else {
            self.found(Text::Clock, Grade::Well, when(secs));
        }
    }

    fn disk(&mut self) {
        match RealDisk.space(&self.loaded.store_dir()) {
            Ok(space) => {
                let sizes = [show_size(space.available_bytes), show_size(space.total_bytes)];
                let mut says = Text::FreeOf.with(self.language, &[&sizes[0], &sizes[1]]);
                let low = space.available_bytes < space.total_bytes / 20;
                if low {
                    says = format!("{says}: {}", Text::DiskLow.in_language(self.language));
                }
                self.found(Text::DiskSpace, if low { Grade::Warning } else { Grade::Well }, says);
            }
            Err(error) => self.found(Text::DiskSpace, Grade::Wrong, error.to_string()),
        }
    }

    fn certificate(&mut self) {
        let (grade, says) = match self.look_at_certificate() {
            Ok(found) => found,
            Err(message) => (Grade::Wrong, message),
        };
        self.found(Text::Certificate, grade, says);
    }

    fn look_at_certificate(&self) -> Result<(Grade, String), String> {
        let path = self.loaded.certificate();
        let read = |path: &std::path::Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
        let (chain, key) = (read(&path)?, read(&self.loaded.tls_key())?);
        pli_net::TlsConfig::from_pem(&chain, &key).map_err(|e| e.to_string())?;
        let first = CertificateDer::from_pem_slice(&chain).map_err(|e| e.to_string())?;
        let (from, until) = validity_of(&first).ok_or_else(|| format!("{}: no validity in it", path.display()))?;
        let now = RealClock::new().now().secs();
        if now < from {
            return Ok((Grade::Wrong, Text::NotYet.with(self.language, &[&when(from)])));
        }
        if now >= until {
            return Ok((Grade::Wrong, Text::Expired.with(self.language, &[&when(until)])));
        }
        let hostname = &self.loaded.config.server.hostname;
        let name = ServerName::try_from(hostname.as_str()).map_err(|e| e.to_string())?;
        let parsed = ParsedCertificate::try_from(&first).map_err(|e| e.to_string())?;
        if verify_server_name(&parsed, &name).is_err() {
            return Ok((Grade::Wrong, Text::NameMissing.with(self.language, &[hostname])));
        }
        let days = (until - now) / 86_400;
        if days < EXPIRES_SOON_DAYS {
            return Ok((Grade::Warning, Text::ExpiresSoon.with(self.language, &[&days.to_string()])));
        }
        Ok((Grade::Well, Text::ValidUntil.with(self.language, &[hostname, &when(until)])))
    }

    fn ports(&mut self) {
        for (name, door, addresses) in self.loaded.doors() {
            for address in addresses.into_iter().filter(|_| door.on) {
                let (grade, text) = self.look_at_port(address);
                let what = format!("{name} {address}");
                let says = text.in_language(self.language);
                self.findings.push(Finding { what, grade, says });
            }
        }
    }

    fn look_at_port(&self, address: SocketAddr) -> (Grade, Text) {
        if self.running {
            return match TcpStream::connect_timeout(&address, CONNECT) {
                Ok(_) => (Grade::Well, Text::Listens),
                Err(_) => (Grade::Wrong, Text::PortSilent),
            };
        }
        match TcpListener::bind(address) {
            Ok(_) => (Grade::Well, Text::PortFree),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => (Grade::Warning, Text::PortFree),
            Err(_) => (Grade::Wrong, Text::PortTaken),
        }
    }

    fn store(&mut self, not_connected: Option<&CallError>) {
        match not_connected {
            None => {
                let says = Text::StoreAsked.in_language(self.language);
                self.found(Text::StoreWord, Grade::Well, says);
            }
            Some(CallError::NotRunning) => match Instance::open(self.loaded, None) {
                Ok(instance) => {
                    instance.gate.store().close();
                    let says = Text::StoreOpened.in_language(self.language);
                    self.found(Text::StoreWord, Grade::Well, says);
                }
                Err(failure) => self.found(Text::StoreWord, Grade::Wrong, failure.message),
            },
            Some(error) => self.found(Text::StoreWord, Grade::Wrong, error.to_string()),
        }
    }

    fn dns(&mut self) {
        let off = self.loaded.config.dns.resolver.0 == ResolverConfig::Off;
        let text = if off { Text::DnsOff } else { Text::DnsLater };
        let says = text.in_language(self.language);
        let what = String::from("DNS");
        self.findings.push(Finding { what, grade: Grade::Well, says });
    }

    fn report(&self, global: &Global) -> u8 {
        let wrong = self.findings.iter().any(|f| f.grade == Grade::Wrong);
        if global.json {
            let findings: Vec<Value> = self
                .findings
                .iter()
                .map(|f| {
                    let grade = match f.grade {
                        Grade::Well => "ok",
                        Grade::Warning => "warning",
                        Grade::Wrong => "wrong",
                    };
                    json!({ "what": f.what, "grade": grade, "says": f.says })
                })
                .collect();
            value(&json!({ "ok": !wrong, "running": self.running, "findings": findings }));
        } else {
            let rows: Vec<Vec<String>> = self
                .findings
                .iter()
                .map(|f| {
                    let grade = match f.grade {
                        Grade::Well => Text::Well,
                        Grade::Warning => Text::Warning,
                        Grade::Wrong => Text::Wrong,
                    };
                    vec![f.what.clone(), grade.in_language(self.language), f.says.clone()]
                })
                .collect();
            table(&["", "", ""], &rows);
        }
        if wrong { FOUND } else { 0 }
    }
}
