//! The way to the broker and to the aggregator behind it.

use dunlin_protocol::presence::{Presence, State};
use dunlin_protocol::time::Instant;

/// One word of an aggregator that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    boot: u32,
    connection: u32,
    call: u32,
}

impl Word {
    fn of(presence: &Presence) -> Self {
        let Presence { boot, connection, call, .. } = *presence;
        Self { boot, connection, call }
    }

    /// When it was said: the start first, then its connection.
    fn order(self) -> (u32, u32) {
        (self.boot, self.connection)
    }
}

/// What is known of the plan's aggregator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KnownServer {
    /// Its word that counts; `None` while it is not there.
    word: Option<Word>,
    /// The start and connection of an older word that was passed over: said once more, it is believed.
    doubted: Option<(u32, u32)>,
}

impl KnownServer {
    /// Takes what stands on the aggregator's topic; whether it has just come, started or connected
    /// anew, or calls.
    ///
    /// What an earlier start or connection said may come late, or again by a stranger: it is passed
    /// over. An aggregator whose store was put back counts from a lower number: it insists.
    fn hear(&mut self, presence: &Presence) -> bool {
        let (before, said) = (self.word, Word::of(presence));
        let is_older = |known: &Word| said.order() < known.order();
        match presence.state {
            State::Online if before.as_ref().is_some_and(is_older) => {
                let insists = self.doubted.replace(said.order()) == Some(said.order());
                if !insists {
                    return false;
                }
                self.word = Some(said);
            }
            State::Online => self.word = Some(said),
            // The broker says it of one connection. Of a later one than is known, a stranger does.
            State::Lost => {
                let other = |known: &Word| known.boot != said.boot || is_older(known);
                self.word = before.filter(other);
            }
            State::Offline | State::Asleep => self.word = before.filter(is_older),
        }
        if self.word.is_some() && self.word != before {
            self.doubted = None;
            return true;
        }
        false
    }
}

/// What is known of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    since: Instant,
    /// When a plan that has not come is worth a warning.
    plan_due: Option<Instant>,
    plan_heard: bool,
    server: KnownServer,
    /// When the device says its state again, since the aggregator may not know it.
    say_at: Option<Instant>,
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
        let server = KnownServer::default();
        Self::Up(Connection { since: now, plan_due, plan_heard: false, server, say_at: None })
    }

    /// A connection on which all is known.
    pub(super) fn settled(since: Instant, server: KnownServer, say_at: Option<Instant>) -> Self {
        Self::Up(Connection { since, plan_due: None, plan_heard: true, server, say_at })
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

    /// What is known of the aggregator that hears what is said.
    pub(super) fn server(&self) -> KnownServer {
        self.connection().map(|connection| connection.server).unwrap_or_default()
    }

    /// Whether the aggregator hears what is said.
    pub(super) fn has_server(&self) -> bool {
        self.server().word.is_some()
    }

    /// When the device says its state again; `None` while nobody waits for it.
    pub(super) fn say_at(&self) -> Option<Instant> {
        let up = matches!(self, Self::Up(_));
        self.connection().and_then(|connection| connection.say_at).filter(|_| up)
    }

    /// The device says its state again at `at`, or before if that was due anyway; `None`: it was said.
    pub(super) fn set_say_at(&mut self, at: Option<Instant>) {
        if let Some(connection) = self.connection_mut() {
            let before = connection.say_at;
            connection.say_at = at.map(|at| before.map_or(at, |before| before.min(at)));
        }
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

    /// Takes the presence of the plan's aggregator; whether it has just come, started or connected
    /// anew, or calls.
    pub(super) fn hear_server(&mut self, presence: &Presence) -> bool {
        self.connection_mut().is_some_and(|connection| connection.server.hear(presence))
    }

    /// The plan is of another aggregator, of which nothing is known yet.
    pub(super) fn forget_server(&mut self) {
        if let Some(connection) = self.connection_mut() {
            connection.server = KnownServer::default();
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
        let mut uplink = Uplink::settled(Instant(9), known(1), None);
        uplink.leave();
        assert!(uplink.is_connected() && uplink.is_asleep() && uplink.has_server());
        uplink.lose();
        assert!(!uplink.is_connected() && uplink.is_asleep());
    }

    fn known(boot: u32) -> KnownServer {
        let mut server = KnownServer::default();
        assert!(server.hear(&online(boot)));
        server
    }

    #[test]
    fn what_an_earlier_start_of_the_aggregator_left_says_nothing_of_the_one_that_is_there() {
        for (state, boot, stays) in [
            (State::Lost, 1, true),
            (State::Offline, 1, true),
            (State::Lost, 3, true),
            (State::Lost, 2, false),
            (State::Offline, 2, false),
            (State::Offline, 3, false),
        ] {
            let mut uplink = Uplink::settled(Instant(0), known(1), None);
            assert!(uplink.hear_server(&online(2)), "it has started anew");
            assert!(!uplink.hear_server(&Presence::new(state, boot)));
            assert_eq!(uplink.has_server(), stays, "{state:?} of start {boot}");
            assert_eq!(uplink.hear_server(&online(2)), !stays);
            uplink.forget_server();
            assert!(!uplink.has_server());
        }
    }

    #[test]
    fn a_last_will_of_an_earlier_connection_is_passed_over_and_a_new_connection_and_a_call_are_news()
     {
        let mut server = known(4);
        assert!(server.hear(&online(4).on(1)) && server.hear(&online(4).on(2)));
        assert!(!server.hear(&Presence::new(State::Lost, 4).on(1)));
        assert!(server.word.is_some());
        assert!(server.hear(&Presence { call: 1, ..online(4).on(2) }));
        assert!(!server.hear(&Presence { call: 1, ..online(4).on(2) }), "it is answered once");
        assert!(!server.hear(&Presence::new(State::Lost, 4).on(2)) && server.word.is_none());
    }

    #[test]
    fn an_older_word_is_believed_when_it_is_said_twice() {
        let mut server = known(4_000_000_000);
        assert!(!server.hear(&online(5)) && !server.hear(&online(4)) && !server.hear(&online(5)));
        assert!(server.hear(&online(5)), "the aggregator insists");
        assert!(!server.hear(&online(5)));
        assert!(!server.hear(&Presence::new(State::Lost, 5)) && server.word.is_none());
    }

    #[test]
    fn the_earlier_of_two_moments_to_speak_counts_until_it_is_said() {
        let mut uplink = Uplink::settled(Instant(0), known(1), None);
        [9, 4, 7].into_iter().for_each(|at| uplink.set_say_at(Some(Instant(at))));
        assert_eq!(uplink.say_at(), Some(Instant(4)));
        uplink.set_say_at(None);
        assert_eq!(uplink.say_at(), None);
    }

    #[test]
    fn a_plan_that_does_not_come_is_missed_once() {
        let mut uplink = Uplink::connected(Instant(0), Instant(60));
        uplink.miss_plan();
        assert!(uplink.plan_due().is_none() && !uplink.has_plan());
    }
}
