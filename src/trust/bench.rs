//! The bench root: a private certificate authority for the desk, and certificates for its server.
//!
//! Devices refuse self-signed server certificates and wrong name types for good reason, and the
//! usual answer is to switch verification off. A root that is made once and kept lets them verify
//! as in the field, by IP address too.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::trust::bench_error::BenchError;
use crate::trust::name::IpOrDns;
use crate::trust::root::{self, PinnedRoot};

/// File name of the root certificate in the bench folder.
pub const ROOT_FILE: &str = "root.pem";

/// File name of the root's private key (PKCS#8) in the bench folder.
pub const KEY_FILE: &str = "root.key.pem";

/// Held while the two files are looked at or made.
const LOCK_FILE: &str = ".lock";

/// How long a bench root is good for after it was made, in days: ten years.
const ROOT_DAYS: i64 = 3653;

/// How long before its making a certificate starts, in days. A device without a clock takes its
/// time from the build time of its firmware or from the last release it verified (design,
/// section 6), which may lie months back on a desk; before its start a certificate is refused.
const BACK_DAYS: i64 = 300;

/// How long a leaf is good for from its making, in days. Together with [`BACK_DAYS`] 396, and
/// clients that follow the CA/Browser Forum's baseline of 2020 (section 6.3.2) take 397. `serve`
/// makes a new one at each start.
const AHEAD_DAYS: i64 = 96;

/// The root and its key.
pub struct BenchRoot {
    certificate: PinnedRoot,
    path: PathBuf,
    key: KeyPair,
}

/// A server certificate under the bench root, with its key.
#[derive(Debug)]
pub struct Leaf {
    /// What the server sends: the leaf alone, because the device has the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// The leaf's private key.
    pub key: PrivateKeyDer<'static>,
    /// First second in which it is valid.
    pub not_before: Timestamp,
    /// Last second in which it is valid.
    pub not_after: Timestamp,
}

impl BenchRoot {
    /// Takes the root kept in `folder`, or makes it: `root.pem` and `root.key.pem` (mode 0600). The
    /// folder is locked meanwhile, so two processes end with the same root.
    ///
    /// A key without a certificate, as a crash between the two leaves it, gets a certificate.
    pub fn load_or_make(folder: &Path, now: Timestamp) -> Result<Self, BenchError> {
        let written = |path: &Path| {
            let path = path.to_owned();
            move |source| BenchError::Write { path, source }
        };
        create_private_folder(folder).map_err(written(folder))?;
        let lock = folder.join(LOCK_FILE);
        // Held until the end of this function.
        let _held = File::create(&lock)
            .and_then(|file| file.lock().map(|()| file))
            .map_err(written(&lock))?;

        let path = folder.join(ROOT_FILE);
        let key_path = folder.join(KEY_FILE);
        let key = match read_key(&key_path)? {
            Some(key) => key,
            None if path.exists() => return Err(BenchError::KeyMissing { path: key_path }),
            None => {
                let key =
                    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(BenchError::Make)?;
                // A new temporary file has mode 0600, and keeps it under its final name.
                write_new(folder, &key_path, &key.serialize_pem()).map_err(written(&key_path))?;
                key
            }
        };
        if !path.exists() {
            let root = root_parameters(now)?.self_signed(&key).map_err(BenchError::Make)?;
            write_new(folder, &path, &root.pem()).map_err(written(&path))?;
        }
        let mut roots = root::read(&path, now).map_err(BenchError::Root)?;
        let certificate = roots.swap_remove(0);
        if public_key(&certificate) != Some(key.subject_public_key_info()) {
            return Err(BenchError::KeyMismatch { path: key_path });
        }
        Ok(Self { certificate, path, key })
    }

    /// The root's certificate, for pinning.
    pub fn certificate(&self) -> &PinnedRoot {
        &self.certificate
    }

