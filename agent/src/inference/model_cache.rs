//! The model on disk: written seldom, because flash wears out, and read at the start.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use dunlin_protocol::id::{Digest, LayoutHash, Lineage, ModelVersion};
use dunlin_protocol::model::{Model, Precision};
use dunlin_protocol::task::TaskDigest;
use log::warn;

use crate::job::{KeptModel, ModelInUse};
use crate::ports::StateStore;

/// Version of the bytes in front of the model object.
const SCHEMA: u8 = 2;

/// Which model: digest of the task, history and version.
type ModelId = (TaskDigest, Lineage, ModelVersion);

/// Keeps the newest model, not more often than it may.
pub(super) struct ModelCache {
    store: Box<dyn StateStore + Send>,
    every: Duration,
    /// When a model was written last.
    saved: Option<Clock>,
    /// The newest model, as long as it is not on disk.
    unsaved: Option<(KeptModel, LayoutHash)>,
    /// What is on disk.
    on_disk: Option<ModelId>,
}

impl ModelCache {
    /// Opens `store`: also the model in it, if there is one that can be read.
    pub(super) fn open(
        mut store: Box<dyn StateStore + Send>,
        every: Duration,
    ) -> (Self, Option<KeptModel>) {
        let bytes = store.load().unwrap_or_else(|problem| {
            warn!("the kept model cannot be read: {problem}");
            None
        });
        let kept = bytes.and_then(|bytes| {
            let kept = decode(&bytes);
            if kept.is_none() {
                warn!("the kept model is of another program, or damaged: it is fetched again");
            }
            kept
        });
        let on_disk = kept.as_ref().map(id);
        (Self { store, every, saved: None, unsaved: None, on_disk }, kept)
    }

    /// Takes the model in use; writes it when the last one was written long enough ago.
    pub(super) fn take(&mut self, model: &ModelInUse, now: Clock) {
        let ModelInUse { model, layout, .. } = model;
        self.unsaved = (self.on_disk != Some(id(model))).then(|| (model.clone(), *layout));
        let waits = |at: Clock| now.saturating_duration_since(at) < self.every;
        if !self.saved.is_some_and(waits) {
            self.save(now);
        }
    }

    /// Writes what is not on disk yet: the device is about to stop.
    pub(super) fn finish(&mut self) {
        self.save(super::clock());
    }

    fn save(&mut self, now: Clock) {
        let Some((model, layout)) = self.unsaved.take() else { return };
        self.saved = Some(now);
        match encode(&model, layout).map(|bytes| self.store.save(&bytes)) {
            Some(Ok(())) => self.on_disk = Some(id(&model)),
            Some(Err(problem)) => warn!("the model is not kept: {problem}"),
            None => warn!("version {} cannot be written: it is not kept", model.version),
        }
    }
}

fn id(model: &KeptModel) -> ModelId {
    (model.task, model.lineage, model.version)
}

/// `schema | digest of the task [32] | lineage [16] | model object`.
fn encode(model: &KeptModel, layout: LayoutHash) -> Option<Vec<u8>> {
    let params = model.params.as_ref().clone();
    let half = Model { version: model.version, layout, precision: Precision::F16, params };
    // Half the bytes, where nothing is lost by it.
    let object = half.encode().or_else(|_| Model { precision: Precision::F32, ..half }.encode());
    let object = object.ok()?;
    let mut bytes = vec![SCHEMA];
    bytes.extend_from_slice(&model.task.0.0);
    bytes.extend_from_slice(&model.lineage.0);
    bytes.extend_from_slice(&object);
    Some(bytes)
}

fn decode(bytes: &[u8]) -> Option<KeptModel> {
    let (schema, rest) = bytes.split_first()?;
    let (task, rest) = rest.split_first_chunk()?;
    let (lineage, object) = rest.split_first_chunk()?;
    let Model { version, params, .. } = Model::decode(object).ok().filter(|_| *schema == SCHEMA)?;
    let (task, lineage, params) = (TaskDigest(Digest(*task)), Lineage(*lineage), Arc::new(params));
    Some(KeptModel { task, lineage, version, params })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::worker::tests::model;
    use crate::ports::StoreError;
    use std::sync::Mutex;

    /// What is on the disk, and how often it was written.
    type Disk = Arc<Mutex<(Option<Vec<u8>>, u32)>>;

    struct FakeStore(Disk);

    impl StateStore for FakeStore {
        fn load(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
            Ok(self.0.lock().unwrap().0.clone())
        }
        fn save(&mut self, state: &[u8]) -> Result<(), StoreError> {
            let mut disk = self.0.lock().unwrap();
            (disk.0, disk.1) = (Some(state.to_vec()), disk.1 + 1);
            Ok(())
        }
    }

    fn open(disk: &Disk) -> (ModelCache, Option<KeptModel>) {
        ModelCache::open(Box::new(FakeStore(disk.clone())), Duration::from_secs(3600))
    }

    #[test]
    fn a_model_comes_back_whole_whether_its_parameters_fit_into_half_precision_or_not() {
        for value in [0.5, 0.1, f32::MAX] {
            let disk = Disk::default();
            let (mut model_cache, kept) = open(&disk);
            assert_eq!(kept, None);
            let mut used = model(7);
            used.model.params = Arc::new(vec![value; 40]);
            model_cache.take(&used, super::super::clock());
            assert_eq!(open(&disk).1, Some(used.model));
        }
    }

    #[test]
    fn models_are_written_once_an_hour_and_the_last_one_at_an_orderly_end() {
        let disk = Disk::default();
        let (mut model_cache, _) = open(&disk);
        let start = super::super::clock();
        for minute in 0..150 {
            let now = start + Duration::from_secs(minute * 60);
            model_cache.take(&model(u32::try_from(minute).unwrap()), now);
        }
        assert_eq!(disk.lock().unwrap().1, 3);
        model_cache.finish();
        model_cache.finish();
        assert_eq!(disk.lock().unwrap().1, 4);
        let (mut model_cache, kept) = open(&disk);
        assert_eq!(kept.map(|kept| kept.version), Some(ModelVersion(149)));
        model_cache.take(&model(149), start);
        assert_eq!(disk.lock().unwrap().1, 4, "it is on the disk already");
    }

    #[test]
    fn what_cannot_be_read_is_no_model_and_no_panic() {
        let disk = Disk::default();
        let (mut model_cache, _) = open(&disk);
        model_cache.take(&model(1), super::super::clock());
        let whole = disk.lock().unwrap().0.clone().unwrap();
        for cut in 0..whole.len() {
            disk.lock().unwrap().0 = Some(whole[..cut].to_vec());
            assert_eq!(open(&disk).1, None, "cut at {cut}");
        }
        disk.lock().unwrap().0 = Some([&[SCHEMA + 1], &whole[1..]].concat());
        assert_eq!(open(&disk).1, None, "another schema");
    }
}
