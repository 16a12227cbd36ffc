//! What a link dials with: the configuration, what was last read of its files, and the URL that
//! worked last.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use rumqttc::{MqttOptions, Transport};
use tokio::time::Instant;

use crate::config::{LinkConfig, Will};
use crate::connection;
use crate::error::LinkError;
use crate::section::read_password;
use crate::url::BrokerUrl;

/// A fault that lasts is said again after this.
const SAY_AGAIN: Duration = Duration::from_secs(60);
/// Files up to this size in bytes are compared by what is in them, longer ones by size and time.
const COMPARED_BYTES_MAX: u64 = 64 * 1024;

/// What a link dials with.
///
/// Certificates, key, authority and password file are read for each attempt to connect. What cannot
/// be used (a file that is half written, a new certificate whose key has not come yet) is said once
/// and then once a minute, and what was good before is used meanwhile. Of several URLs it knows the
/// one that worked last. A program that opens one link after the other keeps its dialer; clones
/// share everything.
#[derive(Clone)]
pub struct Dialer(Arc<Shared>);

struct Shared {
    config: LinkConfig,
    kept: Mutex<Kept>,
}

struct Kept {
    material: Material,
    /// When the fault that lasts was said last.
    said: Option<Instant>,
    /// Place of the URL in use.
    at: usize,
}

/// What was read of the files.
#[derive(Clone)]
struct Material {
    password: Option<String>,
    transport: Transport,
    print: u64,
}

impl Dialer {
    /// Checks `config` and reads its files.
    ///
    /// # Errors
    /// A setting out of its range, or a file that cannot be used.
    pub fn new(config: LinkConfig) -> Result<Self, LinkError> {
        config.check()?;
        let material = Material::read(&config, fingerprint(&config))?;
        let kept = Mutex::new(Kept { material, said: None, at: 0 });
        Ok(Self(Arc::new(Shared { config, kept })))
    }

    /// What it was made of.
    pub fn config(&self) -> &LinkConfig {
        &self.0.config
    }

    /// The broker that is dialled now, or to which a connection stands.
    pub fn url(&self) -> &BrokerUrl {
        let at = self.lock().at;
        self.0.config.urls().nth(at).unwrap_or(&self.0.config.url)
    }

    /// No code that holds the lock can panic half-way.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes on to the next URL, after the last to the first.
    pub(crate) fn next_url(&self) {
        let mut kept = self.lock();
        kept.at = (kept.at + 1) % self.0.config.urls().count();
    }

    /// rumqttc's options for the next attempt, with the files as they are now if they can be used.
    pub(crate) fn options(&self, will: Option<&Will>) -> MqttOptions {
        let config = &self.0.config;
        self.refresh();
        let url = self.url();
        let Material { password, transport, .. } = self.lock().material.clone();
        let transport = if url.tls() { transport } else { Transport::Tcp };
        connection::options(config, url, password.as_deref(), transport, will)
    }

    /// Whether the files have changed since they were read last, and can be used.
    pub(crate) fn has_new_files(&self) -> bool {
        self.refresh()
    }

    /// Reads the files where they have changed; whether there is something new.
    fn refresh(&self) -> bool {
        let config = &self.0.config;
        let print = fingerprint(config);
        let mut kept = self.lock();
        if kept.material.print == print {
            if kept.said.take().is_some() {
                log::info!("the files of the connection are as they were before");
            }
            return false;
        }
        match Material::read(config, print) {
            Ok(material) => {
                kept.said = None;
                kept.material = material;
                log::info!("files of the connection have changed; the new ones are used");
                true
            }
            Err(error) => {
                if kept.said.is_none_or(|said| said.elapsed() >= SAY_AGAIN) {
                    log::warn!("{error}; goes on with what was read before, and looks again");
                    kept.said = Some(Instant::now());
                }
                false
            }
        }
    }
}

