//! What all live sources share: a thread that moves samples into the ring, labels into their
//! samples, and both to disk, until the source is dropped.
//!
//! A sensor of another kind is a [`SampleReader`] that [`LiveSource::open`] is given; ring, cutting and
//! labels are then as for the kinds that are there. Times come with its samples, or from a [`Pace`].
//!
//! Whoever wants windows locks the store for one block of samples at a time, so that neither the
//! thread nor anybody else who wants windows waits for longer.

mod pace;

pub use pace::Pace;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use dunlin_protocol::task::TaskSpec;

use super::config::Sampling;
use super::csv::LabelReader;
use super::cut::Counter;
use super::log_limit::{LogLimit, clock};
use super::store::SampleStore;
use super::{DataError, LeftOut, LiveWindow, SourceStatus, WindowCounts, WindowSet, WindowSource};

/// Wait between two looks at inputs that had nothing.
pub(super) const POLL: Duration = Duration::from_millis(200);
/// Time between two writes that survive a power cut; flash wears out.
const SYNC: Duration = Duration::from_secs(60);

/// Where the samples of a live source come from. Used by one thread, that of its [`LiveSource`].
pub trait SampleReader: Send {
    /// Takes in what is there by [`SampleStore::take`], but not for longer than a moment, and without
    /// waiting; whether there may be more at once. Then it is asked again without a pause.
    ///
    /// The store is [`lock`]ed for as little as possible: whoever wants windows waits for it. What goes
    /// wrong is no reason to end: [`SampleStore::set_problem`] tells of it, [`SampleStore::lose`]
    /// counts what is no sample, and the next poll tries again.
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool;

    /// How long to wait when nothing was there. No more than a fifth of a second is waited, which is
    /// also what is waited where this is not implemented.
    fn pause(&self) -> Duration {
        POLL
    }

    /// Notes on disk how far the input is read, where it can be read again after a restart; called
    /// once a minute and before the end. The samples so far have been synced.
    fn save(&mut self, store: &mut SampleStore) {
        let _ = store;
    }
}

/// A live source of samples. Ends its thread and syncs its files when it is dropped.
#[derive(Debug)]
pub struct LiveSource {
    store: Arc<Mutex<SampleStore>>,
    values_max: usize,
    /// The windows that were counted last.
    counted: Mutex<Option<Counter>>,
    /// That there are no windows, and why, is told once a minute.
    no_windows: Mutex<LogLimit>,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LiveSource {
    /// Opens the ring in `state_dir`, and starts to take in what the reader that `open` makes
    /// finds. `open` is shown the samples that the ring holds already.
    ///
    /// The keys of `sampling.channels` are the task's names of the channels; samples have their values
    /// in the order of these names. What a channel comes from, `C`, is the reader's business. `delimiter`
    /// stands between the columns of the label file, if `sampling` names one.
    ///
    /// # Errors
    /// [`DataError`] when `sampling` has problems (all of them are listed), when the ring belongs to
    /// another configuration or process, when files cannot be made, when no thread can be started, or
    /// what `open` says.
    pub fn open<C>(
        sampling: &Sampling<C>,
        delimiter: char,
        state_dir: &Path,
        open: impl FnOnce(&SampleStore) -> Result<Box<dyn SampleReader>, DataError>,
    ) -> Result<Self, DataError> {
        let problems = sampling.problems();
        if !problems.is_empty() {
            return Err(DataError::Config(problems));
        }
        let store = SampleStore::open(state_dir, sampling.header())?;
        let mut store = store.with_intake(sampling.intake());
        store.set_label_names(sampling.label_names());
        let reader = open(&store)?;
        let (unit, period_ns) = (sampling.time_unit, sampling.period_ns());
        let labels = sampling.label_file(delimiter).filter(|(_, form)| !form.is_index());
        let labels = labels.map(|(path, form)| LabelReader::new(&path, &form, unit, period_ns));
        let store = Arc::new(Mutex::new(store));
        let (stop, stopped) = channel();
        let shared = Arc::clone(&store);
        let thread = std::thread::Builder::new()
            .name("samples".to_owned())
            .spawn(move || run(&shared, reader, labels, &stopped))
            .map_err(DataError::io(state_dir, "start a thread"))?;
        let values_max = sampling.values_max();
        let (stop, thread) = (Some(stop), Some(thread));
        let (counted, no_windows) = (Mutex::default(), Mutex::default());
        Ok(Self { store, values_max, counted, no_windows, stop, thread })
    }

    /// Says why there are no windows, if there are none.
    fn tell(&self, left_out: &LeftOut) {
        if left_out.found > 0 || left_out.samples == 0 {
            return;
        }
        let mut limit = self.no_windows.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.count(clock()).is_none() {
            return;
        }
        if left_out.is_trouble() {
            log::warn!("{left_out}");
        } else {
            log::info!("{left_out}");
        }
    }
}

impl WindowSource for LiveSource {
    fn windows(&self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        self.windows_unless(task, &|| false)
    }

