//! What an operator decides about a federation.

mod check;

use alloc::collections::BTreeSet;

use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{DeviceId, FederationId, InstanceId, Name};
use dunlin_protocol::limits::CHUNK_BYTES_DEFAULT;
use dunlin_protocol::task::TaskSpec;
use dunlin_protocol::work::Training;

/// Devices that `enrolled = "any"` keeps track of at the most.
pub const DEVICES_MAX: usize = 1 << 20;

/// Which devices may take part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Enrolment {
    /// Every device that the broker lets in; at most [`DEVICES_MAX`] are followed.
    Any,
    /// These and no others.
    Only(BTreeSet<DeviceId>),
}

impl Enrolment {
    /// Whether `device` may take part.
    pub fn admits(&self, device: &DeviceId) -> bool {
        match self {
            Self::Any => true,
            Self::Only(devices) => devices.contains(device),
        }
    }
}

/// How much one device's update counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighting {
    /// Each device once, however many windows it has.
    Equal,
    /// Each by its windows, but no more than `cap`.
    Examples {
        /// Largest weight, 1 or more.
        cap: u32,
    },
}

impl Weighting {
    /// The weight of an update of `examples` windows.
    pub fn weight(self, examples: u32) -> u32 {
        match self {
            Self::Equal => 1,
            Self::Examples { cap } => examples.clamp(1, cap.max(1)),
        }
    }

    /// Largest weight of one update.
    pub fn weight_max(self) -> u32 {
        self.weight(u32::MAX)
    }
}

/// How the learning rate goes from its first to its last value over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Schedule {
    /// It stays as it is.
    Constant,
    /// By equal steps, from round to round.
    Linear,
    /// Half a cosine wave (Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5 without restarts).
    Cosine,
}

/// How devices get new versions of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Downlink {
    /// Each version whole, as `f32`.
    Plain,
    /// Deltas from version to version, and a whole version as `f16` now and then.
    Deltas {
        /// How deltas are written.
        codec: Codec,
        /// Versions from one anchor to the next, 1 to [`ANCHOR_EVERY_MAX`].
        anchor_every: u32,
    },
}

/// Most versions from one anchor to the next: a plan lists the deltas of two such stretches.
pub const ANCHOR_EVERY_MAX: u32 = 7;

/// Versions from one anchor to the next where nobody says otherwise.
pub const ANCHOR_EVERY: u32 = 5;

/// Why versions cannot go down so.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum DownlinkError {
    /// Anchors come too seldom, or never.
    #[error("an anchor every 1 to {ANCHOR_EVERY_MAX} versions")]
    AnchorEvery,
    /// This codec needs what only an update has.
    #[error(
        "{0} cannot write deltas; use f32 for whole models, or int8, ecdq=STEP, eden=BITS or \
         sparse=STEP"
    )]
    Codec(Codec),
}

impl Downlink {
    /// Deltas as `codec` writes them, or whole versions for `f32`.
    ///
    /// # Errors
    /// What cannot write deltas, and what can.
    pub fn new(codec: Codec, anchor_every: u32) -> Result<Self, DownlinkError> {
        if !(1..=ANCHOR_EVERY_MAX).contains(&anchor_every) {
            return Err(DownlinkError::AnchorEvery);
        }
        match codec {
            Codec::F32 => Ok(Self::Plain),
            Codec::EcdqWithin { .. } | Codec::Uniform { .. } => Err(DownlinkError::Codec(codec)),
            Codec::Int8 { .. } | Codec::Ecdq { .. } | Codec::Eden { .. } | Codec::Sparse { .. } => {
                Ok(Self::Deltas { codec, anchor_every })
            }
        }
    }
}

