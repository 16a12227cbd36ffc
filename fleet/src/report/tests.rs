//! Tests of the whole report.

use super::*;

/// A run of so many rounds that gets better.
fn report(rounds: u32) -> Report {
    let round = |round: u32| RoundReport {
        round,
        accuracy: 0.9 - 0.5 / f64::from(round),
        loss: 0.4 + 1.2 / f64::from(round),
        devices: 8,
        refused: 0,
        bytes_up: 8 * 6_500,
        bytes_down: 8 * 25_300,
        seconds: 0.7,
    };
    let device = |number: u32| DeviceReport {
        device: format!("watch-{number}"),
        windows: 204,
        held_back: 36,
        global_accuracy: 0.95 - 0.02 * f64::from(number),
        alone_accuracy: 0.9 - 0.01 * f64::from(number),
        alone_accuracy_unseen: 0.4 + 0.03 * f64::from(number),
    };
    Report {
        dataset: "synthetic".to_owned(),
        n_params: 6_214,
        n_devices: 8,
        backend: "flex".to_owned(),
        codec: "int8".to_owned(),
        seed: 1,
        rounds: (1..=rounds).map(round).collect(),
        outcome: Outcome {
            accuracy: 0.87,
            accuracy_last_five: 0.86,
            alone_accuracy_mean: 0.55,
            bytes_up_per_device_round: 6_500.0,
            seconds: 24.1,
        },
        devices: (0..8).map(device).collect(),
    }
}

fn keys(value: &serde_json::Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn json_has_the_promised_fields() {
    let text = report(2).json().expect("json");
    let value: serde_json::Value = serde_json::from_str(&text).expect("valid json");
    let mut top = keys(&value);
    top.sort_unstable();
    let wanted = [
        "backend",
        "codec",
        "dataset",
        "devices",
        "final",
        "n_devices",
        "n_params",
        "rounds",
        "seed",
    ];
    assert_eq!(top, wanted);
    let mut round = keys(&value["rounds"][0]);
    round.sort_unstable();
    let wanted =
        ["accuracy", "bytes_down", "bytes_up", "devices", "loss", "refused", "round", "seconds"];
    assert_eq!(round, wanted);
    let mut outcome = keys(&value["final"]);
    outcome.sort_unstable();
    let wanted = [
        "accuracy",
        "accuracy_last_five",
        "alone_accuracy_mean",
        "bytes_up_per_device_round",
        "seconds",
    ];
    assert_eq!(outcome, wanted);
    assert_eq!(value["rounds"].as_array().map(Vec::len), Some(2));
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let page = html(&report(15)).replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
    for load in ["http:", "https:", "src=", "<script", "<link", "@import", "url("] {
        assert!(!page.contains(load), "the page has {load}");
    }
    assert_eq!(page.matches("<svg").count(), 5);
}

#[test]
fn every_colour_of_a_chart_has_a_rule_in_the_style_sheet() {
    let page = html(&report(15));
    let (style, charts) = page.split_once("</style>").expect("a style sheet");
    for attribute in ["fill=\"#", "stroke=\"#"] {
        for (start, _) in charts.match_indices(attribute) {
            let colour = &charts[start..start + attribute.len() + 7];
            assert!(style.contains(&format!("svg [{colour}]")), "{colour}");
        }
    }
}

#[test]
fn text_from_outside_is_escaped() {
    let mut report = report(3);
    let evil = "<script>alert('x')</script>\"&";
    (report.dataset, report.backend, report.codec) = (evil.into(), evil.into(), evil.into());
    report.devices[0].device = "<b>&\"".into();
    let page = html(&report);
    assert!(!page.contains("<script") && !page.contains("<b>"));
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;"));
}

#[test]
fn a_run_without_rounds_or_devices_still_makes_a_report() {
    let empty = Report::default();
    assert!(html(&empty).contains("Nothing was measured."));
    assert!(summary_table(&empty).contains("accuracy"));
    assert!(html(&report(1)).contains("<svg"));
}

#[test]
fn figures_that_are_not_numbers_are_left_out() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -1.0] {
        let mut report = report(4);
        let round = &mut report.rounds[1];
        (round.accuracy, round.loss, round.seconds, round.devices) = (odd, odd, odd, 0);
        report.outcome.accuracy = odd;
        report.outcome.alone_accuracy_mean = odd;
        report.devices[2].global_accuracy = odd;
        report.devices[3].alone_accuracy_unseen = odd;
        assert!(html(&report).contains("</html>"));
        assert!(summary_table(&report).lines().count() > 4);
        let text = report.json().expect("json");
        assert!(!text.contains("NaN") && !text.contains("inf"));
    }
}

#[test]
fn a_large_fleet_is_cut_and_the_page_says_so() {
    let mut report = report(2);
    report.devices = (0..100).map(|_| report.devices[0].clone()).collect();
    assert!(html(&report).contains("The first 40 of 100 devices."));
}

#[test]
fn both_files_are_written_and_an_error_names_the_path() {
    let dir = tempfile::tempdir().expect("a directory");
    let files = report(3).write(&dir.path().join("deep/er")).expect("written");
    assert!(files.json.ends_with("report.json") && files.html.is_file());
    let error = report(1).write(&files.json).expect_err("a file is no directory");
    assert!(error.to_string().contains("report.json"), "{error}");
}

#[test]
fn the_table_shows_each_round_and_the_lead() {
    let table = summary_table(&report(15));
    assert!(table.contains("+32.0 points"), "{table}");
    assert_eq!(table.lines().filter(|line| line.contains("KiB")).count(), 16);
}
