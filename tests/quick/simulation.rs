//! Simulations with the exact learner: checks that never fire, and the same bytes twice.

use std::fs;
use std::path::{Path, PathBuf};

use dunlin_fleet::sim::figures::Outcome;
use dunlin_fleet::sim::report::{Cost, Report, html, table};
use dunlin_fleet::sim::run::{Options, run};
use dunlin_fleet::sim::scenario::{Availability, Scenario};
use dunlin_fleet::sim::setup::{PRESETS, prepare, preset};

pub(super) fn simulate(scenario: &Scenario, options: Options) -> Outcome {
    run(&prepare(scenario).unwrap(), options, |_| {}).unwrap().0
}

fn scenario(text: &str) -> Scenario {
    Scenario::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

/// A federation in which nothing goes wrong.
fn calm() -> Scenario {
    scenario(
        r#"
        name = "calm"
        [population]
        devices = 300
        [rounds]
        count = 5
        target = 50
        overselect = 1.0
        [learning]
        windows = 20
        [[class]]
        drop_out = 0.0
        "#,
    )
}

#[test]
fn every_preset_reads_and_keeps_its_rules() {
    for (name, _) in PRESETS {
        assert_eq!(preset(name).unwrap().name, name);
    }
    assert!(preset("nothing").unwrap_err().to_string().contains("wearables"));
}

#[test]
fn the_scenario_that_the_documentation_shows_can_be_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fleet/README.md");
    let text = fs::read_to_string(path).unwrap();
    let (_, rest) = text.split_once("```toml").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    assert_eq!(scenario(shown).classes.len(), 2);
}

#[test]
fn no_check_fires_in_a_hostile_world_of_any_of_these_seeds() {
    let hostile = prepare(&preset("hostile").unwrap()).unwrap();
    let (mut done, mut worst) = (0, [0; 9]);
    for seed in 0..60 {
        let (outcome, _) = run(&hostile.with_seed(seed), Options::threads(1), |_| {}).unwrap();
        if let Some(violation) = &outcome.violation {
            panic!("dunlin-fleet simulate hostile --seed {seed}: {violation:?}");
        }
        done += u32::from(outcome.finished);
        let tally = &outcome.tally;
        assert!(tally.power_cuts > 20 && tally.cuts > 50, "{tally:?}");
        let counts = [
            tally.server_cuts,
            tally.torn_writes,
            tally.failed_writes,
            tally.broker_restarts,
            tally.spoiled,
            tally.server_kills,
            tally.partitions,
            tally.dropped_jobs,
            tally.failed_jobs,
            outcome.refused.get("codec").copied().unwrap_or(0),
        ];
        worst.iter_mut().zip(counts).for_each(|(all, one)| *all += one);
    }
    assert!(done >= 55, "{done} of 60 came to their end");
    assert!(worst.iter().all(|count| *count > 60), "something never went wrong: {worst:?}");
}

