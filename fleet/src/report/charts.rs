//! The charts of the demo's page.

use plotters::coord::ranged1d::SegmentValue;
use plotters::prelude::*;

use super::chart::{
    AXIS, Area, Drawn, FIRST, GRID, Line, OVER_ROUNDS, ROUNDS, SECOND, draw, ink, note, plane,
    series, span, top,
};
use super::{DeviceReport, Report};

/// Width of a chart of devices.
const DEVICES_WIDTH: u32 = 480;
/// Height of one device in a chart of devices.
const ROW: u32 = 26;
/// Devices in a chart at the most; the page says when there are more.
pub(super) const DEVICES_MAX: usize = 40;
/// Values from here on are left out, as are those that are not numbers.
const VALUE_MAX: f64 = 1e12;
/// Characters of a device's name that a chart shows.
const NAME_CHARS: usize = 14;

/// Accuracy in per cent over rounds, with the mean of the devices alone as a broken line.
pub(super) fn accuracy(report: &Report) -> Option<String> {
    let line = line(report, |round| round.accuracy * 100.0);
    let alone = report.outcome.alone_accuracy_mean * 100.0;
    let rounds = span(&[&line])?;
    draw(OVER_ROUNDS, |area| {
        let mut chart =
            plane(area, ROUNDS, rounds.clone(), 100.0, &|value| format!("{value:.0} %"))?;
        if alone.is_finite() {
            let ends = [rounds.start, rounds.end].map(|round| (round, alone));
            chart.draw_series(DashedLineSeries::new(ends, 6, 5, SECOND.stroke_width(2)))?;
            note(&mut chart, format!("alone {alone:.1} %"), (rounds.end, alone - 2.0), SECOND)?;
        }
        // Two notes on one spot are none.
        let crowded = |value: f64| (value - alone).abs() < 15.0;
        if let Some((round, last)) = line.last().filter(|(_, last)| !crowded(*last)) {
            note(&mut chart, format!("{last:.1} %"), (*round, last - 4.0), FIRST)?;
        }
        series(&mut chart, &line, FIRST)
    })
}

/// Loss in nats over rounds.
pub(super) fn loss(report: &Report) -> Option<String> {
    let line = line(report, |round| round.loss);
    let (rounds, top) = (span(&[&line])?, top(&[&line]));
    draw(OVER_ROUNDS, |area| {
        let mut chart = plane(area, ROUNDS, rounds, top, &|value| format!("{value:.1}"))?;
        series(&mut chart, &line, FIRST)
    })
}

/// What a device sends and is sent in each round.
pub(super) fn traffic(report: &Report) -> Option<String> {
    let lines = |unit: f64| {
        let up = line(report, |round| round.up_per_device() / unit);
        let down = line(report, |round| round.down_per_device() / unit);
        (up, down)
    };
    let (up, down) = lines(1.0);
    let (unit, name) = match top(&[&up, &down]) {
        bytes if bytes < 4096.0 => (1.0, "B"),
        bytes if bytes < 4096.0 * 1024.0 => (1024.0, "KiB"),
        _ => (1024.0 * 1024.0, "MiB"),
    };
    let (up, down) = lines(unit);
    let (rounds, top) = (span(&[&up, &down])?, top(&[&up, &down]));
    draw(OVER_ROUNDS, |area| {
        let mut chart = plane(area, ROUNDS, rounds, top, &|value| format!("{value:.0} {name}"))?;
        series(&mut chart, &down, SECOND)?;
        series(&mut chart, &up, FIRST)
    })
}

/// Two accuracies of each device, in per cent: `(federated, alone)` by `figures`.
pub(super) fn devices(
    report: &Report,
    figures: impl Fn(&DeviceReport) -> (f64, f64),
) -> Option<String> {
    let shown: Vec<(String, f64, f64)> = report
        .devices
        .iter()
        .take(DEVICES_MAX)
        .map(|device| {
            let (federated, alone) = figures(device);
            (short_name(&device.device), federated * 100.0, alone * 100.0)
        })
        .collect();
    let rows = u32::try_from(shown.len()).ok().filter(|rows| *rows > 0)?;
    draw((DEVICES_WIDTH, rows * ROW + 44), |area| dumbbells(area, rows, &shown))
}

fn dumbbells(area: &Area<'_>, rows: u32, shown: &[(String, f64, f64)]) -> Drawn {
    // The first device on top.
    let row_of = |at: u32| rows - 1 - at;
    let name = |value: &SegmentValue<u32>| match value {
        SegmentValue::CenterOf(row) if *row < rows => {
            let shown = shown.get(row_of(*row) as usize);
            shown.map_or_else(String::new, |(name, ..)| name.clone())
        }
        SegmentValue::CenterOf(_) | SegmentValue::Exact(_) | SegmentValue::Last => String::new(),
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(28)
        .y_label_area_size(120)
        .build_cartesian_2d(0.0..100.0, (0..rows).into_segmented())?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(TRANSPARENT)
        .x_labels(6)
        .y_labels(shown.len() + 1)
        .x_label_formatter(&|value| format!("{value:.0} %"))
        .y_label_formatter(&name)
        .label_style(ink())
        .draw()?;
    for (at, (_, federated, alone)) in (0..rows).zip(shown) {
        let point = |value: f64| (value, SegmentValue::CenterOf(row_of(at)));
        let measured = |value: f64| value.is_finite();
        if measured(*federated) && measured(*alone) {
            let ends = vec![point(*federated), point(*alone)];
            chart.draw_series([PathElement::new(ends, AXIS.stroke_width(3))])?;
        }
        for (value, colour) in [(*alone, SECOND), (*federated, FIRST)] {
            if measured(value) {
                chart.draw_series([Circle::new(point(value), 6, colour.filled())])?;
            }
        }
    }
    Ok(())
}

/// The measured values of all rounds, without those that no axis could show.
fn line(report: &Report, value: impl Fn(&super::RoundReport) -> f64) -> Line {
    let points = report.rounds.iter().map(|round| (f64::from(round.round), value(round)));
    points.filter(|(_, value)| value.abs() < VALUE_MAX).collect()
}

/// The name, or its beginning.
fn short_name(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}
