//! What goes wrong beyond links.

use serde::{Deserialize, Serialize};

/// What goes wrong beyond links. Rates are for each device, or for the one broker and aggregator, up
/// to 3,600 an hour.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Power cuts of a device, an hour.
    pub power_cuts_per_h: f64,
    /// Share of power cuts that come in the middle of the device's next write to its disk, which
    /// keeps only the first bytes of it.
    pub torn_write: f64,
    /// Share of a device's writes that fail: its program ends and is started again.
    pub failed_write: f64,
    /// Restarts of the broker, an hour.
    pub broker_restarts_per_h: f64,
    /// Share of these after which it remembers nothing.
    pub broker_forgets: f64,
    /// How often somebody empties or overwrites a retained message, or says an old one again, an hour:
    /// presence of devices and aggregator, plan, chunks of objects.
    pub retained_per_h: f64,
    /// Connections of the aggregator that break, an hour; it is back after some seconds.
    pub aggregator_cuts_per_h: f64,
    /// Kills of the aggregator, an hour; it is back after some seconds.
    pub aggregator_kills_per_h: f64,
    /// Share of these that come at its next write, half of them before it and half after it.
    pub killed_writing: f64,
    /// Partitions an hour: for a minute, a tenth of the devices cannot reach the broker.
    pub partitions_per_h: f64,
    /// Partitions at given times.
    pub partition: Vec<Partition>,
    /// Devices' clocks run up to so many parts in a million fast or slow.
    pub clock_drift_ppm: f64,
    /// Devices' clocks start at a moment of their own, up to so many seconds ahead, anew with each
    /// start of the device.
    pub clock_skew_s: f64,
}

/// Some devices cannot reach the broker for a while.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// When it begins, in hours of virtual time.
    pub at_h: f64,
    /// How long it lasts, in seconds.
    pub for_s: f64,
    /// Share of the devices, 0 to 1.
    pub share: f64,
}
