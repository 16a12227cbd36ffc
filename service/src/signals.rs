//! The signals that end a program in order: Ctrl-C, `kill` and the end of its terminal.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `stop`, on a thread of its own, at each SIGINT and SIGTERM, and at each SIGHUP unless that
/// was ignored when the program began: then `nohup` wants it to outlive its terminal. The log says
/// which signal it was.
///
/// # Errors
/// [`io::Error`] when the system gives no handler or no thread.
pub fn on_stop(stop: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut wanted = vec![SIGINT, SIGTERM];
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if ignores(&status, SIGHUP) {
        log::debug!("SIGHUP is ignored, as it was at the start");
    } else {
        wanted.push(SIGHUP);
    }
    let mut signals = Signals::new(wanted)?;
    let listen = move || {
        for signal in signals.forever() {
            log::info!("stops: {}", describe(signal));
            stop();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(listen).map(drop)
}

/// Whether a process of this `/proc/PID/status` ignores `signal`.
fn ignores(status: &str, signal: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let bit = u32::try_from(signal).ok().and_then(|signal| signal.checked_sub(1));
    bit.and_then(|bit| mask?.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

fn describe(signal: i32) -> &'static str {
    match signal {
        SIGINT => "SIGINT (Ctrl-C)",
        SIGTERM => "SIGTERM",
        SIGHUP => "SIGHUP (its terminal was closed); nohup or a service outlives that",
        _ => "a signal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_was_ignored_at_the_start_is_seen() {
        let status = "Name:\tx\nSigBlk:\tffff\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, SIGHUP) && ignores(status, 13));
        assert!(!ignores(status, SIGINT) && !ignores(status, SIGTERM));
        for other in ["", "SigIgn:\tnonsense\n", "SigIgn:\t\n"] {
            assert!(!ignores(other, SIGHUP), "{other}");
        }
        assert!(!ignores(status, 0) && !ignores(status, -1) && !ignores(status, 200));
    }
}
