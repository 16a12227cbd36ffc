//! Models as `safetensors` files, for tools outside Dunlin.
//!
//! Tensors are `layers.{i}.weight` of shape `[fan_in, fan_out]` and `layers.{i}.bias` of shape
//! `[fan_out]`, `f32`, for all shared and frozen layers; layers count from 0 over the whole task.
//! A convolution's rows are kernel position first: `[kernel * in, out]`. Metadata: `task`,
//! `lineage`, `version`, `layout`, and `meaning`, the task's digest.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use dunlin_protocol::id::{Lineage, ModelVersion, ShortDigest};
use dunlin_protocol::task::{ParamLayout, ParamSlot, Share, SlotRole, Task};
use dunlin_service::file::{self, Durability};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensorError, SafeTensors};

/// Longest model file that is read in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Why a model file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[error("model file {}: {problem}", .path.display())]
pub struct ModelFileError {
    path: PathBuf,
    #[source]
    problem: ModelFileProblem,
}

/// What is wrong with a model file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelFileProblem {
    /// The file cannot be opened, read or written.
    #[error("{0}")]
    Io(#[source] std::io::Error),
    /// The file is longer than 64 MiB.
    #[error("it is longer than 64 MiB")]
    TooLong,
    /// The file is not in the safetensors format.
    #[error("not a safetensors file: {0}")]
    Format(#[source] SafeTensorError),
    /// A tensor that the task needs is missing.
    #[error("the tensor {0} is missing; is it a model of this task?")]
    Missing(String),
    /// A tensor that the task does not have.
    #[error("the task has no tensor {0}; is it a model of this task?")]
    Surplus(String),
    /// A tensor does not have the shape or type of the task.
    #[error("the tensor {tensor} is {found}, the task needs F32 {expected:?}")]
    Shape {
        /// Name of the tensor, such as `layers.0.weight`.
        tensor: String,
        /// The shape that the task gives it.
        expected: Vec<usize>,
        /// What the file has.
        found: String,
    },
    /// A tensor has a value that is not finite.
    #[error("the tensor {0} has a value that is not finite")]
    NotFinite(String),
    /// The file names another parameter layout.
    #[error("its layout is {found}, the task's is {expected}: another task made it")]
    Layout {
        /// Hash of the task's layout, 16 hexadecimal digits.
        expected: String,
        /// Hash of the layout that the file names.
        found: String,
    },
    /// The file was made with a task of the same layout that gives its numbers another meaning.
    #[error(
        "it was made with a task of digest {found}, and the configured one is {expected}: labels, \
         channels, units or scales differ. Configure that task, or, if the model is right for this \
         one, import it with --adopt-task {expected}"
    )]
    Meaning {
        /// Digest of the task, 16 hexadecimal digits.
        expected: String,
        /// Digest of the task that the file names.
        found: String,
    },
    /// The model has another length than the task gives it.
    #[error("{0}")]
    Task(String),
}

/// Writes `params: [n_model]` of `task` to `path`, by way of a temporary file beside it.
///
/// # Errors
/// [`ModelFileError`] when the disk refuses or the model is not one of the task.
pub fn export(
    path: &Path,
    task: &Task,
    lineage: Lineage,
    version: ModelVersion,
    params: &[f32],
) -> Result<(), ModelFileError> {
    let named = |problem| ModelFileError { path: path.to_owned(), problem };
    let layout = task.layout();
    if params.len() != layout.n_model() {
        let (has, needs) = (params.len(), layout.n_model());
        let text = format!("the model has {has} parameters, the task needs {needs}");
        return Err(named(ModelFileProblem::Task(text)));
    }
    let bytes: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
    let mut tensors = Vec::new();
    let mut at = 0;
    for slot in model_slots(layout) {
        let end = at + slot.range.len() * 4;
        let view = TensorView::new(Dtype::F32, shape(slot), &bytes[at..end]);
        tensors.push((tensor_name(slot), view.map_err(|e| named(ModelFileProblem::Format(e)))?));
        at = end;
    }
    let text = |key: &str, value: String| (key.to_owned(), value);
    let metadata = HashMap::from([
        text("task", task.name.to_string()),
        text("lineage", lineage.0.iter().map(|byte| format!("{byte:02x}")).collect()),
        text("version", version.to_string()),
        text("layout", ShortDigest(layout.hash().0).to_string()),
        text("meaning", task.digest().to_string()),
    ]);
    let bytes = safetensors::serialize(tensors, Some(metadata));
    let bytes = bytes.map_err(|e| named(ModelFileProblem::Format(e)))?;
    file::replace(path, &bytes, Durability::PowerCut).map_err(|e| named(ModelFileProblem::Io(e)))
}

/// Reads a model of `task` from `path`: `[n_model]`, finite.
///
/// Tensors of local layers are ignored; a file without metadata is taken by its shapes. `adopt`: the
/// operator's word that a model of another task of the same layout is right.
///
/// # Errors
/// [`ModelFileError`] says what does not fit the task.
pub fn import(path: &Path, task: &Task, adopt: bool) -> Result<Vec<f32>, ModelFileError> {
    let named = |problem| ModelFileError { path: path.to_owned(), problem };
    let bytes = read_whole(path).map_err(named)?;
    read_params(&bytes, task, adopt).map_err(named)
}

