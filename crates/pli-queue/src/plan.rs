//! What is to be tried when and where: pure, time comes in.
//!
//! The queue in memory: ids and dues. Each destination has its own order of dues and its own number of
//! connections, which grows while it takes mail and falls when it does not; one that does not answer at all is
//! frozen, with a back-off, and what is due for it meanwhile is put off without being tried. So a destination can
//! keep nobody waiting but itself.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use pli_types::QueueId;

use crate::outcome::Reason;

/// Attempts without an answer after which a destination is frozen.
const FREEZE_AFTER: u32 = 3;
/// How long at first, and at most.
const FREEZE_FIRST_MS: i64 = 60_000;
const FREEZE_MAX_MS: i64 = 30 * 60_000;
/// Connections to a destination that nothing is known of.
const WINDOW_FIRST: f64 = 4.0;

/// A place in the list of destinations.
type Place = usize;

/// Rows to be tried together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) destination: String,
    pub(crate) ids: Vec<QueueId>,
    /// The destination is frozen: the reason stands for the attempt.
    pub(crate) frozen: Option<Reason>,
}

/// How an attempt went, as far as it says something of the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Went {
    /// It answered as one should who takes mail, whatever became of the recipients.
    Well,
    /// It answered, and asked for patience before anything was sent.
    Busy,
    /// Nobody answered.
    Dead(Reason),
    /// Nothing was tried.
    Untried,
}

#[derive(Clone, Copy, Debug)]
struct Ticket {
    place: Place,
    due: i64,
}

#[derive(Debug)]
struct Destination {
    name: String,
    /// (due, id) → body
    waiting: BTreeMap<(i64, u64), u64>,
    connections: u32,
    window: f64,
    failures: u32,
    frozen_until: i64,
    reason: Option<Reason>,
    /// Where it stands in the order of wakes.
    wake: Option<i64>,
}

/// A destination as an administrator sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DestinationState {
    /// Recipients that wait.
    pub waiting: usize,
    /// Connections now.
    pub connections: u32,
    /// Connections that it may have.
    pub window: u32,
    /// Attempts in a row that nobody answered.
    pub failures: u32,
    /// Nothing is tried before this, in ms of Unix time.
    pub frozen_until: Option<i64>,
    /// Why not.
    pub reason: Option<String>,
}

/// The plan.
#[derive(Default)]
pub(crate) struct Plan {
    window_max: u32,
    together_max: usize,
    names: HashMap<String, Place>,
    destinations: Vec<Destination>,
    tickets: HashMap<u64, Ticket>,
    wakes: BTreeSet<(i64, Place)>,
    busy: HashSet<u64>,
}

impl Plan {
    pub(crate) fn new(window_max: usize, together_max: usize) -> Self {
        Self {
            window_max: u32::try_from(window_max.max(1)).unwrap_or(u32::MAX),
            together_max: together_max.max(1),
            ..Self::default()
        }
    }

    /// Forgets what waits, not what is under way.
    pub(crate) fn clear(&mut self) {
        self.tickets.clear();
        self.wakes.clear();
        for destination in &mut self.destinations {
            destination.waiting.clear();
            destination.wake = None;
        }
    }

    /// A row that waits, or waits for something else than before.
    pub(crate) fn put(&mut self, id: QueueId, body: u64, due: i64, destination: &str) {
        if self.busy.contains(&id.get()) {
            return;
        }
        let place = self.place(destination);
        if let Some(before) = self.tickets.insert(id.get(), Ticket { place, due })
            && (before.place, before.due) != (place, due)
        {
            self.take_out(before.place, before.due, id.get());
        }
        if let Some(there) = self.destinations.get_mut(place) {
            there.waiting.insert((due, id.get()), body);
        }
        self.wake(place);
    }

    /// A row that went, or is held.
    pub(crate) fn remove(&mut self, id: QueueId) {
        if let Some(ticket) = self.tickets.remove(&id.get()) {
            self.take_out(ticket.place, ticket.due, id.get());
            self.wake(ticket.place);
        }
    }

    /// Whether an attempt at it is under way.
    pub(crate) fn is_busy(&self, id: QueueId) -> bool {
        self.busy.contains(&id.get())
    }

    /// What is to be tried now, at whichever destination has waited longest.
    pub(crate) fn pick(&mut self, now: i64) -> Option<Pick> {
        let (at, place) = self.wakes.first().copied()?;
        if at > now { None } else { self.pick_at(place, now) }
    }