#[test]
fn failures_that_were_found_once_stay_mended() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    assert!(!files.is_empty());
    for path in files {
        let outcome = simulate(&Scenario::load(&path).unwrap(), Options::threads(1));
        assert_eq!(outcome.violation, None, "dunlin-fleet simulate {}", path.display());
        assert!(outcome.finished, "{} came to no end", path.display());
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_with_one_thread_and_with_two() {
    let scenario = preset("hostile").unwrap();
    let json = |threads| {
        let outcome = simulate(&scenario, Options::threads(threads));
        let cost = Cost::default();
        Report { scenario: scenario.clone(), outcome, cost }.json().unwrap()
    };
    assert_eq!(json(1), json(2));
    let other = simulate(&Scenario { seed: 2, ..scenario.clone() }, Options::threads(1));
    assert_ne!(other, simulate(&scenario, Options::threads(1)));
}

#[test]
fn a_calm_federation_takes_everybody_and_loses_nothing() {
    let outcome = simulate(&calm(), Options::threads(1));
    assert_eq!(outcome.violation, None);
    assert!(outcome.finished);
    assert!(outcome.rounds.iter().all(|round| round.accepted == 50), "{:?}", outcome.rounds);
    assert_eq!(outcome.accepted, 250);
    let in_classes: u64 = outcome.classes.iter().map(|class| class.updates).sum();
    assert_eq!(in_classes, 250);
    // What training no version got is the last evaluation's.
    let tally = &outcome.tally;
    assert!(tally.counted_ms <= tally.device_ms && tally.counted_ms > tally.device_ms / 2);
}

#[test]
fn the_checks_reckon_with_every_codec_as_the_field_does() {
    let codecs = ["f32", "int8", "int8=16", "ecdq=1", "ecdq=200B", "eden=2", "uniform=8"];
    for codec in codecs.into_iter().chain(["uniform=4:0.01", "sparse=2"]) {
        let mut coded = calm();
        coded.rounds.codec = codec.into();
        let outcome = simulate(&coded, Options::threads(1));
        assert_eq!((outcome.violation, outcome.finished), (None, true), "{codec}");
        assert_eq!(outcome.accepted, 250, "{codec}");
    }
}

#[test]
fn rounds_wait_for_stragglers_and_the_report_says_how_long() {
    let mut slow = calm();
    slow.classes = vec![slow.classes[0].clone(); 2];
    (slow.classes[0].share, slow.classes[1].share) = (0.7, 0.3);
    slow.classes[1].ms_per_window = 2_000.0;
    let outcome = simulate(&slow, Options::threads(1));
    for round in &outcome.rounds {
        let (quorum, waited) = (round.quorum_s.unwrap(), round.waited_s.unwrap());
        assert!(quorum < 15.0 && waited > 20.0, "{round:?}");
        assert!((quorum + waited - round.took_s).abs() < 1.0, "{round:?}");
    }
}

#[test]
fn old_programs_and_small_devices_are_refused_and_counted() {
    let mut mixed = calm();
    mixed.rounds.codec = "ecdq=1".into();
    mixed.classes = vec![mixed.classes[0].clone(); 4];
    mixed.classes.iter_mut().for_each(|class| class.share = 0.25);
    mixed.classes[1].codecs = vec!["int8".into()];
    mixed.classes[2].memory_kib = 1;
    mixed.classes[3].schema = 9;
    let outcome = simulate(&mixed, Options::threads(1));
    assert_eq!(outcome.violation, None);
    assert!(outcome.finished);
    assert!(outcome.refused["codec"] > 10, "{:?}", outcome.refused);
    assert!(outcome.tally.failed_jobs > 10, "{:?}", outcome.tally);
    let updates: Vec<u64> = outcome.classes.iter().map(|class| class.updates).collect();
    assert!(updates[0] > 0 && updates[1..] == [0, 0, 0], "{updates:?}");
}

#[test]
fn devices_come_and_go_as_a_trace_says() {
    let folder = tempfile::tempdir().unwrap();
    // One device is always there, one for the first minute, one from the third hour on.
    let rows = "device,from_s,to_s\nalways,0,86400\nfirst,0,60\nlate,10800,86400\n";
    fs::write(folder.path().join("trace.csv"), rows).unwrap();
    let path = folder.path().join("scenario.toml");
    let text = r#"
        name = "traced"
        end_h = 4.0
        [population]
        devices = 30
        join_s = 10.0
        availability = "trace"
        trace = "trace.csv"
        [rounds]
        count = 1000
        target = 8
        quorum = 1.0
        deadline_s = 300.0
        pause_s = 300.0
    "#;
    fs::write(&path, text).unwrap();
    let scenario = Scenario::load(&path).unwrap();
    assert_eq!(scenario.population.availability, Availability::Trace);
    let outcome = simulate(&scenario, Options::threads(1));
    assert_eq!(outcome.violation, None);
    let online = |hours: std::ops::Range<f64>| {
        let within = |round: &&dunlin_fleet::sim::figures::RoundFigures| {
            hours.contains(&(round.ended_s / 3600.0))
        };
        let rounds: Vec<u32> =
            outcome.rounds.iter().filter(within).map(|round| round.online).collect();
        assert!(!rounds.is_empty(), "{hours:?}");
        rounds
    };
    assert!(online(0.5..2.9).iter().all(|online| *online == 10));
    assert!(online(3.2..4.0).iter().all(|online| *online == 20));
}

#[test]
fn four_times_as_many_devices_are_there_by_night_as_by_day() {
    for stay_h in [1.0, 3.0, 5.0] {
        let text = format!(
            r#"
            name = "diurnal"
            end_h = 120.0
            [population]
            devices = 3000
            availability = "diurnal"
            stay_h = {stay_h}
            [rounds]
            count = 10000
            target = 1
            pause_s = 900.0
            "#
        );
        let outcome = simulate(&scenario(&text), Options::threads(1));
        assert_eq!(outcome.violation, None);
        // Mean of the devices there by the hour, from the second day on.
        let mut hours = [(0, 0); 24];
        for round in outcome.rounds.iter().filter(|round| round.ended_s > 86_400.0) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let hour = (round.ended_s / 3600.0) as usize % 24;
            hours[hour] = (hours[hour].0 + round.online, hours[hour].1 + 1);
        }
        let mean = |hour: usize| f64::from(hours[hour].0) / f64::from(hours[hour].1);
        let swing = mean(2) / mean(14);
        assert!((3.2..5.0).contains(&swing), "{stay_h} h: {swing}");
    }
}

