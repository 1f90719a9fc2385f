//! From what is published, and what shall change, to the files of the next state.

use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;

use sha2::{Digest, Sha256};
use tough::TargetName;
use tough::schema::Target;

use super::seal::Signers;
use super::{NewRelease, OnlineKeys, RepositoryError, State, Terms, target};
use crate::chip::Chip;
use crate::hex;
use crate::release::custom::Rollout;
use crate::release::keep;
use crate::release::keys::PublishKeys;
use crate::release::plan::{Copy, Existing, Plan, Upload};
use crate::release::rules::{self, Release, Verdict};

/// What the next state has that the present one has not.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Images to list.
    pub new: Vec<NewRelease>,
    /// Another rollout for the listed release of this file name.
    pub rollouts: Vec<(String, Rollout)>,
    /// File names of releases that are listed no longer.
    pub withdrawn: BTreeSet<String>,
}

/// Everything that will be listed, twice: as it is encoded and as it is understood.
struct Listing {
    targets: HashMap<TargetName, Target>,
    releases: Vec<Release>,
}

impl State {
    /// Works out all files of the state in which these images are listed, too. Nothing is written.
    ///
    /// # Errors
    ///
    /// Beside failures to sign: any image that the rules of [`rules`] refuse.
    pub async fn publish(
        &self,
        keys: &PublishKeys,
        new: Vec<NewRelease>,
        terms: Terms<'_>,
    ) -> Result<Plan, RepositoryError> {
        self.next(keys, Changes { new, ..Changes::default() }, terms).await
    }

    /// The same, and where an image is new, whatever is older than the newest `keep` of its chip and
    /// channel is listed no longer.
    ///
    /// # Errors
    ///
    /// As [`State::publish`].
    pub async fn publish_and_keep(
        &self,
        keys: &PublishKeys,
        new: Vec<NewRelease>,
        keep: Option<NonZeroU32>,
        terms: Terms<'_>,
    ) -> Result<Plan, RepositoryError> {
        let mut withdrawn = BTreeSet::new();
        if let Some(keep) = keep {
            let mut listing = Listing::of(self);
            let mut verdicts = Vec::new();
            for new in &new {
                verdicts.push(listing.add(new.clone())?.2);
            }
            if verdicts.contains(&Verdict::New) {
                withdrawn = keep::beyond(&listing.releases, keep);
            }
        }
        self.next(keys, Changes { new, withdrawn, ..Changes::default() }, terms).await
    }

    /// Works out all files of the next state. Nothing is written. Where nothing changes in the
    /// metadata, only plain copies are looked after.
    ///
    /// # Errors
    ///
    /// Beside failures to sign: any image that the rules of [`rules`] refuse, and changes to
    /// releases that are not listed.
    pub async fn next(
        &self,
        keys: &PublishKeys,
        changes: Changes,
        terms: Terms<'_>,
    ) -> Result<Plan, RepositoryError> {
        let mut plan = Plan { base: self.base.clone(), ..Plan::default() };
        let mut listing = Listing::of(self);
        for name in &changes.withdrawn {
            plan.withdrawn.push(listing.withdraw(name)?);
        }
        for (name, rollout) in changes.rollouts {
            listing.roll_out(&name, rollout)?;
        }
        let mut images = Vec::new();
        for new in changes.new {
            let (release, image, verdict) = listing.add(new)?;
            if verdict == Verdict::New {
                plan.added.push(release.clone());
            }
            images.push((release, image));
        }
        listing.plain_copies(self, &images, terms.plain_channel, &mut plan);
        // An image that is listed already is put right where it is damaged or missing.
        plan.uploads = images
            .iter()
            .map(|(release, image)| Upload {
                path: release.image_path(),
                bytes: image.clone(),
                existing: Existing::Repair,
            })
            .collect();
        if listing.releases == self.releases {
            return Ok(plan);
        }

        let signers = Signers {
            root: &self.root,
            root_size: self.root_file.bytes.len(),
            targets: Some(&keys.targets),
            snapshot: &keys.snapshot,
            timestamp: &keys.timestamp,
            beside: None,
        };
        let times = (terms.now, terms.expiry);
        let is_listed =
            |path: &String| listing.releases.iter().any(|release| release.image_path() == *path);
        let gone = plan.withdrawn.iter().map(Release::image_path).chain(self.withdrawn.clone());
        let withdrawn = gone.filter(|path| !is_listed(path)).collect();
        let state = Self { withdrawn, ..self.clone() };
        let sealed = state.seal(&signers, listing.targets, &listing.releases, times).await?;
        plan.uploads.push(self.root_file.clone());
        plan.uploads.extend(sealed.uploads());
        plan.timestamp = Some(sealed.timestamp);
        plan.releases = listing.releases;
        Ok(plan)
    }

