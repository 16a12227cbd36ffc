//! Which plans a device has heard: a plan that was sent before one of them changes nothing, however
//! late it comes or whoever sends it again.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use dunlin_protocol::id::Lineage;
use dunlin_protocol::plan::Plan;
use dunlin_protocol::wire;

/// Histories that are remembered; the one that was current longest ago goes first.
const LINEAGES_MAX: usize = 4;

/// The highest sequence number heard of each history, the current one last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanMemory(
    #[serde(deserialize_with = "wire::take_list::<LINEAGES_MAX, _, _>")] Vec<(Lineage, u64)>,
);

impl PlanMemory {
    /// Whether `plan` is not older than what was heard. A history that was left is taken up again
    /// only by a plan that nobody has heard: its last one may come back from anywhere.
    ///
    /// # Errors
    /// The highest number heard of its history.
    pub fn admits(&self, plan: &Plan) -> Result<(), u64> {
        let place = self.0.iter().position(|(lineage, _)| *lineage == plan.lineage);
        let Some(place) = place else { return Ok(()) };
        let (heard, is_current) = (self.0[place].1, place + 1 == self.0.len());
        let is_new = plan.sequence > heard || (is_current && plan.sequence == heard);
        if is_new { Ok(()) } else { Err(heard) }
    }

    /// Remembers `plan`, which is the newest now.
    pub fn note(&mut self, plan: &Plan) {
        self.0.retain(|(lineage, _)| *lineage != plan.lineage);
        if self.0.len() == LINEAGES_MAX {
            self.0.remove(0);
        }
        self.0.push((plan.lineage, plan.sequence));
    }

    /// Whether nothing but this plan is remembered.
    pub fn holds_only(&self, plan: &Plan) -> bool {
        self.0 == [(plan.lineage, plan.sequence)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::tests::plan;

    fn told(lineage: u8, sequence: u64) -> Plan {
        Plan { lineage: Lineage([lineage; 16]), sequence, ..plan() }
    }

    #[test]
    fn a_plan_counts_once_it_is_not_older_than_the_last_of_its_history() {
        let mut memory = PlanMemory::default();
        assert_eq!(memory.admits(&told(1, 0)), Ok(()));
        memory.note(&told(1, 7));
        assert_eq!(memory.admits(&told(1, 6)), Err(7));
        assert_eq!(memory.admits(&told(1, 7)), Ok(()), "the broker says it again");
        assert_eq!(memory.admits(&told(1, 8)), Ok(()));
        assert!(memory.holds_only(&told(1, 7)) && !memory.holds_only(&told(1, 8)));
    }

    #[test]
    fn a_history_that_was_left_comes_back_with_a_new_plan_only() {
        let mut memory = PlanMemory::default();
        memory.note(&told(1, 7));
        memory.note(&told(2, 1));
        assert_eq!(memory.admits(&told(1, 7)), Err(7));
        assert_eq!(memory.admits(&told(1, 8)), Ok(()));
        memory.note(&told(1, 8));
        assert_eq!(memory.admits(&told(2, 1)), Err(1));
    }

    #[test]
    fn only_the_last_histories_are_remembered() {
        let mut memory = PlanMemory::default();
        (1..=5).for_each(|lineage| memory.note(&told(lineage, 9)));
        assert_eq!(memory.0.len(), LINEAGES_MAX);
        assert_eq!(memory.admits(&told(1, 0)), Ok(()));
        assert_eq!(memory.admits(&told(2, 0)), Err(9));
    }
}