    fn windows_unless(
        &self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
    ) -> Result<WindowSet, DataError> {
        // Nobody must wait for the whole ring: each block is a lock of its own.
        let cutting = lock(&self.store).begin_cut(task, self.values_max)?;
        let set =
            cutting.finish(task, stop, |block, end| lock(&self.store).read_block(block, end))?;
        self.tell(&set.left_out);
        Ok(set)
    }

    fn count(&self, task: &TaskSpec, stop: &dyn Fn() -> bool) -> Result<WindowCounts, DataError> {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counter = lock(&self.store).begin_count(counted.take(), task)?;
        counter.catch_up(stop, |block, end| lock(&self.store).read_block(block, end))?;
        let oldest = lock(&self.store).ring().oldest_sequence();
        let counts = counter.counts(oldest, self.values_max);
        *counted = Some(counter);
        let counts = counts?;
        self.tell(&counts.left_out);
        Ok(counts)
    }

    fn newest_window(&self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        lock(&self.store).newest_window(task)
    }

    fn status(&self) -> SourceStatus {
        lock(&self.store).status()
    }
}

impl Drop for LiveSource {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that reads samples had failed");
        }
    }
}

/// Locks the store; a thread that panicked leaves it usable, because each change is whole.
pub fn lock(store: &Mutex<SampleStore>) -> MutexGuard<'_, SampleStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The wall clock in microseconds since 1970, 0 before that; people label by it. It may jump.
#[allow(clippy::disallowed_methods)] // orders nothing: samples are numbered in the ring
pub fn wall_us() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Reads until told to stop.
fn run(
    store: &Mutex<SampleStore>,
    mut reader: Box<dyn SampleReader>,
    mut labels: Option<LabelReader>,
    stop: &Receiver<()>,
) {
    let mut synced = clock();
    let mut tended: Option<Instant> = None;
    loop {
        let mut busy = reader.poll(store);
        let due = tended.is_none_or(|at| clock().saturating_duration_since(at) >= POLL);
        if !busy && due {
            // Labels wait until the samples at hand are in: a range finds them then.
            busy = labels.as_mut().is_some_and(|labels| labels.poll(store));
            if !busy {
                settle(store);
                tended = Some(clock());
            }
        }
        let stopping = if busy {
            stop.try_recv() != Err(TryRecvError::Empty)
        } else {
            stop.recv_timeout(reader.pause().min(POLL)) != Err(RecvTimeoutError::Timeout)
        };
        if stopping {
            lock(store).finish();
        }
        if stopping || clock().saturating_duration_since(synced) >= SYNC {
            save(store, &mut *reader);
            synced = clock();
        }
        if stopping {
            return;
        }
    }
}

/// Hands new samples to the operating system, so that they survive the end of this process.
pub(super) fn settle(store: &Mutex<SampleStore>) {
    let mut store = lock(store);
    store.tell_losses();
    store.rest(clock());
    if let Err(error) = store.flush() {
        store.set_problem(Some(error.to_string()));
    }
}

/// Makes samples and position survive a power cut.
pub(super) fn save(store: &Mutex<SampleStore>, reader: &mut dyn SampleReader) {
    let mut store = lock(store);
    if let Err(error) = store.sync() {
        store.set_problem(Some(error.to_string()));
    }
    reader.save(&mut store);
}

#[cfg(test)]
mod tests;
