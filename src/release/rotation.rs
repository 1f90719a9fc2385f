//! New keys for roles, and the roots that say so.
//!
//! A device believes a new root because the keys of the one before signed it. It reads that root
//! before anything else, so between a root that drops a key and the first file that another key
//! signed, every device would refuse what is published. Where something is published, a rotation
//! therefore has two halves. The first is a root with the old and the new keys, which says which of
//! them are leaving, and everything signed again by both, as far as the old ones are at hand: good
//! under the root before, under this one and under the next, in whatever order a device comes to
//! see the files. The second half is a root without the old keys. It must not be seen before the
//! new metadata is, so it is for the caller to say when.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use tough::key_source::KeySource;
use tough::schema::Root;
use tough::schema::key::Key;

use super::keys::{KeyError, Role, SigningKey};
use super::metadata;
use super::plan::{Existing, Plan, Upload};
use super::repository::{Expiry, OnlineKeys, RepositoryError, State};
use super::root::{self, RootFile};
use super::rules::{self, MetadataSizes};
use crate::hex;

/// The field of a root that names the keys which the next root drops: role and ids. Devices ignore
/// it; the next run, on whatever machine, completes what it says.
const LEAVING: &str = "x-leaving";

/// A key that takes the place of others.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The ids of the keys that go, lower-case hexadecimal; none where they are gone already.
    pub old: Vec<String>,
    /// The key that comes.
    pub new: SigningKey,
}

/// What a rotation works with.
#[derive(Debug)]
pub struct Request<'a> {
    /// The newest root.
    pub newest: &'a RootFile,
    /// What is published under it, if anything is.
    pub live: Option<&'a State>,
    /// The new key of each role that gets one.
    pub replacements: &'a BTreeMap<Role, Replacement>,
    /// Every root key at hand, old and new. Those that no root lists are passed over.
    pub root_keys: &'a [SigningKey],
    /// The keys that sign what is published, the new ones where there are new ones; `None` where
    /// nothing has to be signed again.
    pub online: Option<&'a OnlineKeys>,
    /// Keys on their way out that sign beside them, for devices that do not see the new root yet.
    /// Those that are out already are passed over.
    pub beside: &'a [(Role, SigningKey)],
    /// Make a root also where no key changes: it is good for longer.
    pub renew: bool,
    /// The time that goes into the metadata.
    pub now: Timestamp,
    /// How long the new roots are good for, in days.
    pub root_days: u32,
}

/// What a rotation makes, before anything is written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rotation {
    /// The root that devices follow first: with the old and the new keys where something is
    /// published, else with the new ones alone. `None` where the newest is that already.
    pub first: Option<RootFile>,
    /// The first half: roots and metadata, in the order in which devices may see them.
    pub plan: Plan,
    /// The second half: the root without the old keys.
    pub last: Option<RootFile>,
}

impl Rotation {
    /// The new roots, the newest last.
    pub fn roots(&self) -> impl Iterator<Item = &RootFile> {
        self.first.iter().chain(&self.last)
    }

    /// The file of the second half.
    pub fn last_upload(&self) -> Option<Upload> {
        self.last.as_ref().map(|root| upload(root, Existing::Lost))
    }
}

impl RootFile {
    /// The keys that the next root drops, by role; none unless a rotation is half done.
    pub fn leaving(&self) -> BTreeMap<Role, Vec<String>> {
        let named = self.root._extra.get(LEAVING);
        let ids = |role: Role| {
            let ids = named?.get(role.name())?.as_array()?.iter().filter_map(Value::as_str);
            let (_, listed) = self.keys(role);
            let ids: Vec<String> =
                ids.map(str::to_owned).filter(|id| listed.contains(id)).collect();
            (!ids.is_empty()).then_some((role, ids))
        };
        Role::ALL.into_iter().filter_map(ids).collect()
    }

    /// The keys of a role that stay.
    pub fn staying(&self, role: Role) -> Vec<String> {
        let leaving = self.leaving().remove(&role).unwrap_or_default();
        let (_, mut keys) = self.keys(role);
        keys.retain(|id| !leaving.contains(id));
        keys
    }
}

/// Works out a rotation, or the rest of one that is half done. Nothing is written.
///
/// # Errors
///
/// Where the keys at hand are not those that the roots ask for, or too few, and where a root would
/// be larger than some release in the field can take.
pub async fn rotate(request: &Request<'_>) -> Result<Rotation, RepositoryError> {
    let newest = &request.newest.root;
    let live = request.live.filter(|live| live.is_live());
    let mut rotation = Rotation::default();
    let mut next = request.with_new_keys(request.newest)?;
    if live.is_none() {
        // No device reads anything that the old keys signed.
        drop_leaving(&mut next);
    }
    // A renewed root says nothing new but its end; one that drops keys does so anyway.
    let is_renewed = request.renew && !next._extra.contains_key(LEAVING);
    if is_renewed || !says_the_same(&next, newest) {
        rotation.first = Some(request.seal(newest, next).await?);
    }
    let both = rotation.first.as_ref().unwrap_or(request.newest);
    if both.root._extra.contains_key(LEAVING) {
        let mut next = request.after(&both.root)?;
        drop_leaving(&mut next);
        rotation.last = Some(request.seal(&both.root, next).await?);
    }

    if let (Some(online), Some(live)) = (request.online, live) {
        let last = rotation.last.as_ref().unwrap_or(both);
        let times = (request.now, Expiry::default());
        let beside = request.beside_under(both)?;
        rotation.plan = live.sign_again(last, online, (both, &beside), times).await?;
    }
    let releases = request.live.map(State::releases).unwrap_or_default();
    for root in rotation.roots() {
        let size = MetadataSizes { root: root.bytes.len(), ..MetadataSizes::default() };
        rules::within_caps(releases, size)?;
    }
    if rotation.first.is_some() || rotation.plan.timestamp.is_some() {
        let mut uploads = vec![upload(request.newest, Existing::Root)];
        uploads.extend(rotation.first.iter().map(|root| upload(root, Existing::Lost)));
        uploads.append(&mut rotation.plan.uploads);
        rotation.plan.uploads = uploads;
    }
    Ok(rotation)
}

