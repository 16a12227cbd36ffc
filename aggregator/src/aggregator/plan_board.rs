//! The numbers under which plans are published: they rise with every plan that says something new.

use dunlin_protocol::plan::Plan;

#[derive(Clone, Debug)]
pub(super) struct PlanBoard {
    /// Upper half of the numbers: rises with every start.
    epoch: u32,
    /// Different plans published since the start, and the last of them.
    plans: u32,
    last: Option<Plan>,
    stale: bool,
    /// The next plan has a new number in any case.
    renumbered: bool,
}

impl PlanBoard {
    /// Nothing is published yet; numbers begin with `epoch`.
    pub(super) fn new(epoch: u32) -> Self {
        Self { epoch, plans: 0, last: None, stale: false, renumbered: false }
    }

    pub(super) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// What devices heard is no longer true.
    pub(super) fn outdated(&mut self) {
        self.stale = true;
    }

    /// Whether a plan has to be published.
    pub(super) fn is_stale(&self) -> bool {
        self.stale
    }

    /// The plan that was published last; `None` before.
    pub(super) fn last(&self) -> Option<&Plan> {
        self.last.as_ref()
    }

    /// Whether `plan` has a number of this start.
    pub(super) fn is_of_start(&self, plan: &Plan) -> bool {
        plan.sequence >> 32 == u64::from(self.epoch)
    }

    /// The plan is published under a new number next time, also where nothing else changed.
    pub(super) fn renumber(&mut self) {
        self.renumbered = true;
    }

    /// Numbers go on above `sequence`, which a stranger has used.
    pub(super) fn outbid(&mut self, sequence: u64) {
        let epoch = u32::try_from(sequence >> 32).unwrap_or(u32::MAX);
        if epoch >= self.epoch {
            (self.epoch, self.plans) = (epoch.saturating_add(1), 0);
        }
        self.renumbered = true;
    }

    /// `plan` with the number that it is published under: the last one where nothing else changed.
    pub(super) fn numbered(&mut self, mut plan: Plan) -> Plan {
        self.stale = false;
        plan.sequence = self.last.as_ref().map_or(0, |last| last.sequence);
        if core::mem::take(&mut self.renumbered) || self.last.as_ref() != Some(&plan) {
            self.plans = self.plans.saturating_add(1);
            plan.sequence = u64::from(self.epoch) << 32 | u64::from(self.plans);
            self.last = Some(plan.clone());
        }
        plan
    }
}
