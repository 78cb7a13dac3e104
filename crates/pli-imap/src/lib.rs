//! pli-imap
