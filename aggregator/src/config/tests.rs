use std::fs;

use super::*;
use crate::example::task;
use crate::settings::Enrolment;

const EXAMPLE: &str = include_str!("../../aggregator.example.toml");

fn load(text: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("har-cnn.toml"), toml::to_string(&task(4)).unwrap()).unwrap();
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    let path = folder.path().join("aggregator.toml");
    fs::write(&path, text).unwrap();
    Config::load(&path)
}

/// The example with `from` replaced, which it must contain.
fn with(from: &str, to: &str) -> String {
    assert!(EXAMPLE.contains(from), "{from}");
    EXAMPLE.replace(from, to)
}

fn problems(text: &str) -> Vec<String> {
    match load(text) {
        Err(ConfigError::Problems { problems, .. }) => {
            problems.into_iter().map(|problem| problem.key).collect()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_is_valid_and_says_the_defaults() {
    let config = load(EXAMPLE).unwrap();
    let (federation, instance) =
        (config.settings.federation.clone(), config.settings.instance.clone());
    let mut defaults = Settings::new(federation, instance, task(4));
    defaults.enrolled = config.settings.enrolled.clone();
    assert_eq!(config.settings, defaults);
    assert_eq!(config.broker.url.port(), 1883);
    assert!(config.store.ends_with("aggregator.redb"));
}

#[test]
fn every_value_that_the_example_shows_as_a_default_is_one() {
    let shown: Vec<&str> = EXAMPLE
        .lines()
        .filter_map(|line| line.strip_prefix('#'))
        .filter(|line| line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')))
        .collect();
    assert!(shown.len() > 35, "{}", shown.len());
    let skipped = ["username", "password_file", "seed", "ca ", "cert ", "key "];
    let mut text = EXAMPLE.to_owned();
    for line in shown.iter().filter(|line| !skipped.iter().any(|key| line.starts_with(key))) {
        text = text.replace(&format!("\n#{line}"), &format!("\n{line}"));
    }
    assert_eq!(load(&text).unwrap().settings, load(EXAMPLE).unwrap().settings);
}

#[test]
fn all_problems_are_reported_at_once_by_their_keys() {
    let text = with("target = 8 ", "target = 0 ")
        .replace("#batch = 16", "batch = 0")
        .replace("#codec = \"int8\" ", "codec = \"zip\" ")
        .replace("#schedule = \"constant\"", "schedule = \"cosine\"")
        .replace("mqtt://localhost:1883", "http://localhost");
    let expected = [
        "updates.codec",
        "training.batch",
        "training.schedule",
        "rounds.target",
        "rounds.quorum",
        "broker.url",
    ];
    assert_eq!(problems(&text), expected);
}

#[test]
fn unknown_keys_and_wrong_types_are_named_with_their_line() {
    let error = load(&with("#pause_s", "pauses_s")).unwrap_err().to_string();
    assert!(error.contains("pauses_s") && error.contains("line"), "{error}");
    let error = load(&with("target = 8 ", "target = \"many\" ")).unwrap_err().to_string();
    assert!(error.contains("target"), "{error}");
    let error = load(&with("instance = \"dunlin-aggregator\"", "instance = \"a/b\""))
        .unwrap_err()
        .to_string();
    assert!(error.contains("'/'"), "{error}");
    let error = load(&with("har-cnn.toml", "none.toml")).unwrap_err().to_string();
    assert!(error.contains("none.toml"), "{error}");
}

#[test]
fn nobody_is_enrolled_unless_the_file_says_so() {
    let list = EXAMPLE.lines().find(|line| line.starts_with("enrolled")).unwrap();
    assert!(load(&with(list, "")).is_err(), "the key must be there");
    assert_eq!(problems(&with(list, "enrolled = []")), ["enrolled"]);
    assert_eq!(problems(&with(list, "enrolled = \"all\"")), ["enrolled"]);
    assert_eq!(problems(&with(list, "enrolled = [\"a b\"]")), ["enrolled"]);
    let config = load(&with(list, "enrolled = \"any\"")).unwrap();
    assert_eq!(config.settings.enrolled, Enrolment::Any);
    let one = with(list, "enrolled = [\"a\"]");
    assert_eq!(problems(&one), ["enrolled"], "fewer than min_online");
}

#[test]
fn credentials_are_read_and_never_printed() {
    let text = with("#username", "username").replace("#password_file", "password_file");
    let config = load(&text).unwrap();
    assert_eq!(config.broker.password.as_deref(), Some("secret"));
    assert!(!format!("{config:?}").contains("secret"));
    let both = text.replace("#keep_alive_s = 30", "password = \"x\"");
    assert_eq!(problems(&both), ["broker.password_file"]);
}

#[test]
fn a_key_of_before_is_taken_or_refused_with_its_new_place() {
    let config = load(&with("#root = \"dunlin\"", "topics_root = \"other\"")).unwrap();
    assert_eq!(config.settings.topics_root.as_str(), "other");
    let error = load(&format!("{EXAMPLE}\n[broker.tls]\nca = \"ca.pem\"\n")).unwrap_err();
    assert!(error.to_string().contains("ca, cert and key"), "{error}");
    let plain = with("#ca = \"ca.pem\"", "ca = \"ca.pem\"");
    assert_eq!(problems(&plain), ["broker.url"], "certificates without mqtts://");
    let config = load(&plain.replace("mqtt://localhost:1883", "mqtts://localhost")).unwrap();
    let ca = config.broker.tls.and_then(|files| files.ca).unwrap();
    assert!(ca.is_absolute() && ca.ends_with("ca.pem"), "{}", ca.display());
}

#[test]
fn the_task_is_checked_with_the_layer_that_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = task(4);
    wrong.layers.insert(0, wrong.layers[0]);
    wrong.layers[1].op = dunlin_protocol::task::Op::MaxPool { size: 2 };
    fs::write(folder.path().join("har-cnn.toml"), toml::to_string(&wrong).unwrap()).unwrap();
    let path = folder.path().join("aggregator.toml");
    fs::write(&path, EXAMPLE).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.contains("task: layer 1"), "{error}");
}
