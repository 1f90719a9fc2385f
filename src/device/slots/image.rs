//! What is in a slot, with as few bytes read as will do.
//!
//! The headers of an image lead from segment to segment to its end. That they do so is no proof of
//! the bytes between them, so an image that was only walked through is *unproven*.

use md5::{Digest, Md5};

use super::{Depth, Known, Proof, SlotError};
use crate::agent::image::{
    self, DESCRIPTOR_OFFSET, Descriptor, ImageError, LARGEST_IMAGE, MAGIC, MOST_SEGMENTS,
};
use crate::agent::layout::Region;
use crate::device::flash::FlashReader;
use crate::image::Bytes;

/// Bytes of the image header, of a segment header, of the appended SHA-256, of a descriptor.
const HEADER: u32 = 24;
const SEGMENT_HEADER: u32 = 8;
const DIGEST: u32 = 32;
const DESCRIPTOR: u32 = 256;

/// What an image says about itself.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    /// Bytes, checksum and digest included.
    pub(super) length: u32,
    pub(super) digest: [u8; 32],
    pub(super) descriptor: Option<Descriptor>,
}

/// What was found in a slot.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) outline: Option<Outline>,
    pub(super) proof: Proof,
    /// Which image it is, where it is a known one.
    pub(super) known: Option<String>,
    pub(super) reason: Option<ImageError>,
}

/// Looks into a slot.
pub(super) fn find(
    flash: &mut dyn FlashReader,
    region: Region,
    depth: Depth,
    known: &[Known],
) -> Result<Found, SlotError> {
    let outline = match outline(flash, region)? {
        Ok(outline) => outline,
        Err(ImageError::Magic(0xff)) => {
            return Ok(Found { outline: None, proof: Proof::Blank, known: None, reason: None });
        }
        // A bootloader goes by the checksum then. We have nothing to compare.
        Err(error @ ImageError::NoDigest) => {
            return Ok(Found { proof: Proof::Unproven, ..broken(error) });
        }
        Err(error) => return Ok(broken(error)),
    };
    let candidate =
        known.iter().find(|known| known.digest == outline.digest && known.length == outline.length);
    let mut proof = Proof::Unproven;
    let mut name = None;
    match (depth, candidate) {
        (Depth::Headers, None) => {}
        (Depth::Headers, Some(candidate)) => {
            // The chip works it out: the bytes do not have to cross the line.
            let digest = flash.md5(region.start, outline.length)?;
            if digest == candidate.md5 {
                (proof, name) = (Proof::Intact, Some(candidate.name.clone()));
            }
        }
        (Depth::Whole, candidate) => {
            let bytes = flash.read(region.start, outline.length)?;
            let whole = Region { start: 0, len: outline.length };
            if let Err(error) = image::verify(&mut Bytes(&bytes), whole, None) {
                return Ok(broken(error));
            }
            let candidate = candidate.filter(|it| it.md5[..] == Md5::digest(&bytes)[..]);
            (proof, name) = (Proof::Intact, candidate.map(|candidate| candidate.name.clone()));
        }
    }
    Ok(Found { outline: Some(outline), proof, known: name, reason: None })
}

fn broken(error: ImageError) -> Found {
    Found { outline: None, proof: Proof::Broken, known: None, reason: Some(error) }
}

/// Walks from header to header. The outer error is the flash's, the inner one the image's.
pub(super) fn outline(
    flash: &mut dyn FlashReader,
    region: Region,
) -> Result<Result<Outline, ImageError>, SlotError> {
    let too_long = |image| Ok(Err(ImageError::Length { image, partition: region.len }));
    let head_size = DESCRIPTOR_OFFSET.saturating_add(DESCRIPTOR);
    if region.len < head_size {
        return too_long(head_size);
    }
    // First the header alone: most of what is not an image shows in its first byte.
    let header = flash.read(region.start, HEADER)?;
    let segments = match header[..] {
        [MAGIC, segments @ 1..=MOST_SEGMENTS, ..] => segments,
        [MAGIC, segments, ..] => return Ok(Err(ImageError::SegmentCount(segments))),
        [other, ..] => return Ok(Err(ImageError::Magic(other))),
        [] => return Ok(Err(ImageError::Flash)),
    };
    match header.last() {
        Some(1) => {}
        Some(0) => return Ok(Err(ImageError::NoDigest)),
        // A bootloader looks for a digest then, over this very byte.
        Some(_) | None => return Ok(Err(ImageError::Digest)),
    }
    let mut at = HEADER;
    let mut descriptor = None;
    for index in 0..segments {
        let wanted =
            if index == 0 { SEGMENT_HEADER.saturating_add(DESCRIPTOR) } else { SEGMENT_HEADER };
        if at.saturating_add(wanted) > region.len {
            return too_long(at.saturating_add(wanted));
        }
        let bytes = flash.read(region.start.saturating_add(at), wanted)?;
        let Some((head, body)) = bytes.split_first_chunk::<8>() else {
            return Ok(Err(ImageError::Flash));
        };
        let [_, _, _, _, l0, l1, l2, l3] = *head;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if !length.is_multiple_of(4) || length > LARGEST_IMAGE {
            return Ok(Err(ImageError::SegmentLength(length)));
        }
        if length >= DESCRIPTOR {
            descriptor = descriptor.or(body.first_chunk().and_then(Descriptor::decode));
        }
        at = at.saturating_add(SEGMENT_HEADER).saturating_add(length);
        if at > region.len {
            return too_long(at);
        }
    }
    // The checksum ends a block of 16 bytes, of which it is the last.
    let end = at.saturating_add(1).checked_next_multiple_of(16).unwrap_or(u32::MAX);
    let length = end.saturating_add(DIGEST);
    if length > region.len {
        return too_long(length);
    }
    let digest = flash.read(region.start.saturating_add(end), DIGEST)?;
    let Ok(digest) = <[u8; 32]>::try_from(digest) else { return Ok(Err(ImageError::Flash)) };
    if digest == [0xff; 32] {
        // Written up to here and no further.
        return Ok(Err(ImageError::Digest));
    }
    Ok(Ok(Outline { length, digest, descriptor }))
}
