//! What became of an attempt, committed: each outcome, and the reports in the commits of what they are about.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use parking_lot::Mutex;
use pli_directory::Route as Way;
use pli_gate::Target;
use pli_store::{
    Delivery, LocalRecipient, QueueChange, QueueOutcome, QueueRow, RemoteRecipient, StoreError, TraceEvent,
    TraceRecipient,
};
use pli_types::{Action, Address, ByteCount, EnvelopeParameters, FlagSet, Ret, UnixMillis, xtext};

use crate::next_attempt;
use crate::outcome::{Outcome, Reason, Taken};
use crate::report::{About, Report, Told};
use crate::runner::QueueRunner;

/// Reports about reports that the postmaster gets in an hour: a flood of forged senders must not fill his mailbox.
const DOUBLE_BOUNCES_PER_HOUR: u32 = 20;

/// Counts what goes to the postmaster.
#[derive(Default)]
pub(crate) struct DoubleBounces(Mutex<(Duration, u32)>);

impl DoubleBounces {
    fn may_go(&self, now: Duration) -> bool {
        let mut state = self.0.lock();
        if now.saturating_sub(state.0) >= Duration::from_secs(3600) {
            *state = (now, 0);
        }
        state.1 = state.1.saturating_add(1);
        state.1 <= DOUBLE_BOUNCES_PER_HOUR
    }
}

/// A row, why, and what the report's commit does to it.
struct Item<'a> {
    row: &'a QueueRow,
    reason: Reason,
    /// `None`: nothing, only the sender is told.
    then: Option<QueueOutcome>,
}

/// What is to be told of one message.
struct Notice<'a> {
    about: About,
    items: Vec<Item<'a>>,
}

impl QueueRunner {
    /// Commits what became of each row. Rows that nobody is told of go side by side: they share a write to the disk.
    pub(crate) async fn settle(
        &self,
        rows: &[QueueRow],
        outcomes: Vec<Outcome>,
        message: &Bytes,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let (mut failed, mut delayed, mut relayed) = (Vec::new(), Vec::new(), Vec::new());
        let (mut ends, mut changes) = (Vec::new(), Vec::new());
        // One draw for all: rows that go together now come back together.
        let jitter = self.random.next_u64();
        for (row, outcome) in rows.iter().zip(outcomes) {
            let parameters = EnvelopeParameters::decode(&row.parameters).rcpt;
            match outcome {
                Outcome::Delivered(taken) => {
                    tracing::info!(queue_id = %row.id, host = %taken.host, "delivered");
                    let end = QueueOutcome::Delivered(taken.to_string());
                    // RFC 3461 §5.2.2: the other side does not report, so we say that it went on.
                    if parameters.wants_success() && !taken.reports && row.reverse_path.is_some() {
                        relayed.push(Item { row, reason: of_reply(taken), then: Some(end) });
                    } else {
                        ends.push(self.finish(row, end));
                    }
                }
                Outcome::Deferred(reason) => {
                    let attempts = row.attempts.saturating_add(1);
                    match next_attempt(&self.config, row.created, now, attempts, jitter) {
                        Some(next_attempt) => {
                            tracing::info!(queue_id = %row.id, status = %reason.status, "deferred");
                            let error = reason.to_string();
                            if self.is_late(row, now) && parameters.wants_delay() {
                                let change = QueueChange::Delayed { error, next_attempt };
                                delayed.push(Item { row, reason, then: Some(QueueOutcome::Stays(change)) });
                            } else {
                                changes.push(self.change(row, QueueChange::Deferred { error, next_attempt }));
                            }
                        }
                        None => failed.push((row, reason)),
                    }
                }
                Outcome::Failed(reason) => failed.push((row, reason)),
            }
        }
        let results = futures::future::join(join_all(ends), join_all(changes)).await;
        results.0.into_iter().chain(results.1).collect::<Result<(), _>>()?;
        let failed = failed.into_iter().map(|(row, reason)| {
            tracing::warn!(queue_id = %row.id, status = %reason.status, "failed for good");
            let end = QueueOutcome::Failed(reason.to_string());
            Item { row, reason, then: Some(end) }
        });
        // RFC 3461 §4.1: of some failures nobody wants to hear.
        let (told, quiet): (Vec<_>, Vec<_>) =
            failed.partition(|item| EnvelopeParameters::decode(&item.row.parameters).rcpt.wants_failure());
        self.only_end(quiet).await?;
        for (about, items) in [(About::Relayed, relayed), (About::Delayed, delayed), (About::Failed, told)] {
            if !items.is_empty() {
                self.tell(Notice { about, items }, message).await?;
            }
        }
        Ok(())
    }

