//! Which certificates are trusted: those that browsers trust, or those of a file.

use std::path::Path;
use std::sync::Arc;

use driftless_data::fs::read_source;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::client::{WebPkiServerVerifier, verify_server_name};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

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
        Self::of(roots, Vec::new()).map_err(|reason| Error::Ca {
            file: "the public ones".into(),
            reason,
        })
    }

    /// Those in a file (PEM), and no others. A server's own certificate in it is trusted as well, if it names the host.
    ///
    /// # Errors
    /// Returns an error if the file is missing or holds none.
    pub fn read(file: &Path) -> Result<Self> {
        let wrong = |reason: String| Error::Ca {
            file: file.display().to_string(),
            reason,
        };
        let mut roots = RootCertStore::empty();
        let mut own = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(&read_source(file, MAX_PEM_BYTES)?) {
            let certificate = certificate.map_err(|e| wrong(format!("damaged PEM: {e}")))?;
            let added = roots.add(certificate.clone());
            added.map_err(|e| wrong(format!("it holds a certificate that is none: {e}")))?;
            own.push(certificate);
        }
        if own.is_empty() {
            let what = "it holds no certificate, expected PEM (BEGIN CERTIFICATE)";
            return Err(wrong(what.into()));
        }
        Self::of(roots, own).map_err(wrong)
    }

    fn of(
        roots: RootCertStore,
        own: Vec<CertificateDer<'static>>,
    ) -> std::result::Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let authorities =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|e| e.to_string())?;
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        // Not less strict than usual, but for what `Verifier` says.
        let mut config = config
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier { authorities, own }))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    pub(crate) fn connector(&self) -> TlsConnector {
        TlsConnector::from(Arc::clone(&self.0))
    }
}

/// What rustls says of a server whose certificate is marked as that of an authority.
pub(crate) const AUTHORITY: &str = "CaUsedAsEndEntity";

/// Trusts what the authorities sign and, if it names the host, a certificate that was given itself. One that a server
/// has signed for itself is usually marked as that of an authority, which rustls takes for no server's.
#[derive(Debug)]
struct Verifier {
    authorities: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let verified =
            self.authorities
                .verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match &verified {
            // Its dates were found to be right before that.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other)))
                if other.to_string() == AUTHORITY && self.own.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            _ => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.authorities
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.authorities.supported_verify_schemes()
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
