//! What the doctor found, for people while it looks, and for machines at the end.

use std::io::Write;

use serde::Serialize;

/// Exit code for a wrong configuration (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;
/// Columns of the names of checks, so that outcomes stand below each other.
const NAME_WIDTH: usize = 15;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All is well: there is nothing to do.
    Ok,
    /// It will run, but something deserves a look.
    Warning,
    /// It will not run like this.
    Failed,
    /// Not looked at, because an earlier check failed or there is nothing to look at.
    Skipped,
}

impl Outcome {
    /// The word in the text, and its colour as an ANSI code.
    fn shown(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("ok", "32"),
            Self::Warning => ("warning", "33"),
            Self::Failed => ("FAILED", "31"),
            Self::Skipped => ("skipped", "2"),
        }
    }
}

/// What a check found and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How the check ended.
    pub outcome: Outcome,
    /// What was found, in words.
    pub text: String,
    /// What to do; always there for a failure.
    pub next_step: Option<String>,
}

impl Finding {
    /// A finding that all is well.
    pub fn ok(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Ok, text: text.into(), next_step: None }
    }

    /// Something deserves a look.
    pub fn warning(text: impl Into<String>, next_step: impl Into<String>) -> Self {
        let (text, next_step) = (text.into(), Some(next_step.into()));
        Self { outcome: Outcome::Warning, text, next_step }
    }

    /// It will not run like this.
    pub fn failed(text: impl Into<String>, next_step: impl Into<String>) -> Self {
        let (text, next_step) = (text.into(), Some(next_step.into()));
        Self { outcome: Outcome::Failed, text, next_step }
    }

    /// A check that was not made, and why not.
    pub fn skipped(text: impl Into<String>) -> Self {
        Self { outcome: Outcome::Skipped, text: text.into(), next_step: None }
    }
}

/// One check of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// Name of the check.
    pub check: &'static str,
    /// How the check ended.
    pub outcome: Outcome,
    /// What was found, in words.
    pub finding: String,
    /// What to do; `None` where nothing has to be done.
    pub next_step: Option<String>,
}

/// All checks in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The checks, in the order in which they were made.
    pub lines: Vec<Line>,
    /// Whether the configuration cannot be used.
    pub config_is_wrong: bool,
}

impl Report {
    /// 0 when nothing failed (warnings may be there), 78 when the configuration is wrong, else 1.
    pub fn exit_code(&self) -> u8 {
        let failed = self.lines.iter().any(|line| line.outcome == Outcome::Failed);
        match (self.config_is_wrong, failed) {
            (true, _) => EXIT_CONFIG,
            (false, failed) => u8::from(failed),
        }
    }

    /// The checks as a JSON array.
    pub fn json(&self) -> String {
        // Texts and numbers can always be written.
        serde_json::to_string_pretty(&self.lines).unwrap_or_default()
    }

    fn summary(&self) -> String {
        let count = |outcome| self.lines.iter().filter(|line| line.outcome == outcome).count();
        let (failed, warnings) = (count(Outcome::Failed), count(Outcome::Warning));
        match (failed, warnings, count(Outcome::Skipped)) {
            (0, 0, 0) => "all is well".to_owned(),
            (0, warnings, 0) => format!("nothing failed; {warnings} warnings"),
            (failed, warnings, skipped) => {
                format!("{failed} failed, {warnings} warnings, {skipped} skipped")
            }
        }
    }
}

/// How a report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// One line a check as it goes on.
    Text {
        /// Whether outcomes are coloured.
        color: bool,
    },
    /// A JSON array at the end.
    Json,
}

/// Writes checks as they start and end.
pub struct Reporter<'a> {
    out: &'a mut dyn Write,
    style: Style,
    report: Report,
}

impl<'a> Reporter<'a> {
    /// A reporter that has written nothing yet.
    pub fn new(out: &'a mut dyn Write, style: Style) -> Self {
        Self { out, style, report: Report::default() }
    }

    /// Runs a check: its finding goes into the report, its value to the caller.
    pub fn check<T>(&mut self, name: &'static str, run: impl FnOnce() -> (Finding, T)) -> T {
        self.begin(name);
        let (finding, value) = run();
        self.end(name, finding);
        value
    }

