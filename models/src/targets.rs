//! Targets: what a network should answer.

use alloc::vec::Vec;

use dunlin_protocol::task::{Target, TaskSpec};

/// Appends the targets of one window, `[outputs]`.
///
/// For a class that is a probability for each class, with `smoothing` of it spread evenly.
pub(crate) fn append_targets(
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
        Target::Reconstruct => targets.extend_from_slice(window),
        Target::Forecast => {
            targets.extend_from_slice(&window[window.len() - task.input.channels.len()..]);
        }
    }
}
