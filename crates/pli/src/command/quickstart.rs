//! `pli quickstart`: configuration, keys, certificates, store, domain and two accounts, in one folder.

use std::io::Write as _;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use pli_admin::Request;
use pli_crypto::{FileKeyStore, SecretString};
use pli_types::Address;
use serde_json::{Map, Value, json};

use crate::cli::{Global, Quickstart};
use crate::config::{self, Loaded};
use crate::failure::{CANNOT_CREATE, DATA, Failure, SOFTWARE};
use crate::instance::Instance;
use crate::link::{Direct, runtime};
use crate::output::{fields, line, text, value};
use crate::pki;
use crate::texts::{Language, Text};

/// The annotated configuration; the lines that quickstart sets are replaced in it.
const TEMPLATE: &str = include_str!("../../../../conf/pli.toml");
/// Doors that later versions serve; their ports are told now, so that scripts need no change then.
const LATER: [(&str, u16); 2] = [("https", 443), ("managesieve", 4190)];

/// Runs it.
pub fn run(global: &Global, arguments: &Quickstart) -> Result<(), Failure> {
    let domain = domain(&arguments.domain)?;
    let admin = address(&arguments.admin, &domain)?;
    let user = address(&arguments.user, &domain)?;
    if admin.key() == user.key() {
        return Err(Failure::new(DATA, format!("{admin} cannot be both accounts; see --user")));
    }
    let toml = configuration(arguments, &admin);
    // A mistake in the arguments is found before anything is made.
    let parsed = config::parse(&toml).map_err(|error| Failure::new(DATA, error))?;
    let passphrase = if arguments.passphrase_stdin { Some(super::passphrase(global)?) } else { None };

    let dir = folder(&arguments.dir)?;
    let (keys, certificates) = (dir.join("keys"), dir.join("tls"));
    for sub in [&keys, &certificates, &dir.join("run")] {
        make_dir(sub)?;
    }
    let root = root_key(&keys.join("root.key"), passphrase.as_ref())?;
    certificate(&certificates, arguments, &domain)?;
    let loaded = Loaded::in_folder(&dir, parsed);
    let accounts = fill(&loaded, root, &domain, [(&admin, "staff"), (&user, "student")])?;
    // The configuration comes last: where it is, the rest is whole.
    write_new(&dir.join("pli.toml"), toml.as_bytes(), 0o600)?;
    report(global, &dir, &loaded, &accounts, passphrase.is_some());
    Ok(())
}

fn domain(text: &str) -> Result<String, Failure> {
    let checked = Address::new("postmaster", text);
    match checked {
        Ok(address) if text.contains('.') && !text.starts_with('[') => Ok(address.domain().to_owned()),
        Ok(_) => Err(Failure::new(DATA, format!("{text:?} is no full domain name"))),
        Err(error) => Err(Failure::new(DATA, format!("{text:?}: {error}"))),
    }
}

fn address(local: &str, domain: &str) -> Result<Address, Failure> {
    Address::new(local, domain).map_err(|error| Failure::new(DATA, format!("{local:?}: {error}")))
}

/// The template with this server's values.
fn configuration(arguments: &Quickstart, admin: &Address) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let addresses: Vec<String> = arguments.listen.iter().map(|ip| quoted(&ip.to_string())).collect();
    let loopback = arguments.listen.iter().all(IpAddr::is_loopback);
    let mut lines = vec![
        ("hostname = ", quoted(&arguments.hostname)),
        ("postmaster = ", quoted(&admin.to_string())),
        ("addresses = ", format!("[{}]", addresses.join(", "))),
        ("port_offset = ", arguments.port_offset.to_string()),
    ];
    if loopback {
        // Nothing leaves a machine on which this is only tried out.
        lines.push(("resolver = ", quoted("off")));
    }
    let mut out = String::with_capacity(TEMPLATE.len() + 256);
    for old in TEMPLATE.lines() {
        match lines.iter().find(|(key, _)| old.starts_with(key)) {
            Some((key, value)) => {
                out.push_str(key);
                out.push_str(value);
            }
            None => out.push_str(old),
        }
        out.push('\n');
    }
    out
}

/// The folder, made if need be; one that holds something else is left alone.
fn folder(dir: &Path) -> Result<PathBuf, Failure> {
    make_dir(dir)?;
    let mut entries = std::fs::read_dir(dir).map_err(|e| Failure::file("read", dir, &e))?;
    if dir.join("pli.toml").exists() {
        let text = format!("there is a server in {} already", dir.display());
        let hint = format!("start it with `pli serve --config {}`", dir.join("pli.toml").display());
        return Err(Failure::new(CANNOT_CREATE, text).hint(hint));
    }
    if entries.next().is_some() {
        return Err(Failure::new(CANNOT_CREATE, format!("{} is not empty", dir.display())));
    }
    std::fs::canonicalize(dir).map_err(|e| Failure::file("find", dir, &e))
}

