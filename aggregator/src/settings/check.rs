//! The rules that settings keep.

use alloc::format;
use alloc::string::{String, ToString};
use dunlin_protocol::codec::Codec;
use dunlin_protocol::limits::{
    BATCH_MAX, CHUNK_BYTES_MAX, CHUNK_BYTES_MIN, EPOCHS_MAX, SHARDS_MAX,
};
use dunlin_protocol::report::FRAMING_BYTES;
use dunlin_protocol::wire::Message;
use dunlin_service::problems::Problems;

use super::{DEVICES_MAX, Enrolment, Schedule, Settings};
use crate::combine::{Scale, UPDATES_MAX};

/// Largest learning rate, of devices and of the server. Values are scaled to a few units, where steps
/// ten times the gradient never settle: more is a slip of the pen.
const RATE_MAX: f32 = 10.0;
/// Strongest pull of weights towards zero or the base version, for the same reason.
const PULL_MAX: f32 = 100.0;

impl Settings {
    /// Everything that is wrong, by the keys of the configuration file; empty when all is well.
    pub fn problems(&self) -> Problems {
        let mut found = Found::default();
        self.check_learning(&mut found);
        self.check_budget(&mut found);
        self.check_rounds(&mut found);
        self.check_transport(&mut found);
        found.0
    }

    fn check_learning(&self, found: &mut Found) {
        let rate = |x: f32| x > 0.0 && x <= RATE_MAX;
        let pull = |x: f32| (0.0..=PULL_MAX).contains(&x);
        let share = |x: f32| (0.0..1.0).contains(&x);
        let bound = |x: f32| x.is_finite() && x > 0.0;
        let training = &self.training;
        if let Err(error) = self.task.check() {
            let shape = self.task.layout().err();
            let text = shape.map_or_else(|| error.to_string(), |shape| shape.to_string());
            found.add("task", text);
        }
        found.unless((1..=EPOCHS_MAX).contains(&training.epochs), "training.epochs", "1 to 1000");
        found.unless((1..=BATCH_MAX).contains(&training.batch), "training.batch", "1 to 1024");
        let learning_rate = training.learning_rate;
        let rates = format!("above 0, at most {RATE_MAX}: with longer steps training diverges");
        found.unless(rate(learning_rate), "training.learning_rate", &rates);
        let last = self.learning_rate_final;
        found.unless(last == 0.0 || rate(last), "training.learning_rate_final", "0 to 10");
        if self.schedule != Schedule::Constant && self.rounds == 0 {
            let text = "a schedule needs rounds.count above 0, or set it to \"constant\"";
            found.add("training.schedule", text.into());
        }
        found.unless(share(training.momentum), "training.momentum", "from 0 to below 1");
        found.unless(pull(training.weight_decay), "training.weight_decay", "0 to 100");
        found.unless(pull(training.prox), "training.prox", "0 to 100");
        let smoothing = training.label_smoothing;
        found.unless(share(smoothing), "training.label_smoothing", "from 0 to below 1");
        let rotation = training.augment.rotation;
        let turns = rotation.is_finite() && rotation >= 0.0;
        found.unless(turns, "training.augment.rotation", "radians, 0 or more");
        found.unless(share(training.augment.gain), "training.augment.gain", "from 0 to below 1");
        found.unless(bound(self.clip_norm), "updates.clip_norm", "a finite number above 0");
        found.unless(bound(self.max_abs), "updates.max_abs", "a finite number above 0");
        found.unless(self.examples_max > 0, "updates.examples_max", "1 or more");
        found.unless(self.weighting.weight_max() > 0, "updates.weight_cap", "1 or more");
        found.unless(rate(self.server_learning_rate), "server.learning_rate", &rates);
        found.unless(share(self.server_momentum), "server.momentum", "from 0 to below 1");
        if bound(self.max_abs) && (1..=UPDATES_MAX).contains(&self.target) {
            let weight_max = self.weighting.weight_max();
            if let Err(error) = Scale::new(self.max_abs, weight_max, self.target) {
                found.add("updates.max_abs", error.to_string());
            }
        }
    }

    fn check_rounds(&self, found: &mut Found) {
        let target = self.target;
        found.unless((1..=UPDATES_MAX).contains(&target), "rounds.target", "1 to 1048576");
        found.unless((1..=target).contains(&self.quorum), "rounds.quorum", "from 1 to the target");
        let overselect = self.overselect;
        found.unless((1.0..=16.0).contains(&overselect), "rounds.overselect", "from 1 to 16");
        let online = self.min_online >= self.quorum;
        found.unless(online, "rounds.min_online", "the quorum or more, else no round can succeed");
        found.unless(self.deadline_ms >= 1000, "rounds.deadline_s", "1 second or more");
        let check_in = (1_000..=u64::from(u32::MAX)).contains(&self.check_in_ms);
        found.unless(check_in, "rounds.check_in_s", "1 second to 49 days");
        let claims = self.claim_wait_ms > 0 && self.claim_wait_ms <= self.deadline_ms;
        found.unless(claims, "rounds.claim_wait_s", "above 0, and no more than the deadline");
        if let Enrolment::Only(devices) = &self.enrolled {
            if devices.is_empty() {
                let text = "no device may take part: list devices, or say \"any\" to let every \
                            device in that the broker lets in";
                found.add("enrolled", text.into());
            } else if u32::try_from(devices.len()).is_ok_and(|n| n < self.min_online) {
                let text = format!("{} devices, rounds.min_online asks for more", devices.len());
                found.add("enrolled", text);
            }
            found.unless(
                devices.len() <= DEVICES_MAX,
                "enrolled",
                &format!("at most {DEVICES_MAX} devices"),
            );
        }
    }

    /// Whether the coarsest step, a fifth of a bit a coordinate, fits into a byte budget.
    fn check_budget(&self, found: &mut Found) {
        let (Codec::EcdqWithin { bytes }, Ok(layout)) = (self.codec, self.task.layout()) else {
            return;
        };
        let least = u32::try_from(layout.n_update() / 40 + 16).unwrap_or(u32::MAX);
        if bytes < least {
            let least = least.saturating_add(FRAMING_BYTES);
            found.add("updates.budget_bytes", format!("{least} or more for this model"));
        }
    }

    fn check_transport(&self, found: &mut Found) {
        let shards = self.shards;
        found.unless((1..=SHARDS_MAX).contains(&shards), "shards", "1 to 1024");
        let served = self.serves.iter().all(|shard| *shard < shards);
        found.unless(served, "serves", "numbers from 0 to below the number of shards");
        let chunk = (CHUNK_BYTES_MIN..=CHUNK_BYTES_MAX).contains(&self.chunk_bytes)
            && self.chunk_bytes.is_multiple_of(1024);
        found.unless(chunk, "updates.chunk_kib", "4 to 120 KiB");
        found.unless(self.commit_interval_ms <= 60_000, "store.commit_interval_ms", "0 to 60000");
        let room = self.assembly_bytes_max >= 1024 * 1024;
        found.unless(room, "updates.assembly_mib", "1 MiB or more");
    }
}

/// Problems found so far.
#[derive(Default)]
struct Found(Problems);

impl Found {
    fn add(&mut self, key: &str, text: String) {
        self.0.add(key, text);
    }

    fn unless(&mut self, ok: bool, key: &str, allowed: &str) {
        if !ok {
            self.add(key, format!("allowed is {allowed}"));
        }
    }
}
