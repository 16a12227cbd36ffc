//! Samples, label names and waiting labels of a live source, kept together.

mod file_labels;
mod labelling;
mod taking;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use dunlin_protocol::task::TaskSpec;

use self::file_labels::FileLabels;
use self::taking::Again;
use super::config::IntakeConfig;
use super::cut::{Counter, Cutting};
use super::files;
use super::intake::Intake;
use super::labels::{LabelNames, LabelTable, WaitingLabels};
use super::log_limit::{LogLimit, clock};
use super::ring::{Block, Header, NO_LABEL, Record, Ring};
use super::{DataError, LiveWindow, Loss, SourceStatus, WindowSet, cut};

pub(in crate::data) use self::file_labels::Origin;

/// What a live source keeps: shared by the thread that reads and whoever asks for windows.
#[derive(Debug)]
pub struct SampleStore {
    ring: Ring,
    table: LabelTable,
    label_names: LabelNames,
    waiting: WaitingLabels,
    file_labels: FileLabels,
    /// What of each kind of loss the log has not told of yet.
    untold: BTreeMap<Loss, LogLimit>,
    counts: SourceStatus,
    /// What samples go through first; taken out only while one does.
    intake: Option<Box<Intake>>,
    again: Again,
    /// Whether the ring did not take the last sample.
    failing: bool,
    /// Whether samples came since they were looked for last, and since when none do.
    busy: bool,
    idle_since: Option<Instant>,
}

impl SampleStore {
    /// Opens `samples.ring` and `samples.labels` in the folder `state_dir`, or makes them.
    ///
    /// # Errors
    /// [`DataError`] of [`Ring::open`] and [`LabelTable::open`].
    pub fn open(state_dir: &Path, header: Header) -> Result<Self, DataError> {
        dunlin_service::file::make_folder(state_dir).map_err(DataError::io(state_dir, "create"))?;
        let mut ring = Ring::open(&state_dir.join(files::RING), header)?;
        let (table, fresh) = LabelTable::open(&state_dir.join(files::LABELS))?;
        if fresh {
            ring.relabel(|record| (record.label != NO_LABEL).then_some(NO_LABEL))?;
        }
        let (names, period_ns) = (ring.header().names(), ring.header().period_ns);
        let intake = Intake::new(&IntakeConfig::default(), &names, period_ns);
        let gone = ring.gone();
        let mut store = Self {
            ring,
            table,
            label_names: LabelNames::default(),
            waiting: WaitingLabels::default(),
            file_labels: FileLabels::open(state_dir.join(files::SPANS)),
            untold: BTreeMap::new(),
            counts: SourceStatus::default(),
            intake: Some(Box::new(intake)),
            again: Again::default(),
            failing: false,
            busy: false,
            idle_since: None,
        };
        store.lose(Loss::Disk, gone, || {
            let ring = state_dir.join(files::RING);
            format!("{}: was cut short or could not be read; look after the disk", ring.display())
        });
        Ok(store)
    }

    /// The same store behind `intake`, whose kept channels are those of the ring. Without this, samples
    /// go through what [`IntakeConfig::default`] asks for.
    #[must_use]
    pub fn with_intake(mut self, intake: Intake) -> Self {
        self.intake = Some(Box::new(intake));
        self
    }

    /// The samples, those included that are not on disk yet.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// The label texts by number.
    pub fn label_texts(&self) -> &[String] {
        self.table.texts()
    }

