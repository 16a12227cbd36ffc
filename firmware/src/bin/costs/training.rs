//! Instructions of a training step and of an encoded update.

use alloc::vec;
use alloc::vec::Vec;

use dunlin_agent::session::batch_bytes;
use dunlin_firmware::HEAP;
use dunlin_firmware::board::{ARENA_BYTES, instructions};
use dunlin_firmware::sensor::Generator;
use dunlin_models::{Backend, ModelError, Network, ReadWindows as _, Windows};
use dunlin_protocol::codec::{Codec, Seeds};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::Training;

use crate::cost;

/// Windows of a step.
pub(crate) const BATCH: u16 = 8;
const STEPS: u16 = 2;

/// One epoch of plain training with momentum.
pub(crate) fn training() -> Training {
    Training { momentum: 0.9, ..Training::sgd(1, BATCH, 0.02) }
}

pub(crate) fn measure(name: &str, task: &TaskSpec) -> Result<(), ModelError> {
    measure_step(name, task)?;
    measure_codecs(name, task)
}

/// A step is what a second epoch costs beyond the first, by its number of steps.
fn measure_step(name: &str, task: &TaskSpec) -> Result<(), ModelError> {
    let generator = Generator::new(task, 1, BATCH * STEPS);
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for index in 0..generator.len() {
        values.resize(values.len() + task.window_values(), 0.0);
        let at = values.len() - task.window_values();
        generator.read(index, &mut values[at..]);
        labels.extend(generator.label(index));
    }
    let windows = Windows::new(task, &values, &labels)?;
    let mut network = Network::new(task, Backend::Flex)?;
    network.bound_memory(batch_bytes(ARENA_BYTES));
    let base = task.layout()?.initial_params(1);
    let before = HEAP.used();
    HEAP.forget_peak();
    let mut epochs = |epochs| {
        let (start, allocations) = (instructions(), HEAP.count());
        let training = Training { epochs, ..training() };
        network.train_from(&base, &windows, &training, 1, &mut || false)?;
        let spent = instructions().wrapping_sub(start) as usize;
        Ok::<_, ModelError>((spent, HEAP.count() - allocations))
    };
    let (one, two) = (epochs(1)?, epochs(2)?);
    let steps = usize::from(STEPS);
    cost(name, "instructions_per_step", two.0.saturating_sub(one.0) / steps);
    cost(name, "allocations_per_step", two.1.saturating_sub(one.1) / steps);
    cost(name, "heap_of_training", HEAP.peak() - before);
    Ok(())
}

fn measure_codecs(name: &str, task: &TaskSpec) -> Result<(), ModelError> {
    let n = task.layout()?.n_update();
    let codecs = [
        ("eden4", Codec::Eden { bits: 4 }),
        ("uniform8", Codec::Uniform { bits: 8, step: 0.0 }.with_step_for(n, 4.0)),
        ("int8", Codec::INT8),
    ];
    for (codec_name, codec) in codecs {
        let mut rng = Rng::new(1);
        let mut values = vec![0.0; n];
        values.iter_mut().for_each(|value| *value = rng.normal() * 0.02);
        let start = instructions();
        let payload = codec.encode(&mut values, Seeds { device: 1, round: 2 }, 3);
        let spent = instructions().wrapping_sub(start) as usize;
        let bytes = payload.map_or(0, |payload| payload.len());
        cost(name, &alloc::format!("instructions_to_encode_{codec_name}"), spent);
        cost(name, &alloc::format!("update_bytes_{codec_name}"), bytes);
    }
    Ok(())
}
