//! What a link is told before it starts, and the checks that keep rumqttc from panicking on it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use dunlin_protocol::limits::PACKET_BYTES_MAX;

use crate::dialer::Dialer;
use crate::error::LinkError;
use crate::url::BrokerUrl;

/// Shortest keep-alive in seconds.
pub const KEEP_ALIVE_S_MIN: u16 = 5;
/// Longest keep-alive in seconds: the most that Azure Event Grid takes.
pub const KEEP_ALIVE_S_MAX: u16 = 1160;
/// Keep-alive in seconds where nobody says otherwise.
pub(crate) const KEEP_ALIVE_S_DEFAULT: u16 = 30;
/// Most that [`LinkConfig::message_bytes_max`] may be: MQTT's own limit is 256 MiB.
const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most URLs of one link.
const URLS_MAX: usize = 16;
/// How often files are looked at where nobody says otherwise.
const LOOK: Duration = Duration::from_secs(60);
const LOOK_MIN: Duration = Duration::from_millis(100);
const LOOK_MAX: Duration = Duration::from_secs(86_400);
/// Longest client id and user name in bytes.
const NAME_BYTES_MAX: usize = 256;
/// Longest password in bytes: some brokers take a signed token there.
const PASSWORD_BYTES_MAX: usize = 8 * 1024;
/// Longest topic in bytes; ours stay below 256.
pub(crate) const TOPIC_BYTES_MAX: usize = 512;
/// Fixed header, topic length and packet identifier of a PUBLISH in bytes at the most.
pub(crate) const PUBLISH_HEADER_BYTES: usize = 9;

/// Everything that a link needs to know before it dials.
#[derive(Clone)]
pub struct LinkConfig {
    /// Where the broker is.
    pub url: BrokerUrl,
    /// Where it may be instead, tried in this order when `url` is dead; the one that works is kept.
    pub more_urls: Vec<BrokerUrl>,
    /// The client id: the device's or the aggregator's own name.
    pub client_id: String,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// Password; only with a user name.
    pub password: Option<String>,
    /// File with the password, read for each attempt to connect; then `password` is not used.
    pub password_file: Option<PathBuf>,
    /// Certificates and key, read for each attempt to connect; only with `mqtts`.
    pub tls: Option<TlsFiles>,
    /// Seconds between pings, 5 to 1160. A dead connection is noticed after at most twice as long,
    /// and the longest packet must pass within that time.
    pub keep_alive_s: u16,
    /// What the broker says, retained, when the connection is lost without a good-bye.
    pub will: Option<Will>,
    /// Longest message that is handed to the user, topic included, in bytes; longer ones are dropped
    /// and counted. A packet of more than twice as much ends the connection.
    pub message_bytes_max: usize,
    /// How much may wait to be sent.
    pub queue: QueueLimits,
    /// How often to look, while connected, whether one of the files has changed: then the link
    /// connects anew in a quiet moment. 100 ms to a day.
    pub look: Duration,
}

/// Files of a TLS connection, all PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates of the authorities that may sign the broker's certificate; the system's own
    /// store (`/etc/ssl/certs/ca-certificates.crt`) when there is none.
    pub ca: Option<PathBuf>,
    /// Our certificate, followed by its intermediates; only with `key`.
    pub cert: Option<PathBuf>,
    /// The key of our certificate, not encrypted; only with `cert`.
    pub key: Option<PathBuf>,
}

impl TlsFiles {
    /// These files; `None` where there is none of them.
    pub(crate) fn of(
        ca: &Option<PathBuf>,
        cert: &Option<PathBuf>,
        key: &Option<PathBuf>,
    ) -> Option<Self> {
        let files = Self { ca: ca.clone(), cert: cert.clone(), key: key.clone() };
        (files != Self::default()).then_some(files)
    }
}

/// The last will: published retained and with QoS 1 by the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will {
    /// Where it is published.
    pub topic: String,
    /// What is published: in Dunlin's programs a presence message.
    pub payload: Vec<u8>,
}

/// How much may wait to be sent; more than this drops the connection, so that the user starts over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueLimits {
    /// Publications, subscriptions and unsubscriptions.
    pub messages: usize,
    /// Bytes of topics and payloads.
    pub bytes: usize,
}

impl Default for QueueLimits {
    fn default() -> Self {
        Self { messages: 4096, bytes: 4 * 1024 * 1024 }
    }
}

