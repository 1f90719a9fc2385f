//! Roots that may be proposed for pinning: Mozilla's, or those of a file.

use std::fmt;
use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;

use crate::trust::pem_file::{self, Limits};
use crate::trust::refusal::RootError;

/// The bundle of an operating system has 140 certificates and 220 KB.
const LIMITS: Limits = Limits { bytes: 1024 * 1024, certificates: 512 };

/// A set of roots to look in.
#[derive(Clone, Debug)]
pub struct Candidates {
    file: Option<PathBuf>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Candidates {
    /// What Mozilla trusts for TLS servers, as of the version of the crate that carries it.
    pub fn mozilla() -> Self {
        Self { file: None, certificates: webpki_root_certs::TLS_SERVER_ROOT_CERTS.to_vec() }
    }

    /// The certificates of a PEM file.
    pub fn read(file: &Path) -> Result<Self, RootError> {
        let pem = pem_file::read(file, LIMITS)?;
        let certificates = pem_file::certificates(file, &pem, LIMITS)?;
        Ok(Self { file: Some(file.to_owned()), certificates })
    }

    /// Whether they come from a file.
    pub(super) fn is_file(&self) -> bool {
        self.file.is_some()
    }

    /// Each of them, unchecked.
    pub(super) fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.certificates.iter()
    }
}

impl fmt::Display for Candidates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "`{}`", file.display()),
            None => f.write_str("Mozilla's set"),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::trust::root;

    #[test]
    fn nearly_all_that_mozilla_trusts_can_be_pinned_and_what_cannot_is_said_why() {
        let now: Timestamp = "2026-11-25T00:00:00Z".parse().unwrap();
        let set = Candidates::mozilla();
        let (good, bad): (Vec<_>, Vec<_>) =
            set.iter().map(|der| root::check(der, now)).partition(Result::is_ok);
        assert!(good.len() > 80 && bad.len() < 20, "{} and {}", good.len(), bad.len());
        let named = |name: &str| {
            good.iter().flatten().any(|root| root.subject().ends_with(&format!("CN={name}")))
        };
        assert!(named("ISRG Root X1") && named("ISRG Root X2") && named("GTS Root R4"));
    }

    #[test]
    fn a_file_of_candidates_may_be_larger_than_one_of_roots_and_needs_a_certificate() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/roots");
        assert_eq!(Candidates::read(&folder.join("sha1.pem")).unwrap().iter().count(), 1);
        assert!(matches!(Candidates::read(&folder.join("none")), Err(RootError::Read { .. })));
        assert!(matches!(Candidates::read(&folder.join("why.md")), Err(RootError::NotPem { .. })));
    }
}
