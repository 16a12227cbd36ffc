//! Connections that come, stand, are lost and come again.

use alloc::vec::Vec;

use dunlin_protocol::time::Instant;

use super::broker::{World, event, message};
use super::{connected, drain, events, options, vector};
use crate::mqtt::{Client, ConnectRefusal, Event, Options};

fn is_disconnected(event: &Event) -> bool {
    matches!(event, Event::Disconnected(_))
}

fn is_failed(event: &Event) -> bool {
    matches!(event, Event::Failed(_))
}

#[test]
fn it_connects_says_what_is_asked_and_leaves_in_order() {
    let mut world = World::new(options());
    world.run(3_000);
    assert_eq!(world.events, [Event::Connected]);
    let now = world.now;
    assert!(world.client.subscribe(now, "down"));
    assert!(world.client.publish(now, "up", b"one", false));
    world.inject(&message("down", 5, b"two"));
    world.run(200);
    assert_eq!(world.published, [b"one"]);
    assert_eq!(world.events[1..], [event("down", b"two")]);
    world.client.publish(world.now, "up", b"last", true);
    world.client.disconnect();
    world.run(200);
    assert_eq!(world.published[1..], [b"last"]);
    assert_eq!(world.seen.last(), Some(&0xE0));
    assert_eq!(world.client.next_deadline(), None);
    assert!(!world.client.publish(world.now, "up", b"", false), "nobody would hear it");
    // It stays away until it is told.
    world.run(100_000);
    assert_eq!(world.client.counters().connections, 1);
    world.client.connect(world.now);
    world.run(3_000);
    assert_eq!(world.client.counters().connections, 2);
    assert_eq!(world.client.counters().losses, 0);
}

#[test]
fn a_quiet_connection_stands_by_pings() {
    let mut world = World::new(Options { keep_alive_s: 10, ..options() });
    world.run(100_000);
    assert_eq!(world.events, [Event::Connected]);
    let pings = world.seen.iter().filter(|&&first| first == 0xC0).count();
    assert!((17..=20).contains(&pings), "{pings}");
}

#[test]
fn a_connection_made_anew_underneath_is_noticed_by_the_ping_and_replaced() {
    let mut world = World::new(options());
    world.run(3_000);
    world.cut();
    world.run(30_000 + 10_000 + 5_000);
    assert_eq!(world.count(is_disconnected), 1);
    assert!(world.violations >= 1, "the ping reached a broker that knows nobody");
    assert_eq!(world.events.last(), Some(&Event::Connected));
    let now = world.now;
    assert!(world.client.publish(now, "up", b"again", false));
    world.run(200);
    assert_eq!(world.published, [b"again"]);
}

#[test]
fn a_publication_that_is_not_acknowledged_ends_the_connection_within_twenty_seconds() {
    let mut world = World::new(options());
    world.run(3_000);
    world.mute = true;
    let now = world.now;
    assert!(world.client.publish(now, "up", b"lost", false));
    world.run(19_900);
    assert_eq!(world.count(is_disconnected), 0);
    world.run(200);
    assert_eq!(world.count(is_disconnected), 1);
}

#[test]
fn answers_may_be_late_while_other_messages_come_but_not_for_ever() {
    let (mut client, start) = connected(options());
    assert!(client.publish(start, "up", b"", false));
    let step = |client: &mut Client, at: u64| {
        let now = start.after(at);
        client.receive(now, &message("down", 1, b"x"));
        events(client);
        drain(client);
        client.tick(now);
        client.is_connected()
    };
    assert!((1..12).all(|at| step(&mut client, at * 5_000)));
    assert!(!step(&mut client, 60_000));
}

#[test]
fn a_broken_stream_is_out_of_step_and_comes_back_by_itself() {
    for junk in
        [&b"\x00"[..], b"\xFF\xFF", b"\x20\x02\x00\x00", b"\x30\xFF\xFF\xFF\xFF", b"\x30\x01\x00"]
    {
        let mut world = World::new(options());
        world.run(3_000);
        world.inject(junk);
        world.run(100);
        assert_eq!(world.count(is_disconnected), 1, "{junk:?}");
        world.run(3_000);
        assert_eq!(world.events.last(), Some(&Event::Connected), "{junk:?}");
    }
}

#[test]
fn the_rest_of_an_old_packet_before_connect_is_discarded() {
    let mut world = World::new(options());
    for _ in 0..10 {
        world.inject(&message("down", 9, b"of another connection")[3..]);
        world.run(100);
    }
    world.run(2_000);
    assert_eq!(world.events, [Event::Connected]);
}

