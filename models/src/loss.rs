//! Losses: what training makes small. All are means over the windows of a batch.

use alloc::vec::Vec;

use burn::Tensor;
use burn::tensor::activation;
use dunlin_protocol::task::{Target, TaskSpec};

use crate::kernel::cross_entropy;

/// Appends what the network should answer for one window, `[outputs]`.
///
/// For a class that is a probability for each class, with `smoothing` of it spread evenly.
pub(crate) fn append_wanted(
    task: &TaskSpec,
    window: &[f32],
    label: Option<u16>,
    smoothing: f32,
    wanted: &mut Vec<f32>,
) {
    match &task.target {
        Target::Classes(labels) => {
            #[allow(clippy::cast_precision_loss)]
            let spread = smoothing / labels.len() as f32;
            let right = label.map(usize::from);
            let share =
                |class| if Some(class) == right { spread + 1.0 - smoothing } else { spread };
            wanted.extend((0..labels.len()).map(share));
        }
        Target::Reconstruct => wanted.extend_from_slice(window),
        Target::Forecast => {
            wanted.extend_from_slice(&window[window.len() - task.input.channels.len()..]);
        }
    }
}

/// Mean loss of `output` against `wanted`, both `[batch, outputs]`.
///
/// Classes: cross-entropy of softmax, by an operation of our own where `fused`; the device must be
/// Flex then. Values: squared difference, mean over all values.
pub(crate) fn loss(
    target: &Target,
    output: Tensor<2>,
    wanted: Tensor<2>,
    fused: bool,
) -> Tensor<1> {
    match target {
        Target::Classes(_) if fused => cross_entropy(output, wanted),
        Target::Classes(_) => {
            let [batch, _] = output.dims();
            #[allow(clippy::cast_precision_loss)]
            let scale = -1.0 / batch as f32;
            (activation::log_softmax(output, 1) * wanted).sum() * scale
        }
        Target::Reconstruct | Target::Forecast => (output - wanted).square().mean(),
    }
}
