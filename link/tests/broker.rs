//! A link against a real Mosquitto.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::sync::{Arc, OnceLock};

use dunlin_link::testing::{Mosquitto, TestClient, new_folder};
use dunlin_link::{Link, LinkEvent, LinkSender, QueueLimits, Will};

fn payload(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 251).try_into().unwrap()).collect()
}

#[test]
fn payloads_of_11_and_120_kib_pass_both_ways() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    client.wait_connected();
    client.link.subscribe("echo/#".into());
    for bytes in [0, 11 * 1024, 120 * 1024] {
        client.link.publish("echo/a".into(), payload(bytes), false);
        assert_eq!(client.wait_message(), ("echo/a".into(), payload(bytes)));
    }
    let counters = client.link.counters();
    assert_eq!((counters.messages_up, counters.messages_down), (3, 3));
    assert_eq!(counters.payload_bytes_up, 131 * 1024);
    assert_eq!(counters.payload_bytes_down, 131 * 1024);
    assert_eq!((counters.dropped, counters.reconnects), (0, 0));
    assert!(client.link.close(Vec::new()));
}

#[test]
fn an_oversized_publication_is_dropped_before_it_can_harm_the_connection() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    client.wait_connected();
    client.link.publish("echo/a".into(), payload(130 * 1024), false);
    client.subscribe_and_wait("echo/#", "echo/b");
    assert_eq!(client.link.counters().dropped, 1);
    assert_eq!(client.link.counters().reconnects, 0);
}

#[test]
fn an_oversized_message_of_a_peer_costs_the_message_and_not_the_connection() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    client.wait_connected();
    client.subscribe_and_wait("echo/#", "echo/a");
    let Some(program) = dunlin_link::testing::installed("mosquitto_pub") else { return };
    let file = broker.folder().join("long");
    std::fs::write(&file, payload(130 * 1024)).unwrap();
    let status = std::process::Command::new(program)
        .args(["-p", &broker.port().to_string(), "-t", "echo/long", "-q", "1", "-f"])
        .arg(&file)
        .status();
    assert!(status.unwrap().success());
    client.subscribe_and_wait("echo/#", "echo/b");
    assert_eq!(client.link.counters().dropped, 1);
    assert_eq!(client.link.counters().reconnects, 0);
}

#[test]
fn a_broker_that_is_killed_and_comes_back_is_connected_again() {
    let Some(mut broker) = Mosquitto::anonymous() else { return };
    let client = TestClient::open(broker.client("wrist-1"));
    client.wait_connected();
    client.subscribe_and_wait("echo/#", "echo/a");
    broker.kill9();
    client.wait_disconnected();
    client.link.publish("echo/lost".into(), payload(10), false);
    broker.restart();
    client.wait_connected();
    // The broker remembers nothing, so everything is said again.
    client.subscribe_and_wait("echo/#", "echo/b");
    let counters = client.link.counters();
    assert_eq!((counters.reconnects, counters.dropped), (1, 1));
}

#[test]
fn a_sink_that_answers_a_thousand_messages_does_not_hang() {
    let Some(broker) = Mosquitto::start("allow_anonymous true\nmax_queued_messages 5000\n") else {
        return;
    };
    let sender: Arc<OnceLock<LinkSender>> = Arc::default();
    let (ready, connected) = std::sync::mpsc::channel();
    let answering = Arc::clone(&sender);
    let echo = Link::open(broker.client("echo"), move |event| {
        match event {
            LinkEvent::Connected => ready.send(()).unwrap(),
            LinkEvent::Message { payload, .. } => {
                let Some(sender) = answering.get() else { return false };
                sender.publish("answer".into(), payload, false);
            }
            LinkEvent::Disconnected { .. }
            | LinkEvent::Refused { .. }
            | LinkEvent::SubscribeRefused { .. } => {}
        }
        true
    })
    .unwrap();
    assert!(sender.set(echo.sender()).is_ok());
    connected.recv().unwrap();
    echo.subscribe("question".into());
    broker.wait_log("Sending SUBACK to echo", 1);

    let client = TestClient::open(broker.client("asker"));
    client.wait_connected();
    client.link.subscribe("answer".into());
    for number in 0..1000_u32 {
        client.link.publish("question".into(), number.to_le_bytes().to_vec(), false);
    }
    for number in 0..1000_u32 {
        assert_eq!(client.wait_message().1, number.to_le_bytes());
    }
    assert!(echo.close(Vec::new()) && client.link.close(Vec::new()));
}

