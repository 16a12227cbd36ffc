//! The configuration file: TOML, no key that is not known, every problem named by its key.

use std::path::{Path, PathBuf};

use dunlin_link::LinkConfig;
use dunlin_protocol::codec::Codec;
use dunlin_protocol::limits::TASK_BYTES_MAX;
use dunlin_protocol::task::TaskSpec;
use dunlin_service::config::{ConfigError, Problem, Problems, read, read_file};

use crate::settings::{ANCHOR_EVERY, Downlink, Schedule, Settings, Weighting};

mod file;

use file::File;

/// Longest configuration file in bytes: room for a hundred thousand device names.
const CONFIG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Everything that the program is told.
#[derive(Clone, Debug)]
pub struct Config {
    /// The federation and its rounds.
    pub settings: Settings,
    /// The broker, without the last will.
    pub broker: LinkConfig,
    /// The file of the store; made where there is none.
    pub store: PathBuf,
    /// Makes lineage and first model repeatable; for trials only.
    pub seed: Option<u64>,
    /// The operator's word, by digest, that the store's model goes on with the configured task though
    /// that gives its numbers another meaning; from the command line, never from the file.
    pub adopt_task: Option<String>,
}

impl Config {
    /// Reads and checks the file at `path`, its drop-ins and the files that it names; their paths
    /// are relative to its folder.
    ///
    /// # Errors
    /// [`ConfigError`] names every problem that it finds, by its key.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file: File = read(path, CONFIG_BYTES_MAX)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        file.check(path, folder)
    }
}

/// Reads a task file.
///
/// # Errors
/// [`ConfigError`] when it cannot be read or is no task.
pub fn read_task(path: &Path) -> Result<TaskSpec, ConfigError> {
    let task_bytes_max = u64::try_from(TASK_BYTES_MAX).unwrap_or(u64::MAX);
    Ok(read_file(path, task_bytes_max)?)
}

impl File {
    fn check(self, path: &Path, folder: &Path) -> Result<Config, ConfigError> {
        let task = read_task(&folder.join(&self.task))?;
        let mut problems = Problems::default();
        let mut settings = Settings::new(self.federation.clone().0, self.instance.clone().0, task);
        if let Some(root) = self.root.as_ref().or(self.topics_root.as_ref()) {
            settings.topics_root = root.0.clone();
        }
        self.apply(&mut settings, &mut problems);
        // A value that could not be read kept its default, which may not fit the others.
        let unknown = |found: &Problem| problems.0.iter().all(|known| known.key != found.key);
        let found: Vec<Problem> = settings.problems().into_iter().filter(unknown).collect();
        problems.extend(found);
        let broker = self.broker.beside(folder).link(self.instance.0.as_str());
        let broker = broker.map_err(|found| problems.extend(Problems::of_section("broker", found)));
        let store = folder.join(self.store.path.as_deref().unwrap_or(Path::new("aggregator.redb")));
        match broker {
            Ok(broker) if problems.is_empty() => {
                Ok(Config { settings, broker, store, seed: self.seed, adopt_task: None })
            }
            Ok(_) | Err(()) => Err(problems.in_file(path)),
        }
    }

    /// How updates and versions are written.
    fn apply_codecs(&self, settings: &mut Settings, problems: &mut Problems) {
        let updates = &self.updates;
        match updates.codec.as_deref().map(str::parse::<Codec>) {
            Some(Ok(codec)) => settings.codec = codec,
            Some(Err(error)) => problems.add("updates.codec", error.to_string()),
            None => {}
        }
        match updates.budget_bytes.map(Codec::within_message) {
            Some(_) if updates.codec.is_some() => {
                problems.add("updates.budget_bytes", "give this or `codec`, not both");
            }
            Some(Some(codec)) => settings.codec = codec,
            Some(None) => problems.add("updates.budget_bytes", "more than the 64 bytes of framing"),
            None => {}
        }
        let downlink = &self.downlink;
        let every = downlink.anchor_every.unwrap_or(ANCHOR_EVERY);
        match downlink.codec.as_deref().map(str::parse::<Codec>) {
            Some(Ok(codec)) => match Downlink::new(codec, every) {
                Ok(downlink) => settings.downlink = downlink,
                Err(error) => problems.add("downlink", error.to_string()),
            },
            Some(Err(error)) => problems.add("downlink.codec", error.to_string()),
            None => {}
        }
    }

