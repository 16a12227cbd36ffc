//! Encrypted connections with the certificates that `make-certs.sh` makes.
#![allow(clippy::unwrap_used)] // helpers of tests
#![cfg(feature = "tls")]

mod support;

use dunlin_link::testing::{Mosquitto, TestClient, new_folder};
use dunlin_link::{Link, LinkConfig, TlsFiles};

#[test]
fn a_server_certificate_is_checked_against_the_named_authority() {
    if !support::openssl_is_there() {
        return;
    }
    let folder = new_folder();
    support::run("make-certs.sh", folder.path(), &["ca"]);
    support::run("make-certs.sh", folder.path(), &["server", "localhost"]);
    let foreign = new_folder();
    support::run("make-certs.sh", foreign.path(), &["ca"]);
    let settings = "allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {dir}/ca.crt\n\
                    certfile {dir}/server.crt\nkeyfile {dir}/server.key\n";
    let Some(broker) = Mosquitto::start_in(folder, settings) else { return };

    let client = TestClient::open(support::tls_client(&broker, "wrist-1", ""));
    client.wait_connected();
    client.link.subscribe("echo".into());
    let payload = vec![7; 120 * 1024];
    client.link.publish("echo".into(), payload.clone(), false);
    assert_eq!(client.wait_message().1, payload);
    assert!(client.link.close(Vec::new()));

    let mut distrustful = support::tls_client(&broker, "wrist-2", "");
    let ca = Some(foreign.path().join("ca.crt"));
    distrustful.tls = Some(TlsFiles { ca, ..TlsFiles::default() });
    let reason = TestClient::open(distrustful).wait_disconnected();
    assert!(reason.contains("certificate"), "{reason}");

    let mut other_name = support::tls_client(&broker, "wrist-3", "");
    other_name.url = format!("mqtts://127.0.0.1:{}", broker.port()).parse().unwrap();
    let reason = TestClient::open(other_name).wait_disconnected();
    assert!(reason.contains("certificate"), "{reason}");
}

#[test]
fn a_client_shows_its_own_certificate_and_one_without_stays_out() {
    let Some(mut broker) = support::broker_with_certificates(&["wrist-1"]) else { return };
    let client = TestClient::open(support::tls_client(&broker, "wrist-1", "wrist-1"));
    client.wait_connected();
    client.link.publish("dunlin/v1/dev/wrist-1/state".into(), b"online".to_vec(), true);
    assert!(client.link.close(Vec::new()));
    let nameless = TestClient::open(support::tls_client(&broker, "wrist-1", ""));
    nameless.wait_disconnected();

    // A lost device's certificate is revoked, and the broker reads the list when it starts.
    support::run("make-certs.sh", broker.folder(), &["revoke", "wrist-1"]);
    broker.restart();
    TestClient::open(support::tls_client(&broker, "wrist-1", "wrist-1")).wait_disconnected();
    let aggregator =
        TestClient::open(support::tls_client(&broker, "dunlin-aggregator", "dunlin-aggregator"));
    aggregator.wait_connected();
}

#[test]
fn certificate_and_key_of_different_clients_are_refused_with_both_names() {
    if !support::openssl_is_there() {
        return;
    }
    let folder = new_folder();
    for arguments in [["ca", ""].as_slice(), &["device", "a"], &["device", "b"]] {
        support::run("make-certs.sh", folder.path(), arguments);
    }
    let mut config = LinkConfig::new("mqtts://localhost".parse().unwrap(), "a");
    config.tls = Some(TlsFiles {
        ca: Some(folder.path().join("ca.crt")),
        cert: Some(folder.path().join("a.crt")),
        key: Some(folder.path().join("b.key")),
    });
    let error = Link::open(config, |_| true).err().unwrap().to_string();
    assert!(error.contains("a.crt") && error.contains("b.key"), "{error}");
}
