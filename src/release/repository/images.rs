//! Whether the files that the metadata lists are what it says.

use sha2::{Digest, Sha256};

use super::error::RepositoryError;
use crate::hex;
use crate::release::rules::Release;
use crate::release::store::Store;

/// Reads every listed image and compares it with its hash: what a device does only once it installs
/// one.
///
/// # Errors
///
/// The first that is damaged, before the first that is missing.
pub async fn verify_images(store: &Store, releases: &[Release]) -> Result<(), RepositoryError> {
    let mut missing = None;
    for release in releases {
        let path = release.image_path();
        let Some(image) = store.read(&path).await? else {
            missing = missing.or(Some(path));
            continue;
        };
        let found = hex::lower(&Sha256::digest(&image));
        if found != release.sha256 {
            return Err(RepositoryError::ImageDamaged { path, found });
        }
    }
    missing.map_or(Ok(()), |path| Err(RepositoryError::ImageMissing(path)))
}