#[test]
fn a_device_that_starts_anew_replaces_the_connection_that_its_stream_still_holds() {
    let mut world = World::new(options());
    world.run(3_000);
    // A reset of the device: the stream and the broker know nothing of it.
    world.client = Client::new(options(), 8).unwrap();
    world.client.connect(world.now);
    world.run(3_000);
    assert_eq!(world.events, [Event::Connected, Event::Connected]);
    assert_eq!(world.violations, 1, "the goodbye on the very first connection");
}

#[test]
fn the_rest_of_a_packet_goes_out_before_the_goodbye() {
    let (mut client, now) = connected(options());
    assert!(client.publish(now, "up", &[7; 300], false));
    assert!(client.publish(now, "up", &[8; 300], false));
    let packets = client.output().to_vec();
    let first = packets.len() / 2;
    client.written(100);
    client.stream_broke(now);
    let mut expected = packets[100..first].to_vec();
    expected.extend_from_slice(&vector("client_disconnect"));
    assert_eq!(drain(&mut client), expected);
    // A packet that ended just here leaves nothing.
    let (mut client, now) = connected(options());
    assert!(client.publish(now, "up", &[7; 300], false));
    assert!(client.publish(now, "up", &[8; 300], false));
    client.written(first);
    client.stream_broke(now);
    assert_eq!(drain(&mut client), vector("client_disconnect"));
}

#[test]
fn no_connect_is_said_before_the_stream_took_the_goodbye() {
    let mut client = Client::new(options(), 1).unwrap();
    client.connect(Instant(0));
    for at in 0..200 {
        client.tick(Instant(at * 1_000));
        assert_eq!(client.output(), vector("client_disconnect"));
    }
    drain(&mut client);
    let due = client.next_deadline().unwrap();
    client.tick(due);
    assert_eq!(client.output(), vector("client_connect"));
}

#[test]
fn attempts_become_rare_while_no_broker_answers_and_events_do_not_pile_up() {
    let mut client = Client::new(options(), 1).unwrap();
    client.connect(Instant(0));
    let mut connects = Vec::new();
    for at in (0..3_600_000).step_by(100) {
        client.tick(Instant(at));
        if drain(&mut client).first() == Some(&0x10) {
            connects.push(at);
        }
        assert!(client.held().1 <= 1);
    }
    let waits: Vec<u64> = connects.windows(2).map(|pair| pair[1] - pair[0] - 10_000).collect();
    assert!(waits[0] >= 1_500 && waits[0] <= 2_600, "{waits:?}");
    assert!(waits[6..].iter().all(|wait| (45_000..=75_200).contains(wait)), "{waits:?}");
    assert!(events(&mut client).iter().all(is_failed));
}

#[test]
fn wrong_credentials_are_tried_again_no_sooner_than_after_half_a_minute() {
    let mut world = World::new(options());
    world.code = 4;
    world.run(3_000);
    assert_eq!(world.events, [Event::Refused(ConnectRefusal::Credentials)]);
    world.run(28_000);
    assert_eq!(world.seen.iter().filter(|&&first| first == 0x10).count(), 1);
    world.code = 0;
    world.run(25_000);
    assert_eq!(world.events.last(), Some(&Event::Connected));
}

#[test]
fn a_broker_that_is_not_ready_is_tried_again_soon() {
    let mut world = World::new(options());
    world.code = 3;
    world.run(3_000);
    world.code = 0;
    world.run(3_000);
    let expected = [Event::Refused(ConnectRefusal::Unavailable), Event::Connected];
    assert_eq!(world.events, expected);
}

#[test]
fn a_stream_that_takes_few_bytes_at_a_time_changes_nothing() {
    let mut world = World::new(options());
    world.speed = 3;
    world.run(6_000);
    assert_eq!(world.events, [Event::Connected]);
    let now = world.now;
    assert!(world.client.publish(now, "up", &[7; 100], false));
    world.run(4_000);
    assert_eq!(world.published, [[7; 100]]);
}

#[test]
fn nothing_is_taken_or_acknowledged_while_an_event_waits() {
    let (mut client, now) = connected(options());
    let both = [message("down", 1, b"one"), message("down", 2, b"two")].concat();
    let taken = client.receive(now, &both);
    assert_eq!(taken, both.len() / 2);
    assert_eq!(client.receive(now, &both[taken..]), 0);
    assert_eq!(drain(&mut client), [0x40, 2, 0, 1]);
    assert_eq!(events(&mut client), [event("down", b"one")]);
    assert_eq!(client.receive(now, &both[taken..]), taken);
    assert_eq!(drain(&mut client), [0x40, 2, 0, 2]);
    assert_eq!(events(&mut client), [event("down", b"two")]);
}

