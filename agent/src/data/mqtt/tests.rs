//! From messages to samples, with a broker where there is one.

mod inputs;
mod topics;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use dunlin_link::LinkEvent;
use dunlin_link::testing::{Mosquitto, TestClient};

use super::samples::Messages;
use crate::data::config::{MqttConfig, SourceConfig};
use crate::data::ring::Record;
use crate::data::store::SampleStore;
use crate::data::{Loss, WindowSource, open};

const TOPIC: &str = "sensors/left/imu";

fn parse(text: &str) -> MqttConfig {
    let config: SourceConfig = toml::from_str(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.check().0, []);
    let SourceConfig::Mqtt(config) = config else { panic!("another kind") };
    config
}

fn config(more: &str) -> MqttConfig {
    parse(&format!(
        "kind = 'mqtt'\ntopic = 'sensors/+/imu'\nrate_hz = 50\n{more}\n[channels]\nx = 'a.x'\n"
    ))
}

struct Bench {
    store: SampleStore,
    messages: Messages,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(more: &str) -> Self {
        Self::of(&config(more))
    }

    fn of(config: &MqttConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (store, messages) = Self::open(config, dir.path());
        Self { store, messages, _dir: dir }
    }

    fn open(config: &MqttConfig, dir: &Path) -> (SampleStore, Messages) {
        let store = SampleStore::open(dir, config.sampling.header()).unwrap();
        (store.with_intake(config.sampling.intake()), Messages::new(config, dir))
    }

    fn take(&mut self, message: &str, arrival_us: i64) {
        self.take_from(TOPIC, message, arrival_us);
    }

    fn take_from(&mut self, topic: &str, message: &str, arrival_us: i64) {
        self.messages.take(topic, message.as_bytes(), arrival_us, &mut self.store);
    }

    fn records(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        self.store.scan(|record| records.push(record.clone())).unwrap();
        records
    }

    fn times(&mut self) -> Vec<i64> {
        self.records().iter().map(|record| record.time_us).collect()
    }

    fn values(&mut self) -> Vec<Vec<f32>> {
        self.records().into_iter().map(|record| record.values).collect()
    }

    fn lost(&self, loss: Loss) -> (u64, String) {
        let losses = self.store.status().losses;
        (losses.count(loss), losses.last(loss).unwrap_or_default().to_owned())
    }
}

