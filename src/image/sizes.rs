//! How many bytes of an app image go where on the device. The sum is the whole image.

use std::collections::BTreeMap;

use espflash::target;

use super::memory::Place;
use crate::chip::Chip;

/// Bytes before the first segment.
const HEADER: usize = 24;
/// Bytes before the data of each segment: address and length.
const SEGMENT_HEADER: usize = 8;

/// One segment of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where its first byte ends up. Padding has address 0.
    pub address: u32,
    /// Bytes.
    pub len: u32,
    /// What is there.
    pub place: Place,
}

/// The segments of an image that was read before ([`super::read`]); a cut one gives what is there.
pub fn segments(image: &[u8], chip: Chip) -> Vec<Segment> {
    let flash = chip.name().parse::<target::Chip>().ok();
    let mut left = image.get(HEADER..).unwrap_or_default();
    let mut found: Vec<Segment> = Vec::new();
    for index in 0..image.get(1).copied().unwrap_or(0) {
        let Some((header, rest)) = left.split_first_chunk::<SEGMENT_HEADER>() else { break };
        let [a0, a1, a2, a3, l0, l1, l2, l3] = *header;
        let address = u32::from_le_bytes([a0, a1, a2, a3]);
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let Some((_, rest)) = usize::try_from(len).ok().and_then(|len| rest.split_at_checked(len))
        else {
            break;
        };
        left = rest;
        let place = if address == 0 {
            Place::Format
        } else if flash.is_some_and(|flash| flash.addr_is_flash(address)) {
            Place::of_flash(chip, address, index == 0)
        } else {
            Place::of_ram(chip, address)
        };
        found.push(Segment { address, len, place });
    }
    found
}

/// Bytes by place, in the order of [`Place`]; places without any are left out.
pub fn sizes(image: &[u8], chip: Chip) -> Vec<(Place, u64)> {
    let mut sizes = BTreeMap::new();
    let mut format = u64::try_from(image.len()).unwrap_or(u64::MAX);
    for segment in segments(image, chip).iter().filter(|it| it.place != Place::Format) {
        let len = u64::from(segment.len);
        format = format.saturating_sub(len);
        let size: &mut u64 = sizes.entry(segment.place).or_default();
        *size = size.saturating_add(len);
    }
    sizes.insert(Place::Format, format);
    sizes.into_iter().filter(|(_, size)| *size > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Headers, segments as given, and 48 bytes in place of padding, checksum and digest.
    fn image(segments: &[(u32, usize)]) -> Vec<u8> {
        let mut bytes = vec![0; 24];
        bytes[1] = u8::try_from(segments.len()).unwrap();
        for (address, len) in segments {
            bytes.extend(address.to_le_bytes());
            bytes.extend(u32::try_from(*len).unwrap().to_le_bytes());
            bytes.extend(vec![0; *len]);
        }
        bytes.extend([0; 48]);
        bytes
    }

    #[test]
    fn every_byte_is_counted_once() {
        let image = image(&[
            (0x3c00_0020, 1000),
            (0x3fc8_0000, 200),
            (0, 64),
            (0x4200_0020, 3000),
            (0x4038_0000, 400),
            (0x5000_0000, 16),
        ]);
        let sizes = sizes(&image, Chip::Esp32c3);
        assert_eq!(
            sizes,
            [
                (Place::FlashCode, 3000),
                (Place::FlashData, 1000),
                (Place::RamCode, 400),
                (Place::RamData, 200),
                (Place::Rtc, 16),
                (Place::Format, 24 + 6 * 8 + 64 + 48),
            ]
        );
        let sum: u64 = sizes.iter().map(|(_, size)| size).sum();
        assert_eq!(sum, u64::try_from(image.len()).unwrap());
    }

    #[test]
    fn on_one_bus_the_first_flash_segment_is_data_and_ram_is_one_place() {
        let image = image(&[(0x4200_0020, 8), (0x4201_0020, 12), (0x4080_0000, 16)]);
        assert_eq!(
            sizes(&image, Chip::Esp32c6),
            [
                (Place::FlashCode, 12),
                (Place::FlashData, 8),
                (Place::Ram, 16),
                (Place::Format, 24 + 3 * 8 + 48),
            ]
        );
    }

    #[test]
    fn a_cut_image_gives_what_is_there() {
        let image = image(&[(0x3c00_0020, 100), (0x4200_0020, 100)]);
        for end in 0..image.len() {
            let cut = &image[..end];
            let sum: u64 = sizes(cut, Chip::Esp32c3).iter().map(|(_, size)| size).sum();
            assert_eq!(sum, u64::try_from(end).unwrap());
        }
    }
}
