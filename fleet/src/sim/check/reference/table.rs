//! Answers to queries: whole numbers by the text of the wire format, and what they can be.

use dunlin_protocol::task::Task;
use dunlin_protocol::work::{ChannelQuery, SumsWork};

/// Numbers of a channel in front of its histogram: samples, sum, sum of squares.
const CHANNEL_NUMBERS: usize = 3;

/// Numbers of an answer.
pub(super) fn length(work: &SumsWork, task: &Task) -> usize {
    let of_channel = |query: &ChannelQuery| CHANNEL_NUMBERS + bins(query);
    1 + labels(work, task) + work.channels.iter().map(of_channel).sum::<usize>()
}

/// The numbers of an answer; `None` for what windows of `task` cannot add up to.
pub(super) fn numbers(payload: &[u8], work: &SumsWork, task: &Task) -> Option<Vec<i128>> {
    let numbers = integers(payload)?;
    let fits = numbers.len() == length(work, task) && is_possible(&numbers, work, task);
    fits.then_some(numbers)
}

fn labels(work: &SumsWork, task: &Task) -> usize {
    if work.labels { task.labels().len() } else { 0 }
}

/// One more than edges, none without them.
fn bins(query: &ChannelQuery) -> usize {
    if query.edges.is_empty() { 0 } else { query.edges.len() + 1 }
}

/// Zigzag varints of up to 128 bits, one after the other.
fn integers(payload: &[u8]) -> Option<Vec<i128>> {
    let (mut numbers, mut number, mut shift) = (Vec::new(), 0_u128, 0);
    for byte in payload {
        number |= u128::from(byte & 0x7f).checked_shl(shift)?;
        shift += 7;
        if byte & 0x80 == 0 {
            // Even numbers stand for 0, 1, 2 and so on, odd ones for -1, -2, -3.
            let half = (number >> 1).cast_signed();
            numbers.push(if number & 1 == 0 { half } else { -half - 1 });
            (number, shift) = (0, 0);
        }
    }
    (shift == 0).then_some(numbers)
}

/// Whether windows of `task` can add up to `numbers`, which are as many as [`length`] says.
fn is_possible(numbers: &[i128], work: &SumsWork, task: &Task) -> bool {
    let mut rest = numbers.iter().copied();
    let mut next = |count: usize| rest.by_ref().take(count).collect::<Vec<i128>>();
    let Some(windows) = next(1).first().copied().filter(|windows| *windows >= 0) else {
        return false;
    };
    let counts = next(labels(work, task));
    if !counts.iter().all(|count| (0..=windows).contains(count))
        || counts.iter().sum::<i128>() > windows
    {
        return false;
    }
    work.channels.iter().all(|query| {
        let sums = next(CHANNEL_NUMBERS);
        let [samples, sum, squares] = sums[..] else { return false };
        let bins = next(bins(query));
        let largest = largest(query);
        samples == windows * i128::from(task.input.window)
            && (-samples * largest..=samples * largest).contains(&sum)
            && (0..=samples * largest * largest).contains(&squares)
            && bins.iter().all(|count| (0..=samples).contains(count))
            && (bins.is_empty() || bins.iter().sum::<i128>() == samples)
    })
}

/// The whole number that stands for the channel's largest magnitude: nearest, halves to even.
#[allow(clippy::cast_possible_truncation)] // up to 2^40
fn largest(query: &ChannelQuery) -> i128 {
    let scaled = f64::from(query.max_abs) * 2_f64.powi(i32::from(query.fraction_bits));
    i128::from(scaled.round_ties_even() as i64)
}