#[test]
fn samples_have_the_time_of_the_message_or_of_their_arrival() {
    let mut bench = Bench::new("time = 't'\ntime_unit = 'ms'");
    bench.take(r#"{"a":{"x":1},"t":20}"#, 7_000_000);
    bench.take(r#"{"a":{"x":2},"t":40}"#, 9_000_000);
    assert_eq!(bench.times(), [20_000, 40_000]);
    let mut bench = Bench::new("batch = '$'\nfill = false");
    bench.take(r#"[{"a":{"x":1}},{"a":{"x":2}},{"b":0},{"a":{"x":4}}]"#, 1_060_000);
    bench.take(r#"[{"a":{"x":5}}]"#, 1_080_000);
    bench.take(r#"[{"a":{"x":6}}]"#, 9_000_000);
    assert_eq!(bench.times(), [1_000_000, 1_020_000, 1_060_000, 1_080_000, 9_000_000]);
    assert_eq!(bench.lost(Loss::Missing), (1, "sensors/left/imu: a.x missing".to_owned()));
}

#[test]
fn what_where_leaves_out_takes_no_time_and_is_no_fault() {
    let mut bench = Bench::new("batch = '$'\nwhere = { k = 'a' }");
    let other = r#"{"k":"b","a":{"x":-5}}"#;
    let message = |x: u8| format!(r#"[{{"k":"a","a":{{"x":{x}}}}},{other}]"#);
    (0..3).for_each(|n| bench.take(&message(n), i64::from(n) * 20_000));
    assert_eq!(bench.values(), [[0.0], [1.0], [2.0]]);
    assert_eq!(bench.times(), [0, 20_000, 40_000]);
    let losses = bench.store.status().losses;
    assert_eq!((losses.count(Loss::Filtered), losses.faults()), (3, 0));
}

#[test]
fn messages_that_are_not_understood_are_counted_and_a_problem_until_one_is() {
    let mut bench = Bench::new("");
    bench.take("hello", 0);
    bench.take(r#"{"a":{}}"#, 20_000);
    let problem = bench.store.status().problem.unwrap();
    assert!(problem.contains("sensors/left/imu: a.x missing"), "{problem}");
    bench.take(r#"{"a":{"x":"2.5"}}"#, 40_000);
    bench.take("hello", 60_000);
    let status = bench.store.status();
    assert_eq!((status.accepted, status.losses.faults(), status.problem), (1, 3, None));
    let (count, text) = bench.lost(Loss::Message);
    assert!(count == 2 && text.contains("line 1") && text.contains("\"hello\""), "{text}");
}

#[test]
fn one_bad_value_costs_one_sample_of_a_batch() {
    let mut bench = Bench::new("batch = '$'\ntime = 't'\nfill = false");
    bench.take(r#"[{"a":{"x":1},"t":0},{"a":{"x":"Low"},"t":0.02},{"a":{"x":3},"t":0.04}]"#, 0);
    assert_eq!(bench.values(), [[1.0], [3.0]]);
    let text = "sensors/left/imu: a.x is \"Low\", no number".to_owned();
    assert_eq!(bench.lost(Loss::Number), (1, text));
}

fn wait(source: &dyn WindowSource, holds: impl Fn(&crate::data::SourceStatus) -> bool) {
    while !holds(&source.status()) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

#[test]
fn samples_come_in_over_a_broker_also_after_it_was_restarted() {
    let Some(mut broker) = Mosquitto::anonymous() else { return };
    let dir = tempfile::tempdir().unwrap();
    let labels = dir.path().join("labels.csv");
    fs::write(&labels, "0,1,walk\n").unwrap();
    let more = format!(
        "url = '{}'\nclient_id = 'wrist-1-sensor'\ntime = 't'\nlabels_path = '{}'",
        broker.url(),
        labels.display()
    );
    let source = open(&SourceConfig::Mqtt(config(&more)), &dir.path().join("state")).unwrap();
    let waits = |problem: &Option<String>| {
        problem.as_ref().is_some_and(|problem| problem.contains("no sample on sensors/+/imu yet"))
    };
    let publish = |client: &TestClient, numbers: std::ops::Range<u32>| {
        for n in numbers {
            let message = format!("{{\"a\":{{\"x\":{n}}},\"t\":{}}}", f64::from(n) * 0.02);
            client.link.publish("sensors/left/imu".into(), message.into_bytes(), false);
        }
    };
    wait(&*source, |status| waits(&status.problem));
    broker.wait_log("Sending SUBACK to wrist-1-sensor", 1);
    let client = TestClient::open(broker.client("sensor-program"));
    client.wait_connected();
    publish(&client, 0..5);
    wait(&*source, |status| status.accepted == 5);
    assert_eq!(source.status().problem, None);

    broker.kill9();
    wait(&*source, |status| status.problem.is_some());
    drop(client);
    broker.restart();
    wait(&*source, |status| waits(&status.problem));
    broker.wait_log("Sending SUBACK to wrist-1-sensor", 2);
    let client = TestClient::open(broker.client("sensor-program"));
    client.wait_connected();
    publish(&client, 5..8);
    wait(&*source, |status| status.accepted == 8);
    drop(source);

    let store = dir.path().join("state");
    let mut store = SampleStore::open(&store, config("").sampling.header()).unwrap();
    let mut samples = Vec::new();
    store.scan(|r| samples.push((r.time_us, r.values[0], r.label))).unwrap();
    let expected: Vec<_> = (0..8i16).map(|n| (i64::from(n) * 20_000, f32::from(n), 0)).collect();
    assert_eq!(samples, expected);
    assert_eq!(store.label_texts(), ["walk"]);
}

#[test]
fn what_keeps_samples_from_coming_is_told_with_a_next_step() {
    let mut bench = Bench::new("");
    let connected = bench.messages.hear(LinkEvent::Connected, 0, &mut bench.store);
    assert!(connected, "each connection subscribes anew");
    let mut problem_after = |event| {
        assert!(!bench.messages.hear(event, 0, &mut bench.store));
        bench.store.status().problem.unwrap_or_default()
    };
    let topic = "sensors/+/imu".to_owned();
    let problem = problem_after(LinkEvent::SubscribeRefused { topic });
    assert!(problem.contains("refuses sensors/+/imu; allow this user"), "{problem}");
    let reason = "mqtt://localhost:1883: bad user name or password".to_owned();
    assert_eq!(problem_after(LinkEvent::Refused { reason: reason.clone() }), reason);
    let payload = br#"{"a":{"x":1}}"#.to_vec();
    assert_eq!(problem_after(LinkEvent::Message { topic: TOPIC.into(), payload }), "");
}

#[test]
fn a_burst_comes_in_whole() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let dir = tempfile::tempdir().unwrap();
    let more = format!("url = '{}'\nclient_id = 'burst-sensor'\ntime = 't'", broker.url());
    let source = open(&SourceConfig::Mqtt(config(&more)), dir.path()).unwrap();
    broker.wait_log("Sending SUBACK to burst-sensor", 1);
    let client = TestClient::open(broker.client("gateway"));
    client.wait_connected();
    for n in 0..3000 {
        let message = format!("{{\"a\":{{\"x\":{n}}},\"t\":{}}}", f64::from(n) * 0.02);
        client.link.publish(TOPIC.into(), message.into_bytes(), false);
    }
    wait(&*source, |status| status.accepted == 3000);
    let status = source.status();
    assert!(status.losses.is_empty(), "{}", status.losses);
    drop(source);
    let mut store = SampleStore::open(dir.path(), config("").sampling.header()).unwrap();
    let mut values = Vec::new();
    store.scan(|record| values.push(record.values[0])).unwrap();
    assert_eq!(values, (0..3000u16).map(f32::from).collect::<Vec<_>>());
}

#[test]
fn a_message_that_is_too_long_is_told_with_topics_and_remedy_and_a_known_topic_goes_on_alone() {
    let mut bench = Bench::new("");
    let problem_after = |bench: &mut Bench, overlong: bool, event| {
        bench.messages.set_overlong(overlong);
        bench.messages.hear(event, 0, &mut bench.store);
        bench.store.status().problem.unwrap_or_default()
    };
    let lost = || LinkEvent::Disconnected { reason: "a packet of 5000000 bytes".to_owned() };
    let advice = "sensors/+/imu is too long to be read; where it is retained";
    let problem = problem_after(&mut bench, true, lost());
    assert!(problem.contains(advice) && problem.contains("mosquitto_pub -r -n -t"), "{problem}");
    assert!(problem_after(&mut bench, true, LinkEvent::Connected).contains(advice));
    assert_eq!(bench.messages.narrowed(), None, "no topic is known to be the one");
    bench.take(r#"{"a":{"x":1}}"#, 0);
    assert_eq!(bench.messages.narrowed(), Some(TOPIC));
    assert!(!problem_after(&mut bench, false, lost()).contains("too long"));
    assert_eq!(bench.messages.narrowed(), Some(TOPIC), "it lies there yet");
}

/// Publishes `payload` retained, however long it is.
fn retain(broker: &Mosquitto, topic: &str, payload: &[u8]) {
    let mut length = topic.len() + 2 + payload.len();
    let mut bytes = vec![0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 2, b'p', b'p'];
    bytes.push(0x31);
    while length > 0 {
        let more = if length > 0x7f { 0x80 } else { 0 };
        bytes.push(u8::try_from(length & 0x7f).unwrap() | more);
        length >>= 7;
    }
    bytes.extend([0, u8::try_from(topic.len()).unwrap()]);
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(payload);
    bytes.extend([0xe0, 0]);
    let mut stream = TcpStream::connect(("127.0.0.1", broker.port())).unwrap();
    stream.write_all(&bytes).unwrap();
    broker.wait_log("Received DISCONNECT from pp", 1);
}

#[test]
fn a_long_retained_message_on_another_topic_does_not_stop_the_source() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    retain(&broker, "sensors/camera/imu", &vec![b'x'; 1_000_000]);
    let dir = tempfile::tempdir().unwrap();
    let more = format!("url = '{}'\nclient_id = 'long-sensor'", broker.url());
    let source = open(&SourceConfig::Mqtt(config(&more)), dir.path()).unwrap();
    wait(&*source, |status| status.losses.count(Loss::Message) == 1);
    let client = TestClient::open(broker.client("gateway"));
    client.wait_connected();
    client.link.publish(TOPIC.into(), br#"{"a":{"x":1}}"#.to_vec(), false);
    wait(&*source, |status| status.accepted == 1);
}

#[test]
fn a_retained_message_over_all_limits_is_outlived_once_the_topic_is_known() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let dir = tempfile::tempdir().unwrap();
    let more = format!("url = '{}'\nclient_id = 'huge-sensor'", broker.url());
    let source = open(&SourceConfig::Mqtt(config(&more)), dir.path()).unwrap();
    broker.wait_log("Sending SUBACK to huge-sensor", 1);
    let client = TestClient::open(broker.client("gateway"));
    client.wait_connected();
    client.link.publish(TOPIC.into(), br#"{"a":{"x":1}}"#.to_vec(), false);
    wait(&*source, |status| status.accepted == 1);
    retain(&broker, "sensors/camera/imu", &vec![b'x'; 5_000_000]);
    broker.wait_log("Sending SUBACK to huge-sensor", 2);
    let problem = source.status().problem.unwrap_or_default();
    assert!(problem.contains("too long to be read"), "{problem}");
    client.link.publish(TOPIC.into(), br#"{"a":{"x":2}}"#.to_vec(), false);
    wait(&*source, |status| status.accepted == 2);
}
