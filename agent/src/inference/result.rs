//! One result, and how it is written for whoever listens.

use std::fmt::{self, Write};
use std::time::Duration;

use dunlin_protocol::id::ModelVersion;
use dunlin_protocol::work::Significant;
use dunlin_service::machine::CLOCK_SET_S;
use serde_json::{Map, Value, json};

/// Oldest end of a window whose age is told: beyond, the sensor's clock is another one.
const AGE_US_MAX: i64 = 86_400_000_000;

/// What a model says about one window.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Estimate {
    /// For a task with classes.
    Class {
        /// The most likely label.
        label: String,
        /// Its probability by softmax, 0 to 1. Not calibrated.
        confidence: f32,
    },
    /// For a reconstruction or a forecast of the last sample: mean squared error over the scaled
    /// values. The larger, the less the window is like those that the model has learned.
    Error(f32),
    /// For a regression or a forecast of steps: the values of each channel that is asked for.
    Values(Vec<Said>),
}

/// What a model says of one channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Name of the channel.
    pub name: String,
    /// Unit of the values.
    pub unit: String,
    /// The value of a regression, or the samples to come of a forecast, the next one first.
    pub values: Vec<f32>,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class { label, confidence } => write!(f, "{label} ({:.1} %)", confidence * 100.0),
            Self::Error(error) => write!(f, "error {error:.4}"),
            Self::Values(said) => {
                for (at, Said { name, unit, values }) in said.iter().enumerate() {
                    write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
                    let text = |value: &f32| Significant((*value).into());
                    values.iter().try_for_each(|value| write!(f, " {}", text(value)))?;
                    write!(f, " {unit}")?;
                }
                Ok(())
            }
        }
    }
}

/// What was found in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The version of the model that was asked.
    pub version: ModelVersion,
    /// What the model said about the window.
    pub estimate: Estimate,
    /// Time of the window's last sample in microseconds, on the clock of the sensor.
    pub end_us: i64,
    /// From looking for the window to the model's answer.
    pub latency: Duration,
}

impl Finding {
    /// The result as JSON. `unix`: time since the Unix epoch by the clock of the machine, which may
    /// be wrong: then the result has no time and no age.
    pub fn json(&self, unix: Duration) -> String {
        let is_set = unix.as_secs() >= CLOCK_SET_S;
        let mut text = String::from("{\"time\":");
        let _ =
            if is_set { write!(text, "{:.3}", unix.as_secs_f64()) } else { text.write_str("null") };
        match &self.estimate {
            Estimate::Class { label, confidence } => {
                // Labels come from a peer and may hold anything.
                let _ = write!(text, ",\"label\":{}", Value::from(label.as_str()));
                write_number(&mut text, "confidence", *confidence, 4);
            }
            Estimate::Error(error) => write_number(&mut text, "error", *error, 6),
            Estimate::Values(said) => {
                let values = said.iter().map(|one| {
                    let numbers: Vec<Value> =
                        one.values.iter().map(|value| shortest(*value)).collect();
                    (one.name.clone(), json!({ "unit": one.unit, "values": numbers }))
                });
                let values: Map<String, Value> = values.collect();
                let _ = write!(text, ",\"values\":{}", Value::from(values));
            }
        }
        let _ = write!(text, ",\"version\":{}", self.version);
        write_number(&mut text, "latency_ms", self.latency.as_secs_f32() * 1000.0, 3);
        if let Some(age_ms) = self.age_ms(unix).filter(|_| is_set) {
            let _ = write!(text, ",\"age_ms\":{age_ms}");
        }
        text.push('}');
        text
    }

    /// Milliseconds since the window's last sample, where the sensor's clock is that of the machine.
    fn age_ms(&self, unix: Duration) -> Option<i64> {
        let now_us = i64::try_from(unix.as_micros()).ok()?;
        let age_us = now_us.checked_sub(self.end_us)?;
        // A sample a little ahead: two clocks that were set apart.
        (-1_000_000..=AGE_US_MAX).contains(&age_us).then_some(age_us.max(0) / 1000)
    }
}

