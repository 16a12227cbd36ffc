//! What windows look like to a network: channels that never change, and values far outside of what
//! the task's scaling makes of its unit. Either is rather a fault of the source than of the learning
//! rate.

use dunlin_protocol::task::TaskSpec;

use super::WindowSet;

/// Scaled values are a few units wide; beyond this a network learns badly or diverges.
pub const REACH_MAX: f32 = 50.0;
/// A channel whose scaled values lie about a middle beyond this is likely in another unit.
const MIDDLE_MAX: f32 = 10.0;

/// The values of one channel over all windows of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct ChannelSpan {
    /// Name of the channel.
    pub name: String,
    /// The task's unit of the channel; `low` and `high` are in it.
    pub unit: String,
    /// Lowest value.
    pub low: f32,
    /// Highest value.
    pub high: f32,
    /// Largest absolute value as the network sees it, scaled.
    pub reach: f32,
    /// Mean value as the network sees it, scaled.
    pub middle: f32,
}

impl ChannelSpan {
    /// Whether all values are the same: a sensor that hangs, or a range that it never leaves.
    pub fn is_constant(&self) -> bool {
        self.low >= self.high
    }

    /// Whether the task's scaling is not made for these values.
    pub fn is_far(&self) -> bool {
        self.reach > REACH_MAX || self.middle.abs() > MIDDLE_MAX
    }
}

/// The span of each channel of `task` in `set`, in the task's order; none for an empty set.
pub fn spans(task: &TaskSpec, set: &WindowSet) -> Vec<ChannelSpan> {
    let channels = &task.input.channels;
    if set.is_empty() || channels.is_empty() {
        return Vec::new();
    }
    let span = |(place, channel): (usize, &dunlin_protocol::task::Channel)| {
        let values = set.values.iter().skip(place).step_by(channels.len());
        let (sum, count) =
            values.clone().fold((0.0, 0.0), |(sum, n), &v| (sum + f64::from(v), n + 1.0));
        #[allow(clippy::cast_possible_truncation)] // a mean of f32 is in their range
        let middle = (sum / f64::max(count, 1.0)) as f32;
        let (low, high) = values.fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &value| {
            (low.min(value), high.max(value))
        });
        let unscaled = |value: f32| value / channel.scale + channel.offset;
        // A negative scale turns the channel round.
        let (a, b) = (unscaled(low), unscaled(high));
        let (name, unit) = (channel.name.clone(), channel.unit.clone());
        let reach = low.abs().max(high.abs());
        ChannelSpan { name, unit, low: a.min(b), high: a.max(b), reach, middle }
    };
    channels.iter().enumerate().map(span).collect()
}

/// Which of `spans` are constant, in words; `None` where none is.
pub fn constants(spans: &[ChannelSpan]) -> Option<String> {
    let constant = spans.iter().filter(|span| span.is_constant());
    let texts: Vec<String> = constant
        .map(|span| format!("{} is always {} {}", span.name, span.low, span.unit))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// Which channel lies farthest outside of the task's scaling, in words; `None` where none does.
pub fn far_out(spans: &[ChannelSpan]) -> Option<String> {
    let far = spans.iter().filter(|span| span.is_far());
    far.max_by(|a, b| a.reach.total_cmp(&b.reach)).map(|span| {
        let ChannelSpan { name, unit, low, high, reach, .. } = span;
        format!(
            "{name} is {low} to {high} {unit}, scaled up to |x| = {reach:.0}; a network wants a few \
             units: is it measured in {unit}, and does the task's scale suit it?"
        )
    })
}

/// What is odd about the values of a device's windows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Oddities {
    /// Channels that never change.
    pub constant: u64,
    /// Channels far outside of the task's scaling.
    pub off_scale: u64,
    /// Both in words; empty where there is neither.
    pub text: String,
}

impl Oddities {
    /// Of the windows in `set`, as `task` has them.
    pub fn of(task: &TaskSpec, set: &WindowSet) -> Self {
        let spans = spans(task, set);
        let count = |odd: fn(&ChannelSpan) -> bool| spans.iter().filter(|span| odd(span)).count();
        let texts = [constants(&spans), far_out(&spans)];
        Self {
            constant: count(ChannelSpan::is_constant) as u64,
            off_scale: count(ChannelSpan::is_far) as u64,
            text: texts.into_iter().flatten().collect::<Vec<_>>().join("; "),
        }
    }
}

/// Windows of each label of `task`, in its order; none where it has no labels.
pub fn by_label(task: &TaskSpec, set: &WindowSet) -> Vec<(String, usize)> {
    let count = |place: usize| set.labels.iter().filter(|&&l| usize::from(l) == place).count();
    task.labels().iter().enumerate().map(|(place, text)| (text.clone(), count(place))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dunlin_protocol::id::Name;
    use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

    fn task() -> TaskSpec {
        let channel = |name: &str, offset, scale| Channel {
            name: name.into(),
            unit: "mg/dL".into(),
            offset,
            scale,
        };
        let channels = vec![channel("gl", 100.0, 0.5), channel("turned", 0.0, -1.0)];
        TaskSpec {
            name: Name::new("glucose").unwrap(),
            input: Input { channels, rate: Rate::from_millihertz(1000), window: 2, hop: 1 },
            features: Features::Raw,
            layers: vec![],
            target: Target::Reconstruct,
        }
    }

    fn set(values: &[f32]) -> WindowSet {
        WindowSet { values: values.to_vec(), window_values: 4, ..WindowSet::default() }
    }

    #[test]
    fn a_channel_spans_its_values_in_the_unit_of_the_task() {
        let spans = spans(&task(), &set(&[-10.0, -3.0, 100.0, 4.0]));
        assert_eq!((spans[0].low, spans[0].high, spans[0].reach), (80.0, 300.0, 100.0));
        assert_eq!((spans[1].low, spans[1].high, spans[1].reach), (-4.0, 3.0, 4.0));
        assert_eq!(constants(&spans), None);
        let text = far_out(&spans).unwrap();
        assert!(text.contains("gl is 80 to 300 mg/dL, scaled up to |x| = 100"), "{text}");
    }

    #[test]
    fn a_channel_that_never_changes_is_named_with_its_value() {
        let spans = spans(&task(), &set(&[-10.0, 1.0, -10.0, 2.0]));
        assert_eq!(constants(&spans).unwrap(), "gl is always 80 mg/dL");
        assert_eq!(far_out(&spans), None);
        assert!(super::spans(&task(), &set(&[])).is_empty());
    }
}