fn read_params(bytes: &[u8], task: &Task, adopt: bool) -> Result<Vec<f32>, ModelFileProblem> {
    let layout = task.layout();
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(ModelFileProblem::Format)?;
    let expected = ShortDigest(layout.hash().0).to_string();
    let found = metadata.metadata().as_ref().and_then(|pairs| pairs.get("layout"));
    if let Some(found) = found.filter(|found| **found != expected) {
        return Err(ModelFileProblem::Layout { expected, found: found.clone() });
    }
    let expected = task.digest().to_string();
    let found = metadata.metadata().as_ref().and_then(|pairs| pairs.get("meaning"));
    if let Some(found) = found.filter(|found| **found != expected && !adopt) {
        return Err(ModelFileProblem::Meaning { expected, found: found.clone() });
    }
    let tensors = SafeTensors::deserialize(bytes).map_err(ModelFileProblem::Format)?;
    let known = |name: &str| layout.slots().iter().any(|slot| tensor_name(slot) == name);
    if let Some(surplus) = tensors.names().into_iter().find(|name| !known(name)) {
        return Err(ModelFileProblem::Surplus(surplus.to_string()));
    }
    let mut params = Vec::with_capacity(layout.n_model());
    for slot in model_slots(layout) {
        let name = tensor_name(slot);
        let Ok(tensor) = tensors.tensor(&name) else { return Err(ModelFileProblem::Missing(name)) };
        let expected = shape(slot);
        if tensor.dtype() != Dtype::F32 || tensor.shape() != expected {
            let found = format!("{:?} {:?}", tensor.dtype(), tensor.shape());
            return Err(ModelFileProblem::Shape { tensor: name, expected, found });
        }
        let (values, _) = tensor.data().as_chunks::<4>();
        params.extend(values.iter().map(|value| f32::from_le_bytes(*value)));
        if !params.iter().rev().take(slot.range.len()).all(|value| value.is_finite()) {
            return Err(ModelFileProblem::NotFinite(name));
        }
    }
    Ok(params)
}

fn model_slots(layout: &ParamLayout) -> impl Iterator<Item = &ParamSlot> {
    layout.slots().iter().filter(|slot| slot.share != Share::Local)
}

fn tensor_name(slot: &ParamSlot) -> String {
    match slot.role {
        SlotRole::Weight => format!("layers.{}.weight", slot.layer),
        SlotRole::Bias => format!("layers.{}.bias", slot.layer),
    }
}

fn shape(slot: &ParamSlot) -> Vec<usize> {
    match slot.role {
        SlotRole::Weight => vec![slot.fan_in, slot.fan_out],
        SlotRole::Bias => vec![slot.fan_out],
    }
}

fn read_whole(path: &Path) -> Result<Vec<u8>, ModelFileProblem> {
    let file = File::open(path).map_err(ModelFileProblem::Io)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(ModelFileProblem::Io)?;
    let too_long = u64::try_from(bytes.len()).is_ok_and(|length| length > FILE_BYTES_MAX);
    if too_long { Err(ModelFileProblem::TooLong) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::example::{LINEAGE, task};
    use dunlin_protocol::task::{Layer, Op, Target};
    use std::fs;

    /// A frozen, a local and a shared layer.
    fn layered() -> Task {
        let mut task = task(4);
        let dense = |out, share| Layer { op: Op::Dense { out }, share };
        task.layers =
            vec![dense(3, Share::Frozen), dense(5, Share::Local), dense(2, Share::Shared)];
        Task::new(task).unwrap()
    }

    #[test]
    fn a_model_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let task = layered();
        let n = task.layout().n_model();
        #[allow(clippy::cast_precision_loss)]
        let params: Vec<f32> = (0..n).map(|i| i as f32).collect();
        export(&path, &task, LINEAGE, ModelVersion(3), &params).unwrap();
        assert_eq!(import(&path, &task, false).unwrap(), params);
        let mut swapped = task.spec().clone();
        swapped.target = Target::Classes(vec!["walk".into(), "rest".into()]);
        let swapped = Task::new(swapped).unwrap();
        let error = import(&path, &swapped, false).unwrap_err().to_string();
        assert!(error.contains(&format!("--adopt-task {}", swapped.digest())), "{error}");
        assert_eq!(import(&path, &swapped, true).unwrap(), params);
        let bytes = fs::read(&path).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(tensors.tensor("layers.0.weight").unwrap().shape(), [4, 3]);
        assert_eq!(tensors.tensor("layers.2.bias").unwrap().shape(), [2]);
        assert_eq!(tensors.len(), 4);
        assert!(!folder.path().join("m.safetensors.tmp").exists());
    }

    #[test]
    fn files_that_do_not_fit_the_task_are_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let task = layered();
        let error = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            import(&path, &task, false).unwrap_err().to_string()
        };
        assert!(error(b"hello").contains("not a safetensors file"));
        let file = |tensors: &[(&str, Vec<usize>, f32)]| {
            let data: Vec<Vec<u8>> = tensors
                .iter()
                .map(|(_, shape, value)| value.to_le_bytes().repeat(shape.iter().product()))
                .collect();
            let views = tensors.iter().zip(&data).map(|((name, shape, _), data)| {
                (*name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
            });
            safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
        };
        let first = ("layers.0.weight", vec![4, 3], 1.0);
        assert!(error(&file(std::slice::from_ref(&first))).contains("layers.0.bias is missing"));
        let turned = ("layers.0.weight", vec![3, 4], 1.0);
        assert!(error(&file(&[turned])).contains("needs F32 [4, 3]"));
        let wild = ("layers.0.weight", vec![4, 3], f32::NAN);
        assert!(error(&file(&[wild])).contains("not finite"));
        assert!(error(&file(&[first, ("head", vec![1], 0.0)])).contains("no tensor head"));
        let other = Task::new(crate::example::task(4)).unwrap();
        export(&path, &other, LINEAGE, ModelVersion(0), &[0.0; 10]).unwrap();
        assert!(
            import(&path, &task, false).unwrap_err().to_string().contains("another task made it")
        );
        assert!(export(&path, &task, LINEAGE, ModelVersion(0), &[0.0; 10]).is_err());
        assert!(import(&folder.path().join("none"), &task, false).is_err());
    }
}
