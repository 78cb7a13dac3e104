//! The session's core without a world: what it answers, that no split of the input matters, and that no input breaks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use pli_sasl::Ask;
use pli_smtp::dialogue::{Question, Session, Settings, Step};
use pli_smtp::reply::Reply;
use pli_smtp::{ForwardPath, Role};
use pli_types::UnixMillis;
use proptest::prelude::*;

fn settings(role: Role, tls: bool) -> Settings {
    Settings {
        role,
        hostname: String::from("mail.example.org"),
        message_bytes_max: 1000,
        recipients_max: 3,
        bad_commands_max: 20,
        login_failures_max: 3,
        starttls: !tls,
        tls,
        future_release: (60, UnixMillis(60_000)),
    }
}

/// What came out of a session.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    output: Vec<u8>,
    messages: Vec<Vec<u8>>,
    logins: Vec<(String, String)>,
    closed: bool,
}

impl Seen {
    fn text(&self) -> String {
        String::from_utf8(self.output.clone()).unwrap()
    }
    /// The codes of all replies, the greeting left out.
    fn codes(&self) -> Vec<u16> {
        self.text()
            .lines()
            .skip(1)
            .filter(|line| line.as_bytes()[3] == b' ')
            .map(|line| line[..3].parse().unwrap())
            .collect()
    }
}

/// A world in which `x…` is unknown and `f…` full, and `secret` is everybody's password.
fn answer(question: Question, seen: &mut Seen) -> Reply {
    match question {
        Question::Sender(_) => Reply::new(250, "2.1.0", "ok"),
        Question::Recipient { path: ForwardPath::To(to), .. } if to.local().starts_with('x') => {
            Reply::new(550, "5.1.1", "no")
        }
        Question::Recipient { path: ForwardPath::To(to), .. } if to.local().starts_with('f') => {
            Reply::new(452, "4.2.2", "full")
        }
        Question::Recipient { .. } => Reply::new(250, "2.1.5", "ok"),
        Question::Login(Ask::Password { user, password }) => {
            let good = password.expose() == "secret";
            seen.logins.push((user, password.expose().to_owned()));
            if good { Reply::new(235, "2.7.0", "ok") } else { Reply::new(535, "5.7.8", "no") }
        }
        Question::Login(_) => Reply::new(535, "5.7.8", "no"),
        Question::Message { body, .. } => {
            seen.messages.push(body);
            Reply::new(250, "2.0.0", "queued")
        }
    }
}

fn run(settings: Settings, pieces: &[&[u8]]) -> Seen {
    let mut session = Session::new(settings);
    let mut seen = Seen::default();
    let first: &[u8] = b"";
    for piece in std::iter::once(&first).chain(pieces) {
        session.receive(piece);
        loop {
            let step = session.poll();
            seen.output.extend(session.take_output());
            match step {
                Step::Input => break,
                Step::Ask(question) => {
                    let reply = answer(question, &mut seen);
                    session.answer(reply);
                }
                Step::StartTls => session.tls_started(),
                Step::Close => {
                    seen.closed = true;
                    return seen;
                }
            }
        }
    }
    seen
}

fn mx(input: &str) -> Seen {
    run(settings(Role::Mx, false), &[input.as_bytes()])
}
fn submissions(input: &str) -> Seen {
    run(settings(Role::Submissions, true), &[input.as_bytes()])
}

const BEGIN: &str = "EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<bob@example.org>\r\n";

#[test]
fn a_message_pipelined_whole() {
    let seen = mx(&format!("{BEGIN}DATA\r\nSubject: s\r\n\r\n..dot\r\n.\r\nQUIT\r\n"));
    assert_eq!(seen.codes(), [250, 250, 250, 354, 250, 221]);
    assert_eq!(seen.messages, [b"Subject: s\r\n\r\n.dot\r\n".to_vec()]);
    assert!(seen.closed);
}