    fn is_late(&self, row: &QueueRow, now: UnixMillis) -> bool {
        let after = i64::from(self.config.delay_notice_s).saturating_mul(1000);
        after > 0 && !row.told_delay && row.reverse_path.is_some() && now.0.saturating_sub(row.created.0) >= after
    }

    /// Changes a row that stays.
    pub(crate) async fn change(&self, row: &QueueRow, change: QueueChange) -> Result<(), StoreError> {
        let permit = self.gate.admit_system(Action::QueueAttempt);
        gone_is_done(self.gate.store().queue_change(permit, row.id, change).await)
    }

    async fn finish(&self, row: &QueueRow, outcome: QueueOutcome) -> Result<(), StoreError> {
        let permit = self.gate.admit_system(Action::QueueAttempt);
        gone_is_done(self.gate.store().queue_end(permit, row.id, outcome).await)
    }

    /// Carries out what was to be in a report's commit, without the report.
    async fn only_end(&self, items: Vec<Item<'_>>) -> Result<(), StoreError> {
        let each = items.into_iter().map(async |item| match item.then {
            Some(QueueOutcome::Stays(change)) => self.change(item.row, change).await,
            Some(end) => self.finish(item.row, end).await,
            None => Ok(()),
        });
        join_all(each).await.into_iter().collect()
    }

    /// Sends a report, in one commit with the end of what it is about, where there is somebody to tell.
    async fn tell(&self, notice: Notice<'_>, message: &Bytes) -> Result<(), StoreError> {
        let Some(first) = notice.items.first().map(|item| item.row) else { return Ok(()) };
        let (to, double) = match &first.reverse_path {
            Some(to) if self.is_backscatter(first, to, message) => {
                tracing::info!(queue_id = %first.id, "no report: its sender was forged");
                return self.only_end(notice.items).await;
            }
            Some(to) => (to.clone(), false),
            // RFC 5321 §6.1: a bounce is never sent for a bounce. Our postmaster may want to see it.
            None => match self.postmaster_of_doubles(notice.about) {
                Some(postmaster) => (postmaster, true),
                None => return self.only_end(notice.items).await,
            },
        };
        let bytes = self.report(&notice, first, &to, message);
        let Some((local, remote)) = self.report_recipients(&to, ByteCount::new(bytes.len() as u64), double) else {
            return self.only_end(notice.items).await;
        };
        let ends = notice
            .items
            .iter()
            .filter_map(|item| Some((self.gate.admit_system(Action::QueueAttempt), item.row.id, item.then.clone()?)))
            .collect();
        let trace = TraceEvent {
            what: String::from("accepted"),
            protocol: String::from("queue"),
            from: String::from("<>"),
            to: (0..local.len())
                .map(|_| TraceRecipient { address: to.to_string(), ..TraceRecipient::default() })
                .chain(
                    remote.iter().map(|r| TraceRecipient { address: r.forward_path.to_string(), ..Default::default() }),
                )
                .collect(),
            size: bytes.len() as u64,
            rule: String::from("report"),
            ..TraceEvent::default()
        };
        let delivery = Delivery {
            prepared: self.gate.store().prepare(Bytes::from(bytes))?,
            reverse_path: None,
            local,
            remote,
            smtputf8: to.is_international(),
            eight_bit: true,
            ends,
        };
        let permit = self.gate.admit_system(Action::Deliver);
        match self.gate.store().deliver_traced(permit, delivery, Some(trace)).await {
            // The mailbox filled up, or the account went, since it was asked. The rows end all the same: otherwise the
            // other server would be asked again and again for what it has refused.
            Err(error @ (StoreError::OverQuota { .. } | StoreError::NoAccount(_))) => {
                tracing::warn!(%error, "a report was not taken");
                self.only_end(notice.items).await
            }
            result => gone_is_done(result),
        }
    }

    fn report(&self, notice: &Notice<'_>, first: &QueueRow, to: &Address, message: &Bytes) -> Vec<u8> {
        let parameters = EnvelopeParameters::decode(&first.parameters).mail;
        let told: Vec<Told<'_>> = notice
            .items
            .iter()
            .map(|item| Told {
                address: &item.row.forward_path,
                original: EnvelopeParameters::decode(&item.row.parameters).rcpt.original_recipient(),
                reason: &item.reason,
            })
            .collect();
        // A domain of ours has a postmaster; our host name as a rule is none.
        let ours = matches!(self.gate.route(to), Ok(Way::To { .. }));
        let domain = if ours { to.domain_ascii() } else { self.hostname.clone() };
        let account = self.gate.store().account_by_key(&to.key()).ok().flatten();
        Report {
            hostname: &self.hostname,
            postmaster: &format!("postmaster@{domain}"),
            unique: self.random.next_u64(),
            now: self.clock.now(),
            arrived: first.created,
            to,
            envelope_id: parameters.envid.as_deref().and_then(xtext::decode),
            about: notice.about,
            recipients: &told,
            until: Some(first.created.plus_ms(i64::from(self.config.expire_s).saturating_mul(1000))),
            original: message,
            full: parameters.ret == Some(Ret::Full),
            language: account.as_ref().map(|account| account.language.as_str()),
        }
        .build()
    }

