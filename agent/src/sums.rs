//! Statistics of a device's windows as whole numbers: what answers a query. See
//! [`dunlin_protocol::work::SumsWork`] for what is added up.

use alloc::vec::Vec;

use dunlin_protocol::task::{Target, Task, TaskSpec};
use dunlin_protocol::work::{CHANNEL_SUMS, SumsWork};

use crate::job::JobFailure;

/// What a device's data are looked at through: calls back for each window of a task, with its label
/// where the task has labels.
pub type Visit<'a> =
    dyn FnMut(&TaskSpec, &mut dyn FnMut(&[f32], Option<u16>)) -> Result<(), JobFailure> + 'a;

/// Adds up what `work` asks for over the windows that `visit` shows: all of them without their labels,
/// and those with a label of the task where labels are asked for. Values are not scaled.
///
/// # Errors
/// When the data cannot be read. A device without labels shows none, which is no error.
pub fn add_up(
    work: &SumsWork,
    task: &Task,
    visit: &mut Visit<'_>,
) -> Result<Vec<i128>, JobFailure> {
    let mut sums = Sums::new(work, task);
    // Labels first: what a live sensor adds between the two has more windows, not fewer.
    if work.labels(task) > 0 {
        visit(&unscaled(task, task.target.clone()), &mut |_, label| sums.label(label))?;
    }
    visit(&unscaled(task, Target::Reconstruct), &mut |window, _| sums.window(window))?;
    if sums.labelled > sums.windows {
        return Err(JobFailure::other("the windows changed while they were counted"));
    }
    Ok(sums.values)
}

/// `task` as it sees raw values.
fn unscaled(task: &Task, target: Target) -> TaskSpec {
    let mut spec = task.spec().clone();
    for channel in &mut spec.input.channels {
        (channel.offset, channel.scale) = (0.0, 1.0);
    }
    spec.target = target;
    spec
}

struct Sums<'a> {
    work: &'a SumsWork,
    labels: usize,
    channels: usize,
    windows: u32,
    labelled: u32,
    /// In the order of the work's vector.
    values: Vec<i128>,
}

impl<'a> Sums<'a> {
    fn new(work: &'a SumsWork, task: &Task) -> Self {
        let channels = task.input.channels.len().max(1);
        let values = alloc::vec![0; work.numbers(task)];
        Self { work, labels: work.labels(task), channels, windows: 0, labelled: 0, values }
    }

    /// A window with the label of this number.
    fn label(&mut self, label: Option<u16>) {
        let label = label.map(usize::from).filter(|label| *label < self.labels);
        if let Some(count) = label.and_then(|label| self.values.get_mut(1 + label)) {
            *count += 1;
            self.labelled += 1;
        }
    }

    /// `window`: `[samples, channels]`, in the channels' units.
    fn window(&mut self, window: &[f32]) {
        let Some((windows, rest)) = self.values.split_first_mut() else { return };
        *windows += 1;
        self.windows += 1;
        let mut rest = rest.get_mut(self.labels..).unwrap_or_default();
        for query in &self.work.channels {
            if rest.len() < CHANNEL_SUMS + query.bins() {
                return;
            }
            let (sums, after) = rest.split_at_mut(CHANNEL_SUMS);
            let (bins, after) = after.split_at_mut(query.bins());
            rest = after;
            let of_channel = window.iter().skip(query.channel.into()).step_by(self.channels);
            for &value in of_channel {
                let number = i128::from(query.on_grid(value));
                sums[0] += 1;
                sums[1] += number;
                sums[2] += number * number;
                if let Some(bin) = bins.get_mut(query.bin(value)) {
                    *bin += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use dunlin_protocol::id::Name;
    use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share};
    use dunlin_protocol::work::ChannelQuery;

    /// Two channels, three samples, two labels.
    fn task() -> Task {
        let channel =
            |name: &str| Channel { name: name.into(), unit: "g".into(), offset: 100.0, scale: 7.0 };
        let spec = TaskSpec {
            name: Name::new("toy").unwrap(),
            input: Input {
                channels: vec![channel("x"), channel("y")],
                rate: Rate::from_millihertz(1000),
                window: 3,
                hop: 3,
            },
            features: Features::Raw,
            layers: vec![Layer { op: Op::Dense { out: 2 }, share: Share::Shared }],
            target: Target::Classes(vec!["rest".into(), "walk".into()]),
        };
        Task::new(spec).unwrap()
    }

    fn query(channel: u8, edges: &[f32]) -> ChannelQuery {
        ChannelQuery { channel, fraction_bits: 1, max_abs: 4.0, edges: edges.to_vec() }
    }

    #[test]
    fn windows_labels_and_channels_are_added_up_on_their_grid() {
        let work = SumsWork { labels: true, channels: vec![query(1, &[0.0, 1.5]), query(0, &[])] };
        // x: 1, 2, 3 and y: 0.25 (to even: 0), -9 (limited to -4), 1.5.
        let window = [1.0, 0.25, 2.0, -9.0, 3.0, 1.5];
        let mut visit = |spec: &TaskSpec, each: &mut dyn FnMut(&[f32], Option<u16>)| {
            assert_eq!((spec.input.channels[0].offset, spec.input.channels[0].scale), (0.0, 1.0));
            let labelled = spec.needs_labels();
            each(&window, labelled.then_some(1));
            if !labelled {
                each(&window, None);
            }
            Ok(())
        };
        let sums = add_up(&work, &task(), &mut visit).unwrap();
        let y = [6, 2 * (0 - 8 + 3), 2 * (64 + 9), 2, 2, 2];
        let x = [6, 2 * (2 + 4 + 6), 2 * (4 + 16 + 36)];
        assert_eq!(sums, [&[2, 0, 1][..], &y, &x].concat());
        assert!(work.is_consistent(&task(), &sums));
        let vector = dunlin_protocol::work::Work::Sums(work.clone()).vector(&task());
        assert_eq!(vector.len(), work.numbers(&task()));
    }

    #[test]
    fn a_device_without_windows_or_labels_answers_with_zeros() {
        let work = SumsWork { labels: true, channels: vec![query(0, &[0.0])] };
        let mut none = |_: &TaskSpec, _: &mut dyn FnMut(&[f32], Option<u16>)| Ok(());
        assert_eq!(add_up(&work, &task(), &mut none), Ok(vec![0; 1 + 2 + 3 + 2]));
    }
}
