//! Moves rows from their file into the store, one piece at a time.

mod telling;

use std::path::PathBuf;
use std::sync::Mutex;

use super::DataError;
use super::advice::RowOrder;
use super::clock::ImpliedTime;
use super::folder::{Folder, file_name};
use super::follow::{Follower, Opened, Piece};
use super::foreign::{TELLING_BYTES, foreign};
use super::index::Index;
use super::lines::{Line, LineBuffer};
use super::position::Position;
use super::row::{Row, RowReader};
use super::table::Refusal;
use crate::data::Loss;
use crate::data::config::{CsvConfig, LabelFrom};
use crate::data::live::{SampleReader, lock};
use crate::data::store::SampleStore;

/// Bytes at the start of a file that may stand before its first row.
const HEAD_BYTES: usize = 1 << 20;
/// Looks at a folder are so many polls apart while nothing comes.
const FOLDER_POLLS: u32 = 25;

/// A place in the file, from which another program can go on.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Bytes before it.
    offset: u64,
    /// Number of its line; 0 where lines are not counted from the start.
    line: u64,
    /// Number of the next sample in the ring.
    sequence: u64,
    /// Time that was read last, in microseconds.
    last_us: Option<i64>,
    /// Time of the next row in microseconds, where rows bring none.
    next_us: Option<i64>,
}

/// Reads the rows of one input.
#[derive(Debug)]
pub(super) struct CsvReader {
    path: PathBuf,
    folder: Option<Folder>,
    /// Name of the file, for people and to know it in its folder.
    name: String,
    /// Name of the recording that was begun last.
    before: Option<String>,
    /// Label of all rows of the file: its name without the ending, or what the index says.
    label: Option<String>,
    label_from: Option<LabelFrom>,
    index: Option<Index>,
    /// Time of the first row of the file in microseconds, where rows bring none.
    base_us: i64,
    position_path: PathBuf,
    follower: Follower,
    piece: Vec<u8>,
    lines: LineBuffer,
    /// Whether lines are counted from the start of the file.
    counted: bool,
    rows: RowReader,
    time: ImpliedTime,
    period_ns: u64,
    /// Rows up to this time are in the ring already: their file was written anew.
    known_until: Option<i64>,
    /// Whether rows of this file cannot be told from those that are in the ring, or are no text.
    blocked: bool,
    /// Bytes of the open file up to the end of the last line that was dealt with.
    line_end: u64,
    /// The last place after which no sample waited for others.
    settled: Mark,
    resume: Option<Position>,
    saved: Option<Position>,
    quiet_polls: u32,
    seen: SeenRows,
    order: RowOrder,
    /// How many files of the folder come before the one that is read.
    passed: Option<usize>,
    /// Samples that the ring had when the position was noted, and has no more.
    gone: u64,
}

/// What became of rows since the program began.
#[derive(Debug, Default)]
struct SeenRows {
    taken: u64,
    refused: u64,
    filtered: u64,
}

impl CsvReader {
    /// A reader for `config` that keeps its position in `position_path`.
    ///
    /// # Errors
    /// [`DataError::Io`] when standard input cannot be read in a thread.
    pub(super) fn open(
        config: &CsvConfig,
        position_path: PathBuf,
        store: &SampleStore,
    ) -> Result<Self, DataError> {
        let saved = Position::load(&position_path);
        // Samples that were moved away are read again, if the file still has them.
        let next = store.ring().next_sequence();
        let resume = saved.clone().filter(|position| position.sequence <= next);
        let noted = saved.as_ref().map_or(0, |position| position.sequence);
        let folder = Folder::of(config);
        let (path, resume) = match &folder {
            Some(folder) => {
                let known = resume.as_ref().map_or("", |position| position.name.as_str());
                if !known.is_empty() && folder.path(known).is_file() {
                    (folder.path(known), resume)
                } else {
                    (folder.path(&folder.after(known).unwrap_or_default()), None)
                }
            }
            None => (config.input.path.clone(), resume),
        };
        let follower = if path.as_os_str() == "-" {
            Follower::stdin().map_err(DataError::io(&path, "start a thread"))?
        } else {
            Follower::file(&path, resume.clone())
        };
        let state_dir = position_path.parent().unwrap_or(&position_path);
        let mut reader = Self {
            folder,
            name: String::new(),
            before: None,
            label: None,
            label_from: config.input.label_from,
            index: Index::of(config, state_dir),
            base_us: 0,
            path,
            position_path,
            follower,
            piece: Vec::new(),
            lines: LineBuffer::new(config.input.text.row_end),
            counted: true,
            rows: RowReader::new(config),
            time: ImpliedTime::default(),
            period_ns: config.sampling.period_ns(),
            known_until: None,
            blocked: false,
            line_end: 0,
            settled: Mark::default(),
            resume,
            saved,
            quiet_polls: 0,
            seen: SeenRows::default(),
            order: RowOrder::default(),
            passed: None,
            gone: noted.saturating_sub(next),
        };
        reader.take_name();
        Ok(reader)
    }

