//! Values as they were measured, from a file to windows.

use super::*;
use dunlin_protocol::task::Rate;

/// Glucose in mg/dL every five minutes: 112, 119, 126 ... and back.
fn glucose(dir: &Path, more: &str) -> (SourceConfig, Vec<f32>) {
    let values: Vec<f32> =
        (0..24_u8).map(|n| 112.0 + 7.0 * f32::from(n) - 0.5 * f32::from(n / 4)).collect();
    let rows = values.iter().enumerate();
    let rows: String = rows.map(|(n, gl)| format!("{},{gl}\n", 1_700_000_000 + n * 300)).collect();
    std::fs::write(dir.join("gl.csv"), format!("t,gl\n{rows}")).unwrap();
    let text = format!(
        "kind = 'csv'\npath = '{}/gl.csv'\nperiod = '5 min'\ntime = 't'\n{more}\n[channels]\n\
         glucose = 'gl'\n",
        dir.display()
    );
    (toml::from_str(&text).unwrap(), values)
}

fn task(unit: &str) -> TaskSpec {
    let mut task = super::task();
    let channel = &mut task.input.channels[0];
    (channel.name, channel.unit) = ("glucose".into(), unit.into());
    task.input.rate = Rate::from_period_ns(300_000_000_000);
    (task.input.window, task.input.hop) = (6, 3);
    task
}

#[test]
fn glucose_every_five_minutes_is_kept_exactly_and_makes_windows() {
    let dir = tempfile::tempdir().unwrap();
    let (config, values) = glucose(dir.path(), "");
    let source = open(&config, &dir.path().join("state")).unwrap();
    wait(&*source, 24);
    let set = source.windows(&task("mg/dL")).unwrap();
    let expected: Vec<f32> = values.windows(6).step_by(3).flatten().copied().collect();
    assert_eq!((set.len(), &set.values), (7, &expected));
    assert!(source.status().losses.is_empty());
    let newest = source.newest_window(&task("mg/dL")).unwrap().unwrap();
    assert_eq!(newest.values, values[18..]);
}

#[test]
fn glucose_is_converted_to_what_the_task_wants() {
    let dir = tempfile::tempdir().unwrap();
    let (config, values) = glucose(dir.path(), "unit = 'mg/dL'");
    let source = open(&config, &dir.path().join("state")).unwrap();
    wait(&*source, 24);
    let set = source.windows(&task("mmol/L")).unwrap();
    for (found, value) in set.window(0).iter().zip(&values) {
        assert!((found - value / 18.0156).abs() < 1e-5, "{found} of {value}");
    }
    let error = source.windows(&task("g")).unwrap_err().to_string();
    assert!(error.contains("glucose is in \"mg/dL\""), "{error}");
}

#[test]
fn a_quantum_too_small_leaves_no_window_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (config, _) = glucose(dir.path(), "quantum = 0.001");
    let source = open(&config, &dir.path().join("state")).unwrap();
    wait(&*source, 24);
    let status = source.status();
    assert_eq!((status.accepted, status.losses.count(Loss::Cut)), (24, 24));
    let counts = source.count(&task("mg/dL"), &|| false).unwrap();
    assert_eq!((counts.total(), counts.left_out.cut), (0, 7));
    let text = counts.left_out.to_string();
    assert!(text.contains("7 windows have values that the ring cannot hold"), "{text}");
    drop(source);
    let (right, _) = glucose(dir.path(), "quantum = 0.1");
    let error = right.check_ring(&dir.path().join("state")).unwrap_err();
    assert!(error.to_string().contains("quantum 0.001, the configuration 0.1"), "{error}");
    let gone = reset(&dir.path().join("state")).unwrap();
    for file in ["samples.ring", "samples.position"] {
        assert!(gone.iter().any(|path| path.ends_with(file)), "{file}: {gone:?}");
    }
    let source = open(&right, &dir.path().join("state")).unwrap();
    wait(&*source, 24);
    assert_eq!(source.windows(&task("mg/dL")).unwrap().len(), 7, "the file is read again");
}

#[test]
fn a_file_that_was_read_by_other_keys_is_refused_with_the_keys_until_it_is_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let (config, _) = glucose(dir.path(), "time_unit = 'ms'");
    let source = open(&config, &state).unwrap();
    wait(&*source, 24);
    drop(source);
    drop(open(&config, &state).unwrap());
    let (right, _) = glucose(dir.path(), "where = { gl = 119 }");
    let opened = open(&right, &state).map(drop).unwrap_err();
    for error in [right.check_ring(&state).unwrap_err(), opened] {
        let text = error.to_string();
        for part in ["time_unit was \"ms\", is not set", "where was not set", "data reset"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    reset(&state).unwrap();
    right.check_ring(&state).unwrap();
    let source = open(&right, &state).unwrap();
    wait(&*source, 1);
}
