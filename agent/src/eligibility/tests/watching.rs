//! The thread that looks, with conditions by hand.

use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::eligibility::watch::Watch;

/// Answers that are given one for each look, and what each look was told.
struct Scripted {
    answers: Receiver<Option<Ineligible>>,
    asked: Sender<bool>,
}

impl Conditions for Scripted {
    fn held(&mut self, training: bool) -> Option<Ineligible> {
        let _ = self.asked.send(training);
        self.answers.recv().unwrap_or(None)
    }
}

#[test]
fn the_watch_looks_when_training_begins_or_ends_and_tells_changes_only() {
    let (answer, answers) = channel();
    let (asked, looks) = channel();
    let (told, heard) = channel();
    let tell = move |held| told.send(held).is_ok();
    let watch = Watch::start(Box::new(Scripted { answers, asked }), None, tell).unwrap();
    for held in [None, Some(Ineligible::Hot), Some(Ineligible::Hot), Some(Ineligible::Busy), None] {
        answer.send(held).unwrap();
    }
    (0..5).for_each(|_| watch.training(true));
    assert!(!looks.recv().unwrap(), "what the time before was spent with");
    assert_eq!(heard.recv().unwrap(), Some(Ineligible::Hot));
    assert_eq!(heard.recv().unwrap(), Some(Ineligible::Busy));
    assert_eq!(heard.recv().unwrap(), None);
    assert!(looks.recv().unwrap(), "the trainer has been at work since");
    drop(answer);
    drop(watch);
    assert!(heard.recv().is_err(), "the thread has ended");
}

#[test]
fn what_nobody_could_take_is_told_again() {
    let (answer, answers) = channel();
    let (asked, _looks) = channel();
    let (told, heard) = channel();
    let mut free = false;
    let tries = std::sync::Mutex::new(0);
    let tell = move |held: Option<Ineligible>| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        *tries > 1 && told.send(held).is_ok()
    };
    let watch = Watch::start(Box::new(Scripted { answers, asked }), None, tell).unwrap();
    for _ in 0..3 {
        answer.send(Some(Ineligible::Battery)).unwrap();
        watch.training(free);
        free = !free;
    }
    assert_eq!(heard.recv().unwrap(), Some(Ineligible::Battery));
    drop(answer);
}
