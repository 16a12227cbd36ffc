//! Queries of an operator: asked, put to the devices in a round, answered.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;

use dunlin_protocol::id::Name;
use dunlin_protocol::limits::WORK_ITEMS_MAX;
use dunlin_protocol::lottery::Fraction;
use dunlin_protocol::time::Instant;
use dunlin_protocol::work::WorkKind;

use super::Aggregator;
use crate::collect::{Collector, Table};
use crate::io::RoundEvent;
use crate::query::{Query, QueryResult};
use crate::round::{Bounds, Job, Round, RoundKey};
use crate::snapshot::Record;
use crate::summary::{Failure, RoundOutcome, RoundSummary};

/// Queries that are open at one time: a plan has room for training, evaluation and these.
const OPEN_MAX: usize = 2;

impl Aggregator {
    /// Takes all queries that somebody waits for. One that was answered before is answered again, one
    /// that is open goes on; what nobody waits for any more ends.
    pub(super) fn ask(&mut self, now: Instant, queries: Vec<Query>) {
        let wanted: BTreeSet<Name> = queries.iter().map(|query| query.name.clone()).collect();
        self.queries.retain(|name| wanted.contains(name));
        self.end_without_result(
            now,
            Failure::Withdrawn,
            |round| matches!(round.job(), Job::Sums { query, .. } if !wanted.contains(query)),
        );
        for query in queries {
            if let Some(answer) = self.queries.answer(&query.name) {
                let answer = answer.clone().into();
                self.event(RoundEvent::AnsweredBefore { answer });
                continue;
            }
            let same = |round: &Round| matches!(round.job(), Job::Sums { query: open, .. } if *open == query.name);
            if !self.rounds.iter().any(same) {
                self.queries.push(query, now);
            }
        }
    }

    /// Answers queries whose devices did not come in time.
    fn give_up_queries(&mut self, now: Instant) {
        while let Some(Query { name, work, .. }) = self.queries.overdue(now) {
            let answer = QueryResult {
                query: name,
                work,
                round: None,
                devices: 0,
                values: Vec::new(),
                outcome: RoundOutcome::Failed(Failure::TooFew),
            };
            self.queries.keep(answer.clone());
            self.save(vec![Record::Answer(answer.clone())]);
            self.event(RoundEvent::AnsweredBefore { answer: answer.into() });
        }
    }

    /// Puts waiting queries to the devices, as far as there is room and somebody to ask.
    pub(super) fn open_queries(&mut self, now: Instant) {
        const KIND: WorkKind = WorkKind::Sums;
        if self.stopped {
            return;
        }
        self.give_up_queries(now);
        if !self.is_settled(now) {
            return;
        }
        let (available, expected) =
            (self.registry.available(KIND), self.registry.expected(now, KIND));
        let open = self.rounds.count(KIND);
        for _ in open..OPEN_MAX {
            if self.rounds.len() + 1 >= WORK_ITEMS_MAX {
                return;
            }
            let Some(query) = self.queries.next(available) else { return };
            let Query { name, work, devices, quorum, deadline_ms } = query;
            let target = if devices == 0 { expected } else { devices }.max(quorum);
            let bounds = Bounds { target, invited: self.settings.invited(target), quorum };
            let fraction = match devices {
                0 => Fraction::ALL,
                _ => Fraction::of(bounds.invited, expected),
            };
            let job = Job::Sums { query: name, work };
            let sums = Collector::Table(Table::new(job.vector(&self.task).len()));
            let key = RoundKey { round: self.rounds.take_number(), kind: KIND };
            let mut records = vec![Record::Head(self.head())];
            records.extend(self.open(now, key, job, bounds, fraction, sums, deadline_ms));
            self.save(records);
            self.announce_opening(key);
        }
    }

    /// What came of the query of a round that ends; `None` for a round of another kind. A failed one
    /// shows nothing of its sums.
    pub(super) fn answer(&mut self, round: &Round, summary: &RoundSummary) -> Option<QueryResult> {
        let (Job::Sums { query, work }, Collector::Table(table)) = (round.job(), round.sums())
        else {
            return None;
        };
        let done = matches!(summary.outcome, RoundOutcome::Done(_));
        let answer = QueryResult {
            query: query.clone(),
            work: work.clone(),
            round: Some(round.key().round),
            devices: table.devices(),
            values: if done { table.values().to_vec() } else { Vec::new() },
            outcome: summary.outcome,
        };
        self.queries.keep(answer.clone());
        Some(answer)
    }
}
