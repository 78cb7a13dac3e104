//! Failed logins and their delay; submissions by hour; refusals by second. Pure: time comes in as `now`.
//!
//! Failures are counted for the account's name and for the peer's address (IPv6 by /64), and delay the next attempt for
//! either. A pair of account and address that logged in before is not delayed by the failures of others: whoever
//! guesses at an account cannot lock its owner out, nor can one guesser lock out a campus behind one address.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use pli_types::AccountId;

use crate::limits::{
    DELAY_FIRST, DELAY_MAX, DELAYED_PER_ACCOUNT_MAX, DELAYED_PER_NETWORK_MAX, FAILURE_FORGOTTEN, FAILURE_KEYS_MAX,
    FAILURES_COUNTED_MAX, FAILURES_FREE, KNOWN_PAIR_KEPT, KNOWN_PAIRS_MAX, LOGINS_WAITING_PER_NETWORK_MAX,
    NETWORK_FAILURES_FREE, SUBMITTERS_MAX,
};

/// A map that forgets its longest untouched entries instead of growing.
struct Bounded<K, V> {
    map: HashMap<K, (V, Duration)>,
    max: usize,
}

impl<K: Eq + Hash + Clone, V> Bounded<K, V> {
    fn new(max: usize) -> Self {
        Self { map: HashMap::new(), max }
    }
    fn get(&self, key: &K) -> Option<&(V, Duration)> {
        self.map.get(key)
    }
    /// The entry, touched now.
    fn touch(&mut self, key: K, now: Duration, new: impl FnOnce() -> V) -> &mut V {
        if self.map.len() >= self.max && !self.map.contains_key(&key) {
            self.forget_half();
        }
        let entry = self.map.entry(key).or_insert_with(|| (new(), now));
        entry.1 = now;
        &mut entry.0
    }
    /// Half at once, so that a flood of new keys costs little for each.
    fn forget_half(&mut self) {
        let mut times: Vec<Duration> = self.map.values().map(|(_, at)| *at).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        let mut to_go = middle.saturating_add(1);
        self.map.retain(|_, (_, at)| {
            let goes = *at <= median && to_go > 0;
            if goes {
                to_go -= 1;
            }
            !goes
        });
    }
}

/// An address as failures are counted: IPv4 whole, IPv6 by /64 (one customer's network), mapped IPv4 as IPv4.
#[must_use]
pub(crate) fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Account(Box<str>),
    Network(IpAddr),
}

impl Key {
    /// Failures that cost nothing.
    const fn free(&self) -> u32 {
        match self {
            Self::Account(_) => FAILURES_FREE,
            Self::Network(_) => NETWORK_FAILURES_FREE,
        }
    }
    /// Attempts that may wait at once.
    const fn delayed_max(&self) -> u32 {
        match self {
            Self::Account(_) => DELAYED_PER_ACCOUNT_MAX,
            Self::Network(_) => DELAYED_PER_NETWORK_MAX,
        }
    }
}

#[derive(Default)]
struct Failures {
    count: u32,
    waiting: u32,
}

/// Failed logins.
pub(crate) struct LoginThrottle {
    failures: Bounded<Key, Failures>,
    known: Bounded<(Box<str>, IpAddr), ()>,
    /// Logins under way by network; an entry goes with its last login.
    under_way: HashMap<IpAddr, u32>,
}

/// What an attempt must do before its password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    /// Go on after this delay, then call [`LoginThrottle::waited`].
    Wait(Duration),
    /// Go on.
    Go,
    /// Too many wait already.
    Refuse,
}

impl LoginThrottle {
    pub(crate) fn new() -> Self {
        Self {
            failures: Bounded::new(FAILURE_KEYS_MAX),
            known: Bounded::new(KNOWN_PAIRS_MAX),
            under_way: HashMap::new(),
        }
    }

    /// A login begins: whether its network has room for it. Then [`LoginThrottle::end`] follows. Who is known has room.
    pub(crate) fn begin(&mut self, login: &str, ip: Option<IpAddr>, now: Duration) -> bool {
        let Some(ip) = ip else { return true };
        let known = self.is_known(login, Some(ip), now);
        let count = self.under_way.entry(network(ip)).or_insert(0);
        if *count >= LOGINS_WAITING_PER_NETWORK_MAX && !known {
            return false;
        }
        *count = count.saturating_add(1);
        true
    }

