use super::*;
use crate::work::WorkKind;

#[test]
fn presence_reads_back_and_skips_fields_it_does_not_know() {
    let presence = Presence::new(State::Lost, 17);
    assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence.clone()));
    let longer = br#" {"state": "lost", "boot": 17, "ver": "0.2"} "#;
    assert_eq!(Presence::decode(longer), Some(presence));
    assert_eq!(Presence::decode(b"{}"), None);
    assert_eq!(Presence::decode(b"\xff"), None);
}

#[test]
fn fields_of_a_newer_peer_are_skipped_whatever_they_hold() {
    let known = Presence { held: Some(Ineligible::Hot), ..Presence::new(State::Online, 17) };
    for field in [
        r#""site":"Bern, second floor""#,
        r#""note":"a colon: and {braces}, [brackets}""#,
        r#""note":"she said \"hello, world\", and \\""#,
        r#""no colon":"none here""#,
        r#""a, b: c":7"#,
        r#""list":[1,2,"three, four",[5,{"six":6}]]"#,
        r#""more":{"battery":80,"state":"lost","boot":3,"held":"busy"}"#,
        r#""empty":[],"none":null,"true":true,"real":-1.5e3"#,
        r#""name":"Zürich, 東京""#,
    ] {
        let fields =
            [r#""state":"online""#, r#""boot": 17"#, r#""held" :"hot""#, field, r#""schema":9"#];
        for turn in 0..fields.len() {
            let mut fields = fields;
            fields.rotate_left(turn);
            let text = alloc::format!("{{{}}}", fields.join(","));
            assert_eq!(Presence::decode(text.as_bytes()), Some(known.clone()), "{text}");
        }
    }
    let deep = alloc::format!("{}{}", "[".repeat(200), "]".repeat(200));
    let text = alloc::format!(r#"{{"deep":{deep},"state":"online","boot":17,"held":"hot"}}"#);
    assert_eq!(Presence::decode(text.as_bytes()), Some(known));
}

#[test]
fn what_is_no_object_or_lacks_a_field_is_no_presence() {
    for text in [
        "",
        "{}",
        "[]",
        r#""state""#,
        r#"{"state":"online"}"#,
        r#"{"boot":1}"#,
        r#"{"state":"online","boot":-1}"#,
        r#"{"state":"online","boot":"1"}"#,
        r#"{"state":"away","boot":1}"#,
        r#"{"state":"online","boot":1,}"#,
        r#"{"state":"online","boot":1"#,
        r#"{"note":"open,"state":"online","boot":1}"#,
        r#"{"more":{"state":"online","boot":1}}"#,
        r#"{"more":[{"state":"online","boot":1}"#,
    ] {
        assert_eq!(Presence::decode(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn a_device_that_is_held_says_why_and_readers_know_each_word() {
    for held in Ineligible::KNOWN {
        let presence = Presence { held: Some(held), ..Presence::new(State::Online, 3) };
        assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence));
    }
    let text = Presence { held: Some(Ineligible::Battery), ..Presence::new(State::Online, 3) };
    assert_eq!(text.encode(), r#"{"state":"online","boot":3,"schema":2,"held":"battery"}"#);
    assert_eq!(
        Presence::new(State::Online, 3).encode(),
        r#"{"state":"online","boot":3,"schema":2}"#,
        "nothing is added for a device that takes work"
    );
}

#[test]
fn a_connection_a_call_and_what_the_data_lack_read_back_and_are_left_out_where_there_is_none() {
    let data: DataTrouble = [("cut", 18_000), ("time", 619)].into_iter().collect();
    let full = Presence {
        call: 4,
        data: Some(data),
        held: Some(Ineligible::Hot),
        ..Presence::new(State::Online, 17).on(3)
    };
    let text = full.encode();
    assert_eq!(
        text,
        r#"{"state":"online","boot":17,"schema":2,"connection":3,"call":4,"held":"hot","data":{"cut":18000,"time":619}}"#
    );
    assert_eq!(Presence::decode(text.as_bytes()), Some(full));
    for odd in [r#""connection":-1"#, r#""connection":"7""#, r#""call":5000000000"#] {
        let text = alloc::format!(r#"{{"state":"online","boot":3,{odd}}}"#);
        let read = Presence::decode(text.as_bytes());
        assert_eq!(read, Some(Presence::new(State::Online, 3)), "{odd}");
    }
    let order = |boot, connection| Presence::new(State::Lost, boot).on(connection).order();
    assert!(order(1, 9) < order(2, 1) && order(2, 1) < order(2, 2));
}

#[test]
fn what_a_device_cannot_do_is_said_by_kind_and_the_longest_presence_is_read() {
    let unable = Unable::new(|kind| (kind == WorkKind::Evaluate).then_some(Lack::HeldBack));
    let presence = Presence { unable, ..Presence::new(State::Online, 3) };
    assert_eq!(
        presence.encode(),
        r#"{"state":"online","boot":3,"schema":2,"unable":{"evaluate":"held_back"}}"#
    );
    assert_eq!(Presence::decode(presence.encode().as_bytes()), Some(presence));
    let words = ["twelve_chars", "twelve_charz", "twelve_chary", "twelve_charx"];
    let longest = Presence {
        call: u32::MAX,
        held: Some(Ineligible::Charging),
        unable: Unable::new(|_| Some(Lack::HeldBack)),
        data: Some(words.into_iter().map(|word| (word, u64::MAX)).collect()),
        ..Presence::new(State::Offline, u32::MAX).on(u32::MAX)
    };
    assert_eq!(Presence::decode(longest.encode().as_bytes()), Some(longest));
}

#[test]
fn a_reason_of_a_newer_device_holds_too() {
    let held = |value: &str| {
        let text = alloc::format!(r#"{{"state":"online","boot":1,"held":{value}}}"#);
        Presence::decode(text.as_bytes()).map(|presence| presence.held)
    };
    assert_eq!(held(r#""hot""#), Some(Some(Ineligible::Hot)));
    assert_eq!(held(r#""weather""#), Some(Some(Ineligible::Other)));
    assert_eq!(held("7"), Some(Some(Ineligible::Other)));
    assert_eq!(held("\""), Some(Some(Ineligible::Other)));
    assert_eq!(held("null"), Some(None));
}
