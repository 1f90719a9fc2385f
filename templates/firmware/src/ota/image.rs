//! ESP app images: read and verified as the bootloader does it.
//!
//! The format is ESP-IDF's `esp_image_format.h`: a header of 24 bytes, 1 to 16 segments of 8 bytes
//! header and data, padding to a checksum byte at the end of a 16-byte block, then SHA-256 over all
//! of it. The first segment starts with the app descriptor (`esp_app_desc_t`).

use embedded_storage::nor_flash::ReadNorFlash;
use sha2::{Digest, Sha256};

use super::layout::Region;

/// First byte of every image.
pub const MAGIC: u8 = 0xe9;
/// `ESP_APP_DESC_MAGIC_WORD`.
pub const DESCRIPTOR_MAGIC: u32 = 0xabcd_5432;
/// Offset of the app descriptor: image header and first segment header come before it.
pub const DESCRIPTOR_OFFSET: u32 = 0x20;
/// `ESP_IMAGE_MAX_SEGMENTS`.
pub const MOST_SEGMENTS: u8 = 16;
/// The bootloader maps no image beyond this length.
pub const LARGEST_IMAGE: u32 = 16 * 1024 * 1024;
/// `ESP_ROM_CHECKSUM_INITIAL`.
const CHECKSUM_SEED: u8 = 0xef;
/// Bytes of image header, segment header, digest.
const HEADER: u32 = 24;
const SEGMENT_HEADER: u32 = 8;
const DIGEST: u32 = 32;
/// Bytes read from flash at once: small enough for a stack.
const CHUNK: usize = 512;

/// What a verified image says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageInfo {
    /// Bytes from the header to the end of the appended digest.
    pub len: u32,
    /// `esp_chip_id_t`.
    pub chip_id: u16,
    /// Address of the first instruction.
    pub entry_point: u32,
    /// Number of segments.
    pub segments: u8,
    /// Lowest chip revision, major * 100 + minor.
    pub min_chip_revision: u16,
    /// Highest chip revision, major * 100 + minor; 0 and 65535 mean no limit.
    pub max_chip_revision: u16,
    /// SHA-256 over everything before the appended digest, as appended.
    pub digest: [u8; 32],
    /// The app descriptor, where the first segment starts with one.
    pub descriptor: Option<Descriptor>,
}

/// `esp_app_desc_t`, the fields that matter here. Texts are NUL-padded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Counter for ESP-IDF's anti-rollback.
    pub secure_version: u32,
    version: [u8; 32],
    project: [u8; 32],
    time: [u8; 16],
    date: [u8; 16],
    /// SHA-256 of the ELF file that the image was made from.
    pub elf_digest: [u8; 32],
}

/// Why an image would not boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageError {
    /// The flash could not be read.
    Flash,
    /// The first byte is not 0xE9.
    Magic(u8),
    /// More than 16 segments, or none.
    SegmentCount(u8),
    /// Made for another chip.
    Chip {
        /// `chip_id` expected.
        expected: u16,
        /// `chip_id` in the header.
        found: u16,
    },
    /// Not for this revision of the chip.
    Revision {
        /// The nearest revision it is for, major times 100 plus minor.
        needed: u16,
        /// The revision of this chip.
        found: u16,
    },
    /// A segment is not a multiple of four bytes or goes beyond the partition.
    SegmentLength(u32),
    /// No image has this many bytes: with checksum and digest it is a multiple of 16.
    Size(u32),
    /// The image does not fit its partition.
    Length {
        /// Bytes of the image.
        image: u32,
        /// Bytes of the partition.
        partition: u32,
    },
    /// The XOR of all segment bytes is wrong.
    Checksum,
    /// No digest is appended: nothing proves the bytes.
    NoDigest,
    /// The appended digest is wrong.
    Digest,
}

impl ImageError {
    /// Kebab-case name for reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Flash => "image-unreadable",
            Self::Magic(_) => "image-magic",
            Self::SegmentCount(_) => "image-segment-count",
            Self::Chip { .. } => "image-chip",
            Self::Revision { .. } => "image-chip-revision",
            Self::SegmentLength(_) => "image-segment-length",
            Self::Size(_) => "image-size",
            Self::Length { .. } => "image-length",
            Self::Checksum => "image-checksum",
            Self::NoDigest => "image-no-digest",
            Self::Digest => "image-digest",
        }
    }
}

