//! Every limit of the grammar, unit last, with the answer that a client gets.

/// Bytes of a command without its literals' contents (RFC 7162 §4 advises 8192 at least). `tag BAD`.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one literal that is collected into a command (APPEND's messages stream past it). `tag BAD [TOOBIG]`.
pub const LITERAL_BYTES_MAX: u64 = 64 * 1024;
/// Literals in one command. `tag BAD`.
pub const LITERALS_COUNT_MAX: usize = 64;
/// All collected literals of a command together. `tag BAD`.
pub const LITERALS_BYTES_MAX: u64 = 256 * 1024;
/// A tag. `* BAD`.
pub const TAG_BYTES_MAX: usize = 256;
/// Parentheses, NOT and OR inside each other in SEARCH. `tag BAD`.
pub const SEARCH_DEPTH_MAX: usize = 32;
/// Search keys in one command. `tag BAD`.
pub const SEARCH_KEYS_COUNT_MAX: usize = 1_000;
/// Ranges in a sequence set. `tag BAD`.
pub const SET_RANGES_COUNT_MAX: usize = 16_384;
/// Items of one FETCH. `tag BAD`.
pub const FETCH_ITEMS_COUNT_MAX: usize = 256;
/// Part numbers in a section. `tag BAD`.
pub const SECTION_DEPTH_MAX: usize = 64;
/// Flags in one STORE or APPEND. `tag BAD`.
pub const FLAGS_COUNT_MAX: usize = 128;
/// RFC 2971 §3.3: field-value pairs of ID. `tag BAD`.
pub const ID_FIELDS_COUNT_MAX: usize = 30;
/// An identifier of an access control list. `tag BAD`.
pub const IDENTIFIER_BYTES_MAX: usize = 512;
/// Entries of one GETMETADATA or SETMETADATA. `tag BAD`.
pub const METADATA_ENTRIES_COUNT_MAX: usize = 64;
/// The name of an annotation. `tag BAD`.
pub const ANNOTATION_NAME_BYTES_MAX: usize = 256;
/// Levels of it below `/private` and `/shared`. `tag BAD`.
pub const ANNOTATION_NAME_LEVELS_MAX: usize = 16;
/// Patterns of one LIST. `tag BAD`.
pub const LIST_PATTERNS_COUNT_MAX: usize = 64;
/// Mailboxes that one NOTIFY or ESEARCH names. `tag BAD`.
pub const FILTER_MAILBOXES_COUNT_MAX: usize = 1_000;
/// Tags of one CANCELUPDATE. `tag BAD`.
pub const CANCELLED_TAGS_COUNT_MAX: usize = 64;
/// URLs of one APPEND (RFC 4469). `tag BAD`.
pub const CATENATE_URLS_COUNT_MAX: usize = 1_000;
/// A URL. Not one.
pub const URL_BYTES_MAX: usize = 8 * 1024;
/// Event groups of one NOTIFY. `tag BAD`.
pub const NOTIFY_GROUPS_COUNT_MAX: usize = 64;
/// One line of a SASL exchange (a token of OAUTHBEARER can be several KiB). `tag BAD`.
pub const RAW_LINE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a command or line before login, with its literals: nobody who has not said who he is may have more kept for
/// him. `tag BAD`.
pub const NARROW_BYTES_MAX: usize = 12 * 1024;
/// Languages that one LANGUAGE may name (RFC 5255).
pub const LANGUAGES_COUNT_MAX: usize = 16;
/// Bytes of one of them.
pub const LANGUAGE_BYTES_MAX: usize = 64;
/// URLs of one GENURLAUTH or URLFETCH (RFC 4467).
pub const URLS_COUNT_MAX: usize = 100;
