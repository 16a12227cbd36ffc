//! Moments and spans in milliseconds. Nothing here can ask what time it is.

use serde::{Deserialize, Serialize};

/// A moment on one machine's own clock, in milliseconds since that clock's start.
///
/// Instants of two machines cannot be compared: a device learns the aggregator's clock from a
/// live reply and keeps only the difference.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Instant(pub u64);

impl Instant {
    /// This moment plus `span_ms` milliseconds.
    #[must_use]
    pub fn after(self, span_ms: u64) -> Self {
        Self(self.0.saturating_add(span_ms))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
