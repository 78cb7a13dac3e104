//! The sender's address rewritten when mail is sent on (SRS): the next server checks SPF against us, and a bounce finds its
//! way back through us. What we did not write ourselves, or too long ago, leads nowhere: the tag is an HMAC under a key of
//! the store.
//!
//! `SRS0=tag=day=domain=local@us` for a sender; `SRS1=tag=domain==rest@us` for one that another server wrote so already,
//! which keeps the address short: a bounce goes straight to that server.

use pli_types::{Address, UnixMillis};

/// Days for which a bounce may come back. Queues give up after 5; some are slower.
const AGE_DAYS_MAX: i64 = 30;
/// Days go round after so many; two characters of Base32.
const DAYS: i64 = 1024;
const DAY_MS: i64 = 86_400_000;
/// Characters of the tag: 40 bits, and every guess is a refused recipient.
const TAG_CHARS: usize = 8;
const DIGITS: [u8; 32] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Why an address of this form leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Not ours, or changed.
    Tag,
    /// Ours, and too old.
    Age,
}

/// The key, as what it makes of a text.
pub(crate) trait Tagger {
    /// A tag that nobody else can make.
    fn tag(&self, text: &str) -> [u8; 32];
}

impl<F: Fn(&str) -> [u8; 32]> Tagger for F {
    fn tag(&self, text: &str) -> [u8; 32] {
        self(text)
    }
}

/// The address that bounces to `sender` come back to at `domain`. `None` where that would be too long for an address; then
/// the sender stays as it is.
pub(crate) fn rewrite(key: &impl Tagger, sender: &Address, domain: &str, now: UnixMillis) -> Option<Address> {
    let local = sender.local();
    let made = if let Some(rest) = after(local, "SRS0").filter(|rest| rest.starts_with(['=', '+', '-'])) {
        srs1(key, sender.domain(), rest)
    } else if let Some((first, rest)) = after(local, "SRS1=").and_then(of_srs1) {
        // From the third server on, the second is left out.
        srs1(key, first, rest)
    } else {
        let day = day_text(now.0.div_euclid(DAY_MS));
        let what = format!("{day}={}={local}", sender.domain());
        format!("SRS0={}={what}", tag_text(key, &what))
    };
    Address::new(&quoted(&made), domain).ok()
}

fn srs1(key: &impl Tagger, domain: &str, rest: &str) -> String {
    let what = format!("{domain}={rest}");
    format!("SRS1={}={what}", tag_text(key, &what))
}

/// What [`rewrite`] was given, if `address` has that form at all.
pub(crate) fn undo(key: &impl Tagger, address: &Address, now: UnixMillis) -> Option<Result<Address, Wrong>> {
    let local = address.local();
    if let Some(rest) = after(local, "SRS0=") {
        return Some(undo_srs0(key, rest, now));
    }
    let rest = after(local, "SRS1=")?;
    Some(undo_srs1(key, rest))
}

fn undo_srs0(key: &impl Tagger, rest: &str, now: UnixMillis) -> Result<Address, Wrong> {
    let what = checked(key, rest)?;
    let mut parts = what.splitn(3, '=');
    let (Some(day), Some(domain), Some(local)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Wrong::Tag);
    };
    let then = day_of(day).ok_or(Wrong::Tag)?;
    let age = (now.0.div_euclid(DAY_MS) - then).rem_euclid(DAYS);
    if age > AGE_DAYS_MAX {
        return Err(Wrong::Age);
    }
    Address::new(&quoted(local), domain).map_err(|_| Wrong::Tag)
}

fn undo_srs1(key: &impl Tagger, rest: &str) -> Result<Address, Wrong> {
    let what = checked(key, rest)?;
    let (domain, rest) = what.split_once('=').ok_or(Wrong::Tag)?;
    Address::new(&quoted(&format!("SRS0{rest}")), domain).map_err(|_| Wrong::Tag)
}

/// `tag=what` with the tag right. Servers on the way may have changed the case of letters.
fn checked<'a>(key: &impl Tagger, rest: &'a str) -> Result<&'a str, Wrong> {
    let (tag, what) = rest.split_once('=').ok_or(Wrong::Tag)?;
    let right = tag_text(key, what);
    let differ = tag.len() != right.len()
        || tag.bytes().zip(right.bytes()).fold(0, |all, (a, b)| all | (a.to_ascii_uppercase() ^ b)) != 0;
    if differ { Err(Wrong::Tag) } else { Ok(what) }
}

/// Another server's `SRS1=`: its domain, and what stands behind.
fn of_srs1(rest: &str) -> Option<(&str, &str)> {
    let (_tag, what) = rest.split_once('=')?;
    what.split_once('=').filter(|(domain, rest)| !domain.is_empty() && rest.starts_with(['=', '+', '-']))
}

