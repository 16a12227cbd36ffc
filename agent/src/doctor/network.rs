//! The way to the broker: its name, its port, its certificate.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use dunlin_link::{BrokerUrl, HandshakeError, LinkConfig, handshake};

use super::now;
use super::report::Finding;

/// Addresses that are tried at the most.
const ADDRESSES_MAX: usize = 8;

/// Finds the addresses of the broker's host.
pub(super) fn look_up(url: &BrokerUrl, limit: Duration) -> (Finding, Option<Vec<SocketAddr>>) {
    let host = url.host().trim_matches(['[', ']']).to_owned();
    let (name, port) = (host.clone(), url.port());
    let (sender, receiver) = mpsc::channel();
    // The system's resolver knows no limit: a thread that still waits ends with the process.
    std::thread::spawn(move || sender.send((name.as_str(), port).to_socket_addrs()));
    let found = match receiver.recv_timeout(limit) {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES_MAX).collect::<Vec<_>>(),
        Ok(Err(error)) => {
            return (Finding::failed(format!("{host}: {error}"), name_advice(&host)), None);
        }
        Err(_) => {
            let text = format!("{host}: no answer from the name server in {} s", limit.as_secs());
            return (Finding::failed(text, name_advice(&host)), None);
        }
    };
    if found.is_empty() {
        let text = format!("{host} has no address");
        return (Finding::failed(text, name_advice(&host)), None);
    }
    let shown: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    (Finding::ok(format!("{host} is {}", shown.join(", "))), Some(found))
}

fn name_advice(host: &str) -> String {
    if host.ends_with(".local") {
        return "names in .local need mDNS on both machines (apt-get install avahi-daemon \
                libnss-mdns), and a program that uses the system's resolver (not the static musl \
                build); or write the broker's address into broker.url"
            .to_owned();
    }
    "check broker.url for typing errors, the network (ip addr) and the name server \
     (/etc/resolv.conf); or write the broker's address into broker.url"
        .to_owned()
}

/// Connects to the first of the addresses that answers.
pub(super) fn connect(
    url: &BrokerUrl,
    addresses: &[SocketAddr],
    limit: Duration,
) -> (Finding, Option<TcpStream>) {
    let mut problems = Vec::new();
    let mut worst = None;
    for address in addresses {
        let start = now();
        match TcpStream::connect_timeout(address, limit) {
            Ok(stream) => {
                let took = millis(start);
                return (Finding::ok(format!("{address} answers in {took} ms")), Some(stream));
            }
            Err(error) => {
                problems.push(format!("{address}: {}", in_words(error.kind(), limit)));
                // A machine that refuses tells more than one that cannot be reached.
                if worst != Some(ErrorKind::ConnectionRefused) {
                    worst = Some(error.kind());
                }
            }
        }
    }
    let local = addresses.iter().all(|address| address.ip().is_loopback());
    let advice = port_advice(worst.unwrap_or(ErrorKind::Other), url, local);
    (Finding::failed(problems.join("\n"), advice), None)
}

#[allow(clippy::wildcard_enum_match_arm)] // the system's list is open
fn in_words(kind: ErrorKind, limit: Duration) -> String {
    match kind {
        ErrorKind::ConnectionRefused => "refused".to_owned(),
        ErrorKind::TimedOut => format!("no answer in {} s", limit.as_secs()),
        other => other.to_string(),
    }
}

#[allow(clippy::wildcard_enum_match_arm)] // the system's list is open
fn port_advice(kind: ErrorKind, url: &BrokerUrl, local: bool) -> String {
    let port = url.port();
    match kind {
        ErrorKind::ConnectionRefused if local => {
            format!("is the broker running here (systemctl status mosquitto), on port {port}?")
        }
        ErrorKind::ConnectionRefused => format!(
            "the machine is there, but nothing listens on port {port} for us. Is the broker \
             running? Mosquitto without a `listener` line listens only on its own machine. Is the \
             port right: 1883 plain, 8883 with TLS?"
        ),
        ErrorKind::TimedOut => format!(
            "is the machine on (ping {})? Does a firewall drop port {port}, on it or on the way?",
            url.host()
        ),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            "there is no way to this address: look at this device's network (ip addr, ip route) \
             and at the broker's address"
                .to_owned()
        }
        _ => format!("check that {}:{port} is the broker", url.host()),
    }
}

/// Shakes hands by TLS; a plain URL has nothing to shake.
pub(super) fn tls(link: &LinkConfig, stream: TcpStream, limit: Duration) -> (Finding, Option<()>) {
    if !link.url.tls() {
        return (without_tls(link), Some(()));
    }
    match handshake(stream, link, limit) {
        Ok(version) => {
            (Finding::ok(format!("{version}; the broker's certificate is trusted")), Some(()))
        }
        Err(error) => (Finding::failed(error.to_string(), tls_advice(&error, link)), None),
    }
}

fn without_tls(link: &LinkConfig) -> Finding {
    let host = link.url.host();
    let local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    if local || link.password.is_none() {
        return Finding::skipped("broker.url says mqtt://, without TLS");
    }
    let text = "without TLS, password and updates can be read on the way";
    Finding::warning(text, "on a network that others use, write mqtts:// (broker-config/README.md)")
}

