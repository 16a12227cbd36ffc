//! Why no training round is open, for people.

use alloc::collections::BTreeMap;
use core::fmt;

use dunlin_protocol::presence::{Ineligible, Lack};

/// What the aggregator waits for before it opens a training round.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Waiting {
    /// There is no connection to the broker.
    Broker,
    /// The connection is new: devices are still to be heard of.
    Settling {
        /// How long yet, in milliseconds.
        ms: u64,
    },
    /// Too few devices can take part.
    Devices {
        /// Devices that can: connected or about to come back, not held, not silent, and with all that
        /// training needs.
        available: u32,
        /// How many are needed (`min_online`).
        needs: u32,
        /// Devices that are connected, whether they can take part or not.
        online: u32,
        /// Devices that take no work, by their reason.
        held: BTreeMap<Ineligible, u32>,
        /// Devices that cannot train with what they have, by what they lack.
        unable: BTreeMap<Lack, u32>,
        /// Devices that are connected and have answered none of the last invitations.
        silent: u32,
    },
    /// There is a pause between rounds, longer after rounds that all devices gave up.
    Pause {
        /// How long yet, in milliseconds.
        ms: u64,
    },
    /// The operator has paused training.
    Paused,
    /// All rounds that were asked for are done.
    Done,
}

impl Waiting {
    /// Whether both are of one kind, whatever their figures.
    pub fn is_like(&self, other: &Self) -> bool {
        core::mem::discriminant(self) == core::mem::discriminant(other)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broker => f.write_str("waits for the broker"),
            Self::Settling { ms } => {
                write!(f, "waits {} s for devices to be heard of", ms.div_ceil(1000))
            }
            Self::Devices { available, needs, online, held, unable, silent } => {
                write!(
                    f,
                    "waits for devices: {available} can take part, {needs} needed (min_online); {online} online"
                )?;
                for (reason, count) in held {
                    write!(f, ", {count} held ({reason})")?;
                }
                for (lack, count) in unable {
                    write!(f, ", {count} cannot train ({lack})")?;
                }
                if *silent > 0 {
                    write!(f, ", {silent} that answered no invitation")?;
                }
                Ok(())
            }
            Self::Pause { ms } => write!(f, "pauses for {} s", ms.div_ceil(1000)),
            Self::Paused => f.write_str("training is paused by its settings"),
            Self::Done => f.write_str("all rounds that were asked for are done"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn what_is_waited_for_is_one_line_with_figures() {
        let held = BTreeMap::from([(Ineligible::Battery, 2)]);
        let unable = BTreeMap::from([(Lack::Memory, 1)]);
        let waiting =
            Waiting::Devices { available: 1, needs: 4, online: 4, held, unable, silent: 1 };
        assert_eq!(
            waiting.to_string(),
            "waits for devices: 1 can take part, 4 needed (min_online); 4 online, 2 held (battery), 1 cannot train (memory), 1 that answered no invitation"
        );
        assert_eq!(Waiting::Pause { ms: 1_001 }.to_string(), "pauses for 2 s");
        assert!(waiting.is_like(&Waiting::Devices {
            available: 0,
            needs: 4,
            online: 0,
            held: BTreeMap::new(),
            unable: BTreeMap::new(),
            silent: 0,
        }));
        assert!(!waiting.is_like(&Waiting::Paused));
    }
}
