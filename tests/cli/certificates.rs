//! Throw-away certificates: good roots and bad ones.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ED25519,
};

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn parameters(subject: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters.distinguished_name.push(DnType::CommonName, subject);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    parameters.not_before = (now - YEAR).into();
    parameters.not_after = (now + 10 * YEAR + YEAR / 730).into();
    parameters
}

/// A root that can be pinned.
pub(crate) fn root(subject: &str) -> String {
    parameters(subject).self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A root whose time is over.
pub(crate) fn expired(subject: &str) -> String {
    let mut parameters = parameters(subject);
    parameters.not_before = (SystemTime::now() - 3 * YEAR).into();
    parameters.not_after = (SystemTime::now() - YEAR).into();
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A root whose time has not come.
pub(crate) fn not_yet_valid(subject: &str) -> String {
    let mut parameters = parameters(subject);
    parameters.not_before = (SystemTime::now() + YEAR).into();
    parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
}

/// A server's certificate.
pub(crate) fn leaf(subject: &str) -> String {
    let mut leaf = parameters(subject);
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    issued(leaf)
}

/// A CA that another one issued.
pub(crate) fn intermediate(subject: &str) -> String {
    issued(parameters(subject))
}

/// A root whose kind of key devices cannot verify.
pub(crate) fn ed25519(subject: &str) -> String {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    parameters(subject).self_signed(&key).unwrap().pem()
}

/// A private key in PEM.
pub(crate) fn private_key() -> String {
    KeyPair::generate().unwrap().serialize_pem()
}

fn issued(parameters: CertificateParams) -> String {
    let key = KeyPair::generate().unwrap();
    let issuer = self::parameters("Issuing Root");
    let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
    parameters.signed_by(&key, &issuer).unwrap().pem()
}