fn after<'a>(local: &'a str, prefix: &str) -> Option<&'a str> {
    let head = local.get(..prefix.len())?;
    if head.eq_ignore_ascii_case(prefix) { local.get(prefix.len()..) } else { None }
}

fn quoted(local: &str) -> String {
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

fn digit(value: u8) -> char {
    DIGITS.get(usize::from(value % 32)).map_or('A', |d| char::from(*d))
}

fn tag_text(key: &impl Tagger, what: &str) -> String {
    key.tag(&what.to_lowercase()).iter().take(TAG_CHARS).map(|byte| digit(*byte)).collect()
}

fn day_text(day: i64) -> String {
    let day = day.rem_euclid(DAYS);
    [day / 32, day % 32].into_iter().map(|d| digit(u8::try_from(d).unwrap_or(0))).collect()
}

fn day_of(text: &str) -> Option<i64> {
    let value =
        |byte: u8| DIGITS.iter().position(|d| *d == byte.to_ascii_uppercase()).and_then(|at| i64::try_from(at).ok());
    match text.as_bytes() {
        [high, low] => Some(value(*high)? * 32 + value(*low)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn key(text: &str) -> [u8; 32] {
        pli_crypto::hmac(&pli_crypto::Secret32::new([7; 32]), text.as_bytes())
    }
    fn other(text: &str) -> [u8; 32] {
        pli_crypto::hmac(&pli_crypto::Secret32::new([8; 32]), text.as_bytes())
    }
    fn addr(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn there_and_back() {
        let sender = addr("Alice@example.net");
        let made = rewrite(&key, &sender, "example.org", NOW).unwrap();
        assert!(made.to_string().starts_with("SRS0=") && made.domain() == "example.org", "{made}");
        assert_eq!(undo(&key, &made, NOW), Some(Ok(sender.clone())));
        let upper = Address::new(&made.local().to_uppercase(), "example.org").unwrap();
        assert_eq!(undo(&key, &upper, NOW).unwrap().unwrap().key(), sender.key());
        assert_eq!(undo(&key, &sender, NOW), None);
    }

    #[test]
    fn what_is_not_ours_or_too_old_leads_nowhere() {
        let made = rewrite(&key, &addr("alice@example.net"), "example.org", NOW).unwrap();
        assert_eq!(undo(&other, &made, NOW), Some(Err(Wrong::Tag)));
        assert_eq!(undo(&key, &made, NOW.plus_ms(30 * DAY_MS)).unwrap().unwrap(), addr("alice@example.net"));
        assert_eq!(undo(&key, &made, NOW.plus_ms(31 * DAY_MS)), Some(Err(Wrong::Age)));
        let turned = addr(&made.to_string().replace("alice", "victim"));
        assert_eq!(undo(&key, &turned, NOW), Some(Err(Wrong::Tag)));
        for wrong in ["SRS0=", "SRS0=x", "SRS0=AAAAAAAA=AA=example.net=x", "SRS1=x", "SRS1=AAAAAAAA=b.test==x"] {
            let address = Address::new(wrong, "example.org").unwrap();
            assert_eq!(undo(&key, &address, NOW), Some(Err(Wrong::Tag)), "{wrong}");
        }
    }

    #[test]
    fn through_several_servers() {
        let first = rewrite(&other, &addr("alice@example.net"), "one.test", NOW).unwrap();
        let second = rewrite(&key, &first, "two.test", NOW).unwrap();
        assert!(second.local().starts_with("SRS1="), "{second}");
        assert_eq!(undo(&key, &second, NOW), Some(Ok(first.clone())));
        let third = rewrite(&other, &second, "three.test", NOW).unwrap();
        assert_eq!(undo(&other, &third, NOW), Some(Ok(first)), "the server in the middle is left out");
    }

    #[test]
    fn a_sender_that_would_be_too_long_stays() {
        let long = addr(&format!("{}@a-rather-long-domain.example.net", "x".repeat(40)));
        assert_eq!(rewrite(&key, &long, "example.org", NOW), None);
    }

    proptest! {
        #[test]
        fn any_sender_comes_back(local in "[a-zA-Z0-9=+._ \"\\\\-]{1,20}", domain in "[a-z]{1,8}\\.test") {
            let quoted = quoted(&local);
            if let Ok(sender) = Address::new(&quoted, &domain)
                && let Some(made) = rewrite(&key, &sender, "example.org", NOW)
            {
                let text = made.to_string();
                let back = undo(&key, &Address::parse(&text).unwrap(), NOW);
                prop_assert_eq!(back, Some(Ok(sender)));
            }
        }

        #[test]
        fn any_address_is_looked_at(local in "(SRS[01][=+-])?\\PC{0,40}") {
            if let Ok(address) = Address::new(&quoted(&local), "example.org") {
                prop_assert!(!matches!(undo(&key, &address, NOW), Some(Ok(_))));
            }
        }
    }
}
