//! What all metadata has in common, and the small roles (TUF specification, sections 4.2, 4.4, 4.5).
//!
//! Fields that are not named here are ignored, and covered by the signatures all the same.

use super::super::clock;
use super::super::json::{Text, Value};
use super::delegated::Delegated;
use super::error::{Refusal, Role};
use alloc::vec::Vec;
use sha2::{Digest, Sha256, Sha512};

/// Most signatures read from one file. Roles have a handful of keys, and ids are compared pairwise.
const MOST_SIGNATURES: usize = 64;

/// A document with its signatures, not verified.
#[derive(Clone, Debug)]
pub(super) struct Envelope<'a> {
    /// What the signatures cover.
    pub(super) signed: Value<'a>,
    /// Key id and signature.
    pub(super) signatures: Vec<(Text<'a>, Text<'a>)>,
}

impl<'a> Envelope<'a> {
    /// Reads the outer object, and refuses what is not metadata of `role`.
    pub(super) fn read(document: &'a [u8], role: Role) -> Result<Self, Refusal> {
        let document = Value::parse(document).map_err(Refusal::Json)?;
        let signed = document.member("signed").ok_or(Refusal::Field("signed"))?;
        let text = |name| signed.member(name).and_then(Value::text).ok_or(Refusal::Field(name));
        if text("_type")? != *role.name() {
            return Err(Refusal::WrongType);
        }
        if !text("spec_version")?.plain().is_some_and(|version| version.starts_with("1.")) {
            return Err(Refusal::SpecVersion);
        }
        let list = document.member("signatures").and_then(Value::elements);
        let mut signatures: Vec<(Text<'_>, Text<'_>)> = Vec::new();
        for entry in list.ok_or(Refusal::Field("signatures"))? {
            let text = |name| entry.member(name).and_then(Value::text).ok_or(Refusal::Field(name));
            let (id, signature) = (text("keyid")?, text("sig")?);
            // Section 4.2.1: a key id occurs once in `signatures`.
            if signatures.iter().any(|(other, _)| *other == id) {
                return Err(Refusal::DuplicateSignature);
            }
            if signatures.len() == MOST_SIGNATURES {
                return Err(Refusal::Field("signatures"));
            }
            signatures.push((id, signature));
        }
        Ok(Self { signed, signatures })
    }

    /// The version of the metadata, 1 or more.
    pub(super) fn version(&self) -> Result<u64, Refusal> {
        version(self.signed)
    }

    /// When it expires, in Unix seconds.
    pub(super) fn expires(&self) -> Result<u64, Refusal> {
        time(self.signed, "expires").ok_or(Refusal::Field("expires"))
    }
}

/// The `version` of a file or of an entry that lists one, 1 or more.
pub(super) fn version(value: Value<'_>) -> Result<u64, Refusal> {
    value
        .member("version")
        .and_then(Value::unsigned)
        .filter(|number| *number > 0)
        .ok_or(Refusal::Field("version"))
}

fn time(value: Value<'_>, name: &str) -> Option<u64> {
    value.member(name)?.text()?.plain().and_then(clock::unix_seconds)
}

/// Refuses what has expired at `now`: metadata is good until the second before `expires`.
pub(super) fn check_expiry(expires: u64, now: u64) -> Result<(), Refusal> {
    if expires > now { Ok(()) } else { Err(Refusal::Expired { expires, now }) }
}

/// Refuses a version below the one that was trusted before.
pub(super) fn check_rollback(trusted: u64, offered: u64) -> Result<(), Refusal> {
    if offered >= trusted { Ok(()) } else { Err(Refusal::Rollback { trusted, offered }) }
}

/// What timestamp.json says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Timestamp {
    pub(super) version: u64,
    pub(super) expires: u64,
    /// When it was signed: our own field. Ignored where it is not a time before `expires`.
    pub(super) signed_at: Option<u64>,
    pub(super) snapshot: FileInfo,
}

