//! Account passwords: Argon2id as PHC strings, at the parameters that OWASP gives, in memory that is used again.
//!
//! A hash works in 19 MiB. Allocating that for each login costs page faults, and a burst of logins would take memory
//! without bound: so there are [`BUFFERS_MAX`] buffers, and who finds none waits. Callers run this on a thread that may
//! block. The buffers are not wiped between uses: after the second pass nothing in them is easier to test a guess
//! against than the stored hash is.

use std::fmt::Write as _;

use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use parking_lot::{Condvar, Mutex};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::error::{CryptoError, Result};
use crate::random::{fill, random_bytes};
use crate::secret::SecretString;

/// Longest password taken; longer ones never verify.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Length of a generated password: 115 bits.
pub const GENERATED_PASSWORD_CHARS: usize = 20;

// OWASP password storage cheat sheet: Argon2id with m=19456 (19 MiB), t=2, p=1.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;
// Bounds for hashes that were made elsewhere and imported.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;
const PHC_BYTES_MAX: usize = 256;
const HASH_BYTES: usize = 32;
const SALT_BYTES: usize = 16;
const BUFFERS_MAX: usize = 2;

/// Letters and digits without those that are taken for one another: 0 O o, 1 I i l.
const ALPHABET: &[u8; 55] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// The same without capitals.
pub(crate) const APP_ALPHABET: &[u8; 31] = b"abcdefghjkmnpqrstuvwxyz23456789";
/// Length of a password for one device.
pub(crate) const APP_PASSWORD_CHARS: usize = 24;

struct Pool {
    state: Mutex<PoolState>,
    freed: Condvar,
}

struct PoolState {
    idle: Vec<Vec<Block>>,
    lent: usize,
}

static POOL: Pool = Pool { state: Mutex::new(PoolState { idle: Vec::new(), lent: 0 }), freed: Condvar::new() };

/// A buffer that goes back to the pool when dropped, also when a hash fails.
struct Lent(Vec<Block>);

impl Lent {
    fn take(blocks: usize) -> Self {
        let mut buffer = {
            let mut state = POOL.state.lock();
            while state.lent >= BUFFERS_MAX {
                POOL.freed.wait(&mut state);
            }
            state.lent += 1;
            state.idle.pop().unwrap_or_default()
        };
        if buffer.len() < blocks {
            buffer.resize(blocks, Block::new());
        }
        Self(buffer)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        // An imported hash may have needed more: what the usual ones need is kept, the rest given back.
        let usual = usize::try_from(MEMORY_KIB).unwrap_or(usize::MAX);
        if buffer.len() > usual {
            buffer.truncate(usual);
            buffer.shrink_to_fit();
        }
        let mut state = POOL.state.lock();
        state.lent = state.lent.saturating_sub(1);
        state.idle.push(buffer);
        drop(state);
        POOL.freed.notify_one();
    }
}

/// A PHC string's parts.
struct Parsed {
    algorithm: Algorithm,
    version: Version,
    params: Params,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl Parsed {
    /// `$argon2id$v=19$m=19456,t=2,p=1$SALT$HASH`, bounded; `None` for all else.
    fn parse(phc: &str) -> Option<Self> {
        if phc.len() > PHC_BYTES_MAX {
            return None;
        }
        let mut fields = phc.strip_prefix('$')?.split('$');
        let algorithm = match fields.next()? {
            "argon2id" => Algorithm::Argon2id,
            "argon2i" => Algorithm::Argon2i,
            _ => return None,
        };
        let version = match fields.next()? {
            "v=19" => Version::V0x13,
            "v=16" => Version::V0x10,
            _ => return None,
        };
        let mut numbers = fields.next()?.split(',');
        let mut number = |name: &str, max: u32| -> Option<u32> {
            let value = numbers.next()?.strip_prefix(name)?.parse().ok()?;
            (1..=max).contains(&value).then_some(value)
        };
        let (m, t, p) = (number("m=", MEMORY_KIB_MAX)?, number("t=", PASSES_MAX)?, number("p=", LANES_MAX)?);
        if numbers.next().is_some() {
            return None;
        }
        let salt = BASE64.decode(fields.next()?).ok()?;
        let hash = BASE64.decode(fields.next()?).ok()?;
        // Shorter hashes would be guessed; the upper bounds are those of what is made anywhere.
        if fields.next().is_some() || !(16..=64).contains(&hash.len()) || !(8..=64).contains(&salt.len()) {
            return None;
        }
        let params = Params::new(m, t, p, Some(hash.len())).ok()?;
        Some(Self { algorithm, version, params, salt, hash })
    }
}

fn run(
    algorithm: Algorithm,
    version: Version,
    params: Params,
    password: &SecretString,
    salt: &[u8],
    out: &mut [u8],
) -> Result<()> {
    if password.expose().len() > PASSWORD_BYTES_MAX {
        return Err(CryptoError::Password);
    }
    let blocks = params.block_count();
    let mut memory = Lent::take(blocks);
    let memory = memory.0.get_mut(..blocks).ok_or(CryptoError::Password)?;
    Argon2::new(algorithm, version, params)
        .hash_password_into_with_memory(password.expose().as_bytes(), salt, out, memory)
        .map_err(|_| CryptoError::Password)
}

fn own_params() -> Result<Params> {
    Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).map_err(|_| CryptoError::Password)
}

