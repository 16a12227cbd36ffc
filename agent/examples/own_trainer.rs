//! A device with a trainer of its own, without Burn: it pulls every number of the model to the mean of
//! what it has measured, so that the model becomes the mean over all devices.
//!
//! An executor says which kinds of work it can do with what it has, and does them on a thread of its
//! own. The same model and seed should give the same update: a device that lost its power on the way
//! trains once more. With a broker and the aggregator's example `in_process`:
//!
//! ```sh
//! cargo run --example in_process -- mqtt://localhost
//! cargo run --example own_trainer -- mqtt://localhost
//! ```

use std::{error::Error, path::Path, sync::Arc};

use dunlin_agent::driver::{self, Parts, Remote};
use dunlin_agent::job::{Job, JobFailure, Outcome, Survey, Trained};
use dunlin_agent::ports::{Executor, LinkConfig};
use dunlin_agent::{session::Settings, store::FileStore};
use dunlin_protocol::{id::Name, task::Task, work::WorkKind};

/// What the device has measured; it never leaves it.
struct Readings(Vec<f32>);

impl Executor for Readings {
    fn survey(&mut self, _: &Arc<Task>, _: &dyn Fn() -> bool) -> Result<Survey, JobFailure> {
        Ok(Survey::new(u32::try_from(self.0.len()).unwrap_or(u32::MAX), &[WorkKind::Train]))
    }

    fn run(&mut self, job: &Job, _: &dyn Fn() -> bool) -> Result<Outcome, JobFailure> {
        let mean = self.0.iter().sum::<f32>() / self.0.len() as f32;
        let delta = job.model.iter().map(|number| mean - number).collect();
        // The aggregator weighs each device by its examples.
        let examples = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        Ok(Trained { delta, examples, ..Trained::default() }.into())
    }
}

/// Runs the device, whose state is kept in the folder `state`, until `remote` stops it.
pub(crate) fn run(url: &str, state: &Path, remote: &Remote) -> Result<(), Box<dyn Error>> {
    let trainer = Readings(vec![0.25, 0.5, 0.75]);
    let settings = Settings::new(Name::new("thermometer")?, Name::new("gait")?);
    let link = LinkConfig::new(url.parse()?, "thermometer");
    Ok(driver::run(Parts::new(settings, link, FileStore::open(state)?, trainer), remote)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: own_trainer mqtt://HOST")?;
    run(&url, Path::new("target/thermometer"), &Remote::default())
}
