//! One TLS handshake that trusts nobody: what does a server show of itself?
//!
//! Nothing is sent over such a connection and nothing is read from it. Whether what was shown is
//! worth anything is decided by [`super::chain`], with roots.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ProtocolVersion, SignatureScheme,
    SupportedProtocolVersion,
};

use crate::error::{Exit, Explained};
use crate::trust::deadline::{Deadline, Timed};
use crate::trust::distrust::is_distrust;
use crate::trust::endpoint::Endpoint;

/// Longest wait for a connection and its handshake. The device waits as long.
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
    /// Why they are not its own, or of no use to a device.
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
    /// A connection that ended before the handshake did.
    #[error("`{host}` broke off the TLS handshake")]
    BrokenOff {
        /// Who was meant.
        host: String,
        /// What the system said.
        source: io::Error,
    },
    /// A connection, and no TLS, or a server that shows no certificate.
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
            Self::Handshake { source, .. } if is_distrust(source) => Exit::Trust,
            Self::Unreachable { .. }
            | Self::BrokenOff { .. }
            | Self::Handshake { .. }
            | Self::Setup(_) => Exit::Network,
        }
    }

    fn help(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => Some(
                "check the name and the network; `--connect ADDRESS` reaches a host that its name \
                 does not lead to yet"
                    .to_owned(),
            ),
            Self::BrokenOff { .. } | Self::Handshake { .. } => {
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
        Err(refused @ (ProbeError::Handshake { .. } | ProbeError::BrokenOff { .. })) => {
            let everything = default_provider().signature_verification_algorithms;
            handshake(endpoint, &everything.supported_schemes(), versions).map_err(|_| refused)
        }
        other => other,
    }
}

/// Whether a server accepts one version of TLS. One that hangs up on it does not; one that says
/// nothing has not answered.
pub fn offers(
    endpoint: &Endpoint,
    version: &'static SupportedProtocolVersion,
) -> Result<bool, ProbeError> {
    let everything = default_provider().signature_verification_algorithms;
    match handshake(endpoint, &everything.supported_schemes(), &[version]) {
        Ok(presented) => Ok(presented.version == Some(version.version)),
        Err(ProbeError::Handshake { .. }) => Ok(false),
        Err(ProbeError::BrokenOff { source, .. }) if source.kind() != io::ErrorKind::TimedOut => {
            Ok(false)
        }
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
    let host = || endpoint.to_string();
    let mut stream = endpoint
        .open(Deadline::after(PATIENCE))
        .map_err(|source| ProbeError::Unreachable { host: host(), source })?;
    let outcome = shake(&mut tls, &mut stream);
    let certificates = recorder.recorded();
    let fault = match outcome {
        Ok(()) => None,
        Err(Broken::Wire(source)) => return Err(ProbeError::BrokenOff { host: host(), source }),
        Err(Broken::Tls(source)) if certificates.is_empty() || !is_distrust(&source) => {
            return Err(ProbeError::Handshake { host: host(), source: Box::new(source) });
        }
        Err(Broken::Tls(source)) => Some(source),
    };
    tls.send_close_notify();
    // Politeness: whoever is gone already needs none.
    let _ = tls.write_tls(&mut stream);
    Ok(Presented {
        certificates,
        version: tls.protocol_version(),
        address: stream.socket().peer_addr().ok(),
        fault,
    })
}

/// How a handshake ended early.
enum Broken {
    Wire(io::Error),
    Tls(rustls::Error),
}

/// The handshake, to its end or to that of the stream's patience.
fn shake(tls: &mut ClientConnection, stream: &mut Timed) -> Result<(), Broken> {
    while tls.is_handshaking() {
        if tls.wants_write() {
            tls.write_tls(stream).map_err(Broken::Wire)?;
            continue;
        }
        if tls.read_tls(stream).map_err(Broken::Wire)? == 0 {
            return Err(Broken::Wire(io::ErrorKind::UnexpectedEof.into()));
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

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;

    use rustls::version::{TLS12, TLS13};

    use super::*;

    /// Does this with every connection.
    fn host(with: impl Fn(std::net::TcpStream) + Send + 'static) -> Endpoint {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || listener.incoming().flatten().for_each(with));
        Endpoint::from_url("https://updates.test").unwrap().at(Some(address))
    }

    #[test]
    fn a_server_that_hangs_up_on_a_version_does_not_offer_it() {
        let politely = host(|mut socket| {
            let _ = socket.read(&mut [0; 16 * 1024]);
        });
        // What was not read makes the system reset the connection.
        let rudely = host(|socket| {
            let _ = socket.peek(&mut [0]);
        });
        for endpoint in [politely, rudely] {
            for version in [&TLS12, &TLS13] {
                assert!(matches!(offers(&endpoint, version), Ok(false)), "{endpoint}");
            }
            let error = probe(&endpoint).unwrap_err();
            assert!(matches!(error, ProbeError::BrokenOff { .. }), "{error:?}");
            assert_eq!(error.exit(), Exit::Network);
        }
    }

    #[test]
    fn only_a_host_that_nothing_connects_to_is_unreachable() {
        // Bound and not listening: nobody else gets the port, and nobody is there.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let endpoint = Endpoint::from_url("https://updates.test").unwrap().at(Some(address));
        assert!(matches!(offers(&endpoint, &TLS12), Err(ProbeError::Unreachable { .. })));
        assert!(matches!(probe(&endpoint), Err(ProbeError::Unreachable { .. })));
    }
}
