//! Bytes made to cost time: work grows with their number, not with its square.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::{Duration, Instant};

use pli_mime::{Limits, SearchField, searchable, summarise};

const SIZE: usize = 1 << 20;
/// Far above what linear work takes, even unoptimised and on a busy machine; far below what a square takes.
const BOUND: Duration = Duration::from_secs(4);

fn fill(pattern: &str) -> String {
    pattern.repeat(SIZE / pattern.len())
}

fn timed(name: &str, message: &[u8]) {
    let began = Instant::now();
    let summary = summarise(message, &Limits::default());
    let mut out = Vec::new();
    pli_mime::write_envelope(&mut out, summary.envelope());
    pli_mime::write_body(&mut out, summary.root(), true);
    let summarised = began.elapsed();
    let began = Instant::now();
    searchable(message, &summary, &mut |_: SearchField, _: &str| false);
    for field in ["Subject", "To", "Content-Type"] {
        let end = summary.root().header_range().end;
        let _ = pli_mime::header_decoded(message.get(..usize::try_from(end).unwrap()).unwrap(), field);
    }
    let searched = began.elapsed();
    assert!(summarised < BOUND && searched < BOUND, "{name}: {summarised:?}, {searched:?}");
}

#[test]
fn fields() {
    let all = [
        ("Subject: ", &["=?a?q?", "=?utf-8?q?a", "?=", "=?utf-8?q?x?= "][..]),
        (
            "To: ",
            &["=?utf-8?q?a", "(", "()", "<", "<@", "<@a", "<a@", "a@b,", "a:", "\"", "[", "\r\n ", "((", "\\("][..],
        ),
        ("Content-Type: text/plain", &["=?utf-8?q?a", ";a=", ";a*0=b", ";a*1=x;a*0=y", ";a=\"", "("][..]),
    ];
    for (field, patterns) in all {
        for pattern in patterns {
            let message = format!("{field}{}\r\n\r\nbody\r\n", fill(pattern));
            timed(&format!("{field}{pattern:?}"), message.as_bytes());
        }
    }
}

#[test]
fn bodies() {
    let all = [
        ("text/plain", "quoted-printable", &["=", "= "][..]),
        ("text/html", "7bit", &["<", "<a", "<!--", "<script>", "&", "&#", "<a href=\"", "<style>"][..]),
        ("multipart/mixed; boundary=x", "7bit", &["--", "--x", "--x\r\n", "\n--x ", "--x--\r\n"][..]),
        (
            "multipart/mixed; boundary=x",
            "7bit",
            &[
                "--x\r\nContent-Type: message/rfc822\r\n\r\n",
                "--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n",
            ][..],
        ),
        ("message/rfc822", "7bit", &["Content-Type: message/rfc822\r\n\r\n", "\r\n"][..]),
    ];
    for (kind, encoding, patterns) in all {
        for pattern in patterns {
            let head = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
            timed(&format!("{kind} {encoding} {pattern:?}"), format!("{head}{}", fill(pattern)).as_bytes());
        }
    }
}
