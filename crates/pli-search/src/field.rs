//! Where a word stands, as bits: one word of one message has one mask of them.

/// The decoded text of a part.
pub(crate) const TEXT: u64 = 1;
/// Name or value of a field in a part's header or in an enclosed message's.
pub(crate) const PART_HEADER: u64 = 1 << 1;
/// The name of an attachment.
pub(crate) const ATTACHMENT: u64 = 1 << 2;
/// The name of a field of the message's header, with its colon.
pub(crate) const NAME: u64 = 1 << 3;
/// The value of a header field without a bit of its own.
pub(crate) const OTHER: u64 = 1 << 4;
/// The bit of the first name in [`NAMED`].
const FIRST_NAMED: u32 = 8;

/// What BODY looks at. RFC 9051 §6.4.4: all but the message's own header.
pub(crate) const BODY: u64 = TEXT | PART_HEADER | ATTACHMENT;
/// What TEXT looks at.
pub(crate) const ALL: u64 = u64::MAX;

/// Header fields with a bit of their own, and whether programs write them for programs. The order is part of the format.
const NAMED: [(&str, bool); 50] = [
    ("subject", false),
    ("from", false),
    ("to", false),
    ("cc", false),
    ("bcc", false),
    ("reply-to", false),
    ("sender", false),
    ("date", false),
    ("message-id", true),
    ("in-reply-to", true),
    ("references", true),
    ("received", true),
    ("return-path", true),
    ("delivered-to", true),
    ("mime-version", true),
    ("content-type", true),
    ("content-transfer-encoding", true),
    ("content-language", true),
    ("content-disposition", true),
    ("list-id", false),
    ("list-post", true),
    ("list-unsubscribe", true),
    ("list-unsubscribe-post", true),
    ("list-archive", true),
    ("list-help", true),
    ("list-subscribe", true),
    ("auto-submitted", true),
    ("precedence", true),
    ("importance", true),
    ("priority", true),
    ("x-priority", true),
    ("newsgroups", false),
    ("organization", false),
    ("user-agent", true),
    ("x-mailer", true),
    ("dkim-signature", true),
    ("authentication-results", true),
    ("received-spf", true),
    ("x-spam-status", true),
    ("x-spam-flag", true),
    ("x-spam-score", true),
    ("keywords", false),
    ("comments", false),
    ("errors-to", false),
    ("disposition-notification-to", false),
    ("resent-from", false),
    ("resent-to", false),
    ("thread-topic", false),
    ("thread-index", true),
    ("feedback-id", true),
];

/// Values of fields that programs write for programs: ids, signatures, traces of transport.
pub(crate) const TRACE: u64 = trace();

const fn trace() -> u64 {
    let (mut mask, mut left, mut names) = (OTHER, 1u64 << FIRST_NAMED, NAMED.as_slice());
    while let [(_, by_programs), rest @ ..] = names {
        if *by_programs {
            mask |= left;
        }
        (left, names) = (left << 1, rest);
    }
    mask
}

/// What a search looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Values of the header fields of this name, in any case.
    Header(&'a str),
    /// All but the message's own header.
    Body,
    /// Everything.
    Text,
}

/// The bit of the values of a header field.
pub(crate) fn bit(name: &str) -> u64 {
    let at = NAMED.iter().position(|(known, _)| known.eq_ignore_ascii_case(name));
    at.and_then(|at| u32::try_from(at).ok())
        .and_then(|at| 1u64.checked_shl(FIRST_NAMED.saturating_add(at)))
        .unwrap_or(OTHER)
}

/// Weight of a word's best place, for ranking: what somebody remembers of a message stands in its subject or sender.
pub(crate) fn weight(mask: u64) -> f32 {
    const SUBJECT: u64 = 1 << FIRST_NAMED;
    const PEOPLE: u64 = 0b11110 << FIRST_NAMED;
    if mask & SUBJECT != 0 {
        3.0
    } else if mask & (PEOPLE | ATTACHMENT) != 0 {
        2.0
    } else if mask & TEXT != 0 {
        1.0
    } else {
        0.2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_bits_of_their_own() {
        assert_eq!(bit("Subject"), 1 << 8);
        assert_eq!(bit("FROM"), 1 << 9);
        assert_eq!(bit("feedback-id"), 1 << 57);
        assert_eq!(bit("X-No-Such"), OTHER);
        let mut all: Vec<u64> = NAMED.iter().map(|(name, _)| bit(name)).collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), NAMED.len());
        assert!(all.iter().all(|bit| bit & (BODY | NAME | OTHER) == 0));
        for (name, trace) in
            [("subject", false), ("date", false), ("received", true), ("feedback-id", true), ("x", true)]
        {
            assert_eq!(TRACE & bit(name) != 0, trace, "{name}");
        }
        assert_eq!(TRACE & (BODY | NAME), 0);
    }
}
