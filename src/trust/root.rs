//! A root certificate that devices may trust, read from PEM and checked before anything uses it.
//!
//! Every check is made each time a root is read, not only when it is added: a root that has ended
//! since then would lock devices out, and a CI run is the place to learn it. The clock is a
//! parameter. What is refused follows the device: mbedtls verifies RSA and ECDSA on P-256 and P-384
//! and parses no certificate with a critical extension that it does not know
//! (`x509_get_crt_ext` in its `x509_crt.c`).

use std::fmt;
use std::path::Path;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate, X509Error};

use crate::trust::certificate::{
    KeyType, broken_signature, key_type, printable, timestamp, unknown_critical,
};
use crate::trust::pem_file::{self, Limits};
use crate::trust::refusal::{Refusal, RootError, Unfit};

/// What a file of roots may hold. Sixteen RSA 4096 roots of 2 KiB each fit twice over. Devices hold
/// each pinned root in flash and search them all in RAM; a bundle of 140 cost 46 KB
/// (`emfcamp/badge-2024-software` PR 205).
pub const LIMITS: Limits = Limits { bytes: 64 * 1024, certificates: 16 };

/// A checked, self-signed CA certificate. Only the functions of this module make one.
#[derive(Clone, PartialEq, Eq)]
pub struct PinnedRoot {
    der: CertificateDer<'static>,
    subject: String,
    fingerprint: [u8; 32],
    not_before: Timestamp,
    not_after: Timestamp,
    key: KeyType,
}

impl fmt::Debug for PinnedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PinnedRoot({:?}, {})", self.subject, self.fingerprint_hex())
    }
}

impl PinnedRoot {
    /// The certificate's bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// Whose root it is, as one line: `C=US, O=…, CN=…`. Control characters are escaped and a very
    /// long name is cut, so it can be shown.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// SHA-256 of the whole certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// SHA-256 of the whole certificate in lower-case hex.
    pub fn fingerprint_hex(&self) -> String {
        crate::hex::lower(&self.fingerprint)
    }

    /// First second in which it is valid.
    pub fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Last second in which it is valid.
    pub fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// Its kind of key.
    pub fn key(&self) -> KeyType {
        self.key
    }

    /// Whether it is valid at `now`. Both ends count as valid (RFC 5280, section 4.1.2.5).
    pub fn check_period(&self, now: Timestamp) -> Result<(), Refusal> {
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        if now > self.not_after {
            return Err(Refusal::Expired { ended: self.not_after, now });
        }
        if now < self.not_before {
            return Err(Refusal::NotYetValid { starts: self.not_before, now });
        }
        Ok(())
    }
}

/// Reads every root in the PEM file `file` and checks it at `now`.
pub fn read(file: &Path, now: Timestamp) -> Result<Vec<PinnedRoot>, RootError> {
    parse(file, &pem_file::read(file, LIMITS)?, now)
}

/// Parses the contents of a PEM file and checks every root in it at `now`. `file` is only named in
/// errors. The result is never empty.
pub fn parse(file: &Path, pem: &[u8], now: Timestamp) -> Result<Vec<PinnedRoot>, RootError> {
    let mut roots = Vec::new();
    for (index, der) in pem_file::certificates(file, pem, LIMITS)?.into_iter().enumerate() {
        let number = index.saturating_add(1);
        let root = check(&der, now).map_err(|unfit| unfit.in_file(file, number))?;
        refuse_duplicate(file, &roots, &root)?;
        roots.push(root);
    }
    Ok(roots)
}

/// Refuses `root`, read from `file`, if it is among `pinned`.
pub fn refuse_duplicate(
    file: &Path,
    pinned: &[PinnedRoot],
    root: &PinnedRoot,
) -> Result<(), RootError> {
    if pinned.iter().any(|other| other.fingerprint == root.fingerprint) {
        return Err(RootError::Duplicate {
            file: file.to_owned(),
            subject: root.subject.clone(),
            fingerprint: root.fingerprint_hex(),
        });
    }
    Ok(())
}

