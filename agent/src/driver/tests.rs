//! The shell's first steps.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

use super::*;
use crate::store::FileStore;

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what each thread logs apart.
struct Kept;

impl Log for Kept {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &Record<'_>) {
        let line = record.args().to_string();
        let _ = LINES.try_with(|lines| lines.borrow_mut().push(line));
    }
    fn flush(&self) {}
}

/// The state in `store`, and whether the log calls it that of a new device.
fn loaded(store: &mut FileStore) -> (DeviceState, bool) {
    LINES.take();
    let state = load_state(store).unwrap();
    (state, LINES.take().iter().any(|line| line.contains("new device")))
}

#[test]
fn a_start_without_a_state_is_told_so_that_a_lost_one_is_seen() {
    log::set_logger(&Kept).unwrap();
    log::set_max_level(LevelFilter::Info);
    let dir = tempfile::tempdir().unwrap();
    let mut store = FileStore::open(dir.path()).unwrap();
    let (first, is_new) = loaded(&mut store);
    assert!(is_new);
    store.save(&first.encode()).unwrap();
    assert_eq!(loaded(&mut store), (first.clone(), false));
    for slot in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::remove_file(slot.unwrap().path()).unwrap();
    }
    let (other, is_new) = loaded(&mut store);
    assert!(is_new && other.lottery != first.lottery);
}

/// Keeps what it is given, in order.
#[derive(Default)]
struct Listener(Vec<String>);

impl Transport for Listener {
    fn publish(&mut self, (_, payload, _): Message) {
        self.0.push(String::from_utf8_lossy(&payload).into_owned());
    }
    fn subscribe(&mut self, _: String) {}
    fn unsubscribe(&mut self, _: String) {}
    fn sleep(&mut self, _: Duration) {}
    fn until_awake(&mut self) -> Result<Option<Duration>, dunlin_link::LinkError> {
        Ok(None)
    }
    fn counters(&self) -> Counters {
        Counters::default()
    }
    fn heartbeat(&self) -> Option<u64> {
        None
    }
    fn close(&mut self, last: Vec<Message>) -> Counters {
        last.into_iter().for_each(|message| self.publish(message));
        Counters::default()
    }
    fn abort(&mut self) {}
}

/// A store that has no room, or notes that it was asked.
struct Disk {
    full: bool,
}

impl StateStore for Disk {
    fn load(&mut self) -> Result<Option<Vec<u8>>, crate::ports::StoreError> {
        Ok(None)
    }
    fn save(&mut self, _: &[u8]) -> Result<(), crate::ports::StoreError> {
        match self.full {
            true => Err(crate::ports::StoreError::Damaged("full".into())),
            false => Ok(()),
        }
    }
}

/// A device that was connected and is stopped before it did anything: its state is to be kept first.
fn stopped(full: bool) -> (bool, Vec<String>) {
    let name = |text| dunlin_protocol::id::Name::new(text).unwrap();
    let settings = Settings::new(name("wrist-1"), name("gait"));
    let mut session = Session::new(settings, DeviceState::fresh([1; 32]));
    session.handle(Instant(1), Input::Connected);
    let (orders, _inbox) = std::sync::mpsc::channel();
    let hands = Hands {
        store: Box::new(Disk { full }),
        topics: Topics::default(),
        orders,
        watch: None,
        inference: None,
        cancel: Arc::default(),
        sleep: None,
    };
    let held = Arc::default();
    let (heartbeat, data) = (Heartbeat::default(), DataReport::default());
    let mut device = Device { session, hands, heartbeat, held, data };
    let mut listener = Listener::default();
    let (outcome, _) = device.leave(Ok(()), &mut listener);
    (outcome.is_ok(), listener.0)
}

#[test]
fn a_device_that_stops_does_what_is_left_and_says_nothing_behind_a_state_that_was_not_kept() {
    let (kept, said) = stopped(false);
    assert!(kept && said.len() == 2, "{said:?}");
    assert!(said[0].contains("online") && said[1].contains("offline"), "{said:?}");
    let (kept, said) = stopped(true);
    assert!(!kept && said.len() == 1 && said[0].contains("offline"), "{said:?}");
}