    /// Where the certificate lies, for `--root-ca` and `curl --cacert`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a key and a server certificate for `names`, valid around `now` but not longer than the
    /// root.
    pub fn leaf(&self, names: &[IpOrDns], now: Timestamp) -> Result<Leaf, BenchError> {
        if names.is_empty() {
            return Err(BenchError::NoNames);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(BenchError::Make)?;
        let not_before = shifted(now, BACK_DAYS.saturating_neg());
        let not_after = shifted(now, AHEAD_DAYS).min(self.certificate.not_after());
        let mut parameters = parameters("esp-ota bench server", not_before, not_after)?;
        parameters.subject_alt_names = names
            .iter()
            .map(|name| match name {
                IpOrDns::Ip(address) => Ok(SanType::IpAddress(*address)),
                IpOrDns::Dns(name) => name.as_ref().try_into().map(SanType::DnsName),
            })
            .collect::<Result<_, _>>()
            .map_err(BenchError::Make)?;
        parameters.is_ca = IsCa::ExplicitNoCa;
        parameters.use_authority_key_identifier_extension = true;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issuer = Issuer::from_ca_cert_der(self.certificate.der(), &self.key)
            .map_err(BenchError::Make)?;
        let leaf = parameters.signed_by(&key, &issuer).map_err(BenchError::Make)?;
        Ok(Leaf {
            chain: vec![leaf.der().clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            not_before,
            not_after,
        })
    }
}

fn root_parameters(now: Timestamp) -> Result<CertificateParams, BenchError> {
    let not_before = shifted(now, BACK_DAYS.saturating_neg());
    let mut root = parameters("esp-ota bench root", not_before, shifted(now, ROOT_DAYS))?;
    // Signs leaves and no further authorities.
    root.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    root.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(root)
}

fn parameters(
    common_name: &str,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<CertificateParams, BenchError> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    parameters.not_before = date(not_before)?;
    parameters.not_after = date(not_after)?;
    Ok(parameters)
}

/// rcgen's kind of time. Fails for years it cannot write.
fn date(time: Timestamp) -> Result<OffsetDateTime, BenchError> {
    OffsetDateTime::from_unix_timestamp(time.as_second())
        .map_err(|_| BenchError::Make(rcgen::Error::Time))
}

/// `time` in whole seconds, moved by `days`, as far as the calendar reaches.
fn shifted(time: Timestamp, days: i64) -> Timestamp {
    let end = if days < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let moved =
        time.checked_add(SignedDuration::from_hours(days.saturating_mul(24))).unwrap_or(end);
    Timestamp::from_second(moved.as_second()).unwrap_or(end)
}

fn public_key(root: &PinnedRoot) -> Option<Vec<u8>> {
    let (_, certificate) = X509Certificate::from_der(root.der()).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

/// The key in `path`, or `None` where there is no such file.
fn read_key(path: &Path) -> Result<Option<KeyPair>, BenchError> {
    let pem = match std::fs::read_to_string(path) {
        Ok(pem) => pem,
        Err(source) if source.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(BenchError::Read { path: path.to_owned(), source }),
    };
    refuse_exposed(path)?;
    KeyPair::from_pem(&pem)
        .map(Some)
        .map_err(|source| BenchError::KeyMalformed { path: path.to_owned(), source })
}

/// Refuses a key that the group or everybody can read or write.
#[cfg(unix)]
fn refuse_exposed(path: &Path) -> Result<(), BenchError> {
    use std::os::unix::fs::PermissionsExt;

    let metadata =
        path.metadata().map_err(|source| BenchError::Read { path: path.to_owned(), source })?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(BenchError::KeyExposed { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Elsewhere the user's own folder is what protects the key.
#[cfg(not(unix))]
fn refuse_exposed(_path: &Path) -> Result<(), BenchError> {
    Ok(())
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Writes a file that must not be there yet, in one step and with mode 0600.
fn write_new(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::aws_lc_rs::default_provider;
    use rustls::pki_types::{ServerName, UnixTime};

    use super::*;
    use crate::error::{Exit, Explained};
    use crate::trust::KeyType;

    fn now() -> Timestamp {
        "2026-11-22T10:11:12.5Z".parse().unwrap()
    }

    fn days(count: i64) -> SignedDuration {
        SignedDuration::from_hours(count.saturating_mul(24))
    }

    fn names(texts: &[&str]) -> Vec<IpOrDns> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    /// Asks rustls, at `time`, whether the leaf speaks for `name`.
    fn accepts(bench: &BenchRoot, leaf: &Leaf, name: &str, time: Timestamp) -> bool {
        let mut anchors = RootCertStore::empty();
        anchors.add(bench.certificate().der().clone()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(
            Arc::new(anchors),
            Arc::new(default_provider()),
        );
        let time = std::time::Duration::from_secs(time.as_second().try_into().unwrap());
        verifier
            .build()
            .unwrap()
            .verify_server_cert(
                &leaf.chain[0],
                &leaf.chain[1..],
                &ServerName::try_from(name.to_owned()).unwrap(),
                &[],
                UnixTime::since_unix_epoch(time),
            )
            .is_ok()
    }

    #[test]
    fn the_root_is_made_once_and_reused() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("new/bench");
        let first = BenchRoot::load_or_make(&place, now()).unwrap();
        assert_eq!(first.certificate().key(), KeyType::EcdsaP256);
        assert_eq!(first.certificate().subject(), "CN=esp-ota bench root");
        assert!(first.certificate().check_period(now() + days(3650)).is_ok());
        assert_eq!(first.path(), place.join("root.pem"));
        let again = BenchRoot::load_or_make(&place, now() + days(1)).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        assert_eq!(first.key.serialize_der(), again.key.serialize_der());
    }

    #[test]
    fn two_processes_that_make_the_root_at_once_end_with_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let roots: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let make = || BenchRoot::load_or_make(folder.path(), now());
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(make)).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap().unwrap().certificate().fingerprint())
                .collect()
        });
        assert!(roots.iter().all(|root| *root == roots[0]));
    }

    #[cfg(unix)]
    #[test]
    fn the_key_is_for_its_owner_alone_and_refused_when_it_is_not() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let key = folder.path().join(KEY_FILE);
        assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = BenchRoot::load_or_make(folder.path(), now()).err().unwrap();
        assert!(matches!(error, BenchError::KeyExposed { mode: 0o640, .. }), "{error}");
        assert_eq!(error.exit(), Exit::Project);
    }

    #[test]
    fn a_crash_between_key_and_certificate_heals_with_the_same_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        std::fs::remove_file(first.path()).unwrap();
        let healed = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        assert_eq!(public_key(first.certificate()), public_key(healed.certificate()));
    }

