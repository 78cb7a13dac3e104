//! clients: to come.
