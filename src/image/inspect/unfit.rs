//! Why a file must not be published: one value for each reason, with its words and its remedy.

use super::kind::Kind;
use crate::agent::image::{ImageError, LARGEST_IMAGE};
use crate::chip::Chip;
use crate::error::{Exit, Explained};

/// A reason not to publish a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is something else.
    #[error("it is {kind}, not an app image")]
    OtherKind {
        /// What.
        kind: Kind,
    },
    /// It looks like random numbers: nobody can be certain.
    #[error("it looks encrypted, or compressed, and is not an app image as it stands")]
    LooksEncrypted,
    /// It is nothing that is known here.
    #[error("it begins with {begin}, which is not how an app image or anything known here begins")]
    Unknown {
        /// The first bytes, hexadecimal.
        begin: String,
    },
    /// A program that no chip boots from a slot.
    #[error("it is an ELF file for {architecture}, not an app image")]
    Elf {
        /// The processor.
        architecture: String,
        /// Whether it is firmware, of which an image can be made.
        firmware: bool,
    },
    /// The whole flash, of which an app is a part.
    #[error("it is a file of whole flash, with a partition table at {table:#x}, not an app image")]
    MergedFlash {
        /// Address of the table.
        table: u32,
        /// Offset and bytes of the first sound app in it.
        app: Option<(u64, u32)>,
    },
    /// There are bytes before the image.
    #[error("{before} bytes stand before the image")]
    BytesBefore {
        /// How many.
        before: u64,
    },
    /// The first bytes of the image were lost.
    #[error("the first {lost} bytes of the image are missing")]
    BeginningMissing {
        /// How many.
        lost: u64,
    },
    /// The header makes no sense.
    #[error("its header makes no sense: {0}")]
    Header(ImageError),
    /// The file is shorter than the image that its header begins.
    #[error(
        "the file ends after {size} of {}{image} bytes: {} are missing",
        if *is_exact { "" } else { "at least " },
        image.saturating_sub(*size)
    )]
    Truncated {
        /// Bytes of the file.
        size: u64,
        /// Bytes of the image.
        image: u64,
        /// Whether it has exactly so many; else it has at least so many.
        is_exact: bool,
    },
    /// Blank bytes follow the image.
    #[error("{extra} bytes of padding follow the image, which ends after {image}")]
    Padded {
        /// How many.
        extra: u64,
        /// Bytes of the image.
        image: u64,
    },
    /// A sector with signatures follows the image.
    #[error(
        "{extra} bytes with a Secure Boot signature follow the image, which ends after {image}"
    )]
    Signed {
        /// How many.
        extra: u64,
        /// Bytes of the image.
        image: u64,
    },
    /// Something else follows the image.
    #[error("{extra} bytes of something else follow the image, which ends after {image}")]
    Trailing {
        /// How many.
        extra: u64,
        /// Bytes of the image.
        image: u64,
    },
    /// The bytes are not those that the checksum was made of.
    #[error("the checksum does not match: {stored:#04x} is stored, {computed:#04x} computed")]
    Checksum {
        /// In the file.
        stored: u8,
        /// Over the segments.
        computed: u8,
    },
    /// The bytes are not those that the digest was made of.
    #[error("the SHA-256 does not match: {stored} is appended, {computed} computed")]
    Digest {
        /// At the end of the image.
        stored: String,
        /// Over all before it.
        computed: String,
    },
    /// Nothing proves the bytes.
    #[error("no SHA-256 is appended: nothing proves the bytes")]
    NoDigest,
    /// Made for another chip.
    #[error("it is for {found}, not for {expected}")]
    OtherChip {
        /// In the header: a name, or a number without one.
        found: String,
        /// Of the project or of `--chip`.
        expected: Chip,
    },
    /// Made for a chip that this tool does not know.
    #[error("it is for a chip with the number {id}, which is not known here")]
    UnknownChip {
        /// `esp_chip_id_t`.
        id: u16,
    },
    /// A segment cannot be mapped.
    #[error(
        "segment {segment} is to be mapped at {address:#x}, which does not fit its place {offset:#x} \
         in the file: the bootloader refuses it"
    )]
    Misaligned {
        /// Which, from 0.
        segment: usize,
        /// Where it is to be mapped.
        address: u32,
        /// Where its data is.
        offset: u64,
    },
    /// The bootloader maps no image of this length.
    #[error("the image has {image} bytes, but the bootloader takes {LARGEST_IMAGE}")]
    TooLong {
        /// Bytes of the image.
        image: u64,
    },
    /// It does not fit a slot.
    #[error("the image has {image} bytes, but slot `{slot}` has {room}: {} too many", image.saturating_sub((*room).into()))]
    SlotTooSmall {
        /// Bytes of the image.
        image: u64,
        /// Name of the slot.
        slot: String,
        /// Bytes of the slot.
        room: u32,
    },
}

