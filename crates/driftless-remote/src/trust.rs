//! Which certificates are trusted: those that browsers trust, or those of a file.

use std::path::Path;
use std::sync::Arc;

use driftless_data::fs::read_source;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{Error, Result};

/// The longest file of certificates.
const MAX_PEM_BYTES: u64 = 1 << 20;

/// The authorities whose certificates are trusted.
#[derive(Clone)]
pub struct Trust(Arc<ClientConfig>);

impl Trust {
    /// Those that browsers trust.
    ///
    /// # Errors
    /// Returns an error if TLS cannot be set up.
    pub fn public() -> Result<Self> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
        Self::of(roots).map_err(|reason| Error::Ca {
            file: "the public ones".into(),
            reason,
        })
    }

    /// Those in a file (PEM), and no others. It may be the server's own certificate.
    ///
    /// # Errors
    /// Returns an error if the file is missing or holds none.
    pub fn read(file: &Path) -> Result<Self> {
        let wrong = |reason: String| Error::Ca {
            file: file.display().to_string(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&read_source(file, MAX_PEM_BYTES)?) {
            let certificate = certificate.map_err(|e| wrong(format!("damaged PEM: {e}")))?;
            let added = roots.add(certificate);
            added.map_err(|e| wrong(format!("it holds a certificate that is none: {e}")))?;
        }
        if roots.is_empty() {
            let what = "it holds no certificate, expected PEM (BEGIN CERTIFICATE)";
            return Err(wrong(what.into()));
        }
        Self::of(roots).map_err(wrong)
    }

    fn of(roots: RootCertStore) -> std::result::Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_files_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        for (text, expected) in [
            ("", "holds no certificate"),
            (
                "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
                "damaged PEM",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "that is none",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Trust::read(&file).err().unwrap().to_string();
            assert!(
                error.contains("ca.pem") && error.contains(expected),
                "{error}"
            );
        }
        assert!(Trust::read(&folder.path().join("none")).is_err());
        assert!(Trust::public().is_ok());
    }
}
