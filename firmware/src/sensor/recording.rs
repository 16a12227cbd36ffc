//! A recording in flash: 16-bit samples as a sensor gave them, cut into windows when a task asks.
//!
//! `DUNLINR1`, the header's length and a CRC-32 of all that follows it (four bytes each,
//! little-endian), the header in postcard, then the samples: rows of one `i16` a channel.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use dunlin_models::ReadWindows;
use dunlin_protocol::crc32;
use dunlin_protocol::limits::CHANNELS_MAX;
use dunlin_protocol::task::{Rate, TaskSpec};
use serde::{Deserialize, Serialize};

const MAGIC: &[u8; 8] = b"DUNLINR1";

/// What the samples of a recording are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RecordingHeader {
    /// Rows in a thousand seconds.
    pub rate_millihertz: u32,
    /// Name of each channel, and what one step of its samples is in the channel's unit.
    pub channels: Vec<(String, f32)>,
    /// Names of the labels.
    pub labels: Vec<String>,
    /// Rows that follow each other without a gap: their label, and how many.
    pub segments: Vec<(u16, u32)>,
}

/// Why a recording cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordingError {
    /// There is none, or it is damaged: write it to flash again.
    Damaged,
    /// It has another rate than the task.
    Rate,
    /// It lacks this channel of the task.
    Channel(usize),
}

impl fmt::Display for RecordingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("the recording in flash is not whole; write it again"),
            Self::Rate => f.write_str("the recording has another rate than the task"),
            Self::Channel(at) => write!(f, "the recording lacks channel {at} of the task"),
        }
    }
}

impl core::error::Error for RecordingError {}

/// A recording whose header was read.
pub struct Recording<'a> {
    header: RecordingHeader,
    rows: &'a [u8],
}

impl RecordingHeader {
    /// The bytes of a recording with this header and `rows: [rows, channels]`.
    pub fn encode(&self, rows: &[i16]) -> Vec<u8> {
        // Postcard fails only on types without a known length, which this has none of.
        let mut body = postcard::to_allocvec(self).unwrap_or_default();
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        rows.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&crc32::of(&[&body]).to_le_bytes());
        bytes.extend_from_slice(&body);
        bytes
    }

    fn rows(&self) -> Option<usize> {
        let sum = |sum: u32, (_, rows): &(u16, u32)| sum.checked_add(*rows);
        self.segments.iter().try_fold(0, sum).map(|rows| rows as usize)
    }
}

impl<'a> Recording<'a> {
    /// The recording that `flash` begins with; what follows it is not looked at.
    ///
    /// # Errors
    /// [`RecordingError::Damaged`].
    pub fn open(flash: &'a [u8]) -> Result<Self, RecordingError> {
        Self::read(flash).ok_or(RecordingError::Damaged)
    }

    fn read(flash: &'a [u8]) -> Option<Self> {
        let rest = flash.strip_prefix(MAGIC)?;
        let (length, rest) = rest.split_first_chunk()?;
        let (crc, body) = rest.split_first_chunk()?;
        let length = u32::from_le_bytes(*length) as usize;
        let (text, rows) = body.split_at_checked(length)?;
        let (header, []) = postcard::take_from_bytes::<RecordingHeader>(text).ok()? else {
            return None;
        };
        let width = header.channels.len();
        if width == 0 || width > CHANNELS_MAX {
            return None;
        }
        let bytes = header.rows()?.checked_mul(2 * width)?;
        let rows = rows.get(..bytes)?;
        let whole = crc32::of(&[&body[..length + bytes]]) == u32::from_le_bytes(*crc);
        whole.then_some(Self { header, rows })
    }

    /// Its windows for `task`: those whose segment has a label of the task, or all where the task
    /// has no labels.
    ///
    /// # Errors
    /// When the recording lacks a channel, or has another rate (more than 1 % apart).
    pub fn windows<'b>(
        &'b self,
        task: &'b TaskSpec,
    ) -> Result<RecordedWindows<'b>, RecordingError> {
        let wanted = task.input.period_ns();
        let has = Rate::from_millihertz(self.header.rate_millihertz).period_ns();
        if u128::from(wanted.abs_diff(has)) * 100 > u128::from(wanted) {
            return Err(RecordingError::Rate);
        }
        let place = |(at, channel): (usize, &dunlin_protocol::task::Channel)| {
            let same = |(name, _): &(String, f32)| *name == channel.name;
            let found = self.header.channels.iter().position(same);
            found.ok_or(RecordingError::Channel(at))
        };
        // Behind the channels, the values that are asked for.
        let wanted = task.input.channels.iter().chain(task.value_channels()).enumerate();
        let mut channels = wanted.map(place).collect::<Result<Vec<_>, _>>()?;
        let asked = channels.split_off(task.input.channels.len());
        let (window, hop) = (u32::from(task.input.window), u32::from(task.input.hop).max(1));
        let (mut parts, mut first_row) = (Vec::new(), 0);
        for &(label, rows) in &self.header.segments {
            let text = self.header.labels.get(usize::from(label));
            let class = text.and_then(|text| task.labels().iter().position(|name| name == text));
            let class = class.and_then(|class| u16::try_from(class).ok());
            let windows = if rows < window { 0 } else { (rows - window) / hop + 1 };
            if windows > 0 && (class.is_some() || !task.needs_labels()) {
                parts.push(Segment { class, first_row, windows });
            }
            first_row += rows;
        }
        Ok(RecordedWindows { recording: self, task, channels, asked, parts })
    }
}

