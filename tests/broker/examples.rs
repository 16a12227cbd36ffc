//! The examples of agent and aggregator as they are: together they make a version of a model.

use std::error::Error;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use dunlin_agent::driver::Remote;
use dunlin_link::testing::{Mosquitto, new_folder};

use super::world::PATIENCE;

#[allow(dead_code)] // its `main`
#[path = "../../aggregator/examples/in_process.rs"]
mod in_process;
#[allow(dead_code)]
#[cfg(feature = "burn")]
#[path = "../../agent/examples/own_sensor.rs"]
mod own_sensor;
#[allow(dead_code)]
#[path = "../../agent/examples/own_trainer.rs"]
mod own_trainer;

/// What an example of a device is: a broker's address, a folder for its files, and what stops it.
type Device = fn(&str, &Path, &Remote) -> Result<(), Box<dyn Error>>;

/// The first version that `device` and the aggregator make; `None` where Mosquitto is not installed.
fn first_version(device: Device) -> Option<Vec<f32>> {
    let broker = Mosquitto::anonymous()?;
    let (folder, remote) = (new_folder(), Remote::default());
    let (url, store) = (broker.url(), folder.path().join("aggregator.redb"));
    let (sender, model) = mpsc::channel();
    let aggregator = thread::spawn(move || {
        let model = in_process::run(&url, &store, 1).map_err(|error| error.to_string());
        sender.send(model).unwrap();
    });
    let (url, state, theirs) = (broker.url(), folder.path().join("device"), remote.clone());
    let device = thread::spawn(move || {
        device(&url, &state, &theirs).map_err(|error| error.to_string()).unwrap();
    });
    let model = model.recv_timeout(PATIENCE).expect("a version, in time").unwrap();
    aggregator.join().unwrap();
    remote.stop();
    device.join().unwrap();
    Some(model)
}

#[cfg(feature = "burn")]
#[test]
fn a_device_with_a_sensor_of_its_own_trains_on_what_that_measures() {
    let Some(model) = first_version(own_sensor::run) else { return };
    assert_eq!(model.len(), 102);
    assert!(model.iter().all(|number| number.is_finite()), "{model:?}");
}

#[test]
fn a_device_with_a_trainer_of_its_own_makes_the_model_the_mean_of_what_it_has() {
    let Some(model) = first_version(own_trainer::run) else { return };
    // An update has 8 bits a number.
    assert!(model.iter().all(|number| (number - 0.5).abs() < 0.02), "{model:?}");
}
