//! `format = "..."`: a few keys under one name, for files and messages of well-known makers. Keys
//! that the configuration has itself win.

use toml::{Table, Value};

/// A format of one kind of source.
struct Preset {
    name: &'static str,
    /// The kind of source that it is for.
    kind: &'static str,
    /// Its keys.
    keys: &'static str,
    /// Keys for recordings in mmol/L: where a channel's column has that in its name.
    mmol: Option<&'static str>,
}

const fn csv(name: &'static str, keys: &'static str) -> Preset {
    Preset { name, kind: "csv", keys, mmol: None }
}

/// All formats. In front of each, what its maker writes.
static PRESETS: [Preset; 12] = [
    // Empatica E4, ACC.csv: line 1 the start in seconds since 1970, line 2 the rate (32 Hz), then
    // x,y,z in 1/64 g. Other files of the E4 have one column, other rates, and no factor.
    csv(
        "empatica-e4",
        "header = false\ncolumns = 3\nstart_line = 1\nrate_line = 2\nrate_hz = 32\n\
         factor = 0.015625\nunit = \"g\"\n",
    ),
    // ActiGraph, ActiLife's CSV: ten lines of metadata, then a header; the time, where there is a
    // column of it, as ISO 8601 or as the locale of the computer writes it.
    csv("actigraph", "header = \"auto\"\ntime = { format = \"iso\" }\n"),
    // Axivity AX3 and AX6, cwa-convert and OmGui: no header; local time, x, y, z in g.
    csv(
        "axivity",
        "header = false\ntime = { column = 0, format = \"iso\" }\nrate_hz = 100\nunit = \"g\"\n",
    ),
    // Sensor Logger, Accelerometer.csv and the like: time,seconds_elapsed,z,y,x; time in ns.
    csv("sensor-logger", "time = { column = \"time\", unit = \"ns\" }\n"),
    // Sensor Logger over MQTT: {"payload": [{"name": ..., "time": ns, "values": {"x": ...}}]}, all
    // sensors in one topic.
    Preset {
        name: "sensor-logger",
        kind: "mqtt",
        keys: "batch = \"payload\"\ntime = { place = \"time\", unit = \"ns\" }\n\
               where = { name = \"accelerometer\" }\n",
        mmol: None,
    },
    // phyphox, "CSV (semicolon, decimal comma)": "Time (s)";"Acceleration x (m/s^2)"; ... For its
    // other exports set delimiter and decimal.
    csv("phyphox", "delimiter = \";\"\ndecimal = \",\"\ntime = \"Time (s)\"\n"),
    // Shimmer, ConsensysPRO: `sep=` with the delimiter, a header, units, then rows; time in ms.
    csv(
        "shimmer",
        "header = \"auto\"\ndelimiter = \"\\t\"\nskip_after_header = 1\ntime_unit = \"ms\"\n",
    ),
    // Polar Sensor Logger: Phone timestamp;sensor timestamp [ns];X [mg];Y [mg];Z [mg]. The sensor's
    // clock is even, the phone's is that of whole packets; it counts from 2000.
    csv(
        "polar",
        "delimiter = \";\"\nunit = \"mg\"\ntime = { column = \"sensor timestamp [ns]\", \
         unit = \"ns\", start = \"2000-01-01\" }\n",
    ),
    // Dexcom Clarity: rows of several kinds, glucose in those of kind EGV each 5 minutes, Low and
    // High beyond 40 and 400 mg/dL; local time.
    Preset {
        name: "clarity",
        kind: "csv",
        keys: "period = \"5 min\"\nunit = \"mg/dL\"\ntext = { Low = 39, High = 401 }\n\
               where = { \"Event Type\" = \"EGV\" }\n\
               time = { column = \"Timestamp (YYYY-MM-DDThh:mm:ss)\", format = \"iso\" }\n",
        mmol: Some("unit = \"mmol/L\"\ntext = { Low = 2.2, High = 22.3 }\n"),
    },
    // LibreView (Abbott): a line of metadata, a header; rows of kind 0 have the glucose that the
    // sensor took each 15 minutes; local time, its form depends on the country of the account.
    Preset {
        name: "libreview",
        kind: "csv",
        keys: "header = \"auto\"\nperiod = \"15 min\"\nunit = \"mg/dL\"\n\
               text = { LO = 39, HI = 501 }\nwhere = { \"Record Type\" = 0 }\n\
               time = { column = \"Device Timestamp\", format = \"%d-%m-%Y %H:%M\" }\n",
        mmol: Some("unit = \"mmol/L\"\ntext = { LO = 2.1, HI = 27.8 }\n"),
    },
    // WISDM v1.1 raw: user,activity,uptime in ns,x,y,z; with 10 for 1 g, some rows not on a line of
    // their own. One user: where = { "0" = 33 }.
    csv(
        "wisdm",
        "header = false\nrow_end = \";\"\nlabel = 1\ntime = { column = 2, unit = \"ns\" }\n\
         rate_hz = 20\nunit = \"m/s2\"\n",
    ),
    // PAMAP2: time in s, activity, heart rate at about 9 Hz, then three IMUs at 100 Hz.
    csv(
        "pamap2",
        "header = false\ndelimiter = \" \"\ntime = 0\nlabel = 1\nrate_hz = 100\n\
         missing = \"hold\"\nmissing_max_s = 1\n[labels]\n0 = \"\"\n1 = \"lying\"\n2 = \"sitting\"\n\
         3 = \"standing\"\n4 = \"walking\"\n5 = \"running\"\n6 = \"cycling\"\n\
         7 = \"Nordic walking\"\n9 = \"watching TV\"\n10 = \"computer work\"\n\
         11 = \"car driving\"\n12 = \"ascending stairs\"\n13 = \"descending stairs\"\n\
         16 = \"vacuum cleaning\"\n17 = \"ironing\"\n18 = \"folding laundry\"\n\
         19 = \"house cleaning\"\n20 = \"playing soccer\"\n24 = \"rope jumping\"\n",
    ),
];