/// Hashes a password to a PHC string. Blocks for about the time of one login.
pub fn hash_password(password: &SecretString) -> Result<String> {
    let salt: [u8; SALT_BYTES] = random_bytes()?;
    let mut hash = Zeroizing::new([0; HASH_BYTES]);
    run(Algorithm::Argon2id, Version::V0x13, own_params()?, password, &salt, hash.as_mut())?;
    let mut phc = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${}$", BASE64.encode(salt));
    // Writing to a String does not fail.
    let _ = write!(phc, "{}", BASE64.encode(&hash[..]));
    Ok(phc)
}

/// A password's entry: the PHC string alone, or with the verifier of SCRAM behind a blank.
pub(crate) const ENTRY_SEPARATOR: char = ' ';

/// Whether the password is the one that was hashed. Compares in constant time. A string that is no PHC string of
/// Argon2, or whose parameters are out of bounds, takes a dummy's time and is false.
#[must_use]
pub fn verify_password(password: &SecretString, entry: &str) -> bool {
    let phc = entry.split(ENTRY_SEPARATOR).next().unwrap_or_default();
    let Some(Parsed { algorithm, version, params, salt, hash }) = Parsed::parse(phc) else {
        dummy_verify(password);
        return false;
    };
    let mut out = Zeroizing::new(vec![0; hash.len()]);
    run(algorithm, version, params, password, &salt, &mut out).is_ok() && bool::from(out.ct_eq(&hash))
}

/// Takes the time of [`verify_password`], for an account that does not exist: so that a login attempt does not tell
/// which accounts do.
pub fn dummy_verify(password: &SecretString) {
    let mut out = Zeroizing::new([0; HASH_BYTES]);
    if let Ok(params) = own_params() {
        // The result is of no use to anybody; the time is.
        let _ = run(Algorithm::Argon2id, Version::V0x13, params, password, b"pli has no such account", out.as_mut());
    }
}

/// A random password of 20 letters and digits, none of which is taken for another: 115 bits.
pub fn generate_password() -> Result<SecretString> {
    generate(ALPHABET, GENERATED_PASSWORD_CHARS)
}

/// A random password for one device, of small letters and digits: easily typed on a telephone. 24 of 31: 118 bits.
pub fn generate_app_password() -> Result<SecretString> {
    generate(APP_ALPHABET, APP_PASSWORD_CHARS)
}

/// What was typed, in the form of an app password: blanks and dashes between groups do not count, and a telephone may have
/// made the first letter a capital. `None`: it cannot be one.
#[must_use]
pub fn app_password_form(typed: &SecretString) -> Option<SecretString> {
    let letters = typed.expose().chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_lowercase());
    // One more than it may be long, so that a long text is neither copied nor taken for a short one.
    let text = Zeroizing::new(letters.take(APP_PASSWORD_CHARS + 1).collect::<String>());
    let fits = text.len() == APP_PASSWORD_CHARS && text.bytes().all(|b| APP_ALPHABET.contains(&b));
    fits.then(|| SecretString::from(text.as_str()))
}

fn generate(alphabet: &[u8], chars: usize) -> Result<SecretString> {
    let mut text = Zeroizing::new(String::with_capacity(chars));
    let mut bytes = Zeroizing::new([0_u8; 64]);
    while text.len() < chars {
        fill(bytes.as_mut())?;
        // Six bits, and again where they are beyond the alphabet: each character equally likely.
        let letters = bytes.iter().filter_map(|b| alphabet.get(usize::from(b & 63)));
        for letter in letters.take(chars - text.len()) {
            text.push(char::from(*letter));
        }
    }
    Ok(SecretString::new(text.as_str().to_owned()))
}