#[test]
fn a_refused_password_is_told_and_not_tried_in_a_tight_loop() {
    let folder = new_folder();
    let passwords = folder.path().join("passwords");
    let Some(program) = dunlin_link::testing::installed("mosquitto_passwd") else { return };
    let arguments = ["-b", "-c", &passwords.display().to_string(), "wrist-1", "right"];
    assert!(std::process::Command::new(program).args(arguments).status().unwrap().success());
    let config = "allow_anonymous false\npassword_file {dir}/passwords\n";
    let Some(broker) = Mosquitto::start_in(folder, config) else { return };

    let mut wrong = broker.client("wrist-1");
    wrong.username = Some("wrist-1".into());
    wrong.password = Some("wrong".into());
    let mut right = wrong.clone();
    right.password = Some("right".into());

    let client = TestClient::open(wrong);
    let reason = client.wait(|event| match event {
        LinkEvent::Refused { reason } => Some(reason.clone()),
        LinkEvent::Connected
        | LinkEvent::Disconnected { .. }
        | LinkEvent::SubscribeRefused { .. }
        | LinkEvent::Message { .. } => None,
    });
    assert!(reason.contains("password"), "{reason}");
    // Another client does a good many things meanwhile.
    let other = TestClient::open(right);
    other.wait_connected();
    other.link.subscribe("echo".into());
    for _ in 0..500 {
        other.link.publish("echo".into(), payload(10), false);
        other.wait_message();
    }
    let attempts = broker.log().matches("(0, 5)").count();
    assert!((1..=3).contains(&attempts), "{attempts} attempts:\n{}", broker.log());
}

#[test]
fn the_last_will_is_published_on_abort_and_not_on_close() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let watcher = TestClient::open(broker.client("watcher"));
    watcher.wait_connected();
    watcher.subscribe_and_wait("state/#", "state/proof");
    let open = |id: &str| {
        let mut config = broker.client(id);
        config.will = Some(Will { topic: format!("state/{id}"), payload: b"lost".to_vec() });
        let client = TestClient::open(config);
        client.wait_connected();
        client
    };
    let polite = open("polite");
    polite.link.publish("state/polite".into(), b"online".to_vec(), true);
    assert!(polite.link.close(vec![("state/polite".into(), b"offline".to_vec(), true)]));
    open("rude").link.abort();

    let message = |topic: &str, payload: &str| (topic.to_owned(), payload.as_bytes().to_vec());
    assert_eq!(watcher.wait_message(), message("state/polite", "online"));
    assert_eq!(watcher.wait_message(), message("state/polite", "offline"));
    assert_eq!(watcher.wait_message(), message("state/rude", "lost"));

    // The will is retained: who comes later learns of it too.
    let late = TestClient::open(broker.client("late"));
    late.wait_connected();
    late.link.subscribe("state/rude".into());
    assert_eq!(late.wait_message(), message("state/rude", "lost"));
}

#[test]
fn close_sends_everything_that_is_queued() {
    let Some(broker) = Mosquitto::start("allow_anonymous true\nmax_queued_messages 5000\n") else {
        return;
    };
    let watcher = TestClient::open(broker.client("watcher"));
    watcher.wait_connected();
    watcher.subscribe_and_wait("bulk", "bulk");
    let client = TestClient::open(broker.client("wrist-1"));
    client.wait_connected();
    for _ in 0..200 {
        client.link.publish("bulk".into(), payload(1000), false);
    }
    assert!(client.link.close(vec![("bulk".into(), b"last".to_vec(), false)]));
    for _ in 0..200 {
        assert_eq!(watcher.wait_message().1.len(), 1000);
    }
    assert_eq!(watcher.wait_message().1, b"last");
}

#[test]
fn a_queue_that_runs_over_drops_the_connection_and_starts_over() {
    let Some(broker) = Mosquitto::anonymous() else { return };
    let mut config = broker.client("wrist-1");
    config.queue = QueueLimits { messages: 50, bytes: 200 * 1024 };
    let client = TestClient::open(config);
    client.wait_connected();
    // More than the system buffers, for a broker that reads nothing.
    broker.signal("STOP");
    for _ in 0..200 {
        client.link.publish("bulk".into(), payload(100 * 1024), false);
        assert!(client.link.backlog().bytes <= 200 * 1024);
    }
    broker.signal("CONT");
    assert!(client.wait_disconnected().contains("limits of the queue"));
    client.wait_connected();
    client.subscribe_and_wait("echo", "echo");
    assert!(client.link.counters().dropped > 0);
}

#[test]
fn a_broker_that_is_not_there_can_be_waited_for_and_left() {
    let Some(mut broker) = Mosquitto::anonymous() else { return };
    broker.kill9();
    let client = TestClient::open(broker.client("wrist-1"));
    let reason = client.wait_disconnected();
    assert!(reason.contains("mqtt://127.0.0.1"), "{reason}");
    assert!(!client.link.close(vec![("a".into(), vec![], false)]));
}
