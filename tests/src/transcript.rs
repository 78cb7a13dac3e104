//! Reads and runs one transcript (tests/README.md documents the language).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::imap::Imap;
use crate::pattern::{Bindings, Pattern, escape, variable};
use crate::smtp::Smtp;
use crate::{Account, Instance, Wire};

/// How many lines of the dialogue a failure shows.
const DIALOGUE_LINES_MAX: usize = 60;

/// How much of one line of the dialogue a failure shows.
const DIALOGUE_BYTES_MAX: usize = 600;

/// A parsed transcript.
pub struct Transcript {
    steps: Vec<(usize, Step)>,
    text: String,
}

enum Step {
    Client { label: String, text: String },
    Expect { label: String, mode: Mode, pattern: Expected },
    Message { name: String, lines: Vec<String> },
    Directive(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// `S:` the next response, or the end of a block.
    Next,
    /// `S*:` somewhere in the block.
    Within,
    /// `S?:` may be in the block, any number of times.
    May,
    /// `S!:` must not be in the block.
    Never,
    /// `S&:` the response just read matches this too.
    Also,
    /// `S^:` the response just read does not match this.
    Not,
}

enum Expected {
    Pattern(Pattern),
    Closed,
}

impl Transcript {
    /// Parses a transcript's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut lines = text.lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let number = number + 1;
            let fault = |what: String| format!("line {number}: {what}");
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(words) = line.strip_prefix('!') {
                let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
                if words.first().is_some_and(|word| word == "message") {
                    let name = words.get(1).ok_or_else(|| fault("a message needs a name".to_owned()))?;
                    let mut inside = Vec::new();
                    loop {
                        let (_, line) = lines.next().ok_or_else(|| fault("`!message` without `!end`".to_owned()))?;
                        if line == "!end" {
                            break;
                        }
                        inside.push(line.to_owned());
                    }
                    let name = name.clone();
                    steps.push((number, Step::Message { name, lines: inside }));
                } else {
                    steps.push((number, Step::Directive(words)));
                }
                continue;
            }
            let (head, body) = line.split_once(':').ok_or_else(|| fault("neither `C:` nor `S:`".to_owned()))?;
            let body = body.strip_prefix(' ').unwrap_or(body);
            steps.push((number, dialogue(head, body).map_err(fault)?));
        }
        Ok(Self { steps, text: text.to_owned() })
    }

    /// Runs against an instance, with fresh accounts.
    pub fn run(&self, instance: &Instance) -> Result<(), String> {
        let mut runner = Runner::new(instance, &self.text);
        for (number, step) in &self.steps {
            runner.step(step).map_err(|what| format!("line {number}: {what}\n{}", runner.dialogue()))?;
        }
        runner.finish().map_err(|what| format!("at the end: {what}\n{}", runner.dialogue()))
    }
}

/// Reads, parses and runs a file.
pub fn run_file(path: &Path, instance: &Instance) -> Result<(), String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    Transcript::parse(&text)?.run(instance)
}

fn dialogue(head: &str, body: &str) -> Result<Step, String> {
    let side = head.chars().next().ok_or("an empty head")?;
    let rest = &head[side.len_utf8()..];
    let label: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let mode = match (side, &rest[label.len()..]) {
        ('C', "") => {
            let text = body.to_owned();
            return Ok(Step::Client { label, text });
        }
        ('S', "") => Mode::Next,
        ('S', "*") => Mode::Within,
        ('S', "?") => Mode::May,
        ('S', "!") => Mode::Never,
        ('S', "&") => Mode::Also,
        ('S', "^") => Mode::Not,
        _ => return Err(format!("`{head}:` is not a head")),
    };
    let pattern = if body.trim() == "<closed>" { Expected::Closed } else { Expected::Pattern(Pattern::parse(body)?) };
    Ok(Step::Expect { label, mode, pattern })
}

/// Patterns that wait for the end of their block.
#[derive(Default)]
struct Block {
    within: Vec<Pattern>,
    may: Vec<Pattern>,
    never: Vec<Pattern>,
}

struct Runner<'a> {
    instance: &'a Instance,
    sessions: BTreeMap<String, Wire>,
    outbox: Vec<(String, Vec<u8>)>,
    blocks: BTreeMap<String, Block>,
    last: BTreeMap<String, Vec<u8>>,
    bindings: Bindings,
    users: BTreeMap<String, Account>,
    setup: Option<Imap>,
    shown: Vec<String>,
}

