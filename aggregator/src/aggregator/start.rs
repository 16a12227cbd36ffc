//! What an aggregator starts from.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use dunlin_protocol::id::{LayoutHash, Lineage, ModelVersion, RoundId, ShortDigest};
use dunlin_protocol::task::{Target, Task, TaskDigest, TaskSpec};
use dunlin_service::problems::{Problem, Problems};

use crate::model_store::{VersionDraft, check_params};
use crate::server_optimizer::OptimizerState;
use crate::settings::Downlink;
use crate::snapshot::{Head, ModelRecord, Snapshot};

/// Where the first model comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Initial {
    /// Drawn from this seed as the task says.
    Seed(u64),
    /// These parameters, `[n_model]`, all finite.
    Params(Vec<f32>),
}

/// What an aggregator starts from.
#[derive(Clone, Debug, PartialEq)]
pub enum Start {
    /// A new history, from version 0 on.
    Fresh {
        /// Its 128 random bits.
        lineage: Lineage,
        /// Where version 0 comes from.
        initial: Initial,
    },
    /// What an earlier run saved.
    Restored(Box<Snapshot>),
}

/// Why an aggregator did not start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The settings are wrong in these places.
    #[error("the settings cannot be used:{0:#}")]
    Settings(Problems),
    /// The saved state belongs to a task with another parameter layout.
    #[error(
        "the store belongs to another task (its layout is {}, the task's is {}): give the new task \
         a store of its own",
        ShortDigest(.saved.0),
        ShortDigest(.task.0)
    )]
    OtherTask {
        /// The layout of the task in the settings.
        task: LayoutHash,
        /// The layout of the task that the state was saved for.
        saved: LayoutHash,
    },
    /// The saved state belongs to a task of the same layout whose numbers mean something else.
    #[error(
        "the model in the store was learned with a task that gives its numbers another meaning:{}\n\
         put the old task back, or give the new one a store of its own; if the model is to go on \
         all the same, start with --adopt-task {task}",
        lines(.changes)
    )]
    TaskChanged {
        /// The task in the settings.
        task: TaskDigest,
        /// What it changes, a line each.
        changes: Vec<String>,
    },
    /// The operator gave word for another task than the one in the settings.
    #[error(
        "--adopt-task names another task than the one configured, which is {task}: leave it out, \
         or name that one"
    )]
    NotAdopted {
        /// The task in the settings.
        task: TaskDigest,
    },
    /// The saved state does not fit together.
    #[error("the saved state does not fit together: {0}; restore a backup")]
    Inconsistent(&'static str),
    /// The first model has the wrong length or a value that is not finite.
    #[error(
        "the first model needs {expected} finite parameters, the one given has {found} or a value \
         that is not finite"
    )]
    Initial {
        /// Values that it must have.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
}

/// A line for each change.
fn lines(changes: &[String]) -> String {
    changes.iter().map(|change| format!("\n  {change}")).collect()
}

impl StartError {
    /// A task that cannot be used.
    pub(crate) fn unusable(error: impl fmt::Display) -> Self {
        Self::Settings(Problem::new("task", error.to_string()).into())
    }
}

/// The state of a history that begins: version 0 and nothing else; no start has happened yet.
pub(super) fn fresh(
    lineage: Lineage,
    task: &Task,
    initial: Initial,
    downlink: Downlink,
) -> Result<Snapshot, StartError> {
    let (version, layout) = (ModelVersion(0), task.layout());
    let draft = match initial {
        Initial::Seed(seed) => VersionDraft::of_seed(downlink, layout, seed),
        Initial::Params(params) => {
            check_params(&params, layout.n_model())?;
            let draft = VersionDraft::anchor(downlink, version, layout.hash(), params);
            draft.map_err(|_| StartError::Inconsistent("the first model is too large"))?
        }
    };
    // What the grid cost a first version is gone for good: nothing was learned with it.
    let VersionDraft { params: master_params, written } = draft;
    let (published_params, optimizer) = (Vec::new(), OptimizerState::default());
    let record = ModelRecord { version, master_params, published_params, optimizer, written };
    let layout = layout.hash();
    let next_round = RoundId(1);
    Ok(Snapshot {
        head: Head {
            lineage,
            layout,
            boot: 0,
            version,
            published: 0,
            next_round,
            retired: Vec::new(),
            plan_epoch: 0,
        },
        task: Some(task.spec().clone()),
        models: BTreeMap::from([(version, record)]),
        rounds: BTreeMap::new(),
        devices: BTreeMap::new(),
        sums: BTreeMap::new(),
        closed: BTreeMap::new(),
        answers: BTreeMap::new(),
        adopted: false,
    })
}

