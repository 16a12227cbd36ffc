//! Which of several topics is meant.

use std::fs;
use std::path::{Path, PathBuf};

use dunlin_service::file::{Durability, replace};

use crate::data::files::TOPIC;

/// Longest topic in bytes.
const TOPIC_BYTES_MAX: u64 = 65_535;

/// Whether the topic filter `filter` lets `topic` in, by the rules of MQTT 3.1.1, 4.7.
pub(in crate::data) fn covers(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            (_, _) => return false,
        }
    }
    levels.next().is_none()
}

/// Keeps to the first topic that had all channels, also after a restart: the samples of the ring are
/// those of one sensor.
#[derive(Debug)]
pub(super) struct OneTopic {
    kept: Option<String>,
    file: PathBuf,
}

impl OneTopic {
    /// Keeps to the topic that was kept to before in `state_dir`, if `filter` still lets it in.
    pub(super) fn open(filter: &str, state_dir: &Path) -> Self {
        let file = state_dir.join(TOPIC);
        let short = fs::metadata(&file).is_ok_and(|data| data.len() <= TOPIC_BYTES_MAX);
        let kept = short.then(|| fs::read_to_string(&file).ok()).flatten();
        Self { kept: kept.filter(|topic| covers(filter, topic)), file }
    }

    /// The other topic that is kept to, where that is not `topic`.
    pub(super) fn instead_of(&self, topic: &str) -> Option<&str> {
        self.kept.as_deref().filter(|kept| *kept != topic)
    }

    /// Keeps to `topic`, which has all channels, if to none yet.
    pub(super) fn keep(&mut self, topic: &str) {
        if self.kept.is_none() {
            log::info!("samples come from {topic}, and from no other topic from now on");
            if let Err(error) = replace(&self.file, topic.as_bytes(), Durability::PowerCut) {
                log::warn!("{}: cannot write: {error}", self.file.display());
            }
            self.kept = Some(topic.to_owned());
        }
    }

    /// Whether a topic is kept to.
    pub(super) fn is_known(&self) -> bool {
        self.kept.is_some()
    }

    /// The topic that is kept to.
    pub(super) fn kept(&self) -> Option<&str> {
        self.kept.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_cover_topics_as_mqtt_says() {
        for (filter, topic) in
            [("a/b", "a/b"), ("a/+", "a/b"), ("#", "a/b"), ("a/#", "a"), ("+/+", "/b"), ("+", "a")]
        {
            assert!(covers(filter, topic), "{filter} {topic}");
        }
        for (filter, topic) in [
            ("a/b", "a"),
            ("a", "a/b"),
            ("a/+", "a"),
            ("+", "a/b"),
            ("#", "$SYS/a"),
            ("+/a", "$S/a"),
        ] {
            assert!(!covers(filter, topic), "{filter} {topic}");
        }
    }

    #[test]
    fn the_first_topic_stays_the_one_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut topics = OneTopic::open("home/+", dir.path());
        assert_eq!((topics.instead_of("home/living"), topics.is_known()), (None, false));
        topics.keep("home/living");
        topics.keep("home/fridge");
        assert_eq!(topics.instead_of("home/fridge"), Some("home/living"));
        let topics = OneTopic::open("home/+", dir.path());
        assert_eq!(topics.instead_of("home/fridge"), Some("home/living"));
        assert_eq!(topics.instead_of("home/living"), None);
        assert!(!OneTopic::open("cellar/+", dir.path()).is_known(), "another filter begins anew");
    }
}
