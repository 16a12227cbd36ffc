//! What a reader says of its file as a whole.

use super::{CsvReader, SeenRows};
use crate::data::Loss;
use crate::data::store::SampleStore;

impl CsvReader {
    /// Says that the ring has lost samples since the position was noted.
    pub(super) fn tell_gone(&mut self, store: &mut SampleStore) {
        let path = self.path.display();
        store.lose(Loss::Disk, std::mem::take(&mut self.gone), || {
            format!("samples.ring is shorter than it was; {path} is read again, as far as it goes")
        });
    }

    /// Says what becomes of a file that was written anew though samples of it are held.
    pub(super) fn tell_rewritten(&mut self, store: &mut SampleStore) {
        let path = self.path.display();
        let stay = "was written anew; the samples recorded from it before stay in the ring";
        let advice = "to start over from the file: stop the agent, `dunlin-agent data reset`";
        if self.rows.has_times() {
            log::warn!("{path}: {stay}, only newer ones are added; {advice}");
            return;
        }
        self.blocked = true;
        let problem =
            "its rows have no times, so nothing tells which of them are new: none is read";
        store.set_problem(Some(format!("{path}: {stay}; {problem}; {advice}")));
    }

    /// Says that another file stands under the name of the one before, and what is read of it.
    pub(super) fn tell_other(&self) {
        let path = self.path.display();
        let read = match self.rows.has_times() {
            true => "rows that are newer than what was recorded are added",
            false => {
                "it is read from its start. If it is a corrected copy, its rows are there twice: stop the agent, `dunlin-agent data reset`"
            }
        };
        log::warn!("{path}: another file stands in the place of the one that was read; {read}");
    }

    /// Says what a file lacks that has not had its header yet.
    pub(super) fn tell_search(&self, store: &mut SampleStore) {
        if let Some(problem) = self.rows.search_problem() {
            store.set_problem(Some(format!("{}: {problem}", self.path.display())));
        }
    }

    /// Says that the header may be the first row.
    pub(super) fn tell_header(&self, store: &mut SampleStore) {
        let Some(line) = self.rows.row_like_header() else { return };
        let path = self.path.display();
        let text = format!(
            "{path}: line {line} has numbers where names of columns are expected, and is no sample: if it \
             is one, set header = false, and then dunlin-agent data reset"
        );
        store.hint("header", text);
    }

    /// Says what is odd about the rows so far.
    pub(super) fn judge(&self, store: &mut SampleStore) {
        if let Some(advice) = self.order.advice() {
            store.hint("order", format!("{}: {advice}", self.path.display()));
        }
        if let Some(index) = self.index.as_ref().filter(|_| self.time.steps > 0) {
            index.judge(self.time.steps, &self.name, store);
        }
    }

    /// Why there is no sample, where there is none and nothing was refused.
    pub(super) fn lack(&self) -> Option<String> {
        let SeenRows { taken, refused, filtered } = self.seen;
        let path = self.path.display();
        if self.blocked {
            None
        } else if self.lines.has_only_returns() {
            Some(format!("{path}: its rows end with carriage returns alone: set row_end = \"\\r\""))
        } else if taken > 0 || refused > 0 {
            None
        } else if filtered > 0 {
            let seen = self.rows.describe_filter();
            Some(format!(
                "{path}: `where` leaves out all of its {filtered} rows, the last with {seen}; compare \
                 source.where with the file"
            ))
        } else {
            let begun = self.follower.offset()? > 0;
            let has = if begun { "has no rows so far" } else { "is empty so far" };
            Some(format!("{path}: {has}; waiting for rows"))
        }
    }

    /// Says that a file of the folder will not be read, because those behind it were.
    pub(super) fn tell_passed(&mut self, store: &mut SampleStore) {
        let Some(folder) = &self.folder else { return };
        let (count, last) = folder.before(&self.name);
        if self.passed.is_some_and(|passed| count > passed) {
            let (path, last) = (self.path.display(), last.unwrap_or_default());
            let text = format!(
                "{path}: a file came that sorts before it, {last}, and is not read: give it a later name, \
                 or read all again: dunlin-agent data reset"
            );
            store.hint("passed", text);
        }
        self.passed = Some(count);
    }
}
