//! The targets role: which files exist (TUF specification, section 4.6).

use super::super::json::{Text, Value};
use super::error::Refusal;
use super::metadata::{Envelope, Hashes};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;

/// Longest name that becomes a path, in characters. ESP image names have some 40.
const LONGEST_NAME: usize = 128;

/// Verified targets metadata. Kept as the bytes that were signed and read in place, because a list
/// of owned entries would take the same memory once more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Targets {
    document: Vec<u8>,
}

impl Targets {
    /// Wraps a document that passed every check, [`Targets::check`] among them.
    pub(super) fn new(document: Vec<u8>) -> Self {
        Self { document }
    }

    /// Refuses metadata with an entry that lacks what every target has.
    pub(super) fn check(envelope: &Envelope<'_>) -> Result<(), Refusal> {
        let targets = envelope.signed.member("targets").and_then(Value::members);
        let mut targets = targets.ok_or(Refusal::Field("targets"))?;
        if targets.all(|(name, entry)| Target::read(name, entry).is_some()) {
            Ok(())
        } else {
            Err(Refusal::Field("targets"))
        }
    }

    /// All targets, in the order they are listed.
    pub fn iter(&self) -> impl Iterator<Item = Target<'_>> {
        let document = Value::parse(&self.document).ok();
        let targets =
            document.and_then(|document| document.member("signed")?.member("targets")?.members());
        targets.into_iter().flatten().filter_map(|(name, entry)| Target::read(name, entry))
    }

    /// The target `name`, where it exists.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Target<'_>> {
        self.iter().find(|target| target.name == *name)
    }

    /// The signed document.
    #[must_use]
    pub fn document(&self) -> &[u8] {
        &self.document
    }
}

/// One file of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    name: Text<'a>,
    length: u64,
    hashes: Hashes,
    custom: Option<Value<'a>>,
}

impl<'a> Target<'a> {
    fn read(name: Text<'a>, entry: Value<'a>) -> Option<Self> {
        Some(Self {
            name,
            length: entry.member("length")?.unsigned()?,
            hashes: Hashes::read_any(entry.member("hashes")?)?,
            custom: entry.member("custom"),
        })
    }

    /// Its name in the repository.
    #[must_use]
    pub fn name(&self) -> Text<'a> {
        self.name
    }

    /// Its length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its SHA-256, where one is listed.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.hashes.sha256
    }

    /// Its SHA-512, where one is listed.
    #[must_use]
    pub fn sha512(&self) -> Option<[u8; 64]> {
        self.hashes.sha512
    }

    /// What its publisher says about it.
    #[must_use]
    pub fn custom(&self) -> Option<Value<'a>> {
        self.custom
    }

    /// Where the file is, relative to the repository's URL: `targets/DIR/HASH.FILE` with
    /// consistent snapshots (section 6.2.3), else `targets/DIR/FILE`.
    ///
    /// `None` for a name that is not made of the letters, digits and `._-` of plain ASCII, that
    /// is too long, or that has a part which is empty or begins with a dot: the name of a target
    /// comes from outside and must not lead out of the folder or mean something to a URL.
    #[must_use]
    pub fn path(&self, consistent_snapshot: bool) -> Option<String> {
        let name = self.name.to_string();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let is_safe =
            |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain);
        if name.len() > LONGEST_NAME || !name.split('/').all(is_safe) {
            return None;
        }
        let (folder, file) = match name.rsplit_once('/') {
            Some((folder, file)) => (Some(folder), file),
            None => (None, name.as_str()),
        };
        let mut path = String::from("targets/");
        if let Some(folder) = folder {
            path.push_str(folder);
            path.push('/');
        }
        if consistent_snapshot {
            write_hex(&mut path, &self.hashes)?;
            path.push('.');
        }
        path.push_str(file);
        Some(path)
    }
}

/// Appends SHA-256, or SHA-512 where that is all there is, in lower case.
fn write_hex(path: &mut String, hashes: &Hashes) -> Option<()> {
    let sha256 = hashes.sha256.as_ref().map(<[u8; 32]>::as_slice);
    let sha512 = hashes.sha512.as_ref().map(<[u8; 64]>::as_slice);
    sha256.or(sha512)?.iter().try_for_each(|byte| write!(path, "{byte:02x}")).ok()
}

#[cfg(test)]
impl Targets {
    pub(in super::super) fn for_tests(document: Vec<u8>) -> Self {
        Self { document }
    }
}
