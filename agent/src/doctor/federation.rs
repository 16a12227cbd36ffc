//! What the answers of broker and aggregator mean.

use std::time::Duration;

use dunlin_link::LinkConfig;
use dunlin_protocol::message::{Answer, Refusal};
use dunlin_protocol::plan::Plan;
use dunlin_protocol::presence::State;
use dunlin_protocol::topic::{Topic, shard_of};

use super::network;
use super::packets::Carried;
use super::report::Finding;
use super::talk::{Heard, Login, Talk};
use crate::config::AgentConfig;
use crate::session::Settings;

/// The broker drops what it forbids and says nothing; this is where to look.
const LOOK_AT_ACL: &str = "look at the broker's access list (broker-config/dunlin.acl) and at its \
    log with `log_type all`: Mosquitto acknowledges what it forbids and logs `Denied`";

/// Logs in as the device.
pub(super) fn login(
    config: &AgentConfig,
    link: &LinkConfig,
    limit: Duration,
) -> (Finding, Option<Talk>) {
    let user = link.username.as_deref().unwrap_or_default();
    let (text, step) = match Talk::log_in(link.clone(), limit) {
        Login::Accepted(talk) => {
            return (Finding::ok(format!("the broker takes {user}")), Some(talk));
        }
        Login::Refused(reason) => (reason, super::machine::credentials_advice(config)),
        Login::Lost(reason) if !link.url.tls() && network::speaks_tls(link, limit) => {
            let (host, port) = (link.url.host(), link.url.port());
            let step = format!("this port speaks TLS: broker.url = \"mqtts://{host}:{port}\"");
            (reason, step)
        }
        Login::Lost(reason) => {
            (reason, "read the broker's log: it says why it ended the connection".to_owned())
        }
        Login::Silent => {
            let text = format!("no answer to MQTT in {} s", limit.as_secs());
            (text, format!("is {} an MQTT broker?", link.url))
        }
    };
    (Finding::failed(text, step), None)
}

/// Whether the device may say and hear what it must.
pub(super) fn topics(heard: &Heard, settings: &Settings) -> Finding {
    let device = &settings.device;
    if let Some(reason) = &heard.lost {
        let step = format!(
            "is another program connected as {device}? Each device needs a name of its own, and an \
             agent elsewhere with this name takes the connection back; the broker's log says which"
        );
        return Finding::failed(format!("the connection was lost again: {reason}"), step);
    }
    if let Some(topic) = heard.refused.first() {
        return Finding::failed(
            format!("the broker refuses a subscription to {topic}"),
            LOOK_AT_ACL,
        );
    }
    if heard.echo {
        let topics = Finding::ok(format!("{device} hears what it says on its own topics"));
        return match heard.carried {
            Some(carried) => carried.told_with(topics),
            None => topics,
        };
    }
    if heard.answer.is_some() {
        return Finding::ok(format!("the aggregator hears {device} and is heard"));
    }
    let echo = settings.topics.echo(device);
    let step = format!(
        "the user name (or the certificate's name) must be {device}, and the root of the topics \
         the one of the access list\n{LOOK_AT_ACL}"
    );
    Finding::failed(format!("what this device says on {echo} does not come back"), step)
}

/// Whether the federation is there.
pub(super) fn plan(heard: &Heard, settings: &Settings) -> Finding {
    let federation = &settings.federation;
    let plan = match &heard.plan {
        Some(Ok(plan)) => plan,
        Some(Err(error)) => {
            let step = "install the same release on the device and at the aggregator";
            return Finding::failed(format!("the plan of {federation}: {error}"), step);
        }
        None => return no_plan(heard, settings),
    };
    let open = plan.work.len();
    match &heard.task {
        Some(Ok(task)) => Finding::ok(format!(
            "{federation} learns the task {} with {open} pieces of open work",
            task.name
        )),
        Some(Err(error)) => {
            let step = "install the same release on the device and at the aggregator";
            Finding::failed(format!("the task of {federation} cannot be used: {error}"), step)
        }
        None => {
            let object = Topic::Object(federation.clone(), plan.task.digest.short(), 0);
            let text = "the plan is there, but its task does not come";
            let step =
                format!("may devices read {}?\n{LOOK_AT_ACL}", settings.topics.name(&object));
            Finding::failed(text, step)
        }
    }
}

fn no_plan(heard: &Heard, settings: &Settings) -> Finding {
    let federation = &settings.federation;
    let topic = settings.topics.name(&Topic::Plan(federation.clone()));
    if !heard.federations.is_empty() {
        let others: Vec<&str> = heard.federations.iter().map(String::as_str).collect();
        let text = format!("there is no federation {federation}; there are {}", others.join(", "));
        let step = "correct `federation` in the configuration, or start its aggregator";
        return Finding::failed(text, step);
    }
    let text = format!("there is no plan on {topic}");
    if !heard.echo {
        return Finding::failed(text, format!("mend the topics first\n{LOOK_AT_ACL}"));
    }
    let running: Vec<&str> = heard.aggregators.keys().map(|name| name.as_str()).collect();
    if running.is_empty() {
        let step = "start the aggregator (systemctl status dunlin-aggregator); do its federation \
                    and topic root agree with the agent's?";
        return Finding::failed(text, step);
    }
    let text = format!("{text}, but these aggregators were here: {}", running.join(", "));
    if matches!(heard.carried, Some(Carried::TooLong { .. })) {
        let step = "raise the broker's limit for packets first, as the topics say: the plan or the \
                    task may be longer than it";
        return Finding::failed(text, step);
    }
    Finding::failed(text, format!("compare `federation` with theirs\n{LOOK_AT_ACL}"))
}

