//! The bare handshake behind [`crate::handshake`].

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use rustls::pki_types::{ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, ClientConnection, Error, ProtocolVersion};

use crate::config::LinkConfig;
use crate::handshake::HandshakeError;

/// How long a server may take to refuse our certificate after a handshake of TLS 1.3, which ends
/// before the server has looked at it.
const VERDICT: Duration = Duration::from_secs(1);

/// A stream that counts what the other side has said.
struct Counted {
    stream: TcpStream,
    heard: usize,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stream.read(buffer)?;
        self.heard += count;
        Ok(count)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Shakes hands and waits a moment for second thoughts of the server.
pub(crate) fn shake(
    stream: TcpStream,
    config: &LinkConfig,
    limit: Duration,
) -> Result<&'static str, HandshakeError> {
    let client = crate::tls::of_link(config).map_err(HandshakeError::Link)?;
    let other = |error: &dyn std::fmt::Display| HandshakeError::Other(error.to_string());
    let name = ServerName::try_from(config.url.host().to_owned()).map_err(|e| other(&e))?;
    let mut session = ClientConnection::new(client, name).map_err(|e| other(&e))?;
    let limits = stream.set_read_timeout(Some(limit)).and(stream.set_write_timeout(Some(limit)));
    limits.map_err(|e| other(&e))?;
    let mut stream = Counted { stream, heard: 0 };
    while session.is_handshaking() {
        session.complete_io(&mut stream).map_err(|error| failure(&error, stream.heard))?;
    }
    let version = match session.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        Some(_) | None => "TLS",
    };
    if version == "TLS 1.3" {
        stream.stream.set_read_timeout(Some(VERDICT)).map_err(|e| other(&e))?;
        recheck(&mut session, &mut stream)?;
    }
    session.send_close_notify();
    // A server that has hung up meanwhile needs no good-bye.
    let _ = session.complete_io(&mut stream);
    Ok(version)
}

/// Reads once: session tickets or silence mean that the server is content.
fn recheck(session: &mut ClientConnection, stream: &mut Counted) -> Result<(), HandshakeError> {
    let refused = |alert: &str| HandshakeError::ClientCertificate { alert: alert.to_owned() };
    match session.read_tls(stream) {
        Ok(0) => Err(refused("it hung up after the handshake")),
        Ok(_) => match session.process_new_packets() {
            Ok(_) => Ok(()),
            Err(error) => Err(explain(&error)),
        },
        Err(error) if waited(&error) => Ok(()),
        Err(error) => Err(refused(&error.to_string())),
    }
}

fn waited(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn failure(error: &io::Error, heard: usize) -> HandshakeError {
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return explain(error);
    }
    if waited(error) {
        return HandshakeError::Silent;
    }
    // A plain broker hangs up on the first word of TLS.
    if heard == 0 { HandshakeError::NotTls } else { HandshakeError::Other(error.to_string()) }
}

fn days(later: UnixTime, earlier: UnixTime) -> u64 {
    later.as_secs().saturating_sub(earlier.as_secs()) / 86_400
}

#[allow(clippy::wildcard_enum_match_arm)] // the library's lists are open
fn explain(error: &Error) -> HandshakeError {
    use CertificateError as Bad;
    match error {
        Error::InvalidMessage(_) => HandshakeError::NotTls,
        // An authority that was made anew under its old name gives signatures that do not fit.
        Error::InvalidCertificate(Bad::UnknownIssuer | Bad::BadSignature) => {
            HandshakeError::UnknownIssuer
        }
        Error::InvalidCertificate(Bad::Expired) => HandshakeError::Expired { days: 0 },
        Error::InvalidCertificate(Bad::ExpiredContext { time, not_after }) => {
            HandshakeError::Expired { days: days(*time, *not_after) }
        }
        Error::InvalidCertificate(Bad::NotValidYet) => HandshakeError::NotYetValid { days: 0 },
        Error::InvalidCertificate(Bad::NotValidYetContext { time, not_before }) => {
            HandshakeError::NotYetValid { days: days(*not_before, *time) }
        }
        Error::InvalidCertificate(Bad::NotValidForName) => {
            HandshakeError::WrongName { names: Vec::new() }
        }
        Error::InvalidCertificate(Bad::NotValidForNameContext { presented, .. }) => {
            HandshakeError::WrongName { names: presented.clone() }
        }
        Error::AlertReceived(alert) if is_about_us(*alert) => {
            HandshakeError::ClientCertificate { alert: format!("{alert:?}") }
        }
        other => HandshakeError::Other(other.to_string()),
    }
}

/// Whether an alert speaks of the client's certificate.
fn is_about_us(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::AccessDenied
            | AlertDescription::BadCertificate
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRequired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::NoCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::UnsupportedCertificate
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_out_of_their_time_say_by_how_many_days() {
        let at = |day: u64| UnixTime::since_unix_epoch(Duration::from_secs(day * 86_400));
        let said = |bad| explain(&Error::InvalidCertificate(bad)).to_string();
        let over = CertificateError::ExpiredContext { time: at(30), not_after: at(10) };
        assert!(said(over).contains("ended 20 days ago"));
        let early = CertificateError::NotValidYetContext { time: at(1), not_before: at(20_000) };
        assert!(said(early).contains("becomes valid in 19999 days"));
        assert!(said(CertificateError::UnknownIssuer).contains("no trusted authority"));
    }

    #[test]
    fn an_alert_is_about_our_certificate_only_when_it_says_so() {
        let of = |alert| explain(&Error::AlertReceived(alert));
        let revoked = of(AlertDescription::CertificateRevoked);
        assert!(matches!(revoked, HandshakeError::ClientCertificate { .. }));
        assert!(matches!(of(AlertDescription::InternalError), HandshakeError::Other(_)));
    }
}
