//! No bytes panic, whatever comes: sessions of clients, as they stand and broken at random from fixed seeds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pli_imap_proto::{AppendReader, CommandError, Event, Framer, Out, Tag, parse, parse_append_prefix};
use proptest::prelude::*;

const CORPUS: [(&str, &[u8]); 3] = [
    ("desktop", include_bytes!("corpus/desktop.imap")),
    ("phone", include_bytes!("corpus/phone.imap")),
    ("append", include_bytes!("corpus/append.imap")),
];

/// What a session does with each event, and how the commands fare.
fn session(bytes: &[u8], piece: usize, utf8: bool, collect: bool) -> (usize, Vec<CommandError>) {
    let mut framer = Framer::new();
    let mut out = Out::new();
    let mut fine = 0;
    let mut errors = Vec::new();
    let mut append: Option<(Tag, AppendReader)> = None;
    for mut input in bytes.chunks(piece) {
        while let Some(event) = framer.next(&mut input) {
            let result = match event {
                Event::Command(command) => parse(&command, utf8).map(|command| {
                    if command.body.verb() == "IDLE" {
                        framer.expect_line();
                    }
                }),
                Event::AppendLiteral(_) if collect => {
                    framer.collect();
                    continue;
                }
                Event::AppendLiteral(_) => {
                    let meta = match &mut append {
                        None => parse_append_prefix(framer.prefix(), utf8).map(|p| (p.tag, p.reader)),
                        Some((tag, reader)) => reader.next(tag, framer.prefix()).map(|_| (tag.clone(), *reader)),
                    };
                    match meta {
                        Ok(meta) => {
                            append = Some(meta);
                            framer.stream();
                            continue;
                        }
                        Err(e) => {
                            append = None;
                            framer.refuse();
                            Err(e)
                        }
                    }
                }
                Event::AppendEnd(end) => {
                    let (tag, mut reader) = append.take().expect("a stream before its end");
                    reader.end(&tag, &end).map(drop)
                }
                Event::Continue | Event::Stream { .. } => continue,
                Event::Line(_) => Ok(()),
                Event::Refused { .. } => {
                    append = None;
                    Err(CommandError::NoTag)
                }
            };
            match result {
                Ok(()) => fine += 1,
                Err(e) => {
                    out.command_error(&e);
                    errors.push(e);
                }
            }
        }
    }
    // Each error is one line, whatever the input was.
    let lines = out.as_bytes().iter().filter(|&&b| b == b'\n').count();
    assert_eq!(lines, errors.len());
    assert!(out.as_bytes().iter().all(|&b| matches!(b, b'\r' | b'\n' | 0x20..=0x7e)));
    (fine, errors)
}

#[test]
fn the_corpus_is_understood() {
    for ((name, bytes), commands) in CORPUS.into_iter().zip([20, 23, 5]) {
        for (piece, utf8, collect) in [(usize::MAX, false, false), (1, false, true), (3, true, false), (64, true, true)]
        {
            let (fine, errors) = session(bytes, piece, utf8, collect);
            assert_eq!((fine, errors), (commands, vec![]), "{name}");
        }
    }
}

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>) {
    const PIECES: [&[u8]; 20] = [
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b"\"",
        b"\\",
        b"(",
        b")",
        b"{1+}\r\n",
        b"{99999999999999999999+}\r\n",
        b"~{0}\r\n",
        b" ",
        b"[",
        b"]<0.1>",
        b"*",
        b"&",
        b"\xff",
        b"4294967296",
        b"18446744073709551616",
        b"\xc3\xa9",
    ];
    let at = rng.below(bytes.len() + 1);
    let end = (at + rng.below(12)).min(bytes.len());
    match rng.below(5) {
        0 => drop(bytes.splice(at..at, PIECES[rng.below(PIECES.len())].iter().copied())),
        1 => drop(bytes.drain(at..end)),
        2 if at < bytes.len() => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
        3 => {
            let copy = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() + 1);
            drop(bytes.splice(to..to, copy));
        }
        _ => drop(bytes.splice(at..end, PIECES[rng.below(PIECES.len())].iter().copied())),
    }
}

#[test]
fn mutated_sessions_never_panic() {
    let mut rng = Rng(0x1eaf);
    let (mut fine, mut wrong) = (0, 0);
    for _ in 0..12_000 {
        let mut bytes = CORPUS[rng.below(CORPUS.len())].1.to_vec();
        for _ in 0..=rng.below(8) {
            mutate(&mut rng, &mut bytes);
        }
        let (f, e) = session(&bytes, rng.below(80) + 1, rng.below(2) == 0, rng.below(2) == 0);
        fine += f;
        wrong += e.len();
    }
    assert!(fine > 10_000 && wrong > 1_000, "{fine} {wrong}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), utf8 in any::<bool>()) {
        session(&bytes, 16, utf8, true);
        let _ = parse(&bytes, utf8);
        let _ = parse_append_prefix(&bytes, utf8);
    }
}
