//! What a session's questions ask of the gate and the store.

use std::sync::Arc;

use bytes::Bytes;
use pli_directory::Route;
use pli_gate::{Answer, Gate, Login, Target};
use pli_mime::fix::header_addresses;
use pli_sasl::Ask;
use pli_store::{Committed, Delivery, Durable, LocalRecipient, Permit, RemoteRecipient, StoreError};
use pli_types::{
    AccountId, Action, Address, ByteCount, EnvelopeParameters, FlagSet, MailParameters, RcptParameters, SessionInfo,
    UnixMillis,
};
use tracing::{error, info};

use crate::command::MailFrom;
use crate::envelope::{mail_parameters, valid_since};
use crate::limits::{FROM_ADDRESSES_MAX, PREPARE_INLINE_BYTES_MAX};
use crate::path::ForwardPath;
use crate::reply::{Reply, of_refusal, of_store_error, unavailable};
use crate::trace::{Received, loops, repair, return_path, with};
use crate::{Role, SmtpService};

/// Who asks.
pub(crate) struct Asker<'a> {
    pub service: &'a SmtpService,
    pub role: Role,
    pub session: &'a Arc<SessionInfo>,
    pub login: Option<&'a Login>,
    pub esmtp: bool,
}

/// One RCPT that was accepted.
struct Named {
    /// As the client named it.
    address: Address,
    parameters: RcptParameters,
    /// Where it leads.
    local: Vec<AccountId>,
    remote: Vec<Address>,
}

/// The recipients so far.
#[derive(Default)]
pub(crate) struct Transaction {
    /// Leave to submit, taken at MAIL.
    submit: Option<Permit>,
    /// `MAIL FROM:<>`
    bounce: bool,
    parameters: MailParameters,
    named: Vec<Named>,
    bytes_announced: u64,
}

impl Transaction {
    /// Recipients as the client named them.
    fn named(&self) -> Vec<Address> {
        self.named.iter().map(|named| named.address.clone()).collect()
    }
    /// Accounts, each once.
    fn local(&self) -> Vec<AccountId> {
        let mut all = Vec::new();
        self.named.iter().for_each(|named| add_once(&mut all, named.local.iter().copied()));
        all
    }
    /// What is to be queued, each address once, with what RCPT said of it.
    fn remote(&self) -> Vec<(Address, RcptParameters)> {
        let mut all: Vec<(Address, RcptParameters)> = Vec::new();
        for named in &self.named {
            for target in &named.remote {
                if !all.iter().any(|(address, _)| address == target) {
                    all.push((target.clone(), named.parameters.clone()));
                }
            }
        }
        all
    }
    /// RFC 4865
    const fn waits(&self) -> bool {
        self.parameters.hold_until.is_some()
    }
}

/// A reply to be given as it stands.
type Refused = Reply;