fn make_dir(dir: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|e| Failure::file("make the folder", dir, &e))
}

fn write_new(path: &Path, contents: &[u8], mode: u32) -> Result<(), Failure> {
    let written =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            file.write_all(contents)?;
            file.sync_all()
        });
    written.map_err(|e| Failure::file("write", path, &e))
}

fn root_key(path: &Path, passphrase: Option<&SecretString>) -> Result<FileKeyStore, Failure> {
    let (store, contents) =
        FileKeyStore::generate(passphrase).map_err(|e| Failure::new(SOFTWARE, format!("root key: {e}")))?;
    write_new(path, contents.expose(), 0o600)?;
    Ok(store)
}

fn certificate(dir: &Path, arguments: &Quickstart, domain: &str) -> Result<(), Failure> {
    let secs = pli_io::Clock::now(&pli_io::RealClock::new()).secs();
    let names = [String::from("localhost"), domain.to_owned()];
    let mut addresses = arguments.listen.clone();
    addresses.retain(|ip| !ip.is_unspecified());
    let made = pki::make(&arguments.hostname, &names, &addresses, secs)?;
    write_new(&dir.join("ca.pem"), made.ca.as_bytes(), 0o644)?;
    write_new(&dir.join("cert.pem"), made.chain.as_bytes(), 0o644)?;
    write_new(&dir.join("key.pem"), made.key.as_bytes(), 0o600)
}

/// Makes the store, the domain and the accounts; returns each account with its password.
fn fill(
    loaded: &Loaded,
    root: FileKeyStore,
    domain: &str,
    wanted: [(&Address, &str); 2],
) -> Result<Vec<Value>, Failure> {
    runtime()?.block_on(async {
        let direct = Direct::over(Instance::create(loaded, root)?);
        direct.call(Request::DomainAdd { name: domain.to_owned() }).await?;
        let mut accounts = Vec::new();
        for (address, profile) in wanted {
            let request = Request::AccountAdd {
                address: address.clone(),
                password: None,
                profile: Some(profile.to_owned()),
                quota: None,
                display_name: None,
                language: None,
            };
            let made = direct.call(request).await?;
            accounts.push(json!({
                "address": address,
                "password": text(&made, "/password"),
                "profile": profile,
            }));
        }
        direct.close();
        Ok(accounts)
    })
}

/// Every port by name.
fn ports(loaded: &Loaded) -> Vec<(&'static str, u16)> {
    let doors = loaded.doors();
    let served =
        doors.iter().filter(|(_, door, _)| door.on).filter_map(|(name, _, at)| Some((*name, at.first()?.port())));
    let offset = loaded.config.listen.port_offset;
    served.chain(LATER.iter().map(|(name, port)| (*name, port.saturating_add(offset)))).collect()
}

fn report(global: &Global, dir: &Path, loaded: &Loaded, accounts: &[Value], sealed: bool) {
    let config = dir.join("pli.toml");
    let ports = ports(loaded);
    if global.json {
        let ports: Map<String, Value> = ports.iter().map(|(name, port)| ((*name).to_owned(), (*port).into())).collect();
        let first = accounts.first().cloned().unwrap_or_default();
        return value(&json!({
            "config": config,
            "hostname": loaded.config.server.hostname,
            "listen": loaded.config.listen.addresses,
            "admin": { "address": first.get("address"), "password": first.get("password") },
            "ports": ports,
            "ca": loaded.ca(),
            "accounts": accounts,
        }));
    }
    let language = global.language();
    let say = |text: Text| text.in_language(language);
    line(&Text::Made.with(language, &[&loaded.config.server.hostname, &dir.display().to_string()]));
    line("");
    fields(&[
        (&say(Text::Configuration), config.display().to_string()),
        (&say(Text::CaFile), loaded.ca().unwrap_or_default().display().to_string()),
        (&say(Text::RootKey), loaded.root_key().display().to_string()),
    ]);
    line("");
    let at: Vec<String> = loaded.config.listen.addresses.iter().map(ToString::to_string).collect();
    line(&Text::Ports.with(language, &[&at.join(", ")]));
    let served = ports.iter().filter(|(name, _)| LATER.iter().all(|(later, _)| later != name));
    line(&format!("  {}", served.map(|(name, port)| format!("{name} {port}")).collect::<Vec<_>>().join(" · ")));
    line("");
    line(&say(Text::AccountsOnce));
    for account in accounts {
        let [address, password, profile] = ["/address", "/password", "/profile"].map(|path| text(account, path));
        line(&format!("  {address}  {password}  ({profile})"));
    }
    line("");
    paste(loaded, &config, accounts, language, sealed);
}