struct Segment {
    class: Option<u16>,
    first_row: u32,
    windows: u32,
}

/// The windows of a recording for one task.
pub struct RecordedWindows<'a> {
    recording: &'a Recording<'a>,
    task: &'a TaskSpec,
    /// For each channel of the task: its place in a row.
    channels: Vec<usize>,
    /// The same for the values that it asks for.
    asked: Vec<usize>,
    parts: Vec<Segment>,
}

impl RecordedWindows<'_> {
    /// The segment of window `index` and the window's number within it.
    fn find(&self, index: usize) -> Option<(&Segment, u32)> {
        let mut index = u32::try_from(index).ok()?;
        for segment in &self.parts {
            if index < segment.windows {
                return Some((segment, index));
            }
            index -= segment.windows;
        }
        None
    }
}

impl ReadWindows for RecordedWindows<'_> {
    fn len(&self) -> usize {
        self.parts.iter().map(|segment| segment.windows as usize).sum()
    }

    fn read(&self, index: usize, out: &mut [f32]) {
        let Some((segment, number)) = self.find(index) else { return out.fill(0.0) };
        let row = (segment.first_row + number * u32::from(self.task.input.hop).max(1)) as usize;
        let header = &self.recording.header.channels;
        let samples = self.recording.rows.as_chunks::<2>().0;
        let mut rows = samples.chunks_exact(header.len()).skip(row);
        let take = |values: &mut [f32], places: &[usize], row: &[[u8; 2]]| {
            for (value, &at) in values.iter_mut().zip(places) {
                *value = f32::from(i16::from_le_bytes(row[at])) * header[at].1;
            }
        };
        let (window, answers) = out.split_at_mut(self.task.sample_values().min(out.len()));
        for sample in window.chunks_exact_mut(self.channels.len().max(1)) {
            let Some(row) = rows.next() else { break };
            take(sample, &self.channels, row);
            // The last sample's stay.
            take(answers, &self.asked, row);
        }
        self.task.scale(out);
    }

    fn label(&self, index: usize) -> Option<u16> {
        self.find(index).and_then(|(segment, _)| segment.class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;

    fn header() -> RecordingHeader {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let task = dunlin_models::tasks::har_cnn();
        RecordingHeader {
            rate_millihertz: 50_000,
            channels: task.input.channels.iter().rev().map(|c| (c.name.clone(), 0.5)).collect(),
            labels: names(&["SITTING", "DANCING", "WALKING"]),
            segments: vec![(0, 200), (1, 300), (2, 128), (2, 127)],
        }
    }

    /// In each row all channels hold the row's number, but the last (of the task: the first) one.
    fn rows() -> Vec<i16> {
        let row = |row: i16| [[row; 8].as_slice(), &[-row]].concat();
        (0..755).flat_map(row).collect()
    }

    #[test]
    fn windows_are_cut_by_label_channel_and_hop_and_scaled() {
        let bytes = [header().encode(&rows()), vec![0xff; 9]].concat();
        let recording = Recording::open(&bytes).unwrap();
        let task = dunlin_models::tasks::har_cnn();
        let windows = recording.windows(&task).unwrap();
        assert_eq!(
            (0..4).map(|at| windows.label(at)).collect::<Vec<_>>(),
            [Some(3), Some(3), Some(0), None]
        );
        assert_eq!(windows.len(), 3);
        let mut out = vec![0.0; task.window_values()];
        windows.read(1, &mut out);
        // Sample 64 in steps of 0.5: body_acc_x has scale 4, total_acc_z 2.5.
        assert_eq!((out[0], out[8]), (-64.0 * 0.5 * 4.0, 64.0 * 0.5 * 2.5));
        windows.read(2, &mut out);
        assert_eq!(out[9 * 127], -(500.0 + 127.0) * 0.5 * 4.0);
    }

    #[test]
    fn what_is_damaged_or_does_not_suit_the_task_is_refused() {
        let bytes = header().encode(&rows());
        assert!((0..bytes.len()).step_by(7).all(|at| Recording::open(&bytes[..at]).is_err()));
        let mut changed = bytes.clone();
        changed[100] ^= 4;
        assert_eq!(Recording::open(&changed).err(), Some(RecordingError::Damaged));
        let mut task = dunlin_models::tasks::har_cnn();
        task.input.rate = Rate::from_millihertz(20_000);
        let recording = Recording::open(&bytes).unwrap();
        assert_eq!(recording.windows(&task).err(), Some(RecordingError::Rate));
        task.input.rate = Rate::from_millihertz(50_000);
        task.input.channels[2].name = "heart".into();
        assert_eq!(recording.windows(&task).err(), Some(RecordingError::Channel(2)));
    }
}