    /// A login has ended, or the client has gone.
    pub(crate) fn end(&mut self, ip: Option<IpAddr>) {
        let Some(network) = ip.map(network) else { return };
        if let Some(count) = self.under_way.get_mut(&network) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.under_way.remove(&network);
            }
        }
    }

    /// Failures that still count at `now`.
    fn counted(&self, key: &Key, now: Duration) -> u32 {
        self.failures.get(key).map_or(0, |(f, last)| {
            let quiet = now.saturating_sub(*last).as_secs() / FAILURE_FORGOTTEN.as_secs().max(1);
            f.count.saturating_sub(u32::try_from(quiet).unwrap_or(u32::MAX))
        })
    }

    fn keys(login: &str, ip: Option<IpAddr>) -> impl Iterator<Item = Key> {
        // A token or a certificate that is no good names nobody whom its failure could count for.
        let account = (!login.is_empty()).then(|| Key::Account(login.into()));
        [account, ip.map(|ip| Key::Network(network(ip)))].into_iter().flatten()
    }

    fn is_known(&self, login: &str, ip: Option<IpAddr>, now: Duration) -> bool {
        ip.is_some_and(|ip| {
            let pair = (login.into(), network(ip));
            self.known.get(&pair).is_some_and(|((), at)| now.saturating_sub(*at) < KNOWN_PAIR_KEPT)
        })
    }

    /// An attempt begins. `login` is in lower case.
    pub(crate) fn before(&mut self, login: &str, ip: Option<IpAddr>, now: Duration) -> Before {
        if self.is_known(login, ip, now) {
            return Before::Go;
        }
        let beyond = Self::keys(login, ip).map(|k| self.counted(&k, now).saturating_sub(k.free())).max().unwrap_or(0);
        if beyond == 0 {
            return Before::Go;
        }
        for key in Self::keys(login, ip) {
            if self.failures.get(&key).is_some_and(|(f, _)| f.waiting >= key.delayed_max()) {
                return Before::Refuse;
            }
        }
        for key in Self::keys(login, ip) {
            if let Some((f, _)) = self.failures.map.get_mut(&key) {
                f.waiting = f.waiting.saturating_add(1);
            }
        }
        let delay = DELAY_FIRST.saturating_mul(1_u32.checked_shl(beyond - 1).unwrap_or(u32::MAX));
        Before::Wait(delay.min(DELAY_MAX))
    }

    /// The delay is over (or the client has gone).
    pub(crate) fn waited(&mut self, login: &str, ip: Option<IpAddr>) {
        for key in Self::keys(login, ip) {
            if let Some((f, _)) = self.failures.map.get_mut(&key) {
                f.waiting = f.waiting.saturating_sub(1);
            }
        }
    }

    /// The password was wrong or the account unknown.
    pub(crate) fn failed(&mut self, login: &str, ip: Option<IpAddr>, now: Duration) {
        if let Some(ip) = ip {
            // A known pair that fails is known no more: a stolen device guesses at the speed of everybody else.
            self.known.map.remove(&(login.into(), network(ip)));
        }
        for key in Self::keys(login, ip) {
            let counted = self.counted(&key, now);
            let max = key.free().saturating_add(FAILURES_COUNTED_MAX);
            let entry = self.failures.touch(key, now, Failures::default);
            entry.count = counted.saturating_add(1).min(max);
        }
    }

    /// The password was right.
    pub(crate) fn succeeded(&mut self, login: &str, ip: Option<IpAddr>, now: Duration) {
        if let Some(ip) = ip {
            self.known.touch((login.into(), network(ip)), now, || ());
        }
    }
}

/// Messages submitted by account: a bucket of an hour's allowance that fills steadily.
pub(crate) struct SubmitRate {
    buckets: Bounded<AccountId, Bucket>,
}

impl SubmitRate {
    pub(crate) fn new() -> Self {
        Self { buckets: Bounded::new(SUBMITTERS_MAX) }
    }
    /// Takes one from the account's bucket.
    pub(crate) fn take(&mut self, account: AccountId, per_hour: u32, now: Duration) -> bool {
        let each = Duration::from_hours(1).checked_div(per_hour).unwrap_or(Duration::MAX);
        self.buckets.touch(account, now, || Bucket::full(per_hour, now)).take(per_hour, each, now)
    }
}

/// A token bucket.
pub(crate) struct Bucket {
    tokens: u32,
    filled: Duration,
}

