//! Words for the log, on standard error.

use env_logger::{Builder, Env};

/// Starts to log what `RUST_LOG` asks for, `level` by default. Under systemd the journal has the time
/// of each line already.
pub fn start(level: &str) {
    let mut builder = Builder::from_env(Env::default().default_filter_or(level));
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        builder.format_timestamp(None);
    }
    builder.init();
}
