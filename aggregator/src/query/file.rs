//! The file that an operator writes a query in: TOML, no key that is not known.

use dunlin_protocol::id::Name;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::{ChannelQuery, SumsWork, Work};
use dunlin_service::config::Problems;
use serde::{Deserialize, Serialize};

use super::{BODY_BYTES_MAX, DEADLINE_MS_MAX, Query};

/// Longest query file in bytes.
pub const QUERY_BYTES_MAX: u64 = 256 * 1024;

/// A query as it stands in its file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryFile {
    /// Whether to count the windows of each label.
    #[serde(default)]
    pub labels: bool,
    /// Devices wanted; 0 is all that are online, or expected back after an outage.
    #[serde(default)]
    pub devices: u32,
    /// Fewest devices that make an answer; without it, the quorum of training rounds.
    pub quorum: Option<u32>,
    /// How long to wait for devices in seconds.
    pub deadline_s: Option<u64>,
    /// The channels to add up.
    #[serde(default)]
    pub channels: Vec<ChannelFile>,
}

/// One channel of a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelFile {
    /// Its name in the task.
    pub name: String,
    /// Bits behind the point of each value; 12 without it.
    pub fraction_bits: Option<u8>,
    /// Largest magnitude in the channel's unit, values beyond count as this one; 65536 without it.
    pub max_abs: Option<f32>,
    /// Edges of the histogram, rising; none: no histogram.
    #[serde(default)]
    pub edges: Vec<f32>,
}

