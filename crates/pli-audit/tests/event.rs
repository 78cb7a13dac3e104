//! Events: what they say, what they never say, their limits, their seals.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use pli_audit::{
    AuditError, Class, ENTRY_BYTES_MAX, Event, LEAF_BYTES, Leaf, LogKey, LogKeyId, Object, Party, PseudonymKey,
    SealedEvent, Status,
};
use pli_crypto::{OpenError, Secret32};
use pli_types::{
    AccountId, Action, Actor, EmailId, MailboxId, Protocol, SessionId, SessionInfo, TlsInfo, Uid, UidValidity,
    UnixMillis,
};
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_795_510_800_123);

fn session() -> SessionInfo {
    SessionInfo {
        id: SessionId(7),
        protocol: Protocol::Smtp,
        peer: Some("[2001:db8::1]:52000".parse().unwrap()),
        tls: Some(TlsInfo { version: "TLSv1.3".into(), cipher: "TLS13_AES_256_GCM_SHA384".into() }),
        client: Some("mx.example.net".into()),
        actor: Actor::Anonymous,
    }
}

fn event(sequence: u64) -> Event {
    let mut event = Event::new("paris", &session(), Action::Deliver, NOW);
    event.sequence = sequence;
    event
}

fn key(secret: u8, event: &Event) -> LogKey {
    LogKey::new(&Secret32::new([secret; 32]), event.key_id())
}

#[test]
fn an_event_reads_as_it_was_made() {
    let pseudonyms = PseudonymKey::new(Secret32::new([1; 32]));
    let event = event(9)
        .on_behalf_of(AccountId::new(3))
        .object(Object { message: Some(EmailId::new(4)), ..Object::default() })
        .account(AccountId::new(3))
        .mailbox(MailboxId::new(5), UidValidity::new(6))
        .uid(Uid::new(7))
        .digest(&[0xa5; 32])
        .party(Party::Account(AccountId::new(3)))
        .party(Party::Other(pseudonyms.of("Somebody@Example.org")))
        .count("fetched", 12)
        .refused("552 5.2.2", "mailbox full")
        .policy("quota", Some("staff"));
    let bytes = event.encode().unwrap();
    assert_eq!(Event::decode(&bytes).unwrap(), event);
    let text = String::from_utf8(bytes).unwrap();
    for shown in [
        r#""v":1"#,
        r#""seq":9"#,
        r#""site":"paris""#,
        r#""class":"protocol""#,
        r#""op":"deliver""#,
        r#""ip":"2001:db8::1","port":52000"#,
        r#""status":"refused","code":"552 5.2.2""#,
        &"a5".repeat(32),
    ] {
        assert!(text.contains(shown), "{shown} in {text}");
    }
    assert!(!text.to_lowercase().contains("somebody"), "{text}");
    // A plain event is short: a log of millions is made of these.
    assert!(Event::new("p", &SessionInfo::system(SessionId(1)), Action::Operate, NOW).encode().unwrap().len() < 170);
}

#[test]
fn pseudonyms_are_keyed_and_stable() {
    let (one, two) = (PseudonymKey::new(Secret32::new([1; 32])), PseudonymKey::new(Secret32::new([2; 32])));
    assert_eq!(one.of("a@example.org"), one.of("A@EXAMPLE.org"));
    assert_ne!(one.of("a@example.org"), one.of("b@example.org"));
    assert_ne!(one.of("a@example.org"), two.of("a@example.org"));
}

#[test]
fn classes_follow_actions() {
    assert_eq!(event(0).class, Class::Protocol);
    let admin = Event::new("s", &SessionInfo::admin(SessionId(1), 0), Action::AccountCreate, NOW);
    assert_eq!((admin.class, admin.result.status), (Class::Administration, Status::Done));
    assert_eq!(admin.class(Class::Vault).class, Class::Vault);
}

