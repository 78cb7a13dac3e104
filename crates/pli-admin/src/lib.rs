//! pli-admin
