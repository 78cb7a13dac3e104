//! App passwords, and the sessions that are logged in.

use pli_crypto::{SCRAM_ITERATIONS, ScramKeys, SecretString};
use pli_gate::{Present, Which};
use pli_store::NewAppPassword;
use pli_types::{AccountId, Action, Address, Protocol, SessionId};
use serde_json::{Value, json};

use super::{Call, Result, failed};
use crate::{ErrorKind, Failure};

/// Longest label.
const LABEL_CHARS_MAX: usize = 80;

impl Call<'_> {
    pub(super) async fn app_password_add(&self, address: &Address, label: &str) -> Result {
        let label = label.trim();
        if label.is_empty() || label.chars().count() > LABEL_CHARS_MAX || label.chars().any(char::is_control) {
            let text = format!("a label has 1 to {LABEL_CHARS_MAX} characters, none of them a control character");
            return Err(Failure::new(ErrorKind::Usage, text));
        }
        let account = self.account(address)?;
        let permit = self.admit(Action::AppPasswordChange, Some(account.id))?;
        let made = pli_crypto::generate_app_password()
            .map_err(|error| Failure::new(ErrorKind::Unavailable, error.to_string()))?;
        let hash = self.store().app_password_hash(account.id, made.expose());
        let scram = derive(made.clone(), self.store().scram_salt(&account.address.key())).await?;
        let new = NewAppPassword { label: label.to_owned(), hash, scram, iterations: SCRAM_ITERATIONS };
        let id = self.store().add_app_password(permit, account.id, new).await.map_err(failed)?.value;
        Ok(json!({ "address": account.address, "id": id, "label": label, "password": made.expose() }))
    }

    pub(super) fn app_password_list(&self, address: &Address) -> Result {
        let account = self.account(address)?;
        self.admit(Action::AccountRead, Some(account.id))?;
        let all = self.store().app_passwords(account.id).map_err(failed)?;
        let rows = all.into_iter().map(|app| {
            json!({
                "id": app.id,
                "label": app.label,
                "created": app.created.secs(),
                "last_used": app.last_used.map(pli_types::UnixMillis::secs),
            })
        });
        Ok(Value::Array(rows.collect()))
    }

    /// Revokes an app password, and ends what was opened with it.
    pub(super) async fn app_password_revoke(&self, address: &Address, id: u32) -> Result {
        let account = self.account(address)?;
        let permit = self.admit(Action::AppPasswordChange, Some(account.id))?;
        let removed = self.store().remove_app_password(permit, account.id, id).await.map_err(failed)?.value;
        let ended = self.end_sessions(Which::App(account.id, id), account.id).await?;
        Ok(json!({
            "address": account.address,
            "id": id,
            "label": removed.label,
            "revoked": true,
            "sessions_ended": ended,
        }))
    }

    pub(super) fn session_list(&self) -> Result {
        self.admit(Action::SessionList, None)?;
        Ok(Value::Array(self.gate().sessions().iter().map(describe).collect()))
    }

    /// Ends what an act of an administrator takes the ground from, and records how many that were.
    pub(super) async fn end_sessions(&self, which: Which, account: AccountId) -> Result<usize> {
        let ended = self.gate().end_sessions(which).len();
        if ended > 0 {
            let permit = self.admit(Action::SessionEnd, Some(account))?;
            let count = u64::try_from(ended).unwrap_or(u64::MAX);
            let event = self.gate().event(self.session, Action::SessionEnd).count("sessions", count).account(account);
            self.store().record(permit, event).await.map_err(failed)?;
        }
        Ok(ended)
    }

    pub(super) async fn session_end(&self, address: Option<&Address>, session: Option<&str>) -> Result {
        let (which, account) = match (address, session) {
            (Some(address), None) => {
                let account = self.account(address)?.id;
                (Which::Account(account), Some(account))
            }
            (None, Some(id)) => match u64::from_str_radix(id, 16) {
                Ok(id) => (Which::Session(SessionId(id)), None),
                Err(_) => {
                    return Err(Failure::new(ErrorKind::Usage, format!("{id} is neither an address nor a session")));
                }
            },
            _ => return Err(Failure::new(ErrorKind::Usage, "an address or a session")),
        };
        let permit = self.admit(Action::SessionEnd, account)?;
        let ended = self.gate().end_sessions(which);
        if let (true, Some(id)) = (ended.is_empty(), session) {
            return Err(Failure::new(ErrorKind::NotFound, format!("there is no session {id}")));
        }
        let count = u64::try_from(ended.len()).unwrap_or(u64::MAX);
        let mut event = self.gate().event(self.session, Action::SessionEnd).count("sessions", count);
        if let Some(account) = account.or_else(|| ended.first().map(|present| present.account)) {
            event = event.account(account);
        }
        self.store().record(permit, event).await.map_err(failed)?;
        Ok(Value::Array(ended.iter().map(describe).collect()))
    }
}

/// Off the async workers.
async fn derive(password: SecretString, salt: [u8; pli_crypto::SCRAM_SALT_BYTES]) -> Result<ScramKeys> {
    match tokio::task::spawn_blocking(move || ScramKeys::derive(&password, &salt, SCRAM_ITERATIONS)).await {
        Ok(Ok(keys)) => Ok(keys),
        Ok(Err(error)) => Err(Failure::new(ErrorKind::Unavailable, error.to_string())),
        Err(_) => Err(Failure::new(ErrorKind::Unavailable, "hashing was broken off")),
    }
}

fn describe(present: &Present) -> Value {
    let info = &present.info;
    let protocol = match info.protocol {
        Protocol::Imap => "imap",
        Protocol::Pop3 => "pop3",
        Protocol::Submission => "submission",
        _ => "other",
    };
    json!({
        "session": info.id.to_string(),
        "account": present.account,
        "address": present.address,
        "protocol": protocol,
        "peer": info.peer.map(|peer| peer.to_string()),
        "tls": info.tls.as_ref().map(|tls| &tls.version),
        "client": info.client,
        "since": present.since.secs(),
        "method": present.method.name(),
        "mailbox": present.selected.as_deref(),
        "received": present.received,
        "sent": present.sent,
    })
}
