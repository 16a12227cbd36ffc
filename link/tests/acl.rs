//! The shipped ACL against the topics of the protocol, line by line and without a broker.
#![allow(clippy::unwrap_used)] // helpers of tests

mod support;

use dunlin_protocol::id::{Digest, Name};
use dunlin_protocol::limits::PACKET_BYTES_MAX;
use dunlin_protocol::topic::{Down, ECHO, Topic, Topics};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    Read,
    Write,
}

/// One `topic` or `pattern` line.
struct Rule {
    /// The account of a `topic` line; `None` for a `pattern` line, which is for all.
    account: Option<String>,
    read: bool,
    write: bool,
    filter: String,
}

fn rules() -> Vec<Rule> {
    let mut account = None;
    let mut rules = Vec::new();
    for line in support::shipped_text("dunlin.acl").lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (kind, access, filter) = match words.as_slice() {
            [] => continue,
            [first, ..] if first.starts_with('#') => continue,
            ["user", name] => {
                account = Some((*name).to_owned());
                continue;
            }
            [kind @ ("topic" | "pattern"), access, filter] => (*kind, *access, *filter),
            other => panic!("not a line of an ACL: {other:?}"),
        };
        let (read, write) = match access {
            "read" => (true, false),
            "write" => (false, true),
            "readwrite" => (true, true),
            other => panic!("not an access: {other}"),
        };
        let of = if kind == "topic" { Some(account.clone().unwrap()) } else { None };
        rules.push(Rule { account: of, read, write, filter: filter.to_owned() });
    }
    rules
}

fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for part in filter.split('/') {
        match (part, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (part, Some(level)) if part == level => {}
            (_, Some(_) | None) => return false,
        }
    }
    levels.next().is_none()
}

fn allowed(rules: &[Rule], account: &str, access: Access, topic: &Topic) -> bool {
    let topic = Topics::default().name(topic);
    rules.iter().any(|rule| {
        let mine = rule.account.as_ref().is_none_or(|name| name == account);
        let granted = match access {
            Access::Read => rule.read,
            Access::Write => rule.write,
        };
        mine && granted && matches(&rule.filter.replace("%u", account), &topic)
    })
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Every kind of topic, as it concerns `device`.
fn topics_of(device: &str) -> Vec<Topic> {
    let mut topics = vec![
        Topic::DeviceState(name(device)),
        Topic::Up(name(device), name("gait"), 3),
        Topic::Out(name(device), name("activity")),
        Topic::Plan(name("gait")),
        Topic::Object(name("gait"), Digest::of(b"model").short(), 7),
        Topic::ServerState(name("agg-1")),
    ];
    topics.extend(Down::ALL.map(|down| Topic::Down(name(device), down)));
    topics
}

#[test]
fn a_device_says_its_own_and_hears_its_own_and_what_is_for_all() {
    let rules = rules();
    for topic in topics_of("wrist-1") {
        // A new kind of topic does not compile here until somebody has thought of it.
        let (read, write) = match topic {
            // A device listens to its own state: others may have changed it.
            Topic::DeviceState(_) => (true, true),
            Topic::Up(..) | Topic::Out(..) => (false, true),
            Topic::Down(..) | Topic::Plan(_) | Topic::Object(..) | Topic::ServerState(_) => {
                (true, false)
            }
        };
        assert_eq!(allowed(&rules, "wrist-1", Access::Read, &topic), read, "read {topic}");
        assert_eq!(allowed(&rules, "wrist-1", Access::Write, &topic), write, "write {topic}");
    }
}

#[test]
fn a_device_hears_itself_on_its_echo_and_nobody_elses() {
    let rules = rules();
    let granted = |account: &str, topic: &str| {
        let mine = rules.iter().filter(|rule| rule.account.is_none());
        let mine = mine.filter(|rule| matches(&rule.filter.replace("%u", account), topic));
        mine.fold((false, false), |(r, w), rule| (r || rule.read, w || rule.write))
    };
    let echo = Topics::default().echo(&name("wrist-1"));
    assert_eq!(granted("wrist-1", &echo), (true, true));
    assert_eq!(granted("wrist-2", &echo), (false, false));
    let result = echo.replace("doctor", "result");
    assert_eq!(granted("wrist-1", &result), (false, true), "what it says else is for others");
}

#[test]
fn a_device_has_nothing_to_do_with_another_devices_topics() {
    let rules = rules();
    for topic in topics_of("wrist-2") {
        let for_all = matches!(topic, Topic::Plan(_) | Topic::Object(..) | Topic::ServerState(_));
        assert_eq!(allowed(&rules, "wrist-1", Access::Read, &topic), for_all, "read {topic}");
        assert!(!allowed(&rules, "wrist-1", Access::Write, &topic), "write {topic}");
    }
}

#[test]
fn the_aggregator_hears_devices_and_says_the_rest() {
    let rules = rules();
    for topic in topics_of("wrist-1") {
        let (read, write) = match topic {
            Topic::DeviceState(_) | Topic::Up(..) => (true, false),
            Topic::Down(..) => (false, true),
            Topic::Out(..) => (false, false),
            Topic::Plan(_) | Topic::Object(..) | Topic::ServerState(_) => (true, true),
        };
        let account = "dunlin-aggregator";
        assert_eq!(allowed(&rules, account, Access::Read, &topic), read, "read {topic}");
        assert_eq!(allowed(&rules, account, Access::Write, &topic), write, "write {topic}");
    }
}

#[test]
fn the_monitor_sees_presence_and_plans_but_no_update() {
    let rules = rules();
    for topic in topics_of("wrist-1") {
        let shown = match topic {
            Topic::DeviceState(_) | Topic::Out(..) | Topic::Plan(_) | Topic::ServerState(_) => true,
            // A pattern line of all accounts; models are for everybody who is in.
            Topic::Object(..) => true,
            Topic::Up(..) | Topic::Down(..) => false,
        };
        assert_eq!(allowed(&rules, "dunlin-monitor", Access::Read, &topic), shown, "{topic}");
        assert!(!allowed(&rules, "dunlin-monitor", Access::Write, &topic), "{topic}");
    }
}

#[test]
fn every_line_but_those_for_people_is_needed_by_a_topic() {
    for rule in rules() {
        let accounts = ["wrist-1", "dunlin-aggregator", "dunlin-monitor"];
        let used = accounts.iter().any(|account| {
            let filter = rule.filter.replace("%u", account);
            let echo = Topic::Out(name(account), name(ECHO));
            let topics = topics_of("wrist-1").into_iter().chain(topics_of(account)).chain([echo]);
            topics.into_iter().any(|topic| matches(&filter, &Topics::default().name(&topic)))
        });
        let for_people = rule.filter.starts_with("$SYS");
        assert!(used || for_people, "no topic matches {}", rule.filter);
    }
}

#[test]
fn both_configurations_let_the_longest_packet_through_and_no_much_longer_one() {
    for file in ["dunlin.conf", "dunlin-password.conf"] {
        let text = support::shipped_text(file);
        let line = text.lines().find_map(|line| line.strip_prefix("max_packet_size ")).unwrap();
        let bytes: usize = line.parse().unwrap();
        assert!((PACKET_BYTES_MAX..=2 * PACKET_BYTES_MAX).contains(&bytes), "{file}: {bytes}");
    }
}
