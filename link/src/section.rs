//! A broker as it stands in the configuration files of all programs.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{Deserializer, Error};

use crate::config::{KEEP_ALIVE_S_DEFAULT, LinkConfig, TlsFiles};
use crate::error::LinkError;
use crate::url::{BrokerUrl, UrlError};

/// Longest password file in bytes.
const PASSWORD_FILE_BYTES_MAX: u64 = 16 * 1024;

/// A broker as it stands in a configuration file: the section `[broker]` of a program, or a part of
/// another section.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrokerSection {
    /// `mqtt://host:port` or `mqtts://host:port`; empty with [`urls`](Self::urls).
    #[serde(default)]
    pub url: String,
    /// Several, instead of `url`: when one is dead, the next is tried.
    #[serde(default)]
    pub urls: Vec<String>,
    /// User name, where the broker asks for one.
    pub username: Option<String>,
    /// Password of the account; not beside `password_file`.
    pub password: Option<String>,
    /// File with the password, instead of `password`.
    pub password_file: Option<PathBuf>,
    /// Certificate authority in PEM; the system's when absent.
    pub ca: Option<PathBuf>,
    /// Client certificate in PEM.
    pub cert: Option<PathBuf>,
    /// Client key in PEM.
    pub key: Option<PathBuf>,
    /// Seconds between keep-alive messages.
    #[serde(default = "default_keep_alive")]
    pub keep_alive_s: u16,
    /// Where the three files stood in an aggregator's file.
    #[serde(rename = "tls")]
    _tls: Option<Moved>,
}

/// A section that is refused with where its keys belong now.
#[derive(Clone, PartialEq)]
enum Moved {}

impl<'de> Deserialize<'de> for Moved {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        let text = "tls is no section any more: write ca, cert and key into [broker] itself";
        Err(D::Error::custom(text))
    }
}

fn default_keep_alive() -> u16 {
    KEEP_ALIVE_S_DEFAULT
}

impl BrokerSection {
    /// The keys that may be in the section, for files where it shares a table with other keys.
    pub const KEYS: [&str; 9] = [
        "url",
        "urls",
        "username",
        "password",
        "password_file",
        "ca",
        "cert",
        "key",
        "keep_alive_s",
    ];

    /// The broker at `url`, without anything else.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            urls: Vec::new(),
            username: None,
            password: None,
            password_file: None,
            ca: None,
            cert: None,
            key: None,
            keep_alive_s: KEEP_ALIVE_S_DEFAULT,
            _tls: None,
        }
    }

    /// The section with its paths relative to `folder`.
    #[must_use]
    pub fn beside(&self, folder: &Path) -> Self {
        let beside = |path: &Option<PathBuf>| path.as_ref().map(|path| folder.join(path));
        Self {
            password_file: beside(&self.password_file),
            ca: beside(&self.ca),
            cert: beside(&self.cert),
            key: beside(&self.key),
            ..self.clone()
        }
    }

    /// Whether the section has a password, as such or in a file.
    pub fn has_password(&self) -> bool {
        self.password.is_some() || self.password_file.is_some()
    }

    /// The connection that the section asks for, as the client `client_id`. Reads the password's
    /// file; those of certificates and key are read when the connection opens.
    ///
    /// # Errors
    /// What is wrong, by the section's keys; `client_id` counts as one.
    pub fn link(
        &self,
        client_id: impl Into<String>,
    ) -> Result<LinkConfig, Vec<(&'static str, String)>> {
        let (url, more_urls) = self.read_urls().map_err(|problem| vec![problem])?;
        let mut link = LinkConfig::new(url, client_id);
        link.more_urls = more_urls;
        let mut problems = Vec::new();
        link.username.clone_from(&self.username);
        link.keep_alive_s = self.keep_alive_s;
        link.tls = TlsFiles::of(&self.ca, &self.cert, &self.key);
        match self.password() {
            Ok(password) => {
                link.password = password;
                link.password_file.clone_from(&self.password_file);
            }
            Err(problem) => problems.push(("password_file", problem)),
        }
        match link.check() {
            Ok(()) => {}
            Err(LinkError::Setting { name, problem }) => problems.push((name, problem)),
            Err(error @ (LinkError::File { .. } | LinkError::NoTls | LinkError::Thread(_))) => {
                problems.push(("url", error.to_string()));
            }
        }
        if problems.is_empty() { Ok(link) } else { Err(problems) }
    }

    /// The first URL and the others.
    fn read_urls(&self) -> Result<(BrokerUrl, Vec<BrokerUrl>), (&'static str, String)> {
        if self.urls.is_empty() {
            if self.url.is_empty() {
                let text = "it is missing; write url = \"mqtt://host:1883\", or urls = [...]";
                return Err(("url", text.to_owned()));
            }
            let url = self.url.parse().map_err(|error: UrlError| ("url", error.to_string()))?;
            return Ok((url, Vec::new()));
        }
        if !self.url.is_empty() {
            return Err(("urls", "give this or `url`, not both".to_owned()));
        }
        let urls: Result<Vec<BrokerUrl>, UrlError> =
            self.urls.iter().map(|url| url.parse()).collect();
        let mut urls = urls.map_err(|error| ("urls", error.to_string()))?;
        let url = urls.remove(0);
        Ok((url, urls))
    }

    /// The password, wherever it is.
    fn password(&self) -> Result<Option<String>, String> {
        let Some(path) = &self.password_file else { return Ok(self.password.clone()) };
        if self.password.is_some() {
            return Err("give this or `password`, not both".to_owned());
        }
        let read = read_password(path);
        read.map(Some).map_err(|problem| format!("{}: {problem}", path.display()))
    }
}

