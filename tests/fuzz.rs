//! Fuzz targets: every parser of bytes from outside, fed with its seed corpus (`tests/fuzz/<target>/`) as it stands and
//! mutated, for `PLI_FUZZ_SECONDS` each (2 by default; `make fuzz SECONDS_EACH=600` for long).
//!
//! A target fails by a panic, by a run of one input over [`INPUT_SECONDS_MAX`], or by memory that grows by more than
//! [`GROWTH_BYTES_MAX`] after its first tenth. The input that did it is written to
//! `target/fuzz-failures/`; put it into the target's corpus with the mend, and it is replayed for ever.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use pli_smtp::dialogue::{Question, Session, Settings, Step};
use pli_smtp::reply::Reply;

/// One input that takes longer hangs a session.
const INPUT_SECONDS_MAX: u64 = 5;
/// Inputs do not grow beyond this by mutation.
const INPUT_BYTES_MAX: usize = 64 * 1024;

/// Memory that the process may gain while a target runs, from its first tenth on: what is kept of inputs is a leak.
const GROWTH_BYTES_MAX: u64 = 64 << 20;

/// Bytes that mean something to one parser or another.
const PIECES: [&[u8]; 44] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\"",
    b"\\",
    b"(",
    b")",
    b"<",
    b">",
    b"{",
    b"}",
    b"[",
    b"]",
    b"*",
    b"%",
    b"&",
    b"&-",
    b"+",
    b"-",
    b"=",
    b"==",
    b"=?",
    b"?=",
    b";",
    b":",
    b",",
    b"@",
    b".",
    b"..",
    b" ",
    b"\t",
    b"--",
    b"\xff",
    b"\xc3\xa9",
    b"\xed\xa0\x80",
    b"{1+}\r\n",
    b"{99999999999999999999}\r\n",
    b"4294967296",
    b"18446744073709551616",
    b"NIL",
    b"1:*",
    b"\r\n.\r\n",
    b"A",
];

struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n.max(1)
    }
}

fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = rng.below(bytes.len() + 1);
    let end = (at + rng.below(40)).min(bytes.len());
    match rng.below(8) {
        0 => drop(bytes.splice(at..at, PIECES[rng.below(PIECES.len())].iter().copied())),
        1 => drop(bytes.drain(at..end)),
        2 if at < bytes.len() => bytes[at] = u8::try_from(rng.below(256)).unwrap(),
        3 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
        4 => {
            let copy = bytes[at..end].to_vec();
            let most = if rng.below(50) == 0 { 200 } else { 3 };
            let times = 1 + rng.below(most);
            drop(bytes.splice(at..at, copy.repeat(times)));
        }
        5 => bytes.truncate(at),
        6 if !other.is_empty() => {
            let from = rng.below(other.len());
            let to = (from + rng.below(80)).min(other.len());
            drop(bytes.splice(at..end, other[from..to].iter().copied()));
        }
        _ => drop(bytes.splice(at..end, PIECES[rng.below(PIECES.len())].iter().copied())),
    }
    bytes.truncate(INPUT_BYTES_MAX);
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let dir = pli_tests::repository().join("tests/fuzz").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Runs a target over its corpus and mutations of it.
fn fuzz(target: &str, run: impl Fn(&[u8])) {
    let seeds = corpus(target);
    assert!(!seeds.is_empty(), "{target} has no corpus");
    let seconds = std::env::var("PLI_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(2);
    let seed = std::env::var("PLI_FUZZ_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(0x51ed_u64);
    for input in &seeds {
        one(target, &run, input);
    }
    let mut rng = Rng(seed.max(1));
    let mut inputs = 0u64;
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let warm = began + Duration::from_secs(seconds) / 10;
    let mut before = None;
    while Instant::now() < until {
        if before.is_none() && Instant::now() >= warm {
            before = Some(resident());
        }
        let mut input = seeds[rng.below(seeds.len())].clone();
        let other = rng.below(seeds.len());
        for _ in 0..=rng.below(12) {
            mutate(&mut rng, &mut input, &seeds[other]);
        }
        one(target, &run, &input);
        inputs += 1;
    }
    let grown = resident().saturating_sub(before.unwrap_or(u64::MAX));
    println!("{target}: {} seeds, {inputs} mutations in {seconds} s, grown by {} KB", seeds.len(), grown >> 10);
    // Targets share the process where they run at once: only the long runs, one after the other, can tell.
    assert!(
        seconds < 60 || grown < GROWTH_BYTES_MAX,
        "{target} keeps memory: {grown} bytes more than after a tenth of its time"
    );
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

fn one(target: &str, run: impl Fn(&[u8]), input: &[u8]) {
    let started = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| run(input)));
    let slow = started.elapsed() > Duration::from_secs(INPUT_SECONDS_MAX);
    if result.is_err() || slow {
        let dir = std::env::current_exe().unwrap().parent().unwrap().join("fuzz-failures");
        std::fs::create_dir_all(&dir).unwrap();
        let file = dir.join(format!("{target}-{}", input.len()));
        std::fs::write(&file, input).unwrap();
        panic!("{target} {} on {}", if slow { "hangs" } else { "panics" }, file.display());
    }
}

#[test]
fn fuzz_mime_summary() {
    fuzz("mime", |raw| {
        let summary = pli_mime::summarise(raw, &pli_mime::Limits::default());
        let again = pli_mime::Summary::decode(&summary.encode()).expect("what was encoded is decoded");
        assert_eq!(again, summary);
        let mut out = Vec::new();
        pli_mime::write_envelope(&mut out, summary.envelope());
        pli_mime::write_body(&mut out, summary.root(), true);
        pli_mime::searchable(raw, &summary, &mut |_, text| pli_mime::contains_folded(text, "needle"));
        for part in summary.parts() {
            assert!(part.body_range().end <= raw.len() as u64);
        }
        let _ = pli_mime::fix::remove_header(raw, "Bcc");
    });
}

#[test]
fn fuzz_mime_summary_decode() {
    fuzz("summary", |bytes| {
        // A summary is read from the disk: damage must be refused or harmless.
        let mut encoded = pli_mime::summarise(bytes, &pli_mime::Limits::default()).encode();
        for (at, byte) in bytes.iter().take(4).enumerate() {
            let length = encoded.len();
            encoded[usize::from(*byte) * (at + 7) % length] ^= byte | 1;
        }
        for bytes in [&encoded[..], bytes] {
            if let Ok(summary) = pli_mime::Summary::decode(bytes) {
                let mut out = Vec::new();
                pli_mime::write_envelope(&mut out, summary.envelope());
                pli_mime::write_body(&mut out, summary.root(), true);
            }
        }
    });
}

#[test]
fn fuzz_imap_session() {
    use pli_imap_proto::{Event, Framer, parse, parse_append_prefix};
    fuzz("imap", |bytes| {
        for (piece, utf8) in [(1, false), (7, true), (4096, false)] {
            let mut framer = Framer::new();
            for mut input in bytes.chunks(piece) {
                while let Some(event) = framer.next(&mut input) {
                    match event {
                        Event::Command(command) => {
                            let _ = parse(&command, utf8);
                        }
                        Event::AppendLiteral(_) => {
                            if parse_append_prefix(framer.prefix(), utf8).is_ok() {
                                framer.stream()
                            } else {
                                framer.refuse()
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    });
}

/// What a framer makes of bytes that come in these pieces.
fn framed<'b>(pieces: impl Iterator<Item = &'b [u8]>) -> Vec<String> {
    use pli_imap_proto::{Event, Framer, parse, parse_append_prefix};
    let mut framer = Framer::new();
    let (mut events, mut literal) = (Vec::new(), Vec::new());
    for mut input in pieces {
        while let Some(event) = framer.next(&mut input) {
            match event {
                Event::Command(command) => events.push(format!("{command:?} {:?}", parse(&command, true))),
                Event::AppendLiteral(literal) => {
                    events.push(format!("{literal:?}"));
                    if parse_append_prefix(framer.prefix(), true).is_ok() { framer.stream() } else { framer.refuse() }
                }
                // How a message is cut is the wire's; what it is, is not.
                Event::Stream { bytes, last } => {
                    literal.extend_from_slice(bytes);
                    if last {
                        events.push(format!("{:?}", std::mem::take(&mut literal)));
                    }
                }
                other => events.push(format!("{other:?}")),
            }
        }
    }
    events.push(format!("{literal:?}"));
    events
}

#[test]
fn fuzz_imap_session_in_any_split() {
    fuzz("imap", |bytes| {
        let whole = framed(std::iter::once(bytes));
        // Where it is cut follows from what it is, so that a failure repeats.
        let mut rng =
            Rng(bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte))) | 1);
        let (mut rest, mut pieces) = (bytes, Vec::new());
        while !rest.is_empty() {
            let most = if rng.below(3) == 0 { 400 } else { 9 };
            let (piece, after) = rest.split_at((1 + rng.below(most)).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        assert_eq!(framed(pieces.into_iter()), whole);
    });
}

#[test]
fn fuzz_imap_qresync() {
    use pli_imap_proto::{Event, Framer, parse};
    fuzz("qresync", |bytes| {
        let mut framer = Framer::new();
        let mut input = bytes;
        while let Some(event) = framer.next(&mut input) {
            match event {
                Event::Command(command) => {
                    // Known UIDs and sequence numbers are read, and resolved against a mailbox, in bounded time.
                    let _ = format!("{:?}", parse(&command, false));
                }
                Event::AppendLiteral(_) => framer.refuse(),
                _ => {}
            }
        }
    });
}

#[test]
fn fuzz_pop3_session() {
    use pli_pop3::lines::Lines;
    let all = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next(pli_pop3::LINE_BYTES_MAX) {
                found.push(line.ok().map(|line| format!("{:?}", pli_pop3::command::parse(&line))));
            }
        }
        found
    };
    fuzz("pop3", |bytes| {
        let one = all(&mut bytes.chunks(1));
        assert_eq!(one, all(&mut bytes.chunks(7)));
        // Read as a message: whatever it is, a client finds its end, and finds it once.
        for piece in [1, 5, 4096] {
            let (mut dots, mut out) = (pli_pop3::Dots::default(), Vec::new());
            bytes.chunks(piece).for_each(|piece| dots.push(piece, &mut out));
            dots.finish(&mut out);
            assert!(out.ends_with(b"\r\n.\r\n") || out == b".\r\n");
            let body = &out[..out.len() - 3];
            assert!(!body.split(|byte| *byte == b'\n').any(|line| line == b"." || line == b".\r"), "an end within");
        }
    });
}

#[test]
fn fuzz_imap_sequence_set_and_utf7() {
    fuzz("names", |bytes| {
        if let Some(set) = pli_imap_proto::SequenceSet::parse(bytes) {
            let resolved = set.resolve(1000);
            assert!(resolved.count() <= 1000);
        }
        let text = String::from_utf8_lossy(bytes);
        if let Ok(name) = pli_imap_proto::utf7::decode(bytes) {
            let printed = pli_imap_proto::utf7::encode(&name);
            assert_eq!(pli_imap_proto::utf7::decode(printed.as_bytes()).ok(), Some(name));
        }
        if let Ok(name) = pli_types::MailboxName::new(&text) {
            assert_eq!(pli_types::MailboxName::new(name.as_str()), Ok(name));
        }
        if let Ok(address) = pli_types::Address::parse(&text) {
            assert_eq!(pli_types::Address::parse(&address.to_string()), Ok(address.clone()));
            assert!(!address.wire(false).contains(['\r', '\n', '\0']));
        }
    });
}

#[test]
fn fuzz_smtp_session() {
    let settings = |role, tls: bool| Settings {
        role,
        hostname: String::from("mail.example.org"),
        message_bytes_max: 10_000,
        recipients_max: 5,
        bad_commands_max: 20,
        login_failures_max: 3,
        future_release: (60, pli_types::UnixMillis(60_000)),
        starttls: !tls,
        tls,
    };
    let answer = |question: Question| match question {
        // RFC 3030 §3: what is said to be of any bytes is.
        Question::Message { from, .. } if from.binary => Reply::new(250, "2.0.0", "queued"),
        Question::Message { body, .. } => {
            assert!(!body.contains(&0));
            assert!(!String::from_utf8_lossy(&body).replace("\r\n", "").contains(['\r', '\n']), "only whole line ends");
            Reply::new(250, "2.0.0", "queued")
        }
        Question::Login(_) => Reply::new(235, "2.7.0", "ok"),
        _ => Reply::new(250, "2.1.0", "ok"),
    };
    fuzz("smtp", |bytes| {
        for (role, tls, piece) in [
            (pli_smtp::Role::Mx, false, 4096),
            (pli_smtp::Role::Submissions, true, 3),
            (pli_smtp::Role::Lmtp, false, 1),
        ] {
            let mut session = Session::new(settings(role, tls));
            'session: for piece in bytes.chunks(piece) {
                session.receive(piece);
                loop {
                    let step = session.poll();
                    drop(session.take_output());
                    match step {
                        Step::Input => break,
                        Step::Ask(question) => session.answer(answer(question)),
                        Step::StartTls => session.tls_started(),
                        Step::Close => break 'session,
                    }
                }
            }
        }
    });
}

#[test]
fn fuzz_admin_request() {
    fuzz("admin", |bytes| {
        if let Ok(request) = serde_json::from_slice::<pli_admin::Request>(bytes) {
            let again = serde_json::to_vec(&request).unwrap();
            assert_eq!(serde_json::from_slice::<pli_admin::Request>(&again).unwrap(), request);
        }
    });
}

#[test]
fn fuzz_stored_forms() {
    // What a damaged disk may hand to the decoders.
    fuzz("stored", |bytes| {
        let _ = pli_crypto::KeyWrap::decode(bytes);
        let _ = pli_crypto::AccountKeyBlob::decode(bytes);
        let _ = pli_crypto::EpochBlob::decode(bytes);
        // Never with a passphrase: that runs argon2 for each.
        let _ = pli_crypto::FileKeyStore::open(bytes, None);
        let _ = pli_audit::Event::decode(bytes);
        let _ = pli_audit::Leaf::decode(bytes);
        let _ = pli_audit::TreeState::decode(bytes);
        let _ = pli_audit::decode_bundle(bytes);
        let _ = pli_audit::SealedEvent::from_bytes(bytes.to_vec());
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = pli_audit::Checkpoint::parse(text);
            let _ = pli_audit::TileId::parse(text);
            let _ = pli_audit::EntryProof::parse(text);
        }
    });
}

#[test]
fn fuzz_mail_auth() {
    use pli_mailauth::dkim::canon::{Canon, body_hash, push_field};
    use pli_mailauth::dkim::key::{Algorithm, parse};
    use pli_mailauth::dkim::verify::{Bodies, Signature};
    use pli_mailauth::message::Message;
    fuzz("mailauth", |bytes| {
        if let Ok(spf) = pli_mailauth::spf::record::Spf::parse(bytes) {
            assert!(spf.directives.len() <= bytes.len());
        }
        let _ = pli_mailauth::spf::record::parse_explanation(bytes);
        let _ = pli_mailauth::dmarc::DmarcRecord::parse(bytes);
        let _ = pli_mailauth::policy::sts::Policy::parse(bytes);
        for algorithm in [Algorithm::RsaSha256, Algorithm::Ed25519Sha256] {
            if let Ok(key) = parse(bytes, algorithm) {
                assert!(!key.verifies(b"never signed", &[0; 64]));
            }
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = pli_mailauth::dns::Zone::parse(text);
        }
        let message = Message::parse(bytes);
        let header: usize = message.fields.iter().map(|field| field.raw.len()).sum();
        assert!(header + message.body.len() <= bytes.len());
        let _ = Bodies::of_message(&message);
        let (_, length) = body_hash(message.body, Canon::Relaxed, Some(7));
        assert!(length <= message.body.len() as u64 + 2);
        for field in &message.fields {
            let mut out = Vec::new();
            push_field(&mut out, field.raw, Canon::Relaxed);
            assert!(out.ends_with(b"\r\n") && out.len() <= field.raw.len() + 2);
            if let Ok(tags) = pli_mailauth::tags::Tags::parse(field.value())
                && let Ok(signature) = Signature::read(&tags, 1_700_000_000)
            {
                let _ = signature.header_data(&message, field.raw);
            }
        }
        if let Some(left) = pli_mailauth::results::without_forged(bytes, "mail.example.org") {
            assert!(left.len() < bytes.len());
            assert_eq!(pli_mailauth::results::without_forged(&left, "mail.example.org"), None);
        }
    });
}
