//! The release that waits for its confirmation: what the device has to know after the reset, and
//! what the trial leaves behind for the image that looks back at it.

use alloc::string::String;
use alloc::vec::Vec;

use super::ports::{Store, StoreError};

const KEY: &str = "pending";
/// First byte of the stored value. The image on trial writes it, and after a fall-back an *older*
/// agent has to read it: a later layout may only append, within twice [`LONGEST`].
const LAYOUT: u8 = 1;
/// Layout, SHA-256, sequence, slot, notes, lengths of the two versions.
const HEAD: usize = 1 + 32 + 4 + 1 + 1 + 2;
/// Bytes of a version that are kept: what fits the field of the app descriptor beside its zero.
pub(super) const LONGEST_VERSION: usize = 31;
const LONGEST: usize = HEAD + 2 * LONGEST_VERSION;

const STARTED: u8 = 0b0001;
const ROLLBACK: u8 = 0b0010;
const AWAY: u8 = 0b0100;
const UNTRUSTED: u8 = 0b1000;

/// A release that was installed and has not been confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// SHA-256 of its image.
    pub sha256: [u8; 32],
    /// Sequence number of the `otadata` entry that selects it. Written down *before* that entry:
    /// a torn one can look like another tool's, and then this number alone tells that it is ours.
    pub sequence: u32,
    /// The slot it stands in.
    pub slot: u32,
    /// Its version.
    pub version: String,
    /// The version that installed it.
    pub from: String,
    /// What its trial has left behind.
    pub notes: Notes,
}

/// What a trial writes down for the image that may have to run after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// The agent of the new image has run.
    pub started: bool,
    /// The bootloader had given the image one start of its own: it has rollback.
    pub bootloader_rollback: bool,
    /// The last that was known of the way to the update server.
    pub network: Network,
}

/// What a trial knows of the way to the update server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// It was reached over authenticated TLS, or nobody has tried yet.
    #[default]
    Quiet,
    /// No network, or no answer from the server. The weather, as far as one device can tell.
    Away,
    /// Somebody answered who could not prove to be the server: perhaps this image pins the wrong
    /// roots.
    Untrusted,
}

/// The release that waits for its confirmation.
pub fn pending<S: Store>(store: &mut S) -> Result<Option<Pending>, StoreError> {
    // Room for the values of a later agent, which are then not understood.
    let mut buf = [0; 2 * LONGEST];
    let Some(len) = store.get(KEY, &mut buf)? else { return Ok(None) };
    Ok(buf.get(..len).and_then(decode))
}

/// Remembers what is about to be installed, or what its trial has noted. An over-long version is
/// cut: it is for reports only.
pub fn set_pending<S: Store>(store: &mut S, pending: &Pending) -> Result<(), StoreError> {
    store.set(KEY, &encode(pending))
}

/// Forgets the pending release: its trial ended.
pub fn clear_pending<S: Store>(store: &mut S) -> Result<(), StoreError> {
    store.set(KEY, &[])
}

fn encode(pending: &Pending) -> Vec<u8> {
    let (version, from) = (cut(&pending.version), cut(&pending.from));
    let mut record = Vec::with_capacity(LONGEST);
    record.push(LAYOUT);
    record.extend_from_slice(&pending.sha256);
    record.extend_from_slice(&pending.sequence.to_le_bytes());
    record.push(u8::try_from(pending.slot).unwrap_or(u8::MAX));
    record.push(pending.notes.byte());
    record.push(u8::try_from(version.len()).unwrap_or(0));
    record.push(u8::try_from(from.len()).unwrap_or(0));
    record.extend_from_slice(version.as_bytes());
    record.extend_from_slice(from.as_bytes());
    record
}

fn decode(record: &[u8]) -> Option<Pending> {
    let (layout, rest) = record.split_first()?;
    let (sha256, rest) = rest.split_first_chunk()?;
    let (sequence, rest) = rest.split_first_chunk()?;
    let ([slot, notes, version, from], rest) = rest.split_first_chunk()?;
    let (version, rest) = rest.split_at_checked(usize::from(*version))?;
    let from = rest.get(..usize::from(*from))?;
    let text = |bytes| core::str::from_utf8(bytes).ok().map(String::from);
    (*layout >= LAYOUT).then_some(Pending {
        sha256: *sha256,
        sequence: u32::from_le_bytes(*sequence),
        slot: u32::from(*slot),
        version: text(version)?,
        from: text(from)?,
        notes: Notes::from_byte(*notes),
    })
}

/// At most [`LONGEST_VERSION`] bytes, and whole characters.
pub(super) fn cut(version: &str) -> &str {
    version.get(..version.floor_char_boundary(LONGEST_VERSION)).unwrap_or_default()
}

impl Notes {
    fn byte(self) -> u8 {
        let network = match self.network {
            Network::Quiet => 0,
            Network::Away => AWAY,
            Network::Untrusted => UNTRUSTED,
        };
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        network | flag(self.started, STARTED) | flag(self.bootloader_rollback, ROLLBACK)
    }

    fn from_byte(byte: u8) -> Self {
        let has = |bit| byte & bit != 0;
        Self {
            started: has(STARTED),
            bootloader_rollback: has(ROLLBACK),
            network: match (has(AWAY), has(UNTRUSTED)) {
                (true, _) => Network::Away,
                (false, true) => Network::Untrusted,
                (false, false) => Network::Quiet,
            },
        }
    }
}
