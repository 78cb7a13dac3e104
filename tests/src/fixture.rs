//! Stores that older programs wrote, in `tests/fixtures/format-N/`, opened as
//! copies by the program under test.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{Account, Builder, Instance, pli, private, repository};

/// What a fixture's folder holds besides the store.
pub struct Fixture {
    /// Its accounts.
    pub accounts: Vec<Account>,
    /// What its program answered ([`crate::picture::take`]).
    pub answers: Value,
    /// The events of its audit log, as its program told them.
    pub audit: Vec<Value>,
    dir: PathBuf,
}

impl Fixture {
    /// The fixtures' folder.
    pub fn root() -> PathBuf {
        repository().join("tests/fixtures")
    }

    /// Every format that has a fixture.
    pub fn formats() -> Vec<u32> {
        let entries = std::fs::read_dir(Self::root()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut formats: Vec<u32> = names.filter_map(|name| name.strip_prefix("format-")?.parse().ok()).collect();
        formats.sort_unstable();
        formats
    }

    /// The fixture of a format.
    pub fn load(format: u32) -> Self {
        let dir = Self::root().join(format!("format-{format}"));
        let text = std::fs::read_to_string(dir.join("answers.json")).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let accounts = json["passwords"].as_object().unwrap();
        Self {
            accounts: accounts
                .iter()
                .map(|(address, password)| Account { address: address.clone(), password: text(password) })
                .collect(),
            answers: json["answers"].clone(),
            audit: json["audit"].as_array().unwrap().clone(),
            dir,
        }
    }

    /// An instance, not serving yet, over a copy of the store.
    pub fn prepare(&self) -> Instance {
        self.prepare_with(&pli())
    }

    /// The same with the configuration that this program makes.
    pub fn prepare_with(&self, quickstart: &Path) -> Instance {
        let passphrase = std::fs::read_to_string(self.dir.join("passphrase")).unwrap();
        // Nothing is sent on: the queue's row is held, and there is no resolver.
        let instance = Builder::default()
            .quickstart(quickstart)
            .config("keys", "passphrase_file = \"keys/passphrase\"")
            .config("dns", "resolver = \"off\"")
            .prepare();
        private(&instance.dir.join("keys/passphrase"), passphrase.as_bytes());
        private(&instance.dir.join("keys/root.key"), &std::fs::read(self.dir.join("root.key")).unwrap());
        // What the installation made for a store of its own is not this store's; format 1 had no such file.
        let _ = std::fs::remove_file(instance.dir.join("keys/accounts.key"));
        if let Ok(secrets) = std::fs::read(self.dir.join("accounts.key")) {
            private(&instance.dir.join("keys/accounts.key"), &secrets);
        }
        let store = instance.dir.join("store");
        std::fs::remove_dir_all(&store).unwrap();
        copy(&self.dir.join("store"), &store);
        instance
    }
}

/// Copies a folder whole, for its owner alone.
pub fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            private(&target, &std::fs::read(&path).unwrap());
        }
    }
}
