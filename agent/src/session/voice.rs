//! What the device says of itself: its state, kept by the broker, where others can change it.

use dunlin_protocol::give_up::GaveUp;
use dunlin_protocol::presence::{DataTrouble, Presence, State, Unable};
use dunlin_protocol::retained::Insistence;
use dunlin_protocol::time::Instant;
use dunlin_protocol::topic::Topic;
use dunlin_protocol::wire;
use log::{info, warn};

use super::uplink::Uplink;
use super::{Output, Session};

/// All devices hear the aggregator at one moment; each answers up to so much later, in milliseconds.
const SPREAD_MS: usize = 5_000;
/// A change of what the data lack is told so often at the most, in milliseconds.
const TROUBLE_MS: u64 = 60_000;
/// When a word is said once more that contradicts a higher number, in milliseconds: an aggregator passes
/// over it the first time.
const INSIST_MS: u64 = 3_000;

/// The words that the device says of itself, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Voice {
    /// The number of this start's last connection; 0 before the first.
    pub(super) connection: u32,
    /// What was said last on this connection.
    said: Option<Presence>,
    insistence: Insistence,
    /// Kinds of work that the device cannot do with what it has.
    pub(super) unable: Unable,
    /// An update as the last plan wanted it does not fit the memory. So it is until the aggregator
    /// starts, connects or calls anew, and may want another.
    pub(super) update_too_large: bool,
    /// What the data lack, as it is and as others know it.
    trouble: Option<DataTrouble>,
    trouble_said: Option<DataTrouble>,
    trouble_said_at: Option<Instant>,
    /// Work that was given up after a go, as long as the plan lists it.
    pub(super) gave_up: Option<GaveUp>,
}

impl Voice {
    /// The voice of a device that has said `said` on its connection of this number.
    pub(super) fn resumed(said: Presence) -> Self {
        Self { connection: said.connection, said: Some(said), ..Self::default() }
    }

    /// Whether nothing is left to be said, and all that was said is what a plain device says.
    pub(super) fn is_plain(&self) -> bool {
        let silent = self.insistence.due().is_none();
        let able = self.unable.is_empty() && !self.update_too_large;
        silent
            && able
            && self.trouble.is_none()
            && self.trouble_said.is_none()
            && self.gave_up.is_none()
    }

    /// When a change of what the data lack may be told; `None` where there is none.
    fn trouble_due(&self) -> Option<Instant> {
        let last = self.trouble_said_at.map_or(Instant(0), |at| at.after(TROUBLE_MS));
        (self.trouble != self.trouble_said).then_some(last)
    }

    fn due(&self) -> Option<Instant> {
        let times = [self.insistence.due(), self.trouble_due()];
        times.into_iter().flatten().min()
    }
}

impl Session {
    /// Says how the device is there; the broker keeps it.
    pub(super) fn say_state(&mut self, state: State) {
        let now = self.now;
        if self.voice.trouble_due().is_some_and(|due| due <= now) {
            self.voice.trouble_said = self.voice.trouble.clone();
            self.voice.trouble_said_at = Some(now);
        }
        let held = self.eligibility.say(self.phase.work().is_some());
        let data = self.voice.trouble_said.clone();
        let plain = Presence::new(state, self.state.boot).on(self.voice.connection);
        let presence = Presence { held, unable: self.voice.unable, data, ..plain };
        let topic = Topic::DeviceState(self.settings.device.clone());
        let payload = presence.encode().into();
        self.voice.said = Some(presence);
        self.voice.insistence.said();
        if self.uplink.say_at().is_some_and(|at| at <= now) {
            self.uplink.set_say_at(None);
        }
        self.push(Output::Publish { topic: topic.into(), payload, retain: true });
    }

    /// What the device said last on this connection; `None` before.
    pub fn said(&self) -> Option<&Presence> {
        self.voice.said.as_ref()
    }

    /// A connection begins: its number is another, and what was said before counts no more.
    pub(super) fn begin_voice(&mut self) {
        let connection = self.voice.connection.saturating_add(1);
        let voice = core::mem::take(&mut self.voice);
        self.voice = Voice { connection, said: None, ..voice };
    }

    /// Takes what the broker holds of this device. A stranger, a late last will, or somebody who cleans
    /// up may have changed it: then it is said again.
    pub(super) fn hear_of_itself(&mut self, now: Instant, payload: &[u8]) {
        let Some(said) = self.voice.said.as_ref().filter(|_| matches!(self.uplink, Uplink::Up(_)))
        else {
            return;
        };
        let heard = Presence::decode(payload);
        if heard.as_ref() == Some(said) {
            return self.voice.insistence.heard();
        }
        let own = said.order();
        if heard.as_ref().is_some_and(|heard| heard.state == said.state && heard.order() == own) {
            // Most likely the device's own word before the last one, on its way.
            return self.voice.insistence.doubted(now);
        }
        if heard.as_ref().is_some_and(|heard| heard.order() > own) {
            self.uplink.set_say_at(Some(now.after(INSIST_MS)));
        }
        if !self.voice.insistence.contradicted(now) {
            return;
        }
        let device = &self.settings.device;
        match heard {
            None if payload.is_empty() => {
                warn!("{device}: its state was removed from the broker, and is said again");
            }
            Some(heard) if heard.state == State::Lost && heard.order() < own => {
                info!(
                    "{device}: the last will of an earlier connection came late; says that it is here"
                );
            }
            Some(_) | None => warn!(
                "{device}: somebody else speaks for this device on its state topic, which is said again: two devices with one name, or a stranger; check the broker's ACL"
            ),
        }
    }

    /// Says again what others may not know.
    pub(super) fn check_voice(&mut self, now: Instant) {
        if !matches!(self.uplink, Uplink::Up(_)) {
            return;
        }
        let contradicted = self.voice.insistence.take(now);
        let asked = self.uplink.say_at().is_some_and(|at| at <= now);
        let trouble = self.voice.trouble_due().is_some_and(|due| due <= now);
        let unable = self.voice.said.as_ref().is_some_and(|said| said.unable != self.voice.unable);
        let news = self.eligibility.has_news(self.phase.work().is_some()) || unable;
        if contradicted || asked || trouble || news {
            self.say_state(State::Online);
        }
    }

    /// When something is to be said again.
    pub(super) fn voice_due(&self) -> Option<Instant> {
        let times = [self.voice.due(), self.uplink.say_at()];
        let up = matches!(self.uplink, Uplink::Up(_));
        times.into_iter().flatten().min().filter(|_| up)
    }

    /// Somebody listens who may not know that this device is here: it says so, not all at one moment.
    pub(super) fn answer_call(&mut self, now: Instant) {
        let spread = self.rng.below(SPREAD_MS) as u64;
        self.uplink.set_say_at(Some(now.after(spread)));
    }

    /// Takes what the device's own data lack.
    pub(super) fn on_trouble(&mut self, trouble: Option<DataTrouble>) {
        self.voice.trouble = trouble.filter(|trouble| !trouble.is_empty());
    }

    /// Tells the aggregator that nothing comes for work that it waits for.
    pub(super) fn say_gave_up(&mut self) {
        if !self.can_talk() || self.spares_link() {
            return;
        }
        if let Some(Ok(payload)) = self.voice.gave_up.as_ref().map(wire::encode) {
            self.publish_up(payload);
        }
    }
}