/// Lines to paste: serve (with the passphrase of a sealed root key), send, read.
fn paste(loaded: &Loaded, config: &Path, accounts: &[Value], language: Language, sealed: bool) {
    let [Some(admin), Some(user)] = [accounts.first(), accounts.get(1)] else { return };
    let [from, from_password] = ["/address", "/password"].map(|path| text(admin, path));
    let [to, to_password] = ["/address", "/password"].map(|path| text(user, path));
    let port = |door: &str| ports(loaded).iter().find(|(name, _)| *name == door).map_or(0, |(_, port)| *port);
    let ca = shell_word(&loaded.ca().unwrap_or_default().display().to_string());
    let hostname = &loaded.config.server.hostname;
    let ip = loaded.config.listen.addresses.first().map_or_else(String::new, host_in_url);
    // The certificate's name is the host name, which no DNS may know yet: curl is told the address.
    let to_host = |door: &str| format!("--resolve {hostname}:{0}:{ip}", port(door));
    line(&Text::ToServe.in_language(language));
    let passphrase = if sealed { " --passphrase-stdin" } else { "" };
    line(&format!("  {} serve --config {}{passphrase}", program(), shell_word(&config.display().to_string())));
    line(&Text::ToSend.in_language(language));
    line(&format!(
        "  printf 'From: {from}\\r\\nTo: {to}\\r\\nSubject: Bonjour\\r\\n\\r\\nSous pli cacheté.\\r\\n' | \
         curl -sS --cacert {ca} {} --user '{from}:{from_password}' --mail-from '{from}' --mail-rcpt '{to}' \
         --upload-file - smtps://{hostname}:{}",
        to_host("submissions"),
        port("submissions")
    ));
    line(&Text::ToRead.in_language(language));
    line(&format!(
        "  curl -sS --cacert {ca} {} --user '{to}:{to_password}' 'imaps://{hostname}:{}/INBOX;MAILINDEX=1'",
        to_host("imaps"),
        port("imaps")
    ));
}

/// How the shell finds this program: by its name where `PATH` has it, else by its place.
fn program() -> String {
    let place = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("pli"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("pli")).find(|file| file.is_file());
    let same = found.and_then(|file| std::fs::canonicalize(file).ok()) == std::fs::canonicalize(&place).ok();
    if same { String::from("pli") } else { shell_word(&place.display().to_string()) }
}

fn host_in_url(ip: &IpAddr) -> String {
    match ip {
        IpAddr::V4(v4) if v4.is_unspecified() => String::from("127.0.0.1"),
        IpAddr::V6(v6) if v6.is_unspecified() => String::from("[::1]"),
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("[{v6}]"),
    }
}

/// A word that a shell takes as one.
fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn arguments() -> Quickstart {
        Quickstart {
            dir: "x".into(),
            domain: "example.test".into(),
            hostname: "mx.example.test".into(),
            listen: vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()],
            port_offset: 20_000,
            admin: "root".into(),
            user: "bob".into(),
            passphrase_stdin: false,
        }
    }

    #[test]
    fn the_template_takes_every_value() {
        let text = configuration(&arguments(), &address("root", "example.test").unwrap());
        let config = config::parse(&text).unwrap();
        assert_eq!(config.server.hostname, "mx.example.test");
        assert_eq!(config.server.postmaster, "root@example.test");
        assert_eq!(config.listen.addresses.len(), 2);
        assert_eq!(config.listen.port_offset, 20_000);
        assert_eq!(config.dns.resolver.0, pli_io::ResolverConfig::Off);
        let all = ports(&Loaded::in_folder(Path::new("/x"), config));
        assert!(
            all.contains(&("imaps", 20_993)) && all.contains(&("https", 20_443)) && all.contains(&("lmtp", 20_024))
        );

        let public = Quickstart { listen: vec!["0.0.0.0".parse().unwrap()], ..arguments() };
        let config = config::parse(&configuration(&public, &address("root", "example.test").unwrap())).unwrap();
        assert_eq!(config.dns.resolver.0, pli_io::ResolverConfig::System);
    }

    #[test]
    fn shell_words() {
        assert_eq!(shell_word("/srv/pli/ca.pem"), "/srv/pli/ca.pem");
        assert_eq!(shell_word("/srv/a b's"), "'/srv/a b'\\''s'");
    }
}