    #[test]
    fn a_lost_or_foreign_key_is_said_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let key = folder.path().join(KEY_FILE);
        std::fs::remove_file(&key).unwrap();
        let lost = BenchRoot::load_or_make(folder.path(), now()).err().unwrap();
        assert!(matches!(lost, BenchError::KeyMissing { .. }));
        assert!(!key.exists());
        write_new(folder.path(), &key, &KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let foreign = BenchRoot::load_or_make(folder.path(), now()).err().unwrap();
        assert!(matches!(foreign, BenchError::KeyMismatch { .. }));
        assert_eq!(foreign.exit(), Exit::Trust);
        let kept = root::read(first.path(), now()).unwrap();
        assert_eq!(kept[0].fingerprint(), first.certificate().fingerprint());
    }

    #[test]
    fn a_bench_root_past_its_end_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let error = BenchRoot::load_or_make(folder.path(), now() + days(3654)).err().unwrap();
        assert_eq!(error.exit(), Exit::Trust);
        assert!(error.help().unwrap().contains("root.pem"));
    }

    #[test]
    fn a_leaf_speaks_for_its_addresses_and_names_and_for_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let bench = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let leaf = bench.leaf(&names(&["192.168.1.7", "::1", "bench.local"]), now()).unwrap();
        assert_eq!(leaf.chain.len(), 1);
        for (name, good) in [
            ("192.168.1.7", true),
            ("::1", true),
            ("bench.local", true),
            ("192.168.1.8", false),
            ("other.local", false),
            ("esp-ota bench server", false),
        ] {
            if ServerName::try_from(name).is_ok() {
                assert_eq!(accepts(&bench, &leaf, name, now()), good, "{name}");
            }
        }
        let none = bench.leaf(&[], now()).unwrap_err();
        assert_eq!(none.exit(), Exit::Usage);
    }

    #[test]
    fn a_leaf_holds_for_devices_whose_clock_stands_months_back() {
        let folder = tempfile::tempdir().unwrap();
        let bench = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let leaf = bench.leaf(&names(&["bench.local"]), now()).unwrap();
        let good = |time| accepts(&bench, &leaf, "bench.local", time);
        assert!(good(now() - days(BACK_DAYS) + SignedDuration::from_secs(1)));
        assert!(!good(now() - days(BACK_DAYS) - SignedDuration::from_secs(1)));
        assert!(good(now() + days(AHEAD_DAYS) - SignedDuration::from_secs(1)));
        assert!(!good(now() + days(AHEAD_DAYS) + SignedDuration::from_secs(1)));
        assert!(leaf.not_after.duration_since(leaf.not_before) <= days(397));
    }

    #[test]
    fn a_leaf_does_not_outlive_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let bench = BenchRoot::load_or_make(folder.path(), now()).unwrap();
        let leaf = bench.leaf(&names(&["bench.local"]), now() + days(ROOT_DAYS - 1)).unwrap();
        assert_eq!(leaf.not_after, bench.certificate().not_after());
    }
}
