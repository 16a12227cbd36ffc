//! Sending: from what the trainer gave to the verdict.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use dunlin_protocol::extension::Extensions;
use dunlin_protocol::give_up::GiveUp;
use dunlin_protocol::message::{Ack, WorkRef};
use dunlin_protocol::report::{Report, ReportHeader};
use dunlin_protocol::rng::Rng;
use dunlin_protocol::task::Task;
use dunlin_protocol::time::Instant;
use dunlin_protocol::wire::WireError;
use dunlin_protocol::work::{
    Fit, FitFigures, Score, Significant, Work, fit_is_beyond, write_integers,
};
use log::{info, warn};

use super::Session;
use super::feedback::{Coded, UpdateOutcome};
use super::phase::{Item, Phase};
use super::transfer::Upload;
use crate::job::{JobFailure, Outcome};
use crate::state::{LocalLayers, Pending};

/// The extensions that carry these sums of errors; none where one is beyond what can be said.
fn errors(fits: &[&Fit]) -> Result<Extensions, WireError> {
    if fits.iter().any(|fit| fit_is_beyond(&fit.numbers())) {
        return Ok(Extensions::NONE);
    }
    Fit::extensions(fits)
}

impl Session {
    /// A seed that only this device knows, different for each work and purpose, the same after a
    /// restart: repeating a training gives the same bits.
    pub(super) fn work_seed(&self, work: WorkRef, purpose: u64) -> u64 {
        let key = &self.state.lottery;
        let draw = key.draw(&self.settings.federation, work.lineage, work.round, work.kind);
        Rng::for_stream(draw, purpose).next_u64()
    }

    pub(super) fn on_done(
        &mut self,
        now: Instant,
        work: WorkRef,
        outcome: Result<Outcome, JobFailure>,
    ) {
        let Phase::Training { item, deadline } = &self.phase else { return };
        if item.work != work {
            return;
        }
        let (item, deadline) = (item.clone(), *deadline);
        let outcome = match outcome {
            Ok(outcome) => outcome,
            Err(JobFailure { reason, why }) => {
                warn!("{}: its work failed: {why}", self.settings.device);
                return self.abandon(Some(reason), &why);
            }
        };
        self.log_outcome(&item, &outcome);
        if outcome.has_diverged() {
            // What went into an average would be no measurement, and own layers would be lost.
            let why = "a loss or a weight is beyond all bounds: lower the learning rate, or see \
                       whether the data suit the task";
            warn!("{}: its work diverged: {why}", self.settings.device);
            return self.abandon(Some(GiveUp::Diverged), why);
        }
        match self.write_report(&item, outcome) {
            Ok(pending) => {
                let object = pending.object.clone();
                self.state.pending = Some(pending);
                self.save();
                self.send(now, work, deadline, object);
            }
            Err(error) => {
                warn!("{}: the update cannot be written: {error}", self.settings.device);
                let why = alloc::format!("the update cannot be written: {error}");
                self.abandon(Some(GiveUp::Misfit), &why);
            }
        }
    }

    fn log_outcome(&self, item: &Item, outcome: &Outcome) {
        let (device, round) = (&self.settings.device, item.work.round);
        match (outcome, item.train()) {
            (Outcome::Sums(numbers), _) => {
                info!("{device}: query {round} answered with {} sums", numbers.len());
            }
            (Outcome::Trained(trained), None) => info!(
                "{device}: version {} evaluated on {} held-back windows, {}",
                item.base_version,
                trained.before.windows,
                self.told(&trained.before, &trained.fits[0])
            ),
            (Outcome::Trained(trained), Some(_)) => info!(
                "{device}: round {round} trained on {} windows, loss {}, held-back {} -> {}",
                trained.examples,
                Significant(trained.train_loss.into()),
                self.told(&trained.before, &trained.fits[0]),
                self.told(&trained.after, &trained.fits[1])
            ),
        }
    }

