//! The mechanisms, in the order in which they are offered.

/// What a connection allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The TLS session's exported keying material, where it has some to bind to. RFC 9266.
    pub binding: Option<[u8; 32]>,
    /// Whether tokens of an issuer are taken.
    pub tokens: bool,
    /// Whether the client showed a certificate that was verified.
    pub certificate: bool,
}

macro_rules! mechanisms {
    ($($(#[$doc:meta])* $name:ident => $text:literal, $when:expr;)*) => {
        /// A mechanism.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Mechanism { $($(#[$doc])* $name,)* }

        impl Mechanism {
            /// All, in the order in which they are offered: some clients take the first that they know (clients.md 14, 27).
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// As registered.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
            /// Whether a connection allows it. PLAIN and LOGIN are for the caller to offer inside TLS only.
            #[must_use]
            pub fn is_offered(self, terms: &Terms) -> bool {
                let when: fn(&Terms) -> bool = match self { $(Self::$name => $when,)* };
                when(terms)
            }
        }
    };
}

mechanisms! {
    /// RFC 4616
    Plain => "PLAIN", |_| true;
    /// Before there was PLAIN.
    Login => "LOGIN", |_| true;
    /// RFC 7677
    ScramSha256 => "SCRAM-SHA-256", |_| true;
    /// RFC 7677, bound to the TLS session
    ScramSha256Plus => "SCRAM-SHA-256-PLUS", |terms| terms.binding.is_some();
    /// RFC 7628
    OAuthBearer => "OAUTHBEARER", |terms| terms.tokens;
    /// Google's form of it from before.
    XOAuth2 => "XOAUTH2", |terms| terms.tokens;
    /// RFC 4422 appendix A: who it is says the client's certificate.
    External => "EXTERNAL", |terms| terms.certificate;
}

impl Mechanism {
    /// By name in any case, if the connection allows it.
    #[must_use]
    pub fn find(name: &str, terms: &Terms) -> Option<Self> {
        Self::ALL.iter().copied().find(|m| m.name().eq_ignore_ascii_case(name) && m.is_offered(terms))
    }
    /// The mechanisms that a connection allows, in order.
    pub fn offered(terms: &Terms) -> impl Iterator<Item = Self> + '_ {
        Self::ALL.iter().copied().filter(|m| m.is_offered(terms))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn offers_follow_the_connection() {
        let names = |terms: &Terms| Mechanism::offered(terms).map(Mechanism::name).collect::<Vec<_>>();
        assert_eq!(names(&Terms::default()), ["PLAIN", "LOGIN", "SCRAM-SHA-256"]);
        let all = Terms { binding: Some([0; 32]), tokens: true, certificate: true };
        assert_eq!(names(&all).len(), Mechanism::ALL.len());
        assert_eq!(Mechanism::find("scram-sha-256-plus", &all), Some(Mechanism::ScramSha256Plus));
        assert_eq!(Mechanism::find("SCRAM-SHA-256-PLUS", &Terms::default()), None);
        assert_eq!(Mechanism::find("CRAM-MD5", &all), None);
    }
}
