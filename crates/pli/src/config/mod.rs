//! `pli.toml`: its sections as types, loading, and the checks that types cannot make.
//!
//! Every mistake names its line and the reason. `conf/pli.toml` holds every key; a test compares.

mod check;
mod size;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use pli_directory::Profile;
use pli_imap::ImapConfig;
use pli_mailauth::check::MailAuthConfig;
use pli_pop3::Pop3Config;
use pli_queue::QueueConfig;
use pli_smtp::SmtpConfig;
use pli_store::{IndexEngine, KeyRules, QuotaLimit};
use pli_types::{Address, ByteCount};
use serde::Deserialize;

use crate::failure::{CONFIG, Failure, NO_INPUT};
pub use size::{Age, Dns, Limit, Size, parse_size, show_size};

/// Looked for when neither `--config` nor `PLI_CONFIG` names a file.
const PLACES: [&str; 2] = ["pli.toml", "/etc/pli/pli.toml"];

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[listen]`
    #[serde(default)]
    pub listen: Listen,
    /// `[tls]`
    #[serde(default)]
    pub tls: Tls,
    /// `[auth]`
    #[serde(default)]
    pub auth: Auth,
    /// `[store]`
    #[serde(default)]
    pub store: Store,
    /// `[keys]`
    #[serde(default)]
    pub keys: Keys,
    /// `[imap]`
    #[serde(default)]
    pub imap: ImapConfig,
    /// `[pop3]`
    #[serde(default)]
    pub pop3: Pop3Config,
    /// `[smtp]`
    #[serde(default)]
    pub smtp: SmtpConfig,
    /// `[mail_auth]`
    #[serde(default)]
    pub mail_auth: MailAuthConfig,
    /// `[queue]`
    #[serde(default)]
    pub queue: QueueConfig,
    /// `[dns]`
    #[serde(default)]
    pub dns: DnsSection,
    /// `[log]`
    #[serde(default)]
    pub log: Log,
    /// `[[profile]]`
    #[serde(default)]
    pub profile: Vec<ProfileSection>,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// The server's name.
    pub hostname: String,
    /// Folder of everything, relative to the file's own.
    #[serde(default = "here")]
    pub data_dir: PathBuf,
    /// Stand-in for postmaster and abuse.
    #[serde(default)]
    pub postmaster: String,
    /// Between an address and its tag.
    #[serde(default = "plus")]
    pub subaddress_separator: char,
    /// For sessions to end.
    #[serde(default = "twenty")]
    pub shutdown_seconds: u64,
    /// Threads; 0: by cores.
    #[serde(default)]
    pub workers: usize,
    /// Wanted.
    #[serde(default = "files")]
    pub open_files_max: u64,
}

fn here() -> PathBuf {
    PathBuf::from(".")
}
const fn plus() -> char {
    '+'
}
const fn twenty() -> u64 {
    20
}
const fn files() -> u64 {
    65_536
}

/// `[listen]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Where.
    pub addresses: Vec<IpAddr>,
    /// Added to each port.
    pub port_offset: u16,
    /// Port 25.
    pub smtp: Door,
    /// Port 587.
    pub submission: Door,
    /// Port 465.
    pub submissions: Door,
    /// Port 993.
    pub imaps: Door,
    /// Port 995; off.
    pub pop3s: Door,
    /// Port 24, on loopback.
    pub lmtp: Door,
}

/// A door of `[listen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Door {
    /// Whether it is opened.
    pub on: bool,
    /// Before the offset; 0: the door's standard port.
    pub port: u16,
    /// Connections at once.
    pub connections_max: usize,
    /// Of one address.
    pub connections_per_address_max: usize,
}

impl Default for Door {
    fn default() -> Self {
        Self { on: true, port: 0, connections_max: 5_000, connections_per_address_max: 1_000 }
    }
}

