//! DKIM: whose signatures does a message carry, and do they hold? RFC 6376, RFC 8301, RFC 8463.

pub mod canon;
pub mod key;
pub mod sign;
pub mod verify;

/// The result. RFC 8601 §2.7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DkimResult {
    /// No signature.
    None,
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It holds, but not for all of the message.
    Policy,
    /// It cannot be understood.
    Neutral,
    /// DNS failed for now.
    TempError,
    /// It can never hold.
    PermError,
}

impl DkimResult {
    /// As RFC 8601 names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Policy => "policy",
            Self::Neutral => "neutral",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
        }
    }
}

/// What came of one signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DkimOutcome {
    /// The result.
    pub result: DkimResult,
    /// `d=`, in ASCII.
    pub domain: String,
    /// `s=`
    pub selector: String,
    /// `i=`, or `@` and the domain.
    pub identity: String,
    /// `a=`
    pub algorithm: String,
    /// The first characters of `b=`, which tell two signatures of one domain apart. RFC 6008.
    pub mark: String,
    /// Why, in words.
    pub reason: String,
    /// The domain only tries DKIM out.
    pub testing: bool,
}
