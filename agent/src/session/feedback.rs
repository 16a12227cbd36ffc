//! Error feedback: what a biased codec loses of an update is added to the next one.
//!
//! `p = delta + residual; c = clip(p); send C(c); residual = c - C(c)`, and the new residual counts
//! only once the update does. When it is not known whether an update was counted, what it lost and
//! what came before are dropped: adding it again could count it twice, dropping it costs a little
//! accuracy once.

use alloc::vec::Vec;

use dunlin_protocol::codec::{Codec, Seeds, squared_norm};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::task::Task;
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::TrainWork;

use super::phase::Item;
use super::{Outcome, Refusal, Session};
use crate::state::{Pending, Residual};

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UpdateOutcome {
    /// It is in the sum.
    Counted,
    /// It is not in the sum, and will not be.
    NotCounted,
    /// Nobody knows: the round ended without a word, or an update of this device was counted that may
    /// be another one.
    Unknown,
}

impl UpdateOutcome {
    /// What a verdict says. The same update would be accepted again: where it is a duplicate, the one
    /// that was counted is another, such as that of a state that was lost.
    pub(super) fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Accepted => Self::Counted,
            Outcome::Refused(Refusal::Duplicate) => Self::Unknown,
            Outcome::Refused(_) => Self::NotCounted,
        }
    }
}

/// A coded update and what coding lost.
pub(super) struct Coded {
    /// Number of the codec that wrote the payload; 0 without one.
    pub(super) codec: u8,
    pub(super) payload: Vec<u8>,
    pub(super) lost: Option<Vec<f32>>,
}

impl Coded {
    /// The payload of work that sends figures alone: none.
    pub(super) const NONE: Self = Self { codec: 0, payload: Vec::new(), lost: None };
}

impl Session {
    /// Forgets the update that waits for its verdict, and settles what it lost.
    pub(super) fn settle(&mut self, outcome: UpdateOutcome) {
        if self.state.pending.is_none() {
            return;
        }
        let task = self.holding.task().map(|task| task.digest());
        let state = &mut self.state;
        let Some(pending) = state.pending.take() else { return };
        let Pending { work, base_version, lost, .. } = pending;
        match (outcome, lost) {
            (UpdateOutcome::Counted, Some(values)) => {
                let (lineage, version) = (work.lineage, base_version);
                state.residual = task.map(|task| Residual { lineage, task, version, values });
            }
            (UpdateOutcome::Unknown, _) => state.residual = None,
            (UpdateOutcome::Counted | UpdateOutcome::NotCounted, _) => {}
        }
    }

    /// Settles the update of `work`, if that is the one that waits.
    pub(super) fn settle_work(&mut self, work: WorkRef, outcome: UpdateOutcome) {
        if self.state.pending.as_ref().is_some_and(|pending| pending.work == work) {
            self.settle(outcome);
        }
    }

    /// Codes `delta: [n_update]` as the plan says, with what the last update lost.
    pub(super) fn code(
        &mut self,
        item: &Item,
        plan: &TrainWork,
        task: &Task,
        mut delta: Vec<f32>,
    ) -> Result<Coded, WireError> {
        let codec = Codec::from_spec(plan.codec)
            .ok_or(WireError::Invalid("this program does not have the plan's codec"))?;
        let WorkRef { lineage, round, kind } = item.work;
        let seeds = Seeds::of_update(&self.settings.device, lineage, round, kind);
        let noise = self.work_seed(item.work, 2);
        let Codec::Sparse { age, .. } = codec else {
            self.state.residual = None;
            clip(&mut delta, plan);
            return Ok(Coded {
                codec: codec.spec().id,
                payload: codec.encode(&mut delta, seeds, noise)?,
                lost: None,
            });
        };
        let fresh = |residual: &Residual| {
            let versions = item.base_version.0.checked_sub(residual.version.0);
            residual.lineage == lineage
                && residual.task == task.digest()
                && residual.values.len() == delta.len()
                && versions.is_some_and(|versions| versions <= age)
        };
        let state = &mut self.state;
        state.residual = state.residual.take().filter(fresh);
        if let Some(residual) = &self.state.residual {
            delta.iter_mut().zip(&residual.values).for_each(|(value, kept)| *value += kept);
        }
        clip(&mut delta, plan);
        let mut lost = delta.clone();
        let payload = codec.encode(&mut delta, seeds, noise)?;
        let sent = codec.decode(&payload, lost.len(), seeds)?;
        lost.iter_mut().zip(&sent).for_each(|(value, sent)| *value -= sent);
        Ok(Coded { codec: codec.spec().id, payload, lost: Some(lost) })
    }
}

