//! No decoder panics, whatever the bytes; what decodes encodes to the same bytes.
#![allow(clippy::unwrap_used, reason = "tests")]

use pli_crypto::{
    Aad, AccountKeyBlob, Epoch, EpochBlob, FileKeyStore, KeyStore, KeyWrap, SecretBytes, SecretString, SigningKey,
    StoreId, verify_password,
};
use pli_types::{AccountId, BodyId, EmailId};
use proptest::prelude::*;

fn with_head(head: &'static [u8], sizes: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), sizes).prop_map(move |tail| [head, &tail].concat())
}

proptest! {
    #[test]
    fn account_blob(bytes in prop_oneof![with_head(b"", 0..400), with_head(b"pK1\x01", 230..240)]) {
        if let Ok(blob) = AccountKeyBlob::decode(&bytes) {
            prop_assert_eq!(blob.encode(), bytes);
            let ctx = Aad::for_account(StoreId([0; 16]), AccountId::new(1));
            let keys = FileKeyStore::generate(None).unwrap().0;
            prop_assert!(keys.create_epoch(&blob, &ctx, Epoch(1)).is_err());
        }
    }

    #[test]
    fn epoch_blob(bytes in prop_oneof![with_head(b"", 0..400), with_head(b"pK2\x01", 210..216)]) {
        if let Ok(blob) = EpochBlob::decode(&bytes) {
            prop_assert_eq!(blob.encode(), bytes);
        }
    }

    #[test]
    fn key_wrap(bytes in prop_oneof![
        with_head(b"", 0..120), with_head(b"\x01", 82..87), with_head(b"\x02", 62..67)
    ]) {
        if let Ok(wrap) = KeyWrap::decode(&bytes) {
            prop_assert_eq!(wrap.encode(), bytes);
        }
    }

    #[test]
    fn key_file(bytes in prop_oneof![with_head(b"", 0..200), with_head(b"pli-root-key 1\nprotection none\n", 0..200)]) {
        prop_assert!(FileKeyStore::open(&bytes, None).is_err());
        let keys = FileKeyStore::generate(None).unwrap().0;
        prop_assert!(keys.unwrap("x", &bytes).is_err());
        prop_assert!(SigningKey::from_pkcs8(&SecretBytes::new(bytes)).is_err());
    }

    // Two different things never have the same associated data.
    #[test]
    fn aad_is_injective(a in fields(), b in fields()) {
        prop_assert_eq!(a == b, *build(&a).encode() == *build(&b).encode());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn phc(text in "\\$argon2id?(\\$[a-zA-Z0-9=,/+]{0,40}){0,6}|.{0,60}") {
        prop_assert!(!verify_password(&SecretString::from("p"), &text));
    }
}

type Fields = (usize, u16, Option<u64>, Option<u64>, Option<u64>, Option<u32>, Option<u32>);

fn fields() -> impl Strategy<Value = Fields> {
    let id = || proptest::option::of(0_u64..2);
    let number = || proptest::option::of(0_u32..2);
    (0_usize..3, 0_u16..2, id(), id(), id(), number(), number())
}

fn build(f: &Fields) -> Aad {
    let mut aad = Aad::new(["", "k3", "k3x"].get(f.0).copied().unwrap(), StoreId([1; 16])).format(f.1);
    if let Some(v) = f.2 {
        aad = aad.account(AccountId::new(v));
    }
    if let Some(v) = f.3 {
        aad = aad.message(EmailId::new(v));
    }
    if let Some(v) = f.4 {
        aad = aad.body(BodyId::new(v));
    }
    if let Some(v) = f.5 {
        aad = aad.epoch(Epoch(v));
    }
    if let Some(v) = f.6 {
        aad = aad.chunk(v);
    }
    aad
}
