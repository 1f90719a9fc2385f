//! How far a download got, so that a power cut does not send the device back to its first byte.
//!
//! The record saves time and proves nothing. Who resumes hashes what flash really holds, asks for
//! the rest, and both checks of the whole image come afterwards as always. A record that leads to
//! a wrong image is forgotten, so that the next attempt begins from zero: a sector that was torn
//! inside the recorded part costs one download, not all that follow.

use alloc::string::String;
use alloc::vec::Vec;

use super::ports::{Store, StoreError};

/// Bytes between two records. Each is some 150 bytes of the `nvs` partition: an image of 1 MiB
/// takes 16 of them, which wears out about half a page of its flash. A cut costs at most this
/// much of a download. It is also what the slot is erased by, so a record never lies behind an
/// erase that has begun.
pub const STEP: u32 = 0x1_0000;

/// Where it is in the store.
pub(super) const KEY: &str = "resume";
/// First byte of the stored value, so that a later agent can tell its own layout.
const LAYOUT: u8 = 1;
/// Layout, SHA-256, slot, bytes.
const HEAD: usize = 1 + 32 + 1 + 4;
/// Longest ETag that is kept. Of a longer one nothing is, and the rest is asked for without
/// If-Range: the file has its hash in its name, and is checked as a whole anyway.
const LONGEST_ETAG: usize = 64;

/// A download that was under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resume {
    /// SHA-256 of the release.
    pub sha256: [u8; 32],
    /// The slot it goes to.
    pub slot: u32,
    /// Bytes that are in flash: whole [`STEP`]s.
    pub bytes: u32,
    /// The server's name for the file, quotes included.
    pub etag: Option<String>,
}

/// The download that was under way, if it was this one. Any other is forgotten, because its slot
/// is about to be overwritten.
pub fn find<S: Store>(
    store: &mut S,
    sha256: &[u8; 32],
    slot: u32,
) -> Result<Option<Resume>, StoreError> {
    // Room for the values of a later agent, which are then not understood.
    let mut buf = [0; 2 * (HEAD + LONGEST_ETAG)];
    let Some(len) = store.get(KEY, &mut buf)? else { return Ok(None) };
    let found = buf.get(..len).and_then(decode);
    let found = found.filter(|found| found.sha256 == *sha256 && found.slot == slot);
    if found.is_none() {
        forget(store)?;
    }
    Ok(found)
}

/// Remembers a download, once its bytes are in flash.
pub fn save<S: Store>(store: &mut S, resume: &Resume) -> Result<(), StoreError> {
    let etag = resume.etag.as_deref().filter(|etag| etag.len() <= LONGEST_ETAG);
    let mut record = Vec::with_capacity(HEAD + LONGEST_ETAG);
    record.push(LAYOUT);
    record.extend_from_slice(&resume.sha256);
    record.push(u8::try_from(resume.slot).map_err(|_| StoreError)?);
    record.extend_from_slice(&resume.bytes.to_le_bytes());
    record.extend_from_slice(etag.unwrap_or_default().as_bytes());
    store.set(KEY, &record)
}

/// Forgets the download: it came to its end, or to nothing.
pub fn forget<S: Store>(store: &mut S) -> Result<(), StoreError> {
    store.set(KEY, &[])
}

fn decode(record: &[u8]) -> Option<Resume> {
    let (layout, rest) = record.split_first()?;
    let (sha256, rest) = rest.split_first_chunk()?;
    let (slot, rest) = rest.split_first()?;
    let (bytes, etag) = rest.split_first_chunk()?;
    let bytes = u32::from_le_bytes(*bytes);
    let etag = core::str::from_utf8(etag).ok()?;
    let is_sound = *layout == LAYOUT && bytes > 0 && bytes.is_multiple_of(STEP);
    is_sound.then(|| Resume {
        sha256: *sha256,
        slot: u32::from(*slot),
        bytes,
        etag: (!etag.is_empty()).then(|| etag.into()),
    })
}
