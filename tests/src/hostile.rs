//! Messages that nobody should send: a list by hand, and mutations of it from a seed. None is stored as a file.

use crate::corpus;

/// xorshift64*: the same seed, the same messages.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % n.max(1)
    }
}

/// Values of From, To, Cc, Reply-To.
const ADDRESSES: [&[u8]; 44] = [
    b"",
    b" ",
    b"<>",
    b"@",
    b",",
    b",,,;;;",
    b"a",
    b"a@",
    b"@b",
    b"<a@b",
    b"a@b>",
    b"<<a@b>>",
    b"a@b@c",
    b"\"",
    b"\"unclosed <a@b>",
    b"\"a\\\"b\\\\c\" <a@b>",
    b"\"a\\\" <a@b>",
    b"\"a\r\n b\" <a@b>",
    b"\"a@b\"@c",
    b"\"a b\"@[127.0.0.1]",
    b"a@[IPv6:::1",
    b"(comment",
    b"(a(nested)comment) a@b (after)",
    b"a@b (\\)",
    b"undisclosed-recipients:;",
    b"group: a@b, c@d;",
    b"group: a@b, c@d",
    b"g1: a@b; g2: c@d;, e@f",
    b"g: h: i@j;;",
    b":;",
    b"\"g\\\"\": a@b;",
    b"=?utf-8?q?=22=5C=22?= <a@b>",
    b"=?utf-8?b?AA0KCg==?= <a@b>",
    b"=?utf-8?q?a=0D=0Ab?= <a@b>",
    b"\xe9t\xe9 <\xe9@b>",
    "été <été@exämple.org>".as_bytes(),
    b"\xff\xfe <a\x80@b>",
    b"a\x00b <a@b>",
    b"\t\x0b\x0c\x01\x7f <a@b>",
    b"{5}\r\n <a@b>",
    b"<@route,@two:a@b>",
    b"a b c <d@e> f g",
    b"NIL <nil@nil>",
    b"a@b\r\n\tc@d\r\n \r\n e@f",
];

/// Values of Subject, Message-ID, In-Reply-To, Date: any may stand anywhere.
const VALUES: [&[u8]; 34] = [
    b"",
    b"   ",
    b"\"",
    b"\\",
    b"\\\"",
    b"a \"quoted\" and \\slashed\\",
    b"<\"q\\\"uote\"@x>",
    b"<unclosed",
    b"<a><b><c>",
    b"<a\r\n @b>",
    b"<\xe9@x>",
    b"{3}",
    b"{3}\r\n abc",
    b"(a) )b( (",
    b"NIL",
    b"=?utf-8?B?",
    b"=?utf-8?B?w6l0w6k=?=",
    b"=?utf-8?B?w6?= =?utf-8?B?l0?=",
    b"=?utf-8?Q?=ZZ=C3?=",
    b"=?x-none?Q?=E9?=",
    b"=?utf-7?Q?+AOk-t+AOk-?=",
    b"=?iso-2022-jp?B?GyRC?=",
    b"=?utf-8?B?AAECAwQF?=",
    b"=?utf-8?Q?=00=0D=0A_x?=",
    b"\xe9t\xe9 \xa0\xff",
    "été 日本語 \u{202e}gnp".as_bytes(),
    b"\xf0\x9f",
    b"a\x00b",
    b"a\rb",
    b"a\nb",
    b"\x1b[31m\x07",
    b"Thu, 99 Foo 20026 99:99:99 +9999",
    b"1 Jan 1970 00:00 (comment (nested)",
    b"yesterday",
];

