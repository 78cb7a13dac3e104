//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, as texts. RFC 5802 §5, §7; RFC 9266 §2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_crypto::{ScramKeys, random_bytes};

use crate::NONCE_BYTES_MAX;
use crate::exchange::{Failure, Verifiers};
use crate::mechanism::Terms;
use crate::messages::{same_identity, sasl_name};

/// The one kind of channel binding. RFC 9266 §1.
const BINDING: &str = "tls-exporter";

/// What the client's first message said.
#[derive(Debug)]
pub(crate) struct First {
    /// Who logs in.
    pub(crate) user: String,
    /// What `c=` of the final message must hold: the GS2 header, and the channel's binding behind it.
    bound: Vec<u8>,
    /// The first message without its header.
    bare: String,
    nonce: String,
}

/// RFC 5802 §7: `reserved-mext` is none of ours, and no extension is known.
fn attribute<'a>(text: Option<&'a str>, name: &str) -> Result<&'a str, Failure> {
    let value = text.and_then(|text| text.strip_prefix(name)?.strip_prefix('='));
    value.ok_or(Failure::Syntax("Not a SCRAM message"))
}

impl First {
    pub(crate) fn parse(message: &[u8], plus: bool, terms: &Terms) -> Result<Self, Failure> {
        let bad = Failure::Syntax("Not a SCRAM message");
        let text = std::str::from_utf8(message).map_err(|_| bad)?;
        let (flag, rest) = text.split_once(',').ok_or(bad)?;
        let (authorization, bare) = rest.split_once(',').ok_or(bad)?;
        match (flag, plus) {
            ("n", false) => {}
            // RFC 5802 §6: the client could bind, and believes that the server cannot. Where -PLUS is offered somebody has
            // taken that out of the list.
            ("y", false) if terms.binding.is_none() => {}
            ("y", false) => return Err(Failure::Credentials),
            (flag, true) if flag.strip_prefix("p=") == Some(BINDING) => {}
            (flag, true) if flag.starts_with("p=") => return Err(Failure::Binding),
            _ => return Err(bad),
        }
        let mut attributes = bare.split(',');
        let user = sasl_name(attribute(attributes.next(), "n")?)?;
        let nonce = attribute(attributes.next(), "r")?;
        if nonce.is_empty() || nonce.len() > NONCE_BYTES_MAX || !nonce.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad);
        }
        if !authorization.is_empty() {
            same_identity(&sasl_name(attribute(Some(authorization), "a")?)?, &user)?;
        }
        let header = text.len().saturating_sub(bare.len());
        let mut bound = text.as_bytes().get(..header).unwrap_or_default().to_vec();
        if plus {
            bound.extend_from_slice(&terms.binding.ok_or(bad)?);
        }
        let (bare, nonce) = (bare.to_owned(), nonce.to_owned());
        Ok(Self { user, bound, bare, nonce })
    }

    /// The server's first message.
    pub(crate) fn answer(self, verifiers: Verifiers) -> Result<(Second, Vec<u8>), Failure> {
        let own: [u8; 18] = random_bytes().map_err(|_| Failure::Unavailable)?;
        let nonce = format!("{}{}", self.nonce, BASE64.encode(own));
        let message = format!("r={nonce},s={},i={}", BASE64.encode(&verifiers.salt), verifiers.iterations);
        let bytes = message.clone().into_bytes();
        let exchange = format!("{},{message}", self.bare);
        Ok((Second { user: self.user, bound: self.bound, nonce, exchange, keys: verifiers.keys }, bytes))
    }
}

/// A right proof.
pub(crate) struct Right {
    /// The number of the app password, if it was one.
    pub(crate) app: Option<u32>,
    /// What it proved.
    pub(crate) keys: ScramKeys,
    /// The server's final message.
    pub(crate) message: Vec<u8>,
}

/// Waiting for the client's proof.
#[derive(Debug)]
pub(crate) struct Second {
    pub(crate) user: String,
    bound: Vec<u8>,
    nonce: String,
    /// What has been said so far, as both sides sign it.
    exchange: String,
    keys: Vec<(Option<u32>, ScramKeys)>,
}

impl Second {
    /// Reads the client's final message; `None`: the proof is wrong.
    pub(crate) fn check(&self, message: &[u8]) -> Result<Option<Right>, Failure> {
        let bad = Failure::Syntax("Not a SCRAM message");
        let text = std::str::from_utf8(message).map_err(|_| bad)?;
        // RFC 5802 §7: the proof stands last.
        let (unproved, proof) = text.rsplit_once(",p=").ok_or(bad)?;
        let proof: [u8; 32] = BASE64.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or(bad)?;
        let mut attributes = unproved.split(',');
        let bound = BASE64.decode(attribute(attributes.next(), "c")?).map_err(|_| bad)?;
        let nonce = attribute(attributes.next(), "r")?;
        if nonce != self.nonce {
            return Err(bad);
        }
        // RFC 5802 §6: another binding means another TLS session, so somebody between.
        if bound != self.bound {
            return Ok(None);
        }
        let exchange = format!("{},{unproved}", self.exchange);
        // All are looked at, so that the time does not tell which one it was.
        let mut right = None;
        for (which, keys) in &self.keys {
            if keys.proves(exchange.as_bytes(), &proof) {
                let message = format!("v={}", BASE64.encode(keys.sign(exchange.as_bytes()))).into_bytes();
                right = Some(Right { app: *which, keys: keys.clone(), message });
            }
        }
        Ok(right)
    }
}
