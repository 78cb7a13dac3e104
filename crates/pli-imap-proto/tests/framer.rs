//! Bytes to commands: known answers, the limits, and any split of the input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pli_imap_proto::limits::{COMMAND_BYTES_MAX, LITERAL_BYTES_MAX, LITERALS_COUNT_MAX, RAW_LINE_BYTES_MAX};
use pli_imap_proto::{Announced, Event, Framer, Refusal};
use proptest::prelude::*;

/// What the test's session does with the messages of APPEND.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mode {
    Stream,
    Collect,
    Refuse,
    Abandon,
}

/// An event without borrowed bytes; pieces of a stream are joined, so that splits do not show.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Command(Vec<u8>),
    Continue,
    Literal(Vec<u8>, Announced),
    Streamed(Vec<u8>),
    End(Vec<u8>),
    Line(Vec<u8>),
    Refused(Option<String>, Refusal),
}

fn run<'i>(pieces: impl IntoIterator<Item = &'i [u8]>, mode: Mode) -> Vec<Seen> {
    let mut framer = Framer::new();
    let mut seen = Vec::new();
    let mut message = Vec::new();
    for mut input in pieces {
        while let Some(event) = framer.next(&mut input) {
            match event {
                Event::Command(c) => {
                    assert_eq!(framer.held_bytes(), 0, "nothing is held between commands");
                    if c.to_ascii_uppercase().ends_with(b" IDLE") {
                        framer.expect_line();
                    }
                    seen.push(Seen::Command(c.into_owned()));
                }
                Event::Continue => seen.push(Seen::Continue),
                Event::AppendLiteral(announced) => {
                    seen.push(Seen::Literal(framer.prefix().to_vec(), announced));
                    match mode {
                        Mode::Stream => framer.stream(),
                        Mode::Collect => framer.collect(),
                        Mode::Refuse => framer.refuse(),
                        Mode::Abandon => {
                            framer.stream();
                            framer.abandon();
                        }
                    }
                }
                Event::Stream { bytes, last } => {
                    message.extend_from_slice(bytes);
                    if last {
                        seen.push(Seen::Streamed(std::mem::take(&mut message)));
                    }
                }
                Event::AppendEnd(e) => seen.push(Seen::End(e.into_owned())),
                Event::Line(l) => seen.push(Seen::Line(l.into_owned())),
                Event::Refused { tag, why } => seen.push(Seen::Refused(tag.map(|t| t.to_string()), why)),
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
    seen
}

fn all(input: &[u8], mode: Mode) -> Vec<Seen> {
    let whole = run([input], mode);
    assert_eq!(run(input.chunks(1), mode), whole, "byte by byte");
    assert_eq!(run(input.chunks(7), mode), whole, "in sevens");
    whole
}

fn command(text: &str) -> Seen {
    Seen::Command(text.as_bytes().to_vec())
}
fn refused(tag: &str, why: Refusal) -> Seen {
    Seen::Refused((!tag.is_empty()).then(|| tag.to_owned()), why)
}
const fn announced(bytes: u64, sync: bool) -> Announced {
    Announced { bytes, sync, binary: false }
}

#[test]
fn lines_and_blank_lines() {
    let seen = all(b"a NOOP\r\n\r\n  \r\n\nb noop\nc NOOP  \r\nd ", Mode::Stream);
    assert_eq!(seen, [command("a NOOP"), command("b noop"), command("c NOOP  ")]);
}

#[test]
fn literals_are_collected() {
    let seen = all(b"a LOGIN {4}\r\nanne {6+}\r\nse\r\nct\r\nb LOGIN {0}\n{0+}\r\n\r\nc NOOP\r\n", Mode::Stream);
    let expected = [
        Seen::Continue,
        command("a LOGIN {4}\r\nanne {6+}\r\nse\r\nct"),
        Seen::Continue,
        command("b LOGIN {0}\r\n{0+}\r\n"),
        command("c NOOP"),
    ];
    assert_eq!(seen, expected);
    // A brace at the end of a literal's content does not join with the text behind it.
    let seen = all(b"a LOGIN x {3+}\r\n {2}\r\nb NOOP\r\n", Mode::Stream);
    assert_eq!(seen, [command("a LOGIN x {3+}\r\n {2}"), command("b NOOP")]);
    // A literal that ends with CR, before a bare line feed: the CR was once taken for the line's.
    let seen = all(b"a LOGIN x {2+}\r\ny\r\nb NOOP\r\n", Mode::Stream);
    assert_eq!(seen, [command("a LOGIN x {2+}\r\ny\r"), command("b NOOP")]);
    // No literals: no number, no brace, text behind.
    let seen = all(b"a LOGIN x {}\r\nb LOGIN x {a}\r\nc LOGIN {3} x\r\nd 3}\r\n", Mode::Stream);
    assert_eq!(seen.len(), 4);
}

#[test]
fn append_streams() {
    let input = b"a APPEND inbox (\\Seen) {5}\r\nab\0\r\n \"date\" ~{2+}\r\nxy\r\nb APPEND {5+}\r\ninbox {0+}\r\n\r\nc NOOP\r\n";
    let seen = all(input, Mode::Stream);
    let expected = [
        Seen::Literal(b"a APPEND inbox (\\Seen) {5}".to_vec(), announced(5, true)),
        Seen::Streamed(b"ab\0\r\n".to_vec()),
        Seen::Literal(b" \"date\" ~{2+}".to_vec(), Announced { bytes: 2, sync: false, binary: true }),
        Seen::Streamed(b"xy".to_vec()),
        Seen::End(vec![]),
        Seen::Literal(b"b APPEND {5+}\r\ninbox {0+}".to_vec(), announced(0, false)),
        Seen::Streamed(vec![]),
        Seen::End(vec![]),
        command("c NOOP"),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn append_is_collected_refused_or_abandoned() {
    let input = b"a APPEND inbox {3+}\r\na\r\n {2+}\r\nxy\r\nb NOOP\r\n";
    let first = Seen::Literal(b"a APPEND inbox {3+}".to_vec(), announced(3, false));
    let seen = all(input, Mode::Collect);
    assert_eq!(seen.first(), Some(&first));
    assert_eq!(seen[2..], [command("a APPEND inbox {3+}\r\na\r\n {2+}\r\nxy"), command("b NOOP")]);
    assert_eq!(all(input, Mode::Refuse), [first.clone(), command("b NOOP")]);
    assert_eq!(all(input, Mode::Abandon), [first, command("b NOOP")]);
    // A client that waits sends nothing of what was refused.
    let seen = all(b"a APPEND inbox {3}\r\nb NOOP\r\n", Mode::Refuse);
    assert_eq!(seen, [Seen::Literal(b"a APPEND inbox {3}".to_vec(), announced(3, true)), command("b NOOP")]);
}

#[test]
fn abandon_between_messages_skips_the_rest() {
    let mut framer = Framer::new();
    let mut input: &[u8] = b"a APPEND inbox {1+}\r\nx ";
    assert!(matches!(framer.next(&mut input), Some(Event::AppendLiteral(_))));
    framer.stream();
    assert!(matches!(framer.next(&mut input), Some(Event::Stream { last: true, .. })));
    assert_eq!(framer.next(&mut input), None);
    framer.abandon();
    let mut input: &[u8] = b"{3+}\r\n\r\n\n and more\r\nb NOOP\r\n";
    assert_eq!(framer.next(&mut input), Some(Event::Command(b"b NOOP".into())));
    assert_eq!(framer.held_bytes(), 0);
}

#[test]
fn idle_takes_a_raw_line() {
    let seen = all(b"a IDLE\r\nDONE\r\nb NOOP\r\nc IDLE\r\n\r\nd NOOP\r\n", Mode::Stream);
    let expected = [
        command("a IDLE"),
        Seen::Line(b"DONE".to_vec()),
        command("b NOOP"),
        command("c IDLE"),
        Seen::Line(vec![]),
        command("d NOOP"),
    ];
    assert_eq!(seen, expected);
    let mut framer = Framer::new();
    framer.expect_line();
    framer.expect_command();
    assert_eq!(framer.next(&mut &b"DONE\r\n"[..]), Some(Event::Command(b"DONE".into())));
    framer.expect_line();
    let long = "x".repeat(RAW_LINE_BYTES_MAX + 1) + "\r\na NOOP\r\n";
    let mut input = long.as_bytes();
    assert_eq!(framer.next(&mut input), Some(Event::Refused { tag: None, why: Refusal::LineTooLong }));
    assert_eq!(framer.next(&mut input), Some(Event::Command(b"a NOOP".into())));
}

#[test]
fn oversize_lines_are_skipped() {
    let long = format!("a1 {}", "x".repeat(COMMAND_BYTES_MAX));
    let seen = run([format!("{long}\r\nb NOOP\r\n").as_bytes()], Mode::Stream);
    assert_eq!(seen, [refused("a1", Refusal::LineTooLong), command("b NOOP")]);
    let fits = format!("a1 {}", "x".repeat(COMMAND_BYTES_MAX - 4));
    assert_eq!(run([format!("{fits}\r\n").as_bytes()], Mode::Stream), [command(&fits)]);
    // Without a tag, and with a literal at the end that the client sends at once.
    let input = format!("{}{{10+}}\r\nx NOOP\r\n\r\n rest\r\nb NOOP\r\n", "x".repeat(COMMAND_BYTES_MAX + 5));
    for size in [1, 3, 1000, usize::MAX] {
        let seen = run(input.as_bytes().chunks(size), Mode::Stream);
        assert_eq!(seen, [refused("", Refusal::LineTooLong), command("b NOOP")], "{size}");
    }
    // The limit falls into the literal's marker.
    for over in 0..6 {
        let input = format!("a {}{{9+}}\r\nx NOOP\r\n\r\n\r\nb NOOP\r\n", "x".repeat(COMMAND_BYTES_MAX - 2 - over));
        let seen = run([input.as_bytes()], Mode::Stream);
        assert_eq!(seen.last(), Some(&command("b NOOP")), "{over}");
        assert_eq!(seen.len(), 2, "{over}: {seen:?}");
    }
}

#[test]
fn nul_is_refused() {
    let seen = all(b"a NO\0OP\r\nb LOGIN {3+}\r\nx\0y {1+}\r\nz\r\nc NO\0 {3+}\r\n\r\nx\r\nd NOOP\r\n", Mode::Stream);
    assert_eq!(
        seen,
        [refused("a", Refusal::Nul), refused("b", Refusal::Nul), refused("c", Refusal::Nul), command("d NOOP")]
    );
    assert_eq!(all(b"a X ~{1+}\r\n\0\r\n", Mode::Stream), [command("a X ~{1+}\r\n\0")]);
}

#[test]
fn literals_have_limits() {
    let over = LITERAL_BYTES_MAX + 1;
    let seen = all(format!("a LOGIN {{{over}}}\r\nb NOOP\r\n").as_bytes(), Mode::Stream);
    assert_eq!(seen, [refused("a", Refusal::LiteralTooLong(announced(over, true))), command("b NOOP")]);
    let body = "x".repeat(usize::try_from(over).unwrap());
    let seen = run([format!("a LOGIN {{{over}+}}\r\n{body} x\r\nb NOOP\r\n").as_bytes()], Mode::Stream);
    assert_eq!(seen, [refused("a", Refusal::LiteralTooLong(announced(over, false))), command("b NOOP")]);
    let seen = all(b"a LOGIN {99999999999999999999}\r\nb NOOP\r\n", Mode::Stream);
    assert_eq!(seen, [refused("a", Refusal::LiteralTooLong(announced(u64::MAX, true))), command("b NOOP")]);
    let many = format!("a SEARCH{}\r\nb NOOP\r\n", " {1+}\r\nx".repeat(LITERALS_COUNT_MAX + 1));
    assert_eq!(all(many.as_bytes(), Mode::Stream), [refused("a", Refusal::TooManyLiterals), command("b NOOP")]);
    let some = format!(" {{{LITERAL_BYTES_MAX}+}}\r\n{}", "x".repeat(usize::try_from(LITERAL_BYTES_MAX).unwrap()));
    let much = format!("a SEARCH{}\r\nb NOOP\r\n", some.repeat(5));
    let seen = run([much.as_bytes()], Mode::Stream);
    assert_eq!(seen, [refused("a", Refusal::LiteralTooLong(announced(LITERAL_BYTES_MAX, false))), command("b NOOP")]);
}

/// Pieces of input that matter to the framer, put together at random.
#[test]
fn before_login_little_is_kept() {
    for (before, refused) in [
        ("a LOGIN {60000}\r\n", true),
        ("a LOGIN {60000+}\r\n", true),
        ("a LOGIN {5}\r\nalice {12280}\r\n", true),
        ("a LOGIN {5}\r\nalice {12000}\r\n", false),
    ] {
        let mut framer = Framer::new();
        framer.set_narrow(true);
        let mut input = before.as_bytes();
        let mut found = false;
        while let Some(event) = framer.next(&mut input) {
            found |= matches!(event, Event::Refused { why: Refusal::LiteralTooLong(_), .. });
        }
        assert_eq!(found, refused, "{before:?}");
    }
    let mut framer = Framer::new();
    framer.set_narrow(true);
    let (mut most, mut refusals) = (0, 0);
    for _ in 0..200 {
        let piece = [b'x'; 1000];
        let mut input: &[u8] = &piece;
        while let Some(event) = framer.next(&mut input) {
            assert!(matches!(event, Event::Refused { why: Refusal::LineTooLong, .. }));
            refusals += 1;
        }
        most = most.max(framer.held_bytes());
    }
    assert_eq!(refusals, 1);
    assert!(most <= 32 * 1024, "{most}");
    // Commands in a row are each measured by themselves, and it stays so.
    let many = b"a NOOP\r\n".repeat(5000);
    let mut framer = Framer::new();
    framer.set_narrow(true);
    let mut input: &[u8] = &many;
    let mut commands = 0;
    while let Some(event) = framer.next(&mut input) {
        assert!(matches!(event, Event::Command(_)));
        commands += 1;
    }
    assert_eq!(commands, 5000);
    let mut input: &[u8] = b"a LOGIN {60000}\r\n";
    assert!(matches!(framer.next(&mut input), Some(Event::Refused { .. })));
    framer.set_narrow(false);
    let mut input: &[u8] = b"a LOGIN {60000}\r\n";
    assert!(matches!(framer.next(&mut input), Some(Event::Continue)));
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"a NOOP".to_vec()),
        Just(b"a APPEND inbox ".to_vec()),
        Just(b"x IDLE\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"\0".to_vec()),
        Just(b" ".to_vec()),
        Just(b"{".to_vec()),
        Just(b"}".to_vec()),
        (0u32..12, prop::bool::ANY, prop::bool::ANY).prop_map(|(n, plus, line)| {
            format!("{{{n}{}}}{}", if plus { "+" } else { "" }, if line { "\r\n" } else { "" }).into_bytes()
        }),
        Just(b"~{3+}\r\n".to_vec()),
        Just(b"{70000+}\r\n".to_vec()),
        (65_000usize..66_000).prop_map(|n| vec![b'y'; n]),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|p| p.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn any_split_gives_the_same_events(bytes in input(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12), mode in 0usize..4) {
        let mode = [Mode::Stream, Mode::Collect, Mode::Refuse, Mode::Abandon][mode];
        let whole = run([bytes.as_slice()], mode);
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let pieces = at.windows(2).map(|w| &bytes[w[0]..w[1]]);
        prop_assert_eq!(run(pieces, mode), whole.clone());
        if bytes.len() < 2000 {
            prop_assert_eq!(run(bytes.chunks(1), mode), whole);
        }
    }
}