/// Puts the keys of the format that `keys` names, if any, under those of a source of kind `kind`.
///
/// # Errors
/// When there is no such format, with those that there are.
pub(super) fn apply(kind: &str, keys: &mut Table) -> Result<(), String> {
    let Some(format) = keys.remove("format") else {
        return Ok(());
    };
    let known: Vec<&str> =
        PRESETS.iter().filter(|preset| preset.kind == kind).map(|preset| preset.name).collect();
    let name = format.as_str().ok_or("format is no text")?;
    let Some(preset) = PRESETS.iter().find(|p| p.name == name && p.kind == kind) else {
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(format!("format {name:?} is not known for kind {kind:?}; there are: {known}"));
    };
    let mut defaults = parse(preset.keys)?;
    if let Some(mmol) = preset.mmol.filter(|_| has_mmol(keys)) {
        defaults.extend(parse(mmol)?);
    }
    if keys.contains_key("period") {
        defaults.remove("rate_hz");
    }
    if keys.contains_key("rate_hz") {
        defaults.remove("period");
    }
    if keys.contains_key("time") {
        defaults.remove("start_line");
    }
    for (key, default) in defaults {
        match key.as_str() {
            "time" => put_time(keys, default),
            _ => put(keys, key, default),
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Table, String> {
    text.parse::<Table>().map_err(|error| error.to_string())
}

fn has_mmol(keys: &Table) -> bool {
    let channels = keys.get("channels").and_then(Value::as_table);
    let columns = channels.into_iter().flat_map(|channels| channels.values());
    columns.filter_map(Value::as_str).any(|column| column.to_lowercase().contains("mmol"))
}

/// Puts `default` under what is there; of tables, the keys that are not there.
fn put(keys: &mut Table, key: String, default: Value) {
    match (keys.get_mut(&key), default) {
        (None, default) => {
            keys.insert(key, default);
        }
        (Some(Value::Table(own)), Value::Table(default)) => {
            default.into_iter().for_each(|(key, default)| put(own, key, default));
        }
        (Some(_), _) => {}
    }
}

/// Puts a time under what is there. Where there is only a column, the format is the default's; a
/// default without a column is none by itself.
#[allow(clippy::wildcard_enum_match_arm)] // a column may be any value
fn put_time(keys: &mut Table, default: Value) {
    let place = |table: &Table| table.contains_key("column") || table.contains_key("place");
    let own = match keys.remove("time") {
        Some(Value::Table(own)) => own,
        Some(column) => Table::from_iter([("column".to_owned(), column)]),
        None => Table::new(),
    };
    let mut time = match default {
        Value::Table(default) => default,
        column => Table::from_iter([("column".to_owned(), column)]),
    };
    if place(&own) {
        time.remove("column");
        time.remove("place");
    }
    // What belongs to one format has no meaning in another.
    if own.contains_key("format") {
        time.retain(|key, _| matches!(key, "column" | "place"));
    }
    time.extend(own);
    if place(&time) {
        keys.insert("time".to_owned(), Value::Table(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SourceConfig;

    fn applied(kind: &str, text: &str) -> Table {
        let mut keys = text.parse::<Table>().unwrap();
        apply(kind, &mut keys).unwrap();
        keys
    }

    #[test]
    fn own_keys_win_also_within_tables_and_times() {
        let own = "format = 'clarity'\nrate_hz = 0.01\nwhere = { Device = 'x' }\ntime = 'T'\n\
            text = { Low = 38 }\n";
        let keys = applied("csv", own);
        assert!(!keys.contains_key("period") && !keys.contains_key("format"));
        assert_eq!(
            keys["where"],
            "a = { Device = 'x', 'Event Type' = 'EGV' }".parse::<Table>().unwrap()["a"]
        );
        assert_eq!(
            keys["time"],
            "a = { column = 'T', format = 'iso' }".parse::<Table>().unwrap()["a"]
        );
        assert_eq!(keys["text"], "a = { Low = 38, High = 401 }".parse::<Table>().unwrap()["a"]);
        let keys = applied("csv", "format = 'actigraph'");
        assert!(!keys.contains_key("time"), "a format alone is no column");
        let keys = applied("csv", "format = 'libreview'\ntime = { format = 'iso' }");
        assert_eq!(keys["time"]["column"].as_str(), Some("Device Timestamp"));
        let keys =
            applied("csv", "format = 'clarity'\nchannels = { g = 'Glucose Value (mmol/L)' }");
        assert_eq!(
            (keys["unit"].as_str(), keys["text"]["Low"].as_float()),
            (Some("mmol/L"), Some(2.2))
        );
    }

    #[test]
    fn formats_go_by_kind_and_unknown_ones_are_refused_with_those_that_there_are() {
        assert_eq!(applied("mqtt", "format = 'sensor-logger'")["batch"].as_str(), Some("payload"));
        let mut keys = "format = 'fitbit'".parse::<Table>().unwrap();
        let problem = apply("csv", &mut keys).unwrap_err();
        assert!(problem.contains("fitbit") && problem.contains("libreview"), "{problem}");
        let mut keys = "format = 'polar'".parse::<Table>().unwrap();
        assert!(apply("iio", &mut keys).unwrap_err().contains("none"));
    }

    #[test]
    fn each_format_makes_a_source_without_problems() {
        for preset in &PRESETS {
            let own = match preset.kind {
                "mqtt" => "topic = 't'\nrate_hz = 50\nchannels = { x = 'values.x' }",
                _ => "path = '-'\nchannels = { x = 3 }",
            };
            let mut text = format!("kind = '{}'\nformat = '{}'\n{own}\n", preset.kind, preset.name);
            let keys = applied(preset.kind, &format!("format = '{}'", preset.name));
            if preset.kind == "csv" && !keys.contains_key("rate_hz") && !keys.contains_key("period")
            {
                text.push_str("rate_hz = 50\n");
            }
            let named = text.replace("x = 3", "x = 'x'");
            let headless = keys.get("header").and_then(Value::as_bool) == Some(false);
            let text = if headless { text.replace("x = 3", "x = 2") } else { named };
            let config: SourceConfig =
                toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", preset.name));
            assert_eq!(config.check().0, [], "{}", preset.name);
        }
    }
}
