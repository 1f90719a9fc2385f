//! Why a chain of certificates does not lead to a root.

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, PeerMisbehaved};

use crate::trust::endpoint::Endpoint;
use crate::trust::name::IpOrDns;

/// What is wrong with the way from a server's certificate to a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// No certificate of the chain was issued by the root.
    #[error("its chain does not lead to that root")]
    Unrelated,
    /// A certificate's time is over.
    #[error("a certificate of its chain ended on {ended}, and it is {now}")]
    Ended {
        /// Last second in which it was valid.
        ended: Timestamp,
        /// The time it was checked against.
        now: Timestamp,
    },
    /// A certificate's time has not come.
    #[error("a certificate of its chain starts on {starts}, and it is {now}")]
    NotYetValid {
        /// First second in which it is valid.
        starts: Timestamp,
        /// The time it was checked against.
        now: Timestamp,
    },
    /// The certificate is somebody else's.
    #[error("its certificate is not for `{host}`, but for {names}")]
    OtherName {
        /// Who was meant.
        host: String,
        /// Whom it is for.
        names: String,
    },
    /// A signature was not made by the key it should be made with.
    #[error("a signature in its chain does not hold")]
    BadSignature,
    /// The device does not verify this kind of signature.
    #[error("a signature in its chain is of a kind that the device cannot verify")]
    UnsupportedSignature,
    /// The certificate may not be used by a server.
    #[error("its certificate is not meant for TLS servers")]
    NotForServers,
    /// A CA's own certificate where a server's should be.
    #[error("its certificate is that of a CA, and not of a server")]
    CaAsServer,
    /// A server's certificate where a CA's should be.
    #[error("a certificate that issued another one in its chain is no CA certificate")]
    ServerAsCa,
    /// A CA may not issue for this name.
    #[error("a CA of its chain may not issue for this name (name constraints)")]
    NameConstraint,
    /// More CAs below one another than one of them permits.
    #[error("its chain is longer than one of its CAs permits")]
    PathLength,
    /// A critical extension that is not understood.
    #[error("a certificate of its chain has a critical extension that is not understood")]
    CriticalExtension,
    /// Anything else.
    #[error("its chain is malformed ({0})")]
    Malformed(String),
}

impl Distrust {
    /// From the verdict of webpki.
    pub(super) fn new(error: &webpki::Error, endpoint: &Endpoint) -> Self {
        use webpki::Error;
        match error {
            Error::UnknownIssuer => Self::Unrelated,
            Error::CertExpired { time, not_after } => {
                Self::Ended { ended: timestamp(*not_after), now: timestamp(*time) }
            }
            Error::CertNotValidYet { time, not_before } => {
                Self::NotYetValid { starts: timestamp(*not_before), now: timestamp(*time) }
            }
            Error::CertNotValidForName(context) => Self::OtherName {
                host: endpoint.host().to_string(),
                names: names(&context.presented, endpoint.host()),
            },
            Error::InvalidSignatureForPublicKey => Self::BadSignature,
            Error::UnsupportedSignatureAlgorithmContext(_)
            | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                Self::UnsupportedSignature
            }
            Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => Self::NotForServers,
            Error::CaUsedAsEndEntity => Self::CaAsServer,
            Error::EndEntityUsedAsCa => Self::ServerAsCa,
            Error::NameConstraintViolation => Self::NameConstraint,
            Error::PathLenConstraintViolated | Error::MaximumPathDepthExceeded => Self::PathLength,
            Error::UnsupportedCriticalExtension => Self::CriticalExtension,
            // The enum may grow; each of the others means bytes that make no sense.
            other => Self::Malformed(format!("{other:?}")),
        }
    }

    /// What can be done about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unrelated => {
                "let the server send its whole chain; for a private authority name its root, and take \
                 it from the authority itself"
            }
            Self::Ended { .. } | Self::NotYetValid { .. } => {
                "check this computer's clock, and renew the server's certificates"
            }
            Self::OtherName { .. } => {
                "use a name that the certificate is for, or get a certificate with this name or address \
                 as a subject alternative name"
            }
            Self::BadSignature | Self::Malformed(_) => {
                "look at what stands between you and the server, and let it send an unbroken chain"
            }
            Self::UnsupportedSignature => {
                "let the server use a chain of RSA 2048 or ECDSA P-256 or P-384 with SHA-256 or better"
            }
            Self::NotForServers | Self::CaAsServer => {
                "give the server a certificate that is made for TLS servers"
            }
            Self::ServerAsCa
            | Self::NameConstraint
            | Self::PathLength
            | Self::CriticalExtension => "get the server's certificate from another CA",
        }
    }
}