    /// A measurement in the figures that the target has: the share of windows that are right for
    /// classes, errors for values.
    fn told(&self, score: &Score, fit: &Fit) -> String {
        if score.windows == 0 {
            return String::from("not measured");
        }
        let task = self.holding.task().filter(|task| !task.needs_labels());
        let Some(task) = task else { return format!("accuracy {:.3}", score.accuracy()) };
        match &FitFigures::of(task, score.windows.into(), &fit.numbers())[..] {
            [] => format!("loss {}", Significant(score.loss())),
            channels => channels.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
        }
    }

    /// Clips, codes and wraps what a job gave, as its kind of work says.
    fn write_report(&mut self, item: &Item, outcome: Outcome) -> Result<Pending, WireError> {
        let task = self.holding.task().cloned().ok_or(WireError::Malformed)?;
        // An update of an earlier round that nobody answered.
        self.settle(UpdateOutcome::Unknown);
        let mut extensions = Extensions::NONE;
        let (metrics, coded) = match (&item.asked, outcome) {
            (Work::Train(work), Outcome::Trained(trained)) => {
                let figures = trained.figures()?;
                let [before, after] = &trained.fits;
                extensions = errors(&[before, after])?;
                let coded = self.code(item, work, &task, trained.delta)?;
                self.keep_local(&task, trained.local);
                (figures.metrics(), coded)
            }
            (Work::Evaluate, Outcome::Trained(trained)) => {
                let score = trained.figures()?.before;
                extensions = errors(&[&trained.fits[0]])?;
                self.keep_local(&task, trained.local);
                (score.metrics(), Coded::NONE)
            }
            (Work::Sums(_), Outcome::Sums(numbers)) => {
                let windows = numbers.first().and_then(|windows| u64::try_from(*windows).ok());
                let payload = write_integers(&numbers)?;
                (Vec::from([windows.unwrap_or(0)]), Coded { payload, ..Coded::NONE })
            }
            (Work::Train(_) | Work::Evaluate | Work::Sums(_) | Work::Unknown(_), _) => {
                return Err(WireError::Invalid("the executor gave what was not asked for"));
            }
        };
        let (work, base_version) = (item.work, item.base_version);
        let header = ReportHeader::new(work, base_version, task.digest(), coded.codec);
        let report = Report { extensions, ..Report::new(header, metrics, &coded.payload) };
        let object = report.encode()?;
        Ok(Pending { work, base_version, object, lost: coded.lost })
    }

    fn keep_local(&mut self, task: &Task, params: Vec<f32>) {
        if !params.is_empty() {
            self.state.local = Some(LocalLayers { task: task.digest(), params });
            self.forget_announced();
        }
    }

    pub(super) fn send(&mut self, now: Instant, work: WorkRef, deadline: Instant, object: Vec<u8>) {
        let Some(planned) = self.planner.plan().map(|plan| plan.chunk_bytes) else { return };
        let chunk_bytes = planned.min(self.chunk_bytes_max);
        match Upload::new(object, chunk_bytes, now, &mut self.rng) {
            Ok(upload) => {
                self.enter(Phase::Sending { work, deadline, upload });
                if self.can_talk() {
                    self.publish_chunks();
                }
            }
            Err(error) => {
                warn!("{}: the update cannot be sent: {error}", self.settings.device);
                let why = alloc::format!("the update cannot be sent: {error}");
                self.abandon(Some(GiveUp::Other), &why);
            }
        }
    }

    pub(super) fn publish_chunks(&mut self) {
        if self.spares_link() {
            return;
        }
        while let Phase::Sending { upload, .. } = &mut self.phase {
            let Some(bytes) = upload.next_length() else { return };
            if !self.affords_chunk(bytes, 0) {
                return;
            }
            let Phase::Sending { upload, .. } = &mut self.phase else { return };
            if let Some(chunk) = upload.next_chunk() {
                self.publish_up(chunk);
            }
        }
    }

    pub(super) fn on_ack(&mut self, now: Instant, ack: Ack) {
        let Phase::Sending { upload, .. } = &mut self.phase else { return };
        if upload.digest() != ack.object {
            return;
        }
        upload.acknowledge(ack, now, &mut self.rng);
        if self.can_talk() {
            self.publish_chunks();
        }
    }
}
