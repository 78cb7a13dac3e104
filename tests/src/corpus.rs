//! Varied messages from a seed: what a mailbox holds after some years, and what nobody should have sent.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// xorshift64*: the same seed, the same messages.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n.max(1)
    }
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

const WORDS: [&str; 24] = [
    "rentrée",
    "horaires",
    "salle",
    "examen",
    "budget",
    "contrat",
    "réunion",
    "letter",
    "archive",
    "sealed",
    "under",
    "paper",
    "été",
    "œuvre",
    "minutes",
    "draft",
    "note",
    "facture",
    "dossier",
    "signature",
    "question",
    "answer",
    "Straße",
    "naïve",
];

/// Charset, and a text of it in bytes.
const CHARSETS: [(&str, &[u8]); 6] = [
    ("utf-8", "Déjà vu, été, œuvre: 日本語, Привет.".as_bytes()),
    ("iso-8859-1", b"D\xe9j\xe0 vu, \xe9t\xe9."),
    ("windows-1252", b"D\xe9j\xe0 vu \x96 \x9cuvre, 10 \x80."),
    ("koi8-r", b"\xf0\xd2\xc9\xd7\xc5\xd4, \xcd\xc9\xd2."),
    ("iso-2022-jp", b"\x1b$BF|K\\8l\x1b(B desu."),
    ("us-ascii", b"Plain words."),
];

/// `count` messages with CRLF line ends and no NUL, so that SMTP and IMAP both take them.
pub fn messages(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng(seed.max(1));
    (0..count).map(|number| message(&mut rng, number)).collect()
}

fn message(rng: &mut Rng, number: usize) -> Vec<u8> {
    match number % 14 {
        0 => simple(rng, number, "7bit"),
        1 => simple(rng, number, "quoted-printable"),
        2 => simple(rng, number, "base64"),
        3 => simple(rng, number, "8bit"),
        4 => multipart(rng, number, "alternative"),
        5 => multipart(rng, number, "mixed"),
        6 => multipart(rng, number, "related"),
        7 => nested(rng, number),
        8 => encoded_header(rng, number),
        9 => digest(rng, number),
        10 => long_lines(rng, number),
        11 => dots(rng, number),
        12 => broken_header(rng, number),
        _ => broken_structure(rng, number),
    }
}

fn head(rng: &mut Rng, number: usize, subject: &str) -> Vec<u8> {
    let day = 1 + rng.below(28);
    let month = rng.pick(&["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct"]);
    let cc = if rng.below(3) == 0 { "Cc: \"Lee, Ann\" <ann@example.net>, bob@example.net\r\n" } else { "" };
    format!(
        "From: Sender {number} <sender{number}@example.net>\r\nTo: user@example.org\r\n{cc}Subject: {subject}\r\n\
         Date: {day} {month} 2026 {:02}:{:02}:00 +0{}00\r\nMessage-ID: <{number}.{}@example.net>\r\nMIME-Version: 1.0\r\n",
        rng.below(24),
        rng.below(60),
        rng.below(3),
        rng.below(1_000_000),
    )
    .into_bytes()
}

fn words(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| rng.pick(&WORDS)).collect::<Vec<_>>().join(" ")
}

fn ascii_words(rng: &mut Rng, count: usize) -> String {
    words(rng, count).chars().filter(char::is_ascii).collect()
}

fn wrapped_base64(bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    text.as_bytes().chunks(76).map(|line| format!("{}\r\n", String::from_utf8_lossy(line))).collect()
}

fn quoted_printable(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut column = 0;
    for byte in bytes {
        let piece = match byte {
            b'!'..=b'<' | b'>'..=b'~' => char::from(*byte).to_string(),
            b' ' => String::from(" "),
            _ => format!("={byte:02X}"),
        };
        if column + piece.len() > 72 {
            out.push_str("=\r\n");
            column = 0;
        }
        column += piece.len();
        out.push_str(&piece);
    }
    out.push_str("\r\n");
    out
}

