//! Moves rows and labels from their files into the store, one piece at a time.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::DataError;
use super::follow::{Follower, Piece};
use super::lines::{LINE_BYTES_MAX, Line, LineBuffer};
use super::position::Position;
use super::row::{Refusal, Row, RowReader};
use crate::data::Loss;
use crate::data::config::CsvConfig;
use crate::data::live::{SampleReader, lock};
use crate::data::store::SampleStore;

/// Times of samples that bring none: one period apart, with a gap wherever rows may be missing.
#[derive(Debug, Default)]
struct ImpliedTime {
    base_us: i64,
    steps: u64,
}

/// Reads the rows of one input.
#[derive(Debug)]
pub(super) struct CsvReader {
    path: PathBuf,
    position_path: PathBuf,
    follower: Follower,
    piece: Vec<u8>,
    lines: LineBuffer,
    rows: RowReader,
    time: ImpliedTime,
    period_ns: u64,
    /// Good rows that are in the ring already: they came after the saved position.
    skip: u64,
    /// Bytes of the open file up to the end of the last line that was dealt with.
    line_end: u64,
    resume_sequence: u64,
    saved: Option<Position>,
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
        let follower = if config.input.path.as_os_str() == "-" {
            Follower::stdin().map_err(DataError::io(&config.input.path, "start a thread"))?
        } else {
            // Samples that were moved away are read again, if the file still has them.
            let next = store.ring().next_sequence();
            let position = Position::load(&position_path).filter(|p| p.sequence <= next);
            Follower::file(&config.input.path, position)
        };
        let saved = Position::load(&position_path);
        Ok(Self {
            path: config.input.path.clone(),
            position_path,
            follower,
            piece: Vec::new(),
            lines: LineBuffer::default(),
            rows: RowReader::new(config),
            time: ImpliedTime::default(),
            period_ns: config.sampling.period_ns(),
            skip: 0,
            line_end: 0,
            resume_sequence: saved.map_or(0, |position| position.sequence),
            saved,
        })
    }

    /// Goes on where an earlier program stopped.
    fn resume(&mut self, store: &mut SampleStore) {
        self.line_end = self.follower.offset().unwrap_or(0);
        self.skip = store.ring().next_sequence().saturating_sub(self.resume_sequence);
        let newest = store.ring().times().map(|times| times.newest);
        self.time =
            ImpliedTime { base_us: newest.unwrap_or(0), steps: u64::from(newest.is_some()) };
        store.set_problem(None);
        log::info!("{}: goes on at byte {}", self.path.display(), self.line_end);
        if self.line_end == 0 {
            return;
        }
        let head = self.follower.head(LINE_BYTES_MAX).unwrap_or_default();
        let first = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        if self.rows.expects_header()
            && let Err(problem) = self.rows.read(first)
        {
            store.set_problem(Some(format!("{}: {problem}", self.path.display())));
        }
    }

    /// Another file or writer: what comes does not continue what was.
    fn restart(&mut self, store: &mut SampleStore) {
        self.tear(store);
        self.rows.restart();
        self.skip = 0;
        self.line_end = 0;
        self.time = match store.ring().times() {
            Some(times) => ImpliedTime { base_us: times.newest, steps: self.gap_steps() },
            None => ImpliedTime::default(),
        };
        store.set_problem(None);
        self.save(store);
    }

    /// Periods in at least one second, and at least two: more than a row of samples may miss.
    fn gap_steps(&self) -> u64 {
        (1_000_000_000 / self.period_ns.max(1)).max(2)
    }

    fn tear(&mut self, store: &mut SampleStore) {
        if self.lines.restart() {
            refuse(store, &self.path, Refusal::Torn);
        }
    }

    fn take_piece(&mut self, store: &mut SampleStore) {
        let Self { rows, time, skip, line_end, path, period_ns, .. } = self;
        let end = self.follower.offset().unwrap_or(0);
        let begin = end.saturating_sub(self.piece.len() as u64);
        self.lines.feed(&self.piece, |line, used| {
            *line_end = begin + used as u64;
            let row = match line {
                Line::Whole(line) => rows.read(line),
                Line::TooLong => Ok(Row::Refused(Refusal::TooLong)),
            };
            match row {
                Ok(Row::Header | Row::Blank) => {}
                Ok(Row::Sample { .. }) if *skip > 0 => *skip -= 1,
                Ok(Row::Sample { time_us, label, values }) => {
                    let time_us = time_us.unwrap_or_else(|| time.now_us(*period_ns));
                    time.steps += 1;
                    store.take(time_us, label, values);
                }
                Ok(Row::Refused(refusal)) => {
                    // The sample was taken, only not understood: its time passes.
                    time.steps += u64::from(*skip == 0);
                    refuse(store, path, refusal);
                }
                Err(problem) => store.set_problem(Some(format!("{}: {problem}", path.display()))),
            }
        });
    }
}

impl SampleReader for CsvReader {
    fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        let piece = self.follower.read(&mut self.piece);
        let mut store = lock(store);
        match piece {
            Ok(Piece::Bytes) => {
                self.take_piece(&mut store);
                true
            }
            Ok(Piece::Nothing) => {
                if self.follower.waits_for_file() {
                    let problem = format!("{}: not there yet; waiting for it", self.path.display());
                    store.set_problem(Some(problem));
                } else if self.follower.waits_for_writer() {
                    let problem = "nobody writes to this FIFO; start the program that does";
                    store.set_problem(Some(format!("{}: {problem}", self.path.display())));
                }
                false
            }
            Ok(Piece::Ended) => {
                self.tear(&mut store);
                store.set_ended();
                false
            }
            Ok(Piece::Opened { resumed: true }) => {
                self.resume(&mut store);
                true
            }
            Ok(Piece::Opened { resumed: false } | Piece::Restarted) => {
                self.restart(&mut store);
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
        let sequence = store.ring().next_sequence().saturating_sub(self.skip);
        let position = match self.follower.position(self.line_end, sequence) {
            Ok(Some(position)) if self.saved != Some(position) => position,
            Ok(_) => return,
            Err(error) => {
                return log::warn!("{}: cannot note the position: {error}", self.path.display());
            }
        };
        let saved = store.sync().and_then(|()| position.save(&self.position_path));
        match saved {
            Ok(()) => self.saved = Some(position),
            Err(error) => log::warn!("rows may be read twice after a restart: {error}"),
        }
    }
}

impl ImpliedTime {
    fn now_us(&self, period_ns: u64) -> i64 {
        let passed = self.steps.saturating_mul(period_ns) / 1000;
        self.base_us.saturating_add(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

fn refuse(store: &mut SampleStore, path: &Path, refusal: Refusal) {
    let loss = match refusal {
        Refusal::TooLong | Refusal::Torn | Refusal::Quote | Refusal::Columns { .. } => {
            Loss::Columns
        }
        Refusal::Number(_) => Loss::Number,
        Refusal::Time(_) => Loss::Time,
    };
    store.lose(loss, 1, || format!("{}: {refusal}", path.display()));
}
