//! An aggregator in a process of one's own, which makes some versions of a small model.
//!
//! It sees everything that happens and stops the aggregator by itself. With a broker, and with one of
//! the agent's examples as the device:
//!
//! ```sh
//! cargo run --example in_process -- mqtt://localhost
//! cargo run --example own_sensor -- mqtt://localhost
//! ```
//!
//! Whoever needs no broker drives the core instead, `aggregator::Aggregator`: inputs with their times
//! go in, outputs come out in order. The shell used here is a loop around it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::{error::Error, path::Path};

use dunlin_aggregator::settings::{Enrolment, Settings};
use dunlin_aggregator::{config::Config, io::RoundEvent, report, run::run as serve};
use dunlin_link::LinkConfig;
use dunlin_protocol::{id::Name, task::TaskSpec};
use dunlin_service::ServiceNotifier;

/// Makes versions up to number `last` and gives the parameters of that one. What must not be lost is
/// kept in the file `store`, so that the history goes on where it was.
pub(crate) fn run(url: &str, store: &Path, last: u32) -> Result<Vec<f32>, Box<dyn Error>> {
    let task: TaskSpec = toml::from_str(include_str!("pendulum.toml"))?;
    let mut settings = Settings::new(Name::new("gait")?, Name::new("dunlin-aggregator")?, task);
    (settings.target, settings.quorum, settings.min_online) = (1, 1, 1);
    settings.enrolled = Enrolment::Any;
    let broker = LinkConfig::new(url.parse()?, settings.instance.as_str());
    let config = Config { settings, broker, store: store.to_owned(), seed: None, adopt_task: None };
    let (stop, mut model) = (AtomicBool::new(false), Vec::new());
    serve(&config, &stop, ServiceNotifier::default(), |event, _| {
        eprintln!("{}", report::line(event, true).1);
        if let RoundEvent::RoundPublished { version, params, .. } = event {
            model = params.to_vec();
            stop.store(version.0 >= last, Ordering::Relaxed);
        }
    })?;
    Ok(model)
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: in_process mqtt://HOST")?;
    let model = run(&url, Path::new("target/pendulum.redb"), 3)?;
    eprintln!("{} parameters, the first is {:?}", model.len(), model.first());
    Ok(())
}