impl LinkConfig {
    /// A plain configuration: no credentials, no will, keep-alive 30 s, default queue.
    pub fn new(url: BrokerUrl, client_id: impl Into<String>) -> Self {
        Self {
            url,
            more_urls: Vec::new(),
            client_id: client_id.into(),
            username: None,
            password: None,
            password_file: None,
            tls: None,
            keep_alive_s: KEEP_ALIVE_S_DEFAULT,
            will: None,
            message_bytes_max: PACKET_BYTES_MAX,
            queue: QueueLimits::default(),
            look: LOOK,
        }
    }

    /// All URLs, in the order in which they are tried.
    pub fn urls(&self) -> impl Iterator<Item = &BrokerUrl> {
        std::iter::once(&self.url).chain(&self.more_urls)
    }

    /// The longest packet that is read, in bytes: above the longest message, so that one oversized
    /// message of a peer costs that message and not the connection.
    pub fn incoming_bytes_max(&self) -> usize {
        self.message_bytes_max.saturating_mul(2)
    }

    /// Checks every setting; the error names the setting and its range.
    pub fn check(&self) -> Result<(), LinkError> {
        self.check_names()?;
        if !(KEEP_ALIVE_S_MIN..=KEEP_ALIVE_S_MAX).contains(&self.keep_alive_s) {
            let range = format!("{KEEP_ALIVE_S_MIN} to {KEEP_ALIVE_S_MAX} seconds");
            let problem = format!("{} is outside {range}", self.keep_alive_s);
            return Err(LinkError::setting("keep_alive_s", problem));
        }
        if let Some(will) = &self.will {
            check_publish(&will.topic, will.payload.len())
                .map_err(|problem| LinkError::setting("will", problem))?;
        }
        if self.queue.messages == 0 || self.queue.bytes < PACKET_BYTES_MAX {
            let problem = format!("it must hold one packet of {PACKET_BYTES_MAX} bytes at least");
            return Err(LinkError::setting("queue", problem));
        }
        if !(PACKET_BYTES_MAX..=MESSAGE_BYTES_MAX).contains(&self.message_bytes_max) {
            let problem = format!("{PACKET_BYTES_MAX} to {MESSAGE_BYTES_MAX} bytes");
            return Err(LinkError::setting("message_bytes_max", problem));
        }
        if self.more_urls.len() >= URLS_MAX {
            return Err(LinkError::setting("urls", format!("at most {URLS_MAX}")));
        }
        if !(LOOK_MIN..=LOOK_MAX).contains(&self.look) {
            return Err(LinkError::setting("look", "100 ms to a day"));
        }
        self.check_tls()
    }

    /// Reads certificates, key and password file, as a connection would.
    ///
    /// # Errors
    /// The file that cannot be used, and what to do.
    pub fn check_files(&self) -> Result<(), LinkError> {
        Dialer::new(self.clone()).map(|_| ())
    }

    fn check_names(&self) -> Result<(), LinkError> {
        let name_is_plain = |text: &str| {
            !text.is_empty()
                && text.len() <= NAME_BYTES_MAX
                && !text.contains(|c: char| matches!(c, '+' | '#' | '/') || c.is_control())
        };
        let names = [("client_id", Some(&self.client_id)), ("username", self.username.as_ref())];
        for (name, value) in names {
            if !value.is_none_or(|value| name_is_plain(value)) {
                let rule = format!("1 to {NAME_BYTES_MAX} bytes without `+`, `#`, `/`");
                let problem = format!("it must have {rule} and control characters");
                return Err(LinkError::setting(name, problem));
            }
        }
        let password = self.password.as_ref();
        match (&self.username, password) {
            (None, _) if password.is_some() || self.password_file.is_some() => {
                Err(LinkError::setting("password", "MQTT takes no password without a user name"))
            }
            (Some(_), Some(password)) if password.len() > PASSWORD_BYTES_MAX => {
                let problem = format!("it is longer than {PASSWORD_BYTES_MAX} bytes");
                Err(LinkError::setting("password", problem))
            }
            (None | Some(_), _) => Ok(()),
        }
    }

    fn check_tls(&self) -> Result<(), LinkError> {
        let Some(files) = &self.tls else { return Ok(()) };
        if !self.urls().all(BrokerUrl::tls) {
            let problem = "certificates are given, but a URL says mqtt://; write mqtts://";
            return Err(LinkError::setting("url", problem));
        }
        match (&files.cert, &files.key) {
            (Some(_), None) => {
                Err(LinkError::setting("key", "a certificate is given without its key"))
            }
            (None, Some(_)) => {
                Err(LinkError::setting("cert", "a key is given without its certificate"))
            }
            (Some(_), Some(_)) | (None, None) => Ok(()),
        }
    }
}

