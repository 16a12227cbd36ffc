//! Where windows come from.
