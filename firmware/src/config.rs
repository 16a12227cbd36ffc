//! What a device is told when it is made: lines of `key = value` in a page of flash.

use alloc::string::String;
use core::fmt;

use dunlin_protocol::id::{DeviceId, FederationId, Name};

use crate::mqtt::KEEP_ALIVE_S;

/// Where the windows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Invented ones: see [`crate::sensor::Generator`].
    Generator {
        /// Seed of what is this device's own.
        seed: u64,
        /// How many there are, 1 or more.
        windows: u16,
    },
    /// A recording in flash: see [`crate::sensor::Recording`].
    Recording,
}

/// The settings of a device.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its name; also the MQTT client id.
    pub device: DeviceId,
    /// The federation that it belongs to.
    pub federation: FederationId,
    /// First level of all topics.
    pub root: Name,
    /// MQTT user, where it is not the device's name.
    pub username: Option<String>,
    /// MQTT password; `None` where the broker asks for none.
    pub password: Option<String>,
    /// Seconds between keep-alive messages.
    pub keep_alive_s: u16,
    /// Share of the windows of each class that only measures, in percent.
    pub held_back_percent: u8,
    /// Where the windows come from.
    pub source: Source,
}

/// Why the page cannot be used: the line, counted from 1 (0: the whole page), and what is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The line, from 1; 0 for the whole page.
    pub line: usize,
    /// What is wrong with it and what it should be.
    pub what: &'static str,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "configuration page, line {}: {}", self.line, self.what)
    }
}

impl core::error::Error for ConfigError {}

const NAME: &str = "a name has 1 to 64 characters A-Z a-z 0-9 _ -";
const SECONDS: &str = "keep_alive_s is a number from 5 to 1160";
const PERCENT: &str = "held_back_percent is a number from 0 to 90";
const SOURCE: &str = "source is generator or recording";
const NUMBER: &str = "a number is expected";

impl Config {
    /// Reads a page: text up to the first byte that is 0 or 255 (erased flash). Lines that begin
    /// with `#` are comments. `device` and `federation` are required.
    ///
    /// # Errors
    /// [`ConfigError`] names the first line that is wrong.
    pub fn parse(page: &[u8]) -> Result<Self, ConfigError> {
        let whole = |what| ConfigError { line: 0, what };
        let end = page.iter().position(|byte| matches!(byte, 0 | 0xff)).unwrap_or(page.len());
        let text = core::str::from_utf8(&page[..end]).map_err(|_| whole("it is not text"))?;
        let (mut device, mut federation, mut root) = (None, None, None);
        let (mut username, mut password, mut recording) = (None, None, false);
        let (mut keep_alive_s, mut held_back_percent, mut seed, mut windows) = (30, 20, 1, 60);
        for (at, line) in text.lines().enumerate() {
            let fail = |what| ConfigError { line: at + 1, what };
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once('=').ok_or(fail("a line is key = value"))?;
            let (key, value) = (pair.0.trim(), pair.1.trim().trim_matches('"'));
            let name = || Name::new(value).map_err(|_| fail(NAME));
            match key {
                "device" => device = Some(DeviceId::new(value).map_err(|_| fail(NAME))?),
                "federation" => {
                    federation = Some(FederationId::new(value).map_err(|_| fail(NAME))?);
                }
                "root" => root = Some(name()?),
                "username" => username = Some(value.into()),
                "password" => password = Some(value.into()),
                "keep_alive_s" => {
                    keep_alive_s =
                        within(value, KEEP_ALIVE_S.0, KEEP_ALIVE_S.1).ok_or(fail(SECONDS))?
                }
                "held_back_percent" => {
                    held_back_percent = within(value, 0, 90).ok_or(fail(PERCENT))?;
                }
                "source" if value == "recording" => recording = true,
                "source" if value == "generator" => recording = false,
                "source" => return Err(fail(SOURCE)),
                "seed" => seed = within(value, 0, u64::MAX).ok_or(fail(NUMBER))?,
                "windows" => windows = within(value, 1, u16::MAX).ok_or(fail(NUMBER))?,
                _ => return Err(fail("unknown key; see page.example.txt")),
            }
        }
        let root = match root {
            Some(root) => root,
            None => Name::new("dunlin").map_err(|_| whole(NAME))?,
        };
        Ok(Self {
            device: device.ok_or(whole("device = NAME is missing"))?,
            federation: federation.ok_or(whole("federation = NAME is missing"))?,
            root,
            username,
            password,
            keep_alive_s,
            held_back_percent,
            source: if recording { Source::Recording } else { Source::Generator { seed, windows } },
        })
    }
}

fn within<T: core::str::FromStr + PartialOrd>(text: &str, low: T, high: T) -> Option<T> {
    text.parse().ok().filter(|value| *value >= low && *value <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(page: &[u8]) -> ConfigError {
        Config::parse(page).unwrap_err()
    }

    #[test]
    fn a_page_is_read_up_to_erased_flash_and_the_rest_has_its_defaults() {
        let page = b"# lab\ndevice = mcu-1\nfederation=\"lab\"\nseed = 7\n\xff\xff";
        let config = Config::parse(page).unwrap();
        assert_eq!((config.device.as_str(), config.federation.as_str()), ("mcu-1", "lab"));
        assert_eq!((config.root.as_str(), config.keep_alive_s), ("dunlin", 30));
        assert_eq!(config.source, Source::Generator { seed: 7, windows: 60 });
        let page = b"device = a\nfederation = b\nsource = recording";
        assert_eq!(Config::parse(page).unwrap().source, Source::Recording);
    }

    #[test]
    fn the_example_is_a_page() {
        let config = Config::parse(include_bytes!("../page.example.txt")).unwrap();
        assert_eq!(config.source, Source::Generator { seed: 1, windows: 60 });
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(error(b"\xff\xff").what, "device = NAME is missing");
        assert_eq!(error(b"device = a/b"), ConfigError { line: 1, what: NAME });
        assert_eq!(error(b"\nkeep_alive_s = 4"), ConfigError { line: 2, what: SECONDS });
        assert_eq!(error(b"held_back_percent = x").what, PERCENT);
        assert_eq!(error(b"source = socket").what, SOURCE);
        assert_eq!(error(b"device").what, "a line is key = value");
        assert_eq!(error(b"colour = red").line, 1);
        assert_eq!(error(b"\x80\x80").what, "it is not text");
    }
}
