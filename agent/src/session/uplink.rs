//! The way to the broker and to the aggregator behind it.

use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    since: Instant,
    /// When a plan that has not come is worth a warning.
    plan_due: Option<Instant>,
    plan_heard: bool,
    /// The start of the plan's aggregator that is there; `None` while it is not.
    server: Option<u32>,
}

/// Where the connection stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Uplink {
    /// There is none; the shell tries again by itself.
    Down,
    /// It stands: the broker hears what is said.
    Up(Connection),
    /// The session has asked the shell to leave, and it has not left yet.
    Leaving(Connection),
    /// The device has left on purpose and comes back by itself.
    Asleep,
}

impl Uplink {
    /// A connection that has just come about; without a plan by `plan_due` something is wrong.
    pub(super) fn connected(now: Instant, plan_due: Instant) -> Self {
        let plan_due = Some(plan_due);
        Self::Up(Connection { since: now, plan_due, plan_heard: false, server: None })
    }

    /// A connection on which all is known.
    pub(super) fn settled(since: Instant, server: Option<u32>) -> Self {
        Self::Up(Connection { since, plan_due: None, plan_heard: true, server })
    }

    fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Up(connection) | Self::Leaving(connection) => Some(connection),
            Self::Down | Self::Asleep => None,
        }
    }

    fn connection_mut(&mut self) -> Option<&mut Connection> {
        match self {
            Self::Up(connection) | Self::Leaving(connection) => Some(connection),
            Self::Down | Self::Asleep => None,
        }
    }

    /// Whether the broker hears what is said.
    pub(super) fn is_connected(&self) -> bool {
        self.connection().is_some()
    }

    /// Whether the device sleeps, or is about to.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self, Self::Leaving(_) | Self::Asleep)
    }

    /// The start of the aggregator that hears what is said.
    pub(super) fn server(&self) -> Option<u32> {
        self.connection().and_then(|connection| connection.server)
    }

    /// Whether the aggregator hears what is said.
    pub(super) fn has_server(&self) -> bool {
        self.server().is_some()
    }

    /// Whether the plan has come on this connection.
    pub(super) fn has_plan(&self) -> bool {
        self.connection().is_some_and(|connection| connection.plan_heard)
    }

    /// Since when the connection stands.
    pub(super) fn since(&self) -> Option<Instant> {
        self.connection().map(|connection| connection.since)
    }

    /// When a missing plan is worth a warning.
    pub(super) fn plan_due(&self) -> Option<Instant> {
        self.connection().and_then(|connection| connection.plan_due)
    }

    /// The connection is gone.
    pub(super) fn lose(&mut self) {
        *self = if self.is_asleep() { Self::Asleep } else { Self::Down };
    }

    /// The shell is asked to leave.
    pub(super) fn leave(&mut self) {
        if let Self::Up(connection) = *self {
            *self = Self::Leaving(connection);
        }
    }

    /// The plan has come.
    pub(super) fn hear_plan(&mut self) {
        if let Some(connection) = self.connection_mut() {
            connection.plan_due = None;
            connection.plan_heard = true;
        }
    }

    /// The plan is not waited for any more.
    pub(super) fn miss_plan(&mut self) {
        if let Some(connection) = self.connection_mut() {
            connection.plan_due = None;
        }
    }

    /// Takes the presence of the plan's aggregator; whether it has just come, or started anew.
    ///
    /// A last will of an earlier start may come after the word of the next one: it is ignored.
    pub(super) fn hear_server(&mut self, presence: &Presence) -> bool {
        let Some(connection) = self.connection_mut() else { return false };
        let (before, boot) = (connection.server, presence.boot);
        connection.server = match presence.state {
            State::Online => Some(boot),
            State::Lost => before.filter(|known| *known != boot),
            State::Offline | State::Asleep => before.filter(|known| *known > boot),
        };
        connection.server.is_some_and(|now| before != Some(now))
    }

    /// The plan is of another aggregator, of which nothing is known yet.
    pub(super) fn forget_server(&mut self) {
        if let Some(connection) = self.connection_mut() {
            connection.server = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn online(boot: u32) -> Presence {
        Presence::new(State::Online, boot)
    }

    #[test]
    fn a_connection_that_ends_leaves_nothing_behind_but_whether_the_device_sleeps() {
        let mut uplink = Uplink::connected(Instant(5), Instant(60));
        assert!(uplink.is_connected() && !uplink.has_plan() && !uplink.has_server());
        assert_eq!((uplink.since(), uplink.plan_due()), (Some(Instant(5)), Some(Instant(60))));
        uplink.hear_plan();
        assert!(uplink.hear_server(&online(1)) && !uplink.hear_server(&online(1)), "it comes once");
        assert!(uplink.has_plan() && uplink.has_server() && uplink.plan_due().is_none());
        uplink.lose();
        assert!(!uplink.is_connected() && !uplink.has_plan() && !uplink.has_server());
        assert!(!uplink.is_asleep() && !uplink.hear_server(&online(1)), "nothing is heard");
        let mut uplink = Uplink::settled(Instant(9), Some(1));
        uplink.leave();
        assert!(uplink.is_connected() && uplink.is_asleep() && uplink.has_server());
        uplink.lose();
        assert!(!uplink.is_connected() && uplink.is_asleep());
    }

    #[test]
    fn what_an_earlier_start_of_the_aggregator_left_says_nothing_of_the_one_that_is_there() {
        let mut uplink = Uplink::settled(Instant(0), Some(1));
        assert!(uplink.hear_server(&online(2)), "it has started anew");
        for (state, boot, stays) in [
            (State::Lost, 1, true),
            (State::Offline, 1, true),
            (State::Lost, 3, true),
            (State::Lost, 2, false),
            (State::Offline, 2, false),
            (State::Offline, 3, false),
        ] {
            let mut uplink = uplink;
            assert!(!uplink.hear_server(&Presence::new(state, boot)));
            let server = Some(2).filter(|_| stays);
            assert_eq!(uplink.server(), server, "{state:?} of start {boot}");
            assert_eq!(uplink.hear_server(&online(2)), !stays);
        }
        uplink.forget_server();
        assert!(!uplink.has_server());
    }

    #[test]
    fn a_plan_that_does_not_come_is_missed_once() {
        let mut uplink = Uplink::connected(Instant(0), Instant(60));
        uplink.miss_plan();
        assert!(uplink.plan_due().is_none() && !uplink.has_plan());
    }
}
