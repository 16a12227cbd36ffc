//! Targets: what a network should answer.

use alloc::vec::Vec;

use dunlin_protocol::task::{Target, TaskSpec};

/// Where the targets of a task lie in its windows.
#[derive(Default)]
pub(crate) struct Targets {
    /// Places in a window of the values that the outputs should be; none for classes.
    places: Vec<usize>,
}

impl Targets {
    /// For windows of `task`.
    pub(crate) fn new(task: &TaskSpec) -> Self {
        let (samples, visible) = (usize::from(task.input.window), task.visible_samples());
        let channels = task.input.channels.len();
        let first = match &task.target {
            Target::Classes(_) => samples,
            Target::Reconstruct => 0,
            Target::Forecast | Target::ForecastSteps { .. } => visible,
            Target::Values(_) => {
                let places = (task.sample_values()..task.window_values()).collect();
                return Self { places };
            }
        };
        let named = task.named_channels();
        let of_sample = |sample| named.iter().map(move |channel| sample * channels + channel);
        Self { places: (first..samples).flat_map(of_sample).collect() }
    }

    /// Appends the targets of one window, `[outputs]`.
    ///
    /// For a class that is a probability for each class, with `smoothing` of it spread evenly.
    pub(crate) fn append(
        &self,
        task: &TaskSpec,
        window: &[f32],
        label: Option<u16>,
        smoothing: f32,
        targets: &mut Vec<f32>,
    ) {
        match &task.target {
            Target::Classes(labels) => {
                #[allow(clippy::cast_precision_loss)]
                let spread = smoothing / labels.len() as f32;
                let right = label.map(usize::from);
                let share =
                    |class| if Some(class) == right { spread + 1.0 - smoothing } else { spread };
                targets.extend((0..labels.len()).map(share));
            }
            Target::Reconstruct
            | Target::Forecast
            | Target::Values(_)
            | Target::ForecastSteps { .. } => {
                targets.extend(self.places.iter().map(|&place| window[place]))
            }
        }
    }
}
