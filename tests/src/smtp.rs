//! The few SMTP commands that tests need outside transcripts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Account, Instance, Wire};

/// An SMTP session.
pub struct Smtp {
    /// The connection.
    pub wire: Wire,
}

/// The bytes that DATA carries: dots stuffed and the end put on.
pub fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len() + 16);
    let mut line_start = true;
    for byte in message {
        if line_start && *byte == b'.' {
            out.push(b'.');
        }
        out.push(*byte);
        line_start = *byte == b'\n';
    }
    if !line_start {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b".\r\n");
    out
}

/// The argument of AUTH PLAIN.
pub fn plain(account: &Account) -> String {
    STANDARD.encode(format!("\0{}\0{}", account.address, account.password))
}

impl Smtp {
    /// Connects to the MX and says EHLO.
    pub fn mx(instance: &Instance) -> Result<Self, String> {
        Self::open(instance.connect("smtp")?)
    }

    /// Connects to the LMTP port and says LHLO.
    pub fn lmtp(instance: &Instance) -> Result<Self, String> {
        let mut smtp = Self { wire: instance.connect("lmtp")? };
        smtp.reply("220")?;
        smtp.expect("LHLO client.example.net", "250")?;
        Ok(smtp)
    }

    /// Connects to submissions, says EHLO and logs in.
    pub fn submission(instance: &Instance, account: &Account) -> Result<Self, String> {
        let mut smtp = Self::open(instance.connect("submissions")?)?;
        smtp.expect(&format!("AUTH PLAIN {}", plain(account)), "235")?;
        Ok(smtp)
    }

    fn open(wire: Wire) -> Result<Self, String> {
        let mut smtp = Self { wire };
        smtp.reply("220")?;
        smtp.expect("EHLO client.example.net", "250")?;
        Ok(smtp)
    }

    /// Sends a line and gives the reply.
    pub fn command(&mut self, line: &str) -> Result<String, String> {
        self.wire.line(line)?;
        self.any_reply()
    }

    /// The next reply.
    pub fn any_reply(&mut self) -> Result<String, String> {
        let reply = self.wire.read()?.ok_or("closed instead of a reply")?;
        Ok(String::from_utf8_lossy(&reply).into_owned())
    }

    /// The next reply, which must have this code.
    pub fn reply(&mut self, code: &str) -> Result<String, String> {
        let reply = self.any_reply()?;
        if reply.starts_with(code) { Ok(reply) } else { Err(reply) }
    }

    /// Sends a line whose reply must have this code.
    pub fn expect(&mut self, line: &str, code: &str) -> Result<String, String> {
        self.wire.line(line)?;
        self.reply(code).map_err(|reply| format!("{line}: {reply}"))
    }

    /// One message; `Ok` when it was accepted.
    pub fn send(&mut self, from: &str, to: &[&str], message: &[u8]) -> Result<String, String> {
        self.expect(&format!("MAIL FROM:<{from}>"), "250")?;
        for to in to {
            self.expect(&format!("RCPT TO:<{to}>"), "250")?;
        }
        self.expect("DATA", "354")?;
        self.wire.send(&stuffed(message))?;
        self.reply("250")
    }

    /// One message by LMTP; `Ok` when it was accepted for each recipient (RFC 2033 §4.2).
    pub fn send_each(&mut self, from: &str, to: &[&str], message: &[u8]) -> Result<(), String> {
        self.expect(&format!("MAIL FROM:<{from}>"), "250")?;
        for to in to {
            self.expect(&format!("RCPT TO:<{to}>"), "250")?;
        }
        self.expect("DATA", "354")?;
        self.wire.send(&stuffed(message))?;
        to.iter().try_for_each(|_| self.reply("250").map(drop))
    }

    /// QUIT.
    pub fn quit(mut self) {
        let _ = self.command("QUIT");
    }
}

#[cfg(test)]
mod tests {
    use super::stuffed;

    #[test]
    fn dots() {
        assert_eq!(stuffed(b".a\r\n..\r\nb"), b"..a\r\n...\r\nb\r\n.\r\n");
        assert_eq!(stuffed(b""), b".\r\n");
    }
}
