//! The client workflow, step by step (TUF specification 1.0.x, section 5).
//!
//! Every step stores what it has proven before the next begins, so that a later failure, or a
//! power cut, cannot make the device forget what it must not accept again.

use super::super::clock::{Clock, Source};
use super::super::ports::{Store, Transport};
use super::super::release::{self, Identity, Selection};
use super::download::{Caps, Download};
use super::error::{Error, Refusal, Role};
use super::metadata::{Envelope, FileInfo, Snapshot, Timestamp, check_expiry, check_rollback};
use super::root::Root;
use super::state::{self, State};
use super::targets::Targets;

/// The metadata of a repository after every check. Only [`refresh`] makes one.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// The files of the repository.
    pub targets: Targets,
    /// Whether files are named after their hash, as `publish` names them.
    pub consistent_snapshot: bool,
    /// Version of the newest root.
    pub root_version: u64,
}

impl Trusted {
    /// Finds the release to install: see [`release::select`].
    pub fn select(&self, identity: &Identity, rejected: impl Fn(&[u8; 32]) -> bool) -> Selection {
        release::select(&self.targets, self.consistent_snapshot, identity, rejected)
    }
}

/// Brings the device's knowledge of the repository up to date, or says why that cannot be.
///
/// `embedded_root` is the root that the firmware was built with. `clock` is raised as the run
/// learns the time; it holds the time of the run afterwards, also on failure.
///
/// # Errors
///
/// The first check that fails. Run it again later: what passed before is remembered.
pub async fn refresh<T: Transport, S: Store>(
    transport: &mut T,
    store: &mut S,
    embedded_root: &[u8],
    clock: &mut Clock,
    caps: &Caps,
) -> Result<Trusted, Error> {
    // 5.2: load the trusted root metadata.
    let root = state::load_root(store, embedded_root, caps.root)?;
    let download = Download::new(transport, clock);
    let mut session = Session { download, store, caps };
    let known = root.online_keys.clone();
    let root = session.newest_root(root).await?;

    // 5.3.11, and the floor of the clock, which the same keys have vouched for.
    let mut state = State::load(session.store, &known, &root)?;
    session.download.clock().raise(state.signed_at, Source::Floor);
    // 5.3.10: only the newest root must not be expired. Checked after 5.3.11, which does not
    // depend on it, because it needs the clock.
    check_expiry(root.expires, session.now()).map_err(|refusal| refused(Role::Root, refusal))?;

    let snapshot = session.timestamp(&root, &mut state).await?;
    let targets = session.snapshot(&root, &mut state, &snapshot).await?;
    let targets = session.targets(&root, &targets).await?;
    Ok(Trusted {
        targets,
        consistent_snapshot: root.consistent_snapshot,
        root_version: root.version,
    })
}

fn refused(role: Role, refusal: Refusal) -> Error {
    Error::Refused(role, refusal)
}

/// Refuses any version but the one that was announced.
fn check_version(expected: u64, found: u64) -> Result<(), Refusal> {
    if found == expected { Ok(()) } else { Err(Refusal::Version { expected, found }) }
}

/// One run of the workflow.
struct Session<'a, T, S> {
    download: Download<'a, T>,
    store: &'a mut S,
    caps: &'a Caps,
}

