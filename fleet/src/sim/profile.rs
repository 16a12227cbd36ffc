//! Where the wall-clock time of a run goes. It tells people, and decides nothing.

use std::time::{Duration, Instant};

use serde::Serialize;

/// Parts of a run on the thread that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Events, links, the broker, and all that is no other part.
    World,
    /// Devices' sessions: claims, downloads, coding of updates.
    Devices,
    /// The aggregator: decoding, sums, versions.
    Aggregator,
    /// The checks, which decode and sum once more.
    Checks,
    /// Data and training, or waiting for the threads that train.
    Training,
}

/// Seconds of wall-clock time by part. All zero unless it was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Seconds {
    /// Data and training, or waiting for the threads that train.
    pub training: f64,
    /// Devices' sessions: claims, downloads, coding of updates.
    pub devices: f64,
    /// The aggregator: decoding, sums, versions.
    pub aggregator: f64,
    /// The checks, which decode and sum once more.
    pub checks: f64,
    /// Events, links and the broker.
    pub world: f64,
}

/// A stopwatch that is always with one part.
#[derive(Debug, Default)]
pub(super) struct Profile {
    running: Option<(Part, Instant)>,
    spent: [Duration; 5],
}

impl Profile {
    /// One that runs, or one that costs nothing.
    pub(super) fn new(on: bool) -> Self {
        Self { running: on.then(|| (Part::World, now())), spent: Default::default() }
    }

    /// Goes over to `part`; returns the part before, to go back to.
    pub(super) fn enter(&mut self, part: Part) -> Part {
        let Some((before, since)) = self.running else { return Part::World };
        let now = now();
        self.spent[before as usize] += now - since;
        self.running = Some((part, now));
        before
    }

    pub(super) fn seconds(&self) -> Seconds {
        let of = |part: Part| self.spent[part as usize].as_secs_f64();
        Seconds {
            training: of(Part::Training),
            devices: of(Part::Devices),
            aggregator: of(Part::Aggregator),
            checks: of(Part::Checks),
            world: of(Part::World),
        }
    }
}

#[allow(clippy::disallowed_methods)] // measures the simulator itself
fn now() -> Instant {
    Instant::now()
}
