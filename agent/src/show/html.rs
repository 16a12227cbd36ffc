//! The look as one page that needs nothing else.

use std::fmt::Write as _;

use dunlin_service::html::escape;

use super::{ChannelShown, Shown, text};

/// Width and height of a plot.
const PLOT: (f32, f32) = (720.0, 120.0);
const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}table{border-collapse:collapse}\
    td,th{padding:.1rem .7rem .1rem 0;text-align:right;font-variant-numeric:tabular-nums}\
    td:first-child,th:first-child{text-align:left}.table{overflow-x:auto}\
    .warning{border-left:.3rem solid #c60;padding-left:.6rem}svg{width:100%;background:#f6f6f6}";

/// Everything as a page; all that comes from files is escaped.
pub(super) fn page(shown: &Shown) -> String {
    let title = escape(&shown.source);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    for warning in &shown.warnings {
        let _ = writeln!(page, "<p class=\"warning\">{}</p>", escape(warning));
    }
    page.push_str("<h2>First samples</h2>\n");
    page.push_str(&table(&text::rows(shown)));
    for channel in &shown.channels {
        page.push_str(&plot(channel));
    }
    // The lines of the terminal have the rest: figures, labels, what was left out, the task.
    let _ = writeln!(page, "<h2>All figures</h2>\n<pre>{}</pre>", escape(&text::text(shown)));
    page.push_str("</body></html>\n");
    page
}

fn table(lines: &[Vec<String>]) -> String {
    let mut text = String::from("<div class=\"table\"><table>\n");
    for (place, line) in lines.iter().enumerate() {
        let cell = if place == 0 { "th" } else { "td" };
        let cells = line.iter().map(|text| format!("<{cell}>{}</{cell}>", escape(text)));
        let _ = writeln!(text, "<tr>{}</tr>", cells.collect::<String>());
    }
    text + "</table></div>\n"
}

fn plot(channel: &ChannelShown) -> String {
    let (Some(low), Some(high)) = (channel.low, channel.high) else { return String::new() };
    let (width, height) = PLOT;
    let values = || channel.plot.iter().flatten().copied();
    let (bottom, top) =
        (values().fold(f32::INFINITY, f32::min), values().fold(f32::NEG_INFINITY, f32::max));
    let across = width / (channel.plot.len().max(2) - 1) as f32;
    let mut points = String::new();
    for (place, value) in channel.plot.iter().enumerate() {
        let Some(value) = value else { continue };
        let share = if top > bottom { (value - bottom) / (top - bottom) } else { 0.5 };
        let (x, y) = (place as f32 * across, 4.0 + (1.0 - share) * (height - 8.0));
        let _ = write!(points, "{x:.1},{y:.1} ");
    }
    let (name, unit) = (escape(&channel.name), escape(&channel.unit));
    format!(
        "<h2>{name}</h2>\n<p>{low} to {high} {unit}; means of {} equal parts, oldest first</p>\n\
         <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{name}\">\
         <polyline fill=\"none\" stroke=\"#06c\" stroke-width=\"2\" points=\"{}\"/></svg>\n",
        channel.plot.len(),
        points.trim_end()
    )
}
