//! The look for a terminal.

use std::fmt::Write as _;

use dunlin_protocol::work::Significant;

use super::{ChannelShown, Shown, span};

/// Heights of a plot in one line.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Everything as lines of text.
pub(super) fn text(shown: &Shown) -> String {
    let mut text = head(shown);
    if !shown.rows.is_empty() {
        text.push_str(&format!("\nfirst {} samples\n", shown.rows.len()));
        text.push_str(&table(&rows(shown)));
    }
    if shown.samples > 0 {
        text.push_str("\nchannels\n");
        text.push_str(&table(&channels(shown)));
    }
    text.push_str(&labels(shown));
    text.push_str(&left_out(shown));
    if let Some(task) = &shown.task {
        let _ = write!(text, "\ntask {}: {} windows", task.name, task.windows);
        if !task.labels.is_empty() {
            let counts = task.labels.iter().map(|(label, count)| format!("{label} {count}"));
            let _ = write!(text, " ({})", counts.collect::<Vec<_>>().join(", "));
        }
        let _ = writeln!(text, "\n  {}", task.why);
    } else {
        text.push_str("\nno task is known: --task FILE compares with one\n");
    }
    for warning in &shown.warnings {
        let _ = writeln!(text, "\nwarning: {warning}");
    }
    text
}

fn head(shown: &Shown) -> String {
    let Shown { source, samples, gaps, longest_step_s, steps_back, .. } = shown;
    let mut text = format!("{source}: {samples} samples");
    if let (Some(first), Some(last)) = (&shown.first, &shown.last) {
        let _ = write!(text, ", {first} to {last}");
    }
    let hertz = |hz: f64| format!("{} Hz, every {}", Significant(hz), span(1.0 / hz));
    let _ = write!(text, "\nrate: {} configured", hertz(shown.configured_hz));
    if let Some(measured) = shown.measured_hz {
        let _ = write!(text, "; {} by the times", hertz(measured));
        let _ = match gaps {
            0 => write!(text, "; no gaps"),
            _ => write!(text, "; {gaps} gaps, the longest step is {}", span(*longest_step_s)),
        };
    }
    if *steps_back > 0 {
        let _ = write!(text, "; {steps_back} samples are older than the one before");
    }
    text.push('\n');
    text
}

/// A channel's columns: its values, and where a task is known those in its unit and scaled.
pub(super) fn columns(channel: &ChannelShown) -> Vec<String> {
    let unit = |unit: &str| if unit.is_empty() { String::new() } else { format!(" {unit}") };
    let mut columns = vec![format!("{}{}", channel.name, unit(&channel.unit))];
    if channel.is_converted() {
        columns.extend(channel.task_unit.as_ref().map(|wanted| format!("in{}", unit(wanted))));
    }
    if channel.scaling.is_some() {
        columns.push("scaled".to_owned());
    }
    columns
}

/// The first samples with their head.
pub(super) fn rows(shown: &Shown) -> Vec<Vec<String>> {
    let labelled = shown.rows.iter().any(|row| row.label.is_some());
    let mut head = vec!["time".to_owned()];
    if labelled {
        head.push("label".to_owned());
    }
    head.extend(shown.channels.iter().flat_map(columns));
    let mut lines = vec![head];
    for row in &shown.rows {
        let mut line = vec![row.time.clone()];
        if labelled {
            line.push(row.label.clone().unwrap_or_else(|| "-".to_owned()));
        }
        let cells = row.values.iter().zip(&row.in_task_unit).zip(&row.scaled);
        for (((value, in_unit), scaled), channel) in cells.zip(&shown.channels) {
            line.push(if value.is_finite() { value.to_string() } else { "cut".to_owned() });
            let figure = |value: &f32| Significant(f64::from(*value)).to_string();
            if channel.is_converted() {
                line.extend(in_unit.as_ref().map(figure));
            }
            line.extend(scaled.as_ref().map(figure));
        }
        lines.push(line);
    }
    lines
}

fn channels(shown: &Shown) -> Vec<Vec<String>> {
    let value = |value: Option<f32>| value.map_or("-".to_owned(), |value| value.to_string());
    let head = ["name", "lowest", "highest", "mean", "cut", "oldest to newest"];
    let mut lines = vec![head.map(str::to_owned).to_vec()];
    lines.extend(shown.channels.iter().map(|channel| {
        vec![
            channel.name.clone(),
            value(channel.low),
            value(channel.high),
            channel.mean.map_or("-".to_owned(), |mean| Significant(mean).to_string()),
            channel.cut.to_string(),
            plot(channel),
        ]
    }));
    lines
}

/// A line in which each point has its height.
fn plot(channel: &ChannelShown) -> String {
    let values = || channel.plot.iter().flatten().copied();
    let low = values().fold(f32::INFINITY, f32::min);
    let span = values().fold(f32::NEG_INFINITY, f32::max) - low;
    let bar = |value: f32| {
        let share = if span > 0.0 { (value - low) / span } else { 0.5 };
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 0 to 7
        let height = (share * (BARS.len() - 1) as f32).round() as usize;
        BARS.get(height).copied().unwrap_or(' ')
    };
    channel.plot.iter().map(|point| point.map_or(' ', bar)).collect()
}

fn labels(shown: &Shown) -> String {
    if shown.labels.is_empty() {
        return String::new();
    }
    let counts = shown.labels.iter().map(|(label, count)| format!("{label} {count}"));
    let counts = counts.collect::<Vec<_>>().join(", ");
    format!("\nlabels, in samples: {counts}; without a label {}\n", shown.unlabelled)
}

fn left_out(shown: &Shown) -> String {
    let mut text = String::new();
    for left in &shown.left_out {
        let detail = if left.last.is_empty() { String::new() } else { format!(" ({})", left.last) };
        let _ = writeln!(text, "  {} {}{detail}", left.count, left.what);
    }
    if text.is_empty() { text } else { format!("\nleft out\n{text}") }
}

/// Columns below each other: numbers to the right, the first and the last column to the left.
fn table(lines: &[Vec<String>]) -> String {
    let count = lines.iter().map(Vec::len).max().unwrap_or(0);
    let wide = |place: usize| {
        let cells = lines.iter().filter_map(|line| line.get(place));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(wide).collect();
    let mut text = String::new();
    for line in lines {
        let mut shown = String::from(" ");
        for (place, (cell, &width)) in line.iter().zip(&widths).enumerate() {
            let _ = if place == 0 || place + 1 == count {
                write!(shown, " {cell:<width$}")
            } else {
                write!(shown, "  {cell:>width$}")
            };
        }
        text.push_str(shown.trim_end());
        text.push('\n');
    }
    text
}
