//! A small task and its settings for the tests of this crate.

use dunlin_protocol::codec::Codec;
use dunlin_protocol::id::{Lineage, Name};
use dunlin_protocol::task::{Channel, Features, Input, Layer, Op, Rate, Share, Target, TaskSpec};

use crate::settings::{Enrolment, Settings, Weighting};

pub(crate) const LINEAGE: Lineage = Lineage([7; 16]);

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// One channel, one dense layer, two classes: `2 * window + 2` parameters.
pub(crate) fn task(window: u16) -> TaskSpec {
    let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
    TaskSpec {
        name: name("toy"),
        input: Input { channels: vec![channel], rate: Rate::from_millihertz(1000), window, hop: 1 },
        features: Features::Raw,
        layers: vec![Layer { op: Op::Dense { out: 2 }, share: Share::Shared }],
        target: Target::Classes(vec!["rest".into(), "walk".into()]),
    }
}

/// Three devices `d0..d2`, all wanted, exact codec, short waits.
pub(crate) fn settings() -> Settings {
    let mut settings = Settings::new(name("gait"), name("agg-1"), task(4));
    settings.enrolled = Enrolment::Only((0..3).map(|i| name(&format!("d{i}"))).collect());
    settings.codec = Codec::F32;
    settings.weighting = Weighting::Examples { cap: 100 };
    (settings.target, settings.quorum, settings.min_online) = (3, 2, 3);
    (settings.overselect, settings.settle_ms, settings.pause_ms) = (1.0, 100, 500);
    (settings.claim_wait_ms, settings.deadline_ms) = (2_000, 60_000);
    settings.chunk_bytes = 4096;
    settings
}
