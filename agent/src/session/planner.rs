//! What the plan asks for, and what of it is over for this device.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use dunlin_protocol::id::{InstanceId, Lineage};
use dunlin_protocol::message::WorkRef;
use dunlin_protocol::plan::{Plan, WorkItem};

/// Ended pieces of work that are remembered, so that they are not begun again.
const ENDED_MAX: usize = 8;

/// The plan heard last, and the work that ended.
#[derive(Debug, Default)]
pub(super) struct Planner {
    plan: Option<Plan>,
    ended: VecDeque<WorkRef>,
    /// Whether the plan contradicts its task.
    is_odd: bool,
}

/// The work that `item` is in `plan`.
pub(super) fn work_of(plan: &Plan, item: &WorkItem) -> WorkRef {
    WorkRef { lineage: plan.lineage, round: item.round, kind: item.kind }
}

impl Planner {
    /// A planner that has heard `plan` and remembers these ends, the oldest first.
    pub(super) fn resumed(plan: Plan, ended: Box<[WorkRef]>) -> Self {
        Self { plan: Some(plan), ended: VecDeque::from(ended.into_vec()), is_odd: false }
    }

    /// The plan heard last.
    pub(super) fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref()
    }

    /// The plan in place of the one before.
    pub(super) fn take(&mut self, plan: Plan) {
        self.plan = Some(plan);
    }

    /// Notes whether the plan contradicts its task; whether that begins now, and is worth a word.
    pub(super) fn note_odd(&mut self, is_odd: bool) -> bool {
        let before = core::mem::replace(&mut self.is_odd, is_odd);
        is_odd && !before
    }

    /// Whether the plan is that of this aggregator.
    pub(super) fn is_of(&self, instance: &InstanceId) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.instance == *instance)
    }

    /// Whether the plan is of this history.
    pub(super) fn is_in(&self, lineage: &Lineage) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.lineage == *lineage)
    }

    /// Whether the plan still lists `work`.
    pub(super) fn lists(&self, work: &WorkRef) -> bool {
        let plan = self.plan.as_ref();
        plan.is_some_and(|plan| plan.work.iter().any(|item| work_of(plan, item) == *work))
    }

    /// Whether `work` is over for this device.
    pub(super) fn has_ended(&self, work: &WorkRef) -> bool {
        self.ended.contains(work)
    }

    /// Remembers that `work` is over. What the plan no longer lists is forgotten first: the rest
    /// would be begun again.
    pub(super) fn end(&mut self, work: WorkRef) {
        if self.ended.len() == ENDED_MAX {
            let place = self.ended.iter().position(|work| !self.lists(work)).unwrap_or(0);
            self.ended.remove(place);
        }
        self.ended.push_back(work);
    }

    /// The ends that are remembered, the oldest first.
    pub(super) fn into_ended(self) -> Box<[WorkRef]> {
        Vec::from(self.ended).into_boxed_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::plan;
    use dunlin_protocol::id::RoundId;

    #[test]
    fn a_plan_that_contradicts_its_task_is_worth_one_word_until_one_does_not() {
        let mut planner = Planner::default();
        let odd = [false, true, true, false, true].map(|is_odd| planner.note_odd(is_odd));
        assert_eq!(odd, [false, true, false, false, true]);
    }

    #[test]
    fn what_the_plan_still_lists_is_remembered_longest() {
        let mut planner = Planner::default();
        let plan = plan();
        let open = work_of(&plan, &plan.work[0]);
        assert!(planner.plan().is_none() && !planner.is_of(&plan.instance));
        planner.take(plan.clone());
        assert!(planner.is_of(&plan.instance));
        planner.end(open);
        let over = |round| WorkRef { round: RoundId(round), ..open };
        (100..120).for_each(|round| planner.end(over(round)));
        assert!(planner.has_ended(&open) && planner.has_ended(&over(119)));
        assert!(!planner.has_ended(&over(100)));
        assert_eq!(planner.into_ended().len(), ENDED_MAX);
    }
}
