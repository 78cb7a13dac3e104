//! AUTH. RFC 4954. The mechanisms are `pli-sasl`'s.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_sasl::{Exchange, Failure, Mechanism, Step as Sasl};
use zeroize::{Zeroize, Zeroizing};

use super::{Asked, Mode, Phase, Question, Session, Step};
use crate::reply::Reply;

impl Session {
    pub(super) fn auth(&mut self, mechanism: &str, initial: Option<String>) -> Option<Step> {
        if !self.settings.role.is_submission() {
            return self.bad(&Reply::new(502, "5.5.1", "AUTH is not offered here"));
        }
        if !self.tls {
            // RFC 4954 §6
            return self.bad(&Reply::new(538, "5.7.11", "Encryption is required for authentication"));
        }
        if matches!(self.phase, Phase::Start) {
            return self.out_of_order("EHLO first");
        }
        // RFC 4954 §4
        if self.authenticated || matches!(self.phase, Phase::Mail(_)) {
            return self.out_of_order("AUTH is not possible now");
        }
        let Some(mechanism) = Mechanism::find(mechanism, &self.terms) else {
            return self.bad(&Reply::new(504, "5.5.4", "The mechanism is not known"));
        };
        self.refusal = None;
        let exchange = self.exchange.insert(Box::new(Exchange::new(mechanism, self.terms)));
        match initial {
            Some(mut response) => {
                // RFC 4954 §4: `=` is the empty response.
                let step = self.response(if response == "=" { b"" } else { response.as_bytes() });
                response.zeroize();
                step
            }
            None => {
                let step = exchange.start(None);
                self.sasl(step)
            }
        }
    }

    /// A response of the exchange, in Base64.
    pub(super) fn response(&mut self, response: &[u8]) -> Option<Step> {
        let Some(exchange) = &mut self.exchange else { return None };
        // RFC 4954 §4: the client gives up. The session goes on.
        if response == b"*" {
            self.exchange = None;
            return self.bad(&Reply::new(501, "5.7.0", "Authentication cancelled"));
        }
        let Ok(decoded) = BASE64.decode(response).map(Zeroizing::new) else {
            self.exchange = None;
            return self.bad(&Reply::new(501, "5.5.2", "The response is not Base64"));
        };
        let step = exchange.respond(&decoded);
        self.sasl(step)
    }

    /// Does what the exchange says.
    pub(super) fn sasl(&mut self, step: Sasl) -> Option<Step> {
        match step {
            Sasl::Challenge(challenge) => {
                self.say(&Reply::new(334, "", BASE64.encode(challenge)));
                self.mode = Mode::Sasl;
                None
            }
            Sasl::Ask(ask) => self.ask(Asked::Login, Question::Login(ask)),
            Sasl::Fail(failure) => {
                self.exchange = None;
                self.exchange_failed(failure)
            }
        }
    }

    fn exchange_failed(&mut self, failure: Failure) -> Option<Step> {
        let reply = match failure {
            Failure::Syntax(text) => return self.bad(&Reply::new(501, "5.5.2", text)),
            Failure::Binding => return self.bad(&Reply::new(501, "5.5.4", failure.to_string())),
            Failure::Credentials | Failure::OtherIdentity => {
                let reply = || Reply::new(535, "5.7.8", "Authentication credentials invalid");
                self.refusal.take().unwrap_or_else(reply)
            }
            Failure::Unavailable => Reply::new(454, "4.7.0", "Temporary authentication failure"),
        };
        self.login_failed(&reply);
        None
    }

    pub(super) fn login_answered(&mut self, reply: Reply) {
        let exchange = self.exchange.take();
        if reply.is_positive() {
            self.say(&reply);
            self.authenticated = true;
            return;
        }
        // RFC 7628 §3.2.3: some mechanisms tell the client more, and it answers, before the end.
        let Some(mut exchange) = exchange else { return self.login_failed(&reply) };
        match exchange.refused() {
            Some(step) => {
                self.refusal = Some(reply);
                self.exchange = Some(exchange);
                let _ = self.sasl(step);
            }
            None => self.login_failed(&reply),
        }
    }

    fn login_failed(&mut self, reply: &Reply) {
        self.say(reply);
        self.login_failures += 1;
        if self.login_failures >= self.settings.login_failures_max {
            self.end(&Reply::new(421, "4.7.0", "Too many failed logins"));
        }
    }
}
