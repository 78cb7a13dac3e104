//! Attributes of keys in the token.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use pli_crypto::RootId;

/// CKA_UNWRAP_TEMPLATE, CKA_SENSITIVE, CKA_EXTRACTABLE of PKCS#11 2.40.
const UNWRAP_TEMPLATE: u32 = 0x4000_0212;
const SENSITIVE: usize = 0x0000_0103;
const EXTRACTABLE: usize = 0x0000_0162;

/// What the template's pointers point at, for as long as the program runs.
static YES: u8 = 1;
static NO: u8 = 0;

/// DER of the object identifier of P-256.
const P256_OID: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

/// An array of CK_ATTRIBUTE in the machine's own layout: type, address, length, each of the width of a CK_ULONG, which on
/// Linux is that of an address. The crate has no type for attributes that hold attributes.
fn nested(attributes: &[(usize, &'static u8)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(attributes.len().saturating_mul(3 * size_of::<usize>()));
    for (kind, value) in attributes {
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&std::ptr::from_ref::<u8>(value).expose_provenance().to_ne_bytes());
        bytes.extend_from_slice(&1_usize.to_ne_bytes());
    }
    bytes
}

/// CKA_ID of a root key: its id and version.
pub(crate) fn id_of(root: RootId, version: u32) -> Vec<u8> {
    [&root.0[..], &version.to_be_bytes()].concat()
}

/// Reads [`id_of`].
pub(crate) fn parse_id(bytes: &[u8]) -> Option<(RootId, u32)> {
    let (root, version) = bytes.split_first_chunk::<8>()?;
    Some((RootId(*root), u32::from_be_bytes(version.try_into().ok()?)))
}

/// The root key: wraps and unwraps, and what it unwraps stays inside. `weak` leaves the template out and lets it decrypt,
/// for the tests of both attacks.
pub(crate) fn root_key(label: &str, id: &[u8], weak: bool) -> Vec<Attribute> {
    let mut attributes = key(label, id);
    attributes.extend([
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Encrypt(false),
        Attribute::Decrypt(weak),
    ]);
    if !weak {
        let template = nested(&[(EXTRACTABLE, &NO), (SENSITIVE, &YES)]);
        attributes.push(Attribute::VendorDefined((AttributeType::VendorDefined(UNWRAP_TEMPLATE.into()), template)));
    }
    attributes
}

/// The key beside it, under which the store's own keys are sealed: they are used in memory, so it seals and opens, and
/// wraps nothing.
pub(crate) fn data_key(label: &str, id: &[u8]) -> Vec<Attribute> {
    let mut attributes = key(label, id);
    attributes.extend([
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
    ]);
    attributes
}

fn key(label: &str, id: &[u8]) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::ValueLen(32.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(id.to_vec()),
    ]
}

/// What an account's key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Opens epochs.
    Derive,
    /// Signs them.
    Sign,
}

impl Use {
    const fn attributes(self) -> [Attribute; 2] {
        let derives = matches!(self, Self::Derive);
        [Attribute::Derive(derives), Attribute::Sign(!derives)]
    }
}

/// The public half of a new pair; of this session only.
pub(crate) fn public_half(purpose: Use) -> Vec<Attribute> {
    vec![
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::EcParams(P256_OID.to_vec()),
        Attribute::Verify(purpose == Use::Sign),
        Attribute::Derive(purpose == Use::Derive),
    ]
}

/// The private half of a new pair: of this session only, wrapped once and then destroyed.
pub(crate) fn private_half(purpose: Use) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        // It has to be wrapped; what is unwrapped later is not extractable any more.
        Attribute::Extractable(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
    ];
    attributes.extend(purpose.attributes());
    attributes
}

/// An account's private key as it is unwrapped for use.
pub(crate) fn unwrapped(purpose: Use) -> Vec<Attribute> {
    let mut attributes = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
    ];
    attributes.extend(purpose.attributes());
    attributes
}

/// The same as an attacker wants it.
pub(crate) fn unwrapped_readable() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::EC),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

/// The curve's secret, which leaves the token.
pub(crate) fn shared_secret() -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::ValueLen(32.into()),
    ]
}
