//! Devices that connect only for work.

use super::*;

fn sleeps(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Sleep { .. }))
}

#[test]
fn a_device_does_not_leave_before_it_knows_what_it_has_for_a_new_task() {
    let mut bench = Bench::new(false);
    let settings = Settings {
        link: LinkPolicy { intermittent: true, ..LinkPolicy::default() },
        ..bench.session.settings.clone()
    };
    bench.session = Session::new(settings, DeviceState::fresh([3; 32]));
    bench.plan.work = vec![];
    assert!(sleeps(&bench.join()), "there is nothing to do");
    bench.step(Input::Disconnected);
    let newer = Bench::new(true);
    (bench.plan, bench.task, bench.model) = (newer.plan, newer.task, newer.model);
    bench.plan.work = vec![];
    bench.step(Input::Connected);
    bench.hear_server(State::Online);
    let outputs = bench.hear_plan();
    let served = bench.serve(outputs);
    assert!(served.iter().any(|output| matches!(output, Output::UseTask(_))));
    assert!(!sleeps(&served) && !sleeps(&bench.step(Input::Tick)), "its windows are counted first");
    assert!(sleeps(&bench.step(Input::Survey(Survey::of(0)))));
}
