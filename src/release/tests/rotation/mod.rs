//! Rotations of keys, with the device's own client looking on.

mod roots;

use std::collections::BTreeMap;
use std::fs;

use jiff::Timestamp;

use super::{Bench, release};
use crate::error::{Exit, Explained};
use crate::release::keys::{Role, SigningKey};
use crate::release::plan::{Existing, Upload};
use crate::release::repository::{OnlineKeys, RepositoryError, State, View};
use crate::release::root::{self, RootFile};
use crate::release::rotation::{Replacement, Request, Rotation, rotate};
use crate::virtual_device::rehearsal::{Onlooker, Place, Source, build_time};

const ONLINE: [Role; 3] = [Role::Targets, Role::Snapshot, Role::Timestamp];
const EVERY: [Role; 4] = Role::ALL;

/// What `keys rotate` gathers, from the keys of a bench.
struct Turn {
    newest: RootFile,
    live: State,
    replacements: BTreeMap<Role, Replacement>,
    root_keys: Vec<SigningKey>,
    online: Option<OnlineKeys>,
    beside: Vec<(Role, SigningKey)>,
}

impl Turn {
    async fn new(bench: &Bench, roles: &[Role]) -> Self {
        let newest = newest(bench).await;
        let live = State::load_for_rotation(&bench.store, &bench.root).await.unwrap();
        let mut replacements = BTreeMap::new();
        for role in roles {
            let new = SigningKey::generate().unwrap();
            let old = vec![bench.keys.of(*role).id().unwrap()];
            replacements.insert(*role, Replacement { old, new });
        }
        let key = |role| {
            let new = replacements.get(&role).map(|it: &Replacement| it.new.clone());
            new.unwrap_or_else(|| bench.keys.of(role).clone())
        };
        let online = roles.iter().any(|role| *role != Role::Root) && live.is_live();
        let online = online.then(|| OnlineKeys {
            targets: replacements.get(&Role::Targets).map(|it| it.new.clone()),
            snapshot: key(Role::Snapshot),
            timestamp: key(Role::Timestamp),
        });
        let mut root_keys = vec![bench.keys.root.clone()];
        root_keys.extend(replacements.get(&Role::Root).map(|it| it.new.clone()));
        let beside = roles.iter().filter(|role| **role != Role::Root);
        let beside = beside.map(|role| (*role, bench.keys.of(*role).clone())).collect();
        Self { newest, live, replacements, root_keys, online, beside }
    }

    /// The same where the old keys are lost.
    fn alone(self) -> Self {
        Self { beside: Vec::new(), ..self }
    }

    async fn rotation(&self) -> Result<Rotation, RepositoryError> {
        self.rotation_at(Timestamp::now(), false).await
    }

    async fn rotation_at(&self, now: Timestamp, renew: bool) -> Result<Rotation, RepositoryError> {
        let request = Request {
            newest: &self.newest,
            live: Some(&self.live),
            replacements: &self.replacements,
            root_keys: &self.root_keys,
            online: self.online.as_ref(),
            beside: &self.beside,
            renew,
            now,
            root_days: 100,
        };
        rotate(&request).await
    }

    /// Puts the new keys into use.
    fn adopt(&self, bench: &mut Bench) {
        for (role, replacement) in &self.replacements {
            let new = replacement.new.clone();
            match role {
                Role::Root => bench.keys.root = new,
                Role::Targets => bench.keys.publish.targets = new,
                Role::Snapshot => bench.keys.publish.snapshot = new,
                Role::Timestamp => bench.keys.publish.timestamp = new,
            }
        }
    }
}

async fn newest(bench: &Bench) -> RootFile {
    root::chain(&bench.store, &bench.root).await.unwrap().pop().unwrap()
}

/// A poll of the device's own client; gives the root that it trusts.
async fn poll(bench: &Bench, device: &mut Onlooker) -> u64 {
    let now = Timestamp::now();
    let source = Source { place: Place::Store(&bench.store), view: View::Live, now };
    let sight = device.poll(&source).await.unwrap();
    sight.read.unwrap_or_else(|error| panic!("with root {}: {error:?}", sight.root));
    sight.root
}

fn device(bench: &Bench) -> Onlooker {
    Onlooker::new(bench.root.clone(), build_time(Timestamp::now()))
}

/// Writes a rotation file by file; a device polls after each and never sees anything wrong.
async fn written(bench: &Bench, rotation: &Rotation, device: &mut Onlooker) {
    poll(bench, device).await;
    for upload in &rotation.plan.uploads {
        bench.store.upload(upload).await.unwrap();
        poll(bench, device).await;
    }
    bench.store.promote(&rotation.plan).await.unwrap();
    poll(bench, device).await;
    if let Some(upload) = &rotation.last_upload() {
        bench.store.upload(upload).await.unwrap();
        poll(bench, device).await;
    }
}

