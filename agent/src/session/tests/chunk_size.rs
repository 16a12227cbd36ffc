//! Chunks that a broker refuses, and those that get lost.

use super::*;

/// The cut of every chunk that goes up.
fn cuts(outputs: &[Output]) -> Vec<u32> {
    let chunks = published(outputs);
    chunks.iter().filter_map(|p| Chunk::decode(p).ok()).map(|c| c.chunk_bytes).collect()
}

/// A device at the start of an upload of two chunks of 32 KiB.
fn sending() -> Bench {
    let mut bench = Bench::new(true);
    bench.plan.chunk_bytes = 32 * 1024;
    bench.join();
    bench.go(Answer::Go);
    assert_eq!(cuts(&bench.train()), [32 * 1024; 2]);
    bench
}

#[test]
fn an_update_goes_in_shorter_chunks_once_the_broker_has_refused_one() {
    let mut bench = sending();
    assert_eq!(cuts(&bench.step(Input::Oversize(33_000))), [16 * 1024; 3]);
    assert_eq!(cuts(&bench.step(Input::Oversize(17_000))), [8 * 1024; 4]);
    assert_eq!(cuts(&bench.step(Input::Oversize(9_000))), [4 * 1024; 4]);
    assert!(cuts(&bench.step(Input::Oversize(5_000))).is_empty(), "there are none shorter");
}

#[test]
fn a_packet_that_is_refused_while_nothing_is_sent_changes_nothing() {
    let mut bench = Bench::new(true);
    bench.plan.chunk_bytes = 32 * 1024;
    bench.join();
    bench.step(Input::Oversize(33_000));
    bench.go(Answer::Go);
    assert_eq!(cuts(&bench.train()), [32 * 1024; 2]);
}

#[test]
fn an_update_on_its_way_follows_a_plan_with_shorter_chunks() {
    let mut bench = sending();
    bench.plan.chunk_bytes = 8 * 1024;
    bench.plan.sequence += 1;
    assert_eq!(cuts(&bench.hear_plan()), [8 * 1024; 4]);
}

#[test]
fn a_version_that_is_cut_anew_while_it_is_fetched_is_fetched_in_the_new_cut() {
    let mut bench = Bench::new(true);
    bench.plan.models[0].object.chunk_bytes = 8 * 1024;
    bench.join();
    let started = |outputs: &[Output]| outputs.iter().any(|o| matches!(o, Output::Start(_)));
    assert!(!started(&bench.go(Answer::Go)), "the broker has them in the new cut only");
    bench.plan.models[0].object.chunk_bytes = CHUNK_BYTES_MIN;
    bench.plan.sequence += 1;
    let outputs = bench.hear_plan();
    assert!(started(&bench.serve(outputs)));
}

#[test]
fn a_lost_chunk_is_asked_for_again_as_soon_as_four_later_ones_have_come() {
    let mut bench = Bench::new(true);
    bench.join();
    let reference = ObjectRef::of(&bench.model, CHUNK_BYTES_MIN).unwrap();
    let asked = |outputs: &[Output]| -> Vec<Topic> {
        outputs.iter().filter_map(subscription).cloned().collect()
    };
    let mut open = asked(&bench.hear_go(Answer::Go));
    let lost = open.remove(0);
    let mut came = 0;
    loop {
        let topic = open.remove(0);
        let Topic::Object(_, _, index) = topic else { continue };
        let chunk = Chunk::cut(&reference, &bench.model, index).unwrap().encode();
        let more = asked(&bench.hear(&topic, &chunk));
        came += 1;
        if more.contains(&lost) {
            break;
        }
        open.extend(more);
    }
    assert_eq!(came, 4);
}