#[test]
fn a_partition_at_a_given_time_keeps_its_share_of_devices_away() {
    let mut cut = calm();
    cut.population.join_s = 1.0;
    cut.rounds.pause_s = 60.0;
    cut.rounds.count = 8;
    let partition = r#"
        [[partition]]
        at_h = 0.05
        for_s = 240.0
        share = 0.5
    "#;
    cut.faults = toml::from_str(partition).unwrap();
    let outcome = simulate(&cut, Options::threads(1));
    assert_eq!((outcome.violation, outcome.tally.partitions), (None, 1));
    let online = |from: f64, to: f64| {
        let rounds = outcome.rounds.iter().filter(|round| (from..to).contains(&round.ended_s));
        let online: Vec<u32> = rounds.map(|round| round.online).collect();
        assert!(!online.is_empty(), "{from} to {to}");
        online
    };
    assert!(online(0.0, 180.0).iter().all(|online| *online > 295));
    assert!(online(190.0, 420.0).iter().all(|online| (110..190).contains(online)));
    assert!(online(430.0, 1e9).iter().all(|online| *online > 295));
}

#[test]
fn a_report_is_one_page_without_anything_from_elsewhere() {
    let mut scenario = preset("hostile").unwrap();
    scenario.name = "<b>&\"hostile\"".into();
    let outcome = simulate(&scenario, Options::threads(1));
    let report = Report { scenario, outcome, cost: Cost::new(1.5, 2, 240, None) };
    let page = html(&report);
    assert!(page.contains("&lt;b&gt;&amp;&quot;hostile") && !page.contains("<b>"));
    assert!(!page.replace("http://www.w3.org", "").contains("http"), "loads nothing");
    for part in ["Participation", "stragglers", "Claims and updates refused", "old program"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(page.matches("<svg").count() >= 3);
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    assert_eq!(json["final"]["client_rounds_per_second"], 160.0);
    assert!(json["final"]["peak_memory_bytes"].is_u64());
    assert!(table(&report).contains("160 client-rounds a second"));
    let folder = tempfile::tempdir().unwrap();
    assert!(report.write(folder.path()).unwrap().exists());
}

#[test]
fn a_wrong_scenario_names_every_problem() {
    let text = r#"
        name = "wrong"
        end_h = nan
        [population]
        devices = 0
        availability = "trace"
        [rounds]
        count = 0
        target = 5
        codec = "zip"
        overselect = 0.5
        [learning]
        task = "chess"
        [[class]]
        share = 0.5
        loss = 1.5
        codecs = ["zip"]
        [faults]
        torn_write = 2.0
    "#;
    let error = Scenario::parse(text).unwrap_err().to_string();
    let parts = [
        "end_h",
        "population.devices",
        "population.trace",
        "rounds.count",
        "rounds.target",
        "rounds.codec",
        "rounds.overselect",
        "learning.task",
        "class.share",
        "loss = 1.5",
        "codecs = \"zip\"",
        "faults.torn_write",
    ];
    for part in parts {
        assert!(error.contains(part), "{part} in {error}");
    }
    let unknown = Scenario::parse("name = \"x\"\nspeed = 3\n").unwrap_err().to_string();
    assert!(unknown.contains("speed"), "{unknown}");
    let missing = Scenario::load(Path::new("nowhere.toml")).unwrap_err().to_string();
    assert!(missing.contains("nowhere.toml"), "{missing}");
}

#[test]
fn files_that_a_scenario_names_are_checked_before_it_begins() {
    let mut traced = calm();
    traced.population.availability = Availability::Trace;
    traced.population.trace = Some("no-such-trace.csv".into());
    assert!(prepare(&traced).err().unwrap().contains("no-such-trace.csv"));
}

#[test]
fn a_query_beside_training_is_answered_by_every_device_and_adds_up() {
    let scenario = scenario(
        "name = 'query'\n[population]\ndevices = 12\n[rounds]\ncount = 4\ntarget = 6\npause_s = 30\n\
         [learning]\nwindows = 20\n[faults]\naggregator_kills_per_h = 20\n\
         [[query]]\nat_h = 0.02\nlabels = true\nquorum = 12\ndeadline_s = 3600\n\
         [[query.channels]]\nname = 'x'\nmax_abs = 1\nedges = [0]\n",
    );
    let outcome = simulate(&scenario, Options::threads(1));
    assert_eq!((outcome.violation, outcome.finished), (None, true));
    let [answer] = &outcome.answers[..] else { panic!("{:?}", outcome.answers) };
    assert_eq!((answer.devices, answer.failure), (12, None));
    let labels: i128 = answer.labels.iter().map(|count| count.windows).sum();
    assert!(labels == answer.windows && answer.windows >= 12, "{answer:?}");
    let channel = &answer.channels[0];
    assert_eq!(channel.histogram.iter().sum::<i128>(), channel.samples);
    // Uniform from -1 to 1: mean 0, standard deviation 3^-1/2.
    let (mean, deviation) = (channel.mean.unwrap(), channel.deviation.unwrap());
    assert!(mean.abs() < 0.1 && (deviation - 0.577).abs() < 0.05, "{mean} {deviation}");
    let again = simulate(&scenario, Options::threads(2));
    assert_eq!(again.answers, outcome.answers, "whatever the number of threads");
}
