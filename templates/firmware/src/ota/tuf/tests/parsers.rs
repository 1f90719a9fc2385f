//! No bytes make a reader panic, and nothing but the signed bytes is believed.

use super::super::error::Role;
use super::super::metadata::{Envelope, Snapshot, Timestamp};
use super::super::root::Root;
use super::super::targets::Targets;
use super::Device;
use super::repository::Repository;
use alloc::vec::Vec;
use proptest::prelude::*;

/// Reads a document as every role.
fn read(document: &[u8]) {
    let _ = Root::trusted(document);
    if let Ok(envelope) = Envelope::read(document, Role::Timestamp) {
        let _ = Timestamp::read(&envelope);
    }
    if let Ok(envelope) = Envelope::read(document, Role::Snapshot) {
        let _ = Snapshot::read(&envelope);
    }
    if let Ok(envelope) = Envelope::read(document, Role::Targets) {
        let _ = Targets::check(&envelope);
    }
    let targets = Targets::new(document.to_vec());
    for target in targets.iter() {
        let _ = target.path(true);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_read_without_a_panic(document: Vec<u8>) {
        read(&document);
    }

    #[test]
    fn arbitrary_json_is_read_without_a_panic(
        role in "root|timestamp|snapshot|targets",
        value in "[0-9]{1,22}|\"\\PC{0,8}\"|\\{\\}|\\[\\]|null|true|\\{\"snapshot.json\":\\{\"version\":[0-9]\\}\\}",
        field in "version|expires|meta|keys|roles|targets|consistent_snapshot|_type",
    ) {
        let mut repository = Repository::new();
        let role = ["root", "timestamp", "snapshot", "targets"].into_iter().find(|name| *name == role).unwrap();
        if let Ok(value) = serde_json::from_str(&value) {
            repository.signed(role)[&field] = value;
            read(&repository.document(role));
        }
    }

}

proptest! {
    // Each case signs and verifies eight times, which is slow where nothing is optimised.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_changed_byte_is_never_taken_for_something_else(
        role in 0_usize..3, at: prop::sample::Index, flip in 1_u8..=255
    ) {
        let (role, path) = [
            ("timestamp", "metadata/timestamp.json"), ("snapshot", "metadata/1.snapshot.json"),
            ("targets", "metadata/1.targets.json"),
        ][role];
        let mut repository = Repository::new();
        let before = repository.server.files[path].clone();
        let mut changed = before.clone();
        changed[at.index(before.len())] ^= flip;
        read(&changed);
        repository.server.files.insert(path.into(), changed);
        let mut device = Device::of(&repository);
        // A change may hit white space or the case of a digit; what is signed must be the same.
        if let Ok(trusted) = device.refresh(&mut repository) {
            let target = trusted.targets.find("t-1.1.0.bin");
            prop_assert!(target.is_some_and(|target| target.length() == 9), "{}", role);
            prop_assert_eq!(device.versions(), [1, 1, 1]);
        }
    }
}
