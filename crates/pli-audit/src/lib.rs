//! pli-audit
