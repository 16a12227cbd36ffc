//! Brokers other than Mosquitto, started by the test: NATS server and RabbitMQ as Debian packages
//! them, aedes from npm. Each has its ports, its folder and its name for itself; what is ended is
//! what was started here.

use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dunlin_link::LinkConfig;
use dunlin_link::testing::new_folder;
use tempfile::TempDir;

use super::world::{Broker, clock, nap};

/// How long a broker may take to start: RabbitMQ needs 10 s on an idle machine.
const START: Duration = Duration::from_secs(180);

/// Which broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Nats,
    RabbitMq,
    Aedes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Nats => "nats",
            Self::RabbitMq => "rabbitmq",
            Self::Aedes => "aedes",
        }
    }

    /// What must be installed, and how.
    fn needs(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Nats => (&["nats-server"], "apt-get install nats-server"),
            Self::RabbitMq => (&["rabbitmq-server", "epmd"], "apt-get install rabbitmq-server"),
            Self::Aedes => (&["node", "npm"], "apt-get install nodejs npm"),
        }
    }
}

/// A broker that is not Mosquitto, killed when it is dropped.
pub(super) struct OtherBroker {
    kind: Kind,
    folder: TempDir,
    /// Ports of its own, all on 127.0.0.1; the first is that of MQTT.
    ports: [u16; 4],
    /// Each leads a process group.
    children: Vec<Child>,
    /// Lines of its configuration beside those of the test.
    more: String,
}

impl OtherBroker {
    /// NATS server with JetStream; `None` where it is not installed.
    pub(super) fn nats() -> Option<Self> {
        Self::start(Kind::Nats, "")
    }

    /// RabbitMQ with its MQTT plugin; `None` where it is not installed.
    pub(super) fn rabbitmq() -> Option<Self> {
        Self::start(Kind::RabbitMq, "")
    }

    /// aedes, in memory; `None` where npm is not installed or cannot fetch it.
    pub(super) fn aedes() -> Option<Self> {
        Self::start(Kind::Aedes, "")
    }

