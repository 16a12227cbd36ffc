//! What is wrong with a configuration, named by its keys.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};
use core::fmt;
#[cfg(feature = "std")]
use std::path::{Path, PathBuf};

#[cfg(feature = "std")]
use crate::config::ConfigFileError;

/// One thing that is wrong with a configuration: `key: text`, or `key = value: text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `broker.url`; empty where it is the whole text.
    pub key: String,
    /// The key's value as it stands there, where it helps to see it.
    pub value: Option<String>,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl Problem {
    /// A problem with `key`.
    pub fn new(key: &str, text: impl Into<String>) -> Self {
        Self { key: key.into(), value: None, text: text.into() }
    }

    /// A problem with the value that `key` has.
    pub fn of_value(key: &str, value: impl fmt::Display, text: impl Into<String>) -> Self {
        Self { value: Some(value.to_string()), ..Self::new(key, text) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            return f.write_str(&self.text);
        }
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.text),
            None => write!(f, "{}: {}", self.key, self.text),
        }
    }
}

impl From<Problem> for String {
    fn from(problem: Problem) -> Self {
        problem.to_string()
    }
}

/// Everything that is wrong with a configuration, in the order in which it was found.
///
/// Prints a line each; as `{:#}`, to go on after other text, each on a new line and indented.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// What is wrong with the keys of `section`: each with its text.
    pub fn of_section<'a>(
        section: &str,
        found: impl IntoIterator<Item = (&'a str, String)>,
    ) -> Self {
        let problems = found.into_iter().map(|(key, text)| Problem::new(key, text));
        Self(problems.collect()).under(section)
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a problem with `key`.
    pub fn add(&mut self, key: &str, text: impl Into<String>) {
        self.0.push(Problem::new(key, text));
    }

    /// Adds a problem with `key` if there is one.
    pub fn add_if(&mut self, wrong: bool, key: &str, text: impl Into<String>) {
        if wrong {
            self.add(key, text);
        }
    }

    /// Adds a problem with the value that `key` has.
    pub fn add_value(&mut self, key: &str, value: impl fmt::Display, text: impl Into<String>) {
        self.0.push(Problem::of_value(key, value, text));
    }

    /// The same problems where their keys stand in `section`.
    #[must_use]
    pub fn under(mut self, section: &str) -> Self {
        for problem in &mut self.0 {
            problem.key = format!("{section}.{}", problem.key);
        }
        self
    }

    /// `value`, if nothing is wrong.
    ///
    /// # Errors
    /// The problems, where there are any.
    pub fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }

    /// The problems as those of the file at `path`.
    #[cfg(feature = "std")]
    pub fn in_file(self, path: &Path) -> ConfigError {
        ConfigError::Problems { path: path.to_owned(), problems: self }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.0.iter().enumerate() {
            match (f.alternate(), place) {
                (true, _) => f.write_str("\n  ")?,
                (false, 0) => {}
                (false, _) => f.write_str("\n")?,
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl core::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

#[cfg(feature = "std")]
impl From<toml::de::Error> for Problems {
    fn from(error: toml::de::Error) -> Self {
        Problem::new("", error.to_string()).into()
    }
}

impl Extend<Problem> for Problems {
    fn extend<I: IntoIterator<Item = Problem>>(&mut self, more: I) {
        self.0.extend(more);
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = alloc::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(feature = "std")]
/// Why a configuration file cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// A file cannot be read, or is not the TOML that it should be.
    File(ConfigFileError),
    /// The values are wrong in these places.
    Problems {
        /// The configuration file that they are in.
        path: PathBuf,
        /// What is wrong with its keys, in the order in which it was found.
        problems: Problems,
    },
}

#[cfg(feature = "std")]
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => f.write_str(error.to_string().trim_end()),
            Self::Problems { path, problems } => {
                let count = problems.0.len();
                write!(f, "{} has {count} problem(s):{problems:#}", path.display())
            }
        }
    }
}

#[cfg(feature = "std")]
impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Problems { problems, .. } => Some(problems),
        }
    }
}

#[cfg(feature = "std")]
impl From<ConfigFileError> for ConfigError {
    fn from(error: ConfigFileError) -> Self {
        Self::File(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems() -> Problems {
        let mut problems = Problems::default();
        problems.add("url", "it has no host");
        problems.add_if(false, "username", "never said");
        problems.add_if(true, "keep_alive_s", "5 to 1160");
        problems.add_value("root", format_args!("{:?}", "a/b"), "it has a '/'");
        problems
    }

    #[test]
    fn problems_are_a_line_each_in_their_order_with_key_and_value() {
        let text = "broker.url: it has no host\nbroker.keep_alive_s: 5 to 1160\n\
            broker.root = \"a/b\": it has a '/'";
        assert_eq!(problems().under("broker").to_string(), text);
        let pairs = [("url", "it has no host".to_owned())];
        assert_eq!(Problems::of_section("broker", pairs).to_string(), "broker.url: it has no host");
    }

    #[test]
    fn a_file_is_named_with_its_problems_indented_below() {
        let text = "agent.toml has 3 problem(s):\n  url: it has no host\n  keep_alive_s: 5 to 1160\n  \
            root = \"a/b\": it has a '/'";
        assert_eq!(problems().in_file(Path::new("agent.toml")).to_string(), text);
    }

    #[test]
    fn what_is_no_toml_is_one_problem_without_a_key() {
        let error = toml::from_str::<toml::Table>("[broker").unwrap_err();
        let text = error.to_string();
        assert_eq!(Problems::from(error).to_string(), text);
    }

    #[test]
    fn a_value_without_problems_is_given() {
        assert_eq!(Problems::default().or(7), Ok(7));
        assert_eq!(problems().or(7), Err(problems()));
    }
}
