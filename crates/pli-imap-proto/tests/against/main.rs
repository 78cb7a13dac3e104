//! Against an independent grammar: what it prints we read with the same meaning, and what it reads we read too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod generate;
mod meaning;

use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::encode::Encoder;
use pli_imap_proto::{CommandError, Event, Framer, parse};

use generate::{Rng, command};
use meaning::{canonical, meaning};

/// Through the framer in pieces of a random size, as a session would.
fn frame(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut framer = Framer::new();
    let size = rng.below(9) + 1;
    for mut piece in bytes.chunks(size) {
        while let Some(event) = framer.next(&mut piece) {
            match event {
                Event::Command(command) => return command.into_owned(),
                Event::AppendLiteral(_) => framer.collect(),
                Event::Continue => {}
                other => panic!("{other:?} in {:?}", String::from_utf8_lossy(bytes)),
            }
        }
    }
    panic!("no command in {:?}", String::from_utf8_lossy(bytes))
}

#[test]
fn what_it_prints_we_read() {
    let mut rng = Rng(0x5eed);
    let mut verbs = std::collections::BTreeMap::<&str, u32>::new();
    for _ in 0..20_000 {
        let theirs = command(&mut rng);
        let bytes = CommandCodec::new().encode(&theirs).dump();
        let framed = frame(&mut rng, &bytes);
        let ours = parse(&framed, false).unwrap_or_else(|e| panic!("{e} in {:?}", String::from_utf8_lossy(&bytes)));
        let expected = meaning(&theirs).unwrap_or_else(|| panic!("no meaning for {theirs:?}"));
        assert_eq!(ours.tag.as_str(), theirs.tag.inner());
        *verbs.entry(ours.body.verb()).or_default() += 1;
        assert_eq!(canonical(ours.body), canonical(expected), "{:?}", String::from_utf8_lossy(&bytes));
    }
    assert!(verbs.len() >= 38, "{verbs:?}");
    assert!(verbs.values().all(|&n| n > 50), "{verbs:?}");
}

/// Bytes of `line` changed at a few places.
fn mutate(rng: &mut Rng, line: &[u8]) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b" ",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"*",
        b"%",
        b":",
        b",",
        b"{1}\r\n",
        b"{3+}\r\n",
        b"[",
        b"]",
        b"<",
        b">",
        b".",
        b"0",
        b"1",
        b"NIL",
        b"\\Seen",
        b"&",
        b"-",
        b"$",
        b"a",
    ];
    let mut line = line.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(line.len() + 1);
        match rng.below(5) {
            0 => drop(line.splice(at..at, PIECES[rng.below(PIECES.len())].iter().copied())),
            1 if at < line.len() => drop(line.remove(at)),
            2 if at < line.len() => line[at] = PIECES[rng.below(PIECES.len())][0],
            3 if at < line.len() => line[at] = u8::try_from(rng.below(127 - 32) + 32).unwrap(),
            _ => line.truncate(at.max(3)),
        }
    }
    line
}

#[test]
fn what_it_reads_we_read() {
    let mut rng = Rng(0xfeed);
    let (mut both, mut stricter) = (0, 0);
    for _ in 0..200_000 {
        let seed = CommandCodec::new().encode(&command(&mut rng)).dump();
        let mut line = mutate(&mut rng, seed.strip_suffix(b"\r\n").unwrap());
        line.extend_from_slice(b"\r\n");
        let Ok((rest, theirs)) = CommandCodec::new().decode(&line) else {
            continue;
        };
        let Some(expected) = meaning(&theirs) else {
            continue;
        };
        let framed = &frame(&mut rng, &line[..line.len() - rest.len()]);
        // A trailing blank is no empty initial response: clients leave it there.
        if framed.ends_with(b" ") && framed.windows(5).any(|w| w.eq_ignore_ascii_case(b"AUTHE")) {
            continue;
        }
        match parse(framed, false) {
            Ok(ours) => {
                assert_eq!(canonical(ours.body), canonical(expected), "{:?}", String::from_utf8_lossy(framed));
                both += 1;
            }
            Err(CommandError::MailboxName { .. }) => {}
            // Ours is stricter on purpose: no zone has 60 minutes and more.
            Err(CommandError::BadArguments { text: "Not a date", .. }) => stricter += 1,
            Err(e) => panic!("{e}: {:?} is {theirs:?}", String::from_utf8_lossy(framed)),
        }
    }
    assert!(both > 20_000 && stricter < both / 100, "{both} {stricter}");
}
