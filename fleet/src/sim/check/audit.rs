//! The ledger on a thread of its own: it decodes and adds everything once more, and nobody waits for it
//! but at the points where it is asked what it found.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use dunlin_aggregator::snapshot::Save;
use dunlin_protocol::id::DeviceId;
use dunlin_protocol::message::Verdict;
use dunlin_protocol::plan::WorkItem;
use dunlin_protocol::time::Instant;

use super::Violation;
use super::ledger::Ledger;

/// Notes that are handed over together: to wake a thread costs more than to take a note.
const NOTES_TOGETHER: usize = 32;
/// Lots of notes that wait for the thread at the most; the simulation waits then.
const LOTS_MAX: usize = 32;

/// What the ledger is told, in order.
pub(super) enum Note {
    /// A message of a device reached the aggregator.
    Up(DeviceId, Vec<u8>),
    /// Devices are told to do this.
    Plan(Vec<WorkItem>),
    /// The aggregator has written this.
    Saved(Instant, Box<Save>),
    /// The aggregator runs again.
    Restarted(Instant),
    /// A device is told this.
    Verdict(Instant, DeviceId, Verdict),
    /// A round opened or ended.
    Moved,
    /// Time to look: since when the aggregator is connected, if it has anything left to do, and how
    /// many devices are online.
    Look(Instant, Option<Instant>, u32),
    /// Say what was found so far.
    Settle,
}

/// Where notes go: to a ledger at hand, or to the thread that keeps it.
pub(super) enum Audit {
    /// To the ledger at once.
    Here(Box<Ledger>),
    /// To a thread that keeps them.
    There(Thread),
}

/// A thread that keeps the ledger.
pub(super) struct Thread {
    gathered: Vec<Note>,
    notes: Option<SyncSender<Vec<Note>>>,
    found: Receiver<Option<Violation>>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// On a thread of its own, or at once where none is wanted or none can be had.
    pub(super) fn new(ledger: Ledger, threaded: bool) -> Self {
        if !threaded {
            return Self::Here(Box::new(ledger));
        }
        let (notes, inbox) = sync_channel::<Vec<Note>>(LOTS_MAX);
        let (answers, found) = channel();
        let mut kept = ledger.clone();
        let work = move || {
            for note in inbox.into_iter().flatten() {
                if matches!(note, Note::Settle) {
                    if answers.send(kept.found()).is_err() {
                        return;
                    }
                } else {
                    kept.take(note);
                }
            }
        };
        match std::thread::Builder::new().name("auditor".into()).spawn(work) {
            Ok(thread) => Self::There(Thread {
                gathered: Vec::new(),
                notes: Some(notes),
                found,
                thread: Some(thread),
            }),
            Err(_) => Self::Here(Box::new(ledger)),
        }
    }

    pub(super) fn tell(&mut self, note: Note) {
        match self {
            Self::Here(ledger) => ledger.take(note),
            Self::There(thread) => {
                thread.gathered.push(note);
                if thread.gathered.len() >= NOTES_TOGETHER {
                    thread.hand_over();
                }
            }
        }
    }

    /// The first rule that was broken, by all that was told so far.
    pub(super) fn settle(&mut self) -> Option<Violation> {
        self.tell(Note::Settle);
        match self {
            Self::Here(ledger) => ledger.found(),
            Self::There(thread) => {
                thread.hand_over();
                thread.found.recv().unwrap_or_else(|_| {
                    thread.end();
                    None
                })
            }
        }
    }
}

impl Thread {
    fn hand_over(&mut self) {
        let lot = std::mem::take(&mut self.gathered);
        let sent = self.notes.as_ref().map(|notes| notes.send(lot));
        if !matches!(sent, Some(Ok(()))) {
            self.end();
        }
    }

    /// Ends the thread, and goes on with its panic if that is how it ended.
    fn end(&mut self) {
        drop(self.notes.take());
        if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join)
            && !std::thread::panicking()
        {
            resume_unwind(panic);
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.end();
    }
}
