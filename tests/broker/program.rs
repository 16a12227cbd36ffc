//! The real `dunlin-aggregator` as a process that can be killed.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::world::{AGGREGATOR, World, wait_until};

/// A program in the folder where cargo puts programs, one above that of the tests.
pub(super) fn beside_the_tests(program: &str) -> Option<PathBuf> {
    let tests = std::env::current_exe().unwrap();
    let path = tests.parent()?.parent()?.join(program);
    path.is_file().then_some(path)
}

/// A running aggregator; killed when it is dropped.
pub(super) struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Program {
    /// Starts the aggregator of `world`, with its settings that a file can say, on its store.
    pub(super) fn start(world: &World) -> Self {
        let Some(program) = beside_the_tests("dunlin-aggregator") else {
            panic!("no dunlin-aggregator beside the tests: cargo build --bin dunlin-aggregator");
        };
        // A program of other sources than the tests may speak another wire format.
        eprintln!("with {}; build it anew after changes", program.display());
        let config = world.folder().join("aggregator.toml");
        std::fs::write(world.folder().join("task.toml"), task(world)).unwrap();
        std::fs::write(&config, configuration(world)).unwrap();
        let mut child = Command::new(program)
            .arg("--config")
            .arg(config)
            .env("RUST_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let (lines, theirs) = (BufReader::new(child.stderr.take().unwrap()), Arc::clone(&log));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = theirs.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Self { child, log }
    }

    /// Waits until this process has logged `text`.
    pub(super) fn wait_log(&mut self, text: &str) {
        wait_until(text, || {
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none(),
                "the aggregator ended: {ended:?}\n{}",
                self.log.lock().unwrap()
            );
            self.log.lock().unwrap().contains(text)
        });
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it with SIGKILL.
    pub(super) fn kill9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it with SIGTERM.
    pub(super) fn stop(mut self) {
        Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", self.log.lock().unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The toy task of the world's settings as a file.
fn task(world: &World) -> String {
    let input = &world.settings.task.input;
    let labels: Vec<String> = (0..10).map(|label| format!("\"class {label}\"")).collect();
    format!(
        r#"
name = "toy"
features = "Raw"
layers = [{{ op = {{ Dense = {{ out = 10 }} }}, share = "Shared" }}]

[input]
channels = [{{ name = "x", unit = "g", offset = 0.0, scale = 1.0 }}]
rate_millihertz = 50000
window = {}
hop = {}

[target]
Classes = [{}]
"#,
        input.window,
        input.hop,
        labels.join(", ")
    )
}

fn configuration(world: &World) -> String {
    let settings = &world.settings;
    format!(
        r#"
federation = "gait"
instance = "{AGGREGATOR}"
task = "task.toml"
enrolled = "any"
seed = 1
broker = {{ url = "{}" }}
store = {{ path = "aggregator.redb", commit_interval_ms = {} }}

[rounds]
count = {}
target = {}
quorum = {}
min_online = {}
settle_s = 0.1
pause_s = 0.05
claim_wait_s = 1.0
deadline_s = 600

[updates]
codec = "f32"
weighting = "equal"
clip_norm = 1000.0
chunk_kib = {}
"#,
        world.broker.url(),
        settings.commit_interval_ms,
        settings.rounds,
        settings.target,
        settings.quorum,
        settings.min_online,
        settings.chunk_bytes / 1024,
    )
}
