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
