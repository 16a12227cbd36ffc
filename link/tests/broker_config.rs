//! The shipped configuration on a real Mosquitto: what each account can and cannot do.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use dunlin_link::LinkConfig;
use dunlin_link::testing::{Mosquitto, TestClient};

type Accounts = [(String, String)];

fn account(broker: &Mosquitto, accounts: &Accounts, name: &str) -> LinkConfig {
    let (_, password) = accounts.iter().find(|(of, _)| of == name).unwrap();
    let mut config = broker.client(name);
    config.username = Some(name.to_owned());
    config.password = Some(password.clone());
    config
}

fn open(config: LinkConfig) -> TestClient {
    let client = TestClient::open(config);
    client.wait_connected();
    client
}

/// Subscribes and waits for the broker's answer in its log.
fn subscribe(broker: &Mosquitto, client: &TestClient, id: &str, filters: &[&str]) {
    let answer = format!("Sending SUBACK to {id}");
    let before = broker.log().matches(&answer).count();
    for filter in filters {
        client.link.subscribe((*filter).to_owned());
    }
    broker.wait_log(&answer, before + filters.len());
}

fn says(client: &TestClient, topic: &str, text: &str) {
    client.link.publish(topic.to_owned(), text.as_bytes().to_vec(), false);
}

fn next(client: &TestClient) -> (String, String) {
    let (topic, payload) = client.wait_message();
    (topic, String::from_utf8(payload).unwrap())
}

fn message(topic: &str, text: &str) -> (String, String) {
    (topic.to_owned(), text.to_owned())
}

#[test]
fn a_device_cannot_speak_for_another_nor_for_the_aggregator() {
    let names = ["dunlin-aggregator", "wrist-1", "wrist-2"];
    let Some((broker, accounts)) = support::broker_with_passwords(&names) else { return };
    let aggregator = open(account(&broker, &accounts, "dunlin-aggregator"));
    let filters = ["dunlin/v1/dev/+/state", "dunlin/v1/dev/+/up/#", "dunlin/v1/fed/#"];
    subscribe(&broker, &aggregator, "dunlin-aggregator", &filters);

    let device = open(account(&broker, &accounts, "wrist-1"));
    for topic in [
        "dunlin/v1/dev/wrist-2/state",
        "dunlin/v1/dev/wrist-2/up/gait/0",
        "dunlin/v1/dev/dunlin-aggregator/state",
        "dunlin/v1/fed/gait/plan",
        "dunlin/v1/fed/gait/obj/0011223344556677/0",
        "dunlin/v1/srv/agg-1/state",
    ] {
        says(&device, topic, "forged");
    }
    // Messages of one client keep their order, so the forged ones would be first.
    says(&device, "dunlin/v1/dev/wrist-1/state", "online");
    says(&device, "dunlin/v1/dev/wrist-1/up/gait/0", "chunk");
    assert_eq!(next(&aggregator), message("dunlin/v1/dev/wrist-1/state", "online"));
    assert_eq!(next(&aggregator), message("dunlin/v1/dev/wrist-1/up/gait/0", "chunk"));
}

#[test]
fn a_device_hears_its_own_orders_and_no_other_devices() {
    let names = ["dunlin-aggregator", "wrist-1", "wrist-2"];
    let Some((broker, accounts)) = support::broker_with_passwords(&names) else { return };
    let device = open(account(&broker, &accounts, "wrist-1"));
    let filters = [
        "dunlin/v1/dev/+/down/#",
        "dunlin/v1/dev/+/state",
        "dunlin/v1/dev/+/up/#",
        "dunlin/v1/fed/+/plan",
        "dunlin/v1/srv/+/state",
    ];
    subscribe(&broker, &device, "wrist-1", &filters);
    let other = open(account(&broker, &accounts, "wrist-2"));
    says(&other, "dunlin/v1/dev/wrist-2/state", "secret");
    says(&other, "dunlin/v1/dev/wrist-2/up/gait/0", "secret");
    assert!(other.link.close(Vec::new()));
    let aggregator = open(account(&broker, &accounts, "dunlin-aggregator"));
    says(&aggregator, "dunlin/v1/dev/wrist-2/down/go", "secret");
    says(&aggregator, "dunlin/v1/dev/wrist-1/down/go", "go");
    says(&aggregator, "dunlin/v1/fed/gait/plan", "plan");
    says(&aggregator, "dunlin/v1/srv/agg-1/state", "online");
    assert_eq!(next(&device), message("dunlin/v1/dev/wrist-1/down/go", "go"));
    assert_eq!(next(&device), message("dunlin/v1/fed/gait/plan", "plan"));
    assert_eq!(next(&device), message("dunlin/v1/srv/agg-1/state", "online"));
}

