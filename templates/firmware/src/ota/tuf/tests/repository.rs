//! A small repository for tests: metadata as JSON to twist at will, signed with real keys.

use super::Server;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256, Sha512};

/// Signs with the key made of this byte.
pub(super) fn signature(seed: u8, message: &str) -> String {
    hex(&SigningKey::from_bytes(&[seed; 32]).sign(message.as_bytes()).to_bytes())
}

/// The public key made of this byte.
pub(super) fn public(seed: u8) -> String {
    hex(SigningKey::from_bytes(&[seed; 32]).verifying_key().as_bytes())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Canonical JSON, written without the code under test.
pub(super) fn canonical(value: &Json) -> String {
    match value {
        Json::Object(members) => {
            let sorted: BTreeMap<&String, &Json> = members.iter().collect();
            let members: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| format!("{}:{}", quoted(key), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Json::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(canonical).collect();
            format!("[{}]", elements.join(","))
        }
        Json::String(text) => quoted(text),
        scalar => scalar.to_string(),
    }
}

/// Only two characters are escaped; the line ends of PEM text are not.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The signed parts of all roles, and the server they are published on.
#[derive(Clone)]
pub(super) struct Repository {
    pub(super) root: Json,
    pub(super) timestamp: Json,
    pub(super) snapshot: Json,
    pub(super) targets: Json,
    /// The keys that sign each role, by seed: key ids are `key-SEED`.
    pub(super) signers: BTreeMap<&'static str, Vec<u8>>,
    /// Whether timestamp and snapshot list lengths and hashes.
    pub(super) listed: bool,
    pub(super) server: Server,
}

impl Repository {
    /// One key per role, version 1 of everything, published.
    pub(super) fn new() -> Self {
        let common = |role: &str| {
            json!({
                "_type": role, "spec_version": "1.0.34", "version": 1,
                "expires": "2030-01-01T00:00:00Z",
            })
        };
        let mut repository = Self {
            root: common("root"),
            timestamp: common("timestamp"),
            snapshot: common("snapshot"),
            targets: common("targets"),
            signers: BTreeMap::new(),
            listed: false,
            server: Server::default(),
        };
        repository.root["consistent_snapshot"] = json!(true);
        repository.root["keys"] = json!({});
        repository.root["roles"] = json!({});
        repository.timestamp["x-signed-at"] = json!("2027-02-01T00:00:00Z");
        repository.targets["targets"] = json!({
            "t-1.1.0.bin": { "length": 9, "hashes": { "sha256": "ab".repeat(32) } },
        });
        for (role, seed) in [("root", 1), ("timestamp", 2), ("snapshot", 3), ("targets", 4)] {
            repository.set_keys(role, 1, &[seed]);
        }
        repository.publish_root();
        repository.publish();
        repository
    }

    /// Gives a role other keys, and lets all of them sign. The root still has to be published.
    pub(super) fn set_keys(&mut self, role: &'static str, threshold: u64, seeds: &[u8]) {
        for seed in seeds {
            self.root["keys"][format!("key-{seed}")] = json!({
                "keytype": "ed25519", "scheme": "ed25519", "keyval": { "public": public(*seed) },
            });
        }
        let ids: Vec<String> = seeds.iter().map(|seed| format!("key-{seed}")).collect();
        self.root["roles"][role] = json!({ "threshold": threshold, "keyids": ids });
        self.signers.insert(role, seeds.to_vec());
    }

    /// The part of a role that is signed.
    pub(super) fn signed(&mut self, role: &str) -> &mut Json {
        match role {
            "root" => &mut self.root,
            "timestamp" => &mut self.timestamp,
            "snapshot" => &mut self.snapshot,
            _ => &mut self.targets,
        }
    }

    /// Sets a version number.
    pub(super) fn set_version(&mut self, role: &str, version: u64) {
        self.signed(role)["version"] = json!(version);
    }

    /// The document of a role as its keys sign it.
    pub(super) fn document(&mut self, role: &'static str) -> Vec<u8> {
        let signed = self.signed(role).clone();
        let message = canonical(&signed);
        let signatures: Vec<Json> = self.signers[role]
            .iter()
            .map(
                |seed| json!({ "keyid": format!("key-{seed}"), "sig": signature(*seed, &message) }),
            )
            .collect();
        serde_json::to_vec_pretty(&json!({ "signatures": signatures, "signed": signed })).unwrap()
    }

    /// Puts a file under its name with and without its version.
    pub(super) fn put(&mut self, role: &'static str, document: Vec<u8>) {
        let version = self.signed(role)["version"].clone();
        self.server.files.insert(format!("metadata/{role}.json"), document.clone());
        self.server.files.insert(format!("metadata/{version}.{role}.json"), document);
    }

    /// Signs and publishes the root.
    pub(super) fn publish_root(&mut self) {
        let document = self.document("root");
        self.put("root", document);
    }

    /// Publishes the next version of the root.
    pub(super) fn next_root(&mut self) {
        let version = self.root["version"].as_u64().unwrap();
        self.set_version("root", version.saturating_add(1));
        self.publish_root();
    }

    /// Signs and publishes targets, snapshot and timestamp, each listing the one before.
    pub(super) fn publish(&mut self) {
        for (role, lister) in
            [("targets", Some("snapshot")), ("snapshot", Some("timestamp")), ("timestamp", None)]
        {
            let document = self.document(role);
            if let Some(lister) = lister {
                let mut entry = json!({ "version": self.signed(role)["version"] });
                if self.listed {
                    entry["length"] = json!(document.len());
                    entry["hashes"] = json!({
                        "sha256": hex(&Sha256::digest(&document)),
                        "sha512": hex(&Sha512::digest(&document)),
                    });
                }
                self.signed(lister)["meta"][format!("{role}.json")] = entry;
            }
            self.put(role, document);
        }
    }

    /// Publishes a document of the role with its signatures as they are, but another signed part
    /// or other signatures: whatever `twist` does to it.
    pub(super) fn twist(&mut self, role: &'static str, twist: impl FnOnce(&mut Json)) {
        let mut document = serde_json::from_slice(&self.document(role)).unwrap();
        twist(&mut document);
        self.put(role, serde_json::to_vec(&document).unwrap());
    }

    /// Publishes as [`Repository::publish`] does, all versions one higher.
    pub(super) fn publish_next(&mut self) {
        for role in ["targets", "snapshot", "timestamp"] {
            let version = self.signed(role)["version"].as_u64().unwrap();
            self.set_version(role, version.saturating_add(1));
        }
        self.publish();
    }
}