impl Default for Listen {
    fn default() -> Self {
        let door = Door::default();
        Self {
            addresses: vec![IpAddr::from([127, 0, 0, 1])],
            port_offset: 0,
            smtp: Door { port: 25, connections_max: 2_000, connections_per_address_max: 200, ..door },
            submission: Door { port: 587, ..door },
            submissions: Door { port: 465, ..door },
            imaps: Door { port: 993, connections_max: 50_000, connections_per_address_max: 10_000, ..door },
            pop3s: Door { on: false, port: 995, connections_max: 2_000, connections_per_address_max: 200 },
            lmtp: Door { port: 24, connections_max: 200, connections_per_address_max: 200, ..door },
        }
    }
}

/// `[tls]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Chain, PEM.
    pub certificate: PathBuf,
    /// Key, PEM.
    pub key: PathBuf,
    /// For clients.
    pub ca: PathBuf,
}

impl Default for Tls {
    fn default() -> Self {
        Self { certificate: "tls/cert.pem".into(), key: "tls/key.pem".into(), ca: PathBuf::new() }
    }
}

/// `[auth]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Auth {
    /// CAs of client certificates, PEM.
    pub client_ca: PathBuf,
    /// `[auth.tokens]`
    pub tokens: Tokens,
}

/// `[auth.tokens]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// `iss`; empty: none are taken.
    pub issuer: String,
    /// `aud`
    pub audience: String,
    /// JWK set.
    pub keys: PathBuf,
    /// Names the account.
    pub claim: String,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { issuer: String::new(), audience: String::new(), keys: PathBuf::new(), claim: String::from("email") }
    }
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Store {
    /// Folder.
    pub dir: PathBuf,
    /// Engine.
    pub index: Index,
    /// Its memory.
    pub index_cache: Size,
    /// Memory of the mailbox views that were used last.
    pub view_cache: Size,
    /// Mailboxes that an account may have.
    pub mailboxes_max: u32,
    /// Days for which what was deleted or changed stays within reach.
    pub retention_days: u16,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            dir: "store".into(),
            index: Index::Sled,
            index_cache: Size(16 << 20),
            view_cache: Size(32 << 20),
            mailboxes_max: pli_store::MAILBOXES_MAX,
            retention_days: 30,
        }
    }
}

/// Which index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Index {
    /// sled.
    Sled,
    /// fjall.
    Fjall,
    /// In memory.
    Memory,
}

impl From<Index> for IndexEngine {
    fn from(index: Index) -> Self {
        match index {
            Index::Sled => Self::Sled,
            Index::Fjall => Self::Fjall,
            Index::Memory => Self::Memory,
        }
    }
}

/// `[keys]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// Where the root key is.
    pub source: KeySource,
    /// Where it was before, while everything is brought over.
    pub previous: Option<KeySource>,
    /// The root key's file.
    pub root: PathBuf,
    /// Its passphrase.
    pub passphrase_file: PathBuf,
    /// The root key's credential.
    pub credential: String,
    /// Accounts' own secrets.
    pub accounts: PathBuf,
    /// Age at which the root key is due.
    pub rotate_after: Age,
    /// Age at which an account's key is due.
    pub rotate_accounts_after: Age,
    /// `[keys.pkcs11]`
    pub pkcs11: Token,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            source: KeySource::File,
            previous: None,
            root: "keys/root.key".into(),
            passphrase_file: PathBuf::new(),
            credential: String::from("pli-root-key"),
            accounts: "keys/accounts.key".into(),
            rotate_after: Age(Some(90)),
            rotate_accounts_after: Age(None),
            pkcs11: Token::default(),
        }
    }
}

impl Keys {
    /// When keys are renewed by themselves.
    pub const fn rules(&self) -> KeyRules {
        KeyRules { root_days: self.rotate_after.0, account_days: self.rotate_accounts_after.0 }
    }
}

/// Where a root key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeySource {
    /// A file.
    File,
    /// A systemd credential.
    Credential,
    /// A PKCS#11 token.
    Pkcs11,
}