impl<'a> Runner<'a> {
    fn new(instance: &'a Instance, text: &str) -> Self {
        let mut runner = Self {
            instance,
            sessions: BTreeMap::new(),
            outbox: Vec::new(),
            blocks: BTreeMap::new(),
            last: BTreeMap::new(),
            bindings: Bindings::new(),
            users: BTreeMap::new(),
            setup: None,
            shown: Vec::new(),
        };
        runner.bind("domain", "example.org");
        runner.bind("host", "mail.example.org");
        runner.user("");
        if ["user2", "password2", "plain2", "local2"].iter().any(|name| text.contains(name)) {
            runner.user("2");
        }
        runner
    }

    fn bind(&mut self, name: &str, value: &str) {
        self.bindings.insert(name.to_owned(), value.as_bytes().to_vec());
    }

    fn user(&mut self, suffix: &str) {
        let account = self.instance.account();
        let local = account.address.split('@').next().unwrap_or_default().to_owned();
        self.bind(&format!("user{suffix}"), &account.address);
        self.bind(&format!("local{suffix}"), &local);
        self.bind(&format!("password{suffix}"), &account.password);
        self.bind(&format!("plain{suffix}"), &crate::smtp::plain(&account));
        self.users.insert(format!("user{suffix}"), account);
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Client { label, text } => self.client(label, text),
            Step::Expect { label, mode, pattern } => {
                self.flush()?;
                self.expect(label, *mode, pattern)
            }
            Step::Message { name, lines } => {
                let mut all = Vec::new();
                for line in lines {
                    all.extend(self.line(line)?);
                }
                self.bindings.insert(name.clone(), all);
                Ok(())
            }
            Step::Directive(words) => {
                self.flush()?;
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.directive(&words)
            }
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.flush()?;
        for (label, block) in &self.blocks {
            if !(block.within.is_empty() && block.may.is_empty() && block.never.is_empty()) {
                return Err(format!("a block of session `{label}` has no closing `S{label}:` line"));
            }
        }
        Ok(())
    }

    fn client(&mut self, label: &str, text: &str) -> Result<(), String> {
        let order = text.strip_prefix('<').and_then(|inner| inner.strip_suffix('>')).unwrap_or_default();
        let words: Vec<&str> = order.split(' ').collect();
        match words.as_slice() {
            ["connect", how @ ("tls" | "plain"), port] => {
                self.flush()?;
                let wire = self.instance.connect(port)?;
                let implied = matches!(*port, "imaps" | "pop3s" | "submissions");
                if (*how == "tls") != implied {
                    return Err(format!("port {port} is not {how}"));
                }
                self.show(label, 'C', text.as_bytes());
                self.sessions.insert(label.to_owned(), wire);
                Ok(())
            }
            ["starttls"] => {
                self.flush()?;
                self.show(label, 'C', text.as_bytes());
                self.session(label)?.upgrade()
            }
            ["close"] => {
                self.flush()?;
                self.show(label, 'C', text.as_bytes());
                self.session(label)?.close();
                Ok(())
            }
            _ => {
                let bytes = self.line(text)?;
                self.show(label, 'C', &bytes);
                match self.outbox.last_mut() {
                    Some((last, waiting)) if last == label => waiting.extend(bytes),
                    _ => self.outbox.push((label.to_owned(), bytes)),
                }
                Ok(())
            }
        }
    }

    /// Lines that stand together leave in one write: pipelining.
    fn flush(&mut self) -> Result<(), String> {
        for (label, bytes) in std::mem::take(&mut self.outbox) {
            self.session(&label)?.send(&bytes)?;
        }
        Ok(())
    }

    fn session(&mut self, label: &str) -> Result<&mut Wire, String> {
        self.sessions.get_mut(label).ok_or_else(|| format!("session `{label}` is not connected"))
    }

