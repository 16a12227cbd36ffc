//! One TLS handshake by itself: it says exactly why a connection does not come about.

use std::fmt;
use std::net::TcpStream;
use std::time::Duration;

use crate::config::LinkConfig;
use crate::error::LinkError;

/// Why a TLS handshake failed.
#[derive(Debug)]
pub enum HandshakeError {
    /// A setting or a file of ours cannot be used.
    Link(LinkError),
    /// No authority that we trust has signed the server's certificate.
    UnknownIssuer,
    /// The server's certificate has ended, or our clock runs ahead.
    Expired {
        /// Days since its end by our clock.
        days: u64,
    },
    /// The server's certificate has not begun yet, or our clock runs behind.
    NotYetValid {
        /// Days until its beginning by our clock.
        days: u64,
    },
    /// The server's certificate is for other names than the one that we dial.
    WrongName {
        /// The names in it, as far as they are known.
        names: Vec<String>,
    },
    /// What answers does not speak TLS.
    NotTls,
    /// The server does not accept our certificate, or misses one.
    ClientCertificate {
        /// What the server said.
        alert: String,
    },
    /// The server said nothing for as long as we waited.
    Silent,
    /// Something else, in the words of the TLS library.
    Other(String),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(error) => error.fmt(f),
            Self::UnknownIssuer => {
                f.write_str("no trusted authority has signed the broker's certificate")
            }
            Self::Expired { days } => write!(f, "the broker's certificate ended {days} days ago"),
            Self::NotYetValid { days } => {
                write!(f, "the broker's certificate becomes valid in {days} days")
            }
            Self::WrongName { names } if names.is_empty() => {
                f.write_str("the broker's certificate is for another name")
            }
            Self::WrongName { names } => {
                write!(f, "the broker's certificate is for {}", names.join(", "))
            }
            Self::NotTls => f.write_str("what answers does not speak TLS"),
            Self::ClientCertificate { alert } => {
                write!(f, "the broker does not accept this device's certificate ({alert})")
            }
            Self::Silent => f.write_str("the TLS handshake was not answered"),
            Self::Other(text) => write!(f, "the TLS handshake failed: {text}"),
        }
    }
}

impl std::error::Error for HandshakeError {}

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