/// `[keys.pkcs11]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Token {
    /// The module.
    pub module: PathBuf,
    /// The token's label.
    pub token: String,
    /// The root key's label.
    pub label: String,
    /// Where the PIN is.
    pub pin: String,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token: String::from("pli"),
            label: String::from("pli-root"),
            pin: String::from("credential:pli-pin"),
        }
    }
}

/// `[dns]`
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsSection {
    /// Who is asked.
    pub resolver: Dns,
    /// Whether signatures are checked.
    pub dnssec: bool,
    /// A zone that is all the DNS there is; empty for none.
    pub zone_file: PathBuf,
}

impl Default for DnsSection {
    fn default() -> Self {
        Self { resolver: Dns::default(), dnssec: true, zone_file: PathBuf::new() }
    }
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// For whom.
    pub format: LogFormat,
    /// How much.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: String::from("info") }
    }
}

/// For whom logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// People.
    Text,
    /// Machines.
    Json,
}

/// `[[profile]]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileSection {
    /// `student` and so on.
    pub name: String,
    /// Bytes.
    pub quota: Limit,
    /// Messages.
    #[serde(default = "unlimited")]
    pub quota_messages: Limit,
    /// May read.
    #[serde(default = "yes")]
    pub imap: bool,
    /// May send.
    #[serde(default = "yes")]
    pub submission: bool,
    /// To other domains.
    #[serde(default = "yes")]
    pub relay: bool,
    /// Messages an hour.
    #[serde(default = "unlimited")]
    pub submit_per_hour: Limit,
    /// Of one message.
    #[serde(default = "unlimited")]
    pub recipients_max: Limit,
}

const fn unlimited() -> Limit {
    Limit(None)
}
const fn yes() -> bool {
    true
}

impl ProfileSection {
    fn profile(&self) -> Profile {
        let small = |limit: Limit| limit.0.map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        Profile {
            name: self.name.clone(),
            quota: QuotaLimit { bytes: self.quota.0.map(ByteCount::new), messages: self.quota_messages.0 },
            imap: self.imap,
            submission: self.submission,
            relay: self.relay,
            submit_per_hour: small(self.submit_per_hour),
            recipients_max: small(self.recipients_max),
        }
    }
}

/// A configuration with the place it came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The file.
    pub file: PathBuf,
    /// Its contents.
    pub config: Config,
    /// The folder that relative paths start at.
    data_dir: PathBuf,
}