    /// A line's bytes with its line end, variables and escapes put in.
    fn line(&self, text: &str) -> Result<Vec<u8>, String> {
        let (text, end) = match text.strip_suffix("<NOEOL>") {
            Some(text) => (text, &b""[..]),
            None => (text, &b"\r\n"[..]),
        };
        let mut out = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if let Some((bytes, used)) = escape(rest) {
                out.extend(bytes);
                rest = &rest[used..];
            } else if let Some(used) = variable(rest) {
                let name = &rest[1..used];
                rest = &rest[used..];
                let value = self.value(name)?;
                if let Some(after) = rest.strip_prefix(".size") {
                    out.extend_from_slice(value.len().to_string().as_bytes());
                    rest = after;
                } else if let Some(after) = rest.strip_prefix(".b64") {
                    out.extend_from_slice(STANDARD.encode(value).as_bytes());
                    rest = after;
                } else {
                    out.extend_from_slice(value);
                }
            } else {
                let mut buffer = [0; 4];
                out.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
        out.extend_from_slice(end);
        Ok(out)
    }

    fn value(&self, name: &str) -> Result<&[u8], String> {
        self.bindings.get(name).map(Vec::as_slice).ok_or_else(|| format!("${name} is not bound"))
    }

    fn expect(&mut self, label: &str, mode: Mode, expected: &Expected) -> Result<(), String> {
        let pattern = match expected {
            Expected::Pattern(pattern) => pattern,
            Expected::Closed => return self.closed(label),
        };
        let block = self.blocks.entry(label.to_owned()).or_default();
        match mode {
            Mode::Within => block.within.push(pattern.clone()),
            Mode::May => block.may.push(pattern.clone()),
            Mode::Never => block.never.push(pattern.clone()),
            Mode::Also | Mode::Not => {
                let last = self.last.get(label).ok_or("nothing read yet")?;
                let matches = pattern.matches(last, &mut self.bindings);
                if matches != (mode == Mode::Also) {
                    let what = if matches { "matches" } else { "does not match" };
                    return Err(format!("the response {what} the pattern: {}", readable(last)));
                }
            }
            Mode::Next => {
                let block = std::mem::take(block);
                return self.block(label, block, pattern);
            }
        }
        Ok(())
    }

    fn block(&mut self, label: &str, mut block: Block, last: &Pattern) -> Result<(), String> {
        let open = !(block.within.is_empty() && block.may.is_empty() && block.never.is_empty());
        loop {
            let response = self.read(label)?.ok_or("the server closed the connection")?;
            let shown = readable(&response);
            let bindings = &mut self.bindings;
            if block.never.iter().any(|pattern| pattern.matches(&response, bindings)) {
                return Err(format!("this must not come: {shown}"));
            }
            let wanted = block.within.iter().position(|pattern| pattern.matches(&response, bindings));
            if let Some(at) = wanted {
                block.within.remove(at);
            }
            if last.matches(&response, bindings) {
                if block.within.is_empty() {
                    return Ok(());
                }
                let missing: Vec<String> = block.within.iter().map(|pattern| format!("{pattern:?}")).collect();
                return Err(format!("the block ended without {}", missing.join(" and ")));
            }
            let allowed = wanted.is_some() || block.may.iter().any(|pattern| pattern.matches(&response, bindings));
            if !allowed {
                let kind = if open { "not in the block" } else { "not what was expected" };
                return Err(format!("{kind}: {shown}\nexpected: {last:?}"));
            }
        }
    }

    fn closed(&mut self, label: &str) -> Result<(), String> {
        match self.read(label)? {
            None => Ok(()),
            Some(response) => Err(format!("expected the end, got {}", readable(&response))),
        }
    }

    fn read(&mut self, label: &str) -> Result<Option<Vec<u8>>, String> {
        let response = self.session(label)?.read()?;
        match &response {
            Some(bytes) => {
                self.show(label, 'S', bytes);
                self.last.insert(label.to_owned(), bytes.clone());
            }
            None => self.show(label, 'S', b"<closed>"),
        }
        Ok(response)
    }

    fn directive(&mut self, words: &[&str]) -> Result<(), String> {
        match words {
            ["login", rest @ ..] => {
                let (label, user) = label_and_user(rest)?;
                let account = self.account(user)?;
                self.sessions.insert(label, Imap::login(self.instance, &account)?.wire);
                Ok(())
            }
            ["mx", rest @ ..] => {
                let label = rest.first().copied().unwrap_or_default().to_owned();
                self.sessions.insert(label, Smtp::mx(self.instance)?.wire);
                Ok(())
            }
            ["submission", rest @ ..] => {
                let (label, user) = label_and_user(rest)?;
                let account = self.account(user)?;
                self.sessions.insert(label, Smtp::submission(self.instance, &account)?.wire);
                Ok(())
            }
            ["append", mailbox, count] if count.bytes().all(|byte| byte.is_ascii_digit()) => {
                let count: usize = count.parse().map_err(|_| "count")?;
                for number in 1..=count {
                    let message = self.plain_message(number);
                    self.append(mailbox, &message)?;
                }
                Ok(())
            }
            ["append", mailbox, name] => {
                let message = self.value(name.trim_start_matches('$'))?.to_vec();
                self.append(mailbox, &message)
            }
            ["deliver", name, rest @ ..] => {
                let message = self.value(name.trim_start_matches('$'))?.to_vec();
                let user = rest.first().copied().unwrap_or("$user").trim_start_matches('$');
                let to = self.account(user)?.address;
                let mut smtp = Smtp::mx(self.instance)?;
                smtp.send("sender@example.net", &[&to], &message)?;
                smtp.quit();
                Ok(())
            }
            ["quota", size] => {
                let address = self.account("user")?.address;
                let ran = self.instance.pli(&["quota", "set", &address, size]);
                if ran.code == 0 { Ok(()) } else { Err(format!("{ran:?}")) }
            }
            ["moment", name] => {
                let label = crate::instance::moment_name();
                self.bind(name.trim_start_matches('$'), &label);
                Ok(())
            }
            ["pli", words @ ..] => self.command_line(words),
            ["assert", left, sign, right] => self.assert(left, sign, right),
            _ => Err(format!("no directive `!{}`", words.join(" "))),
        }
    }

    fn command_line(&mut self, words: &[&str]) -> Result<(), String> {
        let mut filled = Vec::new();
        for word in words {
            let bytes = self.line(&format!("{word}<NOEOL>"))?;
            filled.push(String::from_utf8_lossy(&bytes).into_owned());
        }
        let words: Vec<&str> = filled.iter().map(String::as_str).collect();
        let ran = self.instance.pli(&words);
        if ran.code == 0 { Ok(()) } else { Err(format!("{ran:?}")) }
    }

    fn assert(&mut self, left: &str, sign: &str, right: &str) -> Result<(), String> {
        let number = |word: &str| -> Result<u64, String> {
            let text = self.line(&format!("{word}<NOEOL>"))?;
            let text = String::from_utf8_lossy(&text).into_owned();
            text.parse().map_err(|_| format!("{word} is {text}, not a number"))
        };
        let (a, b) = (number(left)?, number(right)?);
        let holds = match sign {
            "<" => a < b,
            "<=" => a <= b,
            "=" => a == b,
            "!=" => a != b,
            _ => return Err(format!("no comparison `{sign}`")),
        };
        if holds { Ok(()) } else { Err(format!("{left} {sign} {right} does not hold: {a}, {b}")) }
    }

    fn account(&self, name: &str) -> Result<Account, String> {
        self.users.get(name).cloned().ok_or_else(|| format!("no account ${name}"))
    }

    fn append(&mut self, mailbox: &str, message: &[u8]) -> Result<(), String> {
        let account = self.account("user")?;
        if self.setup.is_none() {
            self.setup = Some(Imap::login(self.instance, &account)?);
        }
        let setup = self.setup.as_mut().ok_or("no setup session")?;
        setup.append(mailbox, "", message).map(|_| ())
    }

    fn plain_message(&self, number: usize) -> Vec<u8> {
        format!(
            "From: Sender {number} <sender{number}@example.net>\r\n\
             To: <user@example.org>\r\n\
             Subject: Message {number}\r\n\
             Date: Tue, {number:02} Sep 2026 10:00:00 +0000\r\n\
             Message-ID: <{number}@example.net>\r\n\
             \r\n\
             Body of message {number}.\r\n"
        )
        .into_bytes()
    }

    fn show(&mut self, label: &str, side: char, bytes: &[u8]) {
        self.shown.push(format!("{side}{label}: {}", readable(bytes)));
    }

    fn dialogue(&self) -> String {
        let mut out = String::from("dialogue:\n");
        let start = self.shown.len().saturating_sub(DIALOGUE_LINES_MAX);
        for line in &self.shown[start..] {
            let _ = writeln!(out, "  {line}");
        }
        out
    }
}

/// `[LABEL] [as USER]`.
fn label_and_user<'a>(words: &[&'a str]) -> Result<(String, &'a str), String> {
    match words {
        [] => Ok((String::new(), "user")),
        ["as", user] => Ok((String::new(), user)),
        [label] => Ok(((*label).to_owned(), "user")),
        [label, "as", user] => Ok(((*label).to_owned(), user)),
        _ => Err("[LABEL] [as USER]".to_owned()),
    }
}

fn readable(bytes: &[u8]) -> String {
    let cut = bytes.len() > DIALOGUE_BYTES_MAX;
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(DIALOGUE_BYTES_MAX)]).into_owned();
    let mut shown = shown.replace('\r', "<CR>").replace('\n', "<LF>").replace('\0', "<NUL>");
    if cut {
        let _ = write!(shown, "… ({} bytes)", bytes.len());
    }
    shown
}
