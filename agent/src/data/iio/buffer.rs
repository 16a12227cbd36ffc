//! Empties the buffer that one device fills in the kernel.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::channel::Conversion;
use super::join::Scan;
use super::plan::{Input, Part};
use super::scan::{Layout, ScanType};
use super::watch::Now;
use super::{rate, sysfs};
use crate::data::config::IioConfig;
use crate::data::live::{POLL, Pace};

/// Bytes that are read at a time.
const PIECE_BYTES: usize = 64 * 1024;
/// Seconds of samples that the kernel should hold.
const BUFFER_S: f64 = 2.0;
/// Range of the scans that it is asked to hold.
const SCANS: std::ops::RangeInclusive<f64> = 64.0..=65_536.0;
/// Time between two looks at the switch while nothing comes.
const LOOK: Duration = Duration::from_secs(1);
/// What is said of a buffer that another program has switched off.
const OFF: &str = "its buffer is off or gone; switching it on again";
/// The channel of a device that has the time of a scan.
const TIMESTAMP: &str = "timestamp";

/// An open device that fills its buffer. Switches the buffer off when it is dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    running: Running,
    file: File,
    scans: Scans,
    piece: Vec<u8>,
    /// How long to wait between two looks.
    pub(super) pause: Duration,
    /// When the switch was looked at last.
    looked: Option<Instant>,
}

/// A buffer that is switched on, until this is dropped.
#[derive(Debug)]
struct Running(PathBuf);

impl Running {
    fn start(enable: PathBuf) -> Result<Self, String> {
        sysfs::write(&enable, "1").map_err(|error| {
            let problem = sysfs::problem(&enable, "switch the buffer on", &error);
            let hint = "where the device has no interrupt of its own, set source.trigger";
            format!("{problem}; {hint}; otherwise set source.mode to \"polled\"")
        })?;
        Ok(Self(enable))
    }

    /// Whether it still is.
    fn holds(&self) -> bool {
        sysfs::read(&self.0).is_ok_and(|text| text == "1")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = sysfs::write(&self.0, "0") {
            log::debug!("{}", sysfs::problem(&self.0, "switch the buffer off", &error));
        }
    }
}

/// Reads scans.
#[derive(Debug)]
struct Scans {
    layout: Layout,
    /// In the order of the device's inputs: place in the layout, and what the value means.
    inputs: Vec<(usize, Conversion)>,
    /// Place of the time in the layout.
    timestamp: Option<usize>,
    pace: Pace,
    /// The beginning of a scan whose end has not come yet.
    partial: Vec<u8>,
}

impl Buffer {
    /// Sets up the device `part` of `config` and switches its buffer on.
    ///
    /// # Errors
    /// What the device lacks or does not take, and what to do.
    pub(super) fn open(config: &IioConfig, part: &Part) -> Result<Self, String> {
        let (input, sampling) = (&config.input, &config.sampling);
        let device = &part.folder;
        let enable = device.join("buffer/enable");
        if !enable.exists() {
            let problem = "is not there: the device has no buffer; set source.mode to \"polled\"";
            return Err(format!("{}: {problem}", enable.display()));
        }
        // A program that was killed may have left it on; then nothing else can be set.
        if let Err(error) = sysfs::write(&enable, "0") {
            log::debug!("{}", sysfs::problem(&enable, "switch the buffer off", &error));
        }
        let trigger = input.trigger.as_ref().map(|name| set_trigger(device, &input.sysfs, name));
        let trigger = trigger.transpose()?;
        // Labels have the time of the wall clock. Old kernels have no other.
        let _ = sysfs::write(&device.join("current_timestamp_clock"), "realtime");
        let names = part.inputs.iter().map(|input| input.name.as_str());
        if sampling.intake.resample {
            let slow = rate::set_at_least(device, trigger.as_deref(), names, sampling.rate_hz);
            slow.map_or(Ok(()), Err)?;
        } else {
            rate::set(device, trigger.as_deref(), names, sampling.rate_hz)?;
        }
        let scans = Scans::set_up(part, sampling.period_ns())?;
        let pause = set_length(device, sampling.rate_hz);
        let node = input.dev.join(device.file_name().unwrap_or_default());
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(&node);
        let file = file.map_err(|error| sysfs::problem(&node, "open", &error))?;
        Ok(Self {
            running: Running::start(enable)?,
            file,
            scans,
            piece: Vec::new(),
            pause,
            looked: None,
        })
    }

