//! What a task must keep, beside that its layers fit together.

use super::{Channel, Input, PERIOD_NS_MAX, TASK_SCHEMA, Target, TaskSpec};
use crate::limits::{
    CHANNELS_MAX, CLASSES_MAX, LABEL_CHARS_MAX, LAYERS_MAX, TASK_BYTES_MAX, WINDOW_SAMPLES_MAX,
};
use crate::wire::{Kind, Message, SCHEMA, WireError};

// The text of the rule says so.
const _: () = assert!(PERIOD_NS_MAX == 366 * 86_400 * 1_000_000_000);

impl TaskSpec {
    /// Everything but that the layers fit together.
    pub(super) fn check_rules(&self) -> Result<(), WireError> {
        check_input(&self.input)?;
        if self.layers.is_empty() || self.layers.len() > LAYERS_MAX {
            return Err(WireError::Invalid("a task has 1 to 32 layers"));
        }
        match &self.target {
            Target::Classes(labels) => check_labels(labels),
            Target::Reconstruct | Target::Forecast => Ok(()),
            Target::Values(channels) => check_values(channels, &self.input),
            Target::ForecastSteps { steps, channels } => check_steps(*steps, channels, &self.input),
        }
    }
}

fn text_fits(text: &str) -> bool {
    text.chars().count() <= LABEL_CHARS_MAX
}

fn check_channels(channels: &[Channel]) -> Result<(), WireError> {
    if !channels.iter().all(|c| text_fits(&c.name) && text_fits(&c.unit)) {
        return Err(WireError::Invalid("channel names and units have at most 32 characters"));
    }
    if !channels.iter().all(|c| c.offset.is_finite() && c.scale.is_finite()) {
        return Err(WireError::Invalid("channel scaling is finite"));
    }
    Ok(())
}

fn check_input(input: &Input) -> Result<(), WireError> {
    if input.channels.is_empty() || input.channels.len() > CHANNELS_MAX {
        return Err(WireError::Invalid("a task has 1 to 64 channels"));
    }
    check_channels(&input.channels)?;
    if input.window == 0 || usize::from(input.window) > WINDOW_SAMPLES_MAX {
        return Err(WireError::Invalid("a window has 1 to 8192 samples"));
    }
    if input.hop == 0 || input.hop > input.window {
        return Err(WireError::Invalid("the hop is between 1 and the window"));
    }
    if input.rate.samples() == 0 {
        return Err(WireError::Invalid("the sampling rate is above zero"));
    }
    if !input.rate.is_sane() {
        return Err(WireError::Invalid("there is a sample in 366 days at the least"));
    }
    Ok(())
}

fn check_labels(labels: &[alloc::string::String]) -> Result<(), WireError> {
    if labels.len() < 2 || labels.len() > CLASSES_MAX {
        return Err(WireError::Invalid("a classification has 2 to 256 labels"));
    }
    if labels.iter().any(|label| label.is_empty() || !text_fits(label)) {
        return Err(WireError::Invalid("labels have 1 to 32 characters"));
    }
    Ok(())
}

/// Values that are asked for: channels of their own, which can be told back in their unit.
fn check_values(channels: &[Channel], input: &Input) -> Result<(), WireError> {
    if channels.is_empty() || channels.len() > CHANNELS_MAX {
        return Err(WireError::Invalid("a regression has 1 to 64 values"));
    }
    check_channels(channels)?;
    if channels.iter().any(|channel| channel.scale == 0.0) {
        return Err(WireError::Invalid("the scale of a value that is asked for is not 0"));
    }
    let seen = |name: &str| input.channels.iter().any(|channel| channel.name == name);
    let before = |at: usize, name: &str| channels[..at].iter().any(|channel| channel.name == name);
    if channels.iter().enumerate().any(|(at, c)| seen(&c.name) || before(at, &c.name)) {
        return Err(WireError::Invalid(
            "a value that is asked for is no input, and asked for once",
        ));
    }
    Ok(())
}

fn check_steps(
    steps: u16,
    channels: &[alloc::string::String],
    input: &Input,
) -> Result<(), WireError> {
    if steps == 0 || steps >= input.window {
        return Err(WireError::Invalid(
            "a forecast names 1 step or more, and fewer than the window",
        ));
    }
    let before = |at: usize, name: &str| channels[..at].iter().any(|channel| channel == name);
    let known = |name: &str| input.channels.iter().any(|channel| channel.name == name);
    if channels.iter().enumerate().any(|(at, name)| !known(name) || before(at, name)) {
        return Err(WireError::Invalid("a forecast names input channels, each once"));
    }
    Ok(())
}

impl Message for TaskSpec {
    const KIND: Kind = Kind::Task;
    const BYTES_MAX: usize = TASK_BYTES_MAX;
    const SCHEMAS: &'static [u8] = &[SCHEMA, TASK_SCHEMA];

    fn schema(&self) -> u8 {
        self.schema_on_wire()
    }

    fn check(&self) -> Result<(), WireError> {
        self.check_rules()?;
        self.layout().map(|_| ()).map_err(|_| WireError::Invalid("the layers do not fit together"))
    }
}
