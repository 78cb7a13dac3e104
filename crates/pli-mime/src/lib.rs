//! pli-mime
