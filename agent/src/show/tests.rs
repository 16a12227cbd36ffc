//! What is shown of real little files.

use std::fs;
use std::path::Path;

use super::*;
use dunlin_protocol::id::Name;
use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

fn config(dir: &Path, source: &str) -> AgentConfig {
    let text = format!(
        "device = 'wrist-1'\nfederation = 'gait'\nstate_dir = '{0}/state'\n\
         broker = {{ url = 'mqtt://localhost' }}\n[source]\nkind = 'csv'\npath = '{0}/a.csv'\n{source}",
        dir.display()
    );
    AgentConfig::parse(&text).unwrap()
}

const GLUCOSE: &str = "rate_hz = 1.0\ntime = 't'\nlabel = 'l'\nunit = 'mg/dL'\n\
                       channels = { glucose = 'gl' }\n";

fn task(unit: &str) -> TaskSpec {
    let channel = Channel { name: "glucose".into(), unit: unit.into(), offset: 5.0, scale: 0.5 };
    TaskSpec {
        name: Name::new("sugar").unwrap(),
        input: Input {
            channels: vec![channel],
            rate: Rate::from_millihertz(1000),
            window: 4,
            hop: 2,
        },
        features: Features::Raw,
        layers: vec![],
        target: Target::Classes(vec!["low".into(), "high".into()]),
    }
}

/// Twenty good rows from 2026 on, one that is no number, and a gap.
fn file(dir: &Path) {
    let mut text = String::from("t,gl,l\n");
    for row in 0..20 {
        let time = 1_767_225_600 + row + if row >= 10 { 30 } else { 0 };
        let (value, label) = if row < 10 { (90 + row, "low") } else { (180 + row, "high") };
        text.push_str(&format!("{time},{value},{label}\n"));
    }
    text.push_str("1767225700,Low,low\n");
    fs::write(dir.join("a.csv"), text).unwrap();
}

fn shown(config: &AgentConfig, file: Option<&Path>, task: Option<&TaskSpec>) -> Shown {
    let scratch = tempfile::tempdir().unwrap();
    look(config, file, task, 3, scratch.path()).unwrap()
}

#[test]
fn samples_are_shown_in_the_units_of_source_and_task_and_scaled() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path());
    let shown = shown(&config(dir.path(), GLUCOSE), None, Some(&task("mmol/L")));
    assert_eq!((shown.samples, shown.rows.len(), shown.gaps), (20, 3, 1));
    assert_eq!(shown.first.as_deref(), Some("2026-01-01T00:00:00Z"));
    assert_eq!(shown.measured_hz, Some(1.0));
    assert_eq!(shown.longest_step_s, 31.0);
    let row = &shown.rows[1];
    assert_eq!((row.time.as_str(), row.label.as_deref()), ("2026-01-01T00:00:01Z", Some("low")));
    assert_eq!(row.values, [91.0]);
    let in_unit = row.in_task_unit[0].unwrap();
    assert!((in_unit - 91.0 / 18.0156).abs() < 1e-3, "{in_unit}");
    assert!((row.scaled[0].unwrap() - (in_unit - 5.0) * 0.5).abs() < 1e-6);
    assert_eq!(shown.labels, BTreeMap::from([("high".into(), 10), ("low".into(), 10)]));
    let left = &shown.left_out[0];
    assert_eq!((left.reason, left.count), ("number", 1));
    assert!(left.last.contains("22") && left.last.contains("Low"), "{left:?}");
    let task = shown.task.as_ref().unwrap();
    assert_eq!(task.labels, [("low".to_owned(), 4), ("high".to_owned(), 4)]);
    let text = text::text(&shown);
    for part in
        ["2026-01-01T00:00:01Z", "glucose mg/dL", "in mmol/L", "scaled", "1 gaps", "▁", "Low"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(shown.warnings.is_empty(), "{:?}", shown.warnings);
    // Nothing was made where the agent keeps its own.
    assert!(!dir.path().join("state").exists());
}

