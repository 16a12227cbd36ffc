//! The classifier that runs a task's network in Burn.

use dunlin_models::{Backend, Network, Prediction, Windows};
use dunlin_protocol::task::{Channel, Target};

use super::{Estimate, Said};
use crate::job::{JobFailure, ModelInUse};
use crate::network::{all_params, failure};
use crate::ports::Classifier;

/// Classifies with one network, beside the one that trains.
pub struct NetworkClassifier {
    backend: Backend,
    network: Option<Network>,
}

impl NetworkClassifier {
    /// A classifier without a network; the first model brings its task.
    pub fn new(backend: Backend) -> Self {
        Self { backend, network: None }
    }
}

impl Classifier for NetworkClassifier {
    fn use_model(&mut self, model: &ModelInUse) -> Result<(), JobFailure> {
        // No layer is drawn: the session gives no model without this device's own layers.
        let params =
            all_params(&model.model.params, model.local.as_deref(), 0, model.task.layout())?;
        let same = |network: &Network| network.task() == model.task.spec();
        if !self.network.as_ref().is_some_and(same) {
            self.network = Some(Network::new(&model.task, self.backend).map_err(failure)?);
        }
        match &mut self.network {
            Some(network) => network.set_params(&params).map_err(failure),
            None => Err(JobFailure::other("no network")),
        }
    }

    fn classify(&mut self, window: &[f32]) -> Result<Estimate, JobFailure> {
        let network = self.network.as_ref().ok_or_else(|| JobFailure::other("no network"))?;
        let task = network.task();
        let labels = match &task.target {
            Target::Classes(labels) => labels,
            Target::Reconstruct | Target::Forecast => {
                let windows = Windows::unlabelled(task, window).map_err(failure)?;
                let score = network.evaluate(&windows).map_err(failure)?;
                return Ok(Estimate::Error(score.loss_sum));
            }
            Target::Values(_) | Target::ForecastSteps { .. } => return values(network, window),
        };
        let windows = Windows::unlabelled(task, window).map_err(failure)?;
        match network.predict(&windows).map_err(failure)?.pop() {
            Some(Prediction::Class { class, probability }) if probability.is_finite() => {
                let label = labels.get(usize::from(class)).cloned().unwrap_or_default();
                Ok(Estimate::Class { label, confidence: probability })
            }
            Some(Prediction::Class { .. } | Prediction::Values(_)) | None => {
                Err(JobFailure::other("the model gives no probability"))
            }
        }
    }
}

