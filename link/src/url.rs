//! Where the broker is: `mqtt://host[:port]` or `mqtts://host[:port]`.

use std::fmt;
use std::str::FromStr;

/// Where the broker is and whether the connection is encrypted.
///
/// Text form: `mqtt://host[:port]` (port 1883 when none is given) or `mqtts://host[:port]` (8883).
/// The host is a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct BrokerUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl BrokerUrl {
    /// Whether the connection is encrypted (`mqtts`).
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Host name or address; an IPv6 address is in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port, 1 to 65535.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// Why a text is not a broker's URL; its message says what to write.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UrlError(String);

impl TryFrom<String> for BrokerUrl {
    type Error = UrlError;

    fn try_from(text: String) -> Result<Self, UrlError> {
        text.parse()
    }
}

impl FromStr for BrokerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let wrong = |problem: &str| {
            // A password may have been written into the URL: never repeat it.
            let shown = text.rsplit_once('@').map_or(text, |_| "the broker URL");
            let shown: String = shown.chars().take(128).collect();
            UrlError(format!("{shown}: {problem}; write mqtt://host:1883 or mqtts://host:8883"))
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let tls = match scheme {
            "mqtt" | "tcp" => false,
            "mqtts" | "ssl" => true,
            "ws" | "wss" => return Err(wrong("MQTT over WebSocket is not supported")),
            _ => return Err(wrong("its scheme is not mqtt or mqtts")),
        };
        if rest.contains('@') {
            return Err(wrong("user name and password have settings of their own"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(wrong("nothing may follow the port"));
        }
        let (host, port) = split_port(rest).map_err(|problem| wrong(&problem))?;
        let port = port.unwrap_or(if tls { 8883 } else { 1883 });
        check_host(host).map_err(wrong)?;
        Ok(Self { tls, host: host.to_owned(), port })
    }
}

fn split_port(rest: &str) -> Result<(&str, Option<u16>), String> {
    // Colons inside brackets belong to an IPv6 address.
    let end_of_host = rest.rfind(']').map_or(0, |at| at + 1);
    let Some(colon) = rest[end_of_host..].find(':') else { return Ok((rest, None)) };
    let (host, port) = rest.split_at(end_of_host + colon);
    let port = &port[1..];
    if end_of_host == 0 && port.contains(':') {
        return Err("an IPv6 address stands in brackets, as in mqtt://[::1]:1883".to_owned());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host, Some(port))),
        Ok(_) | Err(_) => Err(format!("`{port}` is not a port from 1 to 65535")),
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() {
        return Err("it has no host");
    }
    if host.len() > 253 {
        return Err("its host is longer than 253 characters");
    }
    if let Some(inner) = host.strip_prefix('[') {
        let address = inner.strip_suffix(']').and_then(|text| text.parse().ok());
        return match address {
            Some(std::net::IpAddr::V6(_)) => Ok(()),
            Some(std::net::IpAddr::V4(_)) | None => Err("there is no IPv6 address in the brackets"),
        };
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.chars().all(plain) { Ok(()) } else { Err("its host is not a name or an address") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_default_to_1883_and_8883() {
        let plain: BrokerUrl = "mqtt://broker.local".parse().unwrap();
        assert_eq!((plain.tls(), plain.host(), plain.port()), (false, "broker.local", 1883));
        let tls: BrokerUrl = "mqtts://10.0.0.7/".parse().unwrap();
        assert_eq!((tls.tls(), tls.host(), tls.port()), (true, "10.0.0.7", 8883));
    }

    #[test]
    fn a_url_prints_what_it_reads() {
        for text in ["mqtt://h:1", "mqtts://a-b.example:65535", "mqtt://[::1]:1883"] {
            assert_eq!(text.parse::<BrokerUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn wrong_urls_say_what_to_write() {
        for (text, hint) in [
            ("localhost", "no scheme"),
            ("http://h", "not mqtt or mqtts"),
            ("wss://h", "WebSocket"),
            ("mqtt://", "no host"),
            ("mqtt://h:0", "not a port"),
            ("mqtt://h:99999", "not a port"),
            ("mqtt://h:", "not a port"),
            ("mqtt://::1", "brackets"),
            ("mqtt://[h]:1", "no IPv6 address"),
            ("mqtt://h/path", "nothing may follow"),
            ("mqtt://a b", "not a name"),
        ] {
            let error = text.parse::<BrokerUrl>().unwrap_err().to_string();
            assert!(error.contains(hint) && error.contains("mqtt://host:1883"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused_and_not_repeated() {
        let error = "mqtt://me:hush@h:1".parse::<BrokerUrl>().unwrap_err().to_string();
        assert!(error.contains("settings of their own") && !error.contains("hush"), "{error}");
    }
}
