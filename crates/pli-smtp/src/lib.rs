//! pli-smtp
