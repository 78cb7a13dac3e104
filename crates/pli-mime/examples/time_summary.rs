//! How long a summary takes: `cargo run --release -p pli-mime --example time_summary`.

use std::time::Instant;

fn main() {
    let mut raw =
        b"Received: from a.example by b.example with ESMTPS id 1; Tue, 24 Nov 2026 10:15:00 +0100\r\n".repeat(4);
    raw.extend_from_slice(
        b"From: Ann Lee <ann@example.org>\r\nTo: a@b.example, c@d.example\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\
          Date: Tue, 24 Nov 2026 10:15:00 +0100\r\nMessage-ID: <1@example.org>\r\nMIME-Version: 1.0\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
    );
    raw.extend(b"The quick brown fox jumps over the lazy dog, again and again.\r\n".repeat(30));
    raw.extend_from_slice(b"--b\r\nContent-Type: image/png; name=a.png\r\nContent-Transfer-Encoding: base64\r\n\r\n");
    raw.extend(b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGA\r\n".repeat(230));
    raw.extend_from_slice(b"--b--\r\n");
    let limits = pli_mime::Limits::default();
    let rounds = 20_000u32;
    let started = Instant::now();
    let mut encoded = 0;
    for _ in 0..rounds {
        encoded = pli_mime::summarise(&raw, &limits).encode().len();
    }
    let summarise = started.elapsed() / rounds;
    let bytes = pli_mime::summarise(&raw, &limits).encode();
    let started = Instant::now();
    for _ in 0..rounds {
        let _ = std::hint::black_box(pli_mime::Summary::decode(&bytes));
    }
    let decode = started.elapsed() / rounds;
    println!("{} bytes: summarise and encode {summarise:?}, decode {decode:?}, {encoded} bytes encoded", raw.len());
}