/// Writes both halves.
async fn write(bench: &Bench, rotation: &Rotation) {
    bench.store.stage(&rotation.plan).await.unwrap();
    bench.store.promote(&rotation.plan).await.unwrap();
    if let Some(last) = rotation.last_upload() {
        bench.store.upload(&last).await.unwrap();
    }
}

#[tokio::test]
async fn every_set_of_roles_takes_new_keys_and_no_poll_sees_an_error() {
    for set in 1_u8..16 {
        let roles = EVERY.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
        let roles: Vec<Role> = roles.map(|(_, role)| *role).collect();
        let mut bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let mut old = device(&bench);
        let turn = Turn::new(&bench, &roles).await;
        let rotation = turn.rotation().await.unwrap();
        let is_online = roles.iter().any(|role| *role != Role::Root);
        let expected: &[u64] = if is_online { &[2, 3] } else { &[2] };
        let versions: Vec<u64> = rotation.roots().map(RootFile::version).collect();
        assert_eq!(versions, expected, "{roles:?}");
        written(&bench, &rotation, &mut old).await;

        let last = newest(&bench).await;
        for role in EVERY {
            let (threshold, keys) = last.keys(role);
            let replacement = turn.replacements.get(&role).map(|it| &it.new);
            let key = replacement.unwrap_or_else(|| bench.keys.of(role));
            assert_eq!((threshold, keys), (1, vec![key.id().unwrap()]), "{role} of {roles:?}");
        }
        // A device that slept, and the next release with the new keys.
        assert_eq!(poll(&bench, &mut device(&bench)).await, last.version());
        turn.adopt(&mut bench);
        bench.publish(vec![release("1.1.0")]).await.unwrap();
        poll(&bench, &mut old).await;
        assert!(bench.fetch("thermostat-esp32c3-1.0.0.bin").await.is_some());
        assert!(bench.path("metadata/1.root.json").is_file(), "no root is ever pruned");
    }
}

/// What the device sees, and the root that it trusts then.
async fn refused(bench: &Bench, device: &mut Onlooker) -> u64 {
    let now = Timestamp::now();
    let source = Source { place: Place::Store(&bench.store), view: View::Live, now };
    let sight = device.poll(&source).await.unwrap();
    assert_eq!(sight.read.unwrap_err().exit(), Exit::Trust);
    sight.root
}

#[tokio::test]
async fn the_root_that_drops_keys_is_refused_before_the_new_metadata_is_there() {
    let bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let rotation = Turn::new(&bench, &ONLINE).await.rotation().await.unwrap();
    for root in rotation.roots() {
        let (path, bytes) = (root.path(), root.bytes.clone());
        bench.store.upload(&Upload { path, bytes, existing: Existing::Lost }).await.unwrap();
    }
    assert_eq!(refused(&bench, &mut device(&bench)).await, 3);
}

#[tokio::test]
async fn the_new_metadata_may_be_seen_before_the_new_root_where_the_old_keys_signed_too() {
    for is_lost in [false, true] {
        let bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let turn = Turn::new(&bench, &ONLINE).await;
        let turn = if is_lost { turn.alone() } else { turn };
        let rotation = turn.rotation().await.unwrap();
        bench.store.stage(&rotation.plan).await.unwrap();
        bench.store.promote(&rotation.plan).await.unwrap();
        let first = bench.path("metadata/2.root.json");
        let hidden = fs::read(&first).unwrap();
        fs::remove_file(&first).unwrap();
        let mut old = device(&bench);
        if is_lost {
            assert_eq!(refused(&bench, &mut old).await, 1);
        } else {
            assert_eq!(poll(&bench, &mut old).await, 1);
        }
        fs::write(first, hidden).unwrap();
        bench.store.upload(&rotation.last_upload().unwrap()).await.unwrap();
        assert_eq!(poll(&bench, &mut old).await, 3);
    }
}

#[tokio::test]
async fn the_first_root_says_which_keys_are_leaving_and_the_next_run_drops_them() {
    let mut bench = Bench::new().await;
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    let turn = Turn::new(&bench, &ONLINE).await;
    let rotation = turn.rotation().await.unwrap();
    bench.store.stage(&rotation.plan).await.unwrap();
    bench.store.promote(&rotation.plan).await.unwrap();
    let both = newest(&bench).await;
    for role in ONLINE {
        assert_eq!(both.leaving()[&role], turn.replacements[&role].old);
        assert_eq!(both.staying(role), [turn.replacements[&role].new.id().unwrap()]);
    }
    turn.adopt(&mut bench);
    bench.publish(vec![release("1.1.0")]).await.unwrap();

    let rest = Turn { replacements: BTreeMap::new(), online: None, ..Turn::new(&bench, &[]).await };
    let rotation = rest.rotation().await.unwrap();
    assert_eq!((rotation.first.as_ref(), rotation.plan.uploads.len()), (None, 0));
    let mut old = device(&bench);
    written(&bench, &rotation, &mut old).await;
    assert_eq!(poll(&bench, &mut old).await, 3);
    let last = newest(&bench).await;
    assert!(last.leaving().is_empty());
    assert!(!String::from_utf8(last.bytes.clone()).unwrap().contains("x-leaving"));
    assert!(Turn::new(&bench, &[]).await.rotation().await.unwrap().roots().next().is_none());
}

