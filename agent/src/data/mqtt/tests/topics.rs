use super::*;

/// The messages of `mqtt-zigbee2mqtt.txt`: topic and payload.
fn zigbee() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../../../../tests/inputs/mqtt-zigbee2mqtt.txt").lines();
    lines.filter_map(|line| line.split_once(' ')).collect()
}

/// All messages of [`zigbee`], `times` times, a minute apart; a second after that it is `end`.
fn hear(bench: &mut Bench, times: i64) {
    for minute in 0..times {
        for (topic, payload) in zigbee() {
            bench.take_from(topic, payload, minute * 60_000_000 + 1_000_000);
        }
    }
}

fn zigbee_config(more: &str, channels: &str) -> MqttConfig {
    parse(&format!(
        "kind = 'mqtt'\ntopic = 'zigbee2mqtt/+'\nperiod = '1 min'\n{more}\n[channels]\n{channels}\n"
    ))
}

#[test]
fn rooms_do_not_mix_and_the_others_are_named() {
    let config = zigbee_config("", "temp = 'temperature'");
    let dir = tempfile::tempdir().unwrap();
    let (store, messages) = Bench::open(&config, dir.path());
    let mut bench = Bench { store, messages, _dir: tempfile::tempdir().unwrap() };
    hear(&mut bench, 3);
    assert_eq!(bench.values(), [[21.5], [21.5], [21.5]]);
    let (count, text) = bench.lost(Loss::Topic);
    assert_eq!(count, 6, "two other topics");
    assert!(text.contains("zigbee2mqtt/switch: samples come from zigbee2mqtt/living"), "{text}");
    assert!(text.contains("by_topic"), "{text}");
    // The one topic stays the one when another speaks first after a restart.
    drop(bench);
    let (store, messages) = Bench::open(&config, dir.path());
    let mut bench = Bench { store, messages, _dir: dir };
    bench.take_from("zigbee2mqtt/fridge", r#"{"temperature":4.5}"#, 900_000_000);
    bench.take_from("zigbee2mqtt/living", r#"{"temperature":22}"#, 900_000_000);
    assert_eq!(bench.values(), [[21.5], [21.5], [21.5], [22.0]]);
}

#[test]
fn a_topic_that_lacks_a_channel_is_not_the_one() {
    let config = zigbee_config("", "humidity = 'humidity'\ntemp = 'temperature'");
    let mut bench = Bench::of(&config);
    bench.take_from("zigbee2mqtt/switch", r#"{"action":"single"}"#, 0);
    bench.take_from("zigbee2mqtt/plug", r#"{"temperature":30}"#, 0);
    hear(&mut bench, 1);
    assert_eq!(bench.values(), [[46.08, 21.5]]);
    let (count, text) = bench.lost(Loss::Missing);
    assert!(count == 2 && text.contains("zigbee2mqtt/plug: lacks a channel"), "{text}");
}

#[test]
fn the_topic_that_is_meant_can_be_named() {
    let more = "by_topic = 'one'\nonly = 'zigbee2mqtt/fridge'";
    let config = zigbee_config(more, "temp = 'temperature'");
    assert_eq!(config.subscriptions().into_iter().collect::<Vec<_>>(), ["zigbee2mqtt/fridge"]);
    let config = zigbee_config("by_topic = 'mix'", "temp = 'temperature'");
    let mut bench = Bench::of(&config);
    hear(&mut bench, 1);
    bench.take_from("zigbee2mqtt/cellar", r#"{"temperature":12}"#, 61_000_000);
    let mixed: Vec<f32> = bench.values().concat();
    assert_eq!(mixed[0], 21.5, "{mixed:?}");
    assert_eq!((mixed.last(), bench.lost(Loss::Topic).0), (Some(&12.0), 0));
}

const ROOMS: &str = "cold = { topic = 'zigbee2mqtt/fridge', place = 'temperature' }\n\
    humidity = { topic = 'zigbee2mqtt/living', place = 'humidity' }\n\
    warm = { topic = 'zigbee2mqtt/living', place = 'temperature' }";

#[test]
fn channels_of_several_topics_are_joined_at_the_rate() {
    let mut bench = Bench::of(&zigbee_config("by_topic = 'channel'", ROOMS));
    bench.take_from("zigbee2mqtt/living", zigbee()[0].1, 1_000_000);
    let problem = bench.store.status().problem.unwrap_or_default();
    assert!(problem.ends_with("no value yet from zigbee2mqtt/fridge"), "{problem}");
    hear(&mut bench, 2);
    bench.take_from("zigbee2mqtt/fridge", r#"{"temperature":5}"#, 130_000_000);
    let store = std::sync::Mutex::new(bench.store);
    bench.messages.idle(180_000_001, &store);
    bench.store = store.into_inner().unwrap();
    assert_eq!(bench.times(), [60_000_000, 120_000_000, 180_000_000]);
    // What a topic does not say again is held, as `missing` is where nothing else is set.
    assert_eq!(bench.values(), [[4.5, 46.08, 21.5], [4.5, 46.08, 21.5], [5.0, 46.08, 21.5]]);
    assert_eq!(bench.store.status().losses.faults(), 0);
}

#[test]
fn keys_of_topics_are_checked() {
    let keys = |more: &str, channels: &str| -> Vec<String> {
        let text = format!(
            "kind = 'mqtt'\ntopic = 'zigbee2mqtt/+'\nrate_hz = 1\n{more}\n[channels]\n{channels}"
        );
        let config: SourceConfig = toml::from_str(&text).unwrap();
        config.check().into_iter().map(|problem| problem.key).collect()
    };
    assert_eq!(keys("only = 'zigbee2mqtt/a'", "x = 'x'"), ["source.only"]);
    assert_eq!(keys("by_topic = 'one'\nonly = 'zigbee2mqtt/+'", "x = 'x'"), ["source.only"]);
    assert_eq!(keys("by_topic = 'one'\nonly = 'sensors/a'", "x = 'x'"), ["source.only"]);
    assert_eq!(keys("by_topic = 'channel'", "x = 'x'"), ["source.channels.x"]);
    assert_eq!(keys("", "x = { topic = 'zigbee2mqtt/a', place = 'x' }"), ["source.channels.x"]);
    let error = toml::from_str::<SourceConfig>(
        "kind = 'mqtt'\ntopic = 'a'\nrate_hz = 1\n[channels]\nx = { topik = 'a', place = 'x' }",
    );
    let error = error.unwrap_err().to_string();
    assert!(error.contains("topik") && error.contains("topic"), "{error}");
}