/// Checks one certificate, the cheapest and most telling reasons first.
pub(super) fn check(der: &CertificateDer<'_>, now: Timestamp) -> Result<PinnedRoot, Unfit> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|source| Unfit::Malformed(source.to_string()))?;
    if !rest.is_empty() {
        return Err(Unfit::Malformed(format!("{} bytes follow it", rest.len())));
    }
    let subject = printable(certificate.subject());
    let refused = |source: Refusal| Unfit::Refused { subject: subject.clone(), source };

    check_extensions(&certificate).map_err(refused)?;
    // A second and stricter parser: x509-parser lets the class of a tag pass, which no signature
    // covers at the outermost level, and the device would stumble over it.
    RootCertStore::empty()
        .add(der.clone().into_owned())
        .map_err(|source| Unfit::Malformed(source.to_string()))?;
    let key = key_type(&certificate).map_err(refused)?;
    check_signature(&certificate).map_err(refused)?;
    let validity = certificate.validity();
    let root = PinnedRoot {
        subject: subject.clone(),
        fingerprint: Sha256::digest(der).into(),
        not_before: timestamp(validity.not_before),
        not_after: timestamp(validity.not_after),
        key,
        der: der.clone().into_owned(),
    };
    root.check_period(now).map_err(refused)?;
    Ok(root)
}

fn check_extensions(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    if !certificate.is_ca() {
        return Err(Refusal::NotCa);
    }
    let usages = certificate.extensions().iter().map(|extension| extension.parsed_extension());
    for extension in usages {
        if let ParsedExtension::KeyUsage(usage) = extension
            && !usage.key_cert_sign()
        {
            return Err(Refusal::MayNotSign);
        }
    }
    match unknown_critical(certificate) {
        Some(oid) => Err(Refusal::CriticalExtension { oid }),
        None => Ok(()),
    }
}