#[test]
fn no_smuggling() {
    for end in ["\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r\n.\r", "\r.\r\n", "\n\n.\r\n"] {
        let inner = "MAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\n";
        let seen = mx(&format!("{BEGIN}DATA\r\nSubject: s\r\n\r\ntext{end}{inner}\r\n.\r\nNOOP\r\n"));
        assert_eq!(seen.codes(), [250, 250, 250, 354, 550, 250], "{end:?}");
        assert!(seen.messages.is_empty(), "{end:?}");
    }
}

#[test]
fn order_is_kept() {
    assert_eq!(mx("MAIL FROM:<a@b>\r\n").codes(), [503]);
    assert_eq!(mx("EHLO c\r\nRCPT TO:<a@b>\r\nDATA\r\n").codes(), [250, 503, 503]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\nDATA\r\n").codes(), [250, 250, 503, 503]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<x@y>\r\nDATA\r\n").codes(), [250, 250, 550, 554]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<>\r\nRSET\r\nRCPT TO:<a@b>\r\n").codes(), [250, 250, 250, 503]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<>\r\nEHLO c\r\nRCPT TO:<a@b>\r\n").codes(), [250, 250, 250, 503]);
}

#[test]
fn limits() {
    let many = "RCPT TO:<b@c.test>\r\n".repeat(4);
    assert_eq!(mx(&format!("EHLO c\r\nMAIL FROM:<>\r\n{many}")).codes(), [250, 250, 250, 250, 250, 452]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<> SIZE=1001\r\n").codes(), [250, 552]);
    let long = "x".repeat(998);
    let seen = mx(&format!("{BEGIN}DATA\r\n{long}\r\n{long}\r\n.\r\nNOOP\r\n"));
    assert_eq!(seen.codes(), [250, 250, 250, 354, 552, 250]);
    let seen = mx(&format!("{BEGIN}DATA\r\n{}", format!("{long}\r\n").repeat(10)));
    assert_eq!(seen.codes(), [250, 250, 250, 354, 552]);
    assert!(seen.closed, "somebody who never stops is cut off");
    assert_eq!(mx(&format!("NOOP {}\r\nNOOP\r\n", "x".repeat(3000))).codes(), [500, 250]);
    let seen = mx(&"WHAT\r\n".repeat(50));
    assert_eq!(seen.codes().last(), Some(&421));
    assert!(seen.closed);
    assert_eq!(seen.codes().len(), 22);
    let seen = mx(&format!("EHLO c\r\nMAIL FROM:<>\r\n{}", "RCPT TO:<x@y.test>\r\n".repeat(200)));
    assert!(seen.closed);
    assert_eq!(seen.codes().len(), 2 + 100 + 1);
}

#[test]
fn lines_end_with_crlf_only() {
    assert_eq!(mx("NOOP\nNOOP\r\n").codes(), [500, 250]);
    assert_eq!(mx("NO\rOP\r\nNOOP\r\n").codes(), [500, 250]);
}

#[test]
fn chunks() {
    let seen = mx(&format!("{BEGIN}BDAT 8\r\nA: b\r\n\r\nBDAT 0\r\nBDAT 5 LAST\r\n.\r\nx\nNOOP\r\n"));
    // The LF that ends the last chunk is bare.
    assert_eq!(seen.codes(), [250, 250, 250, 250, 250, 550, 250]);
    let seen = mx(&format!("{BEGIN}BDAT 8\r\nA: b\r\n\r\nBDAT 6 LAST\r\n.\r\n.\r\nNOOP\r\n"));
    assert_eq!(seen.codes(), [250, 250, 250, 250, 250, 250]);
    assert_eq!(seen.messages, [b"A: b\r\n\r\n.\r\n.\r\n".to_vec()], "no dot-stuffing in chunks");
    // A chunk that comes too early is read all the same.
    assert_eq!(mx("EHLO c\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n").codes(), [250, 503, 250]);
    // After a chunk that failed, the others fail too.
    let big = "x".repeat(1001);
    let seen = mx(&format!("{BEGIN}BDAT 1001\r\n{big}BDAT 4 LAST\r\nQUITNOOP\r\n"));
    assert_eq!(seen.codes(), [250, 250, 250, 552, 503, 250]);
    assert!(seen.messages.is_empty());
    let seen = mx(&format!("{BEGIN}BDAT 2\r\nxxDATA\r\nRCPT TO:<c@d>\r\n"));
    assert_eq!(seen.codes(), [250, 250, 250, 250, 503, 503]);
    assert!(mx(&format!("{BEGIN}BDAT 99999999 LAST\r\n")).closed);
}

#[test]
fn starttls_forgets() {
    // In one packet: what follows STARTTLS came in the clear.
    let seen = mx("EHLO c\r\nSTARTTLS\r\nMAIL FROM:<evil@b.test>\r\n");
    assert_eq!(seen.codes(), [250, 220]);
    let pieces: [&[u8]; 2] = [b"EHLO c\r\nMAIL FROM:<>\r\nSTARTTLS\r\n", b"MAIL FROM:<>\r\nEHLO c\r\nSTARTTLS\r\n"];
    let seen = run(settings(Role::Mx, false), &pieces);
    assert_eq!(seen.codes(), [250, 250, 220, 503, 250, 503]);
    assert_eq!(seen.text().matches("STARTTLS").count(), 1, "offered before TLS only");
}

#[test]
fn submission_needs_tls_then_auth() {
    let clear = run(
        settings(Role::Submission, false),
        &[b"EHLO c\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\nMAIL FROM:<>\r\nSTARTTLS\r\n", b"EHLO c\r\nMAIL FROM:<>\r\n"],
    );
    assert_eq!(clear.codes(), [250, 538, 530, 220, 250, 530]);
    assert!(clear.logins.is_empty());
    let before_tls = clear.text().split("220 2.0.0").next().unwrap().to_owned();
    assert!(!before_tls.contains("AUTH"), "{before_tls}");
    assert!(clear.text().contains("AUTH PLAIN LOGIN"));
}

#[test]
fn authentication() {
    let seen = submissions("EHLO c\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\nMAIL FROM:<>\r\n");
    assert_eq!(seen.codes(), [250, 235, 503, 250]);
    assert_eq!(seen.logins, [(String::from("bob"), String::from("secret"))]);
    assert_eq!(submissions("EHLO c\r\nAUTH PLAIN\r\nAGJvYgBzZWNyZXQ=\r\n").codes(), [250, 334, 235]);
    assert_eq!(submissions("EHLO c\r\nAUTH LOGIN\r\nYm9i\r\nc2VjcmV0\r\n").codes(), [250, 334, 334, 235]);
    assert_eq!(submissions("EHLO c\r\nauth login Ym9i\r\nc2VjcmV0\r\n").codes(), [250, 334, 235]);
    assert_eq!(submissions("EHLO c\r\nAUTH PLAIN\r\n*\r\nNOOP\r\n").codes(), [250, 334, 501, 250]);
    assert_eq!(submissions("EHLO c\r\nAUTH CRAM-MD5\r\nAUTH PLAIN !\r\n").codes(), [250, 504, 501]);
    let wrong = "AUTH PLAIN AGJvYgB3cm9uZw==\r\n".repeat(4);
    let seen = submissions(&format!("EHLO c\r\n{wrong}"));
    assert_eq!(seen.codes(), [250, 535, 535, 535, 421]);
    assert!(seen.closed);
    assert_eq!(mx("EHLO c\r\nAUTH PLAIN AGJvYgBzZWNyZXQ=\r\n").codes(), [250, 502]);
}

#[test]
fn lmtp_answers_for_each_recipient() {
    let input =
        "LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<a@b>\r\nRCPT TO:<x@b>\r\nRCPT TO:<c@b>\r\nDATA\r\nA: b\r\n.\r\nEHLO c\r\n";
    let seen = run(settings(Role::Lmtp, false), &[input.as_bytes()]);
    assert_eq!(seen.codes(), [250, 250, 250, 550, 250, 354, 250, 250, 500]);
    assert_eq!(seen.messages.len(), 1);
    assert_eq!(mx("LHLO c\r\n").codes(), [500]);
}

#[test]
fn international_addresses() {
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<é@b.test>\r\n").codes(), [250, 553]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<é@b.test> SMTPUTF8\r\nRCPT TO:<ü@b.test>\r\n").codes(), [250, 250, 250]);
    assert_eq!(mx("EHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<ü@b.test>\r\n").codes(), [250, 250, 553]);
}