#[test]
fn a_device_hears_itself_on_its_echo_and_on_no_other_topic() {
    let Some((broker, accounts)) = support::broker_with_passwords(&["wrist-1", "wrist-2"]) else {
        return;
    };
    let device = open(account(&broker, &accounts, "wrist-1"));
    subscribe(&broker, &device, "wrist-1", &["dunlin/v1/dev/+/out/+"]);
    let other = open(account(&broker, &accounts, "wrist-2"));
    says(&other, "dunlin/v1/dev/wrist-2/out/doctor", "secret");
    says(&other, "dunlin/v1/dev/wrist-1/out/doctor", "forged");
    assert!(other.link.close(Vec::new()));
    says(&device, "dunlin/v1/dev/wrist-1/out/result", "for the monitor");
    says(&device, "dunlin/v1/dev/wrist-1/out/doctor", "mine");
    assert_eq!(next(&device), message("dunlin/v1/dev/wrist-1/out/doctor", "mine"));
}

#[test]
fn a_client_id_cannot_be_taken_from_its_owner() {
    let Some((broker, accounts)) = support::broker_with_passwords(&["wrist-1", "wrist-2"]) else {
        return;
    };
    let owner = open(account(&broker, &accounts, "wrist-1"));
    let mut thief = account(&broker, &accounts, "wrist-2");
    thief.client_id = "wrist-1".into();
    let thief = open(thief);
    says(&thief, "dunlin/v1/dev/wrist-2/state", "here");
    broker.wait_log("PUBLISH from wrist-2", 1);
    // The owner is still connected: what it says arrives.
    says(&owner, "dunlin/v1/dev/wrist-1/state", "here");
    broker.wait_log("PUBLISH from wrist-1", 1);
    assert!(!broker.log().contains("already connected"), "{}", broker.log());
    assert!(owner.link.close(Vec::new()));
}

#[test]
fn one_listener_is_opened_and_no_other() {
    let Some((broker, _)) = support::broker_with_passwords(&["wrist-1"]) else { return };
    assert_eq!(broker.log().matches("Opening ipv4 listen socket").count(), 1, "{}", broker.log());
    #[cfg(feature = "tls")]
    {
        let Some(broker) = support::broker_with_certificates(&[]) else { return };
        let opened = broker.log().matches("Opening ipv4 listen socket").count();
        assert_eq!(opened, 1, "{}", broker.log());
    }
}

#[test]
fn nobody_enters_without_an_account() {
    let Some((broker, _)) = support::broker_with_passwords(&["wrist-1"]) else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    let refused = client.wait(|event| match event {
        dunlin_link::LinkEvent::Refused { reason } => Some(reason.clone()),
        dunlin_link::LinkEvent::Connected => panic!("let in"),
        dunlin_link::LinkEvent::Disconnected { .. }
        | dunlin_link::LinkEvent::SubscribeRefused { .. }
        | dunlin_link::LinkEvent::Message { .. } => None,
    });
    assert!(refused.contains("not accepted"), "{refused}");
}

#[test]
fn a_broker_that_restarts_remembers_no_presence() {
    let Some((mut broker, accounts)) =
        support::broker_with_passwords(&["dunlin-aggregator", "wrist-1"])
    else {
        return;
    };
    let device = open(account(&broker, &accounts, "wrist-1"));
    let state = "dunlin/v1/dev/wrist-1/state";
    assert!(device.link.close(vec![(state.into(), b"online".to_vec(), true)]));
    broker.stop();
    broker.restart();
    let aggregator = open(account(&broker, &accounts, "dunlin-aggregator"));
    subscribe(&broker, &aggregator, "dunlin-aggregator", &["dunlin/v1/dev/+/state"]);
    let device = open(account(&broker, &accounts, "wrist-1"));
    says(&device, state, "again");
    assert_eq!(next(&aggregator), message(state, "again"));
}

#[cfg(feature = "tls")]
#[test]
fn with_certificates_the_common_name_is_the_account_whatever_the_client_claims() {
    let Some(broker) = support::broker_with_certificates(&["wrist-1", "wrist-2"]) else { return };
    let aggregator = open(support::tls_client(&broker, "dunlin-aggregator", "dunlin-aggregator"));
    let filters = ["dunlin/v1/dev/+/state", "dunlin/v1/dev/+/up/#", "dunlin/v1/fed/#"];
    subscribe(&broker, &aggregator, "dunlin-aggregator", &filters);

    let mut liar = support::tls_client(&broker, "dunlin-aggregator", "wrist-1");
    liar.username = Some("dunlin-aggregator".into());
    let liar = open(liar);
    says(&liar, "dunlin/v1/fed/gait/plan", "forged");
    says(&liar, "dunlin/v1/dev/wrist-2/state", "forged");
    says(&liar, "dunlin/v1/dev/wrist-1/up/gait/0", "chunk");
    assert_eq!(next(&aggregator), message("dunlin/v1/dev/wrist-1/up/gait/0", "chunk"));

    subscribe(&broker, &liar, "wrist-1", &["dunlin/v1/dev/+/down/#"]);
    says(&aggregator, "dunlin/v1/dev/wrist-2/down/go", "secret");
    says(&aggregator, "dunlin/v1/dev/wrist-1/down/go", "go");
    assert_eq!(next(&liar), message("dunlin/v1/dev/wrist-1/down/go", "go"));
    assert!(!broker.log().contains("already connected"), "{}", broker.log());
}
