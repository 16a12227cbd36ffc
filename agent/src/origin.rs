//! Whose state and samples a state directory has: noted at each start, so that another device or
//! another input on the same directory is told and not only mixed.

use std::fs;
use std::path::{Path, PathBuf};

use dunlin_service::file::{Durability, replace};

use crate::config::AgentConfig;

const FILE: &str = "agent.origin";
/// Longest such file in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// A device and where its samples come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    device: String,
    source: String,
    has_samples: bool,
    state_dir: PathBuf,
}

impl Origin {
    /// What `config` says.
    pub fn of(config: &AgentConfig) -> Self {
        let state_dir = config.state_dir.clone();
        let source = config.source.origin().replace(['\n', '\r'], " ");
        let has_samples = config.source.has_samples(&state_dir);
        Self { device: config.device.clone(), source, has_samples, state_dir }
    }

    /// What is another than at the last start, and what follows; nothing where nobody noted it.
    pub fn changes(&self) -> Vec<String> {
        let path = self.path();
        let short = fs::metadata(&path).is_ok_and(|data| data.len() <= BYTES_MAX);
        let text = short.then(|| fs::read_to_string(&path).ok()).flatten().unwrap_or_default();
        let before = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        let dir = self.state_dir.display();
        let mut changes = Vec::new();
        if let Some(device) = before("device = ").filter(|device| *device != self.device) {
            changes.push(format!(
                "{dir} was the state of {device} until now, and is that of {now} now: an update on its \
                 way, layers of its own and samples go on under the new name; unless the device was \
                 renamed, give {now} a state_dir of its own",
                now = self.device
            ));
        }
        let source = before("source = ").filter(|source| *source != self.source);
        if let Some(source) = source.filter(|_| self.has_samples) {
            changes.push(format!(
                "the samples in {dir} came from {source}; those of {now} are added to them, of a file \
                 with times only those that are newer; to begin anew with {now} alone: dunlin-agent \
                 data reset",
                now = self.source
            ));
        }
        changes
    }

    /// Notes it for the next start.
    pub fn note(&self) {
        let (path, text) =
            (self.path(), format!("device = {}\nsource = {}\n", self.device, self.source));
        if fs::read_to_string(&path).is_ok_and(|known| known == text) {
            return;
        }
        // It only helps people.
        if let Err(error) = replace(&path, text.as_bytes(), Durability::PowerCut) {
            log::warn!("{}: cannot write: {error}", path.display());
        }
    }

    fn path(&self) -> PathBuf {
        Path::join(&self.state_dir, FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(dir: &Path, device: &str, file: &str) -> Origin {
        let text = format!(
            "device = '{device}'\nfederation = 'gait'\nstate_dir = '{0}'\n\
             broker = {{ url = 'mqtt://localhost' }}\n[source]\nkind = 'csv'\npath = '{file}'\n\
             rate_hz = 50.0\nchannels = {{ x = 'ax' }}\n",
            dir.display()
        );
        Origin::of(&AgentConfig::parse(&text).unwrap())
    }

    #[test]
    fn another_device_or_input_on_the_same_directory_is_told_until_it_is_noted() {
        let dir = tempfile::tempdir().unwrap();
        let first = || origin(dir.path(), "wrist-1", "a.csv");
        assert_eq!(first().changes(), [""; 0], "nobody noted anything");
        first().note();
        assert_eq!(first().changes(), [""; 0]);
        let other = || origin(dir.path(), "wrist-2", "b.csv");
        let told = other().changes();
        assert_eq!(told.len(), 1, "there are no samples: {told:?}");
        assert!(told[0].contains("state of wrist-1 until now"), "{told:?}");
        fs::write(dir.path().join("samples.ring"), "").unwrap();
        let told = other().changes();
        assert!(told[1].contains("came from a.csv; those of b.csv"), "{told:?}");
        assert!(told[1].contains("data reset"), "{told:?}");
        other().note();
        assert_eq!(other().changes(), [""; 0]);
        fs::write(dir.path().join(FILE), [0xff; 100]).unwrap();
        assert_eq!(first().changes(), [""; 0], "rubbish says nothing");
    }
}
