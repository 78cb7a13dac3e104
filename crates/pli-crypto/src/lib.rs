//! pli-crypto