    /// A report to a sender who did not send it is spam that we send. What nobody here submitted, and what our own checks
    /// at its arrival found forged, is not reported.
    fn is_backscatter(&self, row: &QueueRow, to: &Address, message: &[u8]) -> bool {
        // An address of SRS is ours and leads to whoever the message said it was from.
        let ours =
            || matches!(self.gate.route(to), Ok(Way::To { .. })) && !self.gate.is_for_bounces(to).unwrap_or(true);
        if row.submitter.is_some() || ours() {
            return false;
        }
        forged(message, &self.hostname)
    }

    fn postmaster_of_doubles(&self, about: About) -> Option<Address> {
        if about != About::Failed || !self.doubles.may_go(self.clock.monotonic()) {
            return None;
        }
        let domains = self.gate.store().domains().ok()?;
        Address::new("postmaster", &domains.first()?.name).ok()
    }

    /// Where a report to this address goes; `None` when nobody can take it.
    fn report_recipients(
        &self,
        to: &Address,
        size: ByteCount,
        only_local: bool,
    ) -> Option<(Vec<LocalRecipient>, Vec<RemoteRecipient>)> {
        let (accounts, addresses) = match self.gate.route(to) {
            Ok(Way::To { local, remote }) => (local, remote),
            Ok(Way::Remote) => (Vec::new(), vec![to.clone()]),
            Ok(Way::Unknown) | Err(_) => return None,
        };
        let mut local = Vec::new();
        for account in accounts {
            let target = Target { account: Some(account), adds: size, ..Target::default() };
            match self.gate.admit(&self.session, Action::Deliver, &target) {
                Ok(permit) => local.push(LocalRecipient { permit, account, mailbox: None, flags: FlagSet::default() }),
                Err(refusal) => tracing::warn!(%refusal, "a report was not taken"),
            }
        }
        let remote: Vec<RemoteRecipient> = addresses
            .into_iter()
            .filter(|_| !only_local)
            .map(|forward_path| RemoteRecipient {
                permit: self.gate.admit_system(Action::Relay),
                forward_path,
                parameters: Vec::new(),
            })
            .collect();
        (!local.is_empty() || !remote.is_empty()).then_some((local, remote))
    }
}

fn of_reply(taken: Taken) -> Reason {
    let host = Some(taken.host).filter(|host| !host.is_empty());
    Reason { status: String::from("2.0.0"), reply: Some(taken.reply.clone()), text: taken.reply, host }
}

/// Whether our own field of RFC 8601, which stands above all that came with the message, says that its sender is forged.
fn forged(message: &[u8], hostname: &str) -> bool {
    let end = memchr::memmem::find(message, b"\r\n\r\n").unwrap_or(message.len()).min(64 * 1024);
    let header = String::from_utf8_lossy(message.get(..end).unwrap_or_default()).to_ascii_lowercase();
    let unfolded = header.replace("\r\n\t", " ").replace("\r\n ", " ");
    let name = hostname.to_ascii_lowercase();
    unfolded
        .lines()
        .filter_map(|line| line.strip_prefix("authentication-results:"))
        .find(|value| value.trim_start().starts_with(&name))
        .is_some_and(|value| ["spf=fail", "spf=softfail", "dmarc=fail"].iter().any(|word| value.contains(word)))
}

/// A row that an administrator dropped during the attempt has ended; that is no error.
pub(crate) fn gone_is_done<T>(result: Result<T, StoreError>) -> Result<(), StoreError> {
    match result {
        Ok(_) | Err(StoreError::NoQueueRow(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_verdict_counts() {
        let ours = b"Authentication-Results: mail.example.org;\r\n\tspf=fail smtp.mailfrom=a@b.test\r\n\r\n";
        let theirs = b"Authentication-Results: mx.elsewhere.test; spf=fail\r\n\r\n";
        let good = b"Authentication-Results: mail.example.org; spf=pass; dmarc=pass\r\n\r\nspf=fail";
        assert!(forged(ours, "mail.example.org"));
        assert!(!forged(theirs, "mail.example.org"));
        assert!(!forged(good, "mail.example.org"));
        assert!(!forged(b"", "mail.example.org"));
    }

    #[test]
    fn the_postmaster_is_not_flooded() {
        let doubles = DoubleBounces::default();
        let hour = Duration::from_secs(3600);
        let gone = (0..100).filter(|_| doubles.may_go(hour)).count();
        assert_eq!(gone, 20);
        assert!(doubles.may_go(hour * 2));
    }
}