/// Content-Type and what follows it in the header of a part.
const TYPES: [&[u8]; 52] = [
    b"Content-Type:",
    b"Content-Type: ;",
    b"Content-Type: ;;;=;==",
    b"Content-Type: text",
    b"Content-Type: /",
    b"Content-Type: /plain",
    b"Content-Type: text/",
    b"Content-Type: text/plain/x",
    b"Content-Type: \"text\"/\"plain\"",
    b"Content-Type: (c)text(c)/(c)plain(c);(c)charset(c)=(c)utf-8(c)",
    b"Content-Type: te\"xt/pl\\ain",
    b"Content-Type: \xe9/\xe8; \xe7=\xe0",
    b"Content-Type: text/plain; charset",
    b"Content-Type: text/plain; charset=",
    b"Content-Type: text/plain; =utf-8",
    b"Content-Type: text/plain; charset=\"utf-8",
    b"Content-Type: text/plain; charset=\"a\\\"b\\\\c\"",
    b"Content-Type: text/plain; charset=\"\"",
    b"Content-Type: text/plain; charset=utf-8; charset=koi8-r",
    b"Content-Type: text/plain; charset=x-none",
    b"Content-Type: text/plain; charset=utf-7",
    b"Content-Type: text/plain; charset=utf-16",
    b"Content-Type: text/plain; name=\"\xe9t\xe9.txt\"",
    b"Content-Type: text/plain; name=\"a\r\n b\"",
    b"Content-Type: text/plain; name=\"a\x00b\"",
    b"Content-Type: text/plain; name=\"{4}\r\n abcd\"",
    b"Content-Type: application/x; name*=utf-8''%C3%A9t%C3%A9",
    b"Content-Type: application/x; name*0=\"a\"; name*1=\"b\"; name*2=\"c\"",
    b"Content-Type: application/x; name*1=\"b\"; name*0=\"a\"",
    b"Content-Type: application/x; name*0*=utf-8'fr'%C3%A9; name*1=\"t\"; name*2*=%C3%A9",
    b"Content-Type: application/x; name*0=a; name*2=c",
    b"Content-Type: application/x; name*=; name*0*=''; name**=x; name*x=y",
    b"Content-Type: application/x; name*=utf-8''%; name*0*=%ZZ'%'",
    b"Content-Type: application/x; name*99999999999999999999=a",
    b"Content-Type: text/plain\r\nContent-Type: multipart/mixed; boundary=b",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding:",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: \"base64\"",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64 (c); x=y",
    b"Content-Type: text/plain\r\nContent-Transfer-Encoding: x\"y\\z",
    b"Content-Type: text/plain\r\nContent-Disposition:",
    b"Content-Type: text/plain\r\nContent-Disposition: ;filename=a",
    b"Content-Type: text/plain\r\nContent-Disposition: attachment; filename=\"a\\\"b\r\n c\"; size=",
    b"Content-Type: text/plain\r\nContent-Disposition: \xe9; filename*0*=iso-8859-1''%E9; filename*1*=t%E9",
    b"Content-Type: text/plain\r\nContent-ID: <\"\\\" \xe9\r\nContent-Description: \"\\ \xff",
    b"Content-Type: text/plain\r\nContent-Language: fr, \"en\", (c), ,,\r\nContent-Location: a\r\n b c\"d",
    b"Content-Type: text/plain\r\nContent-MD5: \"{2}\r\n ab\"",
    b"Content-Type: message/rfc822",
    b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64",
    b"Content-Type: message/partial; id=\"a\"; number=1",
    b"Content-Type: message/external-body; access-type=x",
    b"Content-Type: message/delivery-status",
    b"Content-Type: text/rfc822-headers",
];

/// Multipart types and the bodies that go with the boundary `b`.
const MULTIPARTS: [&[u8]; 20] = [
    b"",
    b"\r\n",
    b"no boundary at all\r\n",
    b"--b\r\n",
    b"--b",
    b"--b--",
    b"--b--\r\n",
    b"--b\r\n--b\r\n--b\r\n--b--\r\n",
    b"--b\r\n\r\n--b\r\n\r\n--b--\r\n",
    b"--b \t\r\n\r\nx\r\n--b-- \t\r\nepilogue\r\n--b\r\nmore\r\n",
    b"--b\n\nbare\n--b--\n",
    b"--bb\r\n\r\nx\r\n--b-\r\n\r\ny\r\n--b\r\n\r\nz",
    b"--b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsame\r\n--b--\r\n--b--\r\n",
    b"--b\r\nContent-Type: multipart/mixed; boundary=bb\r\n\r\n--bb\r\n\r\nprefix\r\n--bb--\r\n--b--\r\n",
    b"--b\r\nContent-Type: multipart/mixed\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n--b--\r\n",
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: \"in\\side\r\nFrom: ,;<\r\n\r\nx\r\n--b--\r\n",
    b"--b\r\nContent-Type: message/rfc822\r\n\r\nno header in here\r\n--b--\r\n",
    b"--b\r\nthis is no header\r\n\r\nx\r\n--b\r\n: empty name\r\n\r\ny\r\n--b--\r\n",
    b"--b\r\nContent-Type: text/plain\r\nX: no blank line\r\n--b\r\n x\r\n--b--\r\n",
];

const MULTIPART_TYPES: [&str; 7] = [
    "multipart/mixed; boundary=b",
    "multipart/alternative; boundary=\"b\"",
    "multipart/digest; boundary=b; boundary=c",
    "multipart/\"; boundary=b",
    "multipart/; boundary=b",
    "multipart/signed; protocol=\"a\\\"b\"; micalg=\"\"; boundary=\"b\"",
    "multipart/related; boundary*0=b; type=\"{3}\"; start=\"<\\\">\"",
];

