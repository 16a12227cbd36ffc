//! The charts of the page, as SVG.
//!
//! Colours here are only marks: the page's style sheet gives each of them its colour for light and
//! for dark screens by the attribute that it finds in the SVG.

use std::ops::Range;

use plotters::coord::ranged1d::SegmentValue;
use plotters::coord::types::{RangedCoordf64, RangedCoordu32};
use plotters::coord::{Shift, cartesian::Cartesian2d};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{DeviceReport, Report};

/// The federation, and bytes up: `#0000A1`.
const FIRST: RGBColor = RGBColor(0, 0, 0xA1);
/// Devices alone, and bytes down: `#0000A2`.
const SECOND: RGBColor = RGBColor(0, 0, 0xA2);
/// Grid lines: `#0000A3`.
const GRID: RGBColor = RGBColor(0, 0, 0xA3);
/// Axis lines, and lines between two dots: `#0000A4`.
const AXIS: RGBColor = RGBColor(0, 0, 0xA4);
/// Labels: `#0000A5`.
const INK: RGBColor = RGBColor(0, 0, 0xA5);

/// Width and height of a chart over rounds in user units; the page scales it.
const OVER_ROUNDS: (u32, u32) = (360, 250);
/// Width of a chart of devices.
const DEVICES_WIDTH: u32 = 480;
/// Size of letters in the library's measure: 13 user units on the page.
const LETTERS: u32 = 16;
/// Height of one device in a chart of devices.
const ROW: u32 = 26;
/// Devices in a chart at the most; the page says when there are more.
pub(super) const DEVICES_MAX: usize = 40;
/// Rounds up to which each one gets a dot.
const DOTTED_ROUNDS: usize = 40;
/// Values from here on are left out, as are those that are not numbers.
const VALUE_MAX: f64 = 1e12;
/// Characters of a device's name that a chart shows.
const NAME_CHARS: usize = 14;

type Drawn = Result<(), Box<dyn std::error::Error>>;
type Plane<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordu32, RangedCoordf64>>;

/// A line over rounds: `(round, value)`.
type Line = Vec<(u32, f64)>;

/// Accuracy in per cent over rounds, with the mean of the devices alone as a broken line.
pub(super) fn accuracy(report: &Report) -> Option<String> {
    let line = line(report, |round| round.accuracy * 100.0);
    let alone = report.outcome.alone_accuracy_mean * 100.0;
    let rounds = span(&[&line])?;
    draw(OVER_ROUNDS, |area| {
        let mut chart = plane(area, rounds.clone(), 100.0, &|value| format!("{value:.0} %"))?;
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
        let mut chart = plane(area, rounds, top, &|value| format!("{value:.1}"))?;
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
        let mut chart = plane(area, rounds, top, &|value| format!("{value:.0} {name}"))?;
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

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG of this width and height; none, with a warning, when the library fails.
fn draw(size: (u32, u32), content: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        if let Err(error) = content(&area) {
            log::warn!("a chart could not be drawn: {error}");
            return None;
        }
        area.present().ok()?;
    }
    Some(svg)
}

/// Axes and grid: rounds to the right, values from 0 to `top` upwards.
fn plane<'a>(
    area: &Area<'a>,
    rounds: Range<u32>,
    top: f64,
    label: &dyn Fn(&f64) -> String,
) -> Result<Plane<'a>, Box<dyn std::error::Error>> {
    let labels = (rounds.end - rounds.start).min(6) as usize + 1;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(42)
        .y_label_area_size(62)
        .build_cartesian_2d(rounds, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(labels)
        .x_desc("round")
        .axis_desc_style(ink())
        .y_labels(6)
        .y_label_formatter(&label)
        .label_style(ink())
        .draw()?;
    Ok(chart)
}

fn series(chart: &mut Plane<'_>, line: &Line, colour: RGBColor) -> Drawn {
    chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
    if line.len() <= DOTTED_ROUNDS {
        let dots = line.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    Ok(())
}

fn ink() -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&INK)
}

/// Text that ends at a point and hangs below it.
fn note(chart: &mut Plane<'_>, text: String, point: (u32, f64), colour: RGBColor) -> Drawn {
    let style = ("sans-serif", LETTERS).into_font().color(&colour);
    let style = style.pos(Pos::new(HPos::Right, VPos::Top));
    chart.draw_series([Text::new(text, point, style)])?;
    Ok(())
}

/// The measured values of all rounds, without those that no axis could show.
fn line(report: &Report, value: impl Fn(&super::RoundReport) -> f64) -> Line {
    let points = report.rounds.iter().map(|round| (round.round, value(round)));
    points.filter(|(_, value)| value.abs() < VALUE_MAX).collect()
}

/// First and last round of these lines, at least one apart; none without a point.
fn span(lines: &[&Line]) -> Option<Range<u32>> {
    let rounds = || lines.iter().flat_map(|line| line.iter().map(|(round, _)| *round));
    let (first, last) = (rounds().min()?, rounds().max()?);
    if first < last { Some(first..last) } else { Some(first.saturating_sub(1)..last.max(1)) }
}

/// Where the axis ends: a little above the largest value, and above zero.
fn top(lines: &[&Line]) -> f64 {
    let values = lines.iter().flat_map(|line| line.iter().map(|(_, value)| *value));
    let largest = values.fold(0.0, f64::max);
    if largest > 0.0 { largest * 1.1 } else { 1.0 }
}

/// The name, or its beginning.
fn short_name(name: &str) -> String {
    if name.chars().count() <= NAME_CHARS {
        return name.to_owned();
    }
    name.chars().take(NAME_CHARS - 1).chain(['…']).collect()
}
