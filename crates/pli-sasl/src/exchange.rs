//! One exchange, from the mechanism's name to who it was.

use pli_crypto::{ScramKeys, SecretString};
use thiserror::Error;

use crate::mechanism::{Mechanism, Terms};
use crate::messages::{name, oauth_bearer, password, plain, xoauth2};
use crate::scram::{First, Right, Second};

/// Why an exchange ends without anybody having been asked. The session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// What came is not what the mechanism says.
    #[error("{0}")]
    Syntax(&'static str),
    /// The credentials cannot be right.
    #[error("the credentials are wrong")]
    Credentials,
    /// One account asks to act for another.
    #[error("acting for another account is not offered")]
    OtherIdentity,
    /// A kind of channel binding that is not known.
    #[error("this kind of channel binding is not offered")]
    Binding,
    /// No randomness.
    #[error("temporarily unavailable")]
    Unavailable,
}

/// What the world is asked. [`Ask::Verifiers`] goes on with [`Exchange::verifiers`]; a refused [`Ask::Token`] with
/// [`Exchange::refused`]; all else is the end of the exchange.
#[derive(Clone, Debug)]
pub enum Ask {
    /// Is this the account's password?
    Password {
        /// User name.
        user: String,
        /// Password.
        password: SecretString,
    },
    /// What is kept for SCRAM? For an account that is not there, something that looks the same.
    Verifiers {
        /// User name.
        user: String,
    },
    /// It has been proved that the client has a password of the account.
    Proved {
        /// User name.
        user: String,
        /// The number of the app password, if it was one.
        app: Option<u32>,
        /// What was proved: whether it is still kept.
        keys: ScramKeys,
    },
    /// The proof was wrong.
    Disproved {
        /// User name.
        user: String,
    },
    /// Is this token good, and for whom?
    Token {
        /// Who the client says it is for.
        user: Option<String>,
        /// As the issuer made it.
        token: SecretString,
        /// Which server the client means.
        server: Server,
    },
    /// Whose is the certificate that the client showed?
    Certificate {
        /// Who the client says.
        user: Option<String>,
    },
}

/// The server that a client of OAUTHBEARER means, where it says so. RFC 7628 §3.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// `host`, as the client knows it.
    pub host: Option<String>,
    /// `port`, as the client connected to it.
    pub port: Option<u16>,
}

/// What is kept of an account's passwords for SCRAM.
#[derive(Clone, Debug)]
pub struct Verifiers {
    /// One for all passwords of the account.
    pub salt: Vec<u8>,
    /// The same.
    pub iterations: u32,
    /// The password's (`None`), and those of app passwords by number.
    pub keys: Vec<(Option<u32>, ScramKeys)>,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send this to the client and take its response.
    Challenge(Vec<u8>),
    /// Ask the world.
    Ask(Ask),
    /// The end.
    Fail(Failure),
}

/// What is awaited.
#[derive(Debug)]
enum State {
    /// The first response.
    Begin,
    /// LOGIN: the password.
    Password { user: String },
    /// SCRAM: what is kept.
    Keys(First),
    /// SCRAM: the proof.
    Proof(Second),
    /// SCRAM: the client's word that it has seen the server's proof.
    Seen { user: String, app: Option<u32>, keys: ScramKeys },
    /// Whether the token is good.
    Token,
    /// The client's word that it has seen the error.
    Error,
    /// Nothing.
    End,
}

/// One exchange. Dropped when the client gives it up.
#[derive(Debug)]
pub struct Exchange {
    mechanism: Mechanism,
    terms: Terms,
    state: State,
}

impl Exchange {
    /// By a mechanism that is offered.
    #[must_use]
    pub const fn new(mechanism: Mechanism, terms: Terms) -> Self {
        Self { mechanism, terms, state: State::Begin }
    }

