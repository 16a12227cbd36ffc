//! A microcontroller: QEMU, its serial port a connection to the broker, its flash a file.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use dunlin_link::testing::{installed, new_folder};
use tempfile::TempDir;

use super::world::nap;

/// Names the firmware's program.
const PROGRAM: &str = "DUNLIN_FIRMWARE";
/// Where the board has its settings and its recording.
const CONFIG_AT: u32 = 0x30_0000;
const RECORDING_AT: u32 = 0x31_0000;
/// A minute in tenths of a second.
const WAITS: u32 = 600;

/// One emulated board; killed when it is dropped.
pub(super) struct Emulator {
    folder: TempDir,
    broker_port: u16,
    starts: usize,
    child: Option<Child>,
}

/// Whether QEMU is there. Without it a test returns; where `CI=true` it panics.
pub(super) fn is_installed() -> bool {
    installed("qemu-system-arm").is_some()
}

impl Emulator {
    /// A board with this page of settings, and a recording if it has one; started.
    pub(super) fn start(broker_port: u16, page: &str, recording: Option<&[u8]>) -> Self {
        let folder = new_folder();
        fs::write(folder.path().join("page"), [page.as_bytes(), &[0]].concat()).unwrap();
        if let Some(recording) = recording {
            fs::write(folder.path().join("recording"), recording).unwrap();
        }
        let mut this = Self { folder, broker_port, starts: 0, child: None };
        this.power_on();
        this
    }

    fn console(&self, start: usize) -> PathBuf {
        self.folder.path().join(format!("console-{start}"))
    }

    /// Starts the board on what its flash holds.
    pub(super) fn power_on(&mut self) {
        let program = std::env::var_os(PROGRAM);
        let program = program
            .unwrap_or_else(|| panic!("{PROGRAM} names no program: run scripts/firmware test"));
        self.starts += 1;
        let serial = format!("socket,id=mqtt,host=127.0.0.1,port={},reconnect=1", self.broker_port);
        let console = format!("file:{}", self.console(self.starts).display());
        let load = |file: &str, at: u32| format!("loader,file={file},addr={at:#x},force-raw=on");
        let mut qemu = Command::new("qemu-system-arm");
        qemu.current_dir(self.folder.path())
            .args(["-M", "mps2-an386", "-cpu", "cortex-m4", "-display", "none", "-monitor", "none"])
            .args(["-chardev", &serial, "-serial", "chardev:mqtt", "-serial", &console])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-device", &load("page", CONFIG_AT)]);
        if self.folder.path().join("recording").exists() {
            qemu.args(["-device", &load("recording", RECORDING_AT)]);
        }
        let errors = File::create(self.folder.path().join("qemu-errors")).unwrap();
        qemu.arg("-kernel").arg(program).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        self.child = Some(qemu.spawn().unwrap());
    }

    /// Cuts the power: whatever was being written to flash stays half done.
    pub(super) fn cut_power(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// What the console has said, from the first start on.
    pub(super) fn said(&self) -> String {
        let said = (1..=self.starts)
            .map(|start| fs::read_to_string(self.console(start)).unwrap_or_default());
        let errors = fs::read_to_string(self.folder.path().join("qemu-errors"));
        said.collect::<String>() + &errors.unwrap_or_default()
    }

    /// Waits until the console has said it.
    pub(super) fn wait_for(&self, text: &str) {
        for _ in 0..WAITS {
            if self.said().contains(text) {
                return;
            }
            nap(Duration::from_millis(100));
        }
        panic!("the board has not said {text:?}");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.cut_power();
        if std::thread::panicking() {
            eprintln!("{}\n", self.said());
        }
    }
}
