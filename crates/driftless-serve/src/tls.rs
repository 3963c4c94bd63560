//! TLS 1.3, by rustls.

use std::path::Path;
use std::sync::Arc;

use driftless_data::fs::read_source;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{Error as TlsError, ServerConfig};

use crate::{Error, Result};

/// The longest file of certificates or keys.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// Reads a chain of certificates and its key, both PEM.
///
/// # Errors
/// Returns an error if a file is missing or holds none, or if the key is that of another certificate.
pub fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain: Vec<CertificateDer> =
        CertificateDer::pem_slice_iter(&read_source(certificate, MAX_PEM_BYTES)?)
            .collect::<std::result::Result<_, _>>()
            .map_err(|e| Error::certificate(certificate, format!("damaged PEM: {e}")))?;
    if chain.is_empty() {
        let what = "holds no certificate, expected PEM (BEGIN CERTIFICATE)";
        return Err(Error::certificate(certificate, what));
    }
    let private =
        PrivateKeyDer::from_pem_slice(&read_source(key, MAX_PEM_BYTES)?).map_err(|_| {
            Error::certificate(
                key,
                "holds no private key, expected PEM (BEGIN PRIVATE KEY)",
            )
        })?;
    let unusable = |e: TlsError| match e {
        TlsError::InconsistentKeys(_) => {
            let certificate = certificate.display();
            Error::certificate(key, format!("is not the key of {certificate}"))
        }
        e => Error::certificate(certificate, e.to_string()),
    };
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(unusable)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Writes a certificate and its key.
    fn written(folder: &Path, name: &str) -> [PathBuf; 2] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let files = ["crt", "key"].map(|kind| folder.join(format!("{name}.{kind}")));
        std::fs::write(&files[0], made.cert.pem()).unwrap();
        std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn key_must_be_that_of_the_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let [[certificate, key], [other, _]] = ["a", "b"].map(|name| written(folder.path(), name));
        assert!(acceptor(&certificate, &key).is_ok());
        for (certificate, key, expected) in [
            (&other, &key, "a.key: is not the key of"),
            (&key, &key, "a.key: holds no certificate"),
            (&certificate, &certificate, "a.crt: holds no private key"),
            (&folder.path().join("none"), &key, "none"),
        ] {
            let error = acceptor(certificate, key).err().unwrap().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