    /// Puts everything that the file says over the defaults.
    fn apply(&self, settings: &mut Settings, problems: &mut Problems) {
        match self.enrolled.check() {
            Ok(enrolled) => settings.enrolled = enrolled,
            Err(text) => problems.add("enrolled", text),
        }
        put(&mut settings.shards, self.shards);
        self.apply_rounds(settings);
        let training = &self.training;
        let target = &mut settings.training;
        put(&mut target.epochs, training.epochs);
        put(&mut target.batch, training.batch);
        put(&mut target.learning_rate, training.learning_rate);
        put(&mut target.momentum, training.momentum);
        put(&mut target.weight_decay, training.weight_decay);
        put(&mut target.prox, training.prox);
        put(&mut target.label_smoothing, training.label_smoothing);
        put(&mut target.augment.rotation, training.augment.rotation);
        put(&mut target.augment.gain, training.augment.gain);
        put(&mut target.augment.shift, training.augment.shift);
        let last = training.learning_rate_final.unwrap_or(target.learning_rate);
        settings.learning_rate_final = last;
        put(&mut settings.schedule, training.schedule.map(Schedule::from));
        self.apply_codecs(settings, problems);
        let updates = &self.updates;
        put(&mut settings.clip_norm, updates.clip_norm);
        put(&mut settings.max_abs, updates.max_abs);
        put(&mut settings.examples_max, updates.examples_max);
        put(&mut settings.chunk_bytes, updates.chunk_kib.map(|kib| kib.saturating_mul(1024)));
        let assembly = updates.assembly_mib.map(|mib| mib.saturating_mul(1024 * 1024));
        put(&mut settings.assembly_bytes_max, assembly);
        match (updates.weighting.as_deref(), updates.weight_cap) {
            (None | Some("examples"), Some(0)) => problems.add("updates.weight_cap", "1 or more"),
            (None, None) => {}
            (None | Some("examples"), cap) => {
                settings.weighting = Weighting::Examples { cap: cap.unwrap_or(4096) };
            }
            (Some("equal"), None) => settings.weighting = Weighting::Equal,
            (Some("equal"), Some(_)) => {
                problems.add("updates.weight_cap", "only with weighting = \"examples\"");
            }
            (Some(_), _) => problems.add("updates.weighting", "\"equal\" or \"examples\""),
        }
        put(&mut settings.server_learning_rate, self.server.learning_rate);
        put(&mut settings.server_momentum, self.server.momentum);
        put(&mut settings.commit_interval_ms, self.store.commit_interval_ms);
    }

    fn apply_rounds(&self, settings: &mut Settings) {
        let rounds = &self.rounds;
        let ms = |seconds: Option<f64>| {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
            seconds.map(|seconds| (seconds * 1000.0).round() as u64)
        };
        put(&mut settings.rounds, rounds.count);
        put(&mut settings.target, rounds.target);
        settings.quorum = rounds.quorum.unwrap_or(settings.target.div_ceil(2));
        settings.min_online = rounds.min_online.unwrap_or(settings.quorum);
        put(&mut settings.overselect, rounds.overselect);
        put(&mut settings.deadline_ms, ms(rounds.deadline_s));
        put(&mut settings.check_in_ms, ms(rounds.check_in_s));
        put(&mut settings.claim_wait_ms, ms(rounds.claim_wait_s));
        put(&mut settings.pause_ms, ms(rounds.pause_s));
        put(&mut settings.settle_ms, ms(rounds.settle_s));
        put(&mut settings.evaluate_every, rounds.evaluate_every);
        put(&mut settings.evaluate_devices, rounds.evaluate_devices);
    }
}

fn put<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

#[cfg(test)]
mod tests;