    fn start(kind: Kind, more: &str) -> Option<Self> {
        let (programs, how) = kind.needs();
        if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
            return skip(kind, &format!("`{missing}` is not installed ({how})"));
        }
        let ports = free_ports();
        let (folder, more) = (new_folder(), more.to_owned());
        let mut broker = Self { kind, folder, ports, children: Vec::new(), more };
        if let Err(problem) = broker.prepare() {
            return skip(kind, &problem);
        }
        broker.launch();
        Some(broker)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub(super) fn kill9(&mut self) {
        for mut child in self.children.drain(..).rev() {
            let group = format!("-{}", child.id());
            let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again with what it has kept.
    pub(super) fn restart(&mut self) {
        self.kill9();
        self.launch();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text_path(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Writes what it needs before its first start.
    fn prepare(&self) -> Result<(), String> {
        let [mqtt, other, ..] = self.ports;
        let write = |name: &str, text: &str| fs::write(self.path(name), text).unwrap();
        match self.kind {
            Kind::Nats => write(
                "nats.conf",
                &format!(
                    "server_name: dunlin_test\nlisten: \"127.0.0.1:{other}\"\n\
                     jetstream {{ store_dir: \"{}\" }}\nmqtt {{ listen: \"127.0.0.1:{mqtt}\" }}\n{}",
                    self.text_path("jetstream"),
                    self.more
                ),
            ),
            Kind::RabbitMq => {
                write("plugins", "[rabbitmq_mqtt].\n");
                write(
                    "rabbitmq.conf",
                    &format!(
                        "listeners.tcp.1 = 127.0.0.1:{other}\n\
                         mqtt.listeners.tcp.1 = 127.0.0.1:{mqtt}\nmqtt.allow_anonymous = true\n\
                         mqtt.tcp_listen_options.nodelay = true\n{}",
                        self.more
                    ),
                );
            }
            Kind::Aedes => {
                write("package.json", include_str!("aedes/package.json"));
                write("broker.cjs", include_str!("aedes/broker.cjs"));
                let mut npm = Command::new("npm");
                npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
                let output = npm.current_dir(self.folder.path()).output();
                let output = output.map_err(|error| format!("npm: {error}"))?;
                if !output.status.success() {
                    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
                    return Err(format!("npm install fails: {problem}"));
                }
            }
        }
        Ok(())
    }

    /// Starts its processes and waits until it takes connections.
    fn launch(&mut self) {
        match self.kind {
            Kind::Nats => {
                let config = self.text_path("nats.conf");
                self.spawn("nats-server", &["-c", &config]);
            }
            Kind::RabbitMq => {
                // Its register of names: it would start one that outlives it.
                let port = self.ports[3].to_string();
                self.spawn("epmd", &["-address", "127.0.0.1", "-port", &port]);
                self.wait_port(self.ports[3]);
                self.spawn("/usr/lib/rabbitmq/bin/rabbitmq-server", &[]);
            }
            Kind::Aedes => {
                let port = self.ports[0].to_string();
                self.spawn("node", &["broker.cjs", &port]);
            }
        }
        self.wait_port(self.ports[0]);
    }

    fn spawn(&mut self, program: &str, arguments: &[&str]) {
        let log = || -> File {
            let options = File::options().create(true).append(true).open(self.path("log"));
            options.unwrap()
        };
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path()).process_group(0);
        command.stdin(Stdio::null()).stdout(log()).stderr(log());
        if self.kind == Kind::RabbitMq {
            let [_, _, distribution, epmd] = self.ports.map(|port| port.to_string());
            command
                .env("HOME", self.folder.path())
                .env("RABBITMQ_NODENAME", format!("dunlin{distribution}@localhost"))
                .env("RABBITMQ_DIST_PORT", distribution)
                .env("ERL_EPMD_PORT", epmd)
                .env("ERL_EPMD_ADDRESS", "127.0.0.1")
                .env("RABBITMQ_MNESIA_BASE", self.path("mnesia"))
                .env("RABBITMQ_LOG_BASE", self.path("logs"))
                .env("RABBITMQ_LOGS", "-")
                .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.path("plugins"))
                .env("RABBITMQ_CONFIG_FILE", self.path("rabbitmq.conf"))
                .env("RABBITMQ_CONF_ENV_FILE", "/dev/null");
        }
        let child = command.spawn();
        self.children.push(child.unwrap_or_else(|error| panic!("{program}: {error}")));
    }

    fn wait_port(&self, port: u16) {
        let start = clock();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                start.elapsed() < START,
                "{} does not start:\n{}",
                self.kind.name(),
                self.log()
            );
            nap(Duration::from_millis(50));
        }
    }

    /// What it has said.
    pub(super) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.path("log")).unwrap_or_default()).into_owned()
    }
}

impl Broker for OtherBroker {
    fn client(&self, client_id: &str) -> LinkConfig {
        let url = format!("mqtt://127.0.0.1:{}", self.ports[0]);
        LinkConfig::new(url.parse().unwrap(), client_id)
    }
}

impl Drop for OtherBroker {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Says loudly that a broker is left out.
///
/// # Panics
/// When the environment's `DUNLIN_BROKERS` names it.
fn skip(kind: Kind, why: &str) -> Option<OtherBroker> {
    let named = std::env::var("DUNLIN_BROKERS").unwrap_or_default();
    let wanted = named.split(',').any(|name| name.trim() == kind.name());
    assert!(!wanted, "{why}, and DUNLIN_BROKERS={named} wants it");
    eprintln!("SKIPPED: no federation on {}: {why}", kind.name());
    None
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let daemons = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(daemons).any(|folder| Path::is_file(&folder.join(program)))
}

/// Four ports that are free now.
fn free_ports() -> [u16; 4] {
    let sockets = [(); 4].map(|()| TcpListener::bind(("127.0.0.1", 0)).unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}