    /// Notes a finding that is there already.
    pub fn note(&mut self, name: &'static str, finding: Finding) {
        self.begin(name);
        self.end(name, finding);
    }

    /// Writes the end; `config_is_wrong` decides about the exit code.
    pub fn finish(mut self, config_is_wrong: bool) -> Report {
        self.report.config_is_wrong = config_is_wrong;
        let last = match self.style {
            Style::Text { .. } => self.report.summary(),
            Style::Json => self.report.json(),
        };
        self.write(&format!("{last}\n"));
        self.report
    }

    /// The name stands there while the check runs.
    fn begin(&mut self, name: &'static str) {
        if self.style != Style::Json {
            self.write(&format!("{name:<NAME_WIDTH$} "));
        }
    }

    fn end(&mut self, check: &'static str, finding: Finding) {
        let Finding { outcome, text, next_step } = finding;
        if let Style::Text { color } = self.style {
            let (word, code) = outcome.shown();
            let word = format!("{word:<8}");
            let word = if color { format!("\x1b[{code}m{word}\x1b[0m") } else { word };
            let indent = format!("\n{:width$}", "", width = NAME_WIDTH + 10);
            self.write(&format!("{word} {}\n", text.replace('\n', &indent)));
            if let Some(step) = &next_step {
                let indent = format!("\n{:width$}", "", width = NAME_WIDTH + 4);
                let step = step.replace('\n', &indent);
                self.write(&format!("{:width$}-> {step}\n", "", width = NAME_WIDTH + 1));
            }
        }
        self.report.lines.push(Line { check, outcome, finding: text, next_step });
    }

    /// Nobody may be left to read it: the exit code still tells.
    fn write(&mut self, text: &str) {
        let _ = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: Style, findings: &[Finding]) -> (String, Report) {
        let mut out = Vec::new();
        let mut reporter = Reporter::new(&mut out, style);
        for finding in findings {
            reporter.note("name lookup", finding.clone());
        }
        let report = reporter.finish(false);
        (String::from_utf8(out).unwrap(), report)
    }

    #[test]
    fn text_has_a_line_a_check_and_its_next_step_below() {
        let findings = [Finding::ok("fine"), Finding::failed("a\nb", "do this")];
        let (text, _) = written(Style::Text { color: false }, &findings);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "name lookup     ok       fine");
        assert_eq!(lines[1], "name lookup     FAILED   a");
        assert_eq!(lines[2].trim(), "b");
        assert_eq!(lines[3], "                -> do this");
        assert_eq!(lines[4], "1 failed, 0 warnings, 0 skipped");
        assert!(!text.contains('\x1b'));
        let (text, _) = written(Style::Text { color: true }, &findings);
        assert!(text.contains("\x1b[31mFAILED"), "{text}");
    }

    #[test]
    fn json_is_an_array_that_reads_back() {
        let findings = [Finding::warning("the \"clock\"\n", "set it"), Finding::skipped("later")];
        let (text, _) = written(Style::Json, &findings);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0]["check"], "name lookup");
        assert_eq!(value[0]["outcome"], "warning");
        assert_eq!(value[0]["finding"], "the \"clock\"\n");
        assert_eq!(value[0]["next_step"], "set it");
        assert_eq!(value[1]["outcome"], "skipped");
        assert!(value[1]["next_step"].is_null());
    }

    #[test]
    fn the_exit_code_is_0_with_warnings_1_with_failures_and_78_for_the_configuration() {
        let code = |findings: &[Finding]| written(Style::Json, findings).1.exit_code();
        assert_eq!(code(&[Finding::ok("")]), 0);
        assert_eq!(code(&[Finding::warning("", ""), Finding::skipped("")]), 0);
        assert_eq!(code(&[Finding::ok(""), Finding::failed("", "")]), 1);
        let mut report = written(Style::Json, &[Finding::failed("", "")]).1;
        report.config_is_wrong = true;
        assert_eq!(report.exit_code(), 78);
    }

    #[test]
    fn a_reader_that_went_away_changes_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
                Err(std::io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let mut closed = Closed;
        let mut reporter = Reporter::new(&mut closed, Style::Text { color: false });
        reporter.note("clock", Finding::ok(""));
        assert_eq!(reporter.finish(false).lines.len(), 1);
    }
}
