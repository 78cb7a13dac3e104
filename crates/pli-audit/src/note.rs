//! Checkpoints as signed notes (C2SP tlog-checkpoint, signed-note) with Ed25519 signatures.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pli_crypto::{SigningKey, VerifyingKey};

use crate::error::{AuditError, Result};
use crate::leaf::{Hash, sha256};

const NOTE_BYTES_MAX: usize = 64 * 1024;
const SIGNATURES_MAX: usize = 64;
/// signed-note: the type of Ed25519 signatures.
const ED25519: u8 = 1;

/// The public key of a log or witness under its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    id: [u8; 4],
    key: VerifyingKey,
}

impl NoteKey {
    /// A key's name has neither spaces nor `+` and is not empty.
    pub fn new(name: &str, key: VerifyingKey) -> Result<Self> {
        if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            return Err(AuditError::Malformed("key name"));
        }
        // signed-note: key ID = SHA-256(key name || 0x0A || signature type || public key)[:4]
        let [a, b, c, d, ..] = sha256(&[name.as_bytes(), b"\n", &[ED25519], &key.0]).0;
        Ok(Self { name: name.to_owned(), id: [a, b, c, d], key })
    }
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    /// The 32-bit key ID.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
    /// The verifier key's text: what is handed to auditors and witnesses.
    #[must_use]
    pub fn vkey(&self) -> String {
        let mut material = vec![ED25519];
        material.extend_from_slice(&self.key.0);
        format!("{}+{:08x}+{}", self.name, u32::from_be_bytes(self.id), BASE64.encode(material))
    }
    /// Reads [`NoteKey::vkey`].
    pub fn parse(vkey: &str) -> Result<Self> {
        let read = || {
            let (name, rest) = vkey.split_once('+')?;
            // Base64 may contain a plus sign of its own: it comes last.
            let (id, material) = rest.split_once('+')?;
            let material = BASE64.decode(material).ok()?;
            let (&ED25519, key) = material.split_first()? else {
                return None;
            };
            let key = Self::new(name, VerifyingKey(key.try_into().ok()?)).ok()?;
            (format!("{:08x}", u32::from_be_bytes(key.id)) == id).then_some(key)
        };
        read().ok_or(AuditError::Malformed("verifier key"))
    }
}

impl fmt::Display for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.vkey())
    }
}

/// The private key of a log under its name.
#[derive(Debug)]
pub struct NoteSigner {
    signing: SigningKey,
    public: NoteKey,
}

impl NoteSigner {
    /// Names a key.
    pub fn new(name: &str, signing: SigningKey) -> Result<Self> {
        let public = NoteKey::new(name, signing.public())?;
        Ok(Self { signing, public })
    }
    /// Its public half.
    #[must_use]
    pub const fn public(&self) -> &NoteKey {
        &self.public
    }
    /// Signs a note's text, which ends with a newline.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        let mut blob = self.public.id.to_vec();
        blob.extend_from_slice(&self.signing.sign(text.as_bytes()));
        format!("{text}\n— {} {}\n", self.public.name, BASE64.encode(blob))
    }
}

/// The head of a log's tree at a size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's identity; also the name of its key.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
}

impl Checkpoint {
    /// The note's text: origin, size, root, a line each.
    #[must_use]
    pub fn encode(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root.0))
    }

    /// The text with its signature. The signer's name is the origin.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String> {
        if signer.public.name == self.origin {
            Ok(signer.sign(&self.encode()))
        } else {
            Err(AuditError::Signature(self.origin.clone()))
        }
    }

    /// Reads a note's text; extension lines are passed over.
    pub fn parse(text: &str) -> Result<Self> {
        let read = || {
            let body = text.strip_suffix('\n')?;
            let mut lines = body.split('\n');
            let origin = lines.next().filter(|l| !l.is_empty())?.to_owned();
            let digits = lines.next()?;
            let size: u64 = digits.parse().ok()?;
            let root = BASE64.decode(lines.next()?).ok()?;
            let root = Hash(root.try_into().ok()?);
            let canonical = size.to_string() == digits && lines.all(|l| !l.is_empty());
            canonical.then_some(Self { origin, size, root })
        };
        read().ok_or(AuditError::Malformed("checkpoint"))
    }

    /// The checkpoint of a signed note, after the log's signature was verified. Signatures of other keys (witnesses,
    /// earlier keys) are passed over; a false one by this key refuses the note.
    pub fn verify(note: &str, key: &NoteKey) -> Result<Self> {
        let (text, signatures) = split_note(note)?;
        verify_note(text, signatures, key)?;
        let checkpoint = Self::parse(text)?;
        if checkpoint.origin == key.name { Ok(checkpoint) } else { Err(AuditError::Signature(key.name.clone())) }
    }
}

