//! pli-directory