    fn take_name(&mut self) {
        self.name = file_name(&self.path).unwrap_or_else(|| self.path.display().to_string());
        let stem = self.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        self.label = self.label_from.and(stem);
    }

    /// Looks the file up in the index, where there is one; `begun`: samples of it are held.
    fn look_up(&mut self, begun: bool, store: &mut SampleStore) {
        if let Some(index) = &mut self.index
            && let Some(label) = index.apply(&self.name, self.base_us, begun, store)
        {
            self.label = Some(label);
        }
    }

    /// Goes on where an earlier program stopped.
    fn resume(&mut self, store: &mut SampleStore) {
        self.line_end = self.follower.offset().unwrap_or(0);
        let Some(position) = self.resume.take() else { return };
        let before = store.resume(position.sequence);
        store.set_problem(before.as_ref().err().map(ToString::to_string));
        self.before = Some(self.name.clone());
        log::info!("{}: goes on at byte {}", self.path.display(), self.line_end);
        self.read_head(store);
        self.counted = position.line > 0;
        self.lines.restart();
        self.lines.count_from(position.line);
        self.time = match (position.next_us, before.ok().flatten()) {
            (Some(next_us), _) => ImpliedTime { base_us: next_us, steps: 0 },
            (None, Some(before)) => ImpliedTime { base_us: before, steps: 1 },
            (None, None) => ImpliedTime::default(),
        };
        if let Some(time_us) = position.last_us {
            self.rows.resume(time_us);
        }
        self.base_us = position.base_us.unwrap_or(0);
        self.look_up(true, store);
        // What was read of it is not read again.
        self.seen.taken = 1;
        let Position { offset, line, sequence, last_us, next_us, .. } = position;
        self.settled = Mark { offset, line, sequence, last_us, next_us };
    }

    /// Notes that a program could go on here, where a sample went into the ring since the last time
    /// and none waits.
    fn settle(&mut self, store: &SampleStore, line: u64) {
        if store.next_sequence() > self.settled.sequence && store.is_settled() {
            self.settled = self.mark(store, line);
        }
    }

    fn mark(&self, store: &SampleStore, line: u64) -> Mark {
        let implied = !self.rows.has_times();
        Mark {
            offset: self.line_end,
            line: if self.counted { line } else { 0 },
            sequence: store.next_sequence(),
            last_us: self.rows.last_us(),
            next_us: implied.then(|| self.time.now_us(self.period_ns)),
        }
    }

    /// Reads the lines before the first row again, as far as they had been read.
    fn read_head(&mut self, store: &mut SampleStore) {
        let most = usize::try_from(self.line_end).unwrap_or(HEAD_BYTES).min(HEAD_BYTES);
        let head = self.follower.head(most).unwrap_or_default();
        let Self { rows, lines, path, .. } = self;
        lines.feed(&head, |line, _, number| {
            let Line::Whole(line) = line else { return };
            if rows.in_head()
                && let Err(problem) = rows.read(line, number)
            {
                store.set_problem(Some(format!("{}: {problem}", path.display())));
            }
        });
    }

