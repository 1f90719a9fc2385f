//! One TLS handshake that trusts nobody: what does a server show of itself?
//!
//! Nothing is sent over such a connection and nothing is read from it. Whether what was shown is
//! worth anything is decided by [`super::chain`], with roots.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion,
    SignatureScheme, SupportedProtocolVersion,
};

use crate::error::{Exit, Explained};
use crate::trust::endpoint::Endpoint;

/// Longest wait for a connection, and for a handshake. The device waits as long.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// The kinds of signature that the device's TLS library verifies, the shortest keys first, as it
/// asks for them.
const DEVICE_SCHEMES: [SignatureScheme; 8] = [
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::RSA_PSS_SHA512,
    SignatureScheme::RSA_PSS_SHA384,
    SignatureScheme::RSA_PSS_SHA256,
    SignatureScheme::RSA_PKCS1_SHA512,
    SignatureScheme::RSA_PKCS1_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
];

/// What a server showed.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Its certificates as sent: its own first, at least one.
    pub certificates: Vec<CertificateDer<'static>>,
    /// The version of TLS it chose.
    pub version: Option<ProtocolVersion>,
    /// Where the connection went.
    pub address: Option<SocketAddr>,
    /// What went wrong after it had shown them.
    pub fault: Option<rustls::Error>,
}

/// A server showed nothing.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error("`{host}` could not be reached")]
    Unreachable {
        /// Who was meant.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// A connection, and no TLS.
    #[error("`{host}` did not complete a TLS handshake")]
    Handshake {
        /// Who was meant.
        host: String,
        /// What the TLS library said.
        source: Box<rustls::Error>,
    },
    /// The TLS library refused its own defaults.
    #[error("TLS could not be set up")]
    Setup(#[source] rustls::Error),
}

impl Explained for ProbeError {
    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Handshake { .. } | Self::Setup(_) => Exit::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "check the name and the network; `--connect ADDRESS` reaches a host that its name \
                 does not lead to yet"
                    .to_owned(),
            ),
            Self::Handshake { .. } => {
                Some("check that the server speaks TLS 1.2 or 1.3 on this port".to_owned())
            }
            Self::Setup(_) => None,
        }
    }
}

/// What a device is shown. A server that has nothing for a device is asked again, for everything,
/// so that the reason can be told.
pub fn probe(endpoint: &Endpoint) -> Result<Presented, ProbeError> {
    let versions = rustls::DEFAULT_VERSIONS;
    match handshake(endpoint, &DEVICE_SCHEMES, versions) {
        Err(refused @ ProbeError::Handshake { .. }) => {
            let everything = default_provider().signature_verification_algorithms;
            handshake(endpoint, &everything.supported_schemes(), versions).map_err(|_| refused)
        }
        other => other,
    }
}

/// Whether a server accepts one version of TLS.
pub fn offers(
    endpoint: &Endpoint,
    version: &'static SupportedProtocolVersion,
) -> Result<bool, ProbeError> {
    let everything = default_provider().signature_verification_algorithms;
    match handshake(endpoint, &everything.supported_schemes(), &[version]) {
        Ok(presented) => Ok(presented.version == Some(version.version)),
        Err(ProbeError::Handshake { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

fn handshake(
    endpoint: &Endpoint,
    schemes: &[SignatureScheme],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Presented, ProbeError> {
    let recorder = Arc::new(Recorder::new(schemes));
    let mut config = ClientConfig::builder_with_provider(recorder.provider.clone())
        .with_protocol_versions(versions)
        .map_err(ProbeError::Setup)?
        .dangerous()
        .with_custom_certificate_verifier(recorder.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut tls = ClientConnection::new(Arc::new(config), endpoint.server_name())
        .map_err(ProbeError::Setup)?;
    let unreachable = |source| ProbeError::Unreachable { host: endpoint.to_string(), source };
    let mut stream = endpoint.open(PATIENCE).map_err(unreachable)?;
    let end = Instant::now().checked_add(PATIENCE);
    let outcome = shake(&mut tls, &mut stream, end);
    let certificates = recorder.recorded();
    let fault = match outcome {
        Ok(()) => None,
        Err(Broken::Wire(source)) => return Err(unreachable(source)),
        Err(Broken::Tls(source)) if certificates.is_empty() => {
            let source = Box::new(source);
            return Err(ProbeError::Handshake { host: endpoint.to_string(), source });
        }
        Err(Broken::Tls(source)) => Some(source),
    };
    tls.send_close_notify();
    // Politeness: whoever is gone already needs none.
    let _ = tls.write_tls(&mut stream);
    Ok(Presented {
        certificates,
        version: tls.protocol_version(),
        address: stream.peer_addr().ok(),
        fault,
    })
}

/// How a handshake ended early.
enum Broken {
    Wire(io::Error),
    Tls(rustls::Error),
}

/// The handshake, to its end or to `end`, whatever the server drips.
fn shake(
    tls: &mut ClientConnection,
    stream: &mut TcpStream,
    end: Option<Instant>,
) -> Result<(), Broken> {
    while tls.is_handshaking() {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Broken::Wire(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(left).map_err(Broken::Wire)?;
        stream.set_write_timeout(left).map_err(Broken::Wire)?;
        if tls.wants_write() {
            tls.write_tls(stream).map_err(Broken::Wire)?;
            continue;
        }
        match tls.read_tls(stream) {
            Ok(0) => return Err(Broken::Wire(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => {}
            // What the system says when the timeout of a socket is over.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(Broken::Wire(io::ErrorKind::TimedOut.into()));
            }
            Err(error) => return Err(Broken::Wire(error)),
        }
        if let Err(error) = tls.process_new_packets() {
            // The alert that tells the server why.
            let _ = tls.write_tls(stream);
            return Err(Broken::Tls(error));
        }
    }
    Ok(())
}

/// Accepts every certificate, writes it down, and still wants proof that the server has its key.
#[derive(Debug)]
struct Recorder {
    provider: Arc<CryptoProvider>,
    schemes: Vec<SignatureScheme>,
    certificates: Mutex<Vec<CertificateDer<'static>>>,
}

impl Recorder {
    fn new(schemes: &[SignatureScheme]) -> Self {
        Self {
            provider: Arc::new(default_provider()),
            schemes: schemes.to_vec(),
            certificates: Mutex::default(),
        }
    }

    fn recorded(&self) -> Vec<CertificateDer<'static>> {
        self.certificates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = std::iter::once(end_entity).chain(intermediates);
        let shown = shown.map(|certificate| certificate.clone().into_owned()).collect();
        *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = shown;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

/// Whether an error means that the server does not hold the key of the certificate it shows.
pub(super) fn is_impostor(error: &rustls::Error) -> bool {
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::BadSignature))
}
