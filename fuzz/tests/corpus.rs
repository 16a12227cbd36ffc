//! Every committed input of every target.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use dunlin_fuzz::memory::within;
use dunlin_fuzz::targets;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Runs a target on its corpus. A failure names the input.
fn run(name: &str, target: fn(&[u8])) {
    let mut inputs = 0;
    for entry in fs::read_dir(corpus().join(name)).expect("a folder with the target's name") {
        let path = entry.expect("a readable folder").path();
        let data = fs::read(&path).expect("a readable input");
        let kept = std::panic::catch_unwind(|| target(&data)).is_ok();
        assert!(kept, "{name} breaks on {}", path.display());
        inputs += 1;
    }
    assert!(inputs > 0, "{name} has no corpus; python3 fuzz/seed_corpus.py writes one");
}

macro_rules! corpora {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), targets::$name);
        })*

        /// The targets that this file runs.
        const TARGETS: &[&str] = &[$(stringify!($name)),*];
    };
}

corpora!(
    chunk,
    codec_round_trip,
    decode_ecdq,
    decode_eden,
    decode_f32,
    decode_int8,
    decode_sparse,
    decode_uniform,
    delta,
    device_state,
    messages,
    model,
    update
);

#[test]
fn every_corpus_and_every_program_has_its_test() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (place, ending) in [("corpus", ""), ("fuzz_targets", ".rs")] {
        let mut names: Vec<String> = fs::read_dir(folder.join(place))
            .expect("a readable folder")
            .map(|entry| entry.expect("a readable folder").file_name())
            .map(|name| name.to_string_lossy().trim_end_matches(ending).to_owned())
            .collect();
        names.sort();
        assert_eq!(names, TARGETS, "{place}");
    }
}

#[test]
#[should_panic(expected = "bytes allocated, at most 1000 are allowed")]
fn a_reader_that_allocates_more_than_its_limit_is_found() {
    within(1000, || drop(black_box(vec![0_u8; 1001])));
}

#[test]
fn memory_that_was_freed_or_is_another_threads_does_not_count() {
    within(8192, || {
        for _ in 0..100 {
            drop(black_box(vec![0_u8; 4096]));
        }
        std::thread::scope(|scope| {
            let other = scope.spawn(|| drop(black_box(vec![0_u8; 1 << 20])));
            assert!(other.join().is_ok());
        });
    });
}
