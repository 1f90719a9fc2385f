//! Certificates by their fingerprints: what a release pins is published as fingerprints only.

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};

use crate::hex;
use crate::trust::candidates::Candidates;
use crate::trust::root::PinnedRoot;

/// Roots that a release may pin: the project's, and those of a set.
#[derive(Clone, Debug, Default)]
pub struct Known(Vec<(String, CertificateDer<'static>)>);

impl Known {
    /// The roots of a project, and candidates beside them.
    pub fn new(roots: &[PinnedRoot], candidates: &[Candidates]) -> Self {
        let own = roots.iter().map(|root| root.der());
        let all = own.chain(candidates.iter().flat_map(Candidates::iter));
        Self(all.map(|der| (hex::lower(&Sha256::digest(der)), der.clone())).collect())
    }

    /// The certificate with this SHA-256 in lower-case hex.
    pub fn find(&self, sha256: &str) -> Option<&CertificateDer<'static>> {
        self.0.iter().find(|(known, _)| known == sha256).map(|(_, der)| der)
    }
}
