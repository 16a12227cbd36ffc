//! The files that operators deploy, put in place for a broker of a test.
#![allow(dead_code, unreachable_pub)] // each test program uses its part

use std::path::{Path, PathBuf};
use std::process::Command;

use dunlin_link::testing::{Mosquitto, installed, new_folder};
use dunlin_link::{LinkConfig, TlsFiles};

/// The folder `broker-config` of the repository, which operators deploy.
pub fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../broker-config")
}

/// One of its files.
pub fn shipped_text(name: &str) -> String {
    let path = shipped().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs a shipped script on `folder`: what it printed.
pub fn run(script: &str, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("sh")
        .arg(shipped().join(script))
        .args(arguments)
        .env("CERTS", folder)
        .env("PASSWORDS", folder.join("passwords"))
        .output()
        .unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script} {arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

/// Whether everything that the certificates need is installed.
pub fn openssl_is_there() -> bool {
    installed("openssl").is_some()
}

/// A shipped configuration on a port and in a folder of the test.
fn in_test_folder(name: &str) -> String {
    let text = shipped_text(name);
    let moved = text
        .replace("/etc/mosquitto/dunlin", "{dir}")
        .replace("\nlistener 8883\n", "\nlistener {port} 127.0.0.1\n")
        .replace("\nlistener 1883 localhost\n", "\nlistener {port} 127.0.0.1\n");
    assert!(moved.contains("{port}") && moved.contains("{dir}/dunlin.acl"), "{moved}");
    // As on Debian, where conf.d is read after this.
    format!("persistence true\npersistence_location {{dir}}/\n{moved}")
}

/// A broker with the shipped password configuration, and an account for each name with its
/// password.
pub fn broker_with_passwords(names: &[&str]) -> Option<(Mosquitto, Vec<(String, String)>)> {
    installed("mosquitto_passwd")?;
    let folder = new_folder();
    std::fs::write(folder.path().join("dunlin.acl"), shipped_text("dunlin.acl")).unwrap();
    let printed = run("add-account.sh", folder.path(), names);
    let accounts = printed.lines().map(|line| {
        let (name, password) = line.split_once(' ').unwrap();
        (name.to_owned(), password.to_owned())
    });
    let accounts = accounts.collect();
    let broker = Mosquitto::start_in(folder, &in_test_folder("dunlin-password.conf"))?;
    Some((broker, accounts))
}

/// A broker with the shipped production configuration and a certificate for the aggregator and for
/// each device.
pub fn broker_with_certificates(devices: &[&str]) -> Option<Mosquitto> {
    if !openssl_is_there() {
        return None;
    }
    let folder = new_folder();
    std::fs::write(folder.path().join("dunlin.acl"), shipped_text("dunlin.acl")).unwrap();
    run("make-certs.sh", folder.path(), &["ca"]);
    run("make-certs.sh", folder.path(), &["server", "localhost", "127.0.0.1"]);
    run("make-certs.sh", folder.path(), &["aggregator"]);
    for device in devices {
        run("make-certs.sh", folder.path(), &["device", device]);
    }
    Mosquitto::start_in(folder, &in_test_folder("dunlin.conf"))
}

/// A client of that broker with the certificate of `name` (none when it is empty).
pub fn tls_client(broker: &Mosquitto, client_id: &str, name: &str) -> LinkConfig {
    let url = format!("mqtts://localhost:{}", broker.port());
    let file = |ending: &str| broker.folder().join(format!("{name}.{ending}"));
    let own = |ending| if name.is_empty() { None } else { Some(file(ending)) };
    let mut config = LinkConfig::new(url.parse().unwrap(), client_id);
    config.tls = Some(TlsFiles {
        ca: Some(broker.folder().join("ca.crt")),
        cert: own("crt"),
        key: own("key"),
    });
    config
}