/// The values that the network names for the newest window, in their units. A forecast looks at the
/// newest samples, so that what it names is still to come.
fn values(network: &Network, window: &[f32]) -> Result<Estimate, JobFailure> {
    let task = network.task();
    let ahead = task.steps_ahead() * task.input.channels.len();
    let mut window = window.to_vec();
    window.rotate_left(ahead.min(window.len()));
    let windows = Windows::unlabelled(task, &window).map_err(failure)?;
    let Some(Prediction::Values(scaled)) = network.predict(&windows).map_err(failure)?.pop() else {
        return Err(JobFailure::other("the model gives no values"));
    };
    let channels = task.output_channels();
    let of_channel = |(at, channel): (usize, &&Channel)| {
        let steps = scaled.iter().skip(at).step_by(channels.len().max(1));
        let unscaled = |value: &f32| match channel.scale {
            0.0 => channel.offset,
            scale => value / scale + channel.offset,
        };
        Said {
            name: channel.name.clone(),
            unit: channel.unit.clone(),
            values: steps.map(unscaled).collect(),
        }
    };
    let said: Vec<Said> = channels.iter().enumerate().map(of_channel).collect();
    if said.iter().flat_map(|one| &one.values).all(|value| value.is_finite()) {
        Ok(Estimate::Values(said))
    } else {
        Err(JobFailure::other("the model gives values that are no numbers"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::KeptModel;
    use dunlin_protocol::id::{Lineage, ModelVersion, Name};
    use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Task, TaskSpec};
    use std::sync::Arc;

    /// A task on windows of 2 samples of one channel.
    fn task(layers: &[(u16, Share)], target: Target) -> TaskSpec {
        let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
        let layer = |&(out, share): &(u16, Share)| Layer { op: Op::Dense { out }, share };
        TaskSpec {
            name: Name::new("test").unwrap(),
            input: Input {
                channels: vec![channel],
                rate: Rate::from_millihertz(50_000),
                window: 2,
                hop: 2,
            },
            features: Features::Raw,
            layers: layers.iter().map(layer).collect(),
            target,
        }
    }

    fn model(task: &TaskSpec, params: Vec<f32>, local: Option<Vec<f32>>) -> ModelInUse {
        let task = Arc::new(Task::new(task.clone()).unwrap());
        let (digest, lineage) = (task.digest(), Lineage([9; 16]));
        let (version, params) = (ModelVersion(3), Arc::new(params));
        let model = KeptModel { task: digest, lineage, version, params };
        let layout = task.layout().hash();
        ModelInUse { model, layout, task, local }
    }

    fn classify(model: &ModelInUse, window: &[f32]) -> Result<Estimate, JobFailure> {
        let mut classifier = NetworkClassifier::new(Backend::Flex);
        classifier.use_model(model)?;
        classifier.classify(window)
    }

    #[test]
    fn the_devices_own_layers_decide_with_the_shared_ones() {
        let labels = Target::Classes(vec!["sit".into(), "walk".into()]);
        let task = task(&[(2, Share::Shared), (2, Share::Local)], labels);
        let shared = vec![0.0; 6];
        for (bias, expected) in [([0.0, 2.0], "walk"), ([2.0, 0.0], "sit")] {
            let local = [[0.0; 4].as_slice(), &bias].concat();
            let answer = classify(&model(&task, shared.clone(), Some(local)), &[1.0, 1.0]);
            let Ok(Estimate::Class { label, confidence }) = answer else { panic!("{answer:?}") };
            assert_eq!(label, expected);
            assert!((confidence - 0.8808).abs() < 1e-4, "softmax of 2 and 0, not {confidence}");
        }
    }

    #[test]
    fn one_classifier_serves_one_task_after_the_other() {
        let mut classifier = NetworkClassifier::new(Backend::Flex);
        assert!(classifier.classify(&[1.0, 1.0]).is_err(), "no model yet");
        for classes in [2, 3] {
            let labels = (0..classes).map(|class| class.to_string()).collect();
            let task = task(&[(classes, Share::Shared)], Target::Classes(labels));
            let mut params = vec![0.0; usize::from(classes) * 3];
            *params.last_mut().unwrap() = 1.0;
            classifier.use_model(&model(&task, params, None)).unwrap();
            let answer = classifier.classify(&[1.0, 1.0]);
            let Ok(Estimate::Class { label, .. }) = answer else { panic!("{answer:?}") };
            assert_eq!(label, (classes - 1).to_string());
        }
    }

    #[test]
    fn a_forecast_of_steps_names_what_comes_behind_the_newest_samples_in_their_unit() {
        // The next sample is the last one that it sees, and one more.
        let steps = Target::ForecastSteps { steps: 1, channels: vec![] };
        let mut task = task(&[(1, Share::Shared)], steps);
        (task.input.channels[0].offset, task.input.channels[0].scale) = (100.0, 0.5);
        let answer = classify(&model(&task, vec![1.0, 1.0], None), &[7.0, 3.0]);
        // 3 + 1 scaled is 108 in the unit: the newest sample counts, not the one before.
        let said = Said { name: "x".into(), unit: "g".into(), values: vec![108.0] };
        assert_eq!(answer, Ok(Estimate::Values(vec![said])));
    }

    #[test]
    fn a_regression_names_its_values_in_their_unit() {
        let unit = |name: &str, offset, scale| Channel {
            name: name.into(),
            unit: "cycles".into(),
            offset,
            scale,
        };
        let values = Target::Values(vec![unit("rul", 100.0, 0.01), unit("age", 0.0, 1.0)]);
        let task = task(&[(2, Share::Shared)], values);
        let params = vec![0.0, 0.0, 0.0, 0.0, -0.5, 7.0];
        // What is asked for stands behind the samples; nobody knows it.
        let answer = classify(&model(&task, params, None), &[1.0, 3.0, 0.0, 0.0]);
        let said = |name: &str, value| Said {
            name: name.into(),
            unit: "cycles".into(),
            values: vec![value],
        };
        assert_eq!(answer, Ok(Estimate::Values(vec![said("rul", 50.0), said("age", 7.0)])));
    }

    #[test]
    fn a_reconstruction_and_a_forecast_give_their_mean_squared_error() {
        let reconstruct = task(&[(2, Share::Shared)], Target::Reconstruct);
        let answer = classify(&model(&reconstruct, vec![0.0; 6], None), &[1.0, 3.0]);
        assert_eq!(answer, Ok(Estimate::Error(5.0)));
        let forecast = task(&[(1, Share::Shared)], Target::Forecast);
        let answer = classify(&model(&forecast, vec![0.0, 1.0], None), &[1.0, 3.0]);
        assert_eq!(answer, Ok(Estimate::Error(4.0)), "the bias says 1, the sample is 3");
    }

    #[test]
    fn models_and_windows_that_do_not_fit_are_refused_in_words() {
        let task = task(&[(2, Share::Shared)], Target::Reconstruct);
        assert!(classify(&model(&task, vec![0.0; 5], None), &[1.0, 3.0]).is_err());
        assert!(classify(&model(&task, vec![f32::NAN; 6], None), &[1.0, 3.0]).is_err());
        let huge = model(&task, vec![f32::MAX; 6], None);
        for window in [&[1.0][..], &[1.0; 4], &[f32::NAN, 0.0]] {
            assert!(classify(&huge, window).is_err(), "{window:?}");
        }
        assert!(classify(&huge, &[9.0, 9.0]).is_err(), "an error that is not finite");
    }
}
