//! What the machine says of itself, in `sysfs` and `procfs`.

use std::path::PathBuf;
use std::time::Duration;

use super::config::EligibilityConfig;
use super::files;
use super::local_time::Zone;
use super::power::Power;

/// Temperatures beyond these are a broken sensor's, in degrees Celsius.
const PLAUSIBLE_C: std::ops::RangeInclusive<f32> = -100.0..=300.0;
/// The kernel's average of one minute fades by this time.
const LOAD_FADES: Duration = Duration::from_secs(60);

/// Where the files of the system lie.
#[derive(Clone, Debug)]
pub struct Roots {
    /// Where sysfs is mounted, `/sys`.
    pub sys: PathBuf,
    /// Where procfs is mounted, `/proc`.
    pub proc: PathBuf,
    /// The time zone's file, `/etc/localtime`.
    pub localtime: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), localtime: "/etc/localtime".into() }
    }
}

/// The time of day where the device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalTime {
    /// The clock is not set.
    Unset,
    /// The minute of the day, below 1440.
    Minute(u16),
}

/// What the machine says at one moment. Readings that no rule asks for may be missing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readings {
    /// Where the power comes from.
    pub power: Power,
    /// The hottest zone that counts, in degrees Celsius.
    pub temperature_c: Option<f32>,
    /// Whether a zone that was named cannot be read.
    pub zone_lacks: bool,
    /// Average load of one minute for each core, without this program's training.
    pub load: Option<f32>,
    /// Share of ten seconds in which some program waited for a processor, in percent.
    pub cpu_pressure: Option<f32>,
    /// Share of ten seconds in which some program waited for memory, in percent.
    pub memory_pressure: Option<f32>,
    /// Memory that is available in MB.
    pub memory_available_mb: Option<f32>,
    /// Whether the link costs by the byte.
    pub metered: bool,
    /// The time of day.
    pub time: LocalTime,
}

impl Readings {
    /// What `rules` ask for and the machine does not tell, in words for the log.
    pub(super) fn missing(&self, rules: &EligibilityConfig) -> Vec<&'static str> {
        let mut missing = Vec::new();
        let mut add = |is_missing: bool, what| missing.extend(is_missing.then_some(what));
        let asked = rules.temperature_max_c.is_some();
        add(
            asked && self.zone_lacks,
            "temperature_max_c: a zone of thermal_zones gives no temperature; look at \
             /sys/class/thermal/thermal_zone*/type",
        );
        add(
            asked && self.temperature_c.is_none(),
            "temperature_max_c: no thermal zone gives a temperature",
        );
        add(rules.load_max.is_some() && self.load.is_none(), "load_max: no load can be read");
        add(
            rules.cpu_pressure_max_percent.is_some() && self.cpu_pressure.is_none(),
            "cpu_pressure_max_percent: this kernel tells no pressure; use load_max, or boot with psi=1",
        );
        add(
            rules.memory_pressure_max_percent.is_some() && self.memory_pressure.is_none(),
            "memory_pressure_max_percent: this kernel tells no pressure; use \
             memory_available_min_mb, or boot with psi=1",
        );
        add(
            rules.memory_available_min_mb.is_some() && self.memory_available_mb.is_none(),
            "memory_available_min_mb: this kernel does not tell the memory available",
        );
        missing
    }
}

/// Reads what rules ask for.
pub(super) struct Probe {
    roots: Roots,
    zone: Zone,
}

impl Probe {
    pub(super) fn new(roots: Roots) -> Self {
        let zone = Zone::new(roots.localtime.clone());
        Self { roots, zone }
    }

