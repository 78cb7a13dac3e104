//! What comes from other servers is authenticated before it is taken; what claims to be this server's word and is not
//! goes. What is checked, and how, is `pli-mailauth`'s; here is the call.

use std::sync::Arc;

use bytes::Bytes;
use pli_mailauth::check::{Disposition, Incoming, MailAuthConfig, check};
use pli_mailauth::dns::Dns;
use pli_mailauth::results;
use pli_mime::fix::header_addresses;
use pli_store::{LocalRecipient, TraceEvent, TraceRecipient};
use pli_types::{Address, SpecialUse};
use tracing::info;

use crate::Role;
use crate::command::MailFrom;
use crate::reply::Reply;
use crate::transaction::Asker;

/// Addresses in From that are looked at: one more than any check takes.
const FROM_ADDRESSES: usize = 64;

/// Whom to ask, and what to make of it.
pub struct Checks {
    /// DNS.
    pub dns: Arc<dyn Dns>,
    /// `[mail_auth]`
    pub config: MailAuthConfig,
}

/// What was found of a message that is taken.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// It goes to Junk.
    junk: bool,
}

impl Asker<'_> {
    /// Checks a message; it comes back with what was found written into it (RFC 8601), or is refused.
    pub(crate) async fn authenticate(
        &self,
        from: &MailFrom,
        to: &[Address],
        body: Vec<u8>,
        id: &str,
    ) -> Result<(Vec<u8>, Found), Reply> {
        // A server in front (LMTP) has its own checks; its word is this server's.
        if self.role == Role::Lmtp {
            return Ok((body, Found::default()));
        }
        // RFC 8601 §5: nobody else speaks in our name.
        let body = results::without_forged(&body, &self.service.hostname).unwrap_or(body);
        let checks = self.service.checks.get().filter(|checks| checks.config.check && self.role == Role::Mx);
        let (Some(checks), Some(peer)) = (checks, self.session.peer) else { return Ok((body, Found::default())) };
        let from_domains: Vec<String> = header_addresses(&body, "From", FROM_ADDRESSES)
            .into_iter()
            .filter_map(|address| String::from_utf8(address.host?).ok())
            .collect();
        let sender = from.reverse_path.as_ref().map(|address| (address.local().to_owned(), address.domain_ascii()));
        let body = Bytes::from(body);
        let incoming = Incoming {
            ip: peer.ip(),
            helo: self.session.client.as_deref().unwrap_or_default(),
            mail_from: sender.as_ref().map(|(local, domain)| (local.as_str(), domain.as_str())),
            from_domains: &from_domains,
            message: body.clone(),
            server: &self.service.hostname,
            now_s: self.service.clock.now().secs(),
        };
        let verdict = check(&*checks.dns, &checks.config, &incoming).await;
        drop(incoming);
        let summary = verdict.summary();
        info!(session = %self.session.id, %id, %summary, "message authenticated");
        let refused = |code: u16, enhanced: &'static str, text: &str| {
            let reply = Reply::new(code, enhanced, text.to_owned());
            self.service.gate.store().trace(TraceEvent {
                what: String::from("refused"),
                protocol: self.session.protocol.name().to_owned(),
                session: self.session.id.to_string(),
                peer: peer.to_string(),
                host: self.session.client.clone().unwrap_or_default(),
                id: id.to_owned(),
                from: from.reverse_path.as_ref().map_or_else(|| String::from("<>"), ToString::to_string),
                to: to
                    .iter()
                    .map(|address| TraceRecipient { address: address.to_string(), ..TraceRecipient::default() })
                    .collect(),
                size: body.len() as u64,
                reply: format!("{code} {enhanced} {text}"),
                verdicts: vec![summary.clone()],
                rule: String::from("mail_auth"),
                ..TraceEvent::default()
            });
            reply
        };
        match &verdict.disposition {
            Disposition::Refuse(enhanced, text) => return Err(refused(550, enhanced, text)),
            Disposition::Defer(enhanced, text) => return Err(refused(451, enhanced, text)),
            Disposition::Accept | Disposition::Quarantine => {}
        }
        let mut message = results::field(&self.service.hostname, &verdict).into_bytes();
        message.extend_from_slice(&body);
        Ok((message, Found { junk: verdict.disposition == Disposition::Quarantine }))
    }

    /// What is suspicious goes to each account's Junk, where it has one.
    pub(crate) fn place(&self, found: &Found, local: &mut [LocalRecipient]) {
        if !found.junk {
            return;
        }
        for recipient in local {
            if let Ok(mailbox) = self.service.gate.store().delivery_mailbox(&recipient.permit, SpecialUse::Junk) {
                recipient.mailbox = mailbox;
            }
        }
    }
}