/// Whole messages.
fn whole() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = [
        &b"\r\n"[..],
        b"\n",
        b"\r",
        b"\0",
        b"x",
        b"no header and no line end",
        b"Subject: header without blank line",
        b"Subject: header without blank line\r\n",
        b"Subject: header without blank line\r\nthis line is no field\r\nFrom: after@it\r\n\r\nbody\r\n",
        b"From here on\r\nSubject: mbox line\r\n\r\nx\r\n",
        b">From a@b\r\nSubject: quoted mbox line\r\n\r\nx\r\n",
        b": no name\r\n :\r\n\r\nx\r\n",
        b" begins with a blank\r\nSubject: x\r\n\r\ny\r\n",
        b"Subject : blank before colon\r\nFrom\t: a@b\r\n\r\nx\r\n",
        b"Sub\xe9ject: 8-bit name\r\nSubject\0: NUL in name\r\n\r\nx\r\n",
        b"Subject: bare LF\nFrom: a@b\n\nbody\n",
        b"Subject: bare CR\rFrom: a@b\r\rbody\r",
        b"Subject: mixed\nFrom: a@b\r\n\nbody\r\n",
        b"Subject: a\r\r\nFrom: b@c\r\r\n\r\r\nx\r\r\n",
        b"Subject: one\r\nSubject: two\r\nFrom: a@b\r\nFrom: c@d\r\nDate: x\r\nDate: y\r\nMessage-ID: <1>\r\nMessage-ID: <2>\r\n\r\n",
        b"\xef\xbb\xbfSubject: byte order mark\r\n\r\nx\r\n",
        b"\xff\xfeS\0u\0b\0j\0e\0c\0t\0:\0 \0x\0",
        b"Content-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=\r\n==\r\n=Z\r\n=3\r\n=",
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!=A===\r\n\0\xff=\r\nQUJD\r\n=",
        b"Content-Transfer-Encoding: uuencode\r\n\r\nbegin 644 x\r\n#86)C\r\nend\r\n",
        b"MIME-Version: 9.9 (c)\r\nContent-Type: message/rfc822; boundary=b\r\n\r\nMIME-Version:\r\nContent-Type: message/rfc822\r\n\r\n",
        b"Subject:\r\n \r\n \r\n folded to nothing\r\n \r\n\r\nx\r\n",
    ]
    .iter()
    .map(|message| message.to_vec())
    .collect();
    all.push((0..=255).collect());
    all.push(
        [b"Subject: ".to_vec(), (1..=255).filter(|byte| !b"\r\n".contains(byte)).collect(), b"\r\n\r\n".to_vec()]
            .concat(),
    );
    // A header of a megabyte: one line, many folded lines, many fields, many addresses, many references.
    all.push([b"Subject: ".to_vec(), vec![b'x'; 1 << 20], b"\r\n\r\nx\r\n".to_vec()].concat());
    all.push([b"Subject: a".to_vec(), b"\r\n folded".repeat(100_000), b"\r\n\r\nx\r\n".to_vec()].concat());
    all.push([b"X: y\r\n".repeat(150_000), b"Subject: last\r\n\r\nx\r\n".to_vec()].concat());
    all.push([b"To: ".to_vec(), b"\"a\\\"\" <a@b>,\r\n ".repeat(20_000), b"\r\n\r\nx\r\n".to_vec()].concat());
    all.push([b"References: ".to_vec(), b"<\"\\\"\"@x>\r\n ".repeat(20_000), b"<z>\r\n\r\nx\r\n".to_vec()].concat());
    all.push([b"To: ".to_vec(), b"g:".repeat(20_000), b";".repeat(20_000), b"\r\n\r\n".to_vec()].concat());
    all.push([b"From: ".to_vec(), b"(".repeat(50_000), b"\r\n\r\n".to_vec()].concat());
    all.push([b"Content-Type: text/plain".to_vec(), b"; a=\"\\\"\"".repeat(20_000), b"\r\n\r\n".to_vec()].concat());
    all.push([b"Subject: ".to_vec(), b"=?utf-8?q?=C3=A9?= ".repeat(20_000), b"\r\n\r\n".to_vec()].concat());
    // Deep and wide structure.
    for kind in ["multipart/mixed; boundary=", "message/rfc822; x="] {
        let mut deep = Vec::new();
        for level in 0..300 {
            deep.extend(format!("Content-Type: {kind}b{level}\r\n\r\n").into_bytes());
            if kind.starts_with("multi") {
                deep.extend(format!("--b{level}\r\n").into_bytes());
            }
        }
        all.push(deep);
    }
    all.push(
        [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec(), b"--b\r\n\r\nx\r\n".repeat(12_000)].concat(),
    );
    all
}

