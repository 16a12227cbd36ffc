//! The client against a broker of twenty lines, over a stream that is cut and made anew silently.

#![allow(clippy::indexing_slicing)]

mod broker;
mod life;
mod streams;
mod vectors;

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use dunlin_protocol::time::Instant;

use super::{Client, Event, Options, Will};

/// The options with which Paho wrote its vectors.
fn options() -> Options {
    Options {
        client_id: "wrist-1".to_owned(),
        username: None,
        password: None,
        keep_alive_s: 60,
        will: Will { topic: "dunlin/v1/dev/wrist-1".to_owned(), payload: b"\x01gone".to_vec() },
        packet_bytes_max: 512,
        out_bytes_max: 1024,
    }
}

/// The bytes of one packet that an independent program made.
fn vector(name: &str) -> Vec<u8> {
    let lines = include_str!("tests/mqtt.txt").lines();
    let mut pairs = lines.filter_map(|line| line.split_once(' '));
    let hex = pairs.find(|(found, _)| *found == name).unwrap().1;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// Takes all that waits for the stream.
fn drain(client: &mut Client) -> Vec<u8> {
    let bytes = client.output().to_vec();
    client.written(bytes.len());
    bytes
}

/// Takes all events that wait, the oldest first.
fn events(client: &mut Client) -> Vec<Event> {
    core::iter::from_fn(|| client.poll_event()).collect()
}

/// A client that has said CONNECT, at this moment.
fn connecting(options: Options) -> (Client, Instant) {
    let mut client = Client::new(options, 1).unwrap();
    client.connect(Instant(0));
    drain(&mut client);
    let now = client.next_deadline().unwrap();
    client.tick(now);
    (client, now)
}

/// A client that the broker took in, at this moment, with nothing left to write or poll.
fn connected(options: Options) -> (Client, Instant) {
    let (mut client, now) = connecting(options);
    drain(&mut client);
    client.receive(now, &vector("broker_connack"));
    assert_eq!(events(&mut client), [Event::Connected]);
    (client, now)
}