impl<T: Transport, S: Store> Session<'_, T, S> {
    fn now(&mut self) -> u64 {
        self.download.clock().now()
    }

    /// 5.3: update the root role, one version after the other.
    async fn newest_root(&mut self, trusted: Root) -> Result<Root, Error> {
        let mut root = trusted;
        for _ in 0..self.caps.rotations {
            // 5.3.2, 5.3.3: try N+1. Web servers and object stores answer 404 or 403 where there
            // is none; any other failure could be somebody who hides a new root.
            let next = root.version.saturating_add(1);
            let file =
                match self.download.metadata(Role::Root, Some(next), None, self.caps.root).await {
                    Ok(file) => file,
                    Err(Error::Status(403 | 404)) => return Ok(root),
                    Err(error) => return Err(error),
                };
            // 5.3.4, 5.3.5: signatures of both roots, and the version. 5.3.6: expiry of a root on
            // the way does not matter.
            root = root.successor(&file).map_err(|refusal| refused(Role::Root, refusal))?;
            // 5.3.7, 5.3.8: trust it and remember it. 5.3.9: repeat.
            state::save_root(self.store, &file)?;
        }
        let followed = self.caps.rotations;
        Err(refused(Role::Root, Refusal::Rotations { followed }))
    }

    /// 5.4: update the timestamp role. Gives what the trusted timestamp says of the snapshot.
    async fn timestamp(&mut self, root: &Root, state: &mut State) -> Result<FileInfo, Error> {
        let refuse = |refusal| refused(Role::Timestamp, refusal);
        // 5.4.1: download it.
        let file = self.download.metadata(Role::Timestamp, None, None, self.caps.timestamp).await?;
        let envelope = Envelope::read(&file, Role::Timestamp).map_err(refuse)?;
        // 5.4.2: signed by a threshold of keys.
        root.timestamp.verify(&envelope).map_err(refuse)?;
        let timestamp = Timestamp::read(&envelope).map_err(refuse)?;
        // 5.4.3.1: no older timestamp.
        check_rollback(state.timestamp, timestamp.version).map_err(refuse)?;
        let listed = timestamp.snapshot;
        if timestamp.version == state.timestamp && listed.version != state.snapshot {
            // 5.4.3.1: the same version is discarded without an error. Of the one that was
            // accepted we know which snapshot it lists; this one says otherwise, and is not heard.
            check_expiry(timestamp.expires, self.now()).map_err(refuse)?;
            return Ok(FileInfo::of_version(state.snapshot));
        }
        // 5.4.3.2: no older snapshot.
        check_rollback(state.snapshot, listed.version)
            .map_err(|refusal| refused(Role::Snapshot, refusal))?;
        // 5.4.4: not expired.
        check_expiry(timestamp.expires, self.now()).map_err(refuse)?;
        // 5.4.5: remember it, and the time at which it was signed.
        state.timestamp = timestamp.version;
        state.snapshot = listed.version;
        state.signed_at = state.signed_at.max(timestamp.signed_at.unwrap_or(0));
        state.save(self.store)?;
        self.download.clock().raise(state.signed_at, Source::Floor);
        Ok(listed)
    }

    /// 5.5: update the snapshot role. Gives what the trusted snapshot says of targets.json.
    async fn snapshot(
        &mut self,
        root: &Root,
        state: &mut State,
        listed: &FileInfo,
    ) -> Result<FileInfo, Error> {
        let refuse = |refusal| refused(Role::Snapshot, refusal);
        // 5.5.1: download it.
        let version = root.consistent_snapshot.then_some(listed.version);
        let file = self
            .download
            .metadata(Role::Snapshot, version, listed.length, self.caps.snapshot)
            .await?;
        // 5.5.2: the listed hash.
        listed.check(&file).map_err(refuse)?;
        let envelope = Envelope::read(&file, Role::Snapshot).map_err(refuse)?;
        // 5.5.3: signed by a threshold of keys.
        root.snapshot.verify(&envelope).map_err(refuse)?;
        let snapshot = Snapshot::read(&envelope).map_err(refuse)?;
        // 5.5.4: the listed version.
        check_version(listed.version, snapshot.version).map_err(refuse)?;
        // 5.5.5: neither targets.json nor any other targets metadata is older or gone.
        let refuse_targets = |refusal| refused(Role::Targets, refusal);
        let targets = snapshot.targets.ok_or(refuse_targets(Refusal::Missing))?;
        check_rollback(state.targets, targets.version).map_err(refuse_targets)?;
        state.delegated.check(&snapshot.delegated).map_err(refuse_targets)?;
        // 5.5.6: not expired.
        check_expiry(snapshot.expires, self.now()).map_err(refuse)?;
        // 5.5.7: remember it.
        state.targets = targets.version;
        state.delegated = snapshot.delegated;
        state.save(self.store)?;
        Ok(targets)
    }

    /// 5.6: update the targets role. Its version is already remembered with the snapshot (5.6.6).
    async fn targets(&mut self, root: &Root, listed: &FileInfo) -> Result<Targets, Error> {
        let refuse = |refusal| refused(Role::Targets, refusal);
        // 5.6.1: download it.
        let version = root.consistent_snapshot.then_some(listed.version);
        let file = self
            .download
            .metadata(Role::Targets, version, listed.length, self.caps.targets)
            .await?;
        // 5.6.2: the listed hash.
        listed.check(&file).map_err(refuse)?;
        let envelope = Envelope::read(&file, Role::Targets).map_err(refuse)?;
        // 5.6.3: signed by a threshold of keys.
        root.targets.verify(&envelope).map_err(refuse)?;
        Targets::check(&envelope).map_err(refuse)?;
        // 5.6.4: the listed version.
        check_version(listed.version, envelope.version().map_err(refuse)?).map_err(refuse)?;
        // 5.6.5: not expired.
        check_expiry(envelope.expires().map_err(refuse)?, self.now()).map_err(refuse)?;
        Ok(Targets::new(file))
    }
}
