//! TLS by rustls with the ring provider: which authorities we trust and who we say we are.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::config::{LinkConfig, TlsFiles};
use crate::error::LinkError;

/// Where Debian, Alpine, Yocto and most others keep the authorities that the system trusts.
const SYSTEM_STORE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// Longest certificate or key file in bytes; the system's store has about 220 KiB.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024;

/// The configuration of every connection of the link that `config` describes.
pub(crate) fn of_link(config: &LinkConfig) -> Result<Arc<ClientConfig>, LinkError> {
    if config.urls().any(|url| url.tls() && url.host().starts_with('[')) {
        let problem = "TLS needs a host name or an IPv4 address; give the broker a name";
        return Err(LinkError::setting("url", problem));
    }
    client_config(&config.tls.clone().unwrap_or_default())
}

fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, LinkError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| LinkError::setting("tls", error.to_string()))?
        .with_root_certificates(roots(files.ca.as_deref())?);
    let config = match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = certificates(cert)?;
            builder.with_client_auth_cert(chain, private_key(key)?).map_err(|error| {
                let problem = format!("it does not go with {}: {error}", key.display());
                LinkError::File { path: cert.clone(), problem }
            })?
        }
        (None | Some(_), None) | (None, Some(_)) => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, LinkError> {
    let mut store = RootCertStore::empty();
    let Some(path) = ca else {
        let path = Path::new(SYSTEM_STORE);
        let chain = certificates(path).map_err(|error| match error {
            LinkError::File { path, problem } => {
                let hint = "install `ca-certificates`, or name the authority's file in `ca`";
                LinkError::File { path, problem: format!("{problem}; {hint}") }
            }
            other @ (LinkError::Setting { .. } | LinkError::NoTls | LinkError::Thread(_)) => other,
        })?;
        // Some systems carry an oddity or two; the rest is still good.
        store.add_parsable_certificates(chain);
        return Ok(store);
    };
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| {
            let problem = format!("a certificate in it cannot be an authority: {error}");
            LinkError::File { path: path.to_owned(), problem }
        })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, LinkError> {
    let text = read(path)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| garbled(path, &error, "-----BEGIN CERTIFICATE-----"))?;
    if chain.is_empty() {
        return Err(garbled(path, &pem::Error::NoItemsFound, "-----BEGIN CERTIFICATE-----"));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, LinkError> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text)
        .map_err(|error| garbled(path, &error, "-----BEGIN PRIVATE KEY----- (not encrypted)"))
}

fn garbled(path: &Path, error: &pem::Error, expected: &str) -> LinkError {
    let problem = format!("not usable ({error}); a PEM file with {expected} is expected");
    LinkError::File { path: path.to_owned(), problem }
}

fn read(path: &Path) -> Result<Vec<u8>, LinkError> {
    let wrong = |problem: String| LinkError::File { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|error| {
        wrong(format!("cannot be opened ({error}); check the path and who may read it"))
    })?;
    let mut text = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(|error| wrong(format!("cannot be read ({error})")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("longer than {FILE_BYTES_MAX} bytes; not a certificate file")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error_of(files: TlsFiles) -> String {
        client_config(&files).unwrap_err().to_string()
    }

    #[test]
    fn a_missing_file_is_named() {
        let files = TlsFiles { ca: Some("/nowhere/ca.crt".into()), ..TlsFiles::default() };
        let error = error_of(files);
        assert!(error.contains("/nowhere/ca.crt") && error.contains("check the path"), "{error}");
    }

    #[test]
    fn garbled_and_empty_files_say_what_is_expected() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.crt");
        for text in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&path, text).unwrap();
            let error = error_of(TlsFiles { ca: Some(path.clone()), ..TlsFiles::default() });
            assert!(error.contains("ca.crt") && error.contains("BEGIN CERTIFICATE"), "{error}");
        }
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n")
            .unwrap();
        let error = error_of(TlsFiles { ca: Some(path), ..TlsFiles::default() });
        assert!(error.contains("cannot be an authority"), "{error}");
    }

    #[test]
    fn a_file_without_end_is_not_read_to_its_end() {
        let files = TlsFiles { ca: Some("/dev/zero".into()), ..TlsFiles::default() };
        assert!(error_of(files).contains("longer than"));
    }
}