#[test]
fn what_looks_wrong_is_said_before_a_round_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let rows: String = (0..20).map(|row| format!("{},{},low\n", row * 20, 900)).collect();
    fs::write(dir.path().join("a.csv"), format!("t,gl,l\n{rows}")).unwrap();
    let shown = shown(&config(dir.path(), GLUCOSE), None, Some(&task("mg/dL")));
    let all = shown.warnings.join("\n");
    assert!(all.contains("glucose is always 900 mg/dL"), "{all}");
    assert!(all.contains("samples come every 20.0 s, every 1.00 s is configured"), "{all}");
    assert!(all.contains("task sugar") || all.contains("no windows"), "{all}");
    fs::write(dir.path().join("a.csv"), "t,gl,l\n").unwrap();
    let empty = self::shown(&config(dir.path(), GLUCOSE), None, None);
    assert!(empty.warnings[0].starts_with("no samples"), "{:?}", empty.warnings);
    assert!(text::text(&empty).contains("no task is known"));
}

#[test]
fn another_file_and_the_ring_of_a_running_agent_are_shown_and_nothing_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path());
    let (other, state) = (dir.path().join("b.csv"), dir.path().join("state"));
    fs::rename(dir.path().join("a.csv"), &other).unwrap();
    let config = config(dir.path(), GLUCOSE);
    let scratch = tempfile::tempdir().unwrap();
    let error = look(&config, None, None, 3, scratch.path()).unwrap_err().to_string();
    assert!(error.contains("samples.ring") && error.contains("start the agent"), "{error}");
    assert!(error.contains("a.csv: is not there"), "{error}");
    assert_eq!(shown(&config, Some(&other), None).samples, 20);
    // An agent has the ring open, and its lock.
    fs::rename(&other, dir.path().join("a.csv")).unwrap();
    let source = crate::data::open(&config.source, &state).unwrap();
    while source.status().samples < 20 {
        std::thread::yield_now();
    }
    fs::rename(dir.path().join("a.csv"), &other).unwrap();
    drop(source);
    let source = crate::data::open(&config.source, &state).unwrap();
    let shown = shown(&config, None, None);
    assert!(shown.source.starts_with("the ring in"), "{}", shown.source);
    assert_eq!((shown.samples, shown.labels.len()), (20, 2));
    drop(source);
}

#[test]
fn a_page_escapes_what_comes_from_files() {
    let dir = tempfile::tempdir().unwrap();
    let rows = "0,1,<b>\n1,2,<b>\n2,3,\"a&b\"\n";
    fs::write(dir.path().join("a.csv"), format!("t,gl,l\n{rows}")).unwrap();
    let page = html::page(&shown(&config(dir.path(), GLUCOSE), None, None));
    assert!(page.contains("&lt;b&gt;") && !page.contains("<b>"), "{page}");
    assert!(page.contains("a&amp;b") && page.contains("<polyline"), "{page}");
    assert!(!page.contains("http"), "it needs nothing else");
}

#[test]
fn programs_read_what_cutting_left_out_by_reason_and_each_value_has_a_unit() {
    let dir = tempfile::tempdir().unwrap();
    file(dir.path());
    let plain = GLUCOSE.replace("unit = \"mg/dL\"", "").replace("unit = 'mg/dL'", "");
    let shown = shown(&config(dir.path(), &plain), None, Some(&task("mmol/L")));
    assert_eq!(shown.channels[0].unit, "mmol/L", "the task's where none is named");
    let json = serde_json::to_value(&shown).unwrap();
    assert!(json["task"]["left_out"].is_object(), "{json}");
    assert!(json["task"]["why"].as_str().unwrap().contains("8 windows"), "{json}");
    let json = serde_json::to_value(self::shown(&config(dir.path(), &plain), None, None)).unwrap();
    assert!(json["task"].is_null(), "{json}");
}
