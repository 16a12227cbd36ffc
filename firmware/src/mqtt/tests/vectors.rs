//! Packets that Paho wrote, and packets that it reads.

use alloc::borrow::ToOwned;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::{connected, connecting, drain, events, options, vector};
use crate::mqtt::{ConnectRefusal, Event, Options, OptionsError};

fn long() -> Vec<u8> {
    (0..300_u16).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

#[test]
fn every_packet_of_ours_has_the_bytes_that_paho_writes() {
    let (mut client, now) = connecting(options());
    assert_eq!(drain(&mut client), vector("client_connect"));
    let account = Options {
        username: Some("wrist".to_owned()),
        password: Some("secret".to_owned()),
        ..options()
    };
    let (mut with_account, _) = connecting(account);
    assert_eq!(drain(&mut with_account), vector("client_connect_account"));

    client.receive(now, &vector("broker_connack"));
    events(&mut client);
    let up = "dunlin/v1/fed/gait/up/0";
    assert!(client.publish(now, up, b"\x00\x01update", false));
    assert_eq!(drain(&mut client), vector("client_publish_1"));
    assert!(client.subscribe(now, "dunlin/v1/fed/+/plan"));
    assert_eq!(drain(&mut client), vector("client_subscribe_2"));
    assert!(client.unsubscribe(now, "dunlin/v1/fed/+/plan"));
    assert_eq!(drain(&mut client), vector("client_unsubscribe_3"));
    assert!(client.publish(now, up, &long(), true));
    assert_eq!(drain(&mut client), vector("client_publish_4_retained_long"));
    client.receive(now, &vector("broker_message_qos1"));
    assert_eq!(drain(&mut client), vector("client_puback_1234"));
    client.tick(now.after(30_000));
    assert!(!client.is_connected(), "the publications were never acknowledged");
}

#[test]
fn pings_and_goodbyes_have_the_bytes_that_paho_writes() {
    let (mut client, now) = connected(options());
    client.tick(now.after(30_000));
    assert_eq!(drain(&mut client), vector("client_pingreq"));
    client.disconnect();
    assert_eq!(drain(&mut client), vector("client_disconnect"));
}

#[test]
fn every_message_that_paho_reads_comes_out_and_is_acknowledged_at_qos_1_only() {
    let cases = [
        ("broker_message_qos0", "a/b", b"hello".to_vec(), None),
        ("broker_message_qos1", "a/b", b"hello".to_vec(), Some([0x12, 0x34])),
        ("broker_message_qos1_again_retained", "a/b", long(), Some([0x12, 0x34])),
        ("broker_message_empty", "ä/b", Vec::new(), Some([0, 7])),
    ];
    let (mut client, now) = connected(options());
    for (name, topic, payload, ack) in cases {
        assert_eq!(client.receive(now, &vector(name)), vector(name).len());
        let topic = topic.to_string();
        assert_eq!(events(&mut client), [Event::Message { topic, payload }], "{name}");
        let expected = ack.map_or(Vec::new(), |[high, low]| [0x40, 2, high, low].to_vec());
        assert_eq!(drain(&mut client), expected, "{name}");
    }
}

#[test]
fn acknowledgements_of_what_we_asked_are_taken() {
    let (mut client, now) = connected(options());
    assert!(client.publish(now, "t", b"", false));
    assert!(client.subscribe(now, "t") && client.unsubscribe(now, "t"));
    for name in ["broker_puback_1", "broker_suback_2", "broker_unsuback_3"] {
        client.receive(now, &vector(name));
        assert_eq!(events(&mut client), [], "{name}");
    }
    assert!(client.is_connected());
}

#[test]
fn a_refused_subscription_names_its_topic() {
    let (mut client, now) = connected(options());
    assert!(client.subscribe(now, "first") && client.subscribe(now, "second"));
    client.receive(now, &vector("broker_suback_2_refused"));
    let topic = "second".to_owned();
    assert_eq!(events(&mut client), [Event::SubscribeRefused { topic }]);
    assert!(client.is_connected());
}

#[test]
fn a_message_at_qos_2_and_answers_to_nothing_are_out_of_step() {
    for name in [
        "broker_message_qos2",
        "broker_puback_1",
        "broker_suback_2",
        "broker_unsuback_3",
        "broker_pingresp",
        "broker_connack",
    ] {
        let (mut client, now) = connected(options());
        client.receive(now, &vector(name));
        let events = events(&mut client);
        assert!(matches!(events[..], [Event::Disconnected(_)]), "{name}: {events:?}");
        assert_eq!(drain(&mut client), vector("client_disconnect"), "{name}");
    }
}

#[test]
fn an_acknowledgement_of_another_kind_is_out_of_step() {
    let (mut client, now) = connected(options());
    assert!(client.subscribe(now, "t"));
    client.receive(now, &vector("broker_puback_1"));
    assert!(!client.is_connected());
}

#[test]
fn a_refusal_is_named() {
    for (name, refusal) in [
        ("broker_connack_unavailable", ConnectRefusal::Unavailable),
        ("broker_connack_bad_credentials", ConnectRefusal::Credentials),
        ("broker_connack_not_authorized", ConnectRefusal::NotAuthorized),
    ] {
        let (mut client, now) = connecting(options());
        client.receive(now, &vector(name));
        assert_eq!(events(&mut client), [Event::Refused(refusal)]);
    }
}

#[test]
fn options_of_which_no_connect_can_be_made_are_refused() {
    let new = |options| crate::mqtt::Client::new(options, 1).err();
    let nameless = Options { password: Some("secret".to_owned()), ..options() };
    assert_eq!(new(nameless), Some(OptionsError::PasswordWithoutName));
    let narrow = Options { out_bytes_max: vector("client_connect").len() - 1, ..options() };
    assert_eq!(new(narrow), Some(OptionsError::OutputTooSmall));
    let just = Options { out_bytes_max: vector("client_connect").len(), ..options() };
    assert_eq!(new(just), None);
    let long_name = Options { client_id: "x".repeat(70_000), out_bytes_max: 100_000, ..options() };
    assert_eq!(new(long_name), Some(OptionsError::OutputTooSmall));
}
