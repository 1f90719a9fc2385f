//! Signs one metadata file and turns it into the bytes that are published.
//!
//! The `signed` part stands in the file in its canonical form, the very bytes that were signed:
//! the file is small, the same on every run, and readers that hash while they read need no copy.

use aws_lc_rs::rand::SystemRandom;
use jiff::Timestamp;
use tough::key_source::KeySource;
use tough::schema::decoded::{Decoded, Hex};
use tough::schema::{Role as Metadata, Root, Signature};

use super::keys::Role;
use super::repository::error::RepositoryError;
use crate::hex;

/// The version of the TUF specification that the metadata follows.
pub(super) const SPECIFICATION: &str = "1.0.31";

/// Signs `metadata` with `keys`, each of which must be a key that `root` lists for `role`.
pub(super) async fn seal<M: Metadata>(
    role: Role,
    metadata: &M,
    root: &Root,
    keys: &[&dyn KeySource],
) -> Result<Vec<u8>, RepositoryError> {
    seal_under(role, metadata, &[root], keys).await
}

/// The same under several roots: each has to list a threshold of the keys, and each key has to be
/// listed by one of them. A new root is signed so, under the one before it and under itself.
pub(super) async fn seal_under<M: Metadata>(
    role: Role,
    metadata: &M,
    roots: &[&Root],
    keys: &[&dyn KeySource],
) -> Result<Vec<u8>, RepositoryError> {
    let canonical = metadata
        .canonical_form()
        .map_err(|source| RepositoryError::Encode { role, source: source.into() })?;
    // Clients differ in how they normalise and escape anything else (design, section 5).
    if !canonical.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(RepositoryError::NotAscii { role });
    }
    let signatures = sign(role, &canonical, roots, keys).await?;

    let mut file = Vec::new();
    file.extend_from_slice(b"{\"signatures\":");
    serde_json::to_writer(&mut file, &signatures)
        .map_err(|source| RepositoryError::Encode { role, source: source.into() })?;
    file.extend_from_slice(b",\"signed\":");
    file.extend_from_slice(&canonical);
    file.extend_from_slice(b"}\n");
    Ok(file)
}

async fn sign(
    role: Role,
    message: &[u8],
    roots: &[&Root],
    keys: &[&dyn KeySource],
) -> Result<Vec<Signature>, RepositoryError> {
    let listed = |root: &Root| {
        root.roles
            .get(&role.tough())
            .map_or((Vec::new(), 1), |keys| (keys.keyids.clone(), keys.threshold.get()))
    };
    let asked: Vec<_> = roots.iter().map(|root| listed(root)).collect();
    let mut signatures: Vec<Signature> = Vec::new();
    for key in keys {
        let failed = |source| RepositoryError::Sign { role, source };
        let signer = key.as_sign().await.map_err(failed)?;
        let keyid = signer
            .tuf_key()
            .key_id()
            .map_err(|source| RepositoryError::Encode { role, source: source.into() })?;
        if !asked.iter().any(|(ids, _)| ids.contains(&keyid)) {
            let mut trusted: Vec<_> =
                asked.iter().flat_map(|(ids, _)| ids).map(|id| hex::lower(id)).collect();
            trusted.dedup();
            return Err(RepositoryError::KeyNotInRoot { role, key: hex::lower(&keyid), trusted });
        }
        let sig = signer.sign(message, &SystemRandom::new()).await.map_err(failed)?;
        signatures.push(Signature { keyid, sig: Decoded::<Hex>::from(sig) });
    }
    signatures.sort_by(|one, other| one.keyid.cmp(&other.keyid));
    signatures.dedup_by(|one, other| one.keyid == other.keyid);
    for (ids, threshold) in asked {
        let keys = signatures.iter().filter(|it| ids.contains(&it.keyid)).count();
        if u64::try_from(keys).map_or(true, |count| count < threshold) {
            return Err(RepositoryError::Threshold { role, keys, threshold });
        }
    }
    Ok(signatures)
}

/// `now` and a number of days, in whole seconds: TUF's date format knows no fractions.
pub(super) fn days_after(now: Timestamp, days: u32) -> Result<Timestamp, RepositoryError> {
    const SECONDS_OF_A_DAY: i64 = 86_400;
    i64::from(days)
        .checked_mul(SECONDS_OF_A_DAY)
        .and_then(|seconds| now.as_second().checked_add(seconds))
        .and_then(|second| Timestamp::from_second(second).ok())
        .ok_or(RepositoryError::Expiry { days })
}
