//! Which values are read from which devices, and what the task's channels are made of.

use std::path::PathBuf;

use super::mount::IDENTITY;
use super::{kind, mount, sysfs};
use crate::data::config::IioConfig;

/// Devices that are there, and how the task's channels come from them.
#[derive(Debug)]
pub(super) struct Plan {
    /// In the order of their names in the configuration.
    pub(super) parts: Vec<Part>,
    /// In the order of the task's channel names.
    pub(super) outputs: Vec<Output>,
}

/// A device and what is read from it.
#[derive(Debug)]
pub(super) struct Part {
    /// What the configuration calls it, for people.
    pub(super) title: String,
    /// Its folder in sysfs.
    pub(super) folder: PathBuf,
    /// Each channel once.
    pub(super) inputs: Vec<Input>,
}

/// A channel of a device.
#[derive(Debug)]
pub(super) struct Input {
    /// As sysfs names it, such as `accel_x`.
    pub(super) name: String,
    /// The channel for whose sake it is read, where that is another: its mount matrix turns it.
    pub(super) turned_for: Option<String>,
}

/// A channel of the task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Output {
    /// Number of the part from which it comes.
    pub(super) part: usize,
    /// Numbers of the part's inputs, and how much of each there is.
    terms: Vec<(usize, f64)>,
    /// From the kernel's unit to that in which the channel is kept.
    factor: f64,
    offset: f64,
}

impl Plan {
    /// Finds the devices of `config` and their mount matrices.
    ///
    /// # Errors
    /// A device that is not there, a matrix that cannot be read, and what to do.
    pub(super) fn of(config: &IioConfig) -> Result<Self, String> {
        let input = &config.input;
        let mut parts: Vec<Part> = Vec::new();
        for (_, wanted) in input.parts() {
            let folder = sysfs::find(&input.sysfs, "iio:device", wanted)?;
            if let Some(other) = parts.iter().find(|part| part.folder == folder) {
                let both =
                    format!("{:?} and {wanted:?} are both {}", other.title, folder.display());
                return Err(format!("{both}; name one of them in source.devices"));
            }
            parts.push(Part { title: wanted.to_owned(), folder, inputs: Vec::new() });
        }
        let channels = config.sampling.channels.iter();
        let outputs = channels.map(|(task, channel)| {
            let (part, name) = input.part_of(channel);
            let unknown = || format!("{channel:?} is of no device of source.devices; correct it");
            let at = part.ok_or_else(unknown)?;
            let terms = parts.get_mut(at).ok_or_else(unknown)?.terms(name, input.mount_matrix)?;
            let (factor, offset) = config.conversion_of(task, name).map_err(|kernel| {
                format!("{channel} comes in {kernel}, which cannot be converted; set a factor")
            })?;
            Ok(Output { part: at, terms, factor, offset })
        });
        let outputs = outputs.collect::<Result<_, String>>()?;
        Ok(Self { parts, outputs })
    }
}

impl Part {
    /// What `channel` is made of: itself, or the axes that its mount matrix turns into it.
    fn terms(&mut self, channel: &str, turn: bool) -> Result<Vec<(usize, f64)>, String> {
        let Some((base, axis)) = kind::axis(channel).filter(|_| turn) else {
            return Ok(vec![(self.input(channel, None), 1.0)]);
        };
        let matrix = mount::read(&self.folder, channel)?;
        if matrix == IDENTITY {
            return Ok(vec![(self.input(channel, None), 1.0)]);
        }
        let row = kind::AXES.iter().zip(matrix[axis]).filter(|&(_, share)| share != 0.0);
        let term = |(name, share): (&char, f64)| {
            let of = format!("{base}_{name}");
            let turned_for = (of != channel).then(|| channel.to_owned());
            (self.input(&of, turned_for), share)
        };
        Ok(row.map(term).collect())
    }

    /// Number of the input `name`, a new one where there is none yet.
    fn input(&mut self, name: &str, turned_for: Option<String>) -> usize {
        let found = self.inputs.iter().position(|input| input.name == name);
        found.unwrap_or_else(|| {
            self.inputs.push(Input { name: name.to_owned(), turned_for });
            self.inputs.len() - 1
        })
    }
}

impl Input {
    /// A `problem` with this channel, with the reason why it is read.
    pub(super) fn explain(&self, problem: String) -> String {
        match &self.turned_for {
            None => problem,
            Some(channel) => format!(
                "{problem}; the device's mount_matrix makes {channel} from it; set \
                 source.mount_matrix to false to take the axes of the chip as they are"
            ),
        }
    }
}

impl Output {
    /// The value of this channel where the inputs of its part have `readings`, in the kernel's
    /// units; `None` when 32 bits cannot hold it.
    #[allow(clippy::cast_possible_truncation)] // to infinity, which is refused
    pub(super) fn value(&self, readings: &[f64]) -> Option<f32> {
        let mut sum = 0.0;
        for &(at, share) in &self.terms {
            sum += readings.get(at)? * share;
        }
        let value = (sum * self.factor + self.offset) as f32;
        value.is_finite().then_some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_sum_of_axes_in_another_unit() {
        let terms = vec![(0, 0.6), (2, -0.8)];
        let output = Output { part: 0, terms, factor: 0.5, offset: 1.0 };
        assert_eq!(output.value(&[10.0, f64::NAN, 5.0]), Some(2.0));
        assert_eq!(output.value(&[1e300, 0.0, 0.0]), None);
        assert_eq!(output.value(&[1.0]), None);
    }
}
