//! A device with a sensor of its own: a pendulum that somebody lets swing every now and then.
//!
//! The sensor says how samples are read. The ring on disk, the cutting into windows, labels by file and
//! the training by Burn are those of the shipped agent. With a broker and the aggregator's example
//! `in_process`, which asks for a model that tells swinging from resting:
//!
//! ```sh
//! cargo run --example in_process -- mqtt://localhost
//! cargo run --example own_sensor -- mqtt://localhost
//! ```

use std::{collections::BTreeMap, error::Error, path::Path, sync::Mutex};

use dunlin_agent::data::live::{LiveSource, SampleReader, lock, wall_us};
use dunlin_agent::data::{config::Sampling, store::SampleStore};
use dunlin_agent::driver::{self, Parts, Remote};
use dunlin_agent::{ports::LinkConfig, session::Settings, store::FileStore, trainer::BurnTrainer};
use dunlin_protocol::id::Name;

struct Pendulum(i64); // the time of its next sample, in microseconds since 1970

impl SampleReader for Pendulum {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        if self.0 > wall_us() {
            return false; // asked again a fifth of a second later
        }
        let rests = self.0 / 10_000_000 % 2 == 0;
        let angle = if rests { 0.0 } else { ((self.0 % 1_000_000) as f32 * 6.28e-6).sin() };
        lock(store).take(self.0, if rests { "rests" } else { "swings" }, &[angle]);
        self.0 += 20_000;
        true
    }
}

/// Runs the device, whose files are in the folder `state`, until `remote` stops it.
pub(crate) fn run(url: &str, state: &Path, remote: &Remote) -> Result<(), Box<dyn Error>> {
    let mut sampling = Sampling::new(50.0, BTreeMap::from([("angle".to_owned(), ())]));
    sampling.labels_path = Some(state.join("labels.csv"));
    let pendulum = Pendulum(wall_us() - 60_000_000); // it remembers a minute
    let source = LiveSource::open(&sampling, ',', state, |_| Ok(Box::new(pendulum)))?;
    let trainer = BurnTrainer::new(Box::new(source), Default::default());
    let settings = Settings::new(Name::new("pendulum")?, Name::new("gait")?);
    let link = LinkConfig::new(url.parse()?, "pendulum");
    Ok(driver::run(Parts::new(settings, link, FileStore::open(state)?, trainer), remote)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: own_sensor mqtt://HOST")?;
    run(&url, Path::new("target/pendulum"), &Remote::default())
}