    /// Begins. Without an initial response the client is asked for its first one.
    pub fn start(&mut self, initial: Option<&[u8]>) -> Step {
        match (initial, self.mechanism) {
            (Some(response), _) => self.respond(response),
            // By these words clients of LOGIN go.
            (None, Mechanism::Login) => Step::Challenge(b"Username:".to_vec()),
            (None, _) => Step::Challenge(Vec::new()),
        }
    }

    /// A response of the client.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        self.take(response).unwrap_or_else(Step::Fail)
    }

    fn take(&mut self, response: &[u8]) -> Result<Step, Failure> {
        match std::mem::replace(&mut self.state, State::End) {
            State::Begin => self.begin(response),
            State::Password { user } => Ok(Step::Ask(Ask::Password { user, password: password(response)? })),
            State::Proof(second) => match second.check(response)? {
                Some(Right { app, keys, message }) => {
                    self.state = State::Seen { user: second.user, app, keys };
                    Ok(Step::Challenge(message))
                }
                None => Ok(Step::Ask(Ask::Disproved { user: second.user })),
            },
            // RFC 5802 §5: the client has verified the server, and says nothing more.
            State::Seen { user, app, keys } if response.is_empty() => Ok(Step::Ask(Ask::Proved { user, app, keys })),
            State::Seen { .. } => Err(Failure::Syntax("Nothing was left to say")),
            // RFC 7628 §3.2.3: whatever it says, the exchange has failed.
            State::Error => Err(Failure::Credentials),
            State::Keys(_) | State::Token | State::End => Err(Failure::Syntax("Out of order")),
        }
    }

    fn begin(&mut self, response: &[u8]) -> Result<Step, Failure> {
        match self.mechanism {
            Mechanism::Plain => {
                let (user, password) = plain(response)?;
                Ok(Step::Ask(Ask::Password { user, password }))
            }
            Mechanism::Login => {
                self.state = State::Password { user: name(response)? };
                Ok(Step::Challenge(b"Password:".to_vec()))
            }
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                let plus = self.mechanism == Mechanism::ScramSha256Plus;
                let first = First::parse(response, plus, &self.terms)?;
                let user = first.user.clone();
                self.state = State::Keys(first);
                Ok(Step::Ask(Ask::Verifiers { user }))
            }
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => {
                let bearer = self.mechanism == Mechanism::OAuthBearer;
                let (user, token, server) = if bearer { oauth_bearer(response)? } else { xoauth2(response)? };
                self.state = State::Token;
                Ok(Step::Ask(Ask::Token { user, token, server }))
            }
            // RFC 4422 appendix A: the authorization identity, or nothing.
            Mechanism::External if response.is_empty() => Ok(Step::Ask(Ask::Certificate { user: None })),
            Mechanism::External => Ok(Step::Ask(Ask::Certificate { user: Some(name(response)?) })),
        }
    }

    /// The answer to [`Ask::Verifiers`].
    pub fn verifiers(&mut self, verifiers: Verifiers) -> Step {
        let State::Keys(first) = std::mem::replace(&mut self.state, State::End) else {
            return Step::Fail(Failure::Syntax("Out of order"));
        };
        match first.answer(verifiers) {
            Ok((second, message)) => {
                self.state = State::Proof(second);
                Step::Challenge(message)
            }
            Err(failure) => Step::Fail(failure),
        }
    }

    /// What was asked was refused: a mechanism that has words for that goes on with them.
    pub fn refused(&mut self) -> Option<Step> {
        if !matches!(std::mem::replace(&mut self.state, State::End), State::Token) {
            return None;
        }
        self.state = State::Error;
        // RFC 7628 §3.2.2, and what clients of XOAUTH2 know.
        let error = match self.mechanism {
            Mechanism::OAuthBearer => r#"{"status":"invalid_token","scope":"mail"}"#,
            _ => r#"{"status":"401","schemes":"bearer","scope":"mail"}"#,
        };
        Some(Step::Challenge(error.as_bytes().to_vec()))
    }
}