// The worst that peers and callers can give: it is cut, never refused, and fits into a bundle when sealed.
#[test]
fn the_longest_event_fits() {
    let long = "\u{1}".repeat(70_000);
    let wide = "\u{1f4ee}".repeat(70_000);
    for text in [&long, &wide] {
        let mut event = event(u64::MAX).refused(text, text).policy(text, Some(text)).digest(&[0; 32]);
        event.site.clone_from(text);
        event.object.digest = Some(text.clone());
        event.origin.as_mut().unwrap().client = Some(text.clone());
        event.origin.as_mut().unwrap().tls = Some(TlsInfo { version: text.clone(), cipher: text.clone() });
        for i in 0..20_000 {
            let pseudonym = PseudonymKey::new(Secret32::new([1; 32])).of(&i.to_string());
            event = event.party(Party::Other(pseudonym));
        }
        assert_eq!(event.parties.len() as u64 + event.parties_more, 20_000);
        for i in 0..200 {
            event = event.count(&format!("{i:03}{}", "\u{1}".repeat(37)), u64::MAX);
        }
        let bytes = event.encode().unwrap();
        let again = Event::decode(&bytes).unwrap();
        assert_eq!((again.sequence, again.parties.len()), (u64::MAX, 500));
        assert_eq!(again.parties_more, event.parties_more);
        assert_eq!(again.counts.len(), 64);
        assert!(again.result.reason.unwrap().ends_with('…'));
        assert!(key(1, &event).seal(&event).unwrap().as_bytes().len() <= ENTRY_BYTES_MAX);
    }
}

#[test]
fn sealed_events_open_whole_and_in_their_place_only() {
    let event = event(41).refused("550", "no such user");
    let key_one = key(1, &event);
    let sealed = key_one.seal(&event).unwrap();
    assert_eq!(key_one.open(&sealed).unwrap(), event);
    assert!(!sealed.as_bytes().windows(7).any(|w| w == b"no such" || w == b"deliver"));
    let stored = sealed.as_bytes();
    for i in 0..stored.len() {
        let mut bad = stored.to_vec();
        bad[i] ^= 1;
        let Ok(bad) = SealedEvent::from_bytes(bad) else {
            continue;
        };
        assert_ne!(bad.leaf().hash(), sealed.leaf().hash());
        assert!(key_one.open(&bad).is_err(), "byte {i}");
    }
    for cut in 0..stored.len() {
        let outcome = SealedEvent::from_bytes(stored[..cut].to_vec()).and_then(|s| key_one.open(&s));
        assert!(outcome.is_err());
    }
    assert_eq!(key(2, &event).open(&sealed), Err(AuditError::Open(OpenError)));
    let other_class = LogKeyId { class: Class::Key, ..event.key_id() };
    let other = LogKey::new(&Secret32::new([1; 32]), other_class);
    assert_eq!(other.open(&sealed), Err(AuditError::OtherKey));
    assert_eq!(other.seal(&event), Err(AuditError::OtherKey));
}

// After a crash a sequence may be given to another event: their ciphertexts must not share a nonce.
#[test]
fn nonces_depend_on_the_content() {
    let (one, two) = (event(5).refused("a", ""), event(5).refused("b", ""));
    let key = key(1, &one);
    let nonce = |e: &Event| key.seal(e).unwrap().as_bytes()[18..30].to_vec();
    assert_ne!(nonce(&one), nonce(&two));
    assert_eq!(nonce(&one), nonce(&one));
}

#[test]
fn leaves() {
    let event = event(5);
    let sealed = key(1, &event).seal(&event).unwrap();
    let leaf = sealed.leaf();
    assert_eq!((leaf.class, leaf.time, leaf.sequence), (event.class, event.time, 5));
    assert_eq!(leaf.digest.0, pli_crypto::sha256(sealed.as_bytes()));
    assert_eq!(Leaf::decode(&leaf.encode()).unwrap(), leaf);
    assert_eq!(leaf.hash().0, pli_crypto::sha256(&[&[0][..], &leaf.encode()].concat()));
}

proptest! {
    #[test]
    fn decoders_take_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        for bytes in [bytes.clone(), [&[1, 1][..], &bytes].concat()] {
            if let Ok(leaf) = Leaf::decode(&bytes) {
                prop_assert_eq!(&leaf.encode()[..], &bytes[..]);
                prop_assert_eq!(bytes.len(), LEAF_BYTES);
            }
            let _ = Event::decode(&bytes);
            if let Ok(sealed) = SealedEvent::from_bytes(bytes) {
                let key = LogKey::new(&Secret32::new([1; 32]), sealed.key_id());
                prop_assert!(key.open(&sealed).is_err());
            }
        }
    }
}
