//! Samples from a growing CSV file, a FIFO or standard input.
//!
//! A thread reads rows into the ring and labels into their samples; whoever wants windows locks the
//! ring for as long as that takes. Files are followed while they grow; a rotated or truncated file
//! is read from its start; a FIFO stays open for the next writer. Rows that cannot be understood
//! are counted, logged at most once a minute, and skipped.

mod follow;
mod label_file;
mod lines;
mod position;
mod reader;
mod row;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dunlin_protocol::task::TaskSpec;

use self::label_file::LabelReader;
use self::reader::{CsvReader, lock};
use super::config::CsvConfig;
use super::log_limit::clock;
use super::ring::Header;
use super::store::SampleStore;
use super::{DataError, LiveWindow, SourceStatus, WindowSet, WindowSource};

/// Wait between two looks at inputs that had nothing.
const POLL: Duration = Duration::from_millis(200);
/// Time between two writes that survive a power cut; flash wears out.
const SYNC: Duration = Duration::from_secs(60);

/// A live source of samples. Ends its thread and syncs its files when it is dropped.
#[derive(Debug)]
pub struct CsvSource {
    store: Arc<Mutex<SampleStore>>,
    values_max: usize,
    /// Dropped to end the thread.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl CsvSource {
    /// Opens the ring in `state_dir` and starts to read.
    ///
    /// # Errors
    /// [`DataError`] when the ring belongs to another configuration or process, when files cannot
    /// be made, or when no thread can be started. A missing input is no error: it may come later.
    pub fn open(config: &CsvConfig, state_dir: &Path) -> Result<Self, DataError> {
        let (store, reader) = open_reader(config, state_dir)?;
        let labels = config.labels_path.as_ref();
        let labels = labels.map(|path| LabelReader::new(path, config.delimiter, config.time_unit));
        let store = Arc::new(Mutex::new(store));
        let (stop, stopped) = channel();
        let shared = Arc::clone(&store);
        let thread = std::thread::Builder::new()
            .name("samples".to_owned())
            .spawn(move || run(&shared, reader, labels, &stopped))
            .map_err(DataError::io(&config.path, "start a thread"))?;
        let values_max = values_max(config);
        Ok(Self { store, values_max, stop: Some(stop), thread: Some(thread) })
    }
}

fn open_reader(
    config: &CsvConfig,
    state_dir: &Path,
) -> Result<(SampleStore, CsvReader), DataError> {
    let channels = config.channels.keys();
    let header = Header {
        channels: channels.map(|name| (name.clone(), config.quantum_of(name))).collect(),
        period_ns: config.period_ns(),
        capacity: config.capacity(),
    };
    let store = SampleStore::open(state_dir, header)?;
    let reader = CsvReader::open(config, state_dir.join("samples.position"), &store)?;
    Ok((store, reader))
}

/// Most values of the windows of one round.
fn values_max(config: &CsvConfig) -> usize {
    let bytes = usize::try_from(config.windows_mb).unwrap_or(1).saturating_mul(1_000_000);
    bytes / size_of::<f32>()
}

/// The windows for `task` in a file that does not grow; `scratch` is an empty folder for what is
/// kept on the way.
///
/// # Errors
/// [`DataError`] when the file is not there, or cannot serve the task.
pub fn read_file(
    config: &CsvConfig,
    scratch: &Path,
    task: &TaskSpec,
) -> Result<WindowSet, DataError> {
    std::fs::metadata(&config.path).map_err(DataError::io(&config.path, "read"))?;
    let (store, mut reader) = open_reader(config, scratch)?;
    let store = Mutex::new(store);
    while reader.poll(&store) {}
    lock(&store).windows(task, values_max(config))
}

impl WindowSource for CsvSource {
    fn windows(&mut self, task: &TaskSpec) -> Result<WindowSet, DataError> {
        self.windows_unless(task, &|| false)
    }

    fn windows_unless(
        &mut self,
        task: &TaskSpec,
        stop: &dyn Fn() -> bool,
    ) -> Result<WindowSet, DataError> {
        lock(&self.store).windows_unless(task, self.values_max, stop)
    }

    fn newest_window(&mut self, task: &TaskSpec) -> Result<Option<LiveWindow>, DataError> {
        lock(&self.store).newest_window(task)
    }

    fn status(&self) -> SourceStatus {
        lock(&self.store).status()
    }
}

impl Drop for CsvSource {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("the thread that reads samples had failed");
        }
    }
}

/// Reads until told to stop.
fn run(
    store: &Mutex<SampleStore>,
    mut reader: CsvReader,
    mut labels: Option<LabelReader>,
    stop: &Receiver<()>,
) {
    let mut synced = clock();
    loop {
        // Labels wait until the samples at hand are in: a range finds them then.
        let busy = reader.poll(store) || labels.as_mut().is_some_and(|labels| labels.poll(store));
        let stopping = if busy {
            stop.try_recv() != Err(TryRecvError::Empty)
        } else {
            settle(store);
            stop.recv_timeout(POLL) != Err(RecvTimeoutError::Timeout)
        };
        if stopping || clock().saturating_duration_since(synced) >= SYNC {
            save(store, &mut reader, &mut synced);
        }
        if stopping {
            return;
        }
    }
}

/// Hands new samples to the operating system, so that they survive the end of this process.
fn settle(store: &Mutex<SampleStore>) {
    let mut store = lock(store);
    if let Err(error) = store.flush() {
        store.set_problem(Some(error.to_string()));
    }
}

/// Makes samples and position survive a power cut.
fn save(store: &Mutex<SampleStore>, reader: &mut CsvReader, synced: &mut Instant) {
    let mut store = lock(store);
    if let Err(error) = store.sync() {
        store.set_problem(Some(error.to_string()));
    }
    reader.save_position(&mut store);
    *synced = clock();
}

#[cfg(test)]
mod tests;