fn text_part(rng: &mut Rng, encoding: &str) -> Vec<u8> {
    let (charset, sample) = if encoding == "7bit" { CHARSETS[5] } else { CHARSETS[rng.below(CHARSETS.len())] };
    let mut text = sample.to_vec();
    let more = ascii_words(rng, 20);
    text.push(b' ');
    text.extend_from_slice(more.as_bytes());
    let mut out =
        format!("Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n")
            .into_bytes();
    match encoding {
        "base64" => out.extend_from_slice(wrapped_base64(&text).as_bytes()),
        "quoted-printable" => out.extend_from_slice(quoted_printable(&text).as_bytes()),
        _ => {
            out.extend_from_slice(&text);
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn simple(rng: &mut Rng, number: usize, encoding: &str) -> Vec<u8> {
    let subject = ascii_words(rng, 4);
    let mut out = head(rng, number, &subject);
    out.extend(text_part(rng, encoding));
    out
}

fn multipart(rng: &mut Rng, number: usize, kind: &str) -> Vec<u8> {
    let subject = ascii_words(rng, 3);
    let mut out = head(rng, number, &subject);
    let boundary = format!("=_part {number}");
    out.extend_from_slice(
        format!("Content-Type: multipart/{kind}; boundary=\"{boundary}\"\r\n\r\npreamble\r\n").as_bytes(),
    );
    for part in 0..2 + rng.below(3) {
        out.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
        if part == 0 {
            let encoding = rng.pick(&["7bit", "quoted-printable", "base64"]);
            out.extend(text_part(rng, encoding));
        } else if part == 1 {
            let text = words(rng, 10);
            out.extend_from_slice(b"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n");
            out.extend_from_slice(format!("<p>{text} &eacute; <b>html</b></p>\r\n").as_bytes());
        } else {
            let bytes: Vec<u8> = (0..500 + rng.below(20_000)).map(|_| rng.below(256) as u8).collect();
            out.extend_from_slice(
                b"Content-Type: application/pdf; name=\"=?utf-8?q?r=C3=A9sum=C3=A9=2Epdf?=\"\r\n\
                  Content-Disposition: attachment; filename*=utf-8''r%C3%A9sum%C3%A9.pdf\r\n\
                  Content-Transfer-Encoding: base64\r\n\r\n",
            );
            out.extend_from_slice(wrapped_base64(&bytes).as_bytes());
        }
    }
    out.extend_from_slice(format!("--{boundary}--\r\nepilogue\r\n").as_bytes());
    out
}

fn nested(rng: &mut Rng, number: usize) -> Vec<u8> {
    let subject = ascii_words(rng, 3);
    let mut out = head(rng, number, &subject);
    let inner =
        if rng.below(2) == 0 { simple(rng, number + 1000, "7bit") } else { multipart(rng, number + 1000, "mixed") };
    out.extend_from_slice(
        b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\nContent-Type: message/rfc822\r\n\r\n",
    );
    out.extend(inner);
    out.extend_from_slice(b"\r\n--outer--\r\n");
    out
}

fn encoded_header(rng: &mut Rng, number: usize) -> Vec<u8> {
    let (charset, sample) = CHARSETS[rng.below(CHARSETS.len())];
    let subject = format!("=?{charset}?B?{}?=\r\n =?utf-8?Q?_suite_=C3=A9?=", STANDARD.encode(sample));
    let mut out = head(rng, number, &subject);
    out.extend_from_slice(b"Reply-To: =?utf-8?q?=C3=89quipe?= <team@example.net>\r\nX-Empty:\r\nTo: group: a@example.net, b@example.net;\r\n");
    out.extend(text_part(rng, "7bit"));
    out
}

fn digest(rng: &mut Rng, number: usize) -> Vec<u8> {
    let mut out = head(rng, number, "digest");
    out.extend_from_slice(b"Content-Type: multipart/digest; boundary=d\r\n\r\n");
    for part in 0..3 {
        out.extend_from_slice(b"--d\r\n\r\n");
        out.extend(simple(rng, number * 10 + part, "7bit"));
    }
    out.extend_from_slice(b"--d--\r\n");
    out
}

fn long_lines(rng: &mut Rng, number: usize) -> Vec<u8> {
    let mut out = head(rng, number, "long lines");
    out.extend_from_slice(b"\r\n");
    for _ in 0..3 {
        out.extend_from_slice("x".repeat(900 + rng.below(90)).as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out
}

fn dots(rng: &mut Rng, number: usize) -> Vec<u8> {
    let mut out = head(rng, number, "dots and blanks");
    out.extend_from_slice(b"\r\n.\r\n..\r\n. \r\n \r\n\r\n.x\r\nFrom the start\r\n\r\n\r\n");
    out
}

fn broken_header(rng: &mut Rng, number: usize) -> Vec<u8> {
    let variants: [&[u8]; 6] = [
        b"Subject: raw 8-bit \xe9t\xe9 \xff\r\nFrom: \xe9 <a@example.net>\r\n\r\nx\r\n",
        b"Message-ID: <\"quote\\\"d\"@example.net>\r\nFrom: \"unclosed <a@example.net>\r\nTo: ,,;<>@\r\n\r\nx\r\n",
        b"this line is no field\r\nSubject: after it\r\n\r\nx\r\n",
        b"Subject:\r\nFrom:\r\nTo: undisclosed-recipients:;\r\nCc: \r\n\r\n",
        b"\r\nno header at all\r\n",
        b"Subject: =?utf-8?B?w6l0w?= =?unknown?X?y?= =?\r\nDate: yesterday\r\nContent-Type: ;;;=\r\n\r\nx\r\n",
    ];
    let mut out = format!("X-Number: {number}\r\n").into_bytes();
    out.extend_from_slice(variants[rng.below(variants.len())]);
    if out.windows(4).any(|w| w == b"\r\n\r\n") { out } else { [out, b"\r\n".to_vec()].concat() }
}

fn broken_structure(rng: &mut Rng, number: usize) -> Vec<u8> {
    let variants: [&[u8]; 6] = [
        b"Content-Type: multipart/mixed\r\n\r\nno boundary\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\nnever used\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nno end\r\n",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n--b--\r\n",
        b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA0KDQp4DQo=\r\n",
        b"Content-Type: text/plain; charset=no-such-charset\r\nContent-Transfer-Encoding: x-unknown\r\n\r\n\xe9\xff\r\n",
    ];
    let mut out = head(rng, number, "broken structure");
    out.extend_from_slice(variants[rng.below(variants.len())]);
    out
}

#[cfg(test)]
mod tests {
    use super::messages;

    #[test]
    fn a_seed_gives_the_same_messages_and_smtp_takes_them() {
        let all = messages(7, 300);
        assert_eq!(all, messages(7, 300));
        assert_ne!(all, messages(8, 300));
        for message in &all {
            assert!(!message.contains(&0));
            let mut before = 0;
            for byte in message {
                assert_eq!(*byte == b'\n', before == b'\r' && *byte == b'\n', "no bare LF");
                assert!(before != b'\r' || *byte == b'\n', "no bare CR");
                before = *byte;
            }
            let longest = message.split(|b| *b == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            assert!(longest <= 1000, "{longest}");
        }
    }
}
