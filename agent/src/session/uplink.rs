//! The way to the broker and to the aggregator behind it.

use dunlin_protocol::time::Instant;

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    since: Instant,
    /// When a plan that has not come is worth a warning.
    plan_due: Option<Instant>,
    plan_heard: bool,
    /// Whether the plan's aggregator is there.
    server: bool,
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
        Self::Up(Connection { since: now, plan_due, plan_heard: false, server: false })
    }

    /// A connection on which all is known.
    pub(super) fn settled(since: Instant, server: bool) -> Self {
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

    /// Whether the aggregator hears what is said.
    pub(super) fn has_server(&self) -> bool {
        self.connection().is_some_and(|connection| connection.server)
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

    /// The aggregator is there or not; whether it has just come.
    pub(super) fn hear_server(&mut self, online: bool) -> bool {
        let Some(connection) = self.connection_mut() else { return false };
        let before = core::mem::replace(&mut connection.server, online);
        online && !before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_ends_leaves_nothing_behind_but_whether_the_device_sleeps() {
        let mut uplink = Uplink::connected(Instant(5), Instant(60));
        assert!(uplink.is_connected() && !uplink.has_plan() && !uplink.has_server());
        assert_eq!((uplink.since(), uplink.plan_due()), (Some(Instant(5)), Some(Instant(60))));
        uplink.hear_plan();
        assert!(uplink.hear_server(true) && !uplink.hear_server(true), "it comes once");
        assert!(uplink.has_plan() && uplink.has_server() && uplink.plan_due().is_none());
        uplink.lose();
        assert!(!uplink.is_connected() && !uplink.has_plan() && !uplink.has_server());
        assert!(!uplink.is_asleep() && !uplink.hear_server(true), "nothing is heard");
        let mut uplink = Uplink::settled(Instant(9), true);
        uplink.leave();
        assert!(uplink.is_connected() && uplink.is_asleep() && uplink.has_server());
        uplink.lose();
        assert!(!uplink.is_connected() && uplink.is_asleep());
    }

    #[test]
    fn a_plan_that_does_not_come_is_missed_once() {
        let mut uplink = Uplink::connected(Instant(0), Instant(60));
        uplink.miss_plan();
        assert!(uplink.plan_due().is_none() && !uplink.has_plan());
    }
}
