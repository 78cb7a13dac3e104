//! pli-net
