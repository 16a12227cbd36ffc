//! The machine without a simulation around it.

use super::*;
use crate::sim::scenario::Scenario;
use crate::sim::setup::prepare;

fn host() -> ServerHost {
    let text = "name = 'ten'\npopulation.devices = 10\nrounds = { count = 1, target = 2 }";
    let prepared = prepare(&Scenario::parse(text).unwrap()).unwrap();
    ServerHost::new(&prepared, None)
}

/// What the aggregator asks for, all of it written.
fn written(host: &mut ServerHost, input: Input<'_>) {
    for output in host.handle(Instant(0), input).unwrap().outputs {
        if let Output::Save(save) = output {
            host.write(*save);
        }
    }
}

#[test]
fn only_the_earliest_timer_fires() {
    let mut host = host();
    assert_eq!(host.set_tick(Instant(10), Instant(50)), Some(Instant(50)));
    assert_eq!(host.set_tick(Instant(10), Instant(80)), None, "it is called before that");
    assert_eq!(host.set_tick(Instant(10), Instant(5)), Some(Instant(11)), "never at once");
    assert!(host.take_tick(Instant(11)));
    assert!(!host.take_tick(Instant(50)), "set anew since");
}

#[test]
fn a_connection_comes_back_to_the_process_that_had_it() {
    let mut host = host();
    assert_eq!((host.disconnect(), host.reconnect(Instant(1), 0)), (None, false));
    host.start(Instant(0)).unwrap();
    assert!(host.is_connected() && host.at_work_since() == Some(Instant(0)));
    let epoch = host.disconnect().unwrap();
    assert_eq!((host.is_connected(), host.disconnect()), (false, None));
    assert!(host.reconnect(Instant(9), epoch));
    assert_eq!(host.connected_since(), Some(Instant(9)));
    let epoch = host.disconnect().unwrap();
    assert!(!host.end());
    host.start(Instant(20)).unwrap();
    assert!(!host.reconnect(Instant(30), epoch), "of the process before");
    assert!(host.end());
}

#[test]
fn a_process_goes_on_from_what_the_one_before_it_wrote() {
    let mut host = host();
    assert!(host.params().is_empty(), "an empty disk");
    host.start(Instant(0)).unwrap();
    written(&mut host, Input::Connected);
    let params = host.params().to_vec();
    assert_eq!(params.len(), 2 * 40 + 2);
    host.end();
    assert!(host.handle(Instant(0), Input::Tick).is_none(), "it does not run");
    host.start(Instant(0)).unwrap();
    written(&mut host, Input::Connected);
    assert_eq!(host.params(), params);
    let boot = host.snapshot.as_ref().map(|snapshot| snapshot.head.boot);
    assert_eq!(boot, Some(2));
}
