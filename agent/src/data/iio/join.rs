//! Joins the scans of several devices to samples, by their times.
//!
//! Each scan of the first device takes from every other device the scan that is nearest in time.
//! Where that is more than half a period away, the scan stays alone and is left out. Nothing is
//! decided before a device has shown that nothing nearer can come.

use std::collections::VecDeque;

/// Scans that wait for those of another device at the most.
const WAITING_MAX: usize = 4096;

/// What a device measured at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scan {
    /// Microseconds since 1970.
    pub(super) time_us: i64,
    /// In the order of the device's inputs, in the kernel's units.
    pub(super) values: Vec<f64>,
}

/// What became of a scan of the first device.
#[derive(Debug, PartialEq)]
pub(super) enum Joined {
    /// A sample of this time: the values of each device.
    Sample(i64, Vec<Vec<f64>>),
    /// Left out: device number `part` has nothing nearer than `apart_us` microseconds.
    Alone {
        /// Number of the device.
        part: usize,
        /// Distance of its nearest scan.
        apart_us: u64,
    },
}

/// Scans that wait to be joined.
#[derive(Debug)]
pub(super) struct Join {
    waiting: Vec<VecDeque<Scan>>,
    half_period_us: u64,
}

impl Join {
    /// Joins the scans of `parts` devices that take one in `period_ns`.
    pub(super) fn new(parts: usize, period_ns: u64) -> Self {
        let waiting = (0..parts).map(|_| VecDeque::new()).collect();
        Self { waiting, half_period_us: (period_ns / 2000).max(1) }
    }

    /// Takes in a scan of device number `part`. Gives how many scans are lost by it: that waited too
    /// long for another device, or that lie after it because the clock was set back.
    pub(super) fn push(&mut self, part: usize, scan: Scan) -> u64 {
        let Some(waiting) = self.waiting.get_mut(part) else { return 1 };
        let mut lost = 0;
        if waiting.back().is_some_and(|last| last.time_us > scan.time_us) {
            lost = waiting.len();
            waiting.clear();
        } else if waiting.len() == WAITING_MAX {
            lost = 1;
            waiting.pop_front();
        }
        waiting.push_back(scan);
        // What other devices have waiting is nobody's loss: they give to the first one's scans.
        if part == 0 { lost as u64 } else { 0 }
    }

    /// What becomes of the first scan of the first device; `None` when that is not known yet.
    pub(super) fn next(&mut self) -> Option<Joined> {
        let (first, others) = self.waiting.split_first_mut()?;
        let time_us = first.front()?.time_us;
        let mut alone = None;
        for (other, part) in others.iter_mut().zip(1..) {
            let apart_us = nearest(other, time_us)?;
            if apart_us > self.half_period_us {
                alone = alone.or(Some(Joined::Alone { part, apart_us }));
            }
        }
        let scan = first.pop_front()?;
        if alone.is_some() {
            return alone;
        }
        let others = others.iter().filter_map(|other| Some(other.front()?.values.clone()));
        let values = std::iter::once(scan.values).chain(others).collect();
        Some(Joined::Sample(scan.time_us, values))
    }
}

/// Drops what lies before the scan nearest to `time_us`, and gives its distance; `None` while a
/// nearer one may come.
fn nearest(waiting: &mut VecDeque<Scan>, time_us: i64) -> Option<u64> {
    let apart = |scan: &Scan| scan.time_us.abs_diff(time_us);
    while waiting.len() > 1 && apart(&waiting[1]) <= apart(&waiting[0]) {
        waiting.pop_front();
    }
    let front = waiting.front()?;
    let known = front.time_us >= time_us || waiting.len() > 1;
    known.then(|| apart(front))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(time_us: i64, value: f64) -> Scan {
        Scan { time_us, values: vec![value] }
    }

    fn sample(time_us: i64, first: f64, second: f64) -> Option<Joined> {
        Some(Joined::Sample(time_us, vec![vec![first], vec![second]]))
    }

    #[test]
    fn one_device_is_joined_with_nothing() {
        let mut join = Join::new(1, 20_000_000);
        assert_eq!(join.next(), None);
        join.push(0, scan(5, 1.0));
        assert_eq!(join.next(), Some(Joined::Sample(5, vec![vec![1.0]])));
        assert_eq!(join.next(), None);
    }

    #[test]
    fn the_nearest_scan_within_half_a_period_is_taken_and_no_farther_one() {
        let mut join = Join::new(2, 20_000_000);
        for (time, value) in [(0, 0.0), (20_000, 1.0), (40_000, 2.0), (60_000, 3.0)] {
            join.push(0, scan(time, value));
        }
        join.push(1, scan(-3000, 10.0));
        assert_eq!(join.next(), None, "a nearer one may come");
        join.push(1, scan(17_000, 11.0));
        assert_eq!(join.next(), sample(0, 0.0, 10.0));
        assert_eq!(join.next(), None);
        join.push(1, scan(70_500, 12.0));
        assert_eq!(join.next(), sample(20_000, 1.0, 11.0));
        assert_eq!(join.next(), Some(Joined::Alone { part: 1, apart_us: 23_000 }));
        assert_eq!(join.next(), Some(Joined::Alone { part: 1, apart_us: 10_500 }));
        assert_eq!(join.next(), None);
    }

    #[test]
    fn a_faster_device_gives_its_nearest_scans() {
        let mut join = Join::new(2, 20_000_000);
        (0..9i32).for_each(|n| _ = join.push(1, scan(i64::from(n) * 5000, f64::from(n))));
        join.push(0, scan(11_000, 1.0));
        join.push(0, scan(31_000, 2.0));
        assert_eq!(join.next(), sample(11_000, 1.0, 2.0));
        assert_eq!(join.next(), sample(31_000, 2.0, 6.0));
    }

    #[test]
    fn waiting_scans_are_bounded_and_those_of_a_clock_that_was_set_back_are_dropped() {
        let mut join = Join::new(2, 20_000_000);
        let lost: u64 = (0..5000).map(|n| join.push(0, scan(n * 20_000, 0.0))).sum();
        assert_eq!(lost, 5000 - WAITING_MAX as u64);
        assert_eq!(join.push(0, scan(-7, 1.0)), WAITING_MAX as u64);
        join.push(1, scan(50_000_000, 0.0));
        join.push(1, scan(-6, 2.0));
        assert_eq!(join.next(), sample(-7, 1.0, 2.0));
    }
}
