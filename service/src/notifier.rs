//! Word to systemd, or whoever else reads the socket that `NOTIFY_SOCKET` names.

use std::time::Instant;

use sd_notify::NotifyState;

use crate::watch::Watch;

/// Tells the service manager that started this program, if any, how the program is.
#[derive(Debug, Default)]
pub struct ServiceNotifier {
    listens: bool,
    watch: Option<Watch>,
    status: String,
}

impl ServiceNotifier {
    /// One that tells the manager which the environment names; without one, everything here does
    /// nothing.
    pub fn from_environment() -> Self {
        let listens = std::env::var_os("NOTIFY_SOCKET").is_some();
        let watch = sd_notify::watchdog_enabled().map(Watch::new);
        Self { listens, watch, status: String::new() }
    }

    /// The program is up: what it depends on may start.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// The program is about to end in order.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping]);
    }

    /// How the program is, in a line for `systemctl status`; said when it changes.
    pub fn status(&mut self, text: impl FnOnce() -> String) {
        if !self.listens {
            return;
        }
        let text = text();
        if text != self.status {
            self.tell(&[NotifyState::Status(&text)]);
            self.status = text;
        }
    }

    /// Feeds the watchdog, if there is one, while every part of the program moves on; call it at
    /// least each second. `parts`: how often each has moved, `None` for one that rests.
    #[allow(clippy::disallowed_methods)] // a watchdog goes by the clock of the machine
    pub fn alive<const N: usize>(&mut self, parts: impl FnOnce() -> [Option<u64>; N]) {
        let now = Instant::now();
        let Some(watch) = &mut self.watch else { return };
        if watch.looks(now) && watch.fed(now, &parts()) {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if self.listens
            && let Err(error) = sd_notify::notify(states)
        {
            log::debug!("the service manager cannot be told: {error}");
        }
    }
}
