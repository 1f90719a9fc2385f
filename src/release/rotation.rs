//! New keys for roles, and the roots that say so.
//!
//! A device believes a new root because the keys of the one before signed it. It reads that root
//! before anything else, so between a root that drops a key and the first file that another key
//! signed, every device would refuse what is published. Where something is published, a rotation
//! therefore takes two roots: one with the old and the new keys, under which both the present and
//! the new metadata are good, and, once the new metadata is there, one without the old keys.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tough::key_source::KeySource;
use tough::schema::Root;
use tough::schema::key::Key;

use super::keys::{KeyError, Role, SigningKey};
use super::metadata;
use super::plan::{Existing, Plan, Upload};
use super::repository::{Expiry, OnlineKeys, RepositoryError, State};
use super::root::{self, RootFile};
use crate::hex;

/// A key that takes the place of another.
#[derive(Clone, Debug)]
pub struct Replacement {
    /// The id of the key that goes, lower-case hexadecimal; `None` where it is gone already.
    pub old: Option<String>,
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
    /// Make a root also where no key changes: it is good for longer.
    pub renew: bool,
    /// The time that goes into the metadata.
    pub now: Timestamp,
    /// How long the new roots are good for, in days.
    pub root_days: u32,
}

/// What a rotation makes, before anything is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Rotation {
    /// The new roots, the newest last: none, one or two.
    pub roots: Vec<RootFile>,
    /// The files, in the order in which devices may see them.
    pub plan: Plan,
}

/// Works out a rotation. Nothing is written.
///
/// # Errors
///
/// Where the keys at hand are not those that the roots ask for, or too few.
pub async fn rotate(request: &Request<'_>) -> Result<Rotation, RepositoryError> {
    let mut roots = Vec::new();
    let mut newest = request.newest.clone();
    let is_live = request.live.is_some_and(State::is_live);
    let needs_both = is_live && request.online.is_some();
    for keeps_old in [true, false] {
        if keeps_old && !needs_both {
            continue;
        }
        let next = request.successor(&newest.root, keeps_old)?;
        let is_last = !keeps_old;
        let is_new = next.keys != newest.root.keys || next.roles != newest.root.roles;
        // A renewed root says nothing new but its end.
        if is_new || (is_last && request.renew && roots.is_empty()) {
            newest = request.seal(&newest.root, next).await?;
            roots.push(newest.clone());
        }
    }

    let upload = |root: &RootFile, existing| {
        let (path, bytes) = (root.path(), root.bytes.clone());
        Upload { path, bytes, existing }
    };
    let mut plan = Plan::default();
    if roots.is_empty() {
        return Ok(Rotation { roots, plan });
    }
    let (before, last) = match (request.online, request.live, &roots[..]) {
        (Some(online), Some(live), [.., last]) if is_live => {
            // Good under the root on the way and under the last one: both list the new keys.
            let times = (request.now, Expiry::default());
            plan = live.sign_again(last, online, times).await?;
            match &roots[..] {
                [first, last] => (vec![first], Some(last)),
                _ => (Vec::new(), Some(last)),
            }
        }
        _ => (roots.iter().collect(), None),
    };
    let mut uploads = vec![upload(request.newest, Existing::Root)];
    uploads.extend(before.into_iter().map(|root| upload(root, Existing::Lost)));
    uploads.append(&mut plan.uploads);
    plan.uploads = uploads;
    // Written after the new metadata went live.
    plan.plain = last.map(|root| upload(root, Existing::Lost)).into_iter().collect();
    Ok(Rotation { roots, plan })
}

impl Request<'_> {
    /// The next root, unsigned: the new keys in place of the old ones, or beside them.
    fn successor(&self, before: &Root, keeps_old: bool) -> Result<Root, RepositoryError> {
        let mut next = before.clone();
        next.version =
            before.version.checked_add(1).ok_or(RepositoryError::UsedUp { role: Role::Root })?;
        next.expires = metadata::days_after(self.now, self.root_days)?;
        for (role, replacement) in self.replacements {
            let key: Key = replacement.new.public();
            let id = key
                .key_id()
                .map_err(|source| RepositoryError::Encode { role: *role, source: source.into() })?;
            let Some(listed) = next.roles.get_mut(&role.tough()) else { continue };
            // The root's own change is proven by the old keys at once.
            let goes = !keeps_old || *role == Role::Root;
            listed.keyids.retain(|listed| {
                !(goes && Some(hex::lower(listed)) == replacement.old) && *listed != id
            });
            listed.keyids.push(id.clone());
            next.keys.insert(id, key);
        }
        let named: Vec<_> = next.roles.values().flat_map(|role| role.keyids.clone()).collect();
        next.keys.retain(|id, _| named.contains(id));
        Ok(next)
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