    /// The next for a destination over the connection that somebody has to it already.
    pub(crate) fn pick_more(&mut self, destination: &str, now: i64) -> Option<Pick> {
        let place = *self.names.get(destination)?;
        let there = self.destinations.get_mut(place)?;
        // A window that fell, or a freeze, ends the run.
        if there.frozen_until > now || f64::from(there.connections) >= there.window {
            return None;
        }
        self.pick_at(place, now)
    }

    fn pick_at(&mut self, place: Place, now: i64) -> Option<Pick> {
        let together_max = self.together_max;
        let there = self.destinations.get_mut(place)?;
        let ((due, first), body) = there.waiting.first_key_value().map(|(key, body)| (*key, *body))?;
        if due > now {
            return None;
        }
        let same = there.waiting.range((due, first)..=(now, u64::MAX)).take(together_max.saturating_mul(4));
        let keys: Vec<(i64, u64)> =
            same.filter(|(_, other)| **other == body).map(|(key, _)| *key).take(together_max).collect();
        for key in &keys {
            there.waiting.remove(key);
            self.tickets.remove(&key.1);
            self.busy.insert(key.1);
        }
        there.connections = there.connections.saturating_add(1);
        let frozen = there.reason.clone().filter(|_| there.frozen_until > now);
        let destination = there.name.clone();
        self.wake(place);
        Some(Pick { destination, ids: keys.into_iter().map(|(_, id)| QueueId::new(id)).collect(), frozen })
    }

    /// An attempt ended.
    pub(crate) fn done(&mut self, destination: &str, ids: &[QueueId], went: Went, now: i64) {
        for id in ids {
            self.busy.remove(&id.get());
        }
        let Some(place) = self.names.get(destination).copied() else { return };
        let max = f64::from(self.window_max);
        if let Some(there) = self.destinations.get_mut(place) {
            there.connections = there.connections.saturating_sub(1);
            match went {
                Went::Well => {
                    there.window = (there.window + 1.0 / there.window).min(max);
                    (there.failures, there.frozen_until, there.reason) = (0, 0, None);
                }
                Went::Busy => there.window = (there.window / 2.0).max(1.0),
                Went::Dead(reason) => {
                    there.window = (there.window / 2.0).max(1.0);
                    there.failures = there.failures.saturating_add(1);
                    there.reason = Some(reason);
                    // Those that were under way when it was frozen say nothing new.
                    if there.failures >= FREEZE_AFTER && there.frozen_until <= now {
                        let doubled = there.failures.saturating_sub(FREEZE_AFTER).min(10);
                        let pause = FREEZE_FIRST_MS.saturating_mul(1 << doubled).min(FREEZE_MAX_MS);
                        there.frozen_until = now.saturating_add(pause);
                        there.window = 1.0;
                    }
                }
                Went::Untried => {}
            }
        }
        self.wake(place);
    }

    /// When something can be tried next.
    pub(crate) fn next(&self) -> Option<i64> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// Lets a frozen destination be tried at once.
    pub(crate) fn thaw(&mut self, destination: &str) {
        let Some(place) = self.names.get(destination).copied() else { return };
        if let Some(there) = self.destinations.get_mut(place) {
            (there.failures, there.frozen_until) = (0, 0);
        }
        self.wake(place);
    }

    /// One destination's state.
    pub(crate) fn state(&self, destination: &str, now: i64) -> Option<DestinationState> {
        let there = self.names.get(destination).and_then(|place| self.destinations.get(*place))?;
        Some(DestinationState {
            waiting: there.waiting.len(),
            connections: there.connections,
            window: there.window as u32,
            failures: there.failures,
            frozen_until: (there.frozen_until > now).then_some(there.frozen_until),
            reason: there.reason.as_ref().map(ToString::to_string),
        })
    }

    fn place(&mut self, name: &str) -> Place {
        if let Some(place) = self.names.get(name) {
            return *place;
        }
        let place = self.destinations.len();
        self.names.insert(name.to_owned(), place);
        self.destinations.push(Destination {
            name: name.to_owned(),
            waiting: BTreeMap::new(),
            connections: 0,
            window: WINDOW_FIRST.min(f64::from(self.window_max)),
            failures: 0,
            frozen_until: 0,
            reason: None,
            wake: None,
        });
        place
    }

    fn take_out(&mut self, place: Place, due: i64, id: u64) {
        if let Some(there) = self.destinations.get_mut(place) {
            there.waiting.remove(&(due, id));
        }
    }

