//! The field Authentication-Results. RFC 8601.

use crate::arc::ChainState;
use crate::check::Verdict;
use crate::dkim::DkimResult;
use crate::message::{Field, without};
use crate::spf::Identity;

/// The field with its CRLF.
#[must_use]
pub fn field(server: &str, verdict: &Verdict) -> String {
    format!("Authentication-Results: {}\r\n", text(server, verdict))
}

/// What stands in it, for ARC too.
#[must_use]
pub fn text(server: &str, verdict: &Verdict) -> String {
    let mut out = server.to_owned();
    let mut push = |part: String| {
        out.push_str(";\r\n\t");
        out.push_str(&part);
    };
    let iprev = &verdict.iprev;
    let name = iprev.name.as_ref().map(|name| format!(" ({})", comment(name))).unwrap_or_default();
    push(format!("iprev={}{name} policy.iprev={}", iprev.result, value(&verdict.ip.to_string())));
    let spf = &verdict.spf;
    let property = match spf.identity {
        Identity::Helo => "smtp.helo",
        Identity::MailFrom => "smtp.mailfrom",
    };
    push(format!("spf={} ({}) {property}={}", spf.result.name(), comment(&spf.reason), value(&spf.domain)));
    for dkim in &verdict.dkim {
        let mut part = format!("dkim={} ({})", dkim.result.name(), comment(&dkim.reason));
        for (property, text) in [
            ("header.d", &dkim.domain),
            ("header.i", &dkim.identity),
            ("header.s", &dkim.selector),
            ("header.a", &dkim.algorithm),
            ("header.b", &dkim.mark),
        ] {
            if !text.is_empty() {
                part.push_str(&format!(" {property}={}", value(text)));
            }
        }
        push(part);
    }
    if verdict.dkim.is_empty() {
        push(format!("dkim={}", DkimResult::None.name()));
    }
    if let Some(dmarc) = &verdict.dmarc {
        let reason = comment(&dmarc.reason);
        push(format!("dmarc={} ({reason}) header.from={}", dmarc.result.name(), value(&dmarc.domain)));
    }
    if verdict.arc.state != ChainState::None {
        push(format!("arc={} ({})", verdict.arc.state.name(), comment(&verdict.arc.reason)));
    }
    out
}

/// Text that cannot end its comment, or the line.
fn comment(text: &str) -> String {
    text.chars()
        .take(160)
        .map(|c| if (c.is_ascii_graphic() || c == ' ') && !"()\\\"".contains(c) { c } else { '?' })
        .collect()
}

/// A token as it stands, everything else in quotes. RFC 8601 §2.2.
fn value(text: &str) -> String {
    let token = |c: char| c.is_ascii_graphic() && !"()<>,;:\\\"/[]?=".contains(c);
    let text: String = text.chars().take(320).filter(|c| !c.is_control()).collect();
    if !text.is_empty() && text.chars().all(token) {
        return text;
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_ascii() => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// Whether a field claims to be this server's own. RFC 8601 §5.
#[must_use]
pub fn is_own(field: &Field<'_>, server: &str) -> bool {
    field.is("Authentication-Results") && server_of(field.value()).eq_ignore_ascii_case(server)
}

/// The message without fields that claim to be this server's; `None` where there are none.
#[must_use]
pub fn without_forged(raw: &[u8], server: &str) -> Option<Vec<u8>> {
    let message = crate::message::Message::parse(raw);
    message.fields.iter().any(|field| is_own(field, server)).then(|| without(raw, |field| is_own(field, server)))
}

/// The authserv-id: after comments and blanks, a token or a quoted string.
fn server_of(value: &[u8]) -> String {
    let mut out = String::new();
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for byte in value {
        let c = char::from(*byte);
        match c {
            _ if escaped => {
                escaped = false;
                if depth == 0 {
                    out.push(c);
                }
            }
            '\\' => escaped = true,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            '"' => quoted = !quoted,
            ';' if !quoted => break,
            c if !quoted && c.is_ascii_whitespace() => {
                if !out.is_empty() {
                    break;
                }
            }
            '\r' | '\n' => {}
            c => out.push(c),
        }
    }
    out.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn forged_ones_go_and_others_stay() {
        let raw = b"Authentication-Results: MX.example.org; spf=pass\r\nAuthentication-Results: other.test; spf=fail\r\n\
                    Authentication-Results: (c) \"mx.example.org\" 1;\r\n\tdkim=pass\r\nauthentication-results:\r\n mx.example.org.;\r\n\
                    From: a@b\r\n\r\nAuthentication-Results: mx.example.org; in the body\r\n";
        let left = without_forged(raw, "mx.example.org").unwrap();
        assert_eq!(
            left,
            b"Authentication-Results: other.test; spf=fail\r\nFrom: a@b\r\n\r\n\
              Authentication-Results: mx.example.org; in the body\r\n"
        );
        assert_eq!(without_forged(&left, "mx.example.org"), None);
    }

    #[test]
    fn nothing_from_outside_ends_a_comment_or_a_line() {
        assert_eq!(comment("a) dkim=pass (\r\nX: y"), "a? dkim=pass ???X: y");
        assert_eq!(value("a b\";c\r\n"), "\"a b\\\";c\"");
        assert_eq!(value("example.org"), "example.org");
        assert_eq!(value(""), "\"\"");
    }
}
