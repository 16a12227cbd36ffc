//! The shape of the configuration file. What is missing keeps its default.

use std::path::PathBuf;

use dunlin_link::BrokerSection;
use dunlin_protocol::id::Name;
use serde::Deserialize;

use crate::settings::{Enrolment, Schedule};

/// A name as it stands in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Named(pub(super) Name);

impl TryFrom<String> for Named {
    type Error = dunlin_protocol::id::NameError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Name::new(&text).map(Self)
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) federation: Named,
    pub(super) instance: Named,
    pub(super) root: Option<Named>,
    /// What `root` was called.
    pub(super) topics_root: Option<Named>,
    pub(super) task: PathBuf,
    pub(super) enrolled: Enrolled,
    pub(super) seed: Option<u64>,
    pub(super) shards: Option<u16>,
    pub(super) broker: BrokerSection,
    #[serde(default)]
    pub(super) store: StoreFile,
    #[serde(default)]
    pub(super) rounds: Rounds,
    #[serde(default)]
    pub(super) training: TrainingFile,
    #[serde(default)]
    pub(super) updates: Updates,
    #[serde(default)]
    pub(super) server: Server,
    #[serde(default)]
    pub(super) downlink: DownlinkFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DownlinkFile {
    pub(super) codec: Option<String>,
    pub(super) anchor_every: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "enrolled is \"any\" or a list of device names")]
pub(super) enum Enrolled {
    Word(String),
    Devices(Vec<String>),
}

impl Enrolled {
    /// The devices, or what is wrong.
    pub(super) fn check(&self) -> Result<Enrolment, String> {
        match self {
            Self::Word(word) if word == "any" => Ok(Enrolment::Any),
            Self::Word(_) => Err("\"any\" or a list of device names".into()),
            Self::Devices(names) => {
                let name = |text: &String| Name::new(text).map_err(|e| format!("{text:?}: {e}"));
                names.iter().map(name).collect::<Result<_, _>>().map(Enrolment::Only)
            }
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreFile {
    pub(super) path: Option<PathBuf>,
    pub(super) commit_interval_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rounds {
    pub(super) count: Option<u32>,
    pub(super) target: Option<u32>,
    pub(super) quorum: Option<u32>,
    pub(super) min_online: Option<u32>,
    pub(super) overselect: Option<f32>,
    pub(super) deadline_s: Option<f64>,
    pub(super) check_in_s: Option<f64>,
    pub(super) claim_wait_s: Option<f64>,
    pub(super) pause_s: Option<f64>,
    pub(super) settle_s: Option<f64>,
    pub(super) evaluate_every: Option<u32>,
    pub(super) evaluate_devices: Option<u32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingFile {
    pub(super) epochs: Option<u16>,
    pub(super) batch: Option<u16>,
    pub(super) learning_rate: Option<f32>,
    pub(super) learning_rate_final: Option<f32>,
    pub(super) schedule: Option<ScheduleWord>,
    pub(super) momentum: Option<f32>,
    pub(super) weight_decay: Option<f32>,
    pub(super) prox: Option<f32>,
    pub(super) label_smoothing: Option<f32>,
    #[serde(default)]
    pub(super) augment: AugmentFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AugmentFile {
    pub(super) rotation: Option<f32>,
    pub(super) gain: Option<f32>,
    pub(super) shift: Option<u16>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ScheduleWord {
    Constant,
    Linear,
    Cosine,
}

impl From<ScheduleWord> for Schedule {
    fn from(word: ScheduleWord) -> Self {
        match word {
            ScheduleWord::Constant => Self::Constant,
            ScheduleWord::Linear => Self::Linear,
            ScheduleWord::Cosine => Self::Cosine,
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Updates {
    pub(super) codec: Option<String>,
    pub(super) budget_bytes: Option<u32>,
    pub(super) clip_norm: Option<f32>,
    pub(super) max_abs: Option<f32>,
    pub(super) examples_max: Option<u32>,
    pub(super) weighting: Option<String>,
    pub(super) weight_cap: Option<u32>,
    pub(super) chunk_kib: Option<u32>,
    pub(super) assembly_mib: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Server {
    pub(super) learning_rate: Option<f32>,
    pub(super) momentum: Option<f32>,
}
