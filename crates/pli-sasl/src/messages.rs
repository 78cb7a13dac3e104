//! What clients send in one piece: PLAIN, OAUTHBEARER, XOAUTH2. And names.

use pli_crypto::SecretString;

use crate::exchange::{Failure, Server};
use crate::{NAME_BYTES_MAX, TOKEN_BYTES_MAX};

/// A user name: not empty, no control characters.
pub(crate) fn name(bytes: &[u8]) -> Result<String, Failure> {
    let text = std::str::from_utf8(bytes).map_err(|_| Failure::Syntax("The user name is not UTF-8"))?;
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Failure::Syntax("The user name is empty, too long, or holds control characters"));
    }
    Ok(text.to_owned())
}

/// A password as text. One that is not UTF-8 is nobody's.
pub(crate) fn password(bytes: &[u8]) -> Result<SecretString, Failure> {
    std::str::from_utf8(bytes).map(SecretString::from).map_err(|_| Failure::Credentials)
}

/// clients.md 23: some clients give their own name twice; to act for somebody else is not offered.
pub(crate) fn same_identity(authorization: &str, name: &str) -> Result<(), Failure> {
    if authorization.is_empty() || authorization.eq_ignore_ascii_case(name) {
        Ok(())
    } else {
        Err(Failure::OtherIdentity)
    }
}

/// RFC 4616 §2: `authzid NUL authcid NUL password`.
pub(crate) fn plain(response: &[u8]) -> Result<(String, SecretString), Failure> {
    let mut parts = response.split(|&b| b == 0);
    let (Some(authorization), Some(user), Some(secret), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Failure::Syntax("Not a PLAIN response"));
    };
    let user = name(user)?;
    let authorization = std::str::from_utf8(authorization).map_err(|_| Failure::OtherIdentity)?;
    same_identity(authorization, &user)?;
    Ok((user, password(secret)?))
}

/// RFC 5801 §4: `n,` or `y,`, then `a=` with a name or nothing, then a comma. Returns the name and what follows.
pub(crate) fn gs2(text: &str) -> Result<(Option<String>, &str), Failure> {
    let bad = Failure::Syntax("Not a GS2 header");
    let rest = text.strip_prefix("n,").or_else(|| text.strip_prefix("y,")).ok_or(bad)?;
    let (authorization, rest) = rest.split_once(',').ok_or(bad)?;
    let authorization = match authorization.strip_prefix("a=") {
        Some(encoded) => Some(sasl_name(encoded)?),
        None if authorization.is_empty() => None,
        None => return Err(bad),
    };
    Ok((authorization, rest))
}

/// RFC 5802 §5.1: `,` is `=2C` and `=` is `=3D`.
pub(crate) fn sasl_name(encoded: &str) -> Result<String, Failure> {
    let mut text = String::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((before, after)) = rest.split_once('=') {
        text.push_str(before);
        let (sign, after) = match (after.strip_prefix("2C"), after.strip_prefix("3D")) {
            (Some(after), _) => (',', after),
            (_, Some(after)) => ('=', after),
            _ => return Err(Failure::Syntax("A name with = that stands for nothing")),
        };
        text.push(sign);
        rest = after;
    }
    text.push_str(rest);
    name(text.as_bytes())
}

/// The token of `Bearer …`, in any case.
fn bearer(value: &str) -> Result<SecretString, Failure> {
    let (scheme, token) = value.split_once(' ').ok_or(Failure::Syntax("No bearer token"))?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return Err(Failure::Syntax("No bearer token"));
    }
    Ok(SecretString::from(token))
}

/// Who the client says it is, its token, and which server it means.
type Bearer = (Option<String>, SecretString, Server);

/// Longest name of a host.
const HOST_BYTES_MAX: usize = 255;

/// RFC 7628 §3.1: GS2 header, ^A, pairs that end with ^A, ^A.
pub(crate) fn oauth_bearer(response: &[u8]) -> Result<Bearer, Failure> {
    let bad = Failure::Syntax("Not an OAUTHBEARER response");
    let text = std::str::from_utf8(response).map_err(|_| bad)?;
    let (user, rest) = gs2(text)?;
    let pairs = rest.strip_prefix('\x01').and_then(|rest| rest.strip_suffix("\x01\x01")).ok_or(bad)?;
    let pair = |key: &str| pairs.split('\x01').find_map(|pair| pair.strip_prefix(key));
    let host = pair("host=").map(str::to_owned);
    if host.as_ref().is_some_and(|host| host.len() > HOST_BYTES_MAX) {
        return Err(bad);
    }
    let port = pair("port=").map(str::parse).transpose().map_err(|_| bad)?;
    Ok((user, bearer(pair("auth=").ok_or(bad)?)?, Server { host, port }))
}

