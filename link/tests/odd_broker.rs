//! Brokers that behave as none should, played by a few lines over TCP.
#![allow(clippy::unwrap_used)] // helpers of tests

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::thread;

use dunlin_link::testing::TestClient;
use dunlin_link::{Link, LinkConfig, LinkEvent, Will};

const CONNACK: [u8; 4] = [0x20, 2, 0, 0];

/// Answers every connection by `serve` on a thread; a client configuration for it.
fn broker(serve: impl Fn(TcpStream) + Send + 'static) -> LinkConfig {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        for stream in socket.incoming() {
            serve(stream.unwrap());
        }
    });
    LinkConfig::new(url.parse().unwrap(), "wrist-1")
}

/// Reads one packet: its first byte and the rest after the length. `None` when the client is gone.
fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] & 0x80 == 0 {
            break;
        }
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).ok()?;
    Some((first, rest))
}

#[test]
fn a_refused_subscription_is_told_with_its_topic() {
    let client = TestClient::open(broker(|mut stream| {
        while let Some((first, rest)) = read_packet(&mut stream) {
            let answer = match first >> 4 {
                1 => CONNACK.to_vec(),
                8 => vec![0x90, 3, rest[0], rest[1], if rest[4] == b'n' { 0x80 } else { 1 }],
                _ => return,
            };
            stream.write_all(&answer).unwrap();
        }
    }));
    client.wait_connected();
    client.link.subscribe("yes".into());
    client.link.subscribe("no".into());
    let refused = client.wait(|event| match event {
        LinkEvent::SubscribeRefused { topic } => Some(topic.clone()),
        LinkEvent::Connected
        | LinkEvent::Disconnected { .. }
        | LinkEvent::Refused { .. }
        | LinkEvent::Message { .. } => None,
    });
    assert_eq!(refused, "no");
}

#[test]
fn garbage_instead_of_mqtt_is_a_lost_connection() {
    for garbage in
        [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), &[0xff; 64], &[0x30, 0x80, 0x80]]
    {
        let client = TestClient::open(broker(move |mut stream| {
            // The client may have hung up by now.
            let _ = stream.write_all(garbage);
        }));
        let reason = client.wait_disconnected();
        assert!(reason.contains("mqtt://127.0.0.1"), "{reason}");
    }
}

#[test]
fn a_packet_that_claims_to_be_endless_is_not_waited_for() {
    let client = TestClient::open(broker(|mut stream| {
        read_packet(&mut stream);
        let _ = stream.write_all(&CONNACK);
        let _ = stream.write_all(&[0x30, 0xff, 0xff, 0xff, 0x7f]);
        read_packet(&mut stream);
    }));
    client.wait_connected();
    client.wait_disconnected();
}

#[test]
fn a_broker_that_acknowledges_nothing_does_not_hold_up_the_end() {
    let (hung_up, seen) = channel();
    let client = TestClient::open(broker(move |mut stream| {
        let mut kinds = Vec::new();
        while let Some((first, _)) = read_packet(&mut stream) {
            kinds.push(first >> 4);
            if first >> 4 == 1 {
                stream.write_all(&CONNACK).unwrap();
            }
        }
        hung_up.send(kinds).unwrap();
    }));
    client.wait_connected();
    client.link.publish("a".into(), vec![1], false);
    assert!(!client.link.close(vec![("a".into(), vec![2], false)]));
    // CONNECT, two PUBLISHes, and no DISCONNECT: the last will is right when something is unsaid.
    assert_eq!(seen.recv().unwrap(), [1, 3, 3]);
}

#[test]
fn a_silent_broker_does_not_hold_up_an_abort() {
    let (dialled, was_dialled) = channel();
    let config = broker(move |mut stream| {
        read_packet(&mut stream);
        dialled.send(()).unwrap();
        read_packet(&mut stream);
    });
    let client = TestClient::open(config);
    was_dialled.recv().unwrap();
    client.link.abort();
}

#[test]
fn what_is_dialled_is_mqtt_3_1_1_with_a_clean_session_and_a_retained_will() {
    let (dialled, was_dialled) = channel();
    let mut config = broker(move |mut stream| dialled.send(read_packet(&mut stream)).unwrap());
    config.keep_alive_s = 1160;
    config.username = Some("user".into());
    config.password = Some("pass".into());
    config.will = Some(Will { topic: "w".into(), payload: vec![9] });
    let _client = TestClient::open(config);
    let (_, connect) = was_dialled.recv().unwrap().unwrap();
    assert_eq!(&connect[..7], b"\0\x04MQTT\x04");
    // User name, password, will retained with QoS 1, will, clean session.
    assert_eq!(connect[7], 0b1110_1110);
    assert_eq!(u16::from_be_bytes([connect[8], connect[9]]), 1160);
}

#[test]
fn a_connection_that_the_program_does_not_notice_is_given_up() {
    let config = broker(|mut stream| {
        read_packet(&mut stream);
        let _ = stream.write_all(&CONNACK);
        read_packet(&mut stream);
    });
    let (told, reasons) = channel();
    let link = Link::open(config, move |event| match event {
        LinkEvent::Connected => false,
        LinkEvent::Disconnected { reason } => told.send(reason).is_ok(),
        LinkEvent::Refused { .. }
        | LinkEvent::SubscribeRefused { .. }
        | LinkEvent::Message { .. } => true,
    })
    .unwrap();
    assert!(reasons.recv().unwrap().contains("did not take"));
    link.publish("a".into(), vec![], false);
    assert_eq!(link.counters().dropped, 1);
}

#[test]
fn a_refused_client_id_names_the_keep_alive_as_the_other_cause() {
    let client = TestClient::open(broker(|mut stream| {
        read_packet(&mut stream);
        let _ = stream.write_all(&[0x20, 2, 0, 2]);
    }));
    let reason = client.wait(|event| match event {
        LinkEvent::Refused { reason } => Some(reason.clone()),
        LinkEvent::Connected
        | LinkEvent::Disconnected { .. }
        | LinkEvent::SubscribeRefused { .. }
        | LinkEvent::Message { .. } => None,
    });
    assert!(reason.contains("client id") && reason.contains("keep_alive_s = 30"), "{reason}");
}
