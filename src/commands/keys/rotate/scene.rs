//! What a rotation is worked out from: keys, roots and what is published.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::RotateError;
use super::public::Stored;
use super::walk::Files;
use crate::commands::build::tuf_root;
use crate::commands::{Context, context};
use crate::config::Project;
use crate::error::Failure;
use crate::release::keys::{Held, KeyFolder, KeyPlace, Role, SigningKey, Supplied};
use crate::release::plan::LIVE_TIMESTAMP;
use crate::release::repository::{OnlineKeys, State};
use crate::release::root::{self, RootFile};
use crate::release::rotation::Replacement;
use crate::release::store::Store;

/// Least digits by which `--key` names a key.
const LEAST_DIGITS: usize = 8;
/// The roles whose keys sign what is published.
pub(super) const ONLINE: [Role; 3] = [Role::Targets, Role::Snapshot, Role::Timestamp];

/// Everything that a rotation is worked out from.
pub(super) struct Scene {
    /// Where the keys are that are in use.
    pub(super) folder: KeyFolder,
    /// Where new ones go.
    pub(super) new_keys: KeyFolder,
    pub(super) supplied: Supplied,
    pub(super) store: Store,
    /// The root that firmware embeds, and its successors in the store.
    pub(super) chain: Vec<RootFile>,
    pub(super) trusted: RootFile,
    pub(super) newest: RootFile,
    pub(super) live: State,
    timestamp: Option<Vec<u8>>,
    pub(super) now: Timestamp,
}

impl Scene {
    pub(super) async fn of(
        context: &Context,
        project: &Project,
        keys_out: Option<&Path>,
    ) -> Result<Self, Failure> {
        let bytes = tuf_root(project)?;
        let store = context.store(project)?;
        let trusted = root::read(&bytes)?;
        let chain = root::chain(&store, &bytes).await?;
        let live = State::load_for_rotation(&store, &bytes).await?;
        let folder =
            KeyFolder::new(&context.configuration_folder()?, project.product.value.as_str())?;
        Ok(Self {
            new_keys: keys_out.map_or_else(|| folder.clone(), |out| KeyFolder::at(out.to_owned())),
            folder,
            supplied: Supplied::from_environment(context::variable),
            newest: chain.last().unwrap_or(&trusted).clone(),
            timestamp: store.read(LIVE_TIMESTAMP).await?,
            chain,
            trusted,
            store,
            live,
            now: context.now(),
        })
    }