#[test]
fn output_stays_within_its_limit_and_the_caller_is_told() {
    let (mut client, now) = connected(Options { out_bytes_max: 200, ..options() });
    assert!(client.publish(now, "up", &[0; 150], false));
    assert!(!client.publish(now, "up", &[0; 150], false));
    assert!(!client.subscribe(now, &"t".repeat(100)));
    assert!(client.subscribe(now, "t"));
    // Acknowledgements have room of their own, and where it ends nothing more is read.
    let mut acks = 0;
    while client.receive(now, &message("down", 1, b"x")) > 0 {
        acks += 1;
        events(&mut client);
        assert!(client.output().len() <= 232);
        assert!(acks < 100);
    }
    assert!(acks >= 6, "{acks}");
    drain(&mut client);
    assert!(client.receive(now, &message("down", 1, b"x")) > 0);
    assert!(client.publish(now, "up", &[0; 150], false));
}

#[test]
fn so_many_packets_wait_for_acknowledgement_and_ids_go_round() {
    let (mut client, now) = connected(options());
    let mut ids = Vec::new();
    for _ in 0..70_000 {
        assert!(client.publish(now, "t", b"", false));
        let packet = drain(&mut client);
        let id = [packet[5], packet[6]];
        ids.push(u16::from_be_bytes(id));
        client.receive(now, &[0x40, 2, id[0], id[1]]);
    }
    assert!(client.is_connected());
    assert_eq!((ids[0], ids[65_534], ids[65_535]), (1, u16::MAX, 1));
    let mut waiting = 0;
    while client.publish(now, "t", b"", false) {
        drain(&mut client);
        waiting += 1;
    }
    assert_eq!(waiting, 32);
}

#[test]
fn a_message_that_is_too_long_is_skipped_acknowledged_and_the_next_one_read() {
    let (mut client, now) = connected(Options { packet_bytes_max: 64, ..options() });
    let long = vector("broker_message_qos1_again_retained");
    let bytes = [&long[..], &message("down", 2, b"short")].concat();
    let mut rest = &bytes[..];
    let mut seen = Vec::new();
    while !rest.is_empty() {
        let taken = client.receive(now, &rest[..rest.len().min(10)]);
        rest = &rest[taken..];
        assert!(client.held().0 <= 64);
        seen.extend(events(&mut client));
    }
    let skipped = Event::TooLong { bytes: long.len() - 3 };
    assert_eq!(seen, [skipped, event("down", b"short")]);
    assert_eq!(drain(&mut client), [0x40, 2, 0x12, 0x34, 0x40, 2, 0, 2]);
    assert_eq!(client.counters().skipped, 1);
}

#[test]
fn a_false_length_that_swallows_everything_ends_with_the_ping() {
    let mut world = World::new(options());
    world.run(3_000);
    // A header of 268 million bytes: all that comes now seems to belong to it.
    world.inject(b"\x30\xFF\xFF\xFF\x7F\x00\x04down");
    for id in 1..100 {
        world.inject(&message("down", id, b"x"));
        world.run(1_000);
    }
    assert_eq!(world.count(is_disconnected), 1);
    assert!(world.client.is_connected());
}

#[test]
fn topics_that_no_broker_sends_are_out_of_step() {
    for topic in ["", "a/#", "+/b", "a\0"] {
        let (mut client, now) = connected(options());
        client.receive(now, &message(topic, 1, b"x"));
        assert!(!client.is_connected(), "{topic:?}");
        assert_eq!(drain(&mut client), vector("client_disconnect"), "not acknowledged");
    }
    let (mut client, now) = connected(options());
    client.receive(now, b"\x30\x03\x00\x01\xFF");
    assert!(!client.is_connected());
}

#[test]
fn leaving_before_the_broker_answered_leaves_too() {
    let (mut client, now) = super::connecting(options());
    client.disconnect();
    let expected = [vector("client_connect"), vector("client_disconnect")].concat();
    assert_eq!(drain(&mut client), expected);
    client.receive(now, &vector("broker_connack"));
    assert_eq!(events(&mut client), []);
    // Told to come back at once, it still says what waits.
    let (mut client, now) = connected(options());
    assert!(client.publish(now, "up", b"last", false));
    let publication = client.output().to_vec();
    client.disconnect();
    client.connect(now);
    assert!(client.output().starts_with(&publication));
}

#[test]
fn counters_count_bytes_of_the_stream() {
    let (mut client, now) = connected(options());
    let before = client.counters();
    assert_eq!(before.bytes_in, 4);
    assert!(client.publish(now, "topic", b"payload", false));
    client.written(3);
    client.written(usize::MAX);
    assert_eq!(client.counters().bytes_out - before.bytes_out, 2 + 2 + 5 + 2 + 7);
    assert_eq!(client.output(), b"");
}
