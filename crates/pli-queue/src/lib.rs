//! pli-queue
