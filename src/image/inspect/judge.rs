//! A file that begins with 0xE9: which kind of image it is, and what is wrong with it.

use super::descriptor;
use super::esp8266;
use super::flash;
use super::kind::Kind;
use super::memory::Memory;
use super::unfit::Unfit;
use super::walk::{End, Walk, walk};
use super::{Expected, Image, Inspection, Note};
use crate::agent::image::{ImageError, ImageInfo, LARGEST_IMAGE};
use crate::image;

/// `ETS_SECURE_BOOT_V2_SIGNATURE_MAGIC`, and the version behind it.
const SIGNATURE_MAGICS: [[u8; 2]; 2] = [[0xe7, 2], [0xe7, 3]];
/// What flash is mapped in, where the image does not say (`SPI_FLASH_MMU_PAGE_SIZE`).
const PAGE: u32 = 0x1_0000;
/// Bytes of an image's header.
const HEADER: u64 = 24;

/// Judges a file that begins with 0xE9.
pub(super) fn inspect(bytes: &[u8], expected: &Expected) -> Inspection {
    let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let Some(walk) = walk(bytes) else {
        let least = HEADER.saturating_add(HEADER);
        let problem = Unfit::Truncated { size, image: least, is_exact: false };
        return Inspection::of(Kind::BrokenImage).because("begins with E9").rejected(problem);
    };
    let end = match walk.end {
        End::At(end) => end,
        End::Missing { .. } | End::Broken(_) => 0,
    };
    if let Some(flash) = flash::find(bytes, end) {
        return super::whole_flash(flash);
    }
    if !matches!(walk.end, End::At(_)) && esp8266::is_image(bytes) {
        let kind = Kind::Esp8266;
        let evidence = "begins with E9, and segments of the ESP8266 follow the short header";
        return Inspection::of(kind).because(evidence).rejected(Unfit::OtherKind { kind });
    }
    alone(bytes, size, walk, expected)
}

/// Judges an image that is no part of a larger file.
fn alone(bytes: &[u8], size: u64, walk: Walk, expected: &Expected) -> Inspection {
    let verified = image::read(bytes, None);
    let app = descriptor::app(bytes);
    let bootloader = if app.is_none() { descriptor::bootloader(bytes) } else { None };
    let mut found = Inspection::of(Kind::App).because("begins with E9");
    let maps_flash = walk.segments.iter().any(|segment| segment.memory.is_flash());
    if matches!(walk.end, End::Broken(_)) {
        found.kind = Kind::BrokenImage;
    } else if app.is_some() {
        found = found.because("an app descriptor behind the headers");
    } else if bootloader.is_some() {
        found.kind = Kind::Bootloader;
        found = found.because("a bootloader's descriptor behind the headers");
    } else if !maps_flash && walk.header.chip().is_some() {
        found.kind = Kind::Bootloader;
        found = found
            .because("no app descriptor")
            .because("everything is loaded into RAM, and nothing mapped from flash");
    }
    found.problems = problems(bytes, size, &walk, &verified, found.kind, expected);
    if found.kind == Kind::App && !matches!(walk.end, End::Missing { .. }) {
        found.notes = notes(&walk, app.as_ref());
    }
    let length = match walk.end {
        End::At(length) => Some(length),
        End::Missing { image, is_exact } => is_exact.then_some(image),
        End::Broken(_) => None,
    };
    let Walk { header, segments, checksum, digest, .. } = walk;
    let descriptor = app;
    found.image =
        Some(Image { length, header, segments, checksum, digest, descriptor, bootloader });
    found.verified = verified.ok();
    found
}

fn problems(
    bytes: &[u8],
    size: u64,
    walk: &Walk,
    verified: &Result<ImageInfo, ImageError>,
    kind: Kind,
    expected: &Expected,
) -> Vec<Unfit> {
    let mut found = Vec::new();
    // What the device's own code says, in words that name what is in the file.
    if let Err(error) = verified {
        found.push(refusal(*error, size, walk));
    }
    if kind == Kind::Bootloader {
        found.push(Unfit::OtherKind { kind });
    }
    if let End::At(image) = walk.end {
        found.extend(behind(bytes, image));
        if image > u64::from(LARGEST_IMAGE) {
            found.push(Unfit::TooLong { image });
        }
    }
    found.extend(chip(walk, kind, expected));
    found.extend(misaligned(walk, bytes));
    if let (End::At(image), Kind::App) = (walk.end, kind) {
        let slot = expected.slots.iter().find(|slot| u64::from(slot.size) < image);
        found.extend(slot.map(|slot| {
            let (slot, room) = (slot.name.clone(), slot.size);
            Unfit::SlotTooSmall { image, slot, room }
        }));
    }
    found
}