impl Bucket {
    pub(crate) const fn full(tokens: u32, now: Duration) -> Self {
        Self { tokens, filled: now }
    }
    /// Takes one token, after adding one for each `each` gone by.
    pub(crate) fn take(&mut self, max: u32, each: Duration, now: Duration) -> bool {
        let gone = now.saturating_sub(self.filled).as_nanos();
        let new = gone.checked_div(each.as_nanos()).unwrap_or(0);
        if new > 0 {
            let added = u32::try_from(new).unwrap_or(u32::MAX);
            self.tokens = self.tokens.saturating_add(added).min(max);
            self.filled = if self.tokens == max { now } else { self.filled + each.saturating_mul(added) };
        }
        let Some(left) = self.tokens.min(max).checked_sub(1) else { return false };
        self.tokens = left;
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn delay_grows_and_is_forgotten() {
        let mut t = LoginThrottle::new();
        for _ in 0..3 {
            assert_eq!(t.before("a", ip("192.0.2.1"), S(0)), Before::Go);
            t.failed("a", ip("192.0.2.1"), S(0));
        }
        t.failed("a", ip("192.0.2.1"), S(0));
        assert_eq!(t.before("a", ip("192.0.2.1"), S(0)), Before::Wait(DELAY_FIRST));
        t.waited("a", ip("192.0.2.1"));
        t.failed("a", ip("192.0.2.1"), S(0));
        assert_eq!(t.before("a", ip("198.51.100.7"), S(0)), Before::Wait(DELAY_FIRST * 2), "the account counts");
        assert_eq!(t.before("b", ip("192.0.2.1"), S(0)), Before::Go, "others behind the address are not slowed yet");
        for _ in 0..NETWORK_FAILURES_FREE {
            t.failed("c", ip("192.0.2.1"), S(0));
        }
        assert!(matches!(t.before("b", ip("192.0.2.1"), S(0)), Before::Wait(_)), "after many, so does the address");
        assert_eq!(t.before("b", ip("192.0.2.2"), S(0)), Before::Go);
        for _ in 0..200 {
            t.failed("a", ip("192.0.2.1"), S(1));
        }
        assert_eq!(t.before("a", None, S(1)), Before::Wait(DELAY_MAX));
        assert_eq!(t.before("a", None, S(1 + 64 * 60)), Before::Go, "an hour later nothing counts");
    }

    #[test]
    fn a_known_pair_is_not_slowed_by_others() {
        let mut t = LoginThrottle::new();
        t.succeeded("a", ip("192.0.2.1"), S(0));
        for _ in 0..50 {
            t.failed("a", ip("203.0.113.9"), S(1));
            t.failed("z", ip("192.0.2.1"), S(1));
        }
        assert_eq!(t.before("a", ip("192.0.2.1"), S(1)), Before::Go);
        t.failed("a", ip("192.0.2.1"), S(1));
        assert_eq!(t.before("a", ip("192.0.2.1"), S(1)), Before::Wait(DELAY_MAX), "known no more");
    }

    #[test]
    fn few_wait_at_once() {
        let mut t = LoginThrottle::new();
        for _ in 0..10 {
            t.failed("a", ip("192.0.2.1"), S(0));
        }
        for _ in 0..DELAYED_PER_ACCOUNT_MAX {
            assert!(matches!(t.before("a", ip("192.0.2.1"), S(0)), Before::Wait(_)));
        }
        assert_eq!(t.before("a", ip("192.0.2.1"), S(0)), Before::Refuse);
        t.waited("a", ip("192.0.2.1"));
        assert!(matches!(t.before("a", ip("192.0.2.1"), S(0)), Before::Wait(_)));
    }

    #[test]
    fn one_network_does_not_fill_the_waiting_room() {
        let mut t = LoginThrottle::new();
        t.succeeded("a", ip("2001:db8:1:2::1"), S(0));
        for _ in 0..LOGINS_WAITING_PER_NETWORK_MAX {
            assert!(t.begin("z", ip("2001:db8:1:2:3::9"), S(1)));
        }
        assert!(!t.begin("z", ip("2001:db8:1:2:4::1"), S(1)), "one /64");
        assert!(t.begin("z", ip("2001:db8:1:3::1"), S(1)), "another one");
        assert!(t.begin("a", ip("2001:db8:1:2::7"), S(1)), "who has logged in from there before has room");
        for _ in 0..=LOGINS_WAITING_PER_NETWORK_MAX {
            t.end(ip("2001:db8:1:2::1"));
        }
        t.end(ip("2001:db8:1:3::1"));
        assert!(t.under_way.is_empty());
        assert!(t.begin("z", ip("2001:db8:1:2::1"), S(1)));
    }

    #[test]
    fn ipv6_by_64_and_mapped_ipv4() {
        assert_eq!(network("2001:db8:1:2:3::1".parse().unwrap()), network("2001:db8:1:2:ffff::9".parse().unwrap()));
        assert_ne!(network("2001:db8:1:2::1".parse().unwrap()), network("2001:db8:1:3::1".parse().unwrap()));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), network("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn maps_stay_bounded() {
        let mut map = Bounded::new(100);
        for n in 0..1_000_u64 {
            map.touch(n, S(n), || ());
            assert!(map.map.len() <= 100);
        }
        assert!(map.get(&999).is_some(), "the newest stays");
        assert!(map.get(&0).is_none());
        let mut same = Bounded::new(100);
        for n in 0..1_000_u64 {
            same.touch(n, S(5), || ());
        }
        assert!(same.map.len() <= 100 && !same.map.is_empty());
    }

    #[test]
    fn submissions_by_the_hour() {
        let mut rate = SubmitRate::new();
        let account = AccountId::new(1);
        assert!((0..60).all(|_| rate.take(account, 60, S(0))));
        assert!(!rate.take(account, 60, S(0)));
        assert!(!rate.take(account, 60, S(59)));
        assert!(rate.take(account, 60, S(60)), "one a minute comes back");
        assert!(!rate.take(account, 60, S(60)));
        assert!(rate.take(AccountId::new(2), 60, S(60)), "each account has its own");
        assert!(!rate.take(AccountId::new(3), 0, S(60)), "none an hour is none");
        assert!(rate.take(account, 30, S(3660)), "a smaller allowance after a reload holds");
    }
}
