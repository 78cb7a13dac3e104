//! pli-store