impl QueryFile {
    /// The query of this name to devices of `task`.
    ///
    /// # Errors
    /// Every problem, by its key.
    pub fn query(&self, name: Name, task: &Task, quorum: u32) -> Result<Query, Problems> {
        let mut problems = Problems::default();
        let mut channels = Vec::new();
        for (place, channel) in self.channels.iter().enumerate() {
            let names = task.input.channels.iter().map(|channel| channel.name.as_str());
            let number = names.clone().position(|name| name == channel.name);
            match number.and_then(|number| u8::try_from(number).ok()) {
                Some(number) => channels.push(ChannelQuery {
                    channel: number,
                    fraction_bits: channel.fraction_bits.unwrap_or(12),
                    max_abs: channel.max_abs.unwrap_or(65_536.0),
                    edges: channel.edges.clone(),
                }),
                None => problems.add(
                    &format!("channels[{place}].name"),
                    format!(
                        "the task has no channel {:?}; it has {}",
                        channel.name,
                        names.collect::<Vec<_>>().join(", ")
                    ),
                ),
            }
        }
        let rule = |work: &SumsWork| match Work::Sums(work.clone()).check() {
            Err(WireError::Invalid(rule)) => Some(rule.to_owned()),
            Err(error) => Some(error.to_string()),
            Ok(()) => None,
        };
        for (place, channel) in channels.iter().enumerate() {
            let alone = SumsWork { labels: true, channels: vec![channel.clone()] };
            if let Some(text) = rule(&alone) {
                problems.add(&format!("channels[{place}]"), text);
            }
        }
        let work = SumsWork { labels: self.labels, channels };
        let unlabelled = self.labels && work.labels(task) == 0;
        problems.add_if(unlabelled, "labels", "the task has no labels");
        let nothing = !self.labels && self.channels.is_empty();
        let text = "nothing is asked for: labels = true, or [[channels]]";
        problems.add_if(nothing, "labels", text);
        if let (true, Some(text)) = (problems.is_empty(), rule(&work)) {
            problems.add("channels", text);
        }
        problems.add_if(self.quorum == Some(0), "quorum", "at least 1 device makes an answer");
        let bytes = Work::Sums(work.clone()).body().map_or(usize::MAX, |body| body.len());
        if bytes > BODY_BYTES_MAX {
            let text = format!(
                "{bytes} bytes of channels and edges, at most {BODY_BYTES_MAX} fit into a plan: ask \
                 in two queries, or with fewer edges"
            );
            problems.add("channels", text);
        }
        let quorum = self.quorum.unwrap_or(quorum).max(1);
        if self.devices > 0 && self.devices < quorum {
            let text = format!("{} device(s) never make a quorum of {quorum}", self.devices);
            problems.add("devices", text);
        }
        let deadline_ms = self.deadline_s.unwrap_or(600).saturating_mul(1000);
        let in_range = (1..=DEADLINE_MS_MAX).contains(&deadline_ms);
        problems.add_if(!in_range, "deadline_s", "from 1 second to a week, 604800");
        problems.or(Query { name, work, devices: self.devices, quorum, deadline_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Query, Problems> {
        let file: QueryFile = toml::from_str(text).unwrap();
        let task = Task::new(crate::example::task(4)).unwrap();
        file.query(crate::example::name("q"), &task, 5)
    }

    #[test]
    fn a_file_becomes_a_query_and_what_it_leaves_out_has_a_value() {
        let query = read("labels = true\n[[channels]]\nname = \"x\"\nedges = [-1, 1]").unwrap();
        let edges = vec![-1.0, 1.0];
        let channel = ChannelQuery { channel: 0, fraction_bits: 12, max_abs: 65_536.0, edges };
        assert_eq!(query.work, SumsWork { labels: true, channels: vec![channel] });
        assert_eq!((query.devices, query.quorum, query.deadline_ms), (0, 5, 600_000));
    }

    #[test]
    fn the_example_is_a_query() {
        let file: QueryFile = toml::from_str(include_str!("../../query.example.toml")).unwrap();
        let mut spec = crate::example::task(4);
        spec.input.channels[0].name = "acc_x".into();
        let second = dunlin_protocol::task::Channel {
            name: "acc_y".into(),
            ..spec.input.channels[0].clone()
        };
        spec.input.channels.push(second);
        let query = file.query(crate::example::name("q"), &Task::new(spec).unwrap(), 4).unwrap();
        assert_eq!((query.quorum, query.work.channels.len()), (4, 2));
    }

    #[test]
    fn every_problem_is_named_by_its_key() {
        let keys = |text: &str| {
            let problems = read(text).unwrap_err();
            problems.into_iter().map(|problem| problem.key).collect::<Vec<_>>()
        };
        assert_eq!(keys(""), ["labels"], "nothing is asked for");
        assert_eq!(keys("labels = true\nquorum = 0"), ["quorum"]);
        let text = "devices = 2\ndeadline_s = 0\n[[channels]]\nname = \"y\"";
        assert_eq!(keys(text), ["channels[0].name", "devices", "deadline_s"]);
        let twice = "[[channels]]\nname = \"x\"\n[[channels]]\nname = \"x\"";
        assert_eq!(keys(twice), ["channels"]);
        for wrong in ["fraction_bits = 25", "max_abs = -1.0", "max_abs = inf", "edges = [1, 0]"] {
            assert_eq!(keys(&format!("[[channels]]\nname = \"x\"\n{wrong}")), ["channels[0]"]);
        }
        assert!(toml::from_str::<QueryFile>("lables = true").is_err());
        let edges: Vec<String> = (0..=255).map(|edge| edge.to_string()).collect();
        let file = |channels: u8| QueryFile {
            channels: (0..channels)
                .map(|n| ChannelFile {
                    name: format!("c{n}"),
                    fraction_bits: None,
                    max_abs: None,
                    edges: edges.iter().map(|edge| edge.parse().unwrap()).collect(),
                })
                .collect(),
            ..QueryFile::default()
        };
        let mut spec = crate::example::task(4);
        let channel = spec.input.channels[0].clone();
        let named = |n| dunlin_protocol::task::Channel { name: format!("c{n}"), ..channel.clone() };
        spec.input.channels = (0..8).map(named).collect();
        let task = Task::new(spec).unwrap();
        let ask = |channels| file(channels).query(crate::example::name("q"), &task, 1);
        assert!(ask(2).is_ok());
        assert!(ask(8).unwrap_err().0[0].text.contains("fit into a plan"));
    }
}