impl Loaded {
    /// A configuration that is to stand in a folder.
    pub fn in_folder(dir: &Path, config: Config) -> Self {
        let data_dir = match config.server.data_dir.as_path() {
            here if here == Path::new(".") => dir.to_owned(),
            other => dir.join(other),
        };
        Self { file: dir.join("pli.toml"), data_dir, config }
    }
    /// The store's folder.
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join(&self.config.store.dir)
    }
    /// A path of the configuration.
    pub fn in_data_dir(&self, path: &Path) -> PathBuf {
        self.data_dir.join(path)
    }
    /// The file of accounts' own secrets.
    pub fn account_secrets(&self) -> PathBuf {
        self.data_dir.join(&self.config.keys.accounts)
    }
    /// The root key's file.
    pub fn root_key(&self) -> PathBuf {
        self.data_dir.join(&self.config.keys.root)
    }
    /// The file with its passphrase.
    pub fn passphrase_file(&self) -> Option<PathBuf> {
        let file = &self.config.keys.passphrase_file;
        (!file.as_os_str().is_empty()).then(|| self.data_dir.join(file))
    }
    /// Certificate chain.
    pub fn certificate(&self) -> PathBuf {
        self.data_dir.join(&self.config.tls.certificate)
    }
    /// Its key.
    pub fn tls_key(&self) -> PathBuf {
        self.data_dir.join(&self.config.tls.key)
    }
    /// The CA that clients must be told of.
    pub fn ca(&self) -> Option<PathBuf> {
        let ca = &self.config.tls.ca;
        (!ca.as_os_str().is_empty()).then(|| self.data_dir.join(ca))
    }
    /// The CAs of client certificates.
    pub fn client_ca(&self) -> Option<PathBuf> {
        let ca = &self.config.auth.client_ca;
        (!ca.as_os_str().is_empty()).then(|| self.data_dir.join(ca))
    }
    /// The zone that is all the DNS there is.
    pub fn zone_file(&self) -> Option<PathBuf> {
        let file = &self.config.dns.zone_file;
        (!file.as_os_str().is_empty()).then(|| self.data_dir.join(file))
    }
    /// The admin socket.
    pub fn socket(&self) -> PathBuf {
        self.data_dir.join("run").join("admin.sock")
    }
    /// Profiles as the directory has them.
    pub fn profiles(&self) -> Vec<Profile> {
        self.config.profile.iter().map(ProfileSection::profile).collect()
    }
    /// Stand-in for postmaster.
    pub fn postmaster(&self) -> Option<Address> {
        Address::parse(&self.config.server.postmaster).ok()
    }
    /// The audit log's origin line.
    pub fn site(&self) -> String {
        format!("{}/pli", self.config.server.hostname)
    }
    /// Every door by name, with where it listens.
    pub fn doors(&self) -> Vec<(&'static str, Door, Vec<SocketAddr>)> {
        let listen = &self.config.listen;
        let everywhere = listen.addresses.clone();
        // Whoever can connect to LMTP can deliver to anybody: it stays on this machine.
        let loopback: Vec<IpAddr> = if everywhere.iter().all(IpAddr::is_loopback) {
            everywhere.clone()
        } else {
            vec![IpAddr::from([127, 0, 0, 1])]
        };
        [
            ("smtp", listen.smtp, 25, &everywhere),
            ("submission", listen.submission, 587, &everywhere),
            ("submissions", listen.submissions, 465, &everywhere),
            ("imaps", listen.imaps, 993, &everywhere),
            ("pop3s", listen.pop3s, 995, &everywhere),
            ("lmtp", listen.lmtp, 24, &loopback),
        ]
        .into_iter()
        .map(|(name, door, standard, at)| {
            let port = if door.port == 0 { standard } else { door.port };
            let port = port.saturating_add(listen.port_offset);
            (name, door, at.iter().map(|ip| SocketAddr::new(*ip, port)).collect())
        })
        .collect()
    }
}

/// The file that is meant: named, or in the usual places.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return Ok(path.to_owned());
    }
    PLACES.iter().map(PathBuf::from).find(|p| p.is_file()).ok_or_else(|| {
        Failure::new(NO_INPUT, "no configuration: neither --config nor PLI_CONFIG, no ./pli.toml, no /etc/pli/pli.toml")
            .hint("`pli quickstart --dir DIR --domain DOMAIN --hostname NAME` makes one")
    })
}

/// Reads and checks a file.
pub fn load(named: Option<&Path>) -> Result<Loaded, Failure> {
    let file = find(named)?;
    let text = std::fs::read_to_string(&file).map_err(|e| Failure::file("read the configuration", &file, &e))?;
    let config = parse(&text).map_err(|message| Failure::new(CONFIG, format!("{}: {message}", file.display())))?;
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(Loaded { file: file.clone(), ..Loaded::in_folder(folder, config) })
}

/// Parses and checks a text; the error begins with the line.
pub fn parse(text: &str) -> Result<Config, String> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let reason = error.message().trim_end().replace('\n', " ");
        match error.span() {
            Some(span) => format!("line {}: {reason}", check::line_at(text, span.start)),
            None => reason,
        }
    })?;
    check::check(&config, text)?;
    Ok(config)
}

#[cfg(test)]
mod tests;
