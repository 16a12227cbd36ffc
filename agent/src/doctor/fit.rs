//! Whether a task can be learned from what a source has: windows, labels, and values that mean
//! something.

use dunlin_protocol::task::TaskSpec;

use super::report::Finding;
use crate::data::looks::{by_label, constants, far_out, spans};
use crate::data::{WindowSet, WindowSource};

/// What to do where the values of windows look wrong.
const LOOK: &str = "dunlin-agent data show prints samples in the source's unit and as the network \
                    sees them; mend unit, factor or sensor before you touch the learning rate";

/// Whether windows of `task` can be cut from the source. `labels_are_set`: whether the configuration
/// says where labels come from.
pub(super) fn check(source: &dyn WindowSource, task: &TaskSpec, labels_are_set: bool) -> Finding {
    let name = &task.name;
    let set = match source.windows(task) {
        Ok(set) => set,
        Err(error) => {
            let step = "do what the text says; dunlin-agent data show prints what the source has";
            return Finding::failed(format!("task {name}: {error}"), step);
        }
    };
    if task.needs_labels() && !labels_are_set {
        let text = format!("task {name} learns labels, and no key of [source] says where they are");
        let step = "set source.label (a column or place) or source.labels_path (a file of ranges)";
        return Finding::failed(text, step);
    }
    if set.is_empty() {
        return none(task, &set);
    }
    found(task, &set)
}

/// No windows: never a reason to be content.
fn none(task: &TaskSpec, set: &WindowSet) -> Finding {
    let name = &task.name;
    if !set.left_out.is_trouble() {
        let text = format!("task {name}: {}", set.left_out);
        return Finding::warning(text, "look again once the sensor has run for longer");
    }
    let step = "do what the text says; dunlin-agent data show prints times, gaps and labels";
    Finding::failed(format!("task {name}: {}", set.left_out), step)
}

fn found(task: &TaskSpec, set: &WindowSet) -> Finding {
    let name = &task.name;
    let labels = by_label(task, set);
    let counts: Vec<String> =
        labels.iter().map(|(text, count)| format!("{text} {count}")).collect();
    let counts =
        if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) };
    let mut text = format!("task {name}: {} windows{counts}", set.len());
    if let Some((_, left_out)) = set.left_out.to_string().split_once("; ") {
        text.push_str(&format!("; {left_out}"));
    }
    let spans = spans(task, set);
    let wrong: Vec<String> = constants(&spans).into_iter().chain(far_out(&spans)).collect();
    if !wrong.is_empty() {
        return Finding::warning(format!("{text}\n{}", wrong.join("\n")), LOOK);
    }
    if labels.iter().filter(|(_, count)| *count > 0).count() == 1 && labels.len() > 1 {
        let step = "one label alone teaches nothing; record the others, or compare their spelling";
        return Finding::warning(text, step);
    }
    Finding::ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;
    use crate::data::{DataError, LeftOut};
    use dunlin_protocol::id::Name;
    use dunlin_protocol::task::{Channel, Features, Input, Rate, Target};

    struct Source(WindowSet);

    impl WindowSource for Source {
        fn windows(&self, _: &TaskSpec) -> Result<WindowSet, DataError> {
            Ok(self.0.clone())
        }
    }

    fn task(labels: &[&str]) -> TaskSpec {
        let channel = Channel { name: "x".into(), unit: "g".into(), offset: 0.0, scale: 1.0 };
        let target = match labels {
            [] => Target::Reconstruct,
            labels => Target::Classes(labels.iter().map(|&label| label.into()).collect()),
        };
        TaskSpec {
            name: Name::new("walk").unwrap(),
            input: Input {
                channels: vec![channel],
                rate: Rate::from_millihertz(50_000),
                window: 2,
                hop: 1,
            },
            features: Features::Raw,
            layers: vec![],
            target,
        }
    }

    fn set(values: &[f32], labels: &[u16]) -> Source {
        let (values, labels) = (values.to_vec(), labels.to_vec());
        Source(WindowSet { values, labels, window_values: 2, ..WindowSet::default() })
    }

    #[test]
    fn an_empty_set_is_never_called_well() {
        let finding = check(&set(&[], &[]), &task(&[]), true);
        assert_eq!(finding.outcome, Outcome::Warning, "{finding:?}");
        let mut source = set(&[], &[]);
        source.0.left_out = LeftOut {
            samples: 999,
            rows_ended: 40,
            longest_row: 39,
            window: 128,
            ..LeftOut::default()
        };
        let finding = check(&source, &task(&[]), true);
        assert_eq!(finding.outcome, Outcome::Failed, "{finding:?}");
        assert!(finding.text.contains("39"), "{finding:?}");
    }

    #[test]
    fn a_channel_that_never_changes_and_one_far_out_are_no_matter_of_the_learning_rate() {
        let finding = check(&set(&[32.767; 8], &[]), &task(&[]), true);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("x is always 32.767 g"), "{finding:?}");
        let finding = check(&set(&[90.0, 180.0, 91.0, 92.0], &[]), &task(&[]), true);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("scaled up to |x| = 180"), "{finding:?}");
        assert!(finding.next_step.unwrap().contains("before you touch the learning rate"));
    }

    #[test]
    fn labels_that_nothing_sets_or_that_are_all_the_same_are_told() {
        let both = task(&["still", "move"]);
        let values = [0.5, 0.25, 0.1, 0.9];
        assert_eq!(check(&set(&values, &[0, 1]), &both, true).outcome, Outcome::Ok);
        let finding = check(&set(&values, &[1, 1]), &both, true);
        assert_eq!(finding.outcome, Outcome::Warning);
        assert!(finding.text.contains("still 0, move 2"), "{finding:?}");
        let finding = check(&set(&[], &[]), &both, false);
        assert_eq!(finding.outcome, Outcome::Failed);
        assert!(finding.next_step.unwrap().contains("source.label"), "{:?}", finding.text);
    }
}
