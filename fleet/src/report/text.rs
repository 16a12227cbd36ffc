//! Figures as text, and the table for a terminal.

use std::fmt::Write as _;

use super::Report;

/// Stands for a figure that was not measured.
const MISSING: &str = "–";

/// A part of 1 in per cent, such as `86.8 %`.
pub(crate) fn percent(part: f64) -> String {
    if part.is_finite() { format!("{:.1} %", part * 100.0) } else { MISSING.to_owned() }
}

/// A number with so many decimals.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    if value.is_finite() { format!("{value:.decimals$}") } else { MISSING.to_owned() }
}

/// A number of bytes in the unit that suits it, such as `6.3 KiB`.
pub(crate) fn bytes(count: f64) -> String {
    if !count.is_finite() {
        return MISSING.to_owned();
    }
    match count {
        _ if count < 1024.0 => format!("{count:.0} B"),
        _ if count < 1024.0 * 1024.0 => format!("{:.1} KiB", count / 1024.0),
        _ => format!("{:.1} MiB", count / (1024.0 * 1024.0)),
    }
}

/// A duration, such as `41.2 s`, `3 min 20 s` or `5.2 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return MISSING.to_owned();
    }
    if seconds < 100.0 {
        return format!("{seconds:.1} s");
    }
    if seconds >= 7200.0 {
        return format!("{:.1} h", seconds / 3600.0);
    }
    let whole = seconds.round();
    format!("{:.0} min {:.0} s", (whole / 60.0).floor(), whole % 60.0)
}

/// Points of accuracy with their sign, such as `+29.5 points`.
pub(crate) fn points(lead: f64) -> String {
    if lead.is_finite() { format!("{lead:+.1} points") } else { MISSING.to_owned() }
}

/// The run as lines of text: a row for each round, then the outcome.
pub fn summary_table(report: &Report) -> String {
    let mut text = String::from(
        "round  accuracy    loss  devices  refused  up/device  down/device  seconds\n",
    );
    for round in &report.rounds {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>5}  {:>8}  {:>6}  {:>7}  {:>7}  {:>9}  {:>11}  {:>7}",
            round.round,
            percent(round.accuracy),
            number(round.loss, 3),
            round.devices,
            round.refused,
            bytes(round.up_per_device()),
            bytes(round.down_per_device()),
            number(round.seconds, 1),
        );
    }
    let outcome = &report.outcome;
    let _ = writeln!(
        text,
        "\nOn persons that no device has trained on:\n\
         \x20 federated  {:>8}   after {} rounds in {}\n\
         \x20            {:>8}   mean of the last five rounds\n\
         \x20 alone      {:>8}   mean of {} devices, same amount of training\n\
         \x20 ahead by   {}\n\
         Each device sent {} a round ({} parameters, codec {}).",
        percent(outcome.accuracy),
        report.rounds.len(),
        duration(outcome.seconds),
        percent(outcome.accuracy_last_five),
        percent(outcome.alone_accuracy_mean),
        report.n_devices,
        points(report.lead()),
        bytes(outcome.bytes_up_per_device_round),
        report.n_params,
        report.codec,
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_come_with_units_and_missing_ones_are_dashes() {
        assert_eq!(percent(0.8675), "86.8 %");
        assert_eq!(bytes(512.0), "512 B");
        assert_eq!(bytes(6_451.0), "6.3 KiB");
        assert_eq!(bytes(3.0 * 1024.0 * 1024.0), "3.0 MiB");
        assert_eq!(duration(41.23), "41.2 s");
        assert_eq!(duration(200.0), "3 min 20 s");
        assert_eq!(duration(9000.0), "2.5 h");
        assert_eq!(points(29.46), "+29.5 points");
        let missing = [percent(f64::NAN), number(f64::INFINITY, 1), bytes(f64::NAN)];
        assert!(missing.iter().all(|text| text == MISSING));
    }
}