impl Asker<'_> {
    fn gate(&self) -> &Gate {
        &self.service.gate
    }

    /// MAIL. On submission the sender must own the address. RFC 6409 §6.1.
    pub(crate) fn sender(&self, from: &MailFrom) -> Result<(Transaction, Reply), Refused> {
        let now = self.service.clock.now();
        let parameters = mail_parameters(from, &self.service.config(), now)?;
        let bytes_announced = from.size.unwrap_or(0);
        let bounce = from.reverse_path.is_none();
        let mut transaction = Transaction { bounce, parameters, bytes_announced, ..Transaction::default() };
        if self.role.is_submission() {
            // The empty reverse path is what receipts are sent with; `From` is checked all the same.
            if let (Some(login), Some(address)) = (self.login, &from.reverse_path) {
                self.owned(login, address)?;
            }
            let permit = self.gate().admit(self.session, Action::Submit, &Target::default()).map_err(of_refusal)?;
            transaction.submit = Some(permit);
        }
        Ok((transaction, Reply::new(250, "2.1.0", "Sender OK")))
    }

    fn owned(&self, login: &Login, address: &Address) -> Result<(), Refused> {
        match self.gate().owns(login.account, address) {
            Ok(true) => Ok(()),
            Ok(false) => {
                info!(session = %self.session.id, account = %login.account, "sender is not the account's");
                Err(Reply::new(550, "5.7.1", format!("{} is not an address of yours", address.wire(false))))
            }
            Err(refusal) => Err(of_refusal(refusal)),
        }
    }

    /// RCPT.
    pub(crate) fn recipient(
        &self,
        transaction: &mut Transaction,
        path: ForwardPath,
        parameters: RcptParameters,
    ) -> Result<Reply, Refused> {
        let address = match path {
            ForwardPath::To(address) => address,
            ForwardPath::Postmaster => self.postmaster()?,
        };
        if !transaction.bounce && self.gate().is_for_bounces(&address).map_err(of_refusal)? {
            return Err(Reply::new(550, "5.7.1", "Only bounces are taken for this address"));
        }
        let (local, remote) = match self.gate().route(&address).map_err(of_refusal)? {
            Route::To { local, remote } => {
                // RFC 4865 §4.1: what cannot be held is refused. Nothing is delivered here that has waited.
                if transaction.waits() && !local.is_empty() {
                    return Err(Reply::new(550, "5.3.3", "A message that is to wait can go to other domains only"));
                }
                for account in &local {
                    self.check_since(*account, parameters.valid_since)?;
                    self.check_room(*account, transaction.bytes_announced)?;
                }
                (local, remote)
            }
            Route::Unknown => {
                info!(session = %self.session.id, "recipient unknown");
                return Err(Reply::new(550, "5.1.1", "No such user here"));
            }
            Route::Remote if self.role.is_submission() => {
                self.gate().admit(self.session, Action::Relay, &Target::default()).map_err(
                    |refusal| match refusal {
                        pli_gate::Refusal::NoRight => Reply::new(550, "5.7.1", "You may not send to other domains"),
                        other => of_refusal(other),
                    },
                )?;
                (Vec::new(), vec![address.clone()])
            }
            Route::Remote => {
                info!(session = %self.session.id, "relaying refused");
                return Err(Reply::new(550, "5.7.1", "Relaying denied"));
            }
        };
        // RFC 7293 §5: who owns a mailbox elsewhere is not known here.
        if !remote.is_empty() && parameters.valid_since.is_some() && !parameters.valid_since_or_unknown {
            return Err(Reply::new(550, "5.7.19", "It cannot be told here since when the mailbox has had its owner"));
        }
        if !transaction.named.iter().any(|named| named.address == address) {
            transaction.named.push(Named { address, parameters, local, remote });
        }
        Ok(Reply::new(250, "2.1.5", "Recipient OK"))
    }

    /// RFC 7293 §5: the mailbox must have had its owner at the moment named.
    fn check_since(&self, account: AccountId, since: Option<UnixMillis>) -> Result<(), Refused> {
        let Some(since) = since else { return Ok(()) };
        match self.gate().directory().account(account) {
            Ok(Some(row)) if row.created > since => {
                Err(Reply::new(550, "5.7.17", "The mailbox has another owner since then"))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(of_store_error(&error)),
        }
    }

    /// The same for the header field, which comes through servers that know no RRVS. RFC 7293 §4.
    fn check_since_in_header(&self, transaction: &Transaction, body: &[u8]) -> Result<(), Refused> {
        let Some((address, since)) = valid_since(body) else { return Ok(()) };
        for named in transaction.named.iter().filter(|named| named.address.key() == address.key()) {
            for account in &named.local {
                self.check_since(*account, Some(since))?;
            }
        }
        Ok(())
    }

    /// RFC 5321 §4.5.1: `<Postmaster>` without a domain is ours.
    fn postmaster(&self) -> Result<Address, Refused> {
        let domains = self.gate().store().domains().map_err(|e| of_store_error(&e))?;
        let domain = domains.first().map_or(self.service.hostname.as_str(), |domain| domain.name.as_str());
        Address::new("postmaster", domain).map_err(|_| Reply::new(550, "5.1.1", "No such user here"))
    }

    fn check_room(&self, account: AccountId, bytes: u64) -> Result<Permit, Refused> {
        let target = Target { account: Some(account), mailbox: None, adds: ByteCount::new(bytes) };
        self.gate().admit(self.session, Action::Deliver, &target).map_err(of_refusal)
    }

    /// The end of the message: everything is checked that can be checked only now, and the one commit made.
    pub(crate) async fn deliver(&self, transaction: Transaction, from: MailFrom, body: Vec<u8>, id: &str) -> Reply {
        match self.try_deliver(transaction, from, body, id).await {
            Ok(reply) | Err(reply) => reply,
        }
    }

    async fn try_deliver(
        &self,
        transaction: Transaction,
        from: MailFrom,
        body: Vec<u8>,
        id: &str,
    ) -> Result<Reply, Refused> {
        if loops(&body) {
            return Err(Reply::new(554, "5.4.6", "The message has passed too many servers; it goes in a loop"));
        }
        // As it came: a signature is of these bytes.
        let (body, found) = self.authenticate(&from, &transaction.named(), body, id).await?;
        // RFC 3030 §3
        let body = if from.binary {
            pli_mime::binary_to_base64(&body)
                .ok_or_else(|| Reply::new(554, "5.6.3", "Bytes outside of binary parts cannot be stored"))?
        } else {
            body
        };
        self.check_since_in_header(&transaction, &body)?;
        let now = self.service.clock.now();
        let body = match self.login {
            Some(login) if self.role.is_submission() => {
                self.check_from(login, &body)?;
                let sender = from.reverse_path.as_ref().unwrap_or(&login.address);
                repair(body, Some(sender), id, &self.service.hostname, now)
            }
            _ => body,
        };
        let message = self.with_trace(&transaction, &from, &body, id, now);
        let eight_bit = !message.is_ascii();
        let bytes = message.len() as u64;
        let international = transaction.remote().iter().any(|(address, _)| !address.local().is_ascii());
        let reverse_path = self.reverse_path(&transaction, from.reverse_path)?;
        let (entrance, mut local, remote) = self.permits(transaction, bytes)?;
        self.place(&found, &mut local);
        let (local_count, remote_count) = (local.len(), remote.len());
        let prepared = self.prepare(message).await.map_err(|e| of_store_error(&e))?;
        let delivery = Delivery {
            prepared,
            reverse_path,
            local,
            remote,
            // An alias may lead to an address that only SMTPUTF8 can carry.
            smtputf8: from.smtputf8 || international,
            eight_bit,
            ends: Vec::new(),
        };
        match self.gate().store().deliver(entrance, delivery).await {
            Ok(Committed { durable, .. }) => {
                info!(session = %self.session.id, %id, bytes, local_count, remote_count, "message accepted");
                Ok(accepted(durable, id))
            }
            Err(error) => {
                error!(session = %self.session.id, %id, %error, "message not accepted");
                Err(of_store_error(&error))
            }
        }
    }

    /// What an alias sends elsewhere leaves with a sender of ours, so that the next server finds us among those that may
    /// send for its domain. An account's own mail stays as it is.
    fn reverse_path(&self, transaction: &Transaction, sender: Option<Address>) -> Result<Option<Address>, Refused> {
        let through = transaction.named.iter().find(|named| !named.remote.is_empty());
        match (sender, through) {
            (Some(sender), Some(named)) if !self.role.is_submission() => {
                self.gate().sender_when_sent_on(&sender, named.address.domain()).map(Some).map_err(of_refusal)
            }
            (sender, _) => Ok(sender),
        }
    }

    /// RFC 6409 §8.1: a submitted message speaks in its sender's name.
    fn check_from(&self, login: &Login, body: &[u8]) -> Result<(), Refused> {
        let found = header_addresses(body, "From", FROM_ADDRESSES_MAX + 1);
        if found.is_empty() && pli_mime::fix::has_header(body, "From") {
            return Err(Reply::new(550, "5.7.1", "The From field holds no address"));
        }
        if found.len() > FROM_ADDRESSES_MAX {
            return Err(Reply::new(550, "5.7.1", "The From field holds too many addresses"));
        }
        for mailbox in found {
            let part = |bytes: Option<Vec<u8>>| bytes.and_then(|b| String::from_utf8(b).ok());
            let address = match (part(mailbox.mailbox), part(mailbox.host)) {
                (Some(local), Some(host)) => quoted(&local, &host),
                _ => None,
            };
            let Some(address) = address else {
                return Err(Reply::new(550, "5.7.1", "The From field holds something that is no address"));
            };
            self.owned(login, &address)?;
        }
        Ok(())
    }

    /// RFC 5321 §4.4: `Received` always, `Return-Path` where the delivery is final for all recipients.
    fn with_trace(&self, t: &Transaction, from: &MailFrom, body: &[u8], id: &str, now: UnixMillis) -> Vec<u8> {
        let submitted = self.role.is_submission();
        let received = Received {
            session: self.session,
            hostname: &self.service.hostname,
            with: with(
                self.role == Role::Lmtp,
                self.esmtp,
                self.session.tls.is_some(),
                self.login.is_some(),
                from.smtputf8,
            ),
            id,
            only_recipient: match t.named.as_slice() {
                [only] if from.smtputf8 || only.address.to_string().is_ascii() => Some(&only.address),
                _ => None,
            },
            submitted,
            now,
        };
        let mut message = Vec::with_capacity(body.len() + 512);
        if t.remote().is_empty() {
            message.extend_from_slice(return_path(from.reverse_path.as_ref()).as_bytes());
        }
        message.extend_from_slice(received.field().as_bytes());
        message.extend_from_slice(body);
        message
    }

    /// One permit for the message and one for each recipient.
    fn permits(
        &self,
        transaction: Transaction,
        bytes: u64,
    ) -> Result<(Permit, Vec<LocalRecipient>, Vec<RemoteRecipient>), Refused> {
        let (local, remote) =
            (if transaction.waits() { Vec::new() } else { transaction.local() }, transaction.remote());
        let Transaction { submit, parameters: mail, .. } = transaction;
        let entrance = match submit {
            Some(permit) => permit,
            None => self.gate().admit(self.session, Action::Deliver, &Target::default()).map_err(of_refusal)?,
        };
        let local = local
            .into_iter()
            .map(|account| {
                let permit = self.check_room(account, bytes)?;
                Ok(LocalRecipient { permit, account, mailbox: None, flags: FlagSet::default() })
            })
            .collect::<Result<Vec<_>, Refused>>()?;
        let remote = remote
            .into_iter()
            .map(|(forward_path, rcpt)| {
                // To a remote target of an alias the server itself sends on, whoever the message came from.
                let permit = if self.role.is_submission() {
                    self.gate().admit(self.session, Action::Relay, &Target::default()).map_err(of_refusal)?
                } else {
                    self.gate().admit_system(Action::Relay)
                };
                let parameters = EnvelopeParameters { mail: mail.clone(), rcpt }.encode();
                Ok(RemoteRecipient { permit, forward_path, parameters })
            })
            .collect::<Result<Vec<_>, Refused>>()?;
        Ok((entrance, local, remote))
    }

    /// Sealing costs CPU; a large message must not keep a worker from other sessions.
    async fn prepare(&self, message: Vec<u8>) -> Result<pli_store::Prepared, StoreError> {
        let raw = Bytes::from(message);
        if raw.len() <= PREPARE_INLINE_BYTES_MAX {
            return self.gate().store().prepare(raw);
        }
        let store = self.gate().store().clone();
        match tokio::task::spawn_blocking(move || store.prepare(raw)).await {
            Ok(prepared) => prepared,
            Err(_) => Err(StoreError::Stopped(String::from("sealing a message was interrupted"))),
        }
    }

    /// AUTH. `addresses` are those in the certificate that the client showed.
    pub(crate) async fn login(&self, ask: Ask, addresses: &[String]) -> Result<Answer, Refused> {
        self.gate().sasl(self.session, ask, addresses).await.map_err(|error| {
            info!(session = %self.session.id, %error, "login refused");
            crate::reply::of_auth_error(error)
        })
    }

    /// Recipients that the account's profile lets one message have.
    pub(crate) fn recipients_max(&self, login: &Login) -> Option<u32> {
        self.gate().profile(login.account).ok().and_then(|profile| profile.recipients_max)
    }
}

/// The local part comes without its quotes here.
fn quoted(local: &str, host: &str) -> Option<Address> {
    Address::new(local, host).ok().or_else(|| {
        let escaped = local.replace('\\', "\\\\").replace('"', "\\\"");
        Address::new(&format!("\"{escaped}\""), host).ok()
    })
}

/// The only way to a positive reply after a message: with the proof that it is on disk.
fn accepted(_proof: Durable, id: &str) -> Reply {
    Reply::new(250, "2.0.0", format!("OK, queued as {id}"))
}

/// The transaction that a question was about is gone: a defect, answered as a temporary failure.
pub(crate) fn lost() -> Reply {
    error!("a question came without its transaction");
    unavailable()
}

fn add_once<T: PartialEq>(list: &mut Vec<T>, more: impl IntoIterator<Item = T>) {
    for item in more {
        if !list.contains(&item) {
            list.push(item);
        }
    }
}
