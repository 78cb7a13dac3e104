//! RFC 9051 §9: which byte may stand in an atom, an astring, a tag, a list pattern.

/// `ATOM-CHAR`.
#[must_use]
pub const fn is_atom_char(b: u8) -> bool {
    b > 0x20 && b < 0x7f && !matches!(b, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// `ASTRING-CHAR`: an atom's and `]`; 8-bit bytes are tolerated because clients send raw UTF-8.
#[must_use]
pub const fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']' || b >= 0x80
}

/// A tag: ASTRING-CHAR without `+`.
#[must_use]
pub const fn is_tag_char(b: u8) -> bool {
    (is_atom_char(b) || b == b']') && b != b'+'
}

/// `list-char`: an astring's and the wildcards.
#[must_use]
pub const fn is_list_char(b: u8) -> bool {
    is_astring_char(b) || b == b'%' || b == b'*'
}