impl Material {
    /// Reads everything that `config` names.
    fn read(config: &LinkConfig, print: u64) -> Result<Self, LinkError> {
        let password = match &config.password_file {
            Some(path) => Some(read_password(path).map_err(|problem| {
                let path = path.clone();
                LinkError::File { path, problem }
            })?),
            None => config.password.clone(),
        };
        Ok(Self { password, transport: transport(config)?, print })
    }
}

#[cfg(feature = "tls")]
fn transport(config: &LinkConfig) -> Result<Transport, LinkError> {
    if !config.urls().any(BrokerUrl::tls) {
        return Ok(Transport::Tcp);
    }
    let client = crate::tls::of_link(config)?;
    Ok(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(client)))
}

#[cfg(not(feature = "tls"))]
fn transport(config: &LinkConfig) -> Result<Transport, LinkError> {
    if config.urls().any(BrokerUrl::tls) { Err(LinkError::NoTls) } else { Ok(Transport::Tcp) }
}

/// A number that differs once a file has changed.
fn fingerprint(config: &LinkConfig) -> u64 {
    let tls = config.tls.iter().flat_map(|files| [&files.ca, &files.cert, &files.key]);
    let named = tls.flatten().chain(&config.password_file);
    let mut hasher = DefaultHasher::new();
    named.map(PathBuf::as_path).for_each(|path| look_at(path, &mut hasher));
    hasher.finish()
}

fn look_at(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(found) = std::fs::metadata(path) else { return "missing".hash(hasher) };
    found.len().hash(hasher);
    if found.is_file() && found.len() <= COMPARED_BYTES_MAX {
        return std::fs::read(path).unwrap_or_default().hash(hasher);
    }
    let time = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    time.hash(hasher);
}

/// Names the URL in use; no secrets.
impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("config", &self.0.config).field("url", self.url()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_password(path: &Path) -> LinkConfig {
        let mut config = LinkConfig::new("mqtt://h".parse().unwrap(), "wrist-1");
        config.username = Some("wrist-1".into());
        config.password_file = Some(path.to_owned());
        config
    }

    fn password(dialer: &Dialer) -> String {
        dialer.options(None);
        dialer.lock().material.password.clone().unwrap()
    }

    #[test]
    fn a_password_file_is_read_for_each_attempt_and_what_was_good_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "first\n").unwrap();
        let dialer = Dialer::new(with_password(&path)).unwrap();
        assert_eq!(password(&dialer), "first");
        std::fs::write(&path, "").unwrap();
        assert_eq!(password(&dialer), "first", "cut off for a moment");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(password(&dialer), "first", "away for a moment");
        assert!(dialer.lock().said.is_some());
        std::fs::write(&path, "second").unwrap();
        assert_eq!(password(&dialer), "second");
        assert!(dialer.lock().said.is_none());
    }

    #[test]
    fn a_file_that_cannot_be_used_at_the_start_is_an_error_with_its_name() {
        let error = Dialer::new(with_password(Path::new("/nowhere/word"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere/word"), "{error}");
    }

    #[test]
    fn files_are_new_once_after_they_changed_and_not_for_a_new_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "first").unwrap();
        let dialer = Dialer::new(with_password(&path)).unwrap();
        assert!(!dialer.has_new_files());
        std::fs::write(&path, "first").unwrap();
        assert!(!dialer.has_new_files());
        std::fs::write(&path, "other").unwrap();
        assert!(dialer.has_new_files());
        assert!(!dialer.has_new_files());
    }

    #[test]
    fn urls_follow_each_other_round_and_round() {
        let mut config = LinkConfig::new("mqtt://a".parse().unwrap(), "wrist-1");
        config.more_urls = vec!["mqtt://b".parse().unwrap(), "mqtt://c".parse().unwrap()];
        let dialer = Dialer::new(config).unwrap();
        let mut seen = Vec::new();
        for _ in 0..4 {
            seen.push(dialer.url().host().to_owned());
            dialer.next_url();
        }
        assert_eq!(seen, ["a", "b", "c", "a"]);
    }
}
