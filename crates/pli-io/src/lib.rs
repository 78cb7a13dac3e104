//! pli-io