// signed-note: text, an empty line, signature lines. The text itself may have empty lines, signature lines may not.
fn split_note(note: &str) -> Result<(&str, &str)> {
    let malformed = AuditError::Malformed("signed note");
    let control = |c: char| c.is_control() && c != '\n';
    let split = note.rfind("\n\n").and_then(|at| note.split_at_checked(at + 1));
    match split {
        Some((text, rest)) if note.len() <= NOTE_BYTES_MAX && !note.contains(control) => {
            Ok((text, rest.strip_prefix('\n').unwrap_or(rest)))
        }
        _ => Err(malformed),
    }
}

fn verify_note(text: &str, signatures: &str, key: &NoteKey) -> Result<()> {
    let malformed = || AuditError::Malformed("signed note");
    let lines = signatures.strip_suffix('\n').ok_or_else(malformed)?;
    let mut verified = false;
    for (line, n) in lines.split('\n').zip(1..) {
        let (name, blob) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or_else(malformed)?;
        let blob = BASE64.decode(blob).map_err(|_| malformed())?;
        let (id, signature) = blob.split_first_chunk::<4>().ok_or_else(malformed)?;
        if name.is_empty() || n > SIGNATURES_MAX {
            return Err(malformed());
        }
        if name == key.name && *id == key.id {
            // signed-note: if name and ID match a known key, the signature must verify.
            key.key.verify(text.as_bytes(), signature).map_err(|_| AuditError::Signature(key.name.clone()))?;
            verified = true;
        }
    }
    if verified { Ok(()) } else { Err(AuditError::Signature(key.name.clone())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]
    use super::*;
    use proptest::prelude::*;

    // The example of the signed-note specification.
    const VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    const NOTE: &str = "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    #[test]
    fn known_answer() {
        let key = NoteKey::parse(VKEY).unwrap();
        assert_eq!(key.vkey(), VKEY);
        let (text, signatures) = split_note(NOTE).unwrap();
        assert_eq!(verify_note(text, signatures, &key), Ok(()));
        assert!(verify_note("This is an example message!\n", signatures, &key).is_err());
    }

    // The example of the tlog-checkpoint specification.
    #[test]
    fn checkpoint_text() {
        let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let checkpoint = Checkpoint::parse(text).unwrap();
        assert_eq!(checkpoint.size, 20_852_163);
        assert_eq!(checkpoint.encode(), text);
        for bad in [
            "o\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "o\n1\nCsUY\n",
            "o\n1\n",
            "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
            "",
        ] {
            assert!(Checkpoint::parse(bad).is_err(), "{bad:?}");
        }
    }

    fn signer(name: &str) -> NoteSigner {
        NoteSigner::new(name, SigningKey::generate().unwrap().0).unwrap()
    }

    #[test]
    fn sign_and_verify() {
        let log = signer("mail.example.org/pli");
        let checkpoint = Checkpoint { origin: "mail.example.org/pli".into(), size: 7, root: Hash([3; 32]) };
        let note = checkpoint.sign(&log).unwrap();
        assert_eq!(Checkpoint::verify(&note, log.public()).unwrap(), checkpoint);
        assert_eq!(NoteKey::parse(&log.public().vkey()).unwrap(), *log.public());
        // A witness's line is passed over, wherever it stands.
        let other = signer("witness.example");
        let theirs = other.sign(&checkpoint.encode());
        let line = theirs.lines().last().unwrap();
        assert_eq!(Checkpoint::verify(&format!("{note}{line}\n"), log.public()).unwrap(), checkpoint);
        // A note with the witness's signature alone is not the log's.
        assert!(matches!(Checkpoint::verify(&theirs, log.public()), Err(AuditError::Signature(_))));
        // Another log's name, the same name with another key.
        assert!(checkpoint.sign(&other).is_err());
        assert!(Checkpoint::verify(&note, signer("mail.example.org/pli").public()).is_err());
    }

    #[test]
    fn each_changed_byte_is_refused() {
        let log = signer("log");
        let checkpoint = Checkpoint { origin: "log".into(), size: 300, root: Hash([3; 32]) };
        let note = checkpoint.sign(&log).unwrap();
        for i in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[i] ^= 1;
            if let Ok(text) = String::from_utf8(bytes) {
                assert!(Checkpoint::verify(&text, log.public()).is_err(), "byte {i}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,80}|([a-z]{0,3}\n){0,4}(— [a-z]{0,2} ?[A-Za-z0-9+/=]{0,12}\n){0,3}") {
            let key = NoteKey::parse(VKEY).unwrap();
            prop_assert!(Checkpoint::verify(&text, &key).is_err());
            let _ = Checkpoint::parse(&text);
            let _ = NoteKey::parse(&text);
        }
    }
}
