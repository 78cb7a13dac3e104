//! A whole command's bytes to a [`Command`]: the tag, the verb, and the verb's own grammar file.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

use crate::command::{Command, CommandBody, CommandError, Hidden, Tag};
use crate::cursor::{Cursor, Fail, Read};
use crate::limits::{ID_FIELDS_COUNT_MAX, LANGUAGE_BYTES_MAX, LANGUAGES_COUNT_MAX};
use crate::{
    acl, append, context, create, fetch, list, metadata, notify, quota, search, select, sort, status, store, urlauth,
};

/// Longest verb.
const VERB_BYTES_MAX: usize = 16;

/// Reads a command as [`crate::Event::Command`] gives it. `utf8`: UTF8=ACCEPT or IMAP4rev2 is enabled, so that
/// mailbox names are UTF-8 and not modified UTF-7.
pub fn parse(command: &[u8], utf8: bool) -> Result<Command, CommandError> {
    let (tag, mut cursor) = read_tag(command, utf8)?;
    match read_body(&tag, &mut cursor) {
        Ok(body) => Ok(Command { tag, body }),
        Err(fail) => Err(to_error(tag, fail)),
    }
}

/// The tag and what stands behind it.
pub fn read_tag(command: &[u8], utf8: bool) -> Result<(Tag, Cursor<'_>), CommandError> {
    let end = memchr::memchr(b' ', command).unwrap_or(command.len());
    let (tag, rest) = command.split_at_checked(end).ok_or(CommandError::NoTag)?;
    let tag = Tag::new(tag).ok_or(CommandError::NoTag)?;
    Ok((tag, Cursor::new(rest, utf8)))
}

/// Puts the tag to a failure.
pub fn to_error(tag: Tag, fail: Fail) -> CommandError {
    match fail {
        Fail::Bad(text) => CommandError::BadArguments { tag, text },
        Fail::Unknown => CommandError::UnknownCommand { tag },
        Fail::Name { text, creating } => CommandError::MailboxName { tag, text, creating },
    }
}

/// The verb in capitals; an empty one for what is none.
pub fn read_verb<'b>(c: &mut Cursor<'_>, buffer: &'b mut [u8; VERB_BYTES_MAX]) -> &'b [u8] {
    c.blanks();
    let word = c.word();
    let Some(verb) = buffer.get_mut(..word.len()) else {
        return &[];
    };
    verb.copy_from_slice(word);
    verb.make_ascii_uppercase();
    verb
}

fn read_body(tag: &Tag, c: &mut Cursor<'_>) -> Read<CommandBody> {
    let mut buffer = [0; VERB_BYTES_MAX];
    let body = match read_verb(c, &mut buffer) {
        // RFC 9051 §6.1, §6.2.1, §6.3.10, §6.3.13, §6.4.1 to §6.4.3: verbs without arguments.
        b"CAPABILITY" => CommandBody::Capability,
        b"NOOP" => CommandBody::Noop,
        b"LOGOUT" => CommandBody::Logout,
        b"STARTTLS" => CommandBody::StartTls,
        b"NAMESPACE" => CommandBody::Namespace,
        b"IDLE" => CommandBody::Idle,
        b"CHECK" => CommandBody::Check,
        b"CLOSE" => CommandBody::Close,
        b"UNSELECT" => CommandBody::Unselect,
        b"UNAUTHENTICATE" => CommandBody::Unauthenticate,
        b"EXPUNGE" => CommandBody::Expunge { uids: None },
        b"ID" => read_id(c)?,
        b"LANGUAGE" => read_language(c)?,
        b"AUTHENTICATE" => read_authenticate(c)?,
        b"LOGIN" => read_login(c)?,
        b"ENABLE" => read_enable(c)?,
        b"COMPRESS" => {
            c.space()?;
            CommandBody::Compress { mechanism: c.atom_upper()? }
        }
        b"SELECT" => select::read(c, false)?,
        b"EXAMINE" => select::read(c, true)?,
        b"CREATE" => create::read(c)?,
        b"DELETE" => CommandBody::Delete(read_mailbox(c)?),
        b"RENAME" => create::read_rename(c)?,
        b"SUBSCRIBE" => CommandBody::Subscribe(read_mailbox(c)?),
        b"UNSUBSCRIBE" => CommandBody::Unsubscribe(read_mailbox(c)?),
        b"LIST" => list::read(c, crate::ListVerb::List)?,
        b"LSUB" => list::read(c, crate::ListVerb::Lsub)?,
        b"XLIST" => list::read(c, crate::ListVerb::Xlist)?,
        b"STATUS" => status::read(c)?,
        b"APPEND" => append::read(tag, c, None)?,
        b"REPLACE" => append::read(tag, c, Some(false))?,
        b"ESEARCH" => search::read_esearch(c)?,
        b"CANCELUPDATE" => context::read_cancel(c)?,
        b"UIDBATCHES" => context::read_batches(c)?,
        b"NOTIFY" => notify::read(c)?,
        b"GETQUOTA" => quota::read_get(c)?,
        b"GETQUOTAROOT" => CommandBody::GetQuotaRoot(read_mailbox(c)?),
        b"SETQUOTA" => quota::read_set(c)?,
        b"SETACL" => acl::read_set(c)?,
        b"DELETEACL" => acl::read_delete(c)?,
        b"GETACL" => CommandBody::GetAcl(read_mailbox(c)?),
        b"LISTRIGHTS" => acl::read_list(c)?,
        b"MYRIGHTS" => CommandBody::MyRights(read_mailbox(c)?),
        b"GETMETADATA" => metadata::read_get(c)?,
        b"SETMETADATA" => metadata::read_set(c)?,
        b"GENURLAUTH" => urlauth::read_generate(c)?,
        b"RESETKEY" => urlauth::read_reset(c)?,
        b"URLFETCH" => urlauth::read_fetch(c)?,
        b"UID" => {
            c.space()?;
            let mut buffer = [0; VERB_BYTES_MAX];
            match read_verb(c, &mut buffer) {
                // RFC 9051 §6.4.9, RFC 4315 §2.1
                b"EXPUNGE" => {
                    c.space()?;
                    CommandBody::Expunge { uids: Some(c.message_set()?) }
                }
                // RFC 8508 §3.3
                b"REPLACE" => append::read(tag, c, Some(true))?,
                verb => read_message_command(verb, c, true)?,
            }
        }
        verb => read_message_command(verb, c, false)?,
    };
    c.end()?;
    Ok(body)
}

