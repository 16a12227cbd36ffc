//! The classifier that runs a task's network in Burn.

use dunlin_models::{Backend, Network, Prediction, Windows};
use dunlin_protocol::task::Target;

use super::Estimate;
use crate::job::{JobFailure, ModelInUse};
use crate::ports::Classifier;
use crate::trainer::{all_params, failure};

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
        let layout = model.task.layout().map_err(failure)?;
        // No layer is drawn: the session gives no model without this device's own layers.
        let params = all_params(&model.model.params, model.local.as_deref(), 0, &layout)?;
        let same = |network: &Network| *network.task() == *model.task;
        if !self.network.as_ref().is_some_and(same) {
            self.network = Some(Network::new(&model.task, self.backend).map_err(failure)?);
        }
        match &mut self.network {
            Some(network) => network.set_params(&params).map_err(failure),
            None => Err(JobFailure("no network".into())),
        }
    }

    fn classify(&mut self, window: &[f32]) -> Result<Estimate, JobFailure> {
        let network = self.network.as_ref().ok_or_else(|| JobFailure("no network".into()))?;
        let task = network.task();
        let windows = Windows::unlabelled(task, window).map_err(failure)?;
        let Target::Classes(labels) = &task.target else {
            let score = network.evaluate(&windows).map_err(failure)?;
            return Ok(Estimate::Error(score.loss_sum));
        };
        match network.predict(&windows).map_err(failure)?.pop() {
            Some(Prediction::Class { class, probability }) if probability.is_finite() => {
                let label = labels.get(usize::from(class)).cloned().unwrap_or_default();
                Ok(Estimate::Class { label, confidence: probability })
            }
            Some(Prediction::Class { .. } | Prediction::Values(_)) | None => {
                Err(JobFailure("the model gives no probability".into()))
            }
        }
    }
}
