//! A whole command's bytes to a [`Command`].

use crate::command::{AppendMeta, AppendPrefix, Command, CommandError};

/// Reads a command as [`crate::Event::Command`] gives it. `utf8`: UTF8=ACCEPT or IMAP4rev2 is enabled, so that
/// mailbox names are UTF-8 and not modified UTF-7.
pub fn parse(command: &[u8], utf8: bool) -> Result<Command, CommandError> {
    let _ = (command, utf8);
    Err(CommandError::NoTag)
}

/// Reads [`crate::Framer::prefix`] after the first [`crate::Event::AppendLiteral`] of a command.
pub fn parse_append_prefix(prefix: &[u8], utf8: bool) -> Result<AppendPrefix, CommandError> {
    let _ = (prefix, utf8);
    Err(CommandError::NoTag)
}

/// Reads [`crate::Framer::prefix`] after a further [`crate::Event::AppendLiteral`] (RFC 3502): `first` is what the
/// message before it had.
pub fn parse_append_next(tag: &crate::Tag, first: &AppendMeta, prefix: &[u8]) -> Result<AppendMeta, CommandError> {
    let _ = (first, prefix);
    Err(CommandError::UnknownCommand { tag: tag.clone() })
}

/// Reads [`crate::Event::AppendEnd`]: nothing may stand there but, after `UTF8 (`, a `)`.
pub fn parse_append_end(tag: &crate::Tag, last: &AppendMeta, end: &[u8]) -> Result<(), CommandError> {
    let _ = (last, end);
    Err(CommandError::UnknownCommand { tag: tag.clone() })
}