    /// Appends a sample of `time_us`, in microseconds on the clock that label files go by: since 1970
    /// where they are people's. A label range that waits for its time wins over `label`, a text of at
    /// most 32 characters; an empty one is none.
    ///
    /// `values`: `[channels]` in the order of the ring, that of the names, each in the unit that the
    /// configuration gives its channel, or else the task's. One outside of the ring's range is counted
    /// and spoils the windows that it is in. With one that is no finite number the sample is not taken,
    /// but counted as missing a value.
    ///
    /// # Errors
    /// [`DataError::Io`] when the disk takes nothing more, [`DataError::State`] when there are not as
    /// many values as channels; the sample is then lost.
    pub fn append(&mut self, time_us: i64, label: &str, values: &[f32]) -> Result<(), DataError> {
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let name = self.ring.header().channels.get(at).map(|channel| channel.name.clone());
            self.lose(Loss::Missing, 1, || format!("{} at {time_us} us", name.unwrap_or_default()));
            return Ok(());
        }
        let label = match self.waiting.label_at(time_us) {
            Some(label) => label,
            None => self.label_number(label)?.unwrap_or(NO_LABEL),
        };
        let before = self.ring.cut();
        self.ring.append(time_us, label, values)?;
        self.counts.accepted += 1;
        let cut = self.ring.cut() - before;
        if cut > 0 {
            let detail = cut_value(self.ring.header(), values);
            self.lose(Loss::Cut, cut, || detail);
        }
        Ok(())
    }

    /// Gives labels that come from now on the names of the task.
    pub fn set_label_names(&mut self, names: LabelNames) {
        self.label_names = names;
    }

    /// Number of the label `text`; `None`, counted and logged, when it cannot have one.
    ///
    /// # Errors
    /// [`DataError::Io`] when a new label cannot be written to disk.
    pub fn label_number(&mut self, text: &str) -> Result<Option<u16>, DataError> {
        let text = self.label_names.of(text);
        let number = self.table.number_of(text)?;
        if number.is_none() {
            let text = text.to_owned();
            let why = "has more than 32 characters, control characters, or is the 257th";
            self.lose(Loss::Label, 1, || format!("label {text:?} {why}"));
        }
        Ok(number)
    }

    /// Counts `count` things of one kind that cannot be used. `detail` says what was wrong with the
    /// last of them and where, with the text that was found there. The first of a kind is logged at
    /// once, then at most one line a minute.
    pub fn lose(&mut self, loss: Loss, count: u64, detail: impl FnOnce() -> String) {
        self.counts.losses.add(loss, count, detail);
        if count > 0 && loss.is_fault() {
            let due = self.untold.entry(loss).or_default().add(count, clock());
            self.tell(loss, due.unwrap_or(0));
        }
    }

    /// Counts a sample that cannot be used and of which nothing more is known; see
    /// [`SampleStore::lose`].
    pub fn refuse_row(&mut self) {
        self.lose(Loss::Number, 1, String::new);
    }

    /// Logs what was lost since the last line, for kinds whose minute is over.
    pub(super) fn tell_losses(&mut self) {
        let now = clock();
        let due =
            self.untold.iter_mut().filter_map(|(loss, limit)| Some((*loss, limit.add(0, now)?)));
        for (loss, count) in due.collect::<Vec<_>>() {
            self.tell(loss, count);
        }
    }

    fn tell(&self, loss: Loss, count: u64) {
        if count > 0 {
            let last = self.counts.losses.last(loss).filter(|last| !last.is_empty());
            let last = last.map_or(String::new(), |last| format!("; the last: {last}"));
            log::warn!("{count} {}{last}", loss.describe());
        }
    }

    /// Notes what deserves a look though nothing was lost; `kind` tells one such thing from another.
    pub fn hint(&mut self, kind: &'static str, text: String) {
        if !self.counts.hints.contains_key(kind) {
            log::warn!("{text}");
        }
        self.counts.hints.insert(kind, text);
    }

    /// Takes a hint back.
    pub fn drop_hint(&mut self, kind: &'static str) {
        self.counts.hints.remove(kind);
    }

    /// Notes what keeps samples from coming in, or that nothing does.
    pub fn set_problem(&mut self, problem: Option<String>) {
        if problem != self.counts.problem {
            match &problem {
                Some(problem) => log::warn!("{problem}"),
                None => log::info!("samples come in again"),
            }
            self.counts.problem = problem;
        }
    }

    /// Notes that no more samples will come.
    pub fn set_ended(&mut self) {
        self.counts.ended = true;
    }

    /// Hands everything to the operating system. See [`Ring::flush`].
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn flush(&mut self) -> Result<(), DataError> {
        self.ring.flush()
    }

    /// Makes everything survive a power cut. See [`Ring::sync`].
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn sync(&mut self) -> Result<(), DataError> {
        self.ring.sync()
    }

    /// The windows that fit `task`. See [`cut::windows`].
    ///
    /// # Errors
    /// As [`cut::windows`].
    pub fn windows(&mut self, task: &TaskSpec, values_max: usize) -> Result<WindowSet, DataError> {
        cut::windows(&mut self.ring, self.table.texts(), task, values_max)
    }

    /// Begins to cut windows. See [`Cutting::begin`].
    ///
    /// # Errors
    /// As [`Cutting::begin`].
    pub fn begin_cut(&self, task: &TaskSpec, values_max: usize) -> Result<Cutting, DataError> {
        Cutting::begin(&self.ring, self.table.texts(), task, values_max)
    }

    /// Begins to count windows, or goes on. See [`Counter::begin`].
    ///
    /// # Errors
    /// As [`Counter::begin`].
    pub fn begin_count(
        &self,
        kept: Option<Counter>,
        task: &TaskSpec,
    ) -> Result<Counter, DataError> {
        Counter::begin(kept, &self.ring, self.table.texts(), task)
    }

    /// Reads the next samples. See [`Ring::read_block`].
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn read_block(&mut self, block: &mut Block, end: u64) -> Result<bool, DataError> {
        self.ring.read_block(block, end)
    }

    /// The window that ends with the newest sample. See [`cut::newest`].
    ///
    /// # Errors
    /// As [`cut::newest`].
    pub fn newest_window(&mut self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        cut::newest(&mut self.ring, task)
    }

    /// Shows every whole sample to `visit`, oldest first. See [`Ring::scan`].
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn scan(&mut self, visit: impl FnMut(&Record)) -> Result<(), DataError> {
        self.ring.scan(0, visit)
    }

    /// How the source is doing.
    pub fn status(&self) -> SourceStatus {
        let intake = self.intake.as_ref();
        let (filled, held) = intake.map_or((0, 0), |intake| (intake.filled(), intake.mended()));
        SourceStatus { samples: self.ring.len(), filled, held, ..self.counts.clone() }
    }
}

/// Which value its channel cannot hold.
fn cut_value(header: &Header, values: &[f32]) -> String {
    let mut both = header.channels.iter().zip(values);
    let outside = both.find(|(channel, value)| {
        channel.quantum > 0.0 && (**value / channel.quantum).round().abs() > f32::from(i16::MAX)
    });
    outside.map_or(String::new(), |(channel, value)| {
        let (name, quantum, most) = (&channel.name, channel.quantum, i16::MAX);
        // In the decimals of the quantum: the product of two floats has more of them.
        let most = f64::from(most) * quantum.to_string().parse().unwrap_or(f64::from(quantum));
        let most: f64 = format!("{most:.9e}").parse().unwrap_or(most);
        format!(
            "{name} = {value}: with quantum {quantum} the ring holds -{most} to {most}; remove the \
             quantum, or set a larger one and empty the ring: dunlin-agent data reset"
        )
    })
}

impl Drop for SampleStore {
    fn drop(&mut self) {
        for (loss, mut limit) in std::mem::take(&mut self.untold) {
            self.tell(loss, limit.take());
        }
    }
}
