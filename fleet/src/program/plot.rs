//! Lines in a plane whose axes are logarithmic, as SVG.

use plotters::coord::ranged1d::ValueFormatter;
use plotters::prelude::*;

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(150, 60, 60),
    RGBColor(90, 90, 90),
];
const SIZE: (u32, u32) = (860, 520);

/// One line or cloud of points.
pub(crate) struct Series {
    /// Its name in the legend.
    pub(crate) name: String,
    /// Its points as (x, y), in the order of the line.
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether they are joined.
    pub(crate) joined: bool,
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Which axes are logarithmic and what they are called.
pub(crate) struct Axes {
    /// Name of the horizontal axis, logarithmic.
    pub(crate) x: &'static str,
    /// Name of the vertical axis.
    pub(crate) y: &'static str,
    /// Whether the vertical axis is logarithmic.
    pub(crate) log_y: bool,
    /// A corner without points.
    pub(crate) legend: SeriesLabelPosition,
}

/// Draws `series`; none, with a warning, when there are no points or the library fails.
pub(crate) fn draw(axes: &Axes, series: &[Series]) -> Option<String> {
    let points = || series.iter().flat_map(|one| one.points.iter().copied());
    let span = |values: Vec<f64>| {
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(0.0, f64::max);
        (low.is_finite() && low > 0.0).then_some((low, high))
    };
    let x = span(points().map(|point| point.0).collect())?;
    let y = span(points().map(|point| point.1).collect())?;
    let across = (x.0 * 0.8..x.1 * 1.25).log_scale();
    let mut svg = String::new();
    let drawn = if axes.log_y {
        plane(&mut svg, axes, across, (y.0 * 0.7..y.1 * 1.4).log_scale(), series)
    } else {
        plane(&mut svg, axes, across, (y.0 - 1.0)..(y.1 + 1.0), series)
    };
    match drawn {
        Ok(()) => Some(svg),
        Err(error) => {
            log::warn!("a plot could not be drawn: {error}");
            None
        }
    }
}

fn plane<X, Y>(svg: &mut String, axes: &Axes, x: X, y: Y, series: &[Series]) -> Drawn
where
    X: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    Y: plotters::coord::ranged1d::AsRangedCoord<Value = f64>,
    X::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&|value| short(*value))
        .y_label_formatter(&|value| short(*value))
        .draw()?;
    for (one, &colour) in series.iter().zip(COLOURS.iter().cycle()) {
        let dots = one.points.iter().map(|point| Circle::new(*point, 3, colour.filled()));
        if one.joined {
            let line = LineSeries::new(one.points.iter().copied(), colour.stroke_width(2));
            chart.draw_series(line)?.label(one.name.clone()).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2))
            });
        } else {
            chart
                .draw_series(dots)?
                .label(one.name.clone())
                .legend(move |(x, y)| Circle::new((x + 8, y), 4, colour.filled()));
        }
    }
    chart
        .configure_series_labels()
        .position(axes.legend.clone())
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// A number in few characters: `0.0052`, `12.5 k`.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 0.1 => format!("{v:.1}"),
        v => format!("{v:.1e}"),
    }
}
