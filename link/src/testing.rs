//! A real Mosquitto for tests, a client that waits for what it expects, and reports as a test wants
//! them.
//!
//! ```no_run
//! use dunlin_link::testing::{Mosquitto, TestClient};
//! let Some(broker) = Mosquitto::anonymous() else { return };
//! let client = TestClient::open(broker.client("wrist-1"));
//! client.wait_connected();
//! ```
//!
//! Without an installed Mosquitto every constructor says so and gives `None`, so that a test can
//! return; where the environment says `CI=true` it panics instead, so that nothing is skipped there.

use std::fs::{self, File, OpenOptions};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::LinkConfig;

mod client;
mod draft;

pub use client::TestClient;
pub use draft::Draft;

/// How long to wait for anything that must come.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to wait between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A port that was free a moment ago may be taken: so many are tried.
const PORTS_TRIED: usize = 5;

/// A Mosquitto process on a loopback port of its own, killed when it is dropped.
pub struct Mosquitto {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker with this configuration, in which `{port}` stands for the port and `{dir}`
    /// for its folder. Without a `listener` line one on 127.0.0.1 is added.
    ///
    /// # Panics
    /// When Mosquitto is installed and does not start; the message carries its log.
    pub fn start(config: &str) -> Option<Self> {
        Self::start_in(new_folder(), config)
    }

    /// Like [`Mosquitto::start`], in a folder that holds files which the configuration names.
    ///
    /// # Panics
    /// Like [`Mosquitto::start`].
    pub fn start_in(folder: TempDir, config: &str) -> Option<Self> {
        let program = installed("mosquitto")?;
        let mut broker = Self { folder, port: 0, child: None };
        for _ in 0..PORTS_TRIED {
            broker.port = free_port();
            broker.write_config(config);
            if broker.launch(&program) {
                return Some(broker);
            }
        }
        panic!("mosquitto does not start:\n{}", broker.log());
    }

    /// A broker that lets everybody do everything.
    pub fn anonymous() -> Option<Self> {
        Self::start("allow_anonymous true\nset_tcp_nodelay true\n")
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder `{dir}` of its configuration.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it listens, as text: `mqtt://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// A plain client configuration for this broker.
    ///
    /// # Panics
    /// Never: its own address is a URL.
    pub fn client(&self, client_id: &str) -> LinkConfig {
        let url = self.url().parse().unwrap_or_else(|error| panic!("{error}"));
        LinkConfig::new(url, client_id)
    }

    /// Kills the broker with SIGKILL and waits until it is gone.
    pub fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Either fails only when the process is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Ends the broker with SIGTERM and waits until it is gone; its state is written if it has any.
    pub fn stop(&mut self) {
        self.signal("TERM");
        if let Some(mut child) = self.child.take() {
            let _ = child.wait();
        }
    }

    /// Sends the broker a signal by its name: `STOP` and it reads nothing more until `CONT`.
    pub fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let _ = Command::new("kill").args(["-s", name, &child.id().to_string()]).status();
        }
    }

    /// Starts the broker again with the same configuration and port, after killing it if need be.
    ///
    /// # Panics
    /// When it does not start.
    pub fn restart(&mut self) {
        self.kill9();
        let Some(program) = installed("mosquitto") else { panic!("mosquitto has been removed") };
        for _ in 0..PORTS_TRIED {
            if self.launch(&program) {
                return;
            }
            pause();
        }
        panic!("mosquitto does not start again:\n{}", self.log());
    }

    /// Everything that the broker has logged since the first start.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.log_path()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until the log has `text` in it `times` times.
    ///
    /// # Panics
    /// When it has not after a minute; the message carries the log.
    pub fn wait_log(&self, text: &str, times: usize) {
        let looks = PATIENCE.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            if self.log().matches(text).count() >= times {
                return;
            }
            pause();
        }
        panic!("the log does not have {times} times `{text}`:\n{}", self.log());
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("mosquitto.log")
    }

    fn config_path(&self) -> PathBuf {
        self.folder.path().join("mosquitto.conf")
    }

    fn write_config(&self, config: &str) {
        let folder = self.folder.path().display().to_string();
        let mut text = config.replace("{port}", &self.port.to_string()).replace("{dir}", &folder);
        if !text.lines().any(|line| line.trim_start().starts_with("listener ")) {
            text.push_str(&format!("\nlistener {} 127.0.0.1\n", self.port));
        }
        // As root it would become the user `mosquitto`, who may not enter the folder.
        text.push_str("\nuser root\n");
        fs::write(self.config_path(), text).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Whether the broker came up and listens.
    fn launch(&mut self, program: &Path) -> bool {
        // It says so when all listeners are open; a port that answers may be the first of several.
        let running = |log: &str| log.matches(" running").count();
        let before = running(&self.log());
        let log = OpenOptions::new().create(true).append(true).open(self.log_path());
        let log: File = log.unwrap_or_else(|error| panic!("{error}"));
        let child = Command::new(program)
            .arg("-v")
            .arg("-c")
            .arg(self.config_path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let looks = PATIENCE.as_millis() / LOOK.as_millis();
        for _ in 0..looks {
            if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                return false;
            }
            let up = running(&self.log()) > before;
            if up && TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                self.child = Some(child);
                return true;
            }
            pause();
        }
        let _ = child.kill();
        let _ = child.wait();
        false
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// An empty folder that goes away with its value.
///
/// # Panics
/// When the system has no room for one.
pub fn new_folder() -> TempDir {
    tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}

/// Where a program is installed; `None` with a message when it is not.
///
/// # Panics
/// When it is not and the environment says `CI=true`.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons where the PATH of ordinary users does not look.
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    let found = std::env::split_paths(&path)
        .chain(daemons)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file());
    if found.is_none() {
        let message = format!("`{program}` is not installed (apt-get install {program})");
        assert!(!required(), "{message}, and CI=true says that nothing may be skipped");
        eprintln!("skipped: {message}");
    }
    found
}

/// Whether a missing program fails a test instead of skipping it: where `CI` is `true`.
pub fn required() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr());
    bound.unwrap_or_else(|error| panic!("no free port: {error}")).port()
}

/// Waits for another process, which nothing but looking again can tell us about.
#[allow(clippy::disallowed_methods)]
fn pause() {
    std::thread::sleep(LOOK);
}