/// The list by hand.
pub fn picked() -> Vec<Vec<u8>> {
    let mut all = whole();
    for (at, address) in ADDRESSES.iter().enumerate() {
        let field = ["From", "To", "Cc", "Reply-To", "Sender", "Bcc"][at % 6];
        let other = ADDRESSES[(at * 7 + 3) % ADDRESSES.len()];
        let message = [field.as_bytes(), b": ", address, b"\r\nTo: ", other, b"\r\nSubject: address\r\n\r\nx\r\n"];
        all.push(message.concat());
    }
    for value in VALUES {
        let mut message = Vec::new();
        for field in ["Subject", "Message-ID", "In-Reply-To", "Date", "References", "Content-Description"] {
            message.extend([field.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        all.push([message, b"\r\nx\r\n".to_vec()].concat());
    }
    for kind in TYPES {
        all.push([b"Subject: type\r\nMIME-Version: 1.0\r\n", kind, b"\r\n\r\nU3ViamVjdDogeA0KDQp4DQo=\r\n"].concat());
        // The same in a part.
        let part = [b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", kind, b"\r\n\r\nx\r\n--b--\r\n"];
        all.push(part.concat());
    }
    for (at, body) in MULTIPARTS.iter().enumerate() {
        for kind in [MULTIPART_TYPES[at % 7], MULTIPART_TYPES[(at + 3) % 7]] {
            all.push([b"Content-Type: ", kind.as_bytes(), b"\r\n\r\n", body].concat());
        }
    }
    all
}

/// What a mutation puts in.
const PIECES: [&[u8]; 28] = [
    b"\"",
    b"\\",
    b"(",
    b")",
    b"{5}\r\n",
    b"{",
    b"}",
    b"\r\n",
    b"\r\n\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"=?utf-8?Q?",
    b"?=",
    b";",
    b"=",
    b"*0*=",
    b"<",
    b">",
    b"@",
    b",",
    b":",
    b"--b\r\n",
    b"--b--",
    b" ",
    b"\t",
];
/// Longer ones are not mutated: the time goes into many.
const MUTATED_BYTES_MAX: usize = 8_000;

/// The list by hand, and mutations of it and of ordinary mail, `count` in all.
pub fn messages(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut all = picked();
    let mut rng = Rng(seed.max(1));
    let mut grounds: Vec<Vec<u8>> = all.iter().filter(|message| message.len() < MUTATED_BYTES_MAX).cloned().collect();
    grounds.extend(corpus::messages(seed, 140).into_iter().filter(|message| message.len() < MUTATED_BYTES_MAX));
    while all.len() < count {
        let mut message = grounds[rng.below(grounds.len())].clone();
        for _ in 0..1 + rng.below(6) {
            mutate(&mut rng, &mut message, &grounds);
        }
        // APPEND of nothing means "no message".
        if !message.is_empty() {
            all.push(message);
        }
    }
    all.truncate(count);
    all
}

fn mutate(rng: &mut Rng, message: &mut Vec<u8>, grounds: &[Vec<u8>]) {
    // Most of what is read as structure stands in front.
    let reach = if rng.below(3) == 0 { message.len() } else { message.len().min(400) };
    let at = rng.below(reach + 1);
    let end = (at + 1 + rng.below(40)).min(message.len());
    match rng.below(6) {
        0 | 1 => {
            let piece = PIECES[rng.below(PIECES.len())];
            message.splice(at..at, piece.iter().copied());
        }
        2 => {
            message.drain(at.min(end)..end);
        }
        3 if at < message.len() => message[at] = rng.below(256) as u8,
        4 => {
            let copy = message[at.min(end)..end].to_vec();
            let to = rng.below(message.len() + 1);
            message.splice(to..to, copy);
        }
        _ => {
            // The beginning of one and the end of another.
            let other = &grounds[rng.below(grounds.len())];
            message.truncate(at.max(1));
            message.extend_from_slice(&other[rng.below(other.len() + 1)..]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_of_each_kind() {
        let picked = picked();
        assert!(picked.len() > 250, "{}", picked.len());
        let all = messages(1, 600);
        assert_eq!(all.len(), 600);
        assert_eq!(all, messages(1, 600));
        assert_ne!(all, messages(2, 600));
        assert!(all.iter().any(|message| message.contains(&0)));
    }
}
