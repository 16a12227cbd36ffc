//! The page of a live run: figures, charts over rounds and devices, a table.

use super::charts::{self, DEVICES_MAX};
use dunlin_service::html::escape;

use super::page::{self, card, grouped};
use super::text::{bytes, duration, number, percent, points};
use super::{Report, RoundReport};

/// Two lines of a legend, in the order of the colours.
const FEDERATED_ALONE: &[&str] = &["federated", "alone"];

/// The report as one self-contained page. All text is escaped.
pub fn html(report: &Report) -> String {
    let mut body = about(report);
    body.push_str(&figures(report));
    body.push_str("<div class=\"charts three\">\n");
    over_rounds(report, &mut body);
    body.push_str("</div>\n<div class=\"charts\">\n");
    over_devices(report, &mut body);
    body.push_str("</div>\n");
    body.push_str(&rounds_table(&report.rounds));
    page::page(&format!("Federated training on {}", report.dataset), &body)
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
    page::figures(&figures)
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

fn rounds_table(rounds: &[RoundReport]) -> String {
    let head = [
        "round",
        "accuracy",
        "loss",
        "devices",
        "refused",
        "up a device",
        "down a device",
        "seconds",
    ];
    let row = |round: &RoundReport| {
        vec![
            round.round.to_string(),
            percent(round.accuracy),
            number(round.loss, 3),
            round.devices.to_string(),
            round.refused.to_string(),
            bytes(round.up_per_device()),
            bytes(round.down_per_device()),
            number(round.seconds, 1),
        ]
    };
    page::table("Rounds", &head, &rounds.iter().map(row).collect::<Vec<_>>())
}
