//! Whom an `ipps` printer's certificate convinces.
//!
//! Printers sign their certificates themselves. So the technician notes the certificate's digest
//! once, and it alone is accepted; without one, the system's authorities decide.

use std::{io, sync::Arc};

use koffer_proto::{Sha256, Text};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
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

/// Why TLS does not come about, as far as a technician can mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// Its validity is over.
    #[error("the certificate has expired")]
    Expired,
    /// Its validity has not begun.
    #[error("the certificate is not valid yet")]
    NotYetValid,
    /// It is for another name than the one in the address.
    #[error("the certificate is for another name")]
    OtherName,
    /// No authority that is known here vouches for it.
    #[error("no known authority vouches for the certificate")]
    Unvouched,
    /// Another certificate than the one that was noted.
    #[error("{0}")]
    Another(String),
    /// What answers does not speak TLS.
    #[error("what answers does not speak TLS")]
    NoTls,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// What a failed handshake says.
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|e| e.downcast_ref::<Error>());
        match inner {
            Some(Error::InvalidCertificate(certificate)) => Self::of_certificate(certificate),
            Some(Error::General(why)) => Self::Another(why.clone()),
            Some(Error::InvalidMessage(_)) => Self::NoTls,
            _ => Self::Other(error.to_string()),
        }
    }

    fn of_certificate(error: &rustls::CertificateError) -> Self {
        use rustls::CertificateError as E;
        match error {
            E::Expired | E::ExpiredContext { .. } => Self::Expired,
            E::NotValidYet | E::NotValidYetContext { .. } => Self::NotYetValid,
            E::NotValidForName | E::NotValidForNameContext { .. } => Self::OtherName,
            E::UnknownIssuer => Self::Unvouched,
            // A printer that signs for itself as an authority would.
            E::Other(why) if format!("{why:?}").contains("CaUsedAsEndEntity") => Self::Unvouched,
            other => Self::Other(other.to_string()),
        }
    }

    /// A keyword, for programs.
    pub(super) fn keyword(&self) -> &'static str {
        match self {
            Self::Expired | Self::NotYetValid => "certificate-out-of-date",
            Self::OtherName | Self::Unvouched | Self::Another(_) => "certificate-not-trusted",
            Self::NoTls | Self::Other(_) => "tls-failed",
        }
    }

    /// What happened and what to do, in both languages.
    pub(super) fn text(&self) -> Text {
        const NOTE: (&str, &str) = (
            "Das Zertifikat des Druckers als certificate_file eintragen.",
            "Enter the printer's certificate as certificate_file.",
        );
        let (de, en) = match self {
            Self::Expired => (
                "Das Zertifikat des Druckers ist abgelaufen. Am Drucker ein neues erzeugen, oder \
                 die Uhr dieses Rechners prüfen."
                    .to_owned(),
                "The printer's certificate has expired. Make a new one at the printer, or check \
                 the clock of this computer."
                    .to_owned(),
            ),
            Self::NotYetValid => (
                "Das Zertifikat des Druckers gilt noch nicht. Die Uhren des Druckers und dieses \
                 Rechners prüfen."
                    .to_owned(),
                "The printer's certificate is not valid yet. Check the clocks of the printer and \
                 of this computer."
                    .to_owned(),
            ),
            Self::OtherName => (
                format!(
                    "Das Zertifikat des Druckers gilt für einen anderen Namen als den der Adresse. {}",
                    NOTE.0
                ),
                format!(
                    "The printer's certificate is for another name than the one in the address. {}",
                    NOTE.1
                ),
            ),
            Self::Unvouched => (
                format!(
                    "Für das Zertifikat des Druckers bürgt keine bekannte Stelle. {}",
                    NOTE.0
                ),
                format!(
                    "No known authority vouches for the printer's certificate. {}",
                    NOTE.1
                ),
            ),
            Self::Another(why) => (
                format!(
                    "Der Drucker zeigt ein anderes Zertifikat als das eingetragene ({why}). {}",
                    NOTE.0
                ),
                format!(
                    "The printer does not show the certificate that is entered ({why}). {}",
                    NOTE.1
                ),
            ),
            Self::NoTls => (
                "Unter der Adresse wird kein TLS gesprochen. Port prüfen, oder ipp:// statt \
                 ipps:// eintragen."
                    .to_owned(),
                "No TLS is spoken at the address. Check the port, or enter ipp:// instead of \
                 ipps://."
                    .to_owned(),
            ),
            Self::Other(why) => (
                format!(
                    "Es kommt keine verschlüsselte Verbindung zum Drucker zustande ({why}). \
                     TLS-Einstellungen des Druckers prüfen."
                ),
                format!(
                    "No encrypted connection to the printer can be made ({why}). Check the \
                     printer's TLS settings."
                ),
            ),
        };
        Text::new(de, en)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handshake_that_fails_is_told_by_what_is_wrong_with_the_certificate() {
        use rustls::{CertificateError as E, InvalidMessage};
        let invalid = Error::InvalidCertificate;
        for (error, problem) in [
            (invalid(E::Expired), Problem::Expired),
            (invalid(E::NotValidYet), Problem::NotYetValid),
            (invalid(E::NotValidForName), Problem::OtherName),
            (invalid(E::UnknownIssuer), Problem::Unvouched),
            (
                Error::InvalidMessage(InvalidMessage::InvalidContentType),
                Problem::NoTls,
            ),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, error);
            assert_eq!(Problem::of(&error), problem);
        }
        let hung_up = io::Error::from(io::ErrorKind::UnexpectedEof);
        assert!(matches!(Problem::of(&hung_up), Problem::Other(_)));
    }
}
