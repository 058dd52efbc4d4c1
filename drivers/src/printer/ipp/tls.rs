//! Whom an `ipps` printer's certificate convinces.
//!
//! Printers sign their certificates themselves. So the technician notes the certificate's digest
//! once, and it alone is accepted; without one, the system's authorities decide.

use std::sync::Arc;

use koffer_proto::Sha256;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

/// A file holds no certificate that a printer could show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// There is no `BEGIN CERTIFICATE` in it, or what follows is not whole.
    #[error("there is no certificate in PEM form")]
    Pem,
    /// What stands there is no certificate after X.509 version 3.
    #[error("the certificate cannot be read")]
    Content,
}

/// The digest of the first certificate in a PEM file, for [`super::IppConfig::certificate`].
pub fn certificate_digest(pem: &[u8]) -> Result<Sha256, CertificateError> {
    let certificate = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::Pem)?;
    // One that cannot be read would fail each handshake, with less to say about why.
    ParsedCertificate::try_from(&certificate).map_err(|_| CertificateError::Content)?;
    Ok(Sha256::of(&certificate))
}

/// How TLS is spoken with a printer whose certificate has this digest, or any known authority's.
pub(super) fn client(certificate: Option<Sha256>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?;
    let config = if let Some(digest) = certificate {
        builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Noted { digest, provider }))
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        builder.with_root_certificates(roots)
    };
    Ok(Arc::new(config.with_no_client_auth()))
}

/// Accepts the one certificate that was noted; its name and dates say nothing beyond that.
#[derive(Debug)]
struct Noted {
    digest: Sha256,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Noted {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let shown = Sha256::of(end_entity);
        if shown == self.digest {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General(format!(
                "the printer shows another certificate than the one noted, SHA-256 {}",
                String::from(shown)
            )))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
