//! pli-gate
