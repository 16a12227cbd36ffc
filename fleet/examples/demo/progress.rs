//! What people see while it runs: a line a round, and a bar on a terminal.

use std::io::IsTerminal;
use std::time::Instant;

use dunlin_fleet::experiment::Experiment;
use dunlin_fleet::live::LiveRound;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The time; a demo tells people how long things took.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Live progress on standard error.
pub(crate) struct Progress {
    bar: ProgressBar,
    rounds: u64,
    devices: usize,
    lines: bool,
}

impl Progress {
    /// Progress of `experiment`; nothing is shown when not `visible`.
    pub(crate) fn new(experiment: &Experiment, visible: bool) -> Self {
        let rounds = u64::from(experiment.recipe.rounds);
        let devices = experiment.devices.len();
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(
            Some(rounds + devices as u64),
            if visible && terminal {
                ProgressDrawTarget::stderr()
            } else {
                ProgressDrawTarget::hidden()
            },
        );
        let template = "{bar:30} {pos}/{len} {msg} ({elapsed}, {eta} to go)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message("connecting");
        let this = Self { bar, rounds, devices, lines: visible };
        this.say(&format!(
            "{}: {devices} devices, task {}, {rounds} rounds",
            experiment.dataset, experiment.task.name
        ));
        this.say("round  devices  accuracy    loss   KB up  KB down  seconds");
        this
    }

    fn say(&self, line: &str) {
        if !self.lines {
            return;
        }
        if self.bar.is_hidden() { eprintln!("{line}") } else { self.bar.println(line) }
    }

    /// A round has ended.
    #[allow(clippy::cast_precision_loss)]
    pub(crate) fn round(&self, round: &LiveRound) {
        self.say(&format!(
            "{:5}  {:7}  {:7.1}%  {:6.3}  {:6.1}  {:7.1}  {:7.2}",
            round.round,
            round.devices,
            100.0 * round.accuracy,
            round.loss,
            round.bytes_up as f64 / 1000.0,
            round.bytes_down as f64 / 1000.0,
            round.seconds,
        ));
        self.bar.set_position(u64::from(round.round).min(self.rounds));
        self.bar.set_message("learning together");
    }

    /// So many devices have finished training alone.
    pub(crate) fn alone(&self, done: usize) {
        self.bar.set_message("each device alone, for comparison");
        self.bar.set_position(self.rounds + done as u64);
        if done == self.devices {
            self.say("each device has trained alone, for comparison");
        }
    }

    /// Everything is done.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
