//! The command line of the doctor.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use super::report::Style;
use super::{Options, run};

/// Arguments of `dunlin-agent doctor`.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 nothing failed, 1 something failed, 78 wrong configuration.")]
pub struct Arguments {
    /// Print a JSON array of {check, outcome, finding, next_step} at the end instead of text.
    #[arg(long)]
    json: bool,
    /// Seconds to watch the sensor.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=3600))]
    seconds: u16,
    /// Seconds to wait for each answer of the network.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=300))]
    timeout: u16,
    /// Cut the connection of a running agent for some seconds, for the checks that need it.
    #[arg(long)]
    while_running: bool,
}

impl Arguments {
    /// Checks the device that the file at `config` configures, on standard output; the exit code.
    pub fn run(self, config: &Path) -> u8 {
        // The findings say all; the log is for those who look for more.
        dunlin_service::logging::start("off");
        let style = if self.json { Style::Json } else { Style::Text { color: colors() } };
        let options = Options {
            watch: Duration::from_secs(self.seconds.into()),
            patience: Duration::from_secs(self.timeout.into()),
            while_running: self.while_running,
            style,
        };
        run(config, &options, &mut std::io::stdout()).exit_code()
    }
}

/// Whether standard output shows colours and its user wants them (<https://no-color.org>).
fn colors() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_none_or(|value| value == "dumb");
    !unwanted && !dumb && std::io::stdout().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        command: Command,
    }

    #[derive(clap::Subcommand)]
    enum Command {
        /// What the program says of it.
        Doctor(Arguments),
    }

    #[test]
    fn the_command_line_has_defaults_limits_and_a_help() {
        let parse = |arguments: &[&str]| {
            let all = ["agent", "doctor"].into_iter().chain(arguments.iter().copied());
            Program::try_parse_from(all).map(|Program { command: Command::Doctor(it) }| it)
        };
        let plain = parse(&[]).unwrap();
        assert_eq!((plain.seconds, plain.timeout), (5, 10));
        assert!(!plain.json && !plain.while_running);
        let all = parse(&["--json", "--seconds", "60", "--timeout", "3", "--while-running"]);
        let all = all.unwrap();
        assert!(all.json && all.while_running && (all.seconds, all.timeout) == (60, 3));
        assert!(parse(&["--seconds", "0"]).is_err() && parse(&["--timeout", "301"]).is_err());
        let mut program = Program::command();
        program.clone().debug_assert();
        let help = program.find_subcommand_mut("doctor").unwrap().render_help().to_string();
        assert!(help.contains("What the program says of it") && help.contains("78"), "{help}");
    }
}
