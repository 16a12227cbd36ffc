//! Follows a file of `start,end,label` rows.

use std::path::Path;
use std::sync::Mutex;

use super::follow::{Follower, Piece};
use super::lines::{Line, LineBuffer};
use super::row::{Splitter, parse_time};
use crate::data::Loss;
use crate::data::config::TimeUnit;
use crate::data::labels::LabelRange;
use crate::data::live::lock;
use crate::data::log_limit::{LogLimit, clock};
use crate::data::store::SampleStore;

/// Reads label ranges; from the start of the file whenever it opens, because applying a range twice
/// changes nothing.
#[derive(Debug)]
pub(in crate::data) struct LabelReader {
    follower: Follower,
    piece: Vec<u8>,
    lines: LineBuffer,
    splitter: Splitter,
    unit: TimeUnit,
    first_line: bool,
    unreadable: LogLimit,
}

impl LabelReader {
    /// A reader of the file or FIFO `path`, which need not exist yet.
    pub(in crate::data) fn new(path: &Path, delimiter: char, unit: TimeUnit) -> Self {
        Self {
            follower: Follower::file(path, None),
            piece: Vec::new(),
            lines: LineBuffer::default(),
            splitter: Splitter::new(delimiter),
            unit,
            first_line: true,
            unreadable: LogLimit::default(),
        }
    }

    /// Takes in the next piece; whether there may be more at once.
    pub(in crate::data) fn poll(&mut self, store: &Mutex<SampleStore>) -> bool {
        match self.follower.read(&mut self.piece) {
            Ok(Piece::Bytes) => {
                self.take_piece(&mut lock(store));
                true
            }
            Ok(Piece::Opened { .. } | Piece::Restarted) => {
                if self.lines.restart() {
                    let why = || "a line of the label file broke off".to_owned();
                    lock(store).lose(Loss::Label, 1, why);
                }
                self.first_line = true;
                true
            }
            Ok(Piece::Nothing | Piece::Ended) => false,
            Err(error) => {
                if self.unreadable.count(clock()).is_some() {
                    log::warn!("cannot read the label file: {error}");
                }
                false
            }
        }
    }

    fn take_piece(&mut self, store: &mut SampleStore) {
        let mut ranges = Vec::new();
        let Self { splitter, unit, first_line, .. } = self;
        self.lines.feed(&self.piece, |line, _| {
            let first = std::mem::take(first_line);
            let range = match line {
                Line::Whole(line) if line.iter().all(u8::is_ascii_whitespace) => return,
                Line::Whole(line) => parse(splitter, line, *unit, store),
                Line::TooLong => Err("a line of the label file is too long".to_owned()),
            };
            match range {
                Ok(range) => ranges.push(range),
                Err(_) if first => {}
                Err(why) => store.lose(Loss::Label, 1, || why),
            }
        });
        if let Err(error) = store.label(&ranges) {
            store.lose(Loss::Label, 1, || format!("cannot apply labels: {error}"));
        }
    }
}

fn parse(
    splitter: &mut Splitter,
    line: &[u8],
    unit: TimeUnit,
    store: &mut SampleStore,
) -> Result<LabelRange, String> {
    if !splitter.split(line) || splitter.count() != 3 {
        return Err("a row of the label file is not start,end,label".to_owned());
    }
    let time = |column| {
        let time = splitter.field(column).and_then(|text| parse_time(text, unit));
        time.ok_or_else(|| format!("column {column} of the label file is not a time"))
    };
    let (start_us, end_us) = (time(0)?, time(1)?);
    if end_us <= start_us {
        return Err("a label range ends before it begins".to_owned());
    }
    let text = splitter.field(2).ok_or("a label is not UTF-8")?;
    let number = store.label_number(text).map_err(|error| error.to_string())?;
    let label = number.ok_or("no number is left for a label")?;
    Ok(LabelRange { start_us, end_us, label })
}
