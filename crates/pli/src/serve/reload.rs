//! SIGHUP: the configuration is read again. All of it is checked first; with a mistake nothing changes.

use std::path::PathBuf;
use std::sync::Arc;

use pli_gate::{Gate, Target};
use pli_imap::ImapConfig;
use pli_net::TlsConfig;
use pli_smtp::SmtpConfig;
use pli_store::{AccountChange, StoreError};
use pli_types::Action;

use super::{doors, record};
use crate::config::{self, Config, Loaded, Server};
use crate::failure::{Failure, IO};
use crate::logging::Level;

/// What can change while serving.
pub struct Live {
    /// Certificates.
    pub tls: Arc<TlsConfig>,
    /// The gate; profiles and postmaster are in its directory.
    pub gate: Arc<Gate>,
    /// The log's level.
    pub level: Level,
    /// The configuration in force.
    pub loaded: Loaded,
}

impl Live {
    /// Reads the file again. A mistake is logged and changes nothing.
    pub async fn reload(&mut self) {
        match self.try_reload().await {
            Ok(()) => tracing::info!("configuration read again"),
            Err(failure) => tracing::error!(error = failure.message, "the old configuration stays in force"),
        }
    }

    async fn try_reload(&mut self) -> Result<(), Failure> {
        let file: PathBuf = self.loaded.file.clone();
        let new = config::load(Some(&file))?;
        let pem = doors::pem(&new)?;
        doors::check(&pem)?;
        let logins = doors::logins(&new)?;
        self.level.set(&new.config.log.level)?;
        self.tls.reload(&pem.chain, &pem.key, pem.client_ca.as_deref()).map_err(|e| Failure::new(IO, e.to_string()))?;
        self.gate.set_logins(logins);
        let directory = self.gate.directory();
        directory.set_profiles(new.profiles());
        directory.set_postmaster(new.postmaster());
        let later = at_start_only(&self.loaded.config, &new.config);
        if !later.is_empty() {
            tracing::warn!(sections = later.join(", "), "some changes come into force at the next start only");
        }
        self.loaded = new;
        self.apply_profiles().await?;
        record(&self.gate, "reload").await
    }

    /// Brings every account's quota in line with its profile.
    pub async fn apply_profiles(&self) -> Result<(), Failure> {
        /// Accounts of one page.
        const PAGE: usize = 1_000;
        let failed = |error: StoreError| Failure::new(IO, format!("applying profiles: {error}"));
        let (store, directory) = (self.gate.store(), self.gate.directory());
        let (mut after, mut changed) = (None, 0_u64);
        loop {
            let page = store.accounts(after, PAGE).map_err(failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            for account in page {
                let Some(profile) = directory.profile_of(&account) else {
                    tracing::warn!(account = %account.id, profile = account.profile, "no such profile: no rights");
                    continue;
                };
                let wanted = account.quota.unwrap_or(profile.quota);
                if store.quota(account.id).map_err(failed)?.limit == wanted {
                    continue;
                }
                let target = Target { account: Some(account.id), ..Target::default() };
                let permit = self
                    .gate
                    .admit(self.gate.system_session(), Action::SetQuota, &target)
                    .map_err(|refusal| Failure::new(IO, format!("applying profiles: {refusal}")))?;
                let change = AccountChange { quota_in_force: Some(wanted), ..AccountChange::default() };
                match store.change_account(permit, account.id, change).await {
                    Ok(_) => changed += 1,
                    // Removed meanwhile.
                    Err(StoreError::NoAccount(_)) => {}
                    Err(error) => return Err(failed(error)),
                }
            }
        }
        if changed > 0 {
            tracing::info!(changed, "quotas follow their profiles");
        }
        Ok(())
    }
}

/// Sections with changes that a reload cannot bring into force.
fn at_start_only(old: &Config, new: &Config) -> Vec<&'static str> {
    let texts = |config: &Config| {
        let Config { server, listen, store, keys, imap, pop3, smtp, queue, dns, log, .. } = config;
        // Limits of an account's sessions, and the postmaster, are taken up at once.
        let imap = ImapConfig { connections_per_account_max: 0, ..imap.clone() };
        let smtp = SmtpConfig { connections_per_account_max: 0, ..smtp.clone() };
        let server = Server { postmaster: String::new(), ..server.clone() };
        [
            ("server", format!("{server:?}")),
            ("listen", format!("{listen:?}")),
            ("store", format!("{store:?}")),
            ("keys", format!("{keys:?}")),
            ("imap", format!("{imap:?}")),
            ("pop3", format!("{pop3:?}")),
            ("smtp", format!("{smtp:?}")),
            ("queue", format!("{queue:?}")),
            ("dns", format!("{dns:?}")),
            ("log.format", format!("{:?}", log.format)),
        ]
    };
    texts(old).into_iter().zip(texts(new)).filter(|(old, new)| old != new).map(|((name, _), _)| name).collect()
}
