//! pli-imap-proto
