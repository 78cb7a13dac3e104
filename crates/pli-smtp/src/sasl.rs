//! SASL PLAIN and LOGIN. RFC 4616, RFC 4954; LOGIN as clients have always sent it (draft-murchison-sasl-login).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pli_crypto::SecretString;
use zeroize::Zeroizing;

use crate::reply::Reply;

/// An exchange that waits for the client's next response.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// PLAIN: everything in one response.
    Plain,
    /// LOGIN: the user name comes next.
    LoginUser,
    /// LOGIN: the password comes next.
    LoginPassword {
        /// As given.
        user: String,
    },
}

/// What a response led to.
pub(crate) enum Outcome {
    /// One more response is needed.
    Next(Exchange),
    /// All is there.
    Credentials {
        /// User name.
        user: String,
        /// Password.
        password: SecretString,
    },
}

impl Exchange {
    /// By mechanism, in upper case.
    pub(crate) fn begin(mechanism: &str) -> Option<Self> {
        match mechanism {
            "PLAIN" => Some(Self::Plain),
            "LOGIN" => Some(Self::LoginUser),
            _ => None,
        }
    }
    /// What stands after 334, in base64: `Username:` and `Password:`, by which clients of LOGIN go.
    pub(crate) const fn challenge(&self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::LoginUser => "VXNlcm5hbWU6",
            Self::LoginPassword { .. } => "UGFzc3dvcmQ6",
        }
    }
    /// Takes a response in base64.
    pub(crate) fn step(self, response: &[u8]) -> Result<Outcome, Reply> {
        // RFC 4954 §4: the client gives up. The session goes on.
        if response == b"*" {
            return Err(Reply::new(501, "5.7.0", "Authentication cancelled"));
        }
        let bad = || Reply::new(501, "5.5.2", "The response is not what the mechanism needs");
        let decoded = Zeroizing::new(STANDARD.decode(response).map_err(|_| bad())?);
        let text = std::str::from_utf8(&decoded).map_err(|_| bad())?;
        match self {
            Self::Plain => plain(text),
            Self::LoginUser => Ok(Outcome::Next(Self::LoginPassword { user: name(text)?.to_owned() })),
            Self::LoginPassword { user } => Ok(Outcome::Credentials { user, password: text.into() }),
        }
    }
}

fn name(text: &str) -> Result<&str, Reply> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Reply::new(501, "5.5.2", "The user name is empty or holds control characters"));
    }
    Ok(text)
}

/// RFC 4616 §2: `authzid NUL authcid NUL password`.
fn plain(text: &str) -> Result<Outcome, Reply> {
    let mut parts = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Reply::new(501, "5.5.2", "The response is not what the mechanism needs"));
    };
    // To act as somebody else is not offered; some clients give their own name twice (clients.md row 23).
    if !authzid.is_empty() && authzid != authcid {
        return Err(Reply::new(535, "5.7.8", "Authentication credentials invalid"));
    }
    Ok(Outcome::Credentials { user: name(authcid)?.to_owned(), password: password.into() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    fn credentials(exchange: Exchange, text: &str) -> Result<(String, String), u16> {
        match exchange.step(STANDARD.encode(text).as_bytes()) {
            Ok(Outcome::Credentials { user, password }) => Ok((user, password.expose().to_owned())),
            Ok(Outcome::Next(_)) => panic!("one more response"),
            Err(reply) => Err(reply.code),
        }
    }

    #[test]
    fn plain_responses() {
        let ok = |text| credentials(Exchange::Plain, text);
        assert_eq!(ok("\0bob\0secret"), Ok(("bob".into(), "secret".into())));
        assert_eq!(ok("bob\0bob\0secret"), Ok(("bob".into(), "secret".into())));
        assert_eq!(ok("\0bob\0"), Ok(("bob".into(), String::new())));
        assert_eq!(ok("eve\0bob\0secret"), Err(535));
        for wrong in ["", "bob", "\0bob", "\0bob\0a\0b", "\0\0secret", "\0b\rob\0secret"] {
            assert_eq!(ok(wrong), Err(501), "{wrong:?}");
        }
        assert!(Exchange::Plain.step(b"not base64!").is_err());
        assert_eq!(Exchange::Plain.step(b"*").err().unwrap().code, 501);
    }

    #[test]
    fn login_responses() {
        let Ok(Outcome::Next(next)) = Exchange::LoginUser.step(STANDARD.encode("bob").as_bytes()) else { panic!("no") };
        assert_eq!(next.challenge(), "UGFzc3dvcmQ6");
        assert_eq!(credentials(next, "secret"), Ok(("bob".into(), "secret".into())));
    }
}