    /// A beginning: another file or writer, or the same file anew.
    fn begin(&mut self, store: &mut SampleStore, why: Piece) {
        store.gap();
        if self.index.as_ref().is_some_and(Index::counts_rows) {
            let name = self.before.take().unwrap_or_default();
            store.end_labels(|| name);
        }
        self.before = Some(self.name.clone());
        let newest = store.ring().times().map(|times| times.newest);
        let anew = matches!(why, Piece::Rewritten | Piece::Opened(Opened::Rewritten));
        if anew {
            self.lines.restart();
        } else {
            self.tear(store);
        }
        self.rows.restart();
        self.counted = true;
        self.line_end = 0;
        let gap = ImpliedTime::gap_steps(self.period_ns);
        self.time =
            newest.map_or(ImpliedTime::default(), |base_us| ImpliedTime { base_us, steps: gap });
        self.base_us = self.time.now_us(self.period_ns);
        self.order = RowOrder::default();
        store.set_problem(None);
        self.tell_gone(store);
        self.look_up(false, store);
        (self.known_until, self.blocked) = (None, false);
        let shortened = why == Piece::Shortened || why == Piece::Opened(Opened::Other);
        if (anew || shortened) && self.rows.has_times() {
            self.known_until = newest;
            self.rows.rewind();
        }
        if anew && newest.is_some() {
            self.tell_rewritten(store);
        } else if why == Piece::Opened(Opened::Other) && newest.is_some() {
            self.tell_other();
        }
        let head = self.follower.head(TELLING_BYTES).unwrap_or_default();
        if let Some(problem) = foreign(&head) {
            self.blocked = true;
            store.set_problem(Some(format!("{}: {problem}", self.path.display())));
        }
        self.settled = self.mark(store, 1);
        if !self.blocked {
            self.save(store);
        }
    }

    fn tear(&mut self, store: &mut SampleStore) {
        let number = self.lines.number();
        if self.lines.restart() {
            self.refuse(store, number, &Refusal::Torn);
        }
    }

    fn take_piece(&mut self, store: &mut SampleStore) {
        let end = self.follower.offset().unwrap_or(0);
        let begin = end.saturating_sub(self.piece.len() as u64);
        let (piece, mut lines) = (std::mem::take(&mut self.piece), std::mem::take(&mut self.lines));
        lines.feed(&piece, |line, used, number| {
            self.take_line(store, &line, number);
            self.line_end = begin + used as u64;
            let feed = piece.get(used.wrapping_sub(1)) == Some(&b'\n');
            self.settle(store, number + u64::from(feed));
        });
        (self.piece, self.lines) = (piece, lines);
    }

    fn take_line(&mut self, store: &mut SampleStore, line: &Line<'_>, number: u64) {
        if self.blocked {
            return;
        }
        let row = match line {
            Line::Whole(line) => self.rows.read(line, number),
            Line::TooLong => Ok(Row::Refused(Refusal::TooLong)),
        };
        match row {
            Ok(Row::Head(start)) => {
                self.tell_header(store);
                if let Some(base_us) = start {
                    self.time = ImpliedTime { base_us, steps: 0 };
                    self.base_us = base_us;
                    self.look_up(false, store);
                }
            }
            Ok(Row::Blank) => {}
            Ok(Row::Filtered) => {
                self.seen.filtered += 1;
                let (rows, name) = (&self.rows, &self.name);
                let detail = || format!("{name} line {number}, {}", rows.describe_filter());
                store.lose(Loss::Filtered, 1, detail);
            }
            Ok(Row::Sample { time_us, label, values }) => {
                let at_us = time_us.unwrap_or_else(|| self.time.now_us(self.period_ns));
                self.time.steps += 1;
                if time_us.is_some() {
                    self.order.add(at_us, values);
                }
                if time_us.is_some() && self.known_until.is_some_and(|known| at_us <= known) {
                    self.seen.refused += 1;
                    return self.refuse(store, number, &Refusal::Known);
                }
                self.seen.taken += 1;
                store.take(at_us, self.label.as_deref().unwrap_or(label), values);
            }
            Ok(Row::Refused(refusal)) => {
                self.seen.refused += 1;
                // The sample was taken, only not understood: its time passes.
                self.time.steps += 1;
                self.refuse(store, number, &refusal);
            }
            Err(problem) => store.set_problem(Some(format!("{}: {problem}", self.path.display()))),
        }
    }

    fn refuse(&self, store: &mut SampleStore, number: u64, refusal: &Refusal) {
        store.lose(refusal.loss(), 1, || {
            let text = self.rows.describe(refusal);
            match self.counted {
                true => format!("{} line {number}, {text}", self.name),
                false => format!("{} byte {}, {text}", self.name, self.line_end),
            }
        });
    }