/// Checks that the certificate signs itself, with a hash that holds.
///
/// A pinned root is trusted byte for byte, so a broken hash in its own signature opens no door by
/// itself. It is refused all the same (design, section 9): a root that signs with SHA-1 today is a
/// mistake, and few old ones are left: 3 of the 118 that Mozilla trusts (webpki-root-certs 1.0.11).
fn check_signature(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    if certificate.subject().as_raw() != certificate.issuer().as_raw() {
        return Err(Refusal::NotSelfIssued { issuer: printable(certificate.issuer()) });
    }
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    if let Some(name) = broken_signature(&algorithm) {
        return Err(Refusal::WeakSignature { algorithm: name.to_owned() });
    }
    // The algorithm stands in the signed part once more, where it cannot be swapped
    // (RFC 5280, section 4.1.1.2).
    if certificate.signature_algorithm != certificate.tbs_certificate.signature {
        return Err(Refusal::ForgedSignature);
    }
    match certificate.verify_signature(None) {
        Ok(()) => Ok(()),
        Err(X509Error::SignatureUnsupportedAlgorithm) => {
            Err(Refusal::UnknownSignature { algorithm })
        }
        // Whatever else the library says, the signature did not hold.
        Err(_) => Err(Refusal::ForgedSignature),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
        KeyUsagePurpose, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, date_time_ymd,
    };

    use super::*;
    use crate::error::{Exit, Explained};

    fn now() -> Timestamp {
        "2027-01-01T00:00:00Z".parse().unwrap()
    }

    fn read_vector(name: &str) -> Result<Vec<PinnedRoot>, RootError> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/roots");
        read(&folder.join(name), now())
    }

    fn parse_text(pem: &str) -> Result<Vec<PinnedRoot>, RootError> {
        parse(Path::new("root.pem"), pem.as_bytes(), now())
    }

    fn authority(name: &str) -> CertificateParams {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        parameters.not_before = date_time_ymd(2020, 1, 1);
        parameters.not_after = date_time_ymd(2035, 1, 1);
        parameters
    }

    fn root_pem(parameters: &CertificateParams) -> String {
        parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    #[track_caller]
    fn refusal(result: Result<Vec<PinnedRoot>, RootError>) -> Refusal {
        let error = result.expect_err("a refusal");
        assert_eq!(error.exit(), Exit::Trust);
        assert!(error.help().is_some_and(|help| help.contains("cargo esp-ota ca add")));
        match error {
            RootError::Refused { source, .. } => source,
            other => panic!("not a refusal: {other}"),
        }
    }

    #[test]
    fn a_root_says_who_it_is() {
        let pem = root_pem(&authority("bench"));
        let roots = parse_text(&pem).unwrap();
        let [root] = roots.as_slice() else { panic!("one root") };
        assert_eq!(root.subject(), "CN=bench");
        assert_eq!(root.key(), KeyType::EcdsaP256);
        assert_eq!(root.not_before(), "2020-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(root.not_after(), "2035-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(root.fingerprint_hex().len(), 64);
    }

    #[test]
    fn the_key_types_a_device_verifies_are_good() {
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let pem = authority("p384").self_signed(&p384).unwrap().pem();
        assert_eq!(parse_text(&pem).unwrap()[0].key(), KeyType::EcdsaP384);
        assert_eq!(read_vector("rsa-2048.pem").unwrap()[0].key(), KeyType::Rsa(2048));
    }

    #[test]
    fn ed25519_and_other_curves_are_refused_because_the_device_cannot_verify_them() {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let pem = authority("ed25519").self_signed(&key).unwrap().pem();
        let ed25519 = Refusal::UnsupportedKey { key: "Ed25519".to_owned() };
        assert_eq!(refusal(parse_text(&pem)), ed25519);
        let koblitz = Refusal::UnsupportedKey { key: "ECDSA on curve 1.3.132.0.10".to_owned() };
        assert_eq!(refusal(read_vector("secp256k1.pem")), koblitz);
    }

    #[test]
    fn an_rsa_key_one_bit_short_is_weak() {
        assert_eq!(refusal(read_vector("rsa-2047.pem")), Refusal::WeakKey { bits: 2047 });
        assert_eq!(refusal(read_vector("rsa-1024.pem")), Refusal::WeakKey { bits: 1024 });
    }

    #[test]
    fn a_signature_with_a_broken_hash_is_refused_by_name() {
        for (file, algorithm) in [
            ("sha1.pem", "sha1WithRSAEncryption"),
            ("md5.pem", "md5WithRSAEncryption"),
            ("ecdsa-sha1.pem", "ecdsa-with-SHA1"),
        ] {
            let algorithm = algorithm.to_owned();
            assert_eq!(refusal(read_vector(file)), Refusal::WeakSignature { algorithm });
        }
    }

    #[test]
    fn a_certificate_that_is_no_authority_is_refused() {
        let mut leaf = authority("leaf");
        leaf.is_ca = IsCa::NoCa;
        assert_eq!(refusal(parse_text(&root_pem(&leaf))), Refusal::NotCa);
        leaf.is_ca = IsCa::ExplicitNoCa;
        assert_eq!(refusal(parse_text(&root_pem(&leaf))), Refusal::NotCa);
        assert_eq!(refusal(read_vector("version-1.pem")), Refusal::NotCa);
        assert_eq!(refusal(read_vector("no-cert-sign.pem")), Refusal::MayNotSign);
    }

    #[test]
    fn an_intermediate_is_refused_and_its_issuer_named() {
        let root = CertifiedIssuer::self_signed(authority("top"), KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let middle = authority("middle").signed_by(&key, &root.unwrap()).unwrap();
        let issuer = "CN=top".to_owned();
        assert_eq!(refusal(parse_text(&middle.pem())), Refusal::NotSelfIssued { issuer });
    }

    #[test]
    fn a_root_signed_by_another_key_of_the_same_name_is_forged() {
        let real = CertifiedIssuer::self_signed(authority("name"), KeyPair::generate().unwrap());
        let key = KeyPair::generate().unwrap();
        let forged = authority("name").signed_by(&key, &real.unwrap()).unwrap();
        assert_eq!(refusal(parse_text(&forged.pem())), Refusal::ForgedSignature);
    }

    #[test]
    fn a_critical_extension_unknown_to_mbedtls_is_refused() {
        let oid = "2.5.29.30".to_owned();
        assert_eq!(
            refusal(read_vector("critical-extension.pem")),
            Refusal::CriticalExtension { oid }
        );
    }

    #[test]
    fn a_root_is_good_from_its_first_to_its_last_second() {
        let pem = root_pem(&authority("dates"));
        let at = |time: &str| parse(Path::new("root.pem"), pem.as_bytes(), time.parse().unwrap());
        assert!(at("2020-01-01T00:00:00Z").is_ok());
        assert!(at("2035-01-01T00:00:00.5Z").is_ok());
        assert!(matches!(refusal(at("2019-12-31T23:59:59Z")), Refusal::NotYetValid { .. }));
        assert!(matches!(refusal(at("2035-01-01T00:00:01Z")), Refusal::Expired { .. }));
    }

    #[test]
    fn a_pinned_root_is_checked_again_when_it_is_used() {
        let root = parse_text(&root_pem(&authority("later"))).unwrap().remove(0);
        assert_eq!(root.check_period(now()), Ok(()));
        let late: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
        let ended = root.not_after();
        assert_eq!(root.check_period(late), Err(Refusal::Expired { ended, now: late }));
    }

    #[test]
    fn a_name_is_shown_on_one_line_and_cannot_move_the_cursor() {
        let subject =
            |name: &str| parse_text(&root_pem(&authority(name))).unwrap().remove(0).subject;
        assert_eq!(subject("Főtanúsítvány \"Gold\""), "CN=Főtanúsítvány \"Gold\"");
        assert_eq!(subject("a\n\u{1b}[2J\u{202e}b\\"), "CN=a\\n\\u{1b}[2J\\u{202e}b\\\\");
        assert_eq!(subject(&"x".repeat(157)), format!("CN={}", "x".repeat(157)));
        assert_eq!(subject(&"x".repeat(158)), format!("CN={}...", "x".repeat(157)));
    }

    #[test]
    fn a_root_without_an_end_is_good() {
        assert_eq!(read_vector("no-end.pem").unwrap()[0].not_after(), Timestamp::MAX);
    }

    #[test]
    fn several_roots_in_a_file_keep_their_order_and_text_between_them_is_skipped() {
        let text = format!(
            "first\n{}\nsecond\n{}",
            root_pem(&authority("one")),
            root_pem(&authority("two"))
        );
        let subjects: Vec<String> =
            parse_text(&text).unwrap().iter().map(|root| root.subject().to_owned()).collect();
        assert_eq!(subjects, ["CN=one", "CN=two"]);
    }

    #[test]
    fn the_same_root_twice_is_a_mistake_in_a_file_and_no_matter_of_trust() {
        let pem = root_pem(&authority("twin"));
        let error = parse_text(&format!("{pem}{pem}")).unwrap_err();
        assert!(matches!(error, RootError::Duplicate { .. }), "{error}");
        assert_eq!(error.exit(), Exit::Project);
    }

    #[test]
    fn sixteen_roots_are_read_and_seventeen_are_too_many() {
        let pems: Vec<String> =
            (0..=LIMITS.certificates).map(|n| root_pem(&authority(&n.to_string()))).collect();
        assert_eq!(parse_text(&pems[1..].concat()).unwrap().len(), LIMITS.certificates);
        assert!(matches!(parse_text(&pems.concat()), Err(RootError::TooMany { .. })));
    }

    #[test]
    fn a_file_of_exactly_the_limit_is_read_and_one_byte_more_is_not() {
        let mut pem = root_pem(&authority("long"));
        pem.push_str(&"#".repeat(LIMITS.bytes - pem.len()));
        assert!(parse_text(&pem).is_ok());
        pem.push('#');
        assert!(matches!(parse_text(&pem), Err(RootError::TooLarge { .. })));
    }

    #[test]
    fn what_is_not_a_certificate_file_is_a_project_error_and_not_a_matter_of_trust() {
        let good = root_pem(&authority("torn"));
        let der = pem::parse(&good).unwrap().into_contents();
        let longer = pem::encode(&pem::Pem::new("CERTIFICATE", [der.as_slice(), b"!"].concat()));
        let key = KeyPair::generate().unwrap();
        for (text, words) in [
            ("", "`root.pem` is not PEM (no `-----BEGIN` line)"),
            ("<html>", "`root.pem` is not PEM (no `-----BEGIN` line)"),
            (&good[..200], "`root.pem` is not PEM ("),
            (&key.public_key_pem(), "`root.pem` holds no certificate"),
            (&key.serialize_pem(), "`root.pem` holds a private key"),
            (&format!("{good}{}", key.serialize_pem()), "`root.pem` holds a private key"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "`root.pem` holds a private key",
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                "certificate 1 in `root.pem` is malformed (",
            ),
            (&longer, "certificate 1 in `root.pem` is malformed (1 bytes follow it)"),
        ] {
            let error = parse_text(text).unwrap_err();
            assert!(error.to_string().starts_with(words), "{error}");
            assert_eq!(error.exit(), Exit::Project, "{error}");
            assert!(error.help().is_some(), "{error}");
        }
        let missing = read(Path::new("nowhere.pem"), now()).unwrap_err();
        assert!(matches!(missing, RootError::Read { .. }));
        assert_eq!(missing.location().unwrap().file, Path::new("nowhere.pem"));
    }

    #[test]
    fn any_damage_to_a_certificate_is_an_answer_and_never_a_panic() {
        let der = pem::parse(root_pem(&authority("fragile"))).unwrap().into_contents();
        for position in 0..der.len() {
            for damage in [0x01, 0x80, 0xff] {
                let mut bytes = der.clone();
                bytes[position] ^= damage;
                let text = pem::encode(&pem::Pem::new("CERTIFICATE", bytes));
                assert!(parse_text(&text).is_err(), "byte {position} ^ {damage:#x}");
            }
            let text = pem::encode(&pem::Pem::new("CERTIFICATE", &der[..position]));
            assert!(parse_text(&text).is_err(), "cut at {position}");
        }
    }
}
