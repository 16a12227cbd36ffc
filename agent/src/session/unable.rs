//! What the device cannot do with what it has: told with its presence, so that nobody waits for it.

use dunlin_protocol::presence::{Lack, Unable};
use dunlin_protocol::work::WorkKind;

use super::Session;

impl Session {
    /// Notes which kinds of work the device cannot do, and why. While it counts its windows for another
    /// task, what was known counts on.
    pub(super) fn note_unable(&mut self) {
        if self.holding.lacks_memory() {
            self.voice.unable = Unable::new(|_| Some(Lack::Memory));
            return;
        }
        let Some(survey) = self.survey else { return };
        let too_large = self.voice.update_too_large;
        self.voice.unable = Unable::new(|kind| {
            if survey.allows(kind) {
                (kind == WorkKind::Train && too_large).then_some(Lack::Memory)
            } else if kind.needs_windows() && survey.windows == 0 {
                Some(Lack::Windows)
            } else if kind == WorkKind::Evaluate {
                Some(Lack::HeldBack)
            } else {
                Some(Lack::Other)
            }
        });
    }
}