    /// Takes the last line for whole, even if it has no end: nothing more will come.
    pub(super) fn finish(&mut self, store: &mut SampleStore) {
        let number = self.lines.number();
        if self.lines.has_only_returns() && !self.blocked {
            let lack = self.lack().unwrap_or_default();
            store.hint("input", lack.clone());
            store.set_problem(Some(lack));
            self.lines.restart();
            return;
        }
        if let Some(line) = self.lines.finish() {
            self.take_line(store, &Line::Whole(&line), number);
            self.line_end = self.follower.offset().unwrap_or(self.line_end);
        }
        if let Some(folder) = self.folder.as_ref().filter(|folder| folder.path("") == self.path) {
            store.set_problem(Some(folder.lack()));
        } else if let Some(lack) = self.lack() {
            store.hint("input", lack);
        }
        self.judge(store);
        self.tell_search(store);
    }

    /// Goes on to the next file of the folder, once there is one.
    fn next_file(&mut self, store: &mut SampleStore) -> bool {
        if !self.quiet_polls.is_multiple_of(FOLDER_POLLS) {
            return false;
        }
        self.tell_passed(store);
        let Some(folder) = &self.folder else { return false };
        // While none is there yet, the name is the pattern of those that are waited for.
        let waits = folder.path("") == self.path;
        let known = if waits { "" } else { self.name.as_str() };
        let Some(name) = folder.after(known).filter(|name| *name != self.name) else {
            return false;
        };
        let path = folder.path(&name);
        if !waits {
            self.finish(store);
        }
        log::info!("{}: is read now", path.display());
        self.follower = Follower::file(&path, None);
        self.path = path;
        self.take_name();
        // The one that was read is among those before it now.
        self.passed = self.passed.filter(|_| !waits).map(|passed| passed + 1);
        true
    }

    fn wait(&mut self, store: &mut SampleStore) -> bool {
        if self.next_file(store) {
            self.quiet_polls = 0;
            return true;
        }
        self.quiet_polls = self.quiet_polls.wrapping_add(1);
        if self.follower.waits_for_file() {
            let problem = match &self.folder {
                Some(folder) if folder.path("") == self.path => folder.lack(),
                _ => format!("{}: not there yet; waiting for it", self.path.display()),
            };
            store.set_problem(Some(problem));
        } else if self.follower.waits_for_writer() {
            let problem = "nobody writes to this FIFO; start the program that does";
            store.set_problem(Some(format!("{}: {problem}", self.path.display())));
        } else {
            if self.quiet_polls.is_multiple_of(FOLDER_POLLS) {
                self.judge(store);
                if let Some(index) = &mut self.index {
                    index.look(store);
                }
                if let Some(lack) = self.lack() {
                    store.set_problem(Some(lack));
                }
            }
            self.tell_search(store);
        }
        false
    }
}

impl SampleReader for CsvReader {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        let piece = self.follower.read(&mut self.piece);
        let mut store = lock(store);
        match piece {
            Ok(Piece::Bytes) => {
                self.quiet_polls = 0;
                self.take_piece(&mut store);
                true
            }
            Ok(Piece::Nothing) => self.wait(&mut store),
            Ok(Piece::Ended) => {
                self.tear(&mut store);
                self.tell_search(&mut store);
                store.finish();
                store.set_ended();
                false
            }
            Ok(Piece::Opened(Opened::Resumed)) => {
                self.resume(&mut store);
                true
            }
            Ok(why) => {
                self.begin(&mut store, why);
                true
            }
            Err(error) => {
                store.set_problem(Some(format!("{}: cannot read: {error}", self.path.display())));
                false
            }
        }
    }

    // Samples of the bytes that will not be read again must be on disk before.
    fn save(&mut self, store: &mut SampleStore) {
        if self.blocked {
            return;
        }
        self.settle(store, self.lines.number());
        // What still waits for others is read again after a restart.
        let Mark { offset, line, sequence, last_us, next_us } = self.settled;
        let mut position = match self.follower.position(offset) {
            Ok(Some(position)) => position,
            Ok(None) => return,
            Err(error) => {
                return log::warn!("{}: cannot note the position: {error}", self.path.display());
            }
        };
        if self.folder.is_some() {
            position.name.clone_from(&self.name);
        }
        (position.line, position.sequence) = (line, sequence);
        (position.last_us, position.next_us) = (last_us, next_us);
        position.base_us = next_us.map(|_| self.base_us);
        if self.saved.as_ref() == Some(&position) {
            return;
        }
        let saved = store.sync().and_then(|()| position.save(&self.position_path));
        match saved {
            Ok(()) => self.saved = Some(position),
            Err(error) => log::warn!("rows may be read twice after a restart: {error}"),
        }
    }
}