/// The password in the file at `path`, or what is wrong with it.
pub(crate) fn read_password(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    let read = file.take(PASSWORD_FILE_BYTES_MAX + 1).read_to_string(&mut text);
    if read.map_err(|error| error.to_string())? as u64 > PASSWORD_FILE_BYTES_MAX {
        let problem = format!("longer than {PASSWORD_FILE_BYTES_MAX} bytes");
        return Err(format!("{problem}; is this the right file?"));
    }
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err("there is no password in it".to_owned());
    }
    Ok(password.to_owned())
}

/// Leaves the password out.
impl fmt::Debug for BrokerSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerSection")
            .field("url", &self.url)
            .field("urls", &self.urls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "secret"))
            .field("password_file", &self.password_file)
            .field("ca", &self.ca)
            .field("cert", &self.cert)
            .field("key", &self.key)
            .field("keep_alive_s", &self.keep_alive_s)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> BrokerSection {
        toml::from_str(text).unwrap()
    }

    fn keys(text: &str) -> Vec<&'static str> {
        let problems = parse(text).link("wrist-1").unwrap_err();
        problems.into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn a_url_is_all_that_must_be_said() {
        let section = parse("url = 'mqtt://h'");
        assert_eq!(section, BrokerSection::new("mqtt://h"));
        let link = section.link("wrist-1").unwrap();
        assert_eq!((link.url.port(), link.client_id.as_str()), (1883, "wrist-1"));
        assert_eq!((link.keep_alive_s, link.tls, link.username), (30, None, None));
    }

    #[test]
    fn every_key_reaches_the_connection_and_paths_start_at_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), "secret\r\n").unwrap();
        let text = "url = 'mqtts://h'\nusername = 'u'\npassword_file = 'password'\nca = 'a'\n\
            cert = 'b'\nkey = '/c'\nkeep_alive_s = 60";
        let link = parse(text).beside(folder.path()).link("wrist-1").unwrap();
        assert_eq!(link.username.as_deref(), Some("u"));
        assert_eq!(link.password.as_deref(), Some("secret"));
        let files = link.tls.unwrap();
        assert_eq!(files.ca, Some(folder.path().join("a")));
        assert_eq!(files.cert, Some(folder.path().join("b")));
        assert_eq!(files.key.as_deref(), Some(Path::new("/c")));
        assert_eq!(link.keep_alive_s, 60);
    }

    #[test]
    fn several_urls_stand_in_their_order() {
        let link = parse("urls = ['mqtt://a', 'mqtt://b:2', 'mqtt://c']").link("wrist-1").unwrap();
        let hosts: Vec<_> = link.urls().map(|url| url.host()).collect();
        assert_eq!(hosts, ["a", "b", "c"]);
        assert_eq!(keys(""), ["url"]);
        assert_eq!(keys("url = 'mqtt://a'\nurls = ['mqtt://b']"), ["urls"]);
        assert_eq!(keys("urls = ['mqtt://a', 'http://b']"), ["urls"]);
        assert_eq!(keys("urls = ['mqtts://a', 'mqtt://b']\nca = 'a'"), ["url"]);
    }

    #[test]
    fn problems_are_named_by_their_keys() {
        assert_eq!(keys("url = 'http://h'\npassword = 'p'"), ["url"]);
        assert_eq!(keys("url = 'mqtt://h'\npassword = 'p'"), ["password"]);
        assert_eq!(keys("url = 'mqtt://h'\nkeep_alive_s = 1"), ["keep_alive_s"]);
        assert_eq!(keys("url = 'mqtt://h'\nusername = 'a/b'"), ["username"]);
        assert_eq!(keys("url = 'mqtt://h'\nca = 'a'"), ["url"]);
        assert_eq!(keys("url = 'mqtts://h'\ncert = 'a'"), ["key"]);
        assert_eq!(keys("url = 'mqtts://h'\nkey = 'a'"), ["cert"]);
        let both = "url = 'mqtt://h'\nusername = 'u'\npassword = 'p'\npassword_file = 'f'";
        assert_eq!(keys(both), ["password_file"]);
        for wrong in ["/nowhere/password", "/dev/zero"] {
            let text = format!("url = 'mqtt://h'\npassword_file = '{wrong}'\nkeep_alive_s = 1");
            assert_eq!(keys(&text), ["password_file", "keep_alive_s"]);
        }
        assert_eq!(parse("url = 'mqtt://h'").link("a/b").unwrap_err()[0].0, "client_id");
    }

    #[test]
    fn unknown_keys_are_refused_with_those_that_there_are_and_old_ones_with_their_new_place() {
        let error = toml::from_str::<BrokerSection>("colour = 1").unwrap_err();
        let named = |key: &&str| error.message().contains(&format!("`{key}`"));
        assert!(BrokerSection::KEYS.iter().all(named), "{error}");
        // Each key, the unknown one, and the old section between two quotes.
        assert_eq!(error.message().matches('`').count(), 2 * (BrokerSection::KEYS.len() + 2));
        let error = toml::from_str::<BrokerSection>("url = 'mqtt://h'\n[tls]\nca = 'a'");
        assert!(error.unwrap_err().to_string().contains("into [broker] itself"));
    }

    #[test]
    fn the_password_is_never_printed() {
        let section = parse("url = 'mqtt://h'\npassword = 'hush'");
        assert!(section.has_password() && !format!("{section:?}").contains("hush"));
    }
}
