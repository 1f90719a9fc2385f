//! Signs the list of images, the list of metadata and what is newest, each naming the one before.

use std::collections::HashMap;
use std::num::NonZeroU64;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tough::TargetName;
use tough::key_source::KeySource;
use tough::schema::{self, Hashes, Metafile, Role as Metadata, Root, Snapshot, Target, Targets};

use super::{Expiry, State, withdrawn};
use crate::release::keys::{Role, SigningKey};
use crate::release::metadata::{self, SPECIFICATION};
use crate::release::plan::{Existing, STAGED_TIMESTAMP, Upload};
use crate::release::repository::RepositoryError;
use crate::release::rules::{self, MetadataSizes, Release};

/// The keys that sign, and the root that names them.
pub(super) struct Signers<'a> {
    pub(super) root: &'a Root,
    /// Bytes of that root's file.
    pub(super) root_size: usize,
    /// `None`: the list of images stays as it is.
    pub(super) targets: Option<&'a SigningKey>,
    pub(super) snapshot: &'a SigningKey,
    pub(super) timestamp: &'a SigningKey,
    /// Keys that sign beside these, and the root that lists them: those of a rotation.
    pub(super) beside: Option<(&'a Root, &'a [(Role, SigningKey)])>,
}

impl Signers<'_> {
    async fn sign<M: Metadata>(
        &self,
        role: Role,
        metadata: &M,
        key: &SigningKey,
    ) -> Result<Vec<u8>, RepositoryError> {
        let mut roots = vec![self.root];
        let mut keys: Vec<&dyn KeySource> = vec![key];
        if let Some((root, beside)) = self.beside {
            roots.push(root);
            let of_role = beside.iter().filter(|(it, _)| *it == role);
            keys.extend(of_role.map(|(_, key)| -> &dyn KeySource { key }));
        }
        metadata::seal_under(role, metadata, &roots, &keys).await
    }
}

/// Signed metadata, not written yet.
pub(super) struct Sealed {
    targets: Option<(NonZeroU64, Vec<u8>)>,
    snapshot: (NonZeroU64, Vec<u8>),
    pub(super) timestamp: Vec<u8>,
}

impl State {
    /// Signs what the repository will list.
    pub(super) async fn seal(
        &self,
        signers: &Signers<'_>,
        targets: HashMap<TargetName, Target>,
        releases: &[Release],
        (now, expiry): (jiff::Timestamp, Expiry),
    ) -> Result<Sealed, RepositoryError> {
        let after = |days| metadata::days_after(now, days);
        let (targets, listed) = match (signers.targets, &self.targets_file) {
            (Some(key), _) => {
                let targets = Targets {
                    spec_version: SPECIFICATION.to_owned(),
                    version: self.targets_number,
                    expires: after(expiry.targets)?,
                    targets,
                    delegations: None,
                    _extra: withdrawn::written(&self.withdrawn),
                };
                let bytes = signers.sign(Role::Targets, &targets, key).await?;
                let listed = metafile(self.targets_number, &bytes);
                (Some((self.targets_number, bytes)), listed)
            }
            (None, Some(live)) => (None, live.clone()),
            (None, None) => {
                return Err(RepositoryError::MetadataMissing("targets.json".to_owned()));
            }
        };

        let mut snapshot =
            Snapshot::new(SPECIFICATION.to_owned(), self.snapshot_number, after(expiry.snapshot)?);
        snapshot.meta.insert("targets.json".into(), listed);
        let snapshot = signers.sign(Role::Snapshot, &snapshot, signers.snapshot).await?;

        // The timestamp shares the snapshot's number. A publish that died after staging a
        // timestamp also left its `N.snapshot.json`, so neither number comes again.
        let mut timestamp = schema::Timestamp::new(
            SPECIFICATION.to_owned(),
            self.snapshot_number,
            after(expiry.timestamp)?,
        );
        timestamp.meta.insert("snapshot.json".into(), metafile(self.snapshot_number, &snapshot));
        let signed_at = after(0)?.to_string();
        timestamp._extra.insert("x-signed-at".into(), Value::String(signed_at));
        let timestamp = signers.sign(Role::Timestamp, &timestamp, signers.timestamp).await?;

        let sizes = MetadataSizes {
            root: signers.root_size,
            timestamp: timestamp.len(),
            snapshot: snapshot.len(),
            targets: targets.as_ref().map_or(0, |(_, bytes)| bytes.len()),
        };
        rules::within_caps(releases, sizes)?;
        Ok(Sealed { targets, snapshot: (self.snapshot_number, snapshot), timestamp })
    }
}

impl Sealed {
    pub(super) fn uploads(&self) -> Vec<Upload> {
        let numbered = |role: Role, (number, bytes): &(NonZeroU64, Vec<u8>)| Upload {
            path: format!("metadata/{number}.{role}.json"),
            bytes: bytes.clone(),
            existing: Existing::Lost,
        };
        let targets = self.targets.iter().map(|targets| numbered(Role::Targets, targets));
        let mut uploads: Vec<Upload> = targets.collect();
        uploads.push(numbered(Role::Snapshot, &self.snapshot));
        uploads.push(Upload {
            path: STAGED_TIMESTAMP.to_owned(),
            bytes: self.timestamp.clone(),
            existing: Existing::Newest(self.snapshot.0.get()),
        });
        uploads
    }
}

fn metafile(version: NonZeroU64, bytes: &[u8]) -> Metafile {
    Metafile {
        length: u64::try_from(bytes.len()).ok(),
        hashes: Some(Hashes {
            sha256: Sha256::digest(bytes).to_vec().into(),
            _extra: HashMap::new(),
        }),
        version,
        _extra: HashMap::new(),
    }
}