impl Unfit {
    /// Kebab-case name for JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherKind { kind } => kind.name(),
            Self::LooksEncrypted => Kind::LooksEncrypted.name(),
            Self::Unknown { .. } => Kind::Unknown.name(),
            Self::Elf { .. } => Kind::Elf.name(),
            Self::MergedFlash { .. } => Kind::MergedFlash.name(),
            Self::BytesBefore { .. } => "bytes-before",
            Self::BeginningMissing { .. } => "beginning-missing",
            Self::Header(_) => "broken-header",
            Self::Truncated { .. } => "truncated",
            Self::Padded { .. } => "padded",
            Self::Signed { .. } => "signed",
            Self::Trailing { .. } => "trailing-bytes",
            Self::Checksum { .. } => "checksum",
            Self::Digest { .. } => "digest",
            Self::NoDigest => "no-digest",
            Self::OtherChip { .. } => "other-chip",
            Self::UnknownChip { .. } => "unknown-chip",
            Self::Misaligned { .. } => "segment-misaligned",
            Self::TooLong { .. } => "too-long",
            Self::SlotTooSmall { .. } => "slot-too-small",
        }
    }
}

impl Explained for Unfit {
    fn exit(&self) -> Exit {
        match self {
            // Bytes that do not match their own digest were changed by somebody or something.
            Self::Checksum { .. } | Self::Digest { .. } => Exit::Trust,
            Self::OtherKind { .. }
            | Self::LooksEncrypted
            | Self::Unknown { .. }
            | Self::Elf { .. }
            | Self::MergedFlash { .. }
            | Self::BytesBefore { .. }
            | Self::BeginningMissing { .. }
            | Self::Header(_)
            | Self::Truncated { .. }
            | Self::Padded { .. }
            | Self::Signed { .. }
            | Self::Trailing { .. }
            | Self::NoDigest
            | Self::OtherChip { .. }
            | Self::UnknownChip { .. }
            | Self::Misaligned { .. }
            | Self::TooLong { .. }
            | Self::SlotTooSmall { .. } => Exit::Rejected,
        }
    }

    fn help(&self) -> Option<String> {
        let text = match self {
            Self::OtherKind { kind } => kind.help(),
            Self::LooksEncrypted => Kind::LooksEncrypted.help(),
            Self::Unknown { .. } => Kind::Unknown.help(),
            Self::Elf { firmware: true, .. } => Kind::Elf.help(),
            Self::Elf { firmware: false, .. } => {
                "it is no firmware of an ESP32: build that with `cargo esp-ota build`"
            }
            Self::MergedFlash { app: Some((offset, size)), .. } => {
                return Some(format!(
                    "{}; the app in this file: `tail -c +{} FILE | head -c {size} > app.bin`",
                    Kind::MergedFlash.help(),
                    // `tail` counts from 1.
                    offset.saturating_add(1)
                ));
            }
            Self::MergedFlash { app: None, .. } => Kind::MergedFlash.help(),
            Self::BytesBefore { before } => {
                let from = before.saturating_add(1);
                return Some(format!(
                    "cut them off: `tail -c +{from} FILE > app.bin`, and find out who put them there"
                ));
            }
            Self::Padded { image, .. } => {
                return Some(format!(
                    "make the image again with `cargo esp-ota build`, which pads nothing, or cut it: \
                     `head -c {image} FILE > app.bin`"
                ));
            }
            Self::BeginningMissing { .. } | Self::Truncated { .. } => {
                "copy the file again, or make the image again with `cargo esp-ota build`"
            }
            Self::Signed { .. } => {
                "publish the image without the signature; this version of the tool publishes no signed \
                 images"
            }
            Self::Header(_) | Self::Trailing { .. } | Self::NoDigest | Self::Misaligned { .. } => {
                "make the image again with `cargo esp-ota build`"
            }
            Self::Checksum { .. } | Self::Digest { .. } => {
                "do not trust this file: make the image again with `cargo esp-ota build`"
            }
            Self::OtherChip { expected, .. } => {
                return Some(format!(
                    "build for {expected}; where that is wrong, correct `--chip`, or `chip` in \
                     `esp-ota.toml`"
                ));
            }
            Self::UnknownChip { .. } => "build for a chip that `--chip` takes",
            Self::TooLong { .. } | Self::SlotTooSmall { .. } => {
                "make the program smaller, or the slots larger in the partition table"
            }
        };
        Some(text.to_owned())
    }
}
