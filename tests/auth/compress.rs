//! COMPRESS=DEFLATE and UNAUTHENTICATE.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use pli_tests::{Instance, Wire};

use crate::{command, login, next};

/// A client's two ends of a compressed connection.
struct Deflated {
    wire: Wire,
    deflate: Compress,
    inflate: Decompress,
    buffer: Vec<u8>,
    /// The server's last block has come.
    ended: bool,
}

impl Deflated {
    fn new(wire: Wire) -> Self {
        Self {
            wire,
            deflate: Compress::new(Compression::fast(), false),
            inflate: Decompress::new(false),
            buffer: Vec::new(),
            ended: false,
        }
    }
    fn send(&mut self, text: &[u8], flush: FlushCompress) {
        let mut out = Vec::with_capacity(text.len() + 1024);
        self.deflate.compress_vec(text, &mut out, flush).unwrap();
        self.wire.send(&out).unwrap();
    }
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.buffer.iter().position(|b| *b == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return String::from_utf8(line).unwrap();
            }
            self.inflate_some();
        }
    }
    fn inflate_some(&mut self) {
        let came = self.wire.some();
        assert!(!came.is_empty(), "the server closed");
        let mut at = 0;
        while at < came.len() {
            assert!(!self.ended, "more came behind the last block");
            let mut out = Vec::with_capacity(1 << 16);
            let before = self.inflate.total_in();
            let status = self.inflate.decompress_vec(&came[at..], &mut out, FlushDecompress::Sync).unwrap();
            at += (self.inflate.total_in() - before) as usize;
            self.buffer.extend_from_slice(&out);
            self.ended = status == Status::StreamEnd;
        }
    }
    fn tagged(&mut self, tag: &str) -> String {
        loop {
            let line = self.line();
            if line.starts_with(&format!("{tag} ")) {
                return line;
            }
        }
    }
    /// The connection without compression, once the server's last block has come: it may come by itself.
    fn ended(mut self) -> Wire {
        assert!(self.buffer.is_empty());
        while !self.ended {
            self.inflate_some();
        }
        assert!(self.buffer.is_empty(), "the last block is empty");
        self.wire
    }
}

#[test]
fn compressed_sessions_idle_append_and_end() {
    let instance = Instance::start();
    let account = instance.account();
    let mut wire = login(&instance, &account);
    assert!(command(&mut wire, "a", "COMPRESS LZ4").starts_with("a NO"));
    assert!(command(&mut wire, "b", "COMPRESS DEFLATE").starts_with("b OK"));
    let mut session = Deflated::new(wire);
    session.send(b"c COMPRESS DEFLATE\r\n", FlushCompress::Sync);
    assert!(session.tagged("c").starts_with("c NO [COMPRESSIONACTIVE]"));
    // A literal that is waited for, and one byte at a time.
    session.send(b"d APPEND INBOX {10}\r\n", FlushCompress::Sync);
    assert!(session.line().starts_with('+'));
    for byte in b"A: b\r\n\r\nx!\r\n" {
        session.send(&[*byte], FlushCompress::Sync);
    }
    assert!(session.tagged("d").starts_with("d OK [APPENDUID"));
    session.send(b"e SELECT INBOX\r\nf IDLE\r\n", FlushCompress::Sync);
    assert!(session.tagged("e").starts_with("e OK"));
    assert!(session.line().starts_with('+'));
    // What another session adds is told at once: the stream is flushed.
    let mut other = login(&instance, &account);
    other.line("a APPEND INBOX {1+}").unwrap();
    other.line("x").unwrap();
    assert_eq!(session.line(), "* 2 EXISTS\r\n");
    session.send(b"DONE\r\ng LOGOUT\r\n", FlushCompress::Sync);
    assert!(session.tagged("f").starts_with("f OK"));
    assert!(session.tagged("g").starts_with("g OK"));
}

#[test]
fn unauthenticate_begins_again() {
    let instance = Instance::start();
    let (account, second) = (instance.account(), instance.account());
    let mut wire = login(&instance, &account);
    command(&mut wire, "a", "ENABLE UTF8=ACCEPT QRESYNC");
    command(&mut wire, "b", "SELECT INBOX");
    // RFC 8437 §3: the next login may be pipelined.
    let plain = crate::encode(format!("\0{}\0{}", second.address, second.password));
    wire.send(format!("c UNAUTHENTICATE\r\nd AUTHENTICATE PLAIN {plain}\r\ne FETCH 1 FLAGS\r\n").as_bytes()).unwrap();
    let answer = next(&mut wire);
    assert!(answer.starts_with("c OK [CAPABILITY ") && answer.contains("AUTH=PLAIN"), "{answer}");
    assert!(next(&mut wire).starts_with("d OK"));
    assert!(next(&mut wire).starts_with("e BAD"), "no mailbox is open");
    assert!(command(&mut wire, "f", "UNAUTHENTICATE").starts_with("f OK"));
    assert!(command(&mut wire, "g", "SELECT INBOX").starts_with("g BAD"));
    assert!(command(&mut wire, "h", "UNAUTHENTICATE").starts_with("h BAD"), "nobody is logged in");
    assert!(crate::json(&instance, &["who"]).as_array().unwrap().is_empty());

    // From a compressed session the stream is plain again, both ways.
    let mut wire = login(&instance, &account);
    assert!(command(&mut wire, "a", "COMPRESS DEFLATE").starts_with("a OK"));
    let mut session = Deflated::new(wire);
    session.send(b"b UNAUTHENTICATE\r\n", FlushCompress::Finish);
    assert!(session.tagged("b").starts_with("b OK"));
    let mut wire = session.ended();
    let answer = command(&mut wire, "c", &format!("LOGIN {} {}", account.address, account.password));
    assert!(answer.starts_with("c OK"), "{answer}");
    assert!(command(&mut wire, "d", "COMPRESS DEFLATE").starts_with("d OK"), "and may be compressed again");
}
