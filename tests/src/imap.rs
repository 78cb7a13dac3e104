//! The few IMAP commands that tests need outside transcripts.

use crate::acknowledged::Message;
use crate::{Account, Instance, Wire};

/// An IMAP session.
pub struct Imap {
    /// The connection.
    pub wire: Wire,
    number: u32,
}

/// The answer to one command.
#[derive(Debug)]
pub struct Answer {
    /// Every response before the tagged one, with its literals inside.
    pub untagged: Vec<Vec<u8>>,
    /// The tagged response without its tag.
    pub tagged: String,
}

impl Answer {
    /// The bytes of the first literal of a response that starts so.
    pub fn literal(&self, start: &str) -> Option<Vec<u8>> {
        let response = self.untagged.iter().find(|response| response.starts_with(start.as_bytes()))?;
        literal(response)
    }
}

/// The first literal in a response.
pub fn literal(response: &[u8]) -> Option<Vec<u8>> {
    let end = response.windows(3).position(|window| window == b"}\r\n")?;
    let open = response[..end].iter().rposition(|byte| *byte == b'{')?;
    let size: usize = std::str::from_utf8(&response[open + 1..end]).ok()?.parse().ok()?;
    response.get(end + 3..end + 3 + size).map(<[u8]>::to_vec)
}

impl Imap {
    /// Connects and reads the greeting.
    pub fn connect(instance: &Instance) -> Result<Self, String> {
        let mut wire = instance.connect("imaps")?;
        let greeting = wire.read()?.ok_or("closed before the greeting")?;
        if !greeting.starts_with(b"* OK") {
            return Err(format!("greeting: {}", String::from_utf8_lossy(&greeting)));
        }
        Ok(Self { wire, number: 0 })
    }

    /// Connects and logs in.
    pub fn login(instance: &Instance, account: &Account) -> Result<Self, String> {
        let mut imap = Self::connect(instance)?;
        imap.ok(&format!("LOGIN \"{}\" \"{}\"", account.address, account.password))?;
        Ok(imap)
    }

    /// Sends a command and reads up to its tagged response.
    pub fn command(&mut self, text: &str) -> Result<Answer, String> {
        self.raw(text.as_bytes())
    }

    /// A command that must be answered OK.
    pub fn ok(&mut self, text: &str) -> Result<Answer, String> {
        let answer = self.command(text)?;
        if answer.tagged.starts_with("OK") { Ok(answer) } else { Err(format!("{text}: {}", answer.tagged)) }
    }

    /// A command in bytes, with non-synchronising literals inside.
    pub fn raw(&mut self, text: &[u8]) -> Result<Answer, String> {
        self.number += 1;
        let tag = format!("t{}", self.number);
        let mut bytes = format!("{tag} ").into_bytes();
        bytes.extend_from_slice(text);
        bytes.extend_from_slice(b"\r\n");
        self.wire.send(&bytes)?;
        let mut untagged = Vec::new();
        loop {
            let response = self.wire.read()?.ok_or("closed before the tagged response")?;
            if let Some(rest) = response.strip_prefix(format!("{tag} ").as_bytes()) {
                let tagged = String::from_utf8_lossy(rest).into_owned();
                return Ok(Answer { untagged, tagged });
            }
            untagged.push(response);
        }
    }

    /// APPEND with a non-synchronising literal; the tagged response on OK.
    pub fn append(&mut self, mailbox: &str, options: &str, message: &[u8]) -> Result<String, String> {
        let mut bytes = format!("APPEND {mailbox} {options}").trim_end().to_owned().into_bytes();
        bytes.extend_from_slice(format!(" {{{}+}}\r\n", message.len()).as_bytes());
        bytes.extend_from_slice(message);
        let answer = self.raw(&bytes)?;
        if answer.tagged.starts_with("OK") { Ok(answer.tagged) } else { Err(format!("APPEND: {}", answer.tagged)) }
    }

    /// The selected mailbox's messages, as (UID, bytes), in order.
    pub fn bodies(&mut self) -> Result<Vec<(u32, Vec<u8>)>, String> {
        Ok(self.fetched("UID BODY.PEEK[]")?.into_iter().map(|message| (message.uid, message.bytes)).collect())
    }

    /// The same with flags and modseq.
    pub fn messages(&mut self) -> Result<Vec<Message>, String> {
        self.fetched("UID FLAGS MODSEQ BODY.PEEK[]")
    }

    fn fetched(&mut self, items: &str) -> Result<Vec<Message>, String> {
        let answer = self.ok(&format!("UID FETCH 1:* ({items})"))?;
        let mut all = Vec::new();
        for response in &answer.untagged {
            let Some(bytes) = literal(response).or_else(|| quoted_body(response)) else {
                continue;
            };
            let outside = outside_literals(response);
            let after = |name: &str| outside.split(&format!("{name} ")).nth(1).map(str::to_owned);
            let number = |text: Option<String>| -> Option<u64> {
                let text = text?;
                text.trim_start_matches('(').split([' ', ')']).next()?.parse().ok()
            };
            let uid = number(after("UID")).ok_or_else(|| format!("no UID in {outside}"))?;
            let flags = after("FLAGS").unwrap_or_default();
            let flags = flags.strip_prefix('(').and_then(|flags| flags.split(')').next()).unwrap_or_default();
            all.push(Message {
                uid: u32::try_from(uid).map_err(|_| format!("UID in {outside}"))?,
                flags: flags.split_whitespace().map(str::to_owned).collect(),
                modseq: number(after("MODSEQ")).unwrap_or(0),
                bytes,
            });
        }
        Ok(all)
    }

    /// LOGOUT.
    pub fn logout(mut self) {
        let _ = self.command("LOGOUT");
    }
}

/// A body short enough for a quoted string, or empty.
fn quoted_body(response: &[u8]) -> Option<Vec<u8>> {
    let text = response.windows(8).position(|window| window == b"BODY[] \"")?;
    let rest = &response[text + 8..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    Some(rest[..end].to_vec())
}

/// A response's text without the literals' bytes.
fn outside_literals(response: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = response;
    while let Some(end) = rest.windows(3).position(|window| window == b"}\r\n") {
        let size = rest[..end]
            .iter()
            .rposition(|byte| *byte == b'{')
            .and_then(|open| std::str::from_utf8(&rest[open + 1..end]).ok()?.parse::<usize>().ok())
            .unwrap_or(0);
        out.extend_from_slice(&rest[..=end]);
        rest = rest.get(end + 3 + size..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    String::from_utf8_lossy(&out).into_owned()
}
