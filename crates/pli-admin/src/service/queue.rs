//! The outbound queue.

use pli_store::{QueueChange, QueueOutcome, QueueRow, TraceEvent, TraceQuery};
use pli_types::{Action, Address, QueueId};
use serde_json::{Value, json};

use super::{Call, Result, failed};
use crate::request::{QueueAct, QueueFilter};
use crate::{ErrorKind, Failure};

/// Names of frozen domains.
type Frozen = std::collections::HashSet<String>;

/// Rows that one request changes.
const CHANGED_MAX: usize = 100_000;
/// Rows read at a time.
const PAGE: usize = 1_000;
/// Events of one trace.
const TRACE_MAX: usize = 1_000;

impl Call<'_> {
    pub(super) fn queue_list(&self, limit: usize, filter: &QueueFilter) -> Result {
        let rows = self.chosen(filter, limit)?;
        let frozen = self.frozen()?;
        Ok(Value::Array(rows.iter().map(|row| self.describe_row(row, &frozen)).collect()))
    }

    pub(super) fn queue_show(&self, id: QueueId) -> Result {
        let frozen = self.frozen()?;
        self.row(id).map(|row| self.describe_row(&row, &frozen))
    }

    /// The row, and all that was tried: why it is still here.
    pub(super) fn queue_why(&self, id: QueueId) -> Result {
        let row = self.row(id)?;
        let query = TraceQuery { queue: Some(id), limit: TRACE_MAX, ..TraceQuery::default() };
        let history = self.traced(&query)?;
        let frozen = self.frozen()?;
        let mut answer = self.describe_row(&row, &frozen);
        if let Value::Object(map) = &mut answer {
            map.insert(String::from("why"), Value::String(self.reason(&row, &frozen).to_owned()));
            map.insert(String::from("history"), history);
        }
        Ok(answer)
    }

    /// In a word: what it waits for.
    fn reason(&self, row: &QueueRow, frozen: &Frozen) -> &'static str {
        if row.held {
            return "held";
        }
        if frozen.contains(&row.forward_path.domain_ascii()) {
            return "domain-frozen";
        }
        let now = (self.service.now)();
        let Some(runner) = &self.service.queue else { return "server-not-running" };
        let state = runner.row_state(row);
        if state.busy {
            return "attempt-under-way";
        }
        let Some(there) = state.state else { return "waiting" };
        if there.frozen_until.is_some() {
            "destination-does-not-answer"
        } else if row.next_attempt > now {
            if row.attempts == 0 { "not-before" } else { "waiting-to-retry" }
        } else {
            "connections-in-use"
        }
    }

    fn frozen(&self) -> Result<Frozen> {
        let permit = self.admit(Action::QueueRead, None)?;
        let all = self.store().queue_frozen(&permit).map_err(failed)?;
        Ok(all.into_iter().map(|frozen| frozen.domain).collect())
    }

    fn row(&self, id: QueueId) -> Result<QueueRow> {
        let permit = self.admit(Action::QueueRead, None)?;
        let row = self.store().queue_row(&permit, id).map_err(failed)?;
        row.ok_or_else(|| Failure::new(ErrorKind::NotFound, format!("no queue entry {id}")))
    }

    /// The rows that a filter names, in the order of their numbers.
    fn chosen(&self, filter: &QueueFilter, limit: usize) -> Result<Vec<QueueRow>> {
        let permit = self.admit(Action::QueueRead, None)?;
        if !filter.ids.is_empty() {
            return filter.ids.iter().take(limit).map(|id| self.row(*id)).collect();
        }
        let now = (self.service.now)();
        let matcher = Matcher::of(filter);
        let (mut rows, mut after) = (Vec::new(), None);
        while rows.len() < limit {
            let page = self.store().queue_list(&permit, after, PAGE).map_err(failed)?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            rows.extend(page.into_iter().filter(|row| matcher.takes(row, now.0)));
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// Does something to the rows that a filter names, or says to which it would.
    pub(super) async fn queue_act(&self, filter: &QueueFilter, act: &QueueAct, dry_run: bool) -> Result {
        if filter.is_empty() {
            return Err(Failure::new(
                ErrorKind::Usage,
                "numbers, or a filter: --from, --to, --domain, --older, --error, --all",
            ));
        }
        if let QueueAct::Reroute { to: Some(to) } = act {
            let port =
                to.rsplit_once(':').and_then(|(host, port)| (!host.is_empty()).then(|| port.parse::<u16>().ok())?);
            if port.is_none_or(|port| port == 0) {
                return Err(Failure::new(ErrorKind::Usage, format!("{to} is not host:port")));
            }
        }
        let (rows, frozen) = (self.chosen(filter, CHANGED_MAX)?, self.frozen()?);
        let mut answers = Vec::with_capacity(rows.len());
        for row in rows {
            // Asked for by its filter only: a row that is so already is left as it is.
            if !dry_run && !self.queue_act_on(row.id, act).await? {
                continue;
            }
            let dropped = *act == QueueAct::Drop;
            let mut answer = if dropped || dry_run {
                self.describe_row(&row, &frozen)
            } else {
                match self.row(row.id) {
                    Ok(row) => self.describe_row(&row, &frozen),
                    Err(failure) if failure.kind == ErrorKind::NotFound => continue,
                    Err(failure) => return Err(failure),
                }
            };
            if let Value::Object(map) = &mut answer {
                if dropped && !dry_run {
                    map.insert(String::from("dropped"), Value::Bool(true));
                }
                if dry_run {
                    map.insert(String::from("dry_run"), Value::Bool(true));
                }
            }
            answers.push(answer);
        }
        Ok(Value::Array(answers))
    }

    /// False: it had ended meanwhile.
    async fn queue_act_on(&self, id: QueueId, act: &QueueAct) -> Result<bool> {
        let permit = self.admit(Action::QueueChange, None)?;
        let change = match act {
            QueueAct::Retry => QueueChange::Retry,
            QueueAct::Hold => QueueChange::Hold,
            QueueAct::Release => QueueChange::Release,
            QueueAct::Reroute { to } => QueueChange::Reroute(to.clone()),
            QueueAct::Drop => {
                return match self.store().queue_end(permit, id, QueueOutcome::Dropped).await {
                    Ok(_) => Ok(true),
                    Err(pli_store::StoreError::NoQueueRow(_)) => Ok(false),
                    Err(error) => Err(failed(error)),
                };
            }
        };
        // Who asks for a try now does not mean after the freeze of a destination that he has just mended.
        if matches!(act, QueueAct::Retry)
            && let (Some(runner), Ok(row)) = (&self.service.queue, self.row(id))
        {
            runner.thaw(&runner.row_state(&row).destination);
        }
        match self.store().queue_change(permit, id, change).await {
            Ok(_) => Ok(true),
            Err(pli_store::StoreError::NoQueueRow(_)) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// Nothing is tried for a domain until it is thawed.
    pub(super) async fn queue_freeze(&self, domain: &str, reason: Option<String>, dry_run: bool) -> Result {
        let domain = Address::new("x", domain)
            .map_err(|error| Failure::new(ErrorKind::Usage, format!("{domain}: {error}")))?
            .domain_ascii();
        let freeze = reason.is_some();
        let filter = QueueFilter { domain: Some(domain.clone()), ..QueueFilter::default() };
        let recipients = self.chosen(&filter, CHANGED_MAX)?.len();
        if !dry_run {
            let permit = self.admit(Action::QueueChange, None)?;
            self.store().queue_freeze(permit, domain.clone(), reason).await.map_err(failed)?;
        } else if !freeze && !self.frozen()?.contains(&domain) {
            return Err(Failure::new(ErrorKind::NotFound, format!("{domain} is not frozen")));
        }
        Ok(json!({ "domain": domain, "frozen": freeze, "recipients": recipients, "dry_run": dry_run }))
    }

    /// The domains for which nothing is tried.
    pub(super) fn queue_frozen(&self) -> Result {
        let permit = self.admit(Action::QueueRead, None)?;
        let all = self.store().queue_frozen(&permit).map_err(failed)?;
        let show = |frozen: &pli_store::FrozenDomain| json!({ "domain": frozen.domain, "since": frozen.since.secs(), "reason": frozen.reason });
        Ok(Value::Array(all.iter().map(show).collect()))
    }

    /// Where a message went, by Message-ID, address or number in the queue.
    pub(super) async fn trace(&self, what: &str, limit: usize) -> Result {
        let text = what.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        if text.is_empty() {
            return Err(Failure::new(ErrorKind::Usage, "a Message-ID, an address or a number of the queue"));
        }
        let queue = text.parse().ok().map(QueueId::new);
        let query = TraceQuery { text: Some(text), queue, since: None, limit: limit.clamp(1, TRACE_MAX) };
        let found = self.traced(&query)?;
        // Who asked is recorded; what for, would be a trace of its own.
        let count = u64::try_from(found.as_array().map_or(0, Vec::len)).unwrap_or(u64::MAX);
        let event = self.gate().event(self.session, Action::TraceRead).count("events", count);
        self.record(Action::TraceRead, event).await?;
        Ok(found)
    }

    fn traced(&self, query: &TraceQuery) -> Result {
        let permit = self.admit(Action::TraceRead, None)?;
        let events = self.store().trace_find(&permit, query).map_err(failed)?;
        Ok(Value::Array(events.into_iter().map(|event| self.describe_event(event)).collect()))
    }

    /// With names instead of numbers.
    fn describe_event(&self, mut event: TraceEvent) -> Value {
        let time = event.time;
        event.time = time.div_euclid(1000);
        event.next = event.next.div_euclid(1000);
        let accounts: Vec<Option<String>> = event
            .to
            .iter()
            .map(|to| self.store().account(to.account?).ok().flatten().map(|account| account.address.to_string()))
            .collect();
        let mut value = serde_json::to_value(event).unwrap_or_default();
        if let Some(Value::Array(to)) = value.get_mut("to") {
            for (to, account) in to.iter_mut().zip(accounts) {
                if let (Value::Object(map), Some(account)) = (to, account) {
                    map.insert(String::from("account"), Value::String(account));
                }
            }
        }
        value
    }

    fn describe_row(&self, row: &QueueRow, frozen: &Frozen) -> Value {
        let state = self.service.queue.as_ref().map(|runner| runner.row_state(row));
        let parameters = pli_types::EnvelopeParameters::decode(&row.parameters);
        json!({
            "id": row.id,
            "from": row.reverse_path.as_ref().map(ToString::to_string).unwrap_or_default(),
            "to": row.forward_path,
            "size": row.size,
            "created": row.created.secs(),
            "attempts": row.attempts,
            "last_attempt": row.last_attempt.map(pli_types::UnixMillis::secs),
            "next_attempt": row.next_attempt.secs(),
            "expires": self.service.queue.as_ref().map(|runner| runner.expires(row).secs()),
            "last_error": row.last_error,
            "held": row.held,
            "frozen": frozen.contains(&row.forward_path.domain_ascii()),
            "busy": state.as_ref().is_some_and(|state| state.busy),
            "route": row.route,
            "destination": state.as_ref().map(|state| state.destination.clone()),
            "destination_state": state.and_then(|state| state.state).map(|there| json!({
                "waiting": there.waiting,
                "connections": there.connections,
                "connections_max": there.window,
                "failures": there.failures,
                "frozen_until": there.frozen_until.map(|ms| ms.div_euclid(1000)),
                "reason": there.reason,
            })),
            "told_delay": row.told_delay,
            "require_tls": parameters.mail.require_tls,
            "submitter": row.submitter,
        })
    }
}

/// A filter with its texts in lower case.
struct Matcher<'a> {
    filter: &'a QueueFilter,
    from: Option<String>,
    to: Option<String>,
    domain: Option<String>,
    error: Option<String>,
}

impl<'a> Matcher<'a> {
    fn of(filter: &'a QueueFilter) -> Self {
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
        Self {
            filter,
            from: lower(&filter.from),
            to: lower(&filter.to),
            domain: lower(&filter.domain),
            error: lower(&filter.error),
        }
    }

    fn takes(&self, row: &QueueRow, now: i64) -> bool {
        let from =
            || row.reverse_path.as_ref().map_or_else(|| String::from("<>"), |from| from.to_string().to_lowercase());
        let domain = |wanted: &str| row.forward_path.domain() == wanted || row.forward_path.domain_ascii() == wanted;
        let age = now.saturating_sub(row.created.0).div_euclid(1000);
        self.from.as_ref().is_none_or(|wanted| from() == *wanted)
            && self.to.as_ref().is_none_or(|wanted| row.forward_path.to_string().to_lowercase() == *wanted)
            && self.domain.as_deref().is_none_or(domain)
            && self.filter.older.is_none_or(|seconds| age >= i64::try_from(seconds).unwrap_or(i64::MAX))
            && self.filter.held.is_none_or(|held| row.held == held)
            && self.error.as_ref().is_none_or(|wanted| {
                row.last_error.as_ref().is_some_and(|error| error.to_lowercase().contains(wanted.as_str()))
            })
    }
}
