//! One TLS handshake by itself: it says exactly why a connection does not come about.

use std::net::TcpStream;
use std::time::Duration;

use crate::config::LinkConfig;
use crate::error::LinkError;

/// Why a TLS handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// A setting or a file of ours cannot be used.
    #[error("{0}")]
    Link(#[source] LinkError),
    /// No authority that we trust has signed the server's certificate.
    #[error("no trusted authority has signed the broker's certificate")]
    UnknownIssuer,
    /// The server's certificate has ended, or our clock runs ahead.
    #[error("the broker's certificate ended {days} days ago")]
    Expired {
        /// Days since its end by our clock.
        days: u64,
    },
    /// The server's certificate has not begun yet, or our clock runs behind.
    #[error("the broker's certificate becomes valid in {days} days")]
    NotYetValid {
        /// Days until its beginning by our clock.
        days: u64,
    },
    /// The server's certificate is for other names than the one that we dial.
    #[error("the broker's certificate is for {}", listed(.names))]
    WrongName {
        /// The names in it, as far as they are known.
        names: Vec<String>,
    },
    /// What answers does not speak TLS.
    #[error("what answers does not speak TLS")]
    NotTls,
    /// The server does not accept our certificate, or misses one.
    #[error("the broker does not accept this device's certificate ({alert})")]
    ClientCertificate {
        /// What the server said.
        alert: String,
    },
    /// The server said nothing for as long as we waited.
    #[error("the TLS handshake was not answered")]
    Silent,
    /// Something else, in the words of the TLS library.
    #[error("the TLS handshake failed: {0}")]
    Other(String),
}

/// The names of a certificate in words.
fn listed(names: &[String]) -> String {
    if names.is_empty() { "another name".to_owned() } else { names.join(", ") }
}

/// Shakes hands over `stream` as a link with this configuration would: the version of TLS.
///
/// `limit`: how long to wait for each answer.
///
/// # Errors
/// [`HandshakeError`], also when this program was built without the feature `tls`.
pub fn handshake(
    stream: TcpStream,
    config: &LinkConfig,
    limit: Duration,
) -> Result<&'static str, HandshakeError> {
    #[cfg(feature = "tls")]
    return crate::tls_probe::shake(stream, config, limit);
    #[cfg(not(feature = "tls"))]
    {
        let _ = (stream, config, limit);
        Err(HandshakeError::Link(LinkError::NoTls))
    }
}