/// Whether the TLS library broke off because a server could not prove who it is. Everything else that
/// can go wrong with TLS is a matter of the network, or of what both sides speak.
pub(super) fn is_distrust(error: &rustls::Error) -> bool {
    use rustls::Error;
    match error {
        // Whatever is wrong with it: with the chain, or with the signature that its key made.
        Error::InvalidCertificate(_)
        // A server without a certificate, or one that signs as nobody asked it to, is nobody.
        | Error::NoCertificatesPresented
        | Error::InvalidCertRevocationList(_)
        | Error::PeerMisbehaved(
            PeerMisbehaved::SignedKxWithWrongAlgorithm
            | PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme,
        ) => true,
        // The enum may grow; none of the others is about who the server is.
        _ => false,
    }
}

/// Whether an error means that the server does not hold the key of the certificate it shows.
pub(super) fn is_impostor(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::BadSignature))
}

/// Names of a certificate, each in back quotes. webpki gives them as `DnsName("…")`. An address that
/// stands there as a name reads like the right one, and is none.
fn names(presented: &[String], host: &IpOrDns) -> String {
    if presented.is_empty() {
        return "nobody that a TLS client looks for (no subject alternative name)".to_owned();
    }
    let host = host.to_string();
    let names = presented.iter().map(|name| {
        let inside = name.split_once('(').map_or(name.as_str(), |(_, inside)| inside);
        let inside = inside.trim_end_matches(')').trim_matches('"');
        let note = if inside == host { ", which stands there as a DNS name" } else { "" };
        format!("`{}`{note}", inside.escape_debug())
    });
    names.collect::<Vec<_>>().join(", ")
}

fn timestamp(time: UnixTime) -> Timestamp {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::ServerName;
    use rustls::{AlertDescription, Error, ExtendedKeyPurpose, OtherError, PeerIncompatible};

    use super::*;

    #[test]
    fn whatever_is_wrong_with_a_certificate_is_a_matter_of_trust() {
        use CertificateError as Kind;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        for kind in [
            Kind::BadEncoding,
            Kind::Expired,
            Kind::ExpiredContext { time, not_after: time },
            Kind::NotValidYet,
            Kind::NotValidYetContext { time, not_before: time },
            Kind::Revoked,
            Kind::UnhandledCriticalExtension,
            Kind::UnknownIssuer,
            Kind::UnknownRevocationStatus,
            Kind::ExpiredRevocationList,
            Kind::ExpiredRevocationListContext { time, next_update: time },
            Kind::BadSignature,
            Kind::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: Vec::new(),
                supported_algorithms: Vec::new(),
            },
            Kind::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: Vec::new(),
                public_key_algorithm_id: Vec::new(),
            },
            Kind::NotValidForName,
            Kind::NotValidForNameContext {
                expected: ServerName::try_from("a.example").unwrap(),
                presented: Vec::new(),
            },
            Kind::InvalidPurpose,
            Kind::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: Vec::new(),
            },
            Kind::InvalidOcspResponse,
            Kind::ApplicationVerificationFailure,
            Kind::Other(OtherError(Arc::new(std::io::Error::other("x")))),
        ] {
            assert!(is_distrust(&Error::InvalidCertificate(kind.clone())), "{kind:?}");
        }
        assert!(is_distrust(&Error::NoCertificatesPresented));
    }

    #[test]
    fn what_says_nothing_about_the_server_is_none() {
        for error in [
            Error::AlertReceived(AlertDescription::HandshakeFailure),
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
            Error::PeerMisbehaved(PeerMisbehaved::TooManyEmptyFragments),
            Error::DecryptError,
            Error::General("x".into()),
        ] {
            assert!(!is_distrust(&error), "{error:?}");
        }
    }
}