impl Timestamp {
    pub(super) fn read(envelope: &Envelope<'_>) -> Result<Self, Refusal> {
        let expires = envelope.expires()?;
        Ok(Self {
            version: envelope.version()?,
            expires,
            signed_at: time(envelope.signed, "x-signed-at").filter(|time| *time < expires),
            snapshot: FileInfo::of(envelope.signed, "snapshot.json")?
                .ok_or(Refusal::Field("snapshot.json"))?,
        })
    }
}

/// What N.snapshot.json says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Snapshot {
    pub(super) version: u64,
    pub(super) expires: u64,
    /// `None` where targets.json is not listed.
    pub(super) targets: Option<FileInfo>,
    pub(super) delegated: Delegated,
}

impl Snapshot {
    pub(super) fn read(envelope: &Envelope<'_>) -> Result<Self, Refusal> {
        Ok(Self {
            version: envelope.version()?,
            expires: envelope.expires()?,
            targets: FileInfo::of(envelope.signed, "targets.json")?,
            delegated: Delegated::read(meta(envelope.signed)?)?,
        })
    }
}

fn meta(signed: Value<'_>) -> Result<Value<'_>, Refusal> {
    let meta = signed.member("meta").filter(|meta| meta.members().is_some());
    meta.ok_or(Refusal::Field("meta"))
}

/// What one metadata file says about another (section 4.4, METAFILES).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileInfo {
    pub(super) version: u64,
    pub(super) length: Option<u64>,
    hashes: Hashes,
}

impl FileInfo {
    /// A file of which only the version is known.
    pub(super) fn of_version(version: u64) -> Self {
        Self { version, length: None, hashes: Hashes::default() }
    }

    /// The entry `name` of `meta`; `None` where there is none.
    fn of(signed: Value<'_>, name: &str) -> Result<Option<Self>, Refusal> {
        let Some(entry) = meta(signed)?.member(name) else {
            return Ok(None);
        };
        let length = match entry.member("length") {
            Some(length) => Some(length.unsigned().ok_or(Refusal::Field("length"))?),
            None => None,
        };
        let hashes = match entry.member("hashes") {
            Some(hashes) => Hashes::read(hashes).ok_or(Refusal::Field("hashes"))?,
            None => Hashes::default(),
        };
        Ok(Some(Self { version: version(entry)?, length, hashes }))
    }

    /// Compares what was listed, if anything was, with the bytes of the file.
    pub(super) fn check(&self, file: &[u8]) -> Result<(), Refusal> {
        if let Some(expected) = self.length
            && u64::try_from(file.len()) != Ok(expected)
        {
            return Err(Refusal::Length { expected });
        }
        if self.hashes.match_file(file) { Ok(()) } else { Err(Refusal::Hash) }
    }
}

/// The hashes of a file, of the two algorithms in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hashes {
    pub(super) sha256: Option<[u8; 32]>,
    pub(super) sha512: Option<[u8; 64]>,
}

impl Hashes {
    /// Reads a `hashes` object. `None` where it holds nothing we can compute, because an object
    /// that only looks like a proof would otherwise pass for one.
    fn read(value: Value<'_>) -> Option<Self> {
        Self::read_any(value).filter(|hashes| *hashes != Self::default())
    }

    /// Reads a `hashes` object that may hold nothing but algorithms we do not know.
    pub(super) fn read_any(value: Value<'_>) -> Option<Self> {
        let mut hashes = Self::default();
        for (name, value) in value.members()? {
            if name == *"sha256" {
                hashes.sha256 = Some(value.text()?.hex()?);
            } else if name == *"sha512" {
                hashes.sha512 = Some(value.text()?.hex()?);
            }
        }
        Some(hashes)
    }

    fn match_file(&self, file: &[u8]) -> bool {
        self.sha256.is_none_or(|expected| Sha256::digest(file) == expected)
            && self.sha512.is_none_or(|expected| Sha512::digest(file) == expected)
    }
}
