//! What devices learn.