/// Lines and contents that a script is put together from.
const PIECES: &[&str] = &[
    "EHLO c.test\r\n",
    "HELO c\r\n",
    "MAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME\r\n",
    "MAIL FROM:<>\r\n",
    "RCPT TO:<bob@example.org>\r\n",
    "RCPT TO:<x@example.org>\r\n",
    "RCPT TO:<\"q > q\"@example.org>\r\n",
    "DATA\r\n",
    "Subject: s\r\n\r\ntext\r\n..\r\n.\r\n",
    "a\n.\nb\r\n.\r\n",
    "\r\n.\r",
    ".\r\n",
    "BDAT 3\r\nabc",
    "BDAT 4 LAST\r\nab\r\n",
    "BDAT 9 LAST\r\n",
    "NOOP\r\n",
    "NOOP\n",
    "RSET\r\n",
    "VRFY x\r\n",
    "XYZZY\r\n",
    "AUTH PLAIN\r\n",
    "AUTH LOGIN Ym9i\r\n",
    "AGJvYgBzZWNyZXQ=\r\n",
    "*\r\n",
    "\0\r\n",
    "\r\r\n",
    "é\r\n",
    "QUIT\r\n",
];

fn roles() -> impl Strategy<Value = Settings> {
    prop_oneof![
        Just(settings(Role::Mx, false)),
        Just(settings(Role::Submissions, true)),
        Just(settings(Role::Lmtp, false)),
    ]
}