impl Snapshot {
    /// Whether the model can go on with `task`: its numbers mean the same.
    ///
    /// # Errors
    /// [`StartError::OtherTask`] or [`StartError::TaskChanged`].
    pub fn check_task(&self, task: &Task) -> Result<(), StartError> {
        check_task(self.head.layout, self.task.as_ref(), task)
    }

    /// Takes the operator's word that the model goes on with `task`, whatever its numbers meant
    /// before; its open rounds end without a result. `word` is the task's digest as it is printed.
    ///
    /// # Errors
    /// [`StartError::NotAdopted`] when the word was given for another task.
    pub fn adopt(&mut self, task: &Task, word: &str) -> Result<(), StartError> {
        check_word(task, word)?;
        self.adopted = self.check_task(task).is_err();
        self.task = Some(task.spec().clone());
        Ok(())
    }
}

/// Whether a model of the layout `saved`, learned with the task `old` where that is known, can go on
/// with `task`.
///
/// # Errors
/// [`StartError::OtherTask`] or [`StartError::TaskChanged`].
pub fn check_task(
    saved: LayoutHash,
    old: Option<&TaskSpec>,
    task: &Task,
) -> Result<(), StartError> {
    let layout = task.layout().hash();
    if layout != saved {
        return Err(StartError::OtherTask { task: layout, saved });
    }
    let changes = old.map(|old| changes(old, task)).unwrap_or_default();
    if changes.is_empty() {
        return Ok(());
    }
    Err(StartError::TaskChanged { task: task.digest(), changes })
}

/// Whether the operator's `word` is for `task`: its digest as it is printed.
///
/// # Errors
/// [`StartError::NotAdopted`] when it names another one.
pub fn check_word(task: &Task, word: &str) -> Result<(), StartError> {
    let given = task.digest().to_string() == word;
    if given { Ok(()) } else { Err(StartError::NotAdopted { task: task.digest() }) }
}

/// What `task` says that gives numbers another meaning than `old` did, a line each.
fn changes(old: &TaskSpec, task: &Task) -> Vec<String> {
    if Task::new(old.clone()).is_ok_and(|old| old.digest() == task.digest()) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    let mut line = |what: &str, old: &dyn fmt::Debug, new: &dyn fmt::Debug| {
        let (old, new) = (format!("{old:?}"), format!("{new:?}"));
        if old != new {
            lines.push(format!("{what}: {old} in the store, {new} in the task file"));
        }
    };
    for (place, (old, new)) in old.input.channels.iter().zip(&task.input.channels).enumerate() {
        line(&format!("channel {place}"), &old.name, &new.name);
        line(&format!("unit of {}", new.name), &old.unit, &new.unit);
        line(&format!("offset of {}", new.name), &old.offset, &new.offset);
        line(&format!("scale of {}", new.name), &old.scale, &new.scale);
    }
    line("channels", &old.input.channels.len(), &task.input.channels.len());
    line("rate", &format_args!("{}", old.input.rate), &format_args!("{}", task.input.rate));
    line("window", &old.input.window, &task.input.window);
    line("features", &old.features, &task.features);
    line("layers", &old.layers, &task.layers);
    match (&old.target, &task.target) {
        (Target::Classes(old), Target::Classes(new)) => line("labels", old, new),
        (old, new) => line("target", old, new),
    }
    lines
}
