//! PEM files of certificates: how much of one is read, and what else is in them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls_pemfile::Item;

use crate::trust::refusal::RootError;

/// How much a file may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Certificates in it.
    pub certificates: usize,
}

/// Reads a file, one byte beyond the limit at most.
pub(super) fn read(file: &Path, limits: Limits) -> Result<Vec<u8>, RootError> {
    let mut pem = Vec::new();
    let limit = u64::try_from(limits.bytes).unwrap_or(u64::MAX);
    File::open(file)
        .and_then(|opened| opened.take(limit.saturating_add(1)).read_to_end(&mut pem))
        .map_err(|source| RootError::Read { file: file.to_owned(), source })?;
    Ok(pem)
}

/// The certificates of a PEM file, still unchecked. At least one.
pub(super) fn certificates(
    file: &Path,
    pem: &[u8],
    limits: Limits,
) -> Result<Vec<CertificateDer<'static>>, RootError> {
    let file = || file.to_owned();
    if pem.len() > limits.bytes {
        return Err(RootError::TooLarge { file: file(), limit: limits.bytes });
    }
    // Looked for in the text, because rustls-pemfile skips the kinds it does not know, encrypted
    // keys among them.
    let text = String::from_utf8_lossy(pem);
    if text.contains("PRIVATE KEY-----") {
        return Err(RootError::PrivateKey { file: file() });
    }
    if !text.contains("-----BEGIN ") {
        return Err(RootError::NotPem { file: file(), reason: "no `-----BEGIN` line".to_owned() });
    }
    let mut found = Vec::new();
    for item in rustls_pemfile::read_all(&mut &*pem) {
        match item {
            Ok(Item::X509Certificate(der)) => found.push(der),
            // The enum may grow; whatever is not a certificate is not for us.
            Ok(_) => {}
            Err(source) => {
                return Err(RootError::NotPem { file: file(), reason: source.to_string() });
            }
        }
        if found.len() > limits.certificates {
            return Err(RootError::TooMany { file: file(), limit: limits.certificates });
        }
    }
    if found.is_empty() {
        return Err(RootError::NoCertificate { file: file() });
    }
    Ok(found)
}
