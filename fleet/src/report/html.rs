//! The page: one file without scripts, fonts or pictures from elsewhere.

use std::fmt::Write as _;

use super::charts::{self, DEVICES_MAX};
use super::text::{bytes, duration, number, percent, points};
use super::{Report, RoundReport};

const STYLE: &str = include_str!("page.css");

/// Two lines of a legend, in the order of the colours.
const FEDERATED_ALONE: &[&str] = &["federated", "alone"];

/// The report as one self-contained page, for light and dark screens. All text is escaped.
pub fn html(report: &Report) -> String {
    let title = format!("Federated training on {}", escape(&report.dataset));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>{title}</h1>\n"
    );
    page.push_str(&about(report));
    page.push_str(&figures(report));
    page.push_str("<div class=\"charts three\">\n");
    over_rounds(report, &mut page);
    page.push_str("</div>\n<div class=\"charts\">\n");
    over_devices(report, &mut page);
    page.push_str("</div>\n");
    page.push_str(&rounds_table(&report.rounds));
    page.push_str("</main>\n</body>\n</html>\n");
    page
}

fn about(report: &Report) -> String {
    format!(
        "<p class=\"about\">{} devices, {} rounds, a model of {} parameters. Backend {}, codec {}, \
         seed {}.</p>\n",
        report.n_devices,
        report.rounds.len(),
        grouped(report.n_params),
        escape(&report.backend),
        escape(&report.codec),
        report.seed,
    )
}

fn figures(report: &Report) -> String {
    let outcome = &report.outcome;
    let updates: usize = report.rounds.iter().map(|round| round.devices).sum();
    let refused: usize = report.rounds.iter().map(|round| round.refused).sum();
    let figures = [
        (
            "Federated accuracy",
            percent(outcome.accuracy),
            "on persons that no device has trained on".to_owned(),
        ),
        (
            "Training alone",
            percent(outcome.alone_accuracy_mean),
            format!("same persons, mean of the devices; federated is {}", points(report.lead())),
        ),
        (
            "Sent by a device in a round",
            bytes(outcome.bytes_up_per_device_round),
            "bytes on the wire, on average".to_owned(),
        ),
        (
            "Duration",
            duration(outcome.seconds),
            format!("{} updates combined, {} refused", grouped(updates), grouped(refused)),
        ),
    ];
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

fn over_rounds(report: &Report, page: &mut String) {
    page.push_str(&card(
        "Accuracy after each round",
        "The higher, the better: where the line is above the broken one, the common model beats \
         what devices reach alone.",
        FEDERATED_ALONE,
        charts::accuracy(report),
    ));
    page.push_str(&card(
        "Loss after each round",
        "The lower, the better: loss falls for as long as rounds still teach something, and rises \
         when the model grows too sure of itself.",
        &["federated"],
        charts::loss(report),
    ));
    page.push_str(&card(
        "Traffic of one device in each round",
        "What a device pays for taking part: its update goes up, plan and model come down.",
        &["up", "down"],
        charts::traffic(report),
    ));
}

fn over_devices(report: &Report, page: &mut String) {
    let rest = report.devices.len().saturating_sub(DEVICES_MAX);
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(" The first {DEVICES_MAX} of {} devices.", report.devices.len())
    };
    page.push_str(&card(
        "Each device, on persons nobody trained on",
        &format!(
            "The longer the bar to the right, the more the device gains for people it has never \
             met.{rest}"
        ),
        FEDERATED_ALONE,
        charts::devices(report, |device| (report.outcome.accuracy, device.alone_accuracy_unseen)),
    ));
    page.push_str(&card(
        "Each device, on its own windows kept back",
        &format!(
            "Whether the common model also serves the wearer: left of alone, it costs this person \
             something.{rest}"
        ),
        FEDERATED_ALONE,
        charts::devices(report, |device| (device.global_accuracy, device.alone_accuracy)),
    ));
}

/// A chart with its heading, one sentence on how to read it, and a legend.
fn card(heading: &str, read: &str, legend: &[&str], chart: Option<String>) -> String {
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

fn rounds_table(rounds: &[RoundReport]) -> String {
    let mut table = String::from(
        "<section class=\"card\">\n<h2>Rounds</h2>\n<div class=\"wide\"><table>\n<thead><tr>\
         <th>round</th><th>accuracy</th><th>loss</th><th>devices</th><th>refused</th>\
         <th>up a device</th><th>down a device</th><th>seconds</th></tr></thead>\n<tbody>\n",
    );
    for round in rounds {
        let _ = writeln!(
            table,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
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
    table + "</tbody>\n</table></div>\n</section>\n"
}

/// A number with a space between thousands.
fn grouped(number: usize) -> String {
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

/// Text that is safe between tags and in quoted attributes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}