    /// Whether scans have the time of the device.
    pub(super) fn has_times(&self) -> bool {
        self.scans.timestamp.is_some()
    }

    /// Gives the scans that are there to `take`; whether there were any bytes.
    ///
    /// # Errors
    /// Why the device must be opened again.
    pub(super) fn read(&mut self, now: Now, take: impl FnMut(Scan)) -> Result<bool, String> {
        self.piece.resize(PIECE_BYTES, 0);
        match self.file.read(&mut self.piece) {
            Ok(0) if self.running.holds() => Ok(false),
            Ok(0) => Err(OFF.to_owned()),
            Ok(count) => {
                self.scans.take(&self.piece[..count], now.wall_us, take);
                Ok(true)
            }
            Err(error) if sysfs::is_gone(&error) => {
                Err("the device went away; waiting for it".to_owned())
            }
            // A device whose buffer was switched off says the same as one that has nothing yet.
            Err(error) if is_nothing(error.kind()) && self.runs(now.steady) => Ok(false),
            Err(error) if is_nothing(error.kind()) => Err(OFF.to_owned()),
            Err(error) => Err(format!("cannot read its buffer: {error}")),
        }
    }

    /// Whether the buffer is on; looks at most once a second.
    fn runs(&mut self, now: Instant) -> bool {
        let due = |at| now.saturating_duration_since(at) >= LOOK;
        if !self.looked.is_none_or(due) {
            return true;
        }
        self.looked = Some(now);
        self.running.holds()
    }
}

/// Whether a read that failed so only had nothing.
fn is_nothing(kind: io::ErrorKind) -> bool {
    kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::Interrupted
}

/// Sets the trigger `name`; its folder.
fn set_trigger(device: &Path, sysfs: &Path, name: &str) -> Result<PathBuf, String> {
    let trigger = sysfs::find(sysfs, "trigger", name)?;
    let title = sysfs::read(&trigger.join("name")).unwrap_or_else(|_| name.to_owned());
    let current = device.join("trigger/current_trigger");
    sysfs::write(&current, &title).map_err(|error| {
        let problem = sysfs::problem(&current, &format!("set {title:?}"), &error);
        format!("{problem}; correct or remove source.trigger")
    })?;
    Ok(trigger)
}

/// Asks the kernel to hold some seconds; how often to look so that nothing is lost.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in the range of SCANS
fn set_length(device: &Path, rate_hz: f64) -> Duration {
    let file = device.join("buffer/length");
    let wanted = (rate_hz * BUFFER_S).clamp(*SCANS.start(), *SCANS.end()) as u32;
    // Devices with a buffer of their own have a fixed length.
    let _ = sysfs::write(&file, &wanted.to_string());
    let length = sysfs::read_number(&file).unwrap_or(f64::from(wanted));
    let quarter = length.clamp(1.0, *SCANS.end()) / rate_hz / 4.0;
    Duration::try_from_secs_f64(quarter).map_or(POLL, |quarter| quarter.min(POLL))
}