#[tokio::test]
async fn a_root_that_is_too_large_for_a_release_in_the_field_is_not_made() {
    let bench = Bench::new().await;
    let mut small = release("1.0.0");
    small.custom.caps.root = u32::try_from(bench.root.len()).unwrap() + 100;
    bench.publish(vec![small]).await.unwrap();
    // The last root fits, and the one on the way has more keys.
    for roles in [&ONLINE[..], &ONLINE[..1]] {
        let error = Turn::new(&bench, roles).await.rotation().await.unwrap_err();
        assert!(error.to_string().contains("`root.json` would be"), "{error}");
        assert_eq!(error.exit(), Exit::Rejected);
    }
    // So has one that only the root role needs: two signatures.
    let error = Turn::new(&bench, &[Role::Root]).await.rotation().await.unwrap_err();
    assert!(error.to_string().contains("`root.json` would be"), "{error}");
}

#[tokio::test]
async fn a_key_that_is_out_of_use_signs_nothing_any_more() {
    for role in ONLINE {
        let bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let turn = Turn::new(&bench, &[role]).await;
        let rotation = turn.rotation().await.unwrap();
        write(&bench, &rotation).await;
        let error = bench.plan(vec![release("1.1.0")]).await.unwrap_err();
        assert!(
            matches!(error, RepositoryError::KeyNotInRoot { role: found, .. } if found == role)
        );
        assert_eq!(error.exit(), Exit::Trust);
    }
    let mut bench = Bench::new().await;
    let turn = Turn::new(&bench, &[Role::Root]).await;
    let rotation = turn.rotation().await.unwrap();
    bench.store.stage(&rotation.plan).await.unwrap();
    let next = Turn::new(&bench, &[Role::Targets]).await;
    let error = next.rotation().await.unwrap_err();
    assert!(matches!(error, RepositoryError::KeyNotInRoot { role: Role::Root, .. }));
    assert_eq!(error.exit(), Exit::Trust);
    turn.adopt(&mut bench);
    assert!(Turn::new(&bench, &[Role::Targets]).await.rotation().await.is_ok());
}

#[tokio::test]
async fn a_rotation_that_was_interrupted_anywhere_is_completed_by_the_next() {
    let mut at = 0;
    loop {
        let mut bench = Bench::new().await;
        bench.publish(vec![release("1.0.0")]).await.unwrap();
        let mut old = device(&bench);
        let turn = Turn::new(&bench, &EVERY).await;
        let rotation = turn.rotation().await.unwrap();
        let plan = &rotation.plan;
        // The steps of a run: each upload, the promotion, the last root.
        let steps = plan.uploads.len() + 2;
        if at > steps {
            break;
        }
        for upload in plan.uploads.iter().take(at) {
            bench.store.upload(upload).await.unwrap();
        }
        if at > plan.uploads.len() {
            bench.store.promote(plan).await.unwrap();
        }
        if at == steps {
            bench.store.upload(&rotation.last_upload().unwrap()).await.unwrap();
        }
        poll(&bench, &mut old).await;

        // The next run has the keys of the first, and finds its files.
        let live = State::load_for_rotation(&bench.store, &bench.root).await.unwrap();
        let again = Turn { newest: newest(&bench).await, live, ..turn };
        let rotation = again.rotation().await.unwrap();
        written(&bench, &rotation, &mut old).await;
        let last = newest(&bench).await;
        for role in EVERY {
            let id = again.replacements[&role].new.id().unwrap();
            assert_eq!(last.keys(role).1, [id], "{role}, cut before step {at}");
        }
        again.adopt(&mut bench);
        bench.publish(vec![release("1.1.0")]).await.unwrap();
        poll(&bench, &mut old).await;
        at += 1;
    }
}

#[tokio::test]
async fn keys_rotated_before_the_first_release_sign_it() {
    let mut bench = Bench::new().await;
    for _ in 0..2 {
        let turn = Turn::new(&bench, &EVERY).await;
        let rotation = turn.rotation().await.unwrap();
        assert_eq!((rotation.roots().count(), rotation.plan.timestamp.is_some()), (1, false));
        bench.store.stage(&rotation.plan).await.unwrap();
        bench.store.promote(&rotation.plan).await.unwrap();
        turn.adopt(&mut bench);
    }
    // With the first root, as a checkout that nobody updated has it.
    bench.publish(vec![release("1.0.0")]).await.unwrap();
    assert_eq!(poll(&bench, &mut device(&bench)).await, 3);
}
