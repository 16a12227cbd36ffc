//! A device that classifies what its sensor measures and says it on a topic of its own.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use dunlin_agent::data;
use dunlin_agent::inference::{Estimate, Inference, InferenceConfig};
use dunlin_agent::job::{JobFailure, ModelInUse};
use dunlin_agent::ports::Classifier;
use dunlin_agent::store::FileStore;
use dunlin_link::LinkEvent;
use dunlin_link::testing::TestClient;
use serde_json::Value;

use super::accounts::guarded;
use super::world::{World, device_name, settings, wait_until};

/// The toy task's one dense layer, by hand.
#[derive(Default)]
struct Dense(Vec<f32>);

impl Classifier for Dense {
    fn use_model(&mut self, model: &ModelInUse) -> Result<(), JobFailure> {
        self.0.clone_from(&model.model.params);
        Ok(())
    }

    fn classify(&mut self, window: &[f32]) -> Result<Estimate, JobFailure> {
        let (weights, biases) = self.0.split_at(self.0.len() - 10);
        let logit = |class: usize| {
            let rows = weights.chunks_exact(10).zip(window);
            biases[class] + rows.map(|(row, value)| row[class] * value).sum::<f32>()
        };
        let best = (0..10).max_by(|&a, &b| logit(a).total_cmp(&logit(b))).unwrap();
        Ok(Estimate::Class { label: format!("class {best}"), confidence: 1.0 })
    }
}

/// Classifies the samples of `imu.csv` in the folder of device 0, where they and the model stay.
fn inference(world: &World) -> Inference {
    let folder = world.folder().join(device_name(0));
    let source = format!(
        "kind = 'csv'\npath = '{}'\nrate_hz = 50\n[channels]\nx = 'x'\n",
        folder.join("imu.csv").display()
    );
    let text = "name = 'activity'\nevery_s = 0.1\non = 'always'\nfetch_every_s = 1";
    let config: InferenceConfig = toml::from_str(text).unwrap();
    assert!(config.problems().is_empty(), "{}", config.problems());
    Inference {
        policy: config.policy(None).unwrap(),
        config,
        source: data::open(&toml::from_str(&source).unwrap(), &folder).unwrap(),
        classifier: Box::<Dense>::default(),
        models: Box::new(FileStore::named(&folder, "model").unwrap()),
    }
}

/// A sensor that writes a row each 20 ms until its end is dropped.
fn measure(folder: &Path) -> mpsc::Sender<()> {
    std::fs::create_dir_all(folder).unwrap();
    let file = OpenOptions::new().create(true).append(true).open(folder.join("imu.csv"));
    let mut file = file.unwrap();
    writeln!(file, "x").unwrap();
    let (end, ended) = mpsc::channel();
    std::thread::spawn(move || {
        for value in 0.. {
            writeln!(file, "{}", value % 7).unwrap();
            if ended.recv_timeout(Duration::from_millis(20)) != Err(mpsc::RecvTimeoutError::Timeout)
            {
                return;
            }
        }
    });
    end
}

/// The next result of this version.
fn result(listener: &TestClient, version: u32) -> Value {
    listener.wait(|event| match event {
        LinkEvent::Message { topic, payload } => {
            assert_eq!(topic, "dunlin/v1/dev/device-0/out/activity");
            let value: Value = serde_json::from_slice(payload).unwrap();
            (value["version"] == version).then_some(value)
        }
        _ => None,
    })
}

#[test]
fn a_device_says_what_it_finds_by_the_newest_version_and_finds_it_after_a_restart_on_its_own() {
    let Some(mut world) = guarded(settings(10, 1, 2), 1) else { return };
    let listener = TestClient::open(world.link("dunlin-monitor"));
    listener.wait_connected();
    listener.link.subscribe("dunlin/v1/dev/+/out/+".into());
    let sensor = measure(&world.folder().join(device_name(0)));
    let inference_of_device = inference(&world);
    world.start_aggregator();
    world.start_classifying(0, inference_of_device);
    world.wait_finished();
    // Nothing is left to do: the device fetches the last version to classify with it.
    let value = result(&listener, 2);
    assert!(value["label"].as_str().unwrap().starts_with("class "), "{value}");
    assert!(value["latency_ms"].as_f64().unwrap() >= 0.0, "{value}");
    assert!(value["time"].as_f64().is_some() && value["confidence"] == 1.0, "{value}");
    wait_until("figures", || world.status(0).inference.version == 2);
    let status = world.status(0).inference;
    assert!(status.sent >= 1 && status.results >= status.sent, "{status:?}");
    assert!(status.latency_max_ms >= status.latency_mean_ms, "{status:?}");
    world.stop_device(0);

    world.stop_aggregator();
    let log = world.broker.log();
    assert!(!log.contains("Denied"), "the ACL denies something that we say:\n{log}");
    world.broker.kill9();
    let inference_of_device = inference(&world);
    world.start_classifying(0, inference_of_device);
    wait_until("a result without a broker", || world.status(0).inference.results > 0);
    let status = world.status(0).inference;
    assert_eq!((status.version, status.sent), (2, 0), "{status:?}");
    drop(sensor);
    world.stop();
}
