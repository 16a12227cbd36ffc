//! The parts that pages are made of: one file without scripts, fonts or pictures from elsewhere.

use std::fmt::Write as _;

use dunlin_service::html::escape;

const STYLE: &str = include_str!("page.css");

/// A page for light and dark screens; `title` is text, `body` is HTML.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// The figures on top: name, figure and a note on each.
pub(crate) fn figures(figures: &[(&str, String, String)]) -> String {
    let mut list = String::from("<dl class=\"figures\">\n");
    for (name, figure, note) in figures {
        // Writing to a String cannot fail.
        let _ = writeln!(
            list,
            "<div class=\"card\"><dt>{name}</dt><dd>{figure}<div class=\"note\">{note}</div></dd></div>"
        );
    }
    list + "</dl>\n"
}

/// A table under a heading; cells are HTML.
pub(crate) fn table(heading: &str, head: &[&str], rows: &[Vec<String>]) -> String {
    let row = |cells: &mut dyn Iterator<Item = &str>, tag: &str| {
        let cells: String = cells.map(|cell| format!("<{tag}>{cell}</{tag}>")).collect();
        format!("<tr>{cells}</tr>")
    };
    let head = row(&mut head.iter().copied(), "th");
    let rows: String =
        rows.iter().map(|cells| row(&mut cells.iter().map(String::as_str), "td") + "\n").collect();
    format!(
        "<section class=\"card\">\n<h2>{heading}</h2>\n<div class=\"wide\"><table>\n\
         <thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n</section>\n"
    )
}

/// A chart with its heading, one sentence on how to read it, and a legend.
pub(crate) fn card(heading: &str, read: &str, legend: &[&str], chart: Option<String>) -> String {
    let keys: String = legend
        .iter()
        .zip(["first", "second"])
        .map(|(name, class)| format!("<span class=\"{class}\">{name}</span>"))
        .collect();
    let chart = chart.map_or_else(
        || "<p class=\"empty\">Nothing was measured.</p>".to_owned(),
        |svg| format!("<div role=\"img\" aria-label=\"{heading}\">{svg}</div>"),
    );
    format!(
        "<section class=\"card\">\n<h2>{heading}</h2>\n<p class=\"read\">{read}</p>\n\
         <div class=\"legend\">{keys}</div>\n{chart}\n</section>\n"
    )
}

/// A number with a space between thousands.
pub(crate) fn grouped(number: impl ToString) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
