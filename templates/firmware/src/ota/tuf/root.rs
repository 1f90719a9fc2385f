//! The root role: which keys speak for whom (TUF specification, section 4.3).

use super::super::json::Value;
use super::error::{Refusal, Role};
use super::keys::RoleKeys;
use super::listed::Listed;
use super::metadata::Envelope;

/// A root that its own keys have signed. Only [`Root::trusted`] and [`Root::successor`] make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) version: u64,
    pub(super) expires: u64,
    pub(super) consistent_snapshot: bool,
    root: RoleKeys,
    pub(super) timestamp: RoleKeys,
    pub(super) snapshot: RoleKeys,
    pub(super) targets: RoleKeys,
    /// The keys of timestamp and snapshot.
    pub(super) online_keys: Listed,
}

impl Root {
    /// Takes a root that is trusted because of where it was found. It still has to be whole, so
    /// its own keys must have signed it.
    pub(super) fn trusted(document: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::read(document, Role::Root)?;
        let root = Self::read(&envelope)?;
        root.root.verify(&envelope)?;
        Ok(root)
    }

    /// Takes the root that follows this one.
    pub(super) fn successor(&self, document: &[u8]) -> Result<Self, Refusal> {
        let envelope = Envelope::read(document, Role::Root)?;
        // 5.3.4: signed by a threshold of the keys of the trusted root, and of its own.
        self.root.verify(&envelope)?;
        let next = Self::read(&envelope)?;
        next.root.verify(&envelope)?;
        // 5.3.5: the version is exactly the next one.
        let expected = self.version.saturating_add(1);
        if next.version != expected {
            return Err(Refusal::Version { expected, found: next.version });
        }
        Ok(next)
    }

    fn read(envelope: &Envelope<'_>) -> Result<Self, Refusal> {
        let signed = envelope.signed;
        let table = signed.member("keys").filter(|keys| keys.members().is_some());
        let table = table.ok_or(Refusal::Field("keys"))?;
        let roles = signed.member("roles").ok_or(Refusal::Field("roles"))?;
        let role =
            |role: Role| RoleKeys::read(roles, role.name(), table).ok_or(Refusal::Field("roles"));
        Ok(Self {
            version: envelope.version()?,
            expires: envelope.expires()?,
            consistent_snapshot: signed
                .member("consistent_snapshot")
                .and_then(Value::boolean)
                .ok_or(Refusal::Field("consistent_snapshot"))?,
            root: role(Role::Root)?,
            timestamp: role(Role::Timestamp)?,
            snapshot: role(Role::Snapshot)?,
            targets: role(Role::Targets)?,
            online_keys: Listed::read(roles, table),
        })
    }
}
