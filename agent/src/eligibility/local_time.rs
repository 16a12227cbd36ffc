//! The time of day where the device is.

use std::path::{Path, PathBuf};

use dunlin_service::machine::CLOCK_SET_S;
use tz::TimeZone;

use super::files;
use super::hours::UtcOffset;

/// Longest time zone file that is read in bytes.
const ZONE_BYTES_MAX: u64 = 64 * 1024;
/// How long the file is trusted in seconds: a device may travel.
const ZONE_S: i64 = 600;
const DAY_S: i64 = 86_400;

/// Turns the clock into the minute of the local day, by a file like `/etc/localtime`.
pub(super) struct Zone {
    path: PathBuf,
    /// The zone, and when it was read.
    read: Option<(i64, TimeZone)>,
}

impl Zone {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, read: None }
    }

    /// The minute of the day at `unix` seconds since 1970; `None` when the clock is not set. Without
    /// a readable file, the time is UTC.
    pub(super) fn minute(&mut self, unix: i64, offset: Option<UtcOffset>) -> Option<u16> {
        if u64::try_from(unix).unwrap_or(0) < CLOCK_SET_S {
            return None;
        }
        let ahead = offset.map_or_else(|| self.ahead(unix), |offset| offset.seconds);
        let second = unix.saturating_add(i64::from(ahead)).rem_euclid(DAY_S);
        u16::try_from(second / 60).ok()
    }

    /// Seconds that local time is ahead of UTC.
    fn ahead(&mut self, unix: i64) -> i32 {
        let fresh = |at: &i64| (*at..at.saturating_add(ZONE_S)).contains(&unix);
        let known = self.read.take().filter(|(at, _)| fresh(at));
        let (_, zone) = self.read.insert(known.unwrap_or_else(|| (unix, load(&self.path))));
        zone.find_local_time_type(unix).map_or(0, |kind| kind.ut_offset())
    }
}

fn load(path: &Path) -> TimeZone {
    let bytes = files::bytes(path, ZONE_BYTES_MAX);
    let zone = bytes.and_then(|bytes| TimeZone::from_tz_data(&bytes).ok());
    zone.unwrap_or_else(TimeZone::utc)
}
