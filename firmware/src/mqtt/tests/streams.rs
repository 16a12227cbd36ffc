//! Streams cut anywhere, and streams of nonsense.

use alloc::vec::Vec;

use dunlin_protocol::time::Instant;
use proptest::prelude::*;

use super::broker::message;
use super::{connected, connecting, drain, events, options, vector};
use crate::mqtt::{Client, Event, Options};

/// Feeds all of `bytes`, in parts that end where `cuts` say, as far as the client takes them.
fn feed(client: &mut Client, now: Instant, bytes: &[u8], cuts: &[usize]) -> (Vec<Event>, Vec<u8>) {
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % bytes.len().max(1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let (mut seen, mut written, mut at) = (Vec::new(), Vec::new(), 0);
    for end in ends {
        while at < end {
            at += client.receive(now, &bytes[at..end]);
            seen.extend(events(client));
            written.extend(drain(client));
        }
    }
    (seen, written)
}

const KNOWN: [&str; 3] =
    ["broker_message_qos0", "broker_message_qos1_again_retained", "broker_message_empty"];

fn packets() -> impl Strategy<Value = Vec<u8>> {
    let topic = "[a-zäß/]{1,12}";
    let payload = proptest::collection::vec(any::<u8>(), 0..90);
    let message =
        (topic, 1_u16.., payload).prop_map(|(topic, id, payload)| message(&topic, id, &payload));
    prop_oneof![4 => message, 1 => proptest::sample::select(&KNOWN[..]).prop_map(vector)]
}

proptest! {
    #[test]
    fn a_stream_gives_the_same_events_wherever_it_is_cut(
        packets in proptest::collection::vec(packets(), 1..6),
        cuts in proptest::collection::vec(any::<usize>(), 0..40),
        packet_bytes_max in 0_usize..400,
    ) {
        let bytes = packets.concat();
        let options = Options { packet_bytes_max, ..options() };
        let (mut whole, now) = connected(options.clone());
        let (mut torn, _) = connected(options.clone());
        let (mut single, _) = connected(options);
        let expected = feed(&mut whole, now, &bytes, &[]);
        prop_assert_eq!(expected.0.len(), packets.len());
        prop_assert_eq!(&feed(&mut torn, now, &bytes, &cuts), &expected);
        let every: Vec<usize> = (0..bytes.len()).collect();
        prop_assert_eq!(&feed(&mut single, now, &bytes, &every), &expected);
    }

    #[test]
    fn nonsense_never_panics_and_holds_no_more_than_the_limit(
        stood in any::<bool>(),
        parts in proptest::collection::vec(
            prop_oneof![proptest::collection::vec(any::<u8>(), 0..60), packets()], 1..30),
        steps in proptest::collection::vec(0_u64..20_000, 30),
    ) {
        let options = Options { packet_bytes_max: 100, out_bytes_max: 128, ..options() };
        let (mut client, mut now) = if stood { connected(options) } else { connecting(options) };
        for (part, step) in parts.iter().zip(steps) {
            let mut rest = &part[..];
            while !rest.is_empty() {
                rest = &rest[client.receive(now, rest)..];
                let (bytes, waiting) = client.held();
                prop_assert!(bytes <= 100 && waiting <= 2);
                prop_assert!(client.output().len() <= 128 + 32);
                events(&mut client);
                drain(&mut client);
            }
            client.publish(now, "up", b"x", false);
            client.subscribe(now, "down");
            now = now.after(step);
            client.tick(now);
            prop_assert!(client.next_deadline().is_some_and(|due| due > now));
        }
    }

    #[test]
    fn output_comes_out_whole_however_the_stream_takes_it(
        payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 1..20),
        counts in proptest::collection::vec(0_usize..200, 1..200),
    ) {
        let (mut client, now) = connected(Options { out_bytes_max: 256, ..options() });
        let (mut expected, mut taken) = (Vec::new(), Vec::new());
        let mut counts = counts.into_iter();
        for (id, payload) in (1..).zip(&payloads) {
            while !client.publish(now, "up", payload, false) {
                let Some(count) = counts.next() else { return Ok(()) };
                let count = count.min(client.output().len());
                taken.extend_from_slice(&client.output()[..count]);
                client.written(count);
            }
            expected.extend(message("up", id, payload));
        }
        taken.extend(drain(&mut client));
        prop_assert_eq!(taken, expected);
    }
}
