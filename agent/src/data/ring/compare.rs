//! Whether the samples of a ring are what the configuration says.

use super::header::{Found, Header, RingChannel, VERSION};
use crate::data::units::is_same;

/// What a ring on disk is to a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    /// It holds what is wanted; only its capacity may be another.
    Same,
    /// Its samples are what is wanted, but lie in the file in another way, or less is known of them.
    BringOver,
    /// Its samples are others: how they differ, and what to do.
    Differs(String),
}

/// Compares what stands at the beginning of a ring with the header that is wanted.
pub(super) fn compare(found: &Found, wanted: &Header) -> Compared {
    let (on_disk, old) = match found {
        Found::Damaged => return Compared::Same,
        Found::Version(version) => return Compared::Differs(unknown_version(*version)),
        Found::Header(header) => (header, false),
        Found::Version1(header) => (header, true),
    };
    let differences = differences(on_disk, wanted, old);
    if !differences.is_empty() {
        return Compared::Differs(format!(
            "its samples are not those of the configuration: {}; set the configuration back, or \
             forget these samples: dunlin-agent data reset",
            differences.join("; ")
        ));
    }
    let mut pairs = on_disk.channels.iter().zip(&wanted.channels);
    let same = on_disk.period_ns == wanted.period_ns
        && pairs.all(|(a, b)| a.quantum == b.quantum && is_same(&a.unit, &b.unit));
    if old || !same { Compared::BringOver } else { Compared::Same }
}

/// Says that only another program can read this version.
pub(super) fn unknown_version(version: u16) -> String {
    format!(
        "has version {version}, this program reads versions 1 and {VERSION}; run the newer program, or \
         forget these samples: dunlin-agent data reset"
    )
}

fn differences(on_disk: &Header, wanted: &Header, old: bool) -> Vec<String> {
    let (has, wants) = (on_disk.names(), wanted.names());
    if has != wants {
        let (has, wants) = (has.join(", "), wants.join(", "));
        return vec![format!("it has the channels {has}, the configuration {wants}")];
    }
    let mut differences = Vec::new();
    // Samples have times of their own: a rate that was corrected a little takes nothing from them.
    let apart = on_disk.period_ns.abs_diff(wanted.period_ns);
    if u128::from(apart) * 100 > u128::from(wanted.period_ns) {
        let (has, wants) = (pace(on_disk.period_ns), pace(wanted.period_ns));
        differences.push(format!("it has {has}, the configuration {wants}"));
    }
    for (has, wants) in on_disk.channels.iter().zip(&wanted.channels) {
        of_channel(has, wants, old, &mut differences);
    }
    differences
}

fn of_channel(has: &RingChannel, wants: &RingChannel, old: bool, differences: &mut Vec<String>) {
    let name = &wants.name;
    let mut differ = |what: &str, has: String, wants: String| {
        differences.push(format!("{name} has {what} {has}, the configuration {wants}"));
    };
    // Multiples can be written out as they are, but not the other way round.
    if has.quantum != wants.quantum && wants.quantum > 0.0 {
        differ("quantum", or_none(has.quantum), or_none(wants.quantum));
    }
    // Of the version before, only the quantum is known.
    if old {
        return;
    }
    if has.factor != wants.factor {
        differ("factor", has.factor.to_string(), wants.factor.to_string());
    }
    if has.offset != wants.offset {
        differ("offset", has.offset.to_string(), wants.offset.to_string());
    }
    if !has.unit.is_empty() && !is_same(&has.unit, &wants.unit) {
        let wants = if wants.unit.is_empty() { "none".into() } else { format!("{:?}", wants.unit) };
        differ("unit", format!("{:?}", has.unit), wants);
    }
}

fn or_none(quantum: f32) -> String {
    if quantum > 0.0 { quantum.to_string() } else { "none".to_owned() }
}

/// A sampling period as people say it: `50 Hz`, or `a sample every 300 s`.
pub(in crate::data) fn pace(period_ns: u64) -> String {
    #[allow(clippy::cast_precision_loss)] // for people
    let seconds = period_ns.max(1) as f64 / 1e9;
    let short = |number: f64| {
        let text = format!("{number:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if seconds <= 1.0 {
        format!("{} Hz", short(1.0 / seconds))
    } else {
        format!("a sample every {} s", short(seconds))
    }
}