impl core::fmt::Display for ImageError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Flash => write!(f, "flash could not be read"),
            Self::Magic(0xff) => write!(f, "erased: nothing was written here"),
            Self::Magic(found) => write!(f, "first byte is {found:#04x}, not 0xe9"),
            Self::SegmentCount(found) => write!(f, "{found} segments, not 1 to 16"),
            Self::Chip { expected, found } => {
                write!(f, "made for chip id {found}, not {expected}")
            }
            Self::Revision { needed, found } => {
                let [needed, found] = [needed, found].map(|it| (it / 100, it % 100));
                let ((a, b), (c, d)) = (needed, found);
                write!(f, "made for chip revision v{a}.{b}, not v{c}.{d}")
            }
            Self::SegmentLength(found) => write!(f, "segment of {found:#x} bytes"),
            Self::Size(found) => write!(f, "{found} bytes are not a multiple of 16"),
            Self::Length { image, partition } => {
                write!(f, "image of {image} bytes in a partition of {partition} bytes")
            }
            Self::Checksum => write!(f, "checksum does not match"),
            Self::NoDigest => write!(f, "no SHA-256 is appended"),
            Self::Digest => write!(f, "SHA-256 does not match"),
        }
    }
}

impl core::error::Error for ImageError {}

impl ImageInfo {
    /// Whether the image runs on this revision of its chip, as `bootloader_common_check_chip_validity`
    /// decides it. A highest revision of 0 or 65535 is none.
    pub fn check_revision(&self, found: u16) -> Result<(), ImageError> {
        let highest = match self.max_chip_revision {
            0 => u16::MAX,
            highest => highest,
        };
        if found < self.min_chip_revision {
            Err(ImageError::Revision { needed: self.min_chip_revision, found })
        } else if found > highest {
            Err(ImageError::Revision { needed: highest, found })
        } else {
            Ok(())
        }
    }
}

impl Descriptor {
    /// Decodes the first bytes of a first segment; `None` where the magic word is missing.
    pub fn decode(bytes: &[u8; 256]) -> Option<Self> {
        let word = |at| field::<4>(bytes, at).map(u32::from_le_bytes);
        if word(0)? != DESCRIPTOR_MAGIC {
            return None;
        }
        Some(Self {
            secure_version: word(4)?,
            version: field(bytes, 16)?,
            project: field(bytes, 48)?,
            time: field(bytes, 80)?,
            date: field(bytes, 96)?,
            elf_digest: field(bytes, 144)?,
        })
    }

    /// Version text as the firmware states it; empty where it is not ASCII.
    pub fn version(&self) -> &str {
        text(&self.version)
    }

    /// Project name; empty where it is not ASCII.
    pub fn project(&self) -> &str {
        text(&self.project)
    }

    /// Date and time of the build, as the compiler wrote them.
    pub fn built(&self) -> (&str, &str) {
        (text(&self.date), text(&self.time))
    }
}

fn field<const N: usize>(bytes: &[u8; 256], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The text before the first NUL. Graphic ASCII and spaces only: it ends up on terminals.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let head = bytes.get(..end).unwrap_or_default();
    if head.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
        core::str::from_utf8(head).unwrap_or_default()
    } else {
        ""
    }
}

