//! Where the values of a window come from in a ring, and in which unit.

use dunlin_protocol::task::{Channel, TaskSpec};

use crate::data::DataError;
use crate::data::ring::{Header, Record};
use crate::data::units::conversion;

/// Where a channel of a task comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Its place in the ring.
    pub(super) at: usize,
    /// From the unit of the ring to that of the task: `value * factor + offset`.
    factor: f64,
    offset: f64,
}

impl Place {
    /// Its value in a sample, in the unit of the task.
    #[allow(clippy::cast_possible_truncation)] // rounded to the nearest
    pub(super) fn value(&self, record: &Record) -> f32 {
        let value = record.values.get(self.at).copied().unwrap_or(f32::NAN);
        (f64::from(value) * self.factor + self.offset) as f32
    }
}

/// Where everything of a window comes from.
#[derive(Debug)]
pub(super) struct Places {
    /// The channels that the network sees.
    pub(super) channels: Vec<Place>,
    /// Those whose value at the last sample is asked for.
    pub(super) values: Vec<Place>,
}

/// Where the windows of `task` come from in a ring with this header; `asked`: with the values that are
/// asked for.
///
/// # Errors
/// [`DataError`] when the ring lacks a channel, has one in a unit that cannot be converted to the
/// task's, or has another rate (more than 1 % apart).
pub(super) fn fit(header: &Header, task: &TaskSpec, asked: bool) -> Result<Places, DataError> {
    let (task_ns, has_ns) = (task.input.period_ns(), header.period_ns);
    if u128::from(task_ns.abs_diff(has_ns)) * 100 > u128::from(task_ns) {
        return Err(DataError::Rate { task_ns, has_ns });
    }
    let mut missing = Vec::new();
    let channels = places(header, &task.input.channels, &mut missing)?;
    let asked = if asked { task.value_channels() } else { &[] };
    let values = places(header, asked, &mut missing)?;
    if !missing.is_empty() || channels.is_empty() {
        return Err(DataError::Channels { missing, has: header.names() });
    }
    Ok(Places { channels, values })
}

/// Where `wanted` come from; those that are not there are added to `missing`.
fn places(
    header: &Header,
    wanted: &[Channel],
    missing: &mut Vec<String>,
) -> Result<Vec<Place>, DataError> {
    let mut places = Vec::with_capacity(wanted.len());
    for wanted in wanted {
        let found = header.channels.iter().enumerate().find(|(_, has)| has.name == wanted.name);
        let Some((at, has)) = found else {
            missing.push(wanted.name.clone());
            continue;
        };
        // Who names no unit has the task's.
        let unknown = has.unit.is_empty() || wanted.unit.is_empty();
        let known = || conversion(&has.unit, &wanted.unit);
        let Some((factor, offset)) = (if unknown { Some((1.0, 0.0)) } else { known() }) else {
            let (channel, has) = (wanted.name.clone(), has.unit.clone());
            return Err(DataError::Unit { channel, has, task: wanted.unit.clone() });
        };
        places.push(Place { at, factor, offset });
    }
    Ok(places)
}
