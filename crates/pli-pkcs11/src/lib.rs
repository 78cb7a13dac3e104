//! K0 in a PKCS#11 token.
//!
//! What it promises: the root key never leaves the token and does nothing but wrap and unwrap; accounts' private keys are
//! made in the token, kept outside as blobs that it wrapped, and used inside it only. Its one type is [`TokenKeyStore`],
//! a [`pli_crypto::KeyStore`]. What it does not know: the store, and who may do what.
//!
//! The root key carries an unwrap template: what it unwraps is not extractable, whatever the caller asks for. Without it,
//! whoever has the PIN unwraps an account's key as extractable and reads it; with the right to decrypt, he decrypts the
//! blob. Both are tried at every start, and a root key that lets either happen is refused.
//!
//! A token that is gone is [`pli_crypto::CryptoError::Unavailable`]; the next call looks whether it is back.
//!
//! SoftHSM is no HSM: its keys are files on the same machine. It is good for trying this out.

mod aside;
mod link;
mod store;
mod template;

pub use store::{TokenKeyStore, TokenSettings};