/// The words for what the agent's verifier says.
fn refusal(error: ImageError, size: u64, walk: &Walk) -> Unfit {
    match (error, walk.end) {
        (ImageError::Length { .. }, End::Missing { image, is_exact }) => {
            Unfit::Truncated { size, image, is_exact }
        }
        (ImageError::Checksum, _) => match &walk.checksum {
            Some(check) => Unfit::Checksum { stored: check.stored, computed: check.computed },
            None => Unfit::Header(error),
        },
        (ImageError::Digest, _) => match &walk.digest {
            Some(check) => {
                let (stored, computed) = (check.stored.clone(), check.computed.clone());
                Unfit::Digest { stored, computed }
            }
            None => Unfit::Header(error),
        },
        (ImageError::NoDigest, _) => Unfit::NoDigest,
        (
            ImageError::Flash
            | ImageError::Magic(_)
            | ImageError::SegmentCount(_)
            | ImageError::Chip { .. }
            | ImageError::Revision { .. }
            | ImageError::SegmentLength(_)
            | ImageError::Size(_)
            | ImageError::Length { .. },
            _,
        ) => Unfit::Header(error),
    }
}

/// What follows the image.
fn behind(bytes: &[u8], image: u64) -> Option<Unfit> {
    let rest = usize::try_from(image).ok().and_then(|image| bytes.get(image..))?;
    let extra = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    // Blank bytes may fill the sector before the signature.
    let signed = rest.iter().position(|byte| !matches!(byte, 0x00 | 0xff));
    match signed.and_then(|at| rest.get(at..)) {
        None if rest.is_empty() => None,
        None => Some(Unfit::Padded { extra, image }),
        Some(signature) if SIGNATURE_MAGICS.iter().any(|it| signature.starts_with(it)) => {
            Some(Unfit::Signed { extra, image })
        }
        Some(_) => Some(Unfit::Trailing { extra, image }),
    }
}

fn chip(walk: &Walk, kind: Kind, expected: &Expected) -> Option<Unfit> {
    let id = walk.header.chip_id;
    let known = walk.header.chip();
    match expected.chip {
        _ if kind == Kind::BrokenImage => None,
        Some(expected) if known != Some(expected) => {
            let found = known.map_or_else(|| format!("chip {id}"), |chip| chip.to_string());
            Some(Unfit::OtherChip { found, expected })
        }
        None if known.is_none() => Some(Unfit::UnknownChip { id }),
        Some(_) | None => None,
    }
}

/// `verify_segment_header` of the bootloader: a page of flash is mapped at a page.
fn misaligned(walk: &Walk, bytes: &[u8]) -> Option<Unfit> {
    let stated = descriptor::app(bytes).and_then(|app| app.mmu_page_size);
    let page = u64::from(stated.filter(|size| (0x1000..=PAGE).contains(size)).unwrap_or(PAGE));
    let fits = |offset: u64, address: u32| {
        offset.checked_rem(page) == u64::from(address).checked_rem(page)
    };
    walk.segments.iter().enumerate().find_map(|(index, segment)| {
        let (address, offset) = (segment.address, segment.offset);
        let is_wrong = segment.memory.is_flash() && !fits(offset, address);
        is_wrong.then_some(Unfit::Misaligned { segment: index, address, offset })
    })
}

fn notes(walk: &Walk, app: Option<&descriptor::App>) -> Vec<Note> {
    let mut notes = Vec::new();
    if app.is_none() {
        notes.push(Note {
            code: "no-descriptor",
            message: "it has no app descriptor: `publish` needs `--release-version`".to_owned(),
        });
    }
    let Some(chip) = walk.header.chip() else { return notes };
    for (index, segment) in walk.segments.iter().enumerate() {
        if Memory::of(Some(chip), segment.address) == Memory::Unknown {
            let message = format!(
                "segment {index} is for {:#010x}, where {chip} has no memory that is known here",
                segment.address
            );
            notes.push(Note { code: "segment-nowhere", message });
        }
    }
    notes
}
