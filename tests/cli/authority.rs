//! Throw-away certificate authorities, and an HTTPS host that shows whatever chain it is given.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::harness::Project;
use cargo_esp_ota::server::{Config, LOOPBACK, Limits, Log, Server};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What devices call the host.
pub(crate) const HOST: &str = "updates.test";

pub(crate) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate and the key it was made with.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    parameters: CertificateParams,
}

/// A server's key and the certificates that it shows.
pub(crate) struct Identity {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters.distinguished_name.push(DnType::CommonName, name);
    valid(&mut parameters, -365, 3650);
    parameters
}

/// Sets both dates, in days from now; half a day more to the end, so that whole days are left.
pub(crate) fn valid(parameters: &mut CertificateParams, from: i32, to: i32) {
    let date = |days: i32| {
        let distance = DAY * days.unsigned_abs();
        let now = SystemTime::now();
        if days < 0 { now - distance } else { now + distance }
    };
    parameters.not_before = date(from).into();
    parameters.not_after = (date(to) + DAY / 2).into();
}

impl Authority {
    fn parameters(name: &str) -> CertificateParams {
        let mut parameters = parameters(name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        parameters
    }

    /// A self-signed root.
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(name, KeyPair::generate().unwrap(), |_| {})
    }

    pub(crate) fn root_with(
        name: &str,
        key: KeyPair,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut parameters = Self::parameters(name);
        change(&mut parameters);
        let issuer = CertifiedIssuer::self_signed(parameters.clone(), key).unwrap();
        Self { issuer, parameters }
    }

    /// A CA below this one.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    pub(crate) fn intermediate_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let mut parameters = Self::parameters(name);
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(parameters.clone(), key, &self.issuer).unwrap();
        Self { issuer, parameters }
    }

    /// The certificate in which this authority vouches for the name and the key of another one.
    pub(crate) fn cross_sign(&self, other: &Self) -> CertificateDer<'static> {
        other.parameters.signed_by(other.issuer.key(), &self.issuer).unwrap().der().clone()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its own certificate as that of a server.
    pub(crate) fn itself(&self) -> Identity {
        let key = PrivatePkcs8KeyDer::from(self.issuer.key().serialize_der());
        Identity { chain: vec![self.der()], key: key.into() }
    }

    /// A server's certificate for [`HOST`], with `above` shown after it.
    pub(crate) fn leaf(&self, above: &[CertificateDer<'static>]) -> Identity {
        self.leaf_with(above, |_| {})
    }

    pub(crate) fn leaf_with(
        &self,
        above: &[CertificateDer<'static>],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        self.leaf_of(KeyPair::generate().unwrap(), above, change)
    }

    /// The same with a key of its own.
    pub(crate) fn leaf_of(
        &self,
        key: KeyPair,
        above: &[CertificateDer<'static>],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut parameters = parameters("leaf");
        parameters.subject_alt_names = vec![SanType::DnsName(HOST.try_into().unwrap())];
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        change(&mut parameters);
        let leaf = parameters.signed_by(&key, &self.issuer).unwrap().der().clone();
        let chain = std::iter::once(leaf).chain(above.iter().cloned()).collect();
        Identity { chain, key: PrivatePkcs8KeyDer::from(key.serialize_der()).into() }
    }
}

/// A running host. It ends with its runtime.
pub(crate) struct Host {
    pub(crate) address: String,
    _server: Server,
    _runtime: tokio::runtime::Runtime,
}

impl Host {
    /// Shows `identity` and serves `folder`.
    pub(crate) fn start(identity: Identity, folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let server = runtime
            .block_on(Server::start(Config {
                folder: folder.to_owned(),
                bind: LOOPBACK,
                chain: identity.chain,
                key: identity.key,
                log: Log::silent(),
                limits: Limits::default(),
            }))
            .unwrap();
        let address: SocketAddr = server.addr();
        Self { address: address.to_string(), _server: server, _runtime: runtime }
    }
}

/// An address that nobody listens at, and that nobody else gets as long as this lives: a socket that is
/// bound and does not listen.
pub(crate) struct Nobody {
    pub(crate) address: String,
    _bound: tokio::net::TcpSocket,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap().to_string(), _bound: socket }
    }
}

/// A project that pins these roots, and no others.
pub(crate) fn pinning(roots: &[&Authority]) -> Project {
    let pem: String = roots.iter().map(|root| root.pem()).collect();
    let project = Project::made().file("certs/root.pem", pem);
    project.run(["ca", "embed"]).exits(0).stdout_is(|_| true).stderr("");
    project.folder("dist")
}

/// SHA-256 of a root, as releases name it.
pub(crate) fn fingerprint(root: &Authority) -> String {
    use sha2::{Digest, Sha256};
    cargo_esp_ota::hex::lower(&Sha256::digest(root.der()))
}