    /// Signs everything anew under the same root, as it is listed now, to make it good for longer.
    /// Nothing is written.
    pub async fn refresh(
        &self,
        keys: &OnlineKeys,
        terms: Terms<'_>,
    ) -> Result<Plan, RepositoryError> {
        let signers = Signers {
            root: &self.root,
            root_size: self.root_file.bytes.len(),
            targets: keys.targets.as_ref(),
            snapshot: &keys.snapshot,
            timestamp: &keys.timestamp,
            beside: None,
        };
        let times = (terms.now, terms.expiry);
        let sealed = self.seal(&signers, self.targets.clone(), &self.releases, times).await?;
        let mut uploads = vec![self.root_file.clone()];
        uploads.extend(sealed.uploads());
        Ok(Plan {
            uploads,
            timestamp: Some(sealed.timestamp),
            base: self.base.clone(),
            releases: self.releases.clone(),
            ..Plan::default()
        })
    }
}

impl Listing {
    fn of(state: &State) -> Self {
        Self { targets: state.targets.clone(), releases: state.releases.clone() }
    }

    fn add(&mut self, new: NewRelease) -> Result<(Release, Vec<u8>, Verdict), RepositoryError> {
        let NewRelease { image, mut custom } = new;
        custom.version = rules::version(&custom.version)?.to_string();
        let digest = Sha256::digest(&image).to_vec();
        let length = u64::try_from(image.len()).unwrap_or(u64::MAX);
        let release = Release { sha256: hex::lower(&digest), length, custom };
        let verdict = rules::judge(&self.releases, &release)?;
        if verdict == Verdict::New {
            let (name, target) = target(&release, digest)?;
            self.targets.insert(name, target);
            self.releases.push(release.clone());
            self.releases.sort_by_cached_key(|release| release.custom.file_name());
        }
        Ok((release, image, verdict))
    }

    fn withdraw(&mut self, name: &str) -> Result<Release, RepositoryError> {
        let place = self.releases.iter().position(|release| release.custom.file_name() == name);
        let place = place.ok_or_else(|| RepositoryError::NotListed(name.to_owned()))?;
        self.targets.retain(|target, _| target.raw() != name);
        Ok(self.releases.remove(place))
    }

    fn roll_out(&mut self, name: &str, rollout: Rollout) -> Result<(), RepositoryError> {
        let release = self.releases.iter_mut().find(|it| it.custom.file_name() == name);
        let target = self.targets.iter_mut().find(|(target, _)| target.raw() == name);
        let (Some(release), Some((_, target))) = (release, target) else {
            return Err(RepositoryError::NotListed(name.to_owned()));
        };
        let value = serde_json::to_value(&rollout)
            .map_err(|source| RepositoryError::Custom { target: name.to_owned(), source })?;
        // Whatever a later version of this tool says beside it stays.
        target.custom.insert("rollout".to_owned(), value);
        release.custom.rollout = rollout;
        Ok(())
    }

    /// The plain copy of each chip: of an image at hand it is looked after whenever that is the
    /// one; else only where another release has become the one.
    fn plain_copies(
        &self,
        before: &State,
        images: &[(Release, Vec<u8>)],
        channel: &str,
        plan: &mut Plan,
    ) {
        let everything = self.releases.iter().chain(&before.releases);
        let kinds: BTreeSet<(&str, Chip)> = everything
            .map(|release| (release.custom.product.as_str(), release.custom.chip))
            .collect();
        for (product, chip) in kinds {
            let path = format!("{chip}/firmware.bin");
            let newest = |releases| rules::newest_for_everyone(releases, (product, chip), channel);
            let (old, new) = (newest(&before.releases), newest(&self.releases));
            let at_hand = images.iter().find(|(release, _)| Some(release) == new);
            let is_same = |old: &Release| new.is_some_and(|new| new.sha256 == old.sha256);
            match (new, at_hand) {
                (_, Some((_, image))) => plan.plain.push(Upload {
                    path,
                    bytes: image.clone(),
                    existing: Existing::Repair,
                }),
                (Some(new), None) if !old.is_some_and(is_same) => {
                    plan.copies.push(Copy { path, of: new.clone() });
                }
                (None, None) if old.is_some() => plan.obsolete.push(path),
                (Some(_) | None, None) => {}
            }
        }
    }
}
