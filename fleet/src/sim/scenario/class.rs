//! Kinds of devices: speed, memory, link and program.

use serde::{Deserialize, Serialize};

/// One kind of device and its link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Class {
    /// Name of the kind, for people.
    pub name: String,
    /// Share of the devices, 0 to 1.
    pub share: f64,
    /// Time that training takes for each window and epoch, in milliseconds.
    pub ms_per_window: f64,
    /// Memory of the device in KiB, as an agent's settings say it; jobs fail where its session would
    /// not train the task. 0 is plenty.
    pub memory_kib: u32,
    /// Share of jobs that never end: the device is needed for something else (0.08 by default: 6 to
    /// 10 % of phones drop out, Bonawitz et al. 2019, section 9).
    pub drop_out: f64,
    /// Rate of the uplink in kbit/s.
    pub up_kbps: f64,
    /// Rate of the downlink in kbit/s.
    pub down_kbps: f64,
    /// Time from one end to the other in milliseconds.
    pub delay_ms: f64,
    /// Up to so much more, at random.
    pub jitter_ms: f64,
    /// Share of messages that the link loses once: they come a timeout later.
    pub loss: f64,
    /// Share of messages that come twice.
    pub duplicate: f64,
    /// Share of messages that those behind them may overtake.
    pub reorder: f64,
    /// Connections that break, an hour, up to 3,600. Either end may notice up to 90 seconds later.
    pub cuts_per_h: f64,
    /// Codecs that the devices' program has, by their texts; empty is all. Older programs have
    /// fewer: their claims are refused where the plan wants another.
    pub codecs: Vec<String>,
    /// Version of the wire format that the devices' program speaks; 0 is the current one. Devices
    /// of another version understand nobody and are not understood.
    pub schema: u8,
}

impl Default for Class {
    fn default() -> Self {
        Self {
            name: "device".into(),
            share: 1.0,
            ms_per_window: 10.0,
            memory_kib: 0,
            drop_out: 0.08,
            up_kbps: 10_000.0,
            down_kbps: 10_000.0,
            delay_ms: 20.0,
            jitter_ms: 0.0,
            loss: 0.0,
            duplicate: 0.0,
            reorder: 0.0,
            cuts_per_h: 0.0,
            codecs: Vec::new(),
            schema: 0,
        }
    }
}