fn tls_advice(error: &HandshakeError, link: &LinkConfig) -> String {
    let host = link.url.host();
    let ca = link.tls.as_ref().and_then(|files| files.ca.as_ref());
    match error {
        HandshakeError::Link(_) => "correct the [broker] section".to_owned(),
        HandshakeError::UnknownIssuer => match ca {
            Some(path) => format!(
                "{} is not the authority of this broker: copy the ca.crt that its server.crt was \
                 made with",
                path.display()
            ),
            None => "name the broker's own authority: broker.ca = \"/etc/dunlin/ca.crt\"".into(),
        },
        HandshakeError::Expired { .. } => {
            "compare the clock of this device (date); if it is right, \
             make a new certificate for the broker: make-certs.sh server"
                .into()
        }
        HandshakeError::NotYetValid { .. } => {
            "set the clock of this device: timedatectl set-ntp true".into()
        }
        HandshakeError::WrongName { .. } => format!(
            "write one of its names into broker.url, or make a certificate that has this one too: \
             make-certs.sh server NAME {host}"
        ),
        HandshakeError::NotTls => format!(
            "port {} of {host} is a plain port: write the port with TLS (8883), or mqtt:// if the \
             broker has none",
            link.url.port()
        ),
        HandshakeError::ClientCertificate { .. } => match &link.tls {
            Some(files) if files.cert.is_some() => {
                "is this device's certificate signed by the broker's authority, not revoked and \
                 not over? A new one: make-certs.sh device NAME"
                    .into()
            }
            Some(_) | None => "the broker wants a client certificate: make-certs.sh device NAME, \
                 then broker.cert and broker.key"
                .into(),
        },
        HandshakeError::Silent => {
            format!("is port {} of {host} the broker's port with TLS (8883)?", link.url.port())
        }
        HandshakeError::Other(_) => "look at the broker's log and its TLS settings".into(),
    }
}

/// Whether a port that does not speak MQTT to us speaks TLS.
pub(super) fn speaks_tls(link: &LinkConfig, limit: Duration) -> bool {
    let addresses = (link.url.host().trim_matches(['[', ']']), link.url.port()).to_socket_addrs();
    let address = addresses.ok().and_then(|mut addresses| addresses.next());
    let stream = address.and_then(|at| TcpStream::connect_timeout(&at, limit).ok());
    match stream.map(|stream| handshake(stream, link, limit)) {
        Some(Ok(_)) => true,
        Some(Err(error)) => match error {
            HandshakeError::UnknownIssuer
            | HandshakeError::Expired { .. }
            | HandshakeError::NotYetValid { .. }
            | HandshakeError::WrongName { .. }
            | HandshakeError::ClientCertificate { .. } => true,
            HandshakeError::Link(_)
            | HandshakeError::NotTls
            | HandshakeError::Silent
            | HandshakeError::Other(_) => false,
        },
        None => false,
    }
}

/// Milliseconds that have passed since `start`.
pub(super) fn millis(start: Instant) -> u128 {
    now().saturating_duration_since(start).as_millis()
}

#[cfg(test)]
mod tests {
    use super::super::report::Outcome;
    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn url(text: &str) -> BrokerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_needs_no_name_server_and_a_name_that_is_none_is_told() {
        let (finding, found) = look_up(&url("mqtt://[::1]:7"), LIMIT);
        assert_eq!(found.unwrap(), ["[::1]:7".parse().unwrap()]);
        assert_eq!(finding.text, "::1 is ::1");
        let (finding, found) = look_up(&url("mqtt://nonexistent.invalid"), LIMIT);
        assert!(found.is_none() && finding.outcome == Outcome::Failed);
        assert!(finding.text.contains("nonexistent.invalid"), "{finding:?}");
        assert!(finding.next_step.unwrap().contains("broker.url"));
        assert!(name_advice("broker.local").contains("mDNS"));
    }

    #[test]
    fn a_port_where_nobody_listens_is_told_with_what_to_look_at() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let url = url(&format!("mqtt://{address}"));
        let (finding, stream) = connect(&url, &[address], LIMIT);
        assert!(stream.is_some() && finding.outcome == Outcome::Ok, "{finding:?}");
        drop((socket, stream));
        let (finding, stream) = connect(&url, &[address], LIMIT);
        assert!(stream.is_none() && finding.outcome == Outcome::Failed);
        assert!(finding.text.contains("refused"), "{finding:?}");
        assert!(finding.next_step.unwrap().contains("systemctl status mosquitto"));
    }

    #[test]
    fn each_way_not_to_answer_has_its_own_advice() {
        let advice = |kind| port_advice(kind, &url("mqtt://broker:1884"), false);
        assert!(advice(ErrorKind::ConnectionRefused).contains("listener"));
        assert!(advice(ErrorKind::TimedOut).contains("firewall"));
        assert!(advice(ErrorKind::NetworkUnreachable).contains("ip route"));
        assert!(advice(ErrorKind::Other).contains("broker:1884"));
    }

    #[test]
    fn a_password_in_the_clear_is_a_warning_beyond_this_machine() {
        let mut link = LinkConfig::new(url("mqtt://broker"), "wrist-1");
        assert_eq!(without_tls(&link).outcome, Outcome::Skipped);
        link.password = Some("hush".into());
        assert_eq!(without_tls(&link).outcome, Outcome::Warning);
        link.url = url("mqtt://localhost");
        assert_eq!(without_tls(&link).outcome, Outcome::Skipped);
    }
}