impl Scans {
    /// Enables the inputs of the device `part` and its time, and no other channels.
    fn set_up(part: &Part, period_ns: u64) -> Result<Self, String> {
        let folder = part.folder.join("scan_elements");
        let mut inputs: Vec<&Input> = part.inputs.iter().collect();
        let time = Input { name: TIMESTAMP.to_owned(), turned_for: None };
        let has_time = folder.join(format!("in_{TIMESTAMP}_en")).exists();
        if has_time && !inputs.iter().any(|input| input.name == TIMESTAMP) {
            inputs.push(&time);
        }
        let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
        disable_others(&folder, &names)?;
        let elements = inputs.iter().map(|input| element(&folder, input));
        let elements = elements.collect::<Result<Vec<_>, String>>()?;
        let timestamp = names.iter().position(|name| *name == TIMESTAMP);
        if timestamp.is_some_and(|at| !elements[at].1.is_timestamp()) {
            return Err(
                "its timestamp is no signed number of 64 bits; set source.mode to \"polled\""
                    .into(),
            );
        }
        let inputs = part.inputs.iter().enumerate();
        let inputs =
            inputs.map(|(at, input)| Ok((at, Conversion::of_raw(&part.folder, &input.name)?)));
        Ok(Self {
            layout: Layout::new(&elements)?,
            inputs: inputs.collect::<Result<_, String>>()?,
            timestamp,
            pace: Pace::new(period_ns),
            partial: Vec::new(),
        })
    }

    /// Takes the next bytes of the buffer, read at `wall_us` on the wall clock.
    fn take(&mut self, bytes: &[u8], wall_us: i64, mut take: impl FnMut(Scan)) {
        let mut pending = std::mem::take(&mut self.partial);
        pending.extend_from_slice(bytes);
        let scans = pending.chunks_exact(self.layout.bytes());
        self.partial.extend_from_slice(scans.remainder());
        let count = scans.len();
        for (scan, left) in scans.zip((0..count).rev()) {
            take(self.scan(scan, left, wall_us));
        }
    }

    #[allow(clippy::cast_precision_loss)] // values are kept with 32 bits at the most
    fn scan(&mut self, scan: &[u8], left: usize, wall_us: i64) -> Scan {
        let arrival_us = self.pace.next_of(left, wall_us);
        let stamp = self.timestamp.map(|at| self.layout.value(at, scan) / 1000);
        let time_us = stamp.and_then(|us| i64::try_from(us).ok()).unwrap_or(arrival_us);
        let value = |(at, conversion): &(usize, Conversion)| {
            conversion.value(self.layout.value(*at, scan) as f64)
        };
        Scan { time_us, values: self.inputs.iter().map(value).collect() }
    }
}

/// Switches the channels off that another program may have left on.
fn disable_others(folder: &Path, wanted: &[&str]) -> Result<(), String> {
    for entry in sysfs::entries(folder, "in_") {
        let Some(name) = entry.strip_prefix("in_").and_then(|name| name.strip_suffix("_en")) else {
            continue;
        };
        let file = folder.join(&entry);
        if !wanted.contains(&name) && sysfs::read(&file).is_ok_and(|on| on != "0") {
            let written = sysfs::write(&file, "0");
            written.map_err(|error| sysfs::problem(&file, "disable a channel", &error))?;
        }
    }
    Ok(())
}

/// Enables a channel; its index and type.
fn element(folder: &Path, input: &Input) -> Result<(u32, ScanType), String> {
    let name = &input.name;
    let file = |what: &str| folder.join(format!("in_{name}_{what}"));
    let enable = file("en");
    if !enable.exists() {
        let has = sysfs::entries(folder, "in_");
        let has = has.iter().filter_map(|entry| entry.strip_prefix("in_")?.strip_suffix("_en"));
        let has = sysfs::quoted(&has.collect::<Vec<_>>().join(", "));
        let problem = format!("no buffered channel {name:?}; it has: {has}");
        return Err(input.explain(format!("{problem}; correct source.channels")));
    }
    let read = |what| {
        let path = file(what);
        sysfs::read(&path).map_err(|error| sysfs::problem(&path, "read", &error))
    };
    let index = read("index")?;
    let index = index.parse().map_err(|_| {
        format!("{}: {:?} is no index", file("index").display(), sysfs::quoted(&index))
    })?;
    let kind = ScanType::parse(&read("type")?)
        .map_err(|problem| format!("{}: {problem}", file("type").display()))?;
    sysfs::write(&enable, "1").map_err(|error| sysfs::problem(&enable, "enable it", &error))?;
    Ok((index, kind))
}