/// Verifies the image at the start of `partition`: header, segments, checksum and digest.
///
/// `chip_id` is the chip it has to be made for, where that is known.
pub fn verify<F: ReadNorFlash>(
    flash: &mut F,
    partition: Region,
    chip_id: Option<u16>,
) -> Result<ImageInfo, ImageError> {
    let mut reader =
        Reader { flash, partition, at: 0, sha: Sha256::new(), checksum: CHECKSUM_SEED };
    let mut header = [0; 24];
    reader.take(&mut header)?;
    let [
        magic,
        segments,
        _,
        _,
        e0,
        e1,
        e2,
        e3,
        _,
        _,
        _,
        _,
        c0,
        c1,
        _,
        lo0,
        lo1,
        hi0,
        hi1,
        _,
        _,
        _,
        _,
        appended,
    ] = header;
    if magic != MAGIC {
        return Err(ImageError::Magic(magic));
    }
    if segments == 0 || segments > MOST_SEGMENTS {
        return Err(ImageError::SegmentCount(segments));
    }
    let found = u16::from_le_bytes([c0, c1]);
    if let Some(expected) = chip_id.filter(|expected| *expected != found) {
        return Err(ImageError::Chip { expected, found });
    }

    let mut descriptor = None;
    for index in 0..segments {
        let mut head = [0; 8];
        reader.take(&mut head)?;
        let [_, _, _, _, l0, l1, l2, l3] = head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        if !len.is_multiple_of(4) || len > LARGEST_IMAGE {
            return Err(ImageError::SegmentLength(len));
        }
        let first = reader.segment(len)?;
        if index == 0 && len >= 256 {
            descriptor = Descriptor::decode(&first);
        }
    }

    let checksum = reader.checksum;
    // The checksum is the last byte of a 16-byte block; a full block is added where it would not
    // fit. The digest covers padding and checksum.
    let padding = 16u32.saturating_sub(reader.at % 16);
    let mut block = [0; 16];
    let tail = usize::try_from(padding).ok().and_then(|len| block.get_mut(..len));
    let tail = tail.ok_or(ImageError::Checksum)?;
    reader.take(tail)?;
    if tail.last() != Some(&checksum) {
        return Err(ImageError::Checksum);
    }
    if appended != 1 {
        return Err(ImageError::NoDigest);
    }
    let computed: [u8; 32] = reader.sha.clone().finalize().into();
    let mut digest = [0; 32];
    reader.take(&mut digest)?;
    if digest != computed {
        return Err(ImageError::Digest);
    }
    Ok(ImageInfo {
        len: reader.at,
        chip_id: found,
        entry_point: u32::from_le_bytes([e0, e1, e2, e3]),
        segments,
        min_chip_revision: u16::from_le_bytes([lo0, lo1]),
        max_chip_revision: u16::from_le_bytes([hi0, hi1]),
        digest,
        descriptor,
    })
}

/// SHA-256 over the first `len` bytes of a partition, read back from flash.
pub fn digest<F: ReadNorFlash>(
    flash: &mut F,
    partition: Region,
    len: u32,
) -> Result<[u8; 32], ImageError> {
    let mut reader = Reader { flash, partition, at: 0, sha: Sha256::new(), checksum: 0 };
    reader.segment(len)?;
    Ok(reader.sha.finalize().into())
}

/// Reads a partition front to back, hashing all it passes.
struct Reader<'a, F> {
    flash: &'a mut F,
    partition: Region,
    /// Bytes passed so far.
    at: u32,
    sha: Sha256,
    checksum: u8,
}

impl<F: ReadNorFlash> Reader<'_, F> {
    /// Reads and hashes `buf.len()` bytes: at most one chunk.
    fn take(&mut self, buf: &mut [u8]) -> Result<(), ImageError> {
        let len = u32::try_from(buf.len()).map_err(|_| ImageError::Flash)?;
        let end = self.at.checked_add(len).ok_or(ImageError::SegmentLength(len))?;
        if end > self.partition.len {
            return Err(ImageError::Length { image: end, partition: self.partition.len });
        }
        let from = self.partition.start.checked_add(self.at).ok_or(ImageError::Flash)?;
        self.flash.read(from, buf).map_err(|_| ImageError::Flash)?;
        self.sha.update(&*buf);
        self.at = end;
        Ok(())
    }

    /// Passes `len` bytes, adding them to the checksum; returns the first 256 of them.
    fn segment(&mut self, len: u32) -> Result<[u8; 256], ImageError> {
        let mut first = [0; 256];
        let mut left = usize::try_from(len).map_err(|_| ImageError::SegmentLength(len))?;
        let mut is_first = true;
        let mut chunk = Chunk([0; CHUNK]);
        while left > 0 {
            let now = left.min(CHUNK);
            let buf = chunk.0.get_mut(..now).ok_or(ImageError::Flash)?;
            self.take(buf)?;
            self.checksum = buf.iter().fold(self.checksum, |sum, byte| sum ^ byte);
            if is_first {
                for (to, from) in first.iter_mut().zip(&*buf) {
                    *to = *from;
                }
                is_first = false;
            }
            left = left.saturating_sub(now);
        }
        Ok(first)
    }
}

/// Word-aligned, so that esp-storage needs no bounce buffer.
#[repr(C, align(4))]
struct Chunk([u8; CHUNK]);

const _: () = assert!(HEADER + SEGMENT_HEADER == DESCRIPTOR_OFFSET && DIGEST == 32);
