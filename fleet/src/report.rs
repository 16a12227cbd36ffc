//! Placeholder during development.
