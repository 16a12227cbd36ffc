//! Files that change under a running link.
#![allow(clippy::unwrap_used)] // helpers of tests
#![cfg(feature = "tls")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::time::Duration;

use dunlin_link::testing::{Mosquitto, TestClient};
use dunlin_link::{Dialer, Link, LinkConfig, LinkEvent, Will};

/// How often the links of these tests look at their files.
const LOOK: Duration = Duration::from_millis(200);

fn client_of(broker: &Mosquitto) -> LinkConfig {
    let mut config = support::tls_client(broker, "wrist-1", "wrist-1");
    config.look = LOOK;
    let topic = "dunlin/v1/dev/wrist-1/state".to_owned();
    config.will = Some(Will { topic, payload: b"lost".to_vec() });
    config
}

fn file(broker: &Mosquitto, ending: &str) -> PathBuf {
    broker.folder().join(format!("wrist-1.{ending}"))
}

/// A new key and certificate for the same device: their bytes. The files stay as they were.
fn renewal(broker: &Mosquitto) -> (Vec<u8>, Vec<u8>) {
    let old = ["crt", "key"].map(|ending| fs::read(file(broker, ending)).unwrap());
    fs::remove_file(file(broker, "key")).unwrap();
    support::run("make-certs.sh", broker.folder(), &["device", "wrist-1"]);
    let new = ["crt", "key"].map(|ending| fs::read(file(broker, ending)).unwrap());
    for (ending, bytes) in ["crt", "key"].iter().zip(&old) {
        fs::write(file(broker, ending), bytes).unwrap();
    }
    assert_ne!(old, new);
    let [crt, key] = new;
    (crt, key)
}

/// Waits until the link has had time to look several times.
#[allow(clippy::disallowed_methods)]
fn looks() {
    std::thread::sleep(5 * LOOK);
}

#[test]
fn a_renewed_certificate_is_used_in_a_quiet_moment_and_the_last_will_stays_unsaid() {
    let Some(broker) = support::broker_with_certificates(&["wrist-1"]) else { return };
    let (crt, key) = renewal(&broker);
    let client = TestClient::open(client_of(&broker));
    client.wait_connected();
    // The key comes first, and for a while it does not go with the certificate.
    fs::write(file(&broker, "key"), key).unwrap();
    looks();
    assert_eq!(broker.log().matches("Received DISCONNECT from wrist-1").count(), 0);
    fs::write(file(&broker, "crt"), crt).unwrap();
    let reason = client.wait_disconnected();
    assert!(reason.contains("files that have changed"), "{reason}");
    client.wait_connected();
    assert_eq!(broker.log().matches("Received DISCONNECT from wrist-1").count(), 1);
    assert!(!broker.log().contains("Sending Will"), "{}", broker.log());
}

#[test]
fn a_connection_that_is_lost_while_a_file_is_half_written_comes_back_with_what_was_good() {
    let Some(mut broker) = support::broker_with_certificates(&["wrist-1"]) else { return };
    let client = TestClient::open(client_of(&broker));
    client.wait_connected();
    for (ending, broken) in [("crt", ""), ("key", "-----BEGIN PRIVATE KEY-----\nMC4CAQ")] {
        fs::write(file(&broker, ending), broken).unwrap();
        looks();
        broker.restart();
        client.wait_disconnected();
        client.wait_connected();
    }
    fs::remove_file(file(&broker, "crt")).unwrap();
    broker.restart();
    client.wait_disconnected();
    client.wait_connected();
}

#[test]
fn a_link_that_is_opened_again_by_its_dialer_survives_files_that_cannot_be_read() {
    let Some(broker) = support::broker_with_certificates(&["wrist-1"]) else { return };
    let dialer = Dialer::new(client_of(&broker)).unwrap();
    let connect = || {
        let (sink, events) = channel();
        let link = Link::open_with(&dialer, None, move |event| sink.send(event).is_ok()).unwrap();
        let event = events.recv_timeout(Duration::from_secs(60)).unwrap();
        assert_eq!(event, LinkEvent::Connected);
        assert!(link.close(Vec::new()));
    };
    connect();
    fs::write(file(&broker, "crt"), "").unwrap();
    connect();
    // A start is another matter: a person is there to read what is wrong.
    let error = Dialer::new(client_of(&broker)).unwrap_err().to_string();
    assert!(error.contains("wrist-1.crt"), "{error}");
}

#[test]
fn a_password_that_changes_in_its_file_is_used_without_a_restart() {
    let names = ["wrist-1"];
    let Some((mut broker, accounts)) = support::broker_with_passwords(&names) else { return };
    let path = broker.folder().join("word");
    fs::write(&path, "old and wrong\n").unwrap();
    let mut config = broker.client("wrist-1");
    config.username = Some("wrist-1".into());
    config.password_file = Some(path.clone());
    let client = TestClient::open(config);
    let refused = client.wait(|event| match event {
        LinkEvent::Refused { reason } => Some(reason.clone()),
        LinkEvent::Connected
        | LinkEvent::Disconnected { .. }
        | LinkEvent::SubscribeRefused { .. }
        | LinkEvent::Message { .. } => None,
    });
    assert!(refused.contains("password"), "{refused}");
    fs::write(&path, format!("{}\n", accounts[0].1)).unwrap();
    client.wait_connected();
    broker.stop();
}
