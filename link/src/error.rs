//! Why a link cannot be opened.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a link cannot be opened; each says what, where, and what to do.
#[derive(Debug)]
pub enum LinkError {
    /// A setting is out of its range.
    Setting {
        /// Name of the setting, such as `keep_alive_s`.
        name: &'static str,
        /// What is wrong with it and what it should be.
        problem: String,
    },
    /// A certificate or key file cannot be used.
    File {
        /// Path of the certificate or key file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        problem: String,
    },
    /// `mqtts://` was asked for, and this program was built without the feature `tls`.
    NoTls,
    /// The operating system gave no thread or no event queue.
    Thread(io::Error),
}

impl LinkError {
    pub(crate) fn setting(name: &'static str, problem: impl Into<String>) -> Self {
        Self::Setting { name, problem: problem.into() }
    }
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Setting { name, problem } => write!(f, "broker setting `{name}`: {problem}"),
            Self::File { path, problem } => write!(f, "{}: {problem}", path.display()),
            Self::NoTls => f.write_str(
                "this program was built without TLS: use mqtt://, or build it with the feature `tls`",
            ),
            Self::Thread(error) => write!(f, "cannot start the MQTT thread: {error}"),
        }
    }
}

impl std::error::Error for LinkError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Thread(error) => Some(error),
            Self::Setting { .. } | Self::File { .. } | Self::NoTls => None,
        }
    }
}