/// Everything that an aggregator is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The federation that it serves.
    pub federation: FederationId,
    /// Its own name: MQTT client id and topic level.
    pub instance: InstanceId,
    /// First level of all topics.
    pub topics_root: Name,
    /// What is learned: channels, layers, labels.
    pub task: TaskSpec,
    /// How devices write updates.
    pub codec: Codec,
    /// How devices get new versions.
    pub downlink: Downlink,
    /// How devices train; its learning rate is that of the first round.
    pub training: Training,
    /// Learning rate of the last round; needs `rounds` above 0 unless the schedule is constant.
    pub learning_rate_final: f32,
    /// How the learning rate gets there.
    pub schedule: Schedule,
    /// Longest update that devices send, as its Euclidean norm. What the codec adds when it is read
    /// counts too, so that one update moves the sum by [`Codec::norm_max`] times its weight at the
    /// most; longer ones are refused.
    pub clip_norm: f32,
    /// Largest magnitude of one coordinate of an update.
    pub max_abs: f32,
    /// Most windows that one update may claim.
    pub examples_max: u32,
    /// How much an update counts.
    pub weighting: Weighting,
    /// Length of the step along the mean update; 1 is plain averaging.
    pub server_learning_rate: f32,
    /// Share of the last step that is kept, 0 to below 1 (FedAvgM: Hsu et al. 2019,
    /// arXiv:1909.06335).
    pub server_momentum: f32,
    /// Updates that a round wants; it closes as soon as it has them.
    pub target: u32,
    /// Fewest updates that make a version.
    pub quorum: u32,
    /// Devices invited for each update wanted, 1 to 16, because some will not finish.
    pub overselect: f32,
    /// Devices that must be available before a round opens: online and not held.
    pub min_online: u32,
    /// How long a round lasts at the most.
    pub deadline_ms: u64,
    /// How often devices that are not always connected should look for work: shorter than a round,
    /// or they miss it.
    pub check_in_ms: u64,
    /// How long to wait for claims before more devices are invited.
    pub claim_wait_ms: u64,
    /// Rest between two training rounds.
    pub pause_ms: u64,
    /// How long to gather presence messages after connecting before a round may open.
    pub settle_ms: u64,
    /// Whether no training round opens: the program only answers.
    pub paused: bool,
    /// Versions to make; 0 is for ever.
    pub rounds: u32,
    /// Evaluate each version whose number this divides; 0 evaluates the last version only.
    pub evaluate_every: u32,
    /// Devices that an evaluation wants; 0 is all that are online.
    pub evaluate_devices: u32,
    /// Shards that updates are spread over.
    pub shards: u16,
    /// The shards that this instance listens to; empty is all of them.
    pub serves: BTreeSet<u16>,
    /// Bytes of each chunk but the last.
    pub chunk_bytes: u32,
    /// Which devices may take part.
    pub enrolled: Enrolment,
    /// Longest time that an accepted update waits for its verdict, so that several share a write.
    pub commit_interval_ms: u64,
    /// Memory for updates that are still arriving, over all devices, in bytes.
    pub assembly_bytes_max: u64,
}

impl Settings {
    /// Settings with the values that `aggregator.example.toml` explains, for a handful of devices,
    /// none enrolled yet.
    pub fn new(federation: FederationId, instance: InstanceId, task: TaskSpec) -> Self {
        let Ok(topics_root) = Name::new("dunlin") else { unreachable!("a constant, valid name") };
        let training = Training { momentum: 0.9, ..Training::sgd(1, 16, 0.05) };
        Self {
            federation,
            instance,
            topics_root,
            task,
            codec: Codec::INT8,
            downlink: Downlink::Plain,
            learning_rate_final: training.learning_rate,
            training,
            schedule: Schedule::Constant,
            clip_norm: 10.0,
            max_abs: 4.0,
            examples_max: 1_000_000,
            weighting: Weighting::Examples { cap: 4096 },
            server_learning_rate: 1.0,
            server_momentum: 0.0,
            target: 8,
            quorum: 4,
            overselect: 1.25,
            min_online: 4,
            deadline_ms: 600_000,
            check_in_ms: 60_000,
            claim_wait_ms: 10_000,
            pause_ms: 1_000,
            settle_ms: 1_000,
            paused: false,
            rounds: 0,
            evaluate_every: 0,
            evaluate_devices: 0,
            shards: 1,
            serves: BTreeSet::new(),
            chunk_bytes: CHUNK_BYTES_DEFAULT,
            enrolled: Enrolment::Only(BTreeSet::new()),
            commit_interval_ms: 250,
            assembly_bytes_max: 256 * 1024 * 1024,
        }
    }

    /// Devices that a training round lets in: the target and its surplus.
    pub fn invited(&self, target: u32) -> u32 {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // `as` saturates
        let invited = libm::ceil(f64::from(target) * f64::from(self.overselect)) as u32;
        invited.max(target)
    }

    /// The shards that this instance listens to.
    pub fn served_shards(&self) -> BTreeSet<u16> {
        if self.serves.is_empty() { (0..self.shards).collect() } else { self.serves.clone() }
    }

    /// The learning rate of the round that makes version number `published + 1`.
    #[allow(clippy::cast_precision_loss)]
    pub fn learning_rate(&self, published: u32) -> f32 {
        let (first, last) = (self.training.learning_rate, self.learning_rate_final);
        let done = published as f32 / self.rounds.saturating_sub(1).max(1) as f32;
        let done = done.min(1.0);
        match self.schedule {
            Schedule::Constant => first,
            Schedule::Linear => first * (1.0 - done) + last * done,
            Schedule::Cosine => {
                last + (first - last) * 0.5 * (1.0 + libm::cosf(core::f32::consts::PI * done))
            }
        }
    }
}
