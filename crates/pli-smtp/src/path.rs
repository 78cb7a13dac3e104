//! Reverse and forward paths. RFC 5321 §4.1.2.

use pli_types::{Address, AddressError};

/// To whom RCPT is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwardPath {
    /// `<local@domain>`
    To(Address),
    /// `<Postmaster>` without a domain. RFC 5321 §4.5.1.
    Postmaster,
}

/// Why a path is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PathError {
    /// No angle brackets, or something that does not belong.
    Syntax,
    /// What is between the brackets is no address.
    Address(AddressError),
    /// A forward path cannot be empty.
    Empty,
}

/// `<path> parameters` → what is between the brackets, and the parameters. Quotes protect brackets.
pub(crate) fn split_parameters(text: &str) -> Result<(&str, &str), PathError> {
    let inner = text.strip_prefix('<').ok_or(PathError::Syntax)?;
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let (path, rest) = inner.split_at(at);
                let rest = rest.strip_prefix('>').unwrap_or(rest);
                if !rest.is_empty() && !rest.starts_with(' ') {
                    return Err(PathError::Syntax);
                }
                return Ok((path, rest));
            }
            _ => {}
        }
    }
    Err(PathError::Syntax)
}

pub(crate) fn reverse_path(path: &str) -> Result<Option<Address>, PathError> {
    if path.is_empty() { Ok(None) } else { address(path).map(Some) }
}

pub(crate) fn forward_path(path: &str) -> Result<ForwardPath, PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.eq_ignore_ascii_case("postmaster") {
        return Ok(ForwardPath::Postmaster);
    }
    address(path).map(ForwardPath::To)
}

fn address(path: &str) -> Result<Address, PathError> {
    // RFC 5321 §4.1.1.3 and appendix C: a source route is taken and ignored.
    let mailbox = match path.strip_prefix('@') {
        Some(route) => route.split_once(':').ok_or(PathError::Syntax)?.1,
        None => path,
    };
    Address::parse(mailbox).map_err(PathError::Address)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(split_parameters("<a@b> SIZE=1").unwrap(), ("a@b", " SIZE=1"));
        assert_eq!(split_parameters("<\"a>b\"@c>").unwrap(), ("\"a>b\"@c", ""));
        assert_eq!(split_parameters("<\"a\\\">b\"@c>").unwrap(), ("\"a\\\">b\"@c", ""));
        assert_eq!(split_parameters("<a@b").unwrap_err(), PathError::Syntax);
        assert_eq!(reverse_path("").unwrap(), None);
        let quoted = reverse_path("\"john doe\"@example.org").unwrap().unwrap();
        assert_eq!((quoted.local(), quoted.to_string().as_str()), ("john doe", "\"john doe\"@example.org"));
        let routed = forward_path("@one.test,@two.test:bob@example.org").unwrap();
        assert_eq!(routed, ForwardPath::To(Address::parse("bob@example.org").unwrap()));
        assert_eq!(forward_path("PostMaster").unwrap(), ForwardPath::Postmaster);
        assert_eq!(forward_path("").unwrap_err(), PathError::Empty);
        assert!(forward_path("bob").is_err());
    }
}
