//! A repository as its owner writes it, or whoever got hold of some of the keys: plain JSON to twist
//! at will, with real signatures.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256, Sha512};

use crate::key::{Key, hex};

/// The files of a server, by path.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The roles that a root names beside itself, in the order in which a client reads them.
pub(crate) const ONLINE: [&str; 3] = ["timestamp", "snapshot", "targets"];

/// The end of all metadata that a test does not give another one.
pub(crate) const EXPIRES: &str = "2099-01-01T00:00:00Z";

/// The only target of a new repository.
pub(crate) const TARGET: &str = "thermostat-1.1.0.bin";

/// What the next release will say, and what was published so far. `repository["targets"]` is what
/// the role signs.
#[derive(Clone)]
pub(crate) struct Repository {
    signed: BTreeMap<&'static str, Json>,
    /// Who signs each role. More or fewer than the root names, where a test wants that.
    pub(crate) signers: BTreeMap<&'static str, Vec<Key>>,
    /// Whether timestamp and snapshot list lengths and hashes.
    pub(crate) lists_hashes: bool,
    /// What the server has.
    pub(crate) files: Files,
}

impl Index<&'static str> for Repository {
    type Output = Json;

    fn index(&self, role: &'static str) -> &Json {
        &self.signed[role]
    }
}

impl IndexMut<&'static str> for Repository {
    fn index_mut(&mut self, role: &'static str) -> &mut Json {
        self.signed.get_mut(role).unwrap()
    }
}

impl Repository {
    /// Version 1 of everything, published, with keys 1 to 4 for root, timestamp, snapshot and
    /// targets.
    pub(crate) fn new() -> Self {
        let mut signed = BTreeMap::new();
        for role in ["root", "timestamp", "snapshot", "targets"] {
            let common = json!({
                "_type": role, "spec_version": "1.0.31", "version": 1, "expires": EXPIRES,
            });
            signed.insert(role, common);
        }
        let mut repository =
            Self { signed, signers: BTreeMap::new(), lists_hashes: true, files: Files::new() };
        repository["root"]["consistent_snapshot"] = json!(true);
        repository["timestamp"]["x-signed-at"] = json!("2090-02-01T00:00:00Z");
        repository.add_target(TARGET, b"an image");
        for (role, seed) in [("root", 1), ("timestamp", 2), ("snapshot", 3), ("targets", 4)] {
            repository.set_keys(role, 1, &[Key::Ed25519(seed)]);
        }
        repository.publish_root();
        repository.publish();
        repository
    }

    /// Lists a file and gives it to the server, under its consistent name.
    pub(crate) fn add_target(&mut self, name: &str, contents: &[u8]) {
        let sha256 = hex(&Sha256::digest(contents));
        self.files.insert(format!("targets/{sha256}.{name}"), contents.to_vec());
        self["targets"]["targets"][name] =
            json!({ "length": contents.len(), "hashes": { "sha256": sha256 } });
    }

    /// Names other keys for a role, and lets all of them sign. The root still has to be published.
    pub(crate) fn set_keys(&mut self, role: &'static str, threshold: u64, keys: &[Key]) {
        for key in keys {
            self["root"]["keys"][key.id()] = key.public();
        }
        let ids: Vec<String> = keys.iter().map(|key| key.id()).collect();
        self["root"]["roles"][role] = json!({ "keyids": ids, "threshold": threshold });
        self.signers.insert(role, keys.to_vec());
    }

    /// The version a role is at.
    pub(crate) fn version(&self, role: &'static str) -> u64 {
        self[role]["version"].as_u64().unwrap()
    }

    /// The document of a role, signed by its signers.
    pub(crate) fn document(&self, role: &'static str) -> Vec<u8> {
        let signed = &self[role];
        let signatures: Vec<Json> = self.signers[role].iter().map(|key| key.sign(signed)).collect();
        serde_json::to_vec_pretty(&json!({ "signatures": signatures, "signed": signed })).unwrap()
    }

    /// Where a client looks for the document of a role.
    pub(crate) fn path(&self, role: &'static str) -> String {
        let is_numbered = match role {
            "root" => true,
            "timestamp" => false,
            _ => self["root"]["consistent_snapshot"] == true,
        };
        if is_numbered {
            format!("metadata/{}.{role}.json", self.version(role))
        } else {
            format!("metadata/{role}.json")
        }
    }

    /// Gives the server this document for a role, whatever it is.
    pub(crate) fn put(&mut self, role: &'static str, document: Vec<u8>) {
        self.files.insert(self.path(role), document);
    }

    /// Signs a role and gives it to the server. Whoever lists it does not hear of it.
    pub(crate) fn put_signed(&mut self, role: &'static str) {
        self.put(role, self.document(role));
    }

    /// Gives the server the document of a role after `twist`, which its signers did not see.
    pub(crate) fn twist(&mut self, role: &'static str, twist: impl FnOnce(&mut Json)) {
        let mut document = serde_json::from_slice(&self.document(role)).unwrap();
        twist(&mut document);
        self.put(role, serde_json::to_vec(&document).unwrap());
    }

    /// Signs and publishes the root as it is.
    pub(crate) fn publish_root(&mut self) {
        self.put_signed("root");
    }

    /// Publishes the root under its next version.
    pub(crate) fn next_root(&mut self) {
        self["root"]["version"] = json!(self.version("root") + 1);
        self.publish_root();
    }

    /// Signs and publishes targets, snapshot and timestamp as they are, each listing the one
    /// before.
    pub(crate) fn publish(&mut self) {
        self.put_signed("targets");
        self.list("snapshot", "targets");
        self.publish_snapshot();
    }

    /// Signs and publishes the snapshot as it is, and a timestamp that lists it.
    pub(crate) fn publish_snapshot(&mut self) {
        self.put_signed("snapshot");
        self.list("timestamp", "snapshot");
        self.put_signed("timestamp");
    }

    /// Publishes all three under their next versions.
    pub(crate) fn publish_next(&mut self) {
        for role in ONLINE {
            self[role]["version"] = json!(self.version(role) + 1);
        }
        self.publish();
    }

    /// Lets one role list what the server has of another.
    fn list(&mut self, lister: &'static str, role: &'static str) {
        let mut entry = json!({ "version": self.version(role) });
        if self.lists_hashes {
            let document = &self.files[&self.path(role)];
            entry["length"] = json!(document.len());
            entry["hashes"] = json!({
                "sha256": hex(&Sha256::digest(document)),
                "sha512": hex(&Sha512::digest(document)),
            });
        }
        self[lister]["meta"] = json!({ format!("{role}.json"): entry });
    }
}
