//! The releases in targets metadata that somebody else has verified: the device's own client.

use tough::schema::{Signed, Targets};

use super::repository::{RepositoryError, releases};
use super::rules::Release;

/// Reads the releases of a whole targets file, signatures and all, by file name.
///
/// # Errors
///
/// Nothing is verified here. What a device's client accepts can still say something about an image
/// that this version does not understand.
pub fn read(targets: &[u8]) -> Result<Vec<Release>, RepositoryError> {
    let signed: Signed<Targets> = serde_json::from_slice(targets)
        .map_err(|source| RepositoryError::Custom { target: "targets.json".to_owned(), source })?;
    releases(&signed.signed.targets)
}
