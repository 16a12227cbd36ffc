//! Several brokers, and brokers with limits.
#![allow(clippy::unwrap_used)] // helpers of tests

use dunlin_link::LinkConfig;
use dunlin_link::testing::{Mosquitto, TestClient};

fn on_both(first: &Mosquitto, second: &Mosquitto) -> LinkConfig {
    let mut config = first.client("wrist-1");
    config.more_urls = vec![second.url().parse().unwrap()];
    config
}

fn logins(broker: &Mosquitto) -> usize {
    broker.log().matches(" as wrist-1 ").count()
}

#[test]
fn a_link_moves_to_the_next_broker_when_its_own_dies_and_stays_there() {
    let (first, second) = (Mosquitto::anonymous(), Mosquitto::anonymous());
    let (Some(mut first), Some(mut second)) = (first, second) else { return };
    let client = TestClient::open(on_both(&first, &second));
    client.wait_connected();
    assert_eq!((logins(&first), logins(&second)), (1, 0));
    first.kill9();
    let reason = client.wait_disconnected();
    assert!(reason.contains(&first.url()), "{reason}");
    client.wait_connected();
    assert_eq!(logins(&second), 1);
    first.restart();
    client.subscribe_and_wait("proof", "proof");
    assert_eq!((logins(&first), logins(&second)), (1, 1), "the one that works is kept");
    second.restart();
    client.wait_disconnected();
    client.wait_connected();
    assert_eq!((logins(&first), logins(&second)), (1, 2), "and tried first");
    second.kill9();
    client.wait_disconnected();
    client.wait_connected();
    assert_eq!(logins(&first), 2, "and round again");
}

#[test]
fn a_first_broker_that_is_dead_from_the_start_does_not_matter() {
    let (first, second) = (Mosquitto::anonymous(), Mosquitto::anonymous());
    let (Some(mut first), Some(second)) = (first, second) else { return };
    first.kill9();
    let client = TestClient::open(on_both(&first, &second));
    let reason = client.wait_disconnected();
    let next = format!("tries {} next", second.url());
    assert!(reason.contains(&first.url()) && reason.contains(&next), "{reason}");
    client.wait_connected();
    assert_eq!(logins(&second), 1);
}

#[test]
fn a_packet_over_the_brokers_limit_is_told_with_its_length_and_counted() {
    let config = "allow_anonymous true\nmax_packet_size 2000\n";
    let Some(broker) = Mosquitto::start(config) else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    for times in 1..=2 {
        client.wait_connected();
        client.subscribe_and_wait("proof", "proof");
        client.link.publish("long".into(), vec![7; 3000], false);
        let reason = client.wait_disconnected();
        assert!(reason.contains("a packet of 3013 bytes"), "{reason}");
        assert!(reason.contains("updates.chunk_kib"), "{reason}");
        let oversize = client.link.oversize().unwrap();
        assert_eq!((oversize.bytes, oversize.passed, oversize.times), (3013, 19, times));
    }
    client.wait_connected();
    client.link.publish("short".into(), vec![7; 1500], false);
    client.subscribe_and_wait("proof", "proof");
    assert!(client.link.oversize().is_some(), "what was too long may still be");
}