/// Leaves the password and the will's payload out.
impl fmt::Debug for LinkConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkConfig")
            .field("url", &self.url)
            .field("more_urls", &self.more_urls)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("password_file", &self.password_file)
            .field("tls", &self.tls)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("will", &self.will.as_ref().map(|will| &will.topic))
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

/// Says what is wrong with a publication: rumqttc would end the connection over it.
pub(crate) fn check_publish(topic: &str, payload_bytes: usize) -> Result<(), String> {
    if topic.contains(['+', '#']) {
        return Err(format!("topic `{topic}` has a wildcard"));
    }
    check_topic_text(topic)?;
    let packet = payload_bytes.saturating_add(topic.len() + PUBLISH_HEADER_BYTES);
    if packet > PACKET_BYTES_MAX {
        return Err(format!("a packet of {packet} bytes is over {PACKET_BYTES_MAX}; send chunks"));
    }
    Ok(())
}

/// Says what is wrong with a subscription's topic filter.
///
/// # Errors
/// The problem: a length that no broker takes, a NUL, or a wildcard in the wrong place.
pub fn check_filter(filter: &str) -> Result<(), String> {
    check_topic_text(filter)?;
    let levels = filter.split('/').count();
    let wrong = filter.split('/').enumerate().any(|(at, level)| match level {
        "+" => false,
        "#" => at + 1 < levels,
        other => other.contains(['+', '#']),
    });
    if wrong { Err(format!("topic filter `{filter}` has a misplaced wildcard")) } else { Ok(()) }
}

fn check_topic_text(topic: &str) -> Result<(), String> {
    if topic.is_empty() || topic.len() > TOPIC_BYTES_MAX || topic.contains('\0') {
        return Err(format!("a topic has 1 to {TOPIC_BYTES_MAX} bytes and no NUL"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> LinkConfig {
        LinkConfig::new("mqtt://h".parse().unwrap(), "wrist-1")
    }

    fn refused(change: impl FnOnce(&mut LinkConfig)) -> String {
        let mut config = config();
        change(&mut config);
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn defaults_pass_and_every_wrong_setting_is_named() {
        config().check().unwrap();
        assert!(refused(|c| c.client_id.clear()).contains("client_id"));
        assert!(refused(|c| c.client_id = "a/b".into()).contains("client_id"));
        assert!(refused(|c| c.client_id = "+".into()).contains("client_id"));
        assert!(refused(|c| c.username = Some(String::new())).contains("username"));
        assert!(refused(|c| c.password = Some("x".into())).contains("password"));
        assert!(refused(|c| c.keep_alive_s = 4).contains("keep_alive_s"));
        assert!(refused(|c| c.keep_alive_s = 1161).contains("keep_alive_s"));
        assert!(refused(|c| c.queue.bytes = 10).contains("queue"));
        assert!(refused(|c| c.message_bytes_max = 10).contains("message_bytes_max"));
        assert!(refused(|c| c.tls = Some(TlsFiles::default())).contains("mqtts://"));
        let long = Will { topic: "a/#".into(), payload: vec![] };
        assert!(refused(|c| c.will = Some(long)).contains("wildcard"));
    }

    #[test]
    fn certificate_and_key_come_together() {
        let mut config = LinkConfig::new("mqtts://h".parse().unwrap(), "wrist-1");
        config.tls = Some(TlsFiles { cert: Some("c.pem".into()), ..TlsFiles::default() });
        assert!(config.check().unwrap_err().to_string().contains("`key`"));
        config.tls = Some(TlsFiles { key: Some("k.pem".into()), ..TlsFiles::default() });
        assert!(config.check().unwrap_err().to_string().contains("`cert`"));
    }

    #[test]
    fn the_password_is_never_printed() {
        let mut config = config();
        config.password = Some("hush".into());
        assert!(!format!("{config:?}").contains("hush"));
    }

    #[test]
    fn a_publication_fits_one_packet_and_has_no_wildcard() {
        assert!(check_publish("a", PACKET_BYTES_MAX - 10).is_ok());
        assert!(check_publish("a", PACKET_BYTES_MAX - 9).unwrap_err().contains("chunks"));
        assert!(check_publish("a/+", 0).is_err() && check_publish("", 0).is_err());
    }

    #[test]
    fn wildcards_of_a_filter_stand_alone_and_hash_stands_last() {
        for good in ["a", "#", "+/a/+", "a/#", "$SYS/#"] {
            assert!(check_filter(good).is_ok(), "{good}");
        }
        for wrong in ["", "a#", "#/a", "a+/b", "a/\0"] {
            assert!(check_filter(wrong).is_err(), "{wrong}");
        }
    }
}
