//! What the tests need from Debian, PyPI and npm: installed when missing, never started.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Outcome, run};

/// Debian package, and a file that it brings.
const DEBIAN: [(&str, &str); 16] = [
    ("ca-certificates", "/etc/ca-certificates.conf"),
    ("curl", "/usr/bin/curl"),
    ("swaks", "/usr/bin/swaks"),
    ("libnet-ssleay-perl", "/usr/share/doc/libnet-ssleay-perl"),
    ("libauthen-sasl-perl", "/usr/share/perl5/Authen/SASL.pm"),
    ("isync", "/usr/bin/mbsync"),
    ("neomutt", "/usr/bin/neomutt"),
    ("postfix", "/usr/sbin/postfix"),
    ("python3", "/usr/bin/python3"),
    ("python3-venv", "/usr/share/doc/python3-venv"),
    ("nodejs", "/usr/bin/node"),
    ("npm", "/usr/bin/npm"),
    ("softhsm2", "/usr/lib/softhsm/libsofthsm2.so"),
    ("libfaketime", "/usr/share/doc/libfaketime"),
    ("strace", "/usr/bin/strace"),
    ("util-linux", "/bin/mount"),
];

/// What only the heavy clients need: `make test-clients`.
const HEAVY: [(&str, &str); 10] = [
    ("thunderbird", "/usr/bin/thunderbird"),
    ("roundcube-core", "/usr/share/roundcube/index.php"),
    ("roundcube-sqlite3", "/usr/share/doc/roundcube-sqlite3"),
    ("php-cli", "/usr/bin/php"),
    ("php-sqlite3", "/usr/share/doc/php-sqlite3"),
    ("offlineimap3", "/usr/bin/offlineimap"),
    ("mutt", "/usr/bin/mutt"),
    ("fetchmail", "/usr/bin/fetchmail"),
    ("getmail6", "/usr/bin/getmail"),
    ("mpop", "/usr/bin/mpop"),
];

/// PyPI packages, pinned.
const PYPI: [&str; 1] = ["IMAPClient==3.0.1"];

/// npm packages, pinned.
const NPM: [&str; 1] = ["imapflow@2.10.2"];

/// Forbids packaged daemons to start while it stands; Debian's own interface.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs what is missing.
pub fn run() -> Outcome {
    debian(&DEBIAN)?;
    python()?;
    node()
}

/// Installs what the heavy clients need besides.
pub fn heavy() -> Outcome {
    debian(&HEAVY)
}

fn debian(wanted: &[(&'static str, &str)]) -> Outcome {
    let missing: Vec<&str> =
        wanted.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(package, _)| *package).collect();
    if missing.is_empty() {
        println!("packages: Debian's are all here");
        return Ok(());
    }
    if !run::have("apt-get") || !is_root() {
        return Err(format!("missing: {}; as root: apt-get install {}", missing.join(", "), missing.join(" ")));
    }
    let policy = Policy::forbid()?;
    let outcome = apt(&["update", "-qq"]).and_then(|()| {
        let mut words = vec!["install", "-y", "-qq", "--no-install-recommends"];
        words.extend(&missing);
        apt(&words)
    });
    drop(policy);
    outcome
}

fn apt(words: &[&str]) -> Outcome {
    let mut command = Command::new("apt-get");
    command.args(words).env("DEBIAN_FRONTEND", "noninteractive");
    run::status(command)
}

fn is_root() -> bool {
    // The effective user is the owner of our own process directory.
    std::fs::metadata("/proc/self").is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0)
}

/// Holds `policy-rc.d` in place, and removes it again if it is ours.
struct Policy {
    ours: bool,
}

impl Policy {
    fn forbid() -> Result<Self, String> {
        if Path::new(POLICY).exists() {
            return Ok(Self { ours: false });
        }
        let write = || -> std::io::Result<()> {
            std::fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
            std::fs::set_permissions(POLICY, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        };
        write().map_err(|error| format!("{POLICY}: {error}"))?;
        Ok(Self { ours: true })
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        if self.ours {
            let _ = std::fs::remove_file(POLICY);
        }
    }
}

/// The Python environment's directory.
pub fn venv() -> PathBuf {
    run::target_dir().join("venv")
}

fn python() -> Outcome {
    let dir = venv();
    let stamp = dir.join("pli-packages");
    let wanted = PYPI.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        println!("packages: the Python environment is up to date");
        return Ok(());
    }
    let mut make = Command::new("/usr/bin/python3");
    make.args(["-m", "venv", "--clear"]).arg(&dir);
    run::status(make)?;
    let mut install = Command::new(dir.join("bin/pip"));
    install.args(["install", "--quiet", "--disable-pip-version-check"]).args(PYPI);
    run::status(install)?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// The folder of what npm installs: `node_modules` is in it.
fn node() -> Outcome {
    let dir = run::target_dir().join("node");
    let stamp = dir.join("pli-packages");
    let wanted = NPM.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|there| there == wanted) {
        println!("packages: npm's are up to date");
        return Ok(());
    }
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut install = Command::new("npm");
    install.args(["install", "--no-audit", "--no-fund", "--no-save", "--silent", "--prefix"]).arg(&dir).args(NPM);
    run::status(install)?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}
