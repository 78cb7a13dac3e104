//! What the envelope says besides the addresses (RFC 3461, RFC 8689), and its form in a row's `parameters`.

/// For which events the sender wants to be told. RFC 3461 §4.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notify(u8);

impl Notify {
    /// Of nothing.
    pub const NEVER: Self = Self(8);
    /// Of success.
    pub const SUCCESS: Self = Self(1);
    /// Of failure.
    pub const FAILURE: Self = Self(2);
    /// Of delay.
    pub const DELAY: Self = Self(4);

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
    const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
    /// Whether the parameter was given at all.
    #[must_use]
    pub const fn is_given(self) -> bool {
        self.0 != 0
    }
    /// RFC 3461 §4.1: only who asks is told of success.
    #[must_use]
    pub const fn success(self) -> bool {
        self.has(Self::SUCCESS)
    }
    /// RFC 3461 §4.1: without the parameter, failure is told.
    #[must_use]
    pub const fn failure(self) -> bool {
        !self.is_given() || self.has(Self::FAILURE)
    }
    /// RFC 3461 §4.1: without the parameter, delay may be told.
    #[must_use]
    pub const fn delay(self) -> bool {
        !self.is_given() || self.has(Self::DELAY)
    }
    /// The value of `NOTIFY=`.
    #[must_use]
    pub fn wire(self) -> String {
        if self.has(Self::NEVER) {
            return String::from("NEVER");
        }
        let words = [(Self::SUCCESS, "SUCCESS"), (Self::FAILURE, "FAILURE"), (Self::DELAY, "DELAY")];
        words.iter().filter(|(bit, _)| self.has(*bit)).map(|(_, word)| *word).collect::<Vec<_>>().join(",")
    }
}

/// What a report of failure returns. RFC 3461 §4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The whole message.
    Full,
    /// Its header.
    Headers,
}

/// The parameters of one recipient, those of MAIL among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// NOTIFY of RCPT.
    pub notify: Notify,
    /// RET of MAIL.
    pub ret: Option<Return>,
    /// ENVID of MAIL, as xtext.
    pub envid: Option<String>,
    /// ORCPT of RCPT, `rfc822;` and xtext.
    pub orcpt: Option<String>,
    /// RFC 8689: only over verified TLS, to servers that promise the same.
    pub require_tls: bool,
}

const NOTIFY: u8 = 1;
const RET: u8 = 2;
const ENVID: u8 = 3;
const ORCPT: u8 = 4;
const REQUIRE_TLS: u8 = 5;
/// RFC 3461 §4.4 and §5.4: ENVID has at most 100 characters, ORCPT 500.
const VALUE_BYTES_MAX: usize = 500;

impl Parameters {
    /// As a row keeps them; nothing for none.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |tag: u8, value: &[u8]| {
            let value = value.get(..VALUE_BYTES_MAX).unwrap_or(value);
            let length = u16::try_from(value.len()).unwrap_or(0);
            out.push(tag);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(value);
        };
        if self.notify.is_given() {
            put(NOTIFY, &[self.notify.0]);
        }
        if let Some(ret) = self.ret {
            put(RET, &[u8::from(ret == Return::Full)]);
        }
        if let Some(envid) = &self.envid {
            put(ENVID, envid.as_bytes());
        }
        if let Some(orcpt) = &self.orcpt {
            put(ORCPT, orcpt.as_bytes());
        }
        if self.require_tls {
            put(REQUIRE_TLS, &[]);
        }
        out
    }

    /// From a row; what is not understood is passed over.
    #[must_use]
    pub fn decode(mut bytes: &[u8]) -> Self {
        let mut found = Self::default();
        while let Some(([tag, high, low], rest)) = bytes.split_first_chunk::<3>() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some((value, after)) = rest.split_at_checked(length) else { break };
            let text = || std::str::from_utf8(value).ok().filter(|text| is_printable(text)).map(str::to_owned);
            match (*tag, value) {
                (NOTIFY, [bits]) => found.notify = Notify(*bits & 15),
                (RET, [full]) => found.ret = Some(if *full == 1 { Return::Full } else { Return::Headers }),
                (ENVID, _) => found.envid = text(),
                (ORCPT, _) => found.orcpt = text(),
                (REQUIRE_TLS, _) => found.require_tls = true,
                _ => {}
            }
            bytes = after;
        }
        found
    }
}

/// What may stand in a command without ending it.
fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| !c.is_control() && c != ' ')
}

/// Takes xtext apart (RFC 3461 §4); `None` where it is none.
#[must_use]
pub fn from_xtext(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'+' {
            let pair = [bytes.next()?, bytes.next()?];
            let hex = std::str::from_utf8(&pair).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// RFC 3461 §4: printable ASCII without `+` and `=` as it is, all else as `+XX`.
#[must_use]
pub fn xtext(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if (33..=126).contains(&byte) && byte != b'+' && byte != b'=' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("+{byte:02X}"));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn they_come_back_as_they_were() {
        assert!(Parameters::default().encode().is_empty());
        assert_eq!(Parameters::decode(&[]), Parameters::default());
        for parameters in [
            Parameters { notify: Notify::SUCCESS.with(Notify::DELAY), ..Parameters::default() },
            Parameters {
                notify: Notify::NEVER,
                ret: Some(Return::Full),
                envid: Some(String::from("QQ314+2B159")),
                orcpt: Some(String::from("rfc822;a+2Bb@c.test")),
                require_tls: true,
            },
        ] {
            assert_eq!(Parameters::decode(&parameters.encode()), parameters);
        }
    }

    #[test]
    fn later_tags_are_passed_over_and_damage_ends_quietly() {
        let mut bytes = vec![99, 0, 2, 1, 2];
        bytes.extend(Parameters { ret: Some(Return::Headers), ..Parameters::default() }.encode());
        assert_eq!(Parameters::decode(&bytes).ret, Some(Return::Headers));
        assert_eq!(Parameters::decode(&[3, 0, 200, b'a']), Parameters::default());
        // Nothing from a row can end a command line.
        assert_eq!(Parameters::decode(&[3, 0, 3, b'a', b'\r', b'\n']).envid, None);
    }

    #[test]
    fn without_the_parameter_failure_and_delay_are_told() {
        let none = Notify::default();
        assert!(none.failure() && none.delay() && !none.success());
        assert!(!Notify::NEVER.failure() && !Notify::NEVER.delay() && !Notify::NEVER.success());
        assert!(!Notify::SUCCESS.failure());
        assert_eq!(Notify::SUCCESS.with(Notify::FAILURE).wire(), "SUCCESS,FAILURE");
        assert_eq!(Notify::NEVER.wire(), "NEVER");
    }

    #[test]
    fn xtext_both_ways() {
        assert_eq!(xtext("a+b=c é"), "a+2Bb+3Dc+20+C3+A9");
        assert_eq!(from_xtext("a+2Bb+3Dc+20+C3+A9").unwrap(), "a+b=c é");
        assert_eq!(from_xtext("a+2"), None);
        assert_eq!(from_xtext("a+zz"), None);
    }
}
