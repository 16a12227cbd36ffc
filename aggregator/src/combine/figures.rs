//! What the devices of one round reported, and how that is stored.

use alloc::vec::Vec;
use core::fmt;

use dunlin_protocol::work::FitFigures;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Pooled;

/// What the devices of one round reported, added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// Updates in the sum.
    pub updates: u64,
    /// Sum of their weights.
    pub weight: u64,
    /// Windows that were reported: trained on, measured on, or added up.
    pub examples: u64,
    /// Mean training loss of a window in the last local epoch.
    pub train_loss: f64,
    /// The base version on held-back windows.
    pub before: Pooled,
    /// The locally trained models on held-back windows.
    pub after: Pooled,
    /// Errors of the base version on held-back windows, by channel; none for classes.
    pub fit_before: Vec<FitFigures>,
    /// Errors of the locally trained models on held-back windows, by channel; none for classes.
    pub fit_after: Vec<FitFigures>,
}

/// Bit of the number of updates that says, in a store, that errors by channel follow. Where there are
/// none, the bytes are those of stores that did not know them.
const HAS_FIT: u64 = 1 << 63;

/// Figures as a store has them: what every version knows, then what the bit announces.
type Stored = (u64, u64, u64, f64, Pooled, Pooled);

/// Figures as JSON has them.
#[derive(Serialize, Deserialize)]
struct Named {
    updates: u64,
    weight: u64,
    examples: u64,
    train_loss: f64,
    before: Pooled,
    after: Pooled,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fit_before: Vec<FitFigures>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    fit_after: Vec<FitFigures>,
}

impl From<Figures> for Named {
    fn from(figures: Figures) -> Self {
        let Figures { updates, weight, examples, train_loss, before, after, .. } = figures;
        let Figures { fit_before, fit_after, .. } = figures;
        Self { updates, weight, examples, train_loss, before, after, fit_before, fit_after }
    }
}

impl From<Named> for Figures {
    fn from(named: Named) -> Self {
        let Named { updates, weight, examples, train_loss, before, after, .. } = named;
        let Named { fit_before, fit_after, .. } = named;
        Self { updates, weight, examples, train_loss, before, after, fit_before, fit_after }
    }
}

impl Serialize for Figures {
    fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
        if writer.is_human_readable() {
            return Named::from(self.clone()).serialize(writer);
        }
        let Self { updates, weight, examples, train_loss, before, after, fit_before, fit_after } =
            self;
        let has_fit = !(fit_before.is_empty() && fit_after.is_empty());
        let updates = updates & !HAS_FIT | if has_fit { HAS_FIT } else { 0 };
        let known: Stored = (updates, *weight, *examples, *train_loss, *before, *after);
        if has_fit {
            (known, fit_before, fit_after).serialize(writer)
        } else {
            known.serialize(writer)
        }
    }
}

impl<'de> Deserialize<'de> for Figures {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        if reader.is_human_readable() {
            return Named::deserialize(reader).map(Self::from);
        }
        reader.deserialize_tuple(3, Parts)
    }
}

/// Reads figures from a store; those behind the bit where it is set.
struct Parts;

impl<'de> Visitor<'de> for Parts {
    type Value = Figures;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("figures of a round")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Figures, A::Error> {
        let cut = || A::Error::custom("figures cut short");
        let (updates, weight, examples, train_loss, before, after): Stored =
            parts.next_element()?.ok_or_else(cut)?;
        let (mut fit_before, mut fit_after) = (Vec::new(), Vec::new());
        if updates & HAS_FIT != 0 {
            fit_before = parts.next_element()?.ok_or_else(cut)?;
            fit_after = parts.next_element()?.ok_or_else(cut)?;
        }
        let updates = updates & !HAS_FIT;
        Ok(Figures { updates, weight, examples, train_loss, before, after, fit_before, fit_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn figures_without_errors_have_the_bytes_that_older_stores_have() {
        let before = Pooled { windows: 80, correct: 40, loss_sum: 2.5 };
        let figures = Figures {
            updates: 8,
            weight: 160,
            examples: 160,
            train_loss: 0.25,
            before,
            ..Figures::default()
        };
        let older = (8_u64, 160_u64, 160_u64, 0.25_f64, before, Pooled::default());
        let bytes = postcard::to_allocvec(&older).unwrap();
        assert_eq!(postcard::to_allocvec(&figures).unwrap(), bytes);
        assert_eq!(postcard::from_bytes::<Figures>(&bytes).unwrap(), figures);
        let fit = FitFigures {
            name: "glucose".to_string(),
            unit: "mg/dL".to_string(),
            values: 480,
            mse: 81.0,
            mse_scaled: 0.01,
            mae: 6.5,
            r2: Some(0.9),
            repeated_mse: None,
        };
        let figures = Figures { fit_before: Vec::from([fit]), ..figures };
        // In front of other fields, as in a summary.
        let bytes = postcard::to_allocvec(&(&figures, 7_u64)).unwrap();
        assert_eq!(postcard::from_bytes::<(Figures, u64)>(&bytes).unwrap(), (figures, 7));
    }
}