    /// Puts a destination at its place in the order of wakes.
    fn wake(&mut self, place: Place) {
        let Some(there) = self.destinations.get_mut(place) else { return };
        if let Some(at) = there.wake.take() {
            self.wakes.remove(&(at, place));
        }
        let room = f64::from(there.connections) < there.window.floor().max(1.0);
        if let Some(((due, _), _)) = there.waiting.first_key_value().filter(|_| room) {
            there.wake = Some(*due);
            self.wakes.insert((*due, place));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn id(n: u64) -> QueueId {
        QueueId::new(n)
    }

    fn dead() -> Went {
        Went::Dead(Reason::new("4.4.1", "no answer"))
    }

    #[test]
    fn rows_of_one_body_go_together_and_others_wait_their_turn() {
        let mut plan = Plan::new(20, 100);
        for n in 1..=3 {
            plan.put(id(n), 7, 10, "a.test");
        }
        plan.put(id(4), 8, 10, "a.test");
        plan.put(id(5), 9, 50, "b.test");
        assert_eq!(plan.next(), Some(10));
        assert_eq!(plan.pick(9), None);
        let first = plan.pick(20).unwrap();
        assert_eq!((first.destination.as_str(), first.ids.len()), ("a.test", 3));
        assert!(plan.is_busy(id(2)));
        // News of a row under way do not make it wait a second time.
        plan.put(id(2), 7, 10, "a.test");
        assert_eq!(plan.pick(20).unwrap().ids, [id(4)]);
        assert_eq!(plan.pick(20), None);
        assert_eq!(plan.next(), Some(50));
        plan.done("a.test", &first.ids, Went::Well, 20);
        plan.put(id(2), 7, 70, "a.test");
        plan.remove(id(5));
        assert_eq!(plan.next(), Some(70));
    }

    #[test]
    fn connections_grow_on_success_and_fall_on_failure() {
        let mut plan = Plan::new(10, 1);
        for n in 0..100 {
            plan.put(id(n), n, 0, "a.test");
        }
        let mut under_way = 0;
        while plan.pick(1).is_some() {
            under_way += 1;
        }
        assert_eq!(under_way, 4);
        for _ in 0..200 {
            plan.done("a.test", &[], Went::Well, 1);
            plan.pick(1);
        }
        assert_eq!(plan.state("a.test", 1).unwrap().window, 10);
        plan.done("a.test", &[], Went::Busy, 1);
        assert_eq!(plan.state("a.test", 1).unwrap().window, 5);
    }

    #[test]
    fn a_dead_destination_freezes_with_back_off_and_thaws_on_success() {
        let mut plan = Plan::new(10, 1);
        for n in 0..100 {
            plan.put(id(n), n, 0, "dead.test");
        }
        let mut now = 1;
        for _ in 0..3 {
            let pick = plan.pick(now).unwrap();
            assert_eq!(pick.frozen, None);
            plan.done("dead.test", &pick.ids, dead(), now);
        }
        // What is due meanwhile is put off without being tried, one at a time.
        let pick = plan.pick(now).unwrap();
        assert!(pick.frozen.is_some());
        assert_eq!(plan.pick(now), None);
        plan.done("dead.test", &pick.ids, Went::Untried, now);
        let until = plan.state("dead.test", now).unwrap().frozen_until.unwrap();
        assert_eq!(until, now + FREEZE_FIRST_MS);
        now = until;
        let probe = plan.pick(now).unwrap();
        assert_eq!(probe.frozen, None);
        plan.done("dead.test", &probe.ids, dead(), now);
        assert_eq!(plan.state("dead.test", now).unwrap().frozen_until, Some(now + 2 * FREEZE_FIRST_MS));
        now += 2 * FREEZE_FIRST_MS;
        let probe = plan.pick(now).unwrap();
        plan.done("dead.test", &probe.ids, Went::Well, now);
        assert_eq!(plan.state("dead.test", now).unwrap().frozen_until, None);
    }

    #[test]
    fn a_destination_with_many_rows_does_not_hide_another() {
        let mut plan = Plan::new(5, 100);
        for n in 0..50_000 {
            plan.put(id(n), n, 0, "many.test");
        }
        plan.put(id(60_000), 1, 5, "one.test");
        let picks: Vec<_> = std::iter::from_fn(|| plan.pick(10)).collect();
        assert_eq!(picks.len(), 5);
        assert!(picks.iter().any(|pick| pick.destination == "one.test"));
    }
}