/// Scales `delta` down to the plan's clip norm and bounds each coordinate, so that the aggregator
/// takes it.
#[allow(clippy::cast_possible_truncation)] // the norm of f32 values, as f32
fn clip(delta: &mut [f32], work: &TrainWork) {
    let square = squared_norm(delta);
    let limit = f64::from(work.clip_norm);
    let factor = if square > limit * limit { limit / libm::sqrt(square) } else { 1.0 };
    for value in delta {
        *value = (f64::from(*value) * factor) as f32;
        *value = value.clamp(-work.max_abs, work.max_abs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::{Bench, train_work, work};
    use alloc::vec;
    use dunlin_protocol::id::{Lineage, ModelVersion};
    use dunlin_protocol::rng::Rng;
    use dunlin_protocol::work::Work;

    const N: usize = 1010;

    fn delta(seed: u64) -> Vec<f32> {
        let mut rng = Rng::new(seed);
        (0..N).map(|_| rng.normal() * 0.01).collect()
    }

    fn item(round: u32) -> Item {
        let train = TrainWork {
            codec: Codec::Sparse { step: 3.0, age: 4 }.spec(),
            clip_norm: 10.0,
            ..train_work()
        };
        let base_version = ModelVersion(round - 1);
        Item { work: work(round), base_version, asked: Work::Train(train) }
    }

    /// A device after a round; what the aggregator reads from its update.
    fn round(
        bench: &mut Bench,
        number: u32,
        delta: Vec<f32>,
        outcome: Option<UpdateOutcome>,
    ) -> Vec<f32> {
        let (item, task) = (item(number), bench.task());
        let session = &mut bench.session;
        session.settle(UpdateOutcome::Unknown);
        let plan = item.train().unwrap().clone();
        let coded = session.code(&item, &plan, &task, delta).unwrap();
        let (work, base_version) = (item.work, item.base_version);
        let WorkRef { lineage, round, kind } = work;
        let seeds = Seeds::of_update(&session.settings.device, lineage, round, kind);
        let sent = Codec::from_spec(plan.codec).unwrap().decode(&coded.payload, N, seeds).unwrap();
        session.state.pending =
            Some(Pending { work, base_version, object: vec![], lost: coded.lost });
        if let Some(outcome) = outcome {
            session.settle_work(work, outcome);
        }
        sent
    }

    fn residual(bench: &Bench) -> Option<&Vec<f32>> {
        bench.session.state.residual.as_ref().map(|residual| &residual.values)
    }

    fn norm(values: impl Iterator<Item = f32>) -> f32 {
        values.map(|x| x * x).sum::<f32>().sqrt()
    }

    #[test]
    fn what_a_counted_update_lost_goes_out_with_the_next() {
        let mut bench = Bench::joined();
        let sent = round(&mut bench, 1, delta(1), Some(UpdateOutcome::Counted));
        let lost: Vec<f32> = delta(1).iter().zip(&sent).map(|(a, b)| a - b).collect();
        assert_eq!(residual(&bench), Some(&lost));
        let sent = round(&mut bench, 2, delta(2), Some(UpdateOutcome::Counted));
        let wanted = delta(2).into_iter().zip(&lost).map(|(a, b)| a + b);
        let left: Vec<f32> = wanted.zip(&sent).map(|(a, b)| a - b).collect();
        assert_eq!(residual(&bench), Some(&left));
    }

    #[test]
    fn over_many_rounds_everything_that_was_learned_arrives() {
        let mut bench = Bench::joined();
        let (mut learned, mut arrived) = (vec![0.0; N], vec![0.0; N]);
        for number in 1..=60 {
            let step = delta(u64::from(number));
            learned.iter_mut().zip(&step).for_each(|(sum, x): (&mut f32, _)| *sum += x);
            let sent = round(&mut bench, number, step, Some(UpdateOutcome::Counted));
            arrived.iter_mut().zip(&sent).for_each(|(sum, x): (&mut f32, _)| *sum += x);
        }
        let gap = norm(learned.iter().zip(&arrived).map(|(a, b)| a - b));
        assert!(gap < 3.0 * norm(delta(1).into_iter()), "{gap}");
    }

    #[test]
    fn a_refused_update_changes_nothing_and_one_of_unknown_fate_drops_everything() {
        let mut bench = Bench::joined();
        round(&mut bench, 1, delta(1), Some(UpdateOutcome::Counted));
        let before = residual(&bench).cloned();
        round(&mut bench, 2, delta(2), Some(UpdateOutcome::NotCounted));
        assert_eq!(residual(&bench), before.as_ref());
        round(&mut bench, 3, delta(3), None);
        let first = round(&mut bench, 4, delta(4), None);
        let mut fresh = Bench::joined();
        assert_eq!(first, round(&mut fresh, 4, delta(4), None), "nothing was added");
    }

    #[test]
    fn what_is_old_or_of_another_history_is_dropped() {
        for change in [
            (|residual: &mut Residual| residual.version = ModelVersion(1)) as fn(&mut Residual),
            |residual| residual.lineage = Lineage([1; 16]),
            |residual| residual.values.truncate(5),
        ] {
            let mut bench = Bench::joined();
            round(&mut bench, 6, delta(1), Some(UpdateOutcome::Counted));
            change(bench.session.state.residual.as_mut().unwrap());
            let sent = round(&mut bench, 7, delta(2), None);
            assert_eq!(sent, round(&mut Bench::joined(), 7, delta(2), None));
        }
    }

    #[test]
    fn an_update_that_is_a_duplicate_is_another_than_the_one_that_counts() {
        assert_eq!(UpdateOutcome::of(Outcome::Accepted), UpdateOutcome::Counted);
        assert_eq!(UpdateOutcome::of(Outcome::Refused(Refusal::Duplicate)), UpdateOutcome::Unknown);
        assert_eq!(
            UpdateOutcome::of(Outcome::Refused(Refusal::RoundClosed)),
            UpdateOutcome::NotCounted
        );
        let mut bench = Bench::joined();
        round(&mut bench, 1, delta(1), Some(UpdateOutcome::Counted));
        round(
            &mut bench,
            2,
            delta(2),
            Some(UpdateOutcome::of(Outcome::Refused(Refusal::Duplicate))),
        );
        assert_eq!(residual(&bench), None, "neither what it lost nor what was lost before");
    }
}