    pub(super) fn stored(&self) -> Stored<'_> {
        Stored { chain: &self.chain, timestamp: self.timestamp.as_deref() }
    }

    /// What devices of the field read, and the roots that they embed.
    pub(super) async fn files(&self) -> Result<Files, Failure> {
        let mut roots = root::ancestors(&self.store, &self.trusted).await?;
        roots.extend(self.chain.iter().cloned());
        Files::of(&self.store, roots).await
    }

    /// Refuses roles that publishing could not sign for.
    pub(super) fn check_thresholds(&self) -> Result<(), RotateError> {
        for role in ONLINE {
            let (threshold, _) = self.newest.keys(role);
            if threshold > 1 {
                return Err(RotateError::Threshold { role, threshold });
            }
        }
        Ok(())
    }

    /// Roles whose new key an interrupted run has saved already.
    pub(super) fn begun(&self) -> Result<BTreeMap<Role, SigningKey>, Failure> {
        let mut begun = BTreeMap::new();
        for role in Role::ALL {
            if let Some(key) = self.new_keys.next(role, &self.supplied)? {
                begun.insert(role, key);
            }
        }
        Ok(begun)
    }

    /// A new key for each role, and which of the old ones it takes the place of.
    pub(super) fn replacements(
        &self,
        context: &Context,
        roles: &BTreeSet<Role>,
        named: &[String],
    ) -> Result<BTreeMap<Role, Replacement>, Failure> {
        let begun = self.begun()?;
        let named = self.named(roles, named)?;
        let mut found = BTreeMap::new();
        for role in roles {
            let new = match begun.get(role) {
                Some(left) => left.clone(),
                None => SigningKey::generate()?,
            };
            let new_id = new.id()?;
            let (_, mut listed) = self.newest.keys(*role);
            listed.retain(|id| *id != new_id);
            let held = match self.folder.held(*role, &self.supplied)? {
                Held::Here(key) => Some(key.id()?),
                Held::Absent => None,
                Held::Unreadable(error) if *role != Role::Root => {
                    context.output.warn(format_args!(
                        "the {role} key is replaced unread: {}",
                        super::words(&error)
                    ));
                    None
                }
                // Whether the root can be signed without it is seen there.
                Held::Unreadable(_) => None,
            };
            let old = match (named.get(role), &listed[..], held) {
                (Some(named), ..) => vec![named.clone()],
                (None, [], _) => Vec::new(),
                // Lost or stolen: it goes all the same.
                (None, [only], _) => vec![only.clone()],
                (None, _, Some(held)) if listed.contains(&held) => vec![held],
                (None, several, _) => {
                    let count = several.len();
                    return Err(RotateError::WhichKey { role: *role, count }.into());
                }
            };
            found.insert(*role, Replacement { old, new });
        }
        Ok(found)
    }

    /// The keys that `--key` names, by their roles.
    fn named(
        &self,
        roles: &BTreeSet<Role>,
        named: &[String],
    ) -> Result<BTreeMap<Role, String>, RotateError> {
        let mut found = BTreeMap::new();
        for key in named {
            let listed = roles.iter().flat_map(|role| {
                let (_, ids) = self.newest.keys(*role);
                ids.into_iter().map(move |id| (*role, id))
            });
            let lower = key.to_ascii_lowercase();
            let fits = |id: &str| lower.len() >= LEAST_DIGITS && id.starts_with(&lower);
            let mut fitting: Vec<_> = listed.filter(|(_, id)| fits(id)).collect();
            match (fitting.pop(), fitting.len()) {
                (Some((role, id)), 0) if !found.contains_key(&role) => {
                    found.insert(role, id);
                }
                (last, others) => {
                    let roles: Vec<&str> = roles.iter().map(|role| role.name()).collect();
                    return Err(RotateError::NoSuchKey {
                        key: key.clone(),
                        found: others.saturating_add(usize::from(last.is_some())),
                        roles: roles.join(", "),
                    });
                }
            }
        }
        Ok(found)
    }

    /// Refuses to make new keys where they would be lost, or lie about more openly than the old.
    pub(super) fn check_new_keys(
        &self,
        replacements: &BTreeMap<Role, Replacement>,
        is_named: bool,
    ) -> Result<(), Failure> {
        for role in replacements.keys().copied() {
            if self.supplied.has(role) {
                if role == Role::Root {
                    return Err(RotateError::RootInEnvironment(role.variable()).into());
                }
                if !is_named {
                    return Err(RotateError::NoPlace { role, place: role.variable() }.into());
                }
            }
            self.folder.refuse_weaker(role, &self.supplied)?;
            self.new_keys.refuse_weaker(role, &self.supplied)?;
        }
        Ok(())
    }

    /// Every root key at hand; without any, the one that is missing is named.
    pub(super) fn root_keys(
        &self,
        context: &Context,
        more: &[KeyPlace],
        replacements: &BTreeMap<Role, Replacement>,
    ) -> Result<Vec<SigningKey>, Failure> {
        let mut keys = Vec::new();
        for place in more {
            keys.push(KeyFolder::load_at(Role::Root, place, &self.supplied, io::stdin())?);
        }
        match self.folder.held(Role::Root, &self.supplied)? {
            Held::Here(key) => keys.push(key),
            Held::Absent if keys.is_empty() => {
                self.folder.load(Role::Root, &self.supplied)?;
            }
            Held::Absent => {}
            Held::Unreadable(error) if keys.is_empty() => return Err(error.into()),
            Held::Unreadable(error) => context.output.warn(format_args!(
                "signing without the root key that cannot be read: {}",
                super::words(&error)
            )),
        }
        keys.extend(replacements.get(&Role::Root).map(|replacement| replacement.new.clone()));
        Ok(keys)
    }

    /// The keys that sign again what is published. `every` is for what keys on their way out may
    /// have signed.
    pub(super) fn online(
        &self,
        replacements: &BTreeMap<Role, Replacement>,
        every: bool,
    ) -> Result<OnlineKeys, Failure> {
        let key = |role| match replacements.get(&role) {
            Some(replacement) => Ok(replacement.new.clone()),
            None => self.folder.load(role, &self.supplied),
        };
        let is_targets = every || replacements.contains_key(&Role::Targets);
        Ok(OnlineKeys {
            targets: if is_targets { Some(key(Role::Targets)?) } else { None },
            snapshot: key(Role::Snapshot)?,
            timestamp: key(Role::Timestamp)?,
        })
    }

    /// The keys at hand that are replaced: they sign once more, for devices that do not see the new
    /// root yet.
    pub(super) fn beside(
        &self,
        replacements: &BTreeMap<Role, Replacement>,
    ) -> Result<Vec<(Role, SigningKey)>, Failure> {
        let mut beside = Vec::new();
        for (role, replacement) in replacements {
            if let Held::Here(key) = self.folder.held(*role, &self.supplied)?
                && *role != Role::Root
                && replacement.old.contains(&key.id()?)
            {
                beside.push((*role, key));
            }
        }
        Ok(beside)
    }

    /// What is left to do with the keys of a rotation that is half done. Where the published
    /// metadata has to be signed again, roles whose new key is lost get another.
    pub(super) fn rest(
        &self,
        leaving: &BTreeMap<Role, Vec<String>>,
        signs_again: bool,
    ) -> Result<BTreeMap<Role, Replacement>, Failure> {
        let mut rest = BTreeMap::new();
        for (role, new) in self.begun()? {
            let (_, listed) = self.newest.keys(role);
            let old = if listed.contains(&new.id()?) || role == Role::Root {
                leaving.get(&role).cloned().unwrap_or_default()
            } else {
                listed
            };
            rest.insert(role, Replacement { old, new });
        }
        for role in leaving.keys().filter(|_| signs_again) {
            let is_here = match self.folder.held(*role, &self.supplied)? {
                Held::Here(key) => self.newest.staying(*role).contains(&key.id()?),
                Held::Absent | Held::Unreadable(_) => false,
            };
            if !is_here && !rest.contains_key(role) {
                let (_, old) = self.newest.keys(*role);
                rest.insert(*role, Replacement { old, new: SigningKey::generate()? });
            }
        }
        Ok(rest)
    }

    /// Where the new key of a role will be.
    pub(super) fn new_file(&self, role: Role) -> PathBuf {
        self.new_keys.file(role)
    }
}
