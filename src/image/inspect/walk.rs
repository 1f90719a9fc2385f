//! From segment to segment, to the end of an image: its length, checksum and digest.
//!
//! Whether an image boots is for the agent's own code to say. This walks the same way for what that
//! does not tell: where the segments are, and how much of a file is missing.

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::header::{self, Header};
use super::memory::Memory;
use crate::agent::image::{ImageError, LARGEST_IMAGE, MOST_SEGMENTS};
use crate::chip::Chip;
use crate::hex;

/// `ESP_ROM_CHECKSUM_INITIAL`.
const CHECKSUM_SEED: u8 = 0xef;
const SEGMENT_HEADER: u64 = 8;
const DIGEST: usize = 32;
/// The checksum is the last byte of a block of this size.
const BLOCK: u64 = 16;

/// A piece of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Segment {
    /// Where it is loaded to or mapped at.
    pub address: u32,
    /// Bytes.
    pub length: u32,
    /// Offset of its data in the file.
    pub offset: u64,
    /// What is at that address.
    pub memory: Memory,
}

/// What is stored, and what the bytes give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check<T> {
    /// In the file.
    pub stored: T,
    /// Computed over the file.
    pub computed: T,
    /// Whether they are the same.
    pub valid: bool,
}

impl<T: PartialEq> Check<T> {
    fn new(stored: T, computed: T) -> Self {
        Self { valid: stored == computed, stored, computed }
    }
}

/// Where an image ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Behind so many bytes, all of which are there.
    At(u64),
    /// The file ends before the image, which has so many bytes, or at least so many.
    Missing { image: u64, is_exact: bool },
    /// Nowhere: a header makes no sense.
    Broken(ImageError),
}

/// An image, as far as it could be walked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Walk {
    pub(super) header: Header,
    pub(super) segments: Vec<Segment>,
    pub(super) end: End,
    /// Where the file holds all of it.
    pub(super) checksum: Option<Check<u8>>,
    /// Where there is one, and the file holds all of it.
    pub(super) digest: Option<Check<String>>,
}

/// Walks a file that begins with 0xE9; `None` where it ends in the header.
pub(super) fn walk(bytes: &[u8]) -> Option<Walk> {
    let header = header::decode(bytes)?;
    let mut segments = Vec::new();
    let end = find_end(bytes, &header, &mut segments);
    let mut walk = Walk { header, segments, end, checksum: None, digest: None };
    if let End::At(length) = end {
        walk.check(bytes, length);
    }
    Some(walk)
}

fn find_end(bytes: &[u8], header: &Header, segments: &mut Vec<Segment>) -> End {
    let count = header.segment_count;
    if count == 0 || count > MOST_SEGMENTS {
        return End::Broken(ImageError::SegmentCount(count));
    }
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let chip = Chip::from_image_id(header.chip_id);
    let digest = if header.hash_appended { u64::try_from(DIGEST).unwrap_or(0) } else { 0 };
    // Where the image ends that has no more segments behind `at`.
    let finished = |at: u64| {
        let padding = BLOCK.saturating_sub(at % BLOCK);
        at.saturating_add(padding).saturating_add(digest)
    };
    let mut at = u64::try_from(header::SIZE).unwrap_or(u64::MAX);
    for left in (0..u64::from(count)).rev() {
        let unread = at.saturating_add(left.saturating_add(1).saturating_mul(SEGMENT_HEADER));
        let Some((address, length)) = segment_header(bytes, at) else {
            return End::Missing { image: finished(unread), is_exact: false };
        };
        if !length.is_multiple_of(4) || length > LARGEST_IMAGE {
            return End::Broken(ImageError::SegmentLength(length));
        }
        let offset = at.saturating_add(SEGMENT_HEADER);
        let memory = Memory::of(chip, address);
        segments.push(Segment { address, length, offset, memory });
        at = offset.saturating_add(length.into());
        if at > size && left > 0 {
            let unread = at.saturating_add(left.saturating_mul(SEGMENT_HEADER));
            return End::Missing { image: finished(unread), is_exact: false };
        }
    }
    match finished(at) {
        image if image > size => End::Missing { image, is_exact: true },
        image => End::At(image),
    }
}

fn segment_header(bytes: &[u8], at: u64) -> Option<(u32, u32)> {
    let [a0, a1, a2, a3, l0, l1, l2, l3] =
        *bytes.get(usize::try_from(at).ok()?..)?.first_chunk()?;
    Some((u32::from_le_bytes([a0, a1, a2, a3]), u32::from_le_bytes([l0, l1, l2, l3])))
}

impl Walk {
    fn check(&mut self, bytes: &[u8], length: u64) {
        let image = usize::try_from(length).ok().and_then(|length| bytes.get(..length));
        let Some(image) = image else { return };
        let (body, digest) = match image.split_last_chunk::<DIGEST>() {
            Some((body, digest)) if self.header.hash_appended => (body, Some(digest)),
            _ => (image, None),
        };
        let computed = self.segments.iter().fold(CHECKSUM_SEED, |sum, segment| {
            segment.data(bytes).iter().fold(sum, |sum, byte| sum ^ byte)
        });
        self.checksum = body.last().map(|stored| Check::new(*stored, computed));
        self.digest =
            digest.map(|stored| Check::new(hex::lower(stored), hex::lower(&Sha256::digest(body))));
    }
}

impl Segment {
    fn data<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let data = usize::try_from(self.offset).ok().and_then(|start| {
            let length = usize::try_from(self.length).ok()?;
            bytes.get(start..start.checked_add(length)?)
        });
        data.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use crate::image;

    #[test]
    fn a_sound_image_is_walked_to_its_end() {
        let bytes = testing::app("1.0.0");
        let walk = walk(&bytes).unwrap();
        assert_eq!(walk.end, End::At(bytes.len().try_into().unwrap()));
        assert!(walk.checksum.unwrap().valid);
        let info = image::read(&bytes, None).unwrap();
        let digest = walk.digest.unwrap();
        assert_eq!((digest.valid, digest.stored), (true, hex::lower(&info.digest)));
        let [data, code] = &walk.segments[..] else { panic!("two segments") };
        assert_eq!((data.address, data.offset), (testing::DATA, 32));
        assert_eq!((data.memory, code.memory), (Memory::FlashData, Memory::CodeRam));
    }

    #[test]
    fn every_cut_says_how_much_is_missing_at_least() {
        let bytes = testing::app("1.0.0");
        let whole = u64::try_from(bytes.len()).unwrap();
        let last = testing::last_segment_header(&bytes);
        for length in header::SIZE..bytes.len() {
            let End::Missing { image, is_exact } = walk(&bytes[..length]).unwrap().end else {
                panic!("cut at {length}")
            };
            let knows_all = length >= last + 8;
            assert_eq!(is_exact, knows_all, "cut at {length}");
            assert!(image > u64::try_from(length).unwrap() && image <= whole, "cut at {length}");
            assert!(!is_exact || image == whole, "cut at {length}");
        }
        assert_eq!(walk(&bytes[..23]), None);
    }

    #[test]
    fn headers_that_make_no_sense_end_the_walk() {
        let mut bytes = testing::app("1.0.0");
        bytes[1] = 17;
        assert_eq!(walk(&bytes).unwrap().end, End::Broken(ImageError::SegmentCount(17)));
        bytes[1] = 1;
        bytes[28] += 1;
        let length = u32::from_le_bytes(bytes[28..32].try_into().unwrap());
        assert_eq!(walk(&bytes).unwrap().end, End::Broken(ImageError::SegmentLength(length)));
    }
}