/// Whether the aggregator takes this device.
pub(super) fn aggregator(heard: &Heard, settings: &Settings, limit: Duration) -> Finding {
    let Some(Ok(plan)) = &heard.plan else {
        return Finding::skipped("an earlier check failed");
    };
    let (name, device) = (&plan.instance, &settings.device);
    if let Some((answer, took)) = heard.answer {
        let text = format!("{name} answers in {took} ms");
        return match answer {
            Answer::NoGo(Refusal::NotEnrolled) => {
                let step = format!("add {device} to `enrolled` in the aggregator's configuration");
                Finding::failed(format!("{text}: {device} is not enrolled"), step)
            }
            Answer::Go | Answer::NoGo(_) => Finding::ok(format!("{text}; {device} is enrolled")),
        };
    }
    let text = format!("{name} does not answer in {} s", limit.as_secs());
    silence(text, heard.aggregators.get(name), plan, settings)
}

fn silence(text: String, state: Option<&State>, plan: &Plan, settings: &Settings) -> Finding {
    let (federation, device) = (&settings.federation, &settings.device);
    match state {
        Some(State::Online) => {
            let up = Topic::Up(device.clone(), federation.clone(), shard_of(device, plan.shards));
            let up = settings.topics.name(&up);
            let step = format!(
                "may {device} publish to {up}, and read dev/{device}/down/go?\n{LOOK_AT_ACL}\n\
                 if the broker carries both, look at the aggregator's log"
            );
            Finding::failed(format!("{text}, although it is online"), step)
        }
        Some(State::Offline | State::Asleep) => {
            let step = "start it: systemctl start dunlin-aggregator";
            Finding::failed(format!("{text}: it was stopped"), step)
        }
        Some(State::Lost) => {
            let step = "look at its machine and log: systemctl status dunlin-aggregator";
            Finding::failed(format!("{text}: it is gone without a good-bye"), step)
        }
        None => {
            let topic = settings.topics.name(&Topic::ServerState(plan.instance.clone()));
            let text = format!("{text}, and nothing is on {topic}");
            Finding::failed(text, format!("is it running?\n{LOOK_AT_ACL}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    fn settings() -> Settings {
        let text = "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = 's'\n\
            source = { kind = 'har', dir = 'x', person = 1 }\nbroker = { url = 'mqtt://h' }\n";
        AgentConfig::parse(text).unwrap().settings().unwrap()
    }

    fn told(finding: &Finding) -> String {
        assert_eq!(finding.outcome, Outcome::Failed, "{finding:?}");
        format!("{} {}", finding.text, finding.next_step.as_deref().unwrap())
    }

    #[test]
    fn a_connection_that_is_taken_away_points_to_another_program_of_this_name() {
        let heard = Heard { lost: Some("the broker hung up".into()), ..Heard::default() };
        let told = told(&topics(&heard, &settings()));
        assert!(told.contains("hung up") && told.contains("connected as wrist-1"), "{told}");
    }

    #[test]
    fn a_subscription_that_is_refused_in_words_is_named() {
        let heard = Heard { refused: vec!["a/topic".into()], ..Heard::default() };
        let told = told(&topics(&heard, &settings()));
        assert!(told.contains("a/topic") && told.contains("dunlin.acl"), "{told}");
    }

    #[test]
    fn a_plan_of_another_release_is_no_missing_plan() {
        let heard =
            Heard { plan: Some(Err("the message has schema 9".into())), ..Heard::default() };
        let told = told(&plan(&heard, &settings()));
        assert!(told.contains("schema 9") && told.contains("same release"), "{told}");
    }

    #[test]
    fn where_no_packet_of_a_chunk_passes_the_limit_comes_before_the_name_of_the_federation() {
        let carried = Carried::TooLong { chunk: 32_768, cut: true, shortest: false };
        let name = dunlin_protocol::id::Name::new("agg").unwrap();
        let aggregators = [(name, State::Online)].into();
        let heard = Heard { echo: true, carried: Some(carried), aggregators, ..Heard::default() };
        let text = told(&topics(&heard, &settings()));
        assert!(text.contains("max_packet_size") && text.contains("32 KiB"), "{text}");
        let text = told(&plan(&heard, &settings()));
        assert!(text.contains("limit") && !text.contains("compare"), "{text}");
    }

    #[test]
    fn without_echo_and_plan_the_topics_come_first() {
        let told = told(&plan(&Heard::default(), &settings()));
        assert!(
            told.contains("dunlin/v1/fed/gait/plan") && told.contains("topics first"),
            "{told}"
        );
        let limit = Duration::from_secs(1);
        let finding = aggregator(&Heard::default(), &settings(), limit);
        assert_eq!(finding.outcome, Outcome::Skipped);
    }
}