/// Writes `,"key":value`; what is no number becomes `null`, as JSON has no other word for it.
fn write_number(out: &mut String, key: &str, value: f32, decimals: usize) {
    let _ = match value.is_finite() {
        true => write!(out, ",\"{key}\":{value:.decimals$}"),
        false => write!(out, ",\"{key}\":null"),
    };
}

/// A value with the digits that tell it apart from its neighbours, no more.
fn shortest(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_micros(1_800_000_000_123_456);

    fn finding(label: &str) -> Finding {
        Finding {
            version: ModelVersion(12),
            estimate: Estimate::Class { label: label.into(), confidence: 0.973_27 },
            end_us: 1_800_000_000_000_000,
            latency: Duration::from_micros(1_800),
        }
    }

    fn read(finding: &Finding, unix: Duration) -> Value {
        serde_json::from_str(&finding.json(unix)).unwrap()
    }

    #[test]
    fn a_result_names_label_confidence_version_latency_and_age() {
        let expected = json!({
            "time": 1_800_000_000.123, "label": "WALKING", "confidence": 0.9733, "version": 12,
            "latency_ms": 1.8, "age_ms": 123
        });
        assert_eq!(read(&finding("WALKING"), NOW), expected);
    }

    #[test]
    fn any_label_stays_one_string_of_valid_json() {
        for label in
            ["", "\"},{\"x\":\"", "a\\", "\n\r\t\0\u{1f}\u{7f}", "gehen – 走る 🏃", "\u{2028}"]
        {
            assert_eq!(read(&finding(label), NOW)["label"], json!(label));
        }
    }

    #[test]
    fn a_clock_that_was_never_set_gives_no_time_and_no_age() {
        let value = read(&finding("x"), Duration::from_secs(90));
        assert_eq!((&value["time"], value.get("age_ms")), (&Value::Null, None));
    }

    #[test]
    fn the_age_is_left_out_where_the_sensor_has_a_clock_of_its_own() {
        let mut finding = finding("x");
        for (end_us, age_ms) in [
            (20_000, None),
            (i64::MIN, None),
            (i64::MAX, None),
            (1_800_000_000_500_000, Some(0)),
            (1_799_999_999_123_456, Some(1000)),
        ] {
            finding.end_us = end_us;
            assert_eq!(read(&finding, NOW).get("age_ms").and_then(Value::as_i64), age_ms);
        }
    }

    #[test]
    fn values_have_their_names_and_units() {
        let mut finding = finding("x");
        let said = |name: &str, values: &[f32]| Said {
            name: name.into(),
            unit: "mg/dL".into(),
            values: values.into(),
        };
        finding.estimate = Estimate::Values(vec![said("glucose", &[101.2, 99.75])]);
        let expected = json!({ "glucose": { "unit": "mg/dL", "values": [101.2, 99.75] } });
        let value = read(&finding, NOW);
        assert_eq!(
            (&value["values"], value.get("label"), value.get("error")),
            (&expected, None, None)
        );
        assert_eq!(finding.estimate.to_string(), "glucose 101 99.8 mg/dL");
        finding.estimate = Estimate::Values(vec![said("\"},{", &[f32::NAN])]);
        assert_eq!(read(&finding, NOW)["values"]["\"},{"]["values"], json!([null]));
    }

    #[test]
    fn an_error_has_no_label_and_what_is_no_number_is_null() {
        let mut finding = finding("x");
        finding.estimate = Estimate::Error(0.25);
        let value = read(&finding, NOW);
        assert_eq!((&value["error"], value.get("label")), (&json!(0.25), None));
        finding.estimate = Estimate::Error(f32::NAN);
        assert_eq!(read(&finding, NOW)["error"], Value::Null);
    }
}
