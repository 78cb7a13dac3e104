//! Addresses, mailbox names and flags: what is let in, what is refused, and that printing is read back.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use pli_types::{Address, AddressError, FlagSet, Keyword, KeywordError, MailboxName, MailboxNameError, SystemFlag};
use proptest::prelude::*;

#[test]
fn addresses_are_normalised() {
    let parse = |text: &str| Address::parse(text).map(|a| a.to_string());
    assert_eq!(parse("Ann.Lee@EXAMPLE.org").as_deref(), Ok("Ann.Lee@example.org"));
    assert_eq!(parse("\"ann\"@example.org").as_deref(), Ok("ann@example.org"), "quotes that are not needed go");
    assert_eq!(parse("\"a b\"@example.org").as_deref(), Ok("\"a b\"@example.org"));
    assert_eq!(parse("\"a@b\"@example.org").as_deref(), Ok("\"a@b\"@example.org"));
    assert_eq!(parse("a@xn--caf-dma.example").as_deref(), Ok("a@café.example"));
    assert_eq!(parse("a@example.org.").as_deref(), Ok("a@example.org"));
    assert_eq!(parse("a@[192.0.2.1]").as_deref(), Ok("a@[192.0.2.1]"));
    assert_eq!(Address::parse("Ann@Example.ORG").unwrap().key(), "ann@example.org");
    let international = Address::parse("é@café.example").unwrap();
    assert!(international.is_international());
    assert_eq!(international.domain_ascii(), "xn--caf-dma.example");
    assert_eq!(Address::parse("a@café.example").unwrap().wire(false), "a@xn--caf-dma.example");
}

#[test]
fn what_is_no_address_is_refused() {
    for (text, error) in [
        ("", AddressError::Form),
        ("a", AddressError::Form),
        ("@b", AddressError::Form),
        ("a@", AddressError::Form),
        ("a b@c", AddressError::Forbidden),
        ("a\r\nRCPT TO:<x>@c", AddressError::Forbidden),
        ("a\0@c", AddressError::Forbidden),
        ("<a@c", AddressError::Forbidden),
        ("a@b@c", AddressError::Forbidden),
        ("\"a\"b\"@c", AddressError::Forbidden),
        ("a@b c", AddressError::Domain),
        ("a@b..c", AddressError::Domain),
        ("a@b>", AddressError::Domain),
    ] {
        assert_eq!(Address::parse(text), Err(error), "{text:?}");
    }
    assert_eq!(Address::parse(&format!("{}@b", "a".repeat(65))), Err(AddressError::TooLong));
}

#[test]
fn mailbox_names_are_normalised_and_bounded() {
    let name = |text: &str| MailboxName::new(text).map(|n| n.to_string());
    assert_eq!(name("inbox").as_deref(), Ok("INBOX"));
    assert_eq!(name("InBox/a").as_deref(), Ok("INBOX/a"));
    assert_eq!(name("inboxes").as_deref(), Ok("inboxes"));
    assert_eq!(name("a/b/").as_deref(), Ok("a/b"));
    assert_eq!(name("e\u{301}").as_deref(), Ok("é"));
    for (text, error) in [
        ("", MailboxNameError::EmptyLevel),
        ("/", MailboxNameError::EmptyLevel),
        ("/a", MailboxNameError::EmptyLevel),
        ("a//b", MailboxNameError::EmptyLevel),
        ("a*", MailboxNameError::Forbidden),
        ("a%", MailboxNameError::Forbidden),
        ("a\nb", MailboxNameError::Forbidden),
        ("a\0", MailboxNameError::Forbidden),
    ] {
        assert_eq!(MailboxName::new(text), Err(error), "{text:?}");
    }
    assert_eq!(MailboxName::new(&"é".repeat(128)), Err(MailboxNameError::TooLong));
    let child = MailboxName::new("a/b").unwrap();
    assert_eq!(child.parent(), Some(MailboxName::new("a").unwrap()));
    assert!(child.is_below(&MailboxName::new("a").unwrap()));
    assert!(!MailboxName::new("ab").unwrap().is_below(&MailboxName::new("a").unwrap()));
}

#[test]
fn flags_and_keywords() {
    assert_eq!(SystemFlag::parse("\\SEEN"), Some(SystemFlag::Seen));
    assert_eq!(SystemFlag::parse("Seen"), None);
    let mut set: FlagSet = [SystemFlag::Seen, SystemFlag::Draft].into_iter().collect();
    set.insert_keyword(Keyword::new("Later").unwrap());
    set.insert_keyword(Keyword::new("LATER").unwrap());
    assert_eq!(set.keywords.len(), 1, "keywords are compared without case");
    assert!(set.contains(SystemFlag::Draft) && !set.contains(SystemFlag::Flagged));
    for bad in ["a b", "a(", "\\x", "é", "a\r"] {
        assert_eq!(Keyword::new(bad), Err(KeywordError::NotAnAtom), "{bad:?}");
    }
    assert_eq!(Keyword::new(""), Err(KeywordError::Length));
    let bits: u64 = SystemFlag::ALL.iter().map(|f| f.bit()).sum();
    assert_eq!(bits, 0b1_1111);
}

proptest! {
    #[test]
    fn an_address_is_read_back_as_it_is_printed(text in ".{0,40}@[a-zA-Zé0-9.-]{0,20}") {
        if let Ok(address) = Address::parse(&text) {
            prop_assert_eq!(Address::parse(&address.to_string()), Ok(address.clone()));
            prop_assert!(!address.wire(false).contains(['\r', '\n', '\0']), "nothing that would end a command");
        }
    }

    #[test]
    fn a_name_is_read_back_as_it_is_printed(text in ".{0,40}") {
        if let Ok(name) = MailboxName::new(&text) {
            prop_assert_eq!(MailboxName::new(name.as_str()), Ok(name));
        }
    }
}