/// `user=NAME ^A auth=Bearer TOKEN ^A ^A`
pub(crate) fn xoauth2(response: &[u8]) -> Result<Bearer, Failure> {
    let bad = Failure::Syntax("Not an XOAUTH2 response");
    let text = std::str::from_utf8(response).map_err(|_| bad)?;
    let pairs = text.strip_suffix("\x01\x01").ok_or(bad)?;
    let pair = |key: &str| pairs.split('\x01').find_map(|pair| pair.strip_prefix(key));
    let user = pair("user=").filter(|user| !user.is_empty()).map(|user| name(user.as_bytes())).transpose()?;
    Ok((user, bearer(pair("auth=").ok_or(bad)?)?, Server::default()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn read(text: &str) -> Result<(String, String), Failure> {
        plain(text.as_bytes()).map(|(user, password)| (user, password.expose().to_owned()))
    }

    #[test]
    fn plain_responses() {
        assert_eq!(read("\0bob\0secret"), Ok(("bob".into(), "secret".into())));
        assert_eq!(read("bob\0Bob\0secret"), Ok(("Bob".into(), "secret".into())));
        assert_eq!(read("\0bob\0"), Ok(("bob".into(), String::new())));
        assert_eq!(read("eve\0bob\0secret"), Err(Failure::OtherIdentity));
        for wrong in ["", "bob", "\0bob", "\0bob\0a\0b", "\0\0secret", "\0b\rob\0secret"] {
            assert!(matches!(read(wrong), Err(Failure::Syntax(_))), "{wrong:?}");
        }
        assert_eq!(plain(b"\0bob\0\xff").unwrap_err(), Failure::Credentials);
    }

    #[test]
    fn names_with_commas() {
        assert_eq!(sasl_name("a=2Cb=3D").unwrap(), "a,b=");
        for wrong in ["", "a=", "a=2c", "a=20", "=", "a\u{7}"] {
            assert!(sasl_name(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn tokens() {
        let read = |text: &str| oauth_bearer(text.as_bytes()).map(|(user, token, _)| (user, token.expose().to_owned()));
        let own = Some(String::from("user@example.com"));
        let example = "n,a=user@example.com,\x01host=server.example.com\x01port=143\x01auth=Bearer vF9dft4qmT\x01\x01";
        assert_eq!(read(example), Ok((own.clone(), "vF9dft4qmT".into())));
        assert_eq!(read("n,,\x01auth=bearer x\x01\x01"), Ok((None, "x".into())));
        let server = |text: &str| oauth_bearer(text.as_bytes()).map(|(_, _, server)| server);
        assert_eq!(server(example), Ok(Server { host: Some("server.example.com".into()), port: Some(143) }));
        assert_eq!(server("n,,\x01auth=bearer x\x01\x01"), Ok(Server::default()));
        for wrong in ["n,,\x01port=x\x01auth=bearer x\x01\x01", "n,,\x01port=99999\x01auth=bearer x\x01\x01"] {
            assert!(server(wrong).is_err(), "{wrong:?}");
        }
        for wrong in ["", "\x01", "n,,", "n,,\x01\x01", "n,,\x01auth=Basic x\x01\x01", "p=x,,\x01auth=Bearer x\x01\x01"]
        {
            assert!(matches!(read(wrong), Err(Failure::Syntax(_))), "{wrong:?}");
        }
        let read = |text: &str| xoauth2(text.as_bytes()).map(|(user, token, _)| (user, token.expose().to_owned()));
        assert_eq!(read("user=user@example.com\x01auth=Bearer x.y-z\x01\x01"), Ok((own, "x.y-z".into())));
        for wrong in ["", "user=a\x01auth=Bearer \x01\x01", "user=a\x01\x01", "user=a\x01auth=Bearer x"] {
            assert!(matches!(read(wrong), Err(Failure::Syntax(_))), "{wrong:?}");
        }
    }
}
