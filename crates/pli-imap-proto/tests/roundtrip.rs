//! What is printed reads back the same: sequence sets, modified UTF-7, numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use pli_imap_proto::{Bound, SequenceSet, push_number, utf7, write_compact};
use proptest::prelude::*;

fn parse(text: &str) -> Option<SequenceSet> {
    SequenceSet::parse(text.as_bytes())
}

#[test]
fn sets_known_answers() {
    let resolved = |text: &str, max| parse(text).unwrap().resolve(max).iter().collect::<Vec<u32>>();
    assert_eq!(resolved("2,4:7,9,12:*", 15), [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]);
    assert_eq!(resolved("*:4,5:7", 10), [4, 5, 6, 7, 8, 9, 10]);
    // RFC 9051 §9 seq-range: `*` is the largest in use, so a range to it always means a message.
    assert_eq!(resolved("500:*", 300), [300]);
    assert_eq!(resolved("*", 300), [300]);
    assert_eq!(resolved("3:1,2", 9), [1, 2, 3]);
    assert_eq!(resolved("400:500", 300), [0u32; 0]);
    assert_eq!(resolved("*:*,1:*,5", 0), [0u32; 0]);
    assert_eq!(resolved("1:4294967295", 2), [1, 2]);
    for text in ["", ",", "1,", "0", "1:0", "1:2:3", "a", "1 ", "-1", "4294967296", "**", "1:", ":1"] {
        assert_eq!(parse(text), None, "{text}");
    }
    assert_eq!(parse(&"1,".repeat(20_000)), None);
    let set = parse("1:3,5").unwrap().resolve(9);
    assert_eq!(
        (set.count(), set.contains(3), set.contains(4), set.contains(5), set.contains(6)),
        (4, true, false, true, false)
    );
    assert_eq!(parse("1:5,*").unwrap().largest(), Some(5));
    assert_eq!(parse("*").unwrap().largest(), None);
    assert!(parse("1:*").unwrap().has_star() && !parse("1").unwrap().has_star());
    assert_eq!(parse("5:3,1").unwrap().in_order(9), Some(vec![3, 4, 5, 1]));
    assert_eq!(parse("1:4000000000").unwrap().in_order(1000), None);
    assert_eq!(parse("1:*").unwrap().in_order(1000), None);
    assert_eq!(SequenceSet::from_sorted([]), None);
    let max = u32::MAX;
    assert_eq!(SequenceSet::from_sorted([max - 1, max]).unwrap().to_string(), format!("{}:{max}", max - 1));
}

fn bound() -> impl Strategy<Value = Bound> {
    prop_oneof![
        1 => Just(Bound::Star),
        6 => (1u32..40).prop_map(|n| Bound::Number(NonZeroU32::new(n).unwrap())),
        1 => (1u32..=u32::MAX).prop_map(|n| Bound::Number(NonZeroU32::new(n).unwrap())),
    ]
}