proptest! {
    #[test]
    fn any_split_gives_the_same(
        settings in roles(),
        script in proptest::collection::vec(proptest::sample::select(PIECES), 0..25),
        long in proptest::option::of(0usize..5000),
        cuts in proptest::collection::vec(0usize..6000, 0..12),
    ) {
        let mut input = script.concat().into_bytes();
        if let Some(long) = long {
            input.extend(std::iter::repeat_n(b'A', long));
            input.extend_from_slice(b"\r\nNOOP\r\n");
        }
        let whole = run(settings.clone(), &[&input]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &input[w[0]..w[1]]).collect();
        prop_assert_eq!(&run(settings.clone(), &pieces), &whole);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(&run(settings, &bytes), &whole);
    }
}

/// xorshift64*, so that a failure is replayed by its seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % below.max(1)
    }
}

#[test]
fn mutated_scripts_never_break_it() {
    for seed in 1..=4000u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut input: Vec<u8> = Vec::new();
        for _ in 0..numbers.next(30) {
            input.extend_from_slice(PIECES[numbers.next(PIECES.len())].as_bytes());
        }
        for _ in 0..numbers.next(8) {
            let at = numbers.next(input.len());
            match numbers.next(4) {
                0 if !input.is_empty() => input[at] = numbers.next(256) as u8,
                1 if !input.is_empty() => drop(input.remove(at)),
                2 => input.insert(at, numbers.next(256) as u8),
                _ => input.truncate(at + 1),
            }
        }
        for (role, tls) in
            [(Role::Mx, false), (Role::Submissions, true), (Role::Submission, false), (Role::Lmtp, false)]
        {
            let seen = run(settings(role, tls), &[&input]);
            for line in seen.output.split_inclusive(|b| *b == b'\n') {
                let shape = line.len() >= 6
                    && line[..3].iter().all(u8::is_ascii_digit)
                    && matches!(line[3], b' ' | b'-')
                    && line.ends_with(b"\r\n")
                    && line[..line.len() - 2].iter().all(|b| (0x20..0x7f).contains(b));
                assert!(shape, "seed {seed}: {:?}", String::from_utf8_lossy(line));
            }
            for message in &seen.messages {
                assert!(!message.contains(&0), "seed {seed}");
                let text = String::from_utf8_lossy(message).replace("\r\n", "");
                assert!(!text.contains(['\r', '\n']), "seed {seed}");
            }
        }
    }
}
