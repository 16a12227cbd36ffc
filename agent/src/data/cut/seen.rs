//! What the times of samples look like, whether they make windows or not.

use std::mem;

use crate::data::LeftOut;

/// Newest steps that are kept, to tell the usual one.
const STEPS: usize = 64;

/// What was seen of a stretch of samples. As a [`LeftOut`] but for windows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    samples: u64,
    rows_ended: u64,
    longest_row: u64,
    gaps: u64,
    gap_us: Option<(u64, u64)>,
    steps_back: u64,
    same_time: u64,
    on_time: u64,
    missing: u64,
}

/// Looks at one sample after the other.
#[derive(Debug)]
pub(super) struct Watch {
    period_us: i64,
    window: u64,
    /// Samples of the row so far, those included that it has left behind.
    row: u64,
    seen: Seen,
    /// The newest steps, in microseconds, at their number modulo [`STEPS`].
    steps: [i64; STEPS],
    count: usize,
}

impl Seen {
    /// Adds what was seen of another stretch.
    pub(super) fn add(&mut self, other: &Self) {
        self.samples += other.samples;
        self.rows_ended += other.rows_ended;
        self.longest_row = self.longest_row.max(other.longest_row);
        self.gaps += other.gaps;
        if let Some((from, to)) = other.gap_us {
            let (least, most) = self.gap_us.unwrap_or((from, to));
            self.gap_us = Some((least.min(from), most.max(to)));
        }
        self.steps_back += other.steps_back;
        self.same_time += other.same_time;
        self.on_time += other.on_time;
        self.missing += other.missing;
    }
}

impl Watch {
    /// Samples that should come `period_us` microseconds apart, for windows of `window` samples.
    pub(super) fn new(period_us: i64, window: usize) -> Self {
        let window = window as u64;
        let (seen, steps) = (Seen::default(), [0; STEPS]);
        Self { period_us: period_us.max(1), window, row: 0, seen, steps, count: 0 }
    }

    /// Notes a sample that comes `step_us` microseconds after the one before, if there was one, with
    /// `missing` samples between them; whether a row begins with it.
    pub(super) fn note(&mut self, step_us: Option<i64>, missing: u64, begins: bool) {
        if begins {
            let short = self.row > 0 && self.row < self.window;
            self.seen.rows_ended += u64::from(short);
            self.row = 0;
        }
        self.row += 1;
        self.seen.samples += 1;
        self.seen.missing += missing;
        self.seen.longest_row = self.seen.longest_row.max(self.row);
        let Some(step_us) = step_us.filter(|_| missing == 0) else { return };
        self.steps[self.count % STEPS] = step_us;
        self.count += 1;
        if step_us < 0 {
            self.seen.steps_back += 1;
            return;
        }
        if begins {
            let step = step_us.unsigned_abs();
            let (least, most) = self.seen.gap_us.unwrap_or((step, step));
            self.seen.gap_us = Some((least.min(step), most.max(step)));
            self.seen.gaps += 1;
        } else if step_us >= self.period_us / 2 {
            self.seen.on_time += 1;
        } else if step_us == 0 {
            self.seen.same_time += 1;
        }
    }

    /// What was seen since this was asked last.
    pub(super) fn take_seen(&mut self) -> Seen {
        mem::take(&mut self.seen)
    }

    /// Nanoseconds of the usual step of the newest samples; `None` while there are too few.
    fn step_ns(&self) -> Option<u64> {
        let mut steps = self.steps;
        let steps = steps.get_mut(..self.count.min(STEPS)).filter(|steps| steps.len() > 1)?;
        steps.sort_unstable();
        let long = *steps.get(steps.len() * 3 / 4)?;
        // The mean, because times are rounded, jitter, or come in pairs. Gaps must not count.
        let usual = |step: &&i64| long <= 0 || step.saturating_abs() <= long.saturating_mul(3);
        let (mut sum, mut count) = (0_i128, 0_i128);
        for step in steps.iter().filter(usual) {
            (sum, count) = (sum + i128::from(*step), count + 1);
        }
        u64::try_from(sum * 1000 / count.max(1)).ok().filter(|ns| *ns > 0)
    }

    /// What `seen`, all that was seen, says of the samples; counts of windows are left at 0. `window_us`
    /// is how long the last window was that did not run at its rate.
    pub(super) fn left_out(&self, seen: &Seen, period_ns: u64, window_us: Option<u64>) -> LeftOut {
        let steps = self.window.saturating_sub(1).max(1);
        let off = window_us.map(|us| us.saturating_mul(1000) / steps).filter(|ns| *ns > 0);
        let step_ns = off.or_else(|| self.step_ns());
        LeftOut {
            rows_ended: seen.rows_ended,
            longest_row: seen.longest_row,
            window: self.window,
            samples: seen.samples,
            gaps: seen.gaps,
            gap_us: seen.gap_us.unwrap_or_default(),
            steps_back: seen.steps_back,
            same_time: seen.same_time,
            on_time: seen.on_time,
            missing: seen.missing,
            measured_millihertz: step_ns.map(|ns| 1_000_000_000_000 / ns.max(1)),
            step_ns,
            period_ns,
            ..LeftOut::default()
        }
    }
}