fn upload(root: &RootFile, existing: Existing) -> Upload {
    Upload { path: root.path(), bytes: root.bytes.clone(), existing }
}

fn says_the_same(one: &Root, other: &Root) -> bool {
    (&one.keys, &one.roles, &one._extra) == (&other.keys, &other.roles, &other._extra)
}

/// Takes out the keys that are leaving.
fn drop_leaving(root: &mut Root) {
    let named = root._extra.remove(LEAVING);
    for role in Role::ALL {
        let ids = named.as_ref().and_then(|named| named.get(role.name())?.as_array());
        let goes = |id: &str| ids.is_some_and(|ids| ids.iter().any(|it| it.as_str() == Some(id)));
        if let Some(listed) = root.roles.get_mut(&role.tough()) {
            listed.keyids.retain(|id| !goes(&hex::lower(id)));
        }
    }
    drop_unnamed(root);
}

/// Takes out the keys that no role lists any more.
fn drop_unnamed(root: &mut Root) {
    let named: Vec<_> = root.roles.values().flat_map(|role| role.keyids.clone()).collect();
    root.keys.retain(|id, _| named.contains(id));
}

impl Request<'_> {
    /// The root after `before`, unsigned: with the same keys.
    fn after(&self, before: &Root) -> Result<Root, RepositoryError> {
        let mut next = before.clone();
        next.version =
            before.version.checked_add(1).ok_or(RepositoryError::UsedUp { role: Role::Root })?;
        next.expires = metadata::days_after(self.now, self.root_days)?;
        Ok(next)
    }

    /// The root after `newest`, unsigned: the new keys beside the old ones, which are leaving.
    fn with_new_keys(&self, newest: &RootFile) -> Result<Root, RepositoryError> {
        let mut next = self.after(&newest.root)?;
        let mut leaving = newest.leaving();
        for (role, replacement) in self.replacements {
            let key: Key = replacement.new.public();
            let id = key
                .key_id()
                .map_err(|source| RepositoryError::Encode { role: *role, source: source.into() })?;
            let Some(listed) = next.roles.get_mut(&role.tough()) else { continue };
            if *role == Role::Root {
                // Proven by the old keys at once; nothing else is signed by them.
                listed.keyids.retain(|it| !replacement.old.contains(&hex::lower(it)));
            } else {
                let ids = leaving.entry(*role).or_default();
                ids.extend(replacement.old.iter().cloned());
                ids.sort();
                ids.dedup();
            }
            if !listed.keyids.contains(&id) {
                listed.keyids.push(id.clone());
            }
            next.keys.insert(id, key);
        }
        leaving.retain(|_, ids| !ids.is_empty());
        drop_unnamed(&mut next);
        if !leaving.is_empty() {
            let named = leaving.into_iter().map(|(role, ids)| (role.name().to_owned(), ids.into()));
            next._extra.insert(LEAVING.to_owned(), Value::Object(named.collect()));
        }
        Ok(next)
    }

    fn beside_under(&self, root: &RootFile) -> Result<Vec<(Role, SigningKey)>, RepositoryError> {
        let mut beside = Vec::new();
        for (role, key) in self.beside {
            if root.keys(*role).1.contains(&key.id().map_err(encode)?) {
                beside.push((*role, key.clone()));
            }
        }
        Ok(beside)
    }

    /// Signs a root with the keys that it and the one before it list.
    async fn seal(&self, before: &Root, next: Root) -> Result<RootFile, RepositoryError> {
        let mut listed: Vec<&dyn KeySource> = Vec::new();
        for key in self.root_keys {
            let id = key.id().map_err(encode)?;
            let is_listed = [before, &next].iter().any(|root| {
                let keys = root.roles.get(&Role::Root.tough());
                keys.is_some_and(|keys| keys.keyids.iter().any(|it| hex::lower(it) == id))
            });
            if is_listed {
                listed.push(key);
            }
        }
        if listed.is_empty() {
            // Says which key it is that may not sign.
            listed.extend(self.root_keys.iter().map(|key| -> &dyn KeySource { key }));
        }
        let bytes = metadata::seal_under(Role::Root, &next, &[before, &next], &listed).await?;
        root::successor_of(before, bytes)
    }
}

fn encode(error: KeyError) -> RepositoryError {
    RepositoryError::Encode { role: Role::Root, source: error.into() }
}