/// Verbs that work on messages, with or without UID before them.
fn read_message_command(verb: &[u8], c: &mut Cursor<'_>, uid: bool) -> Read<CommandBody> {
    match verb {
        b"FETCH" => fetch::read(c, uid),
        b"STORE" => store::read(c, uid),
        b"SEARCH" => search::read(c, uid),
        b"SORT" => sort::read(c, uid),
        b"THREAD" => sort::read_thread(c, uid),
        b"COPY" | b"MOVE" => {
            c.space()?;
            let set = c.message_set()?;
            let mailbox = read_mailbox(c)?;
            Ok(match verb {
                b"COPY" => CommandBody::Copy { uid, set, mailbox },
                _ => CommandBody::Move { uid, set, mailbox },
            })
        }
        _ if uid => Err("Unknown UID command".into()),
        _ => Err(Fail::Unknown),
    }
}

fn read_mailbox(c: &mut Cursor<'_>) -> Read<pli_types::MailboxName> {
    c.space()?;
    c.mailbox()
}

/// RFC 2971 §3.1 `id-params-list`.
fn read_id(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    if c.eat_word(b"NIL") {
        return Ok(CommandBody::Id(None));
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut fields = Vec::new();
    c.list(|c| {
        let name = text(&c.string()?);
        c.space()?;
        let value = c.nstring()?.map(|v| text(&v));
        if fields.len() == ID_FIELDS_COUNT_MAX {
            return Err("Too many ID fields".into());
        }
        fields.push((name, value));
        Ok(())
    })?;
    Ok(CommandBody::Id(Some(fields)))
}

/// RFC 5255 §3.5 `language-cmd`.
fn read_language(c: &mut Cursor<'_>) -> Read<CommandBody> {
    let mut ranges = Vec::new();
    while c.more() {
        if ranges.len() == LANGUAGES_COUNT_MAX {
            return Err("Too many languages".into());
        }
        let range = c.astring_text()?;
        // RFC 4647 §2.1; "*" stands for any.
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'*');
        if range.is_empty() || range.len() > LANGUAGE_BYTES_MAX || !range.bytes().all(fits) {
            return Err("Not a language".into());
        }
        ranges.push(range);
    }
    Ok(CommandBody::Language(ranges))
}

/// RFC 9051 §6.2.2, RFC 4959 §3.
fn read_authenticate(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mechanism = c.atom_upper()?;
    let initial = if c.more() {
        let text = c.take_while(|b| b > b' ' && b < 0x7f);
        Some(if text == b"=" { Hidden(Vec::new()) } else { decode_sasl(text)? })
    } else {
        None
    };
    Ok(CommandBody::Authenticate { mechanism, initial })
}

fn decode_sasl(text: &[u8]) -> Read<Hidden> {
    decode_base64(text).map(Hidden).ok_or_else(|| "Initial response is not Base64".into())
}

/// A SASL answer: Base64 with or without padding. `None` if it is none.
#[must_use]
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    ENGINE.decode(text.trim_ascii()).ok()
}

/// RFC 9051 §6.2.3.
fn read_login(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let user = c.astring()?.into_owned();
    c.space()?;
    let password = Hidden(c.astring()?.into_owned());
    Ok(CommandBody::Login { user, password })
}

/// RFC 5161 §3.1.
fn read_enable(c: &mut Cursor<'_>) -> Read<CommandBody> {
    c.space()?;
    let mut names = vec![c.atom_upper()?];
    while c.more() {
        names.push(c.atom_upper()?);
    }
    Ok(CommandBody::Enable(names))
}
