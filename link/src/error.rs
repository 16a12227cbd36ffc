//! Why a link cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why a link cannot be opened; each says what, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// A setting is out of its range.
    #[error("broker setting `{name}`: {problem}")]
    Setting {
        /// Name of the setting, such as `keep_alive_s`.
        name: &'static str,
        /// What is wrong with it and what it should be.
        problem: String,
    },
    /// A certificate or key file cannot be used.
    #[error("{}: {problem}", .path.display())]
    File {
        /// Path of the certificate or key file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// `mqtts://` was asked for, and this program was built without the feature `tls`.
    #[error("this program was built without TLS: use mqtt://, or build it with the feature `tls`")]
    NoTls,
    /// The operating system gave no thread or no event queue.
    #[error("cannot start the MQTT thread: {0}")]
    Thread(#[source] io::Error),
}

impl LinkError {
    pub(crate) fn setting(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { name, problem: problem.into() }
    }
}