proptest! {
    #[test]
    fn sets_read_back(ranges in prop::collection::vec((bound(), bound()), 1..12)) {
        let set = SequenceSet::from_ranges(ranges).unwrap();
        prop_assert_eq!(parse(&set.to_string()), Some(set));
    }

    /// Against a plain reading of the RFC: a number is in when some range holds it.
    #[test]
    fn sets_mean_what_the_rfc_says(ranges in prop::collection::vec((bound(), bound()), 1..12), max in 0u32..60) {
        let value = |b| match b { Bound::Star => max, Bound::Number(n) => n.get() };
        let within = |n: u32| ranges.iter().any(|&(a, b)| value(a).min(value(b)) <= n && n <= value(a).max(value(b)));
        let expected: Vec<u32> = (1..=max).filter(|&n| within(n)).collect();
        let resolved = SequenceSet::from_ranges(ranges.clone()).unwrap().resolve(max);
        prop_assert_eq!(resolved.iter().collect::<Vec<u32>>(), expected.clone());
        prop_assert_eq!(resolved.count(), expected.len() as u64);
        for n in 0..=max + 1 {
            prop_assert_eq!(resolved.contains(n), expected.contains(&n));
        }
        // Ranges rise and do not touch.
        prop_assert!(resolved.ranges().windows(2).all(|w| w[0].1 + 1 < w[1].0));
    }

    #[test]
    fn compact_sets_read_back(numbers in prop::collection::btree_set(1u32..60, 1..40)) {
        let mut text = Vec::new();
        write_compact(&mut text, numbers.iter().copied());
        let set = SequenceSet::parse(&text).unwrap();
        prop_assert_eq!(set.resolve(u32::MAX).iter().collect::<BTreeSet<u32>>(), numbers.clone());
        prop_assert_eq!(SequenceSet::from_sorted(numbers.iter().copied()), Some(set.clone()));
        prop_assert_eq!(set.ranges().len(), set.resolve(u32::MAX).ranges().len());
    }

    /// COPYUID pairs numbers by place, so that the order must stay whatever it is.
    #[test]
    fn compact_sets_keep_the_order(numbers in Just((1u32..40).collect::<Vec<_>>()).prop_shuffle()) {
        let mut text = Vec::new();
        write_compact(&mut text, numbers.iter().copied());
        prop_assert_eq!(SequenceSet::parse(&text).unwrap().in_order(100), Some(numbers));
    }

    #[test]
    fn utf7_reads_back(name in "\\PC*") {
        let coded = utf7::encode(&name);
        prop_assert!(coded.bytes().all(|b| (0x20..0x7f).contains(&b)));
        prop_assert_eq!(utf7::decode(coded.as_bytes()), Ok(name));
    }

    /// One name has one spelling: what decodes from ASCII encodes to the same bytes.
    #[test]
    fn utf7_is_canonical(coded in "[a-c&,+/A-Z0-9-]{0,12}") {
        if let Ok(name) = utf7::decode(coded.as_bytes()) {
            prop_assert_eq!(utf7::encode(&name), coded);
        }
    }

    #[test]
    fn utf7_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = utf7::decode(&bytes);
    }

    #[test]
    fn numbers_print(n in any::<u64>(), shift in 0u32..64) {
        for n in [n >> shift, 0, 9, 10, u64::MAX] {
            let mut text = Vec::new();
            push_number(&mut text, n);
            prop_assert_eq!(String::from_utf8(text).unwrap(), n.to_string());
        }
    }
}

#[test]
fn utf7_known_answers() {
    let pairs = [
        ("~peter/mail/&ZeVnLIqe-/&U,BTFw-", "~peter/mail/\u{65e5}\u{672c}\u{8a9e}/\u{53f0}\u{5317}"),
        ("&AMk-l&AOk-ments envoy&AOk-s", "\u{c9}l\u{e9}ments envoy\u{e9}s"),
        ("R&-D", "R&D"),
        ("&2D3eAA-", "\u{1f600}"),
        ("&-&AOk-&-", "&\u{e9}&"),
        ("", ""),
    ];
    for (coded, name) in pairs {
        assert_eq!(utf7::decode(coded.as_bytes()).as_deref(), Ok(name), "{coded}");
        assert_eq!(utf7::encode(name), coded, "{name}");
    }
    // No end, ASCII in Base64, two shifts in a row, half a pair, an odd byte, stray bits, not Base64, padding.
    for broken in ["&", "&AOk", "&AGE-", "&AOk-&AOk-", "&2D0-", "&AA-", "&AOl-", "&AO*-", "&AOk=-", "&/-"] {
        assert!(utf7::decode(broken.as_bytes()).is_err(), "{broken}");
    }
    assert!(utf7::decode(b"caf\xe9").is_err());
    assert_eq!(utf7::decode("caf\u{e9}".as_bytes()).as_deref(), Ok("caf\u{e9}"));
}
