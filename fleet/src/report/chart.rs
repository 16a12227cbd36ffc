//! What all charts share: colours, axes, lines over something, as SVG.
//!
//! Colours here are only marks: the page's style sheet gives each of them its colour for light and
//! for dark screens by the attribute that it finds in the SVG.

use std::ops::Range;

use plotters::coord::types::RangedCoordf64;
use plotters::coord::{Shift, cartesian::Cartesian2d};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// The federation, bytes up, the first line: `#0000A1`.
pub(super) const FIRST: RGBColor = RGBColor(0, 0, 0xA1);
/// Devices alone, bytes down, the second line: `#0000A2`.
pub(super) const SECOND: RGBColor = RGBColor(0, 0, 0xA2);
/// Lines of the grid behind a chart: `#0000A3`.
pub(super) const GRID: RGBColor = RGBColor(0, 0, 0xA3);
/// Axis lines, and lines between two dots: `#0000A4`.
pub(super) const AXIS: RGBColor = RGBColor(0, 0, 0xA4);
/// Labels and numbers at the axes: `#0000A5`.
const INK: RGBColor = RGBColor(0, 0, 0xA5);

/// Width and height of a chart over rounds in user units; the page scales it.
pub(super) const OVER_ROUNDS: (u32, u32) = (360, 250);
/// Size of letters in the library's measure: 13 user units on the page.
const LETTERS: u32 = 16;
/// Rounds up to which each one gets a dot.
const DOTTED_ROUNDS: usize = 40;
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;
pub(super) type Plane<'a> =
    ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A line: what it is over, and the value.
pub(crate) type Line = Vec<(f64, f64)>;

/// What a chart is over.
#[derive(Clone, Copy)]
pub(crate) struct Over {
    /// Its name under the axis, such as `round`.
    pub(crate) name: &'static str,
    /// Whether only whole numbers have a meaning.
    pub(crate) whole: bool,
}

/// Rounds from the first to the last.
pub(super) const ROUNDS: Over = Over { name: "round", whole: true };

pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An SVG of this width and height; none, with a warning, when the library fails.
pub(super) fn draw(size: (u32, u32), content: impl FnOnce(&Area<'_>) -> Drawn) -> Option<String> {
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

/// Axes and grid: from left to right what the lines are over, upwards values from 0 to `top`.
pub(super) fn plane<'a>(
    area: &Area<'a>,
    over: Over,
    across: Range<f64>,
    top: f64,
    label: &dyn Fn(&f64) -> String,
) -> Result<Plane<'a>, Box<dyn std::error::Error>> {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // 1 to 6
    let labels = if over.whole { (across.end - across.start).min(6.0) as usize + 1 } else { 6 };
    let place = |value: &f64| match over.whole {
        true if (value - value.round()).abs() > 1e-6 => String::new(),
        true => format!("{value:.0}"),
        false => short(*value),
    };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(42)
        .y_label_area_size(62)
        .build_cartesian_2d(across, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(labels)
        .x_label_formatter(&place)
        .x_desc(over.name)
        .axis_desc_style(ink())
        .y_labels(6)
        .y_label_formatter(&label)
        .label_style(ink())
        .draw()?;
    Ok(chart)
}

pub(super) fn series(chart: &mut Plane<'_>, line: &Line, colour: RGBColor) -> Drawn {
    chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
    if line.len() <= DOTTED_ROUNDS {
        let dots = line.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        chart.draw_series(dots)?;
    }
    Ok(())
}

pub(super) fn ink() -> TextStyle<'static> {
    ("sans-serif", LETTERS).into_font().color(&INK)
}

/// Text that ends at a point and hangs below it.
pub(super) fn note(
    chart: &mut Plane<'_>,
    text: String,
    point: (f64, f64),
    colour: RGBColor,
) -> Drawn {
    let style = ("sans-serif", LETTERS).into_font().color(&colour);
    let style = style.pos(Pos::new(HPos::Right, VPos::Top));
    chart.draw_series([Text::new(text, point, style)])?;
    Ok(())
}

/// Where lines begin and end, at least one apart; none without a point.
pub(super) fn span(lines: &[&Line]) -> Option<Range<f64>> {
    let places = || lines.iter().flat_map(|line| line.iter().map(|(place, _)| *place));
    let (first, last) = (places().reduce(f64::min)?, places().reduce(f64::max)?);
    if first < last { Some(first..last) } else { Some((first - 1.0).max(0.0)..last.max(1.0)) }
}

/// Where the axis ends: a little above the largest value, and above zero.
pub(super) fn top(lines: &[&Line]) -> f64 {
    let values = lines.iter().flat_map(|line| line.iter().map(|(_, value)| *value));
    let largest = values.fold(0.0, f64::max);
    if largest > 0.0 { largest * 1.1 } else { 1.0 }
}

/// A number in few characters: `0.25`, `12`, `3.5 k`.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e4 => format!("{:.1} k", value / 1e3),
        size if size >= 10.0 || size == 0.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

/// Up to two lines, in the colours of a legend's first and second; the axis ends at `top` or a
/// little above the largest value. None without a point.
pub(crate) fn lines(
    over: Over,
    lines: &[Line],
    top_at: Option<f64>,
    label: &dyn Fn(&f64) -> String,
) -> Option<String> {
    let all: Vec<&Line> = lines.iter().collect();
    let (across, top) = (span(&all)?, top_at.unwrap_or_else(|| top(&all)));
    draw(OVER_ROUNDS, |area| {
        let mut chart = plane(area, over, across, top, label)?;
        let coloured = lines.iter().zip([FIRST, SECOND]);
        coloured.rev().try_for_each(|(line, colour)| series(&mut chart, line, colour))
    })
}