    /// What the machine says at `unix` seconds since 1970. Opens only files that `rules` ask for.
    /// `own` is taken off the load.
    pub(super) fn read(&mut self, rules: &EligibilityConfig, unix: i64, own: OwnLoad) -> Readings {
        let supplies = self.roots.sys.join("class/power_supply");
        let power = if rules.asks_power() { Power::read(&supplies) } else { Power::MAINS };
        let asked = rules.temperature_max_c.is_some();
        let (temperature_c, zone_lacks) =
            if asked { self.temperature(&rules.thermal_zones) } else { (None, false) };
        let timed = !rules.hours.is_empty();
        let minute = if timed { self.zone.minute(unix, rules.utc_offset) } else { None };
        Readings {
            power,
            temperature_c,
            zone_lacks,
            load: rules.load_max.and_then(|_| self.load(own)),
            cpu_pressure: rules.cpu_pressure_max_percent.and_then(|_| self.pressure("cpu")),
            memory_pressure: rules
                .memory_pressure_max_percent
                .and_then(|_| self.pressure("memory")),
            memory_available_mb: rules.memory_available_min_mb.and_then(|_| self.available_mb()),
            metered: rules.not_when_metered && is_set(&rules.metered_flag),
            time: minute.map_or(LocalTime::Unset, LocalTime::Minute),
        }
    }

    /// The hottest of the zones of these types, of all when there are none, and whether one of them
    /// gives no temperature.
    fn temperature(&self, types: &[String]) -> (Option<f32>, bool) {
        let mut hottest: Option<f32> = None;
        let mut read: Vec<String> = Vec::new();
        for zone in files::entries(&self.roots.sys.join("class/thermal")) {
            let named = files::word(&zone.join("type")).unwrap_or_default();
            if !types.is_empty() && !types.contains(&named) {
                continue;
            }
            let degrees = files::number(&zone.join("temp")).map(|millis| millis / 1000.0);
            if let Some(degrees) = degrees.filter(|degrees| PLAUSIBLE_C.contains(degrees)) {
                hottest = Some(hottest.map_or(degrees, |most| most.max(degrees)));
                read.push(named);
            }
        }
        (hottest, types.iter().any(|name| !read.contains(name)))
    }

    fn load(&self, own: OwnLoad) -> Option<f32> {
        let text = files::text(&self.roots.proc.join("loadavg"))?;
        let load = amount(text.split_whitespace().next()?)?;
        let online = files::word(&self.roots.sys.join("devices/system/cpu/online"));
        Some(own.taken_off(load) / cores(&online.unwrap_or_default()))
    }

    fn pressure(&self, of: &str) -> Option<f32> {
        let text = files::text(&self.roots.proc.join("pressure").join(of))?;
        let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
        amount(some.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?)
    }

    fn available_mb(&self) -> Option<f32> {
        let text = files::text(&self.roots.proc.join("meminfo"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        amount(line.trim().strip_suffix("kB")?.trim()).map(|kib| kib * 1024.0 / 1e6)
    }
}

/// A finite number that is not below 0.
fn amount(text: &str) -> Option<f32> {
    text.parse().ok().filter(|number: &f32| number.is_finite() && *number >= 0.0)
}

/// Processors in a list such as `0-3,5`; one where it cannot be read.
fn cores(list: &str) -> f32 {
    let counts = list.split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<u16>().ok()?, last.trim().parse::<u16>().ok()?);
        Some(f32::from(last.checked_sub(first)?) + 1.0)
    });
    counts.sum::<Option<f32>>().unwrap_or(1.0).max(1.0)
}

/// Whether the flag file is there and does not say no. One that cannot be read is there.
fn is_set(flag: &std::path::Path) -> bool {
    let word = files::word(flag).unwrap_or_default().to_lowercase();
    flag.exists() && !matches!(word.as_str(), "0" | "no" | "false")
}

/// How much of the average load is this program's training, which keeps one core busy: it comes and
/// fades as the kernel's average does.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OwnLoad {
    share: f32,
}

impl OwnLoad {
    /// `span` has passed with the trainer at work or not.
    pub(super) fn pass(&mut self, span: Duration, training: bool) {
        let kept = (-span.as_secs_f32() / LOAD_FADES.as_secs_f32()).exp();
        let now = if training { 1.0 } else { 0.0 };
        self.share = self.share * kept + now * (1.0 - kept);
    }

    /// The machine's load without it; at least 0.
    fn taken_off(self, load: f32) -> f32 {
        (load - self.share).max(0.0)
    }
}
