//! `[inference]` of the configuration.

use std::time::Duration;

use dunlin_protocol::id::{Name, NameError};
use dunlin_protocol::topic::ECHO;
use dunlin_service::config::Problems;
use serde::Deserialize;

use crate::session::InferencePolicy;

/// Longest time that a key may name, in seconds: a year.
const SECONDS_MAX: f64 = 365.0 * 86_400.0;

/// How a device classifies; without the section it does not.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InferenceConfig {
    /// Last level of the topic of results: `dev/{device}/out/{name}`.
    pub name: String,
    /// Least seconds from one look for a window to the next; at least the hop of the task passes.
    #[serde(default = "default_every")]
    pub every_s: f64,
    /// Which results are published.
    #[serde(default)]
    pub on: PublishOn,
    /// Seconds after which a label that stays is published again; 0 never.
    #[serde(default = "default_repeat")]
    pub repeat_s: f64,
    /// Least confidence of a label that is published, 0 to 1.
    #[serde(default)]
    pub min_confidence: f32,
    /// Least seconds between two models that are fetched only to classify with them.
    #[serde(default = "default_fetch_every")]
    pub fetch_every_s: f64,
    /// Share of `link.cap_mb_per_day` that results and models fetched for them may use.
    #[serde(default = "default_cap_share")]
    pub cap_share: f64,
    /// Least seconds between two models written to disk.
    #[serde(default = "default_save_every")]
    pub save_every_s: f64,
}

/// Which results are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum PublishOn {
    /// A label other than the last one, or one that has stayed for a while; all errors.
    #[default]
    Change,
    /// Every result that is sure enough; all errors.
    Always,
}

fn default_every() -> f64 {
    2.0
}

fn default_repeat() -> f64 {
    60.0
}

fn default_fetch_every() -> f64 {
    600.0
}

fn default_cap_share() -> f64 {
    0.2
}

fn default_save_every() -> f64 {
    3600.0
}

fn seconds(value: f64) -> Duration {
    // Nothing outside of the range passes the check.
    Duration::try_from_secs_f64(value).unwrap_or_default()
}

fn milliseconds(value: f64) -> u64 {
    u64::try_from(seconds(value).as_millis()).unwrap_or(u64::MAX)
}

impl InferenceConfig {
    /// Everything that is wrong, with the key and what to write instead.
    pub fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        let name = format!("{:?}", self.name);
        if let Err(error) = Name::new(&self.name) {
            problems.add_value("name", &name, error.to_string());
        }
        if self.name == ECHO {
            problems.add_value("name", &name, "taken; choose another name");
        }
        let mut check = |fits: bool, key: &str, advice: &str| {
            problems.add_if(!fits, key, format!("use {advice}"));
        };
        let long = |value: f64, least: f64| (least..=SECONDS_MAX).contains(&value);
        check(long(self.every_s, 0.05), "every_s", "0.05 to 31536000 seconds, such as 2.0");
        check(long(self.repeat_s, 0.0), "repeat_s", "0 (never) to 31536000 seconds, such as 60");
        let fetch = long(self.fetch_every_s, 1.0);
        check(fetch, "fetch_every_s", "1 to 31536000 seconds, such as 600");
        let save = long(self.save_every_s, 0.0);
        check(save, "save_every_s", "0 to 31536000 seconds, such as 3600: flash wears out");
        let confidence = (0.0..=1.0).contains(&self.min_confidence);
        check(confidence, "min_confidence", "0.0 to 1.0");
        check((0.0..=1.0).contains(&self.cap_share), "cap_share", "a share of 0.0 to 1.0");
        problems.under("inference")
    }

    /// What the session must know; `cap_per_day`: the data cap of the link in bytes.
    ///
    /// # Errors
    /// When the name is not one topic level.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)] // a share of a cap, to the byte or so
    pub fn policy(&self, cap_per_day: Option<u64>) -> Result<InferencePolicy, NameError> {
        Ok(InferencePolicy {
            name: Name::new(&self.name)?,
            fetch_every_ms: milliseconds(self.fetch_every_s),
            cap_per_day: cap_per_day.map(|cap| (cap as f64 * self.cap_share) as u64),
        })
    }

    pub(super) fn every(&self) -> Duration {
        seconds(self.every_s)
    }

    pub(super) fn save_every(&self) -> Duration {
        seconds(self.save_every_s)
    }

    /// Milliseconds after which a label is said again; `None` for never.
    pub(super) fn repeat_ms(&self) -> Option<u64> {
        Some(milliseconds(self.repeat_s)).filter(|ms| *ms > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AgentConfig;

    fn parse(text: &str) -> InferenceConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_name_is_all_that_must_be_said() {
        let config = parse("name = 'activity'");
        assert_eq!(config.problems(), Problems::default());
        assert_eq!((config.on, config.every()), (PublishOn::Change, Duration::from_secs(2)));
        let policy = config.policy(Some(5_000_000)).unwrap();
        assert_eq!(policy.cap_per_day, Some(1_000_000), "rounds keep four fifths");
        assert_eq!((policy.fetch_every_ms, config.repeat_ms()), (600_000, Some(60_000)));
    }

    #[test]
    fn every_problem_is_named_with_its_key() {
        let config = parse(
            "name = 'a/b'\nevery_s = 0.0\nrepeat_s = -1.0\nmin_confidence = 1.5\ncap_share = nan\n\
             fetch_every_s = inf\nsave_every_s = -0.1",
        );
        let problems = config.problems().0;
        let keys = ["name", "every_s", "repeat_s", "fetch_every_s", "save_every_s"];
        for (problem, key) in problems.iter().zip(keys) {
            assert_eq!(problem.key, format!("inference.{key}"), "{problem}");
        }
        assert_eq!(problems.len(), 7, "{problems:?}");
        assert!(toml::from_str::<InferenceConfig>("name = 'a'\nevry_s = 1").is_err());
    }

    #[test]
    fn the_example_shows_every_key_with_its_default() {
        let example = include_str!("../../agent.example.toml");
        let section = example.split("# [inference]\n").nth(1).unwrap();
        let lines = section.lines().take_while(|line| !line.is_empty());
        let keys = lines.filter_map(|line| line.strip_prefix("# ").filter(|l| l.contains(" = ")));
        let keys: Vec<&str> = keys.collect();
        assert_eq!(keys.len(), 8, "{keys:?}");
        assert_eq!(parse(&keys.join("\n")), parse("name = 'activity'"));
    }

    #[test]
    fn the_agents_configuration_has_the_section_and_names_its_problems() {
        let text = |every: &str| {
            format!(
                "device = 'a'\nfederation = 'b'\nstate_dir = 'c'\n\
                 broker = {{ url = 'mqtt://localhost' }}\n\
                 source = {{ kind = 'har', dir = 'd', person = 1 }}\n\
                 inference = {{ name = 'activity', every_s = {every} }}"
            )
        };
        assert!(AgentConfig::parse(&text("5")).unwrap().inference.is_some());
        let problems = AgentConfig::parse(&text("-1")).unwrap_err().0;
        assert!(problems.len() == 1 && problems[0].key == "inference.every_s", "{problems:?}");
    }

    #[test]
    fn never_repeating_is_said_with_zero() {
        assert_eq!(parse("name = 'a'\nrepeat_s = 0").repeat_ms(), None);
    }
}
