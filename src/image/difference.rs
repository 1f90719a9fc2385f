//! Where two images of one program differ, in words that lead to the cause.

use serde::Serialize;

use super::sizes::segments;
use crate::chip::Chip;

/// Bytes of the image header, and of the header of each segment.
const HEADER: u64 = 24;
const SEGMENT_HEADER: u64 = 8;
/// Bytes of checksum and digest at the end.
const TAIL: u64 = 33;
const DIGEST: u64 = 32;
/// Equal bytes between two runs that are told as one.
const GAP: u64 = 8;

/// Fields of `esp_app_desc_t`: where each ends, and what it is.
const DESCRIPTOR: [(u64, &str); 10] = [
    (4, "magic word"),
    (8, "secure version"),
    (16, "reserved words"),
    (48, "version"),
    (80, "project name"),
    (96, "time of the build"),
    (112, "date of the build"),
    (144, "ESP-IDF version"),
    (176, "SHA-256 of the ELF file"),
    (256, "eFuse revisions and reserved words"),
];

/// A run of bytes that differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// Where in the file it begins.
    pub offset: u64,
    /// Bytes from the first to the last that differ.
    pub length: u64,
    /// What is there, in words.
    pub place: String,
    /// Where the first byte is on the device; `null` where that is nowhere.
    pub address: Option<u32>,
}

/// Every run of bytes in which `other` differs from `one`, by the layout of `one`. What only one of
/// them has is the last run.
pub fn differences(one: &[u8], other: &[u8], chip: Chip) -> Vec<Difference> {
    let map = Map::of(one, chip);
    let mut found: Vec<Difference> = Vec::new();
    for (offset, (a, b)) in (0_u64..).zip(one.iter().zip(other)) {
        if a == b {
            continue;
        }
        let (place, address) = map.place(offset);
        match found.last_mut() {
            Some(last) if last.place == place && offset <= last.end().saturating_add(GAP) => {
                last.length = offset.saturating_sub(last.offset).saturating_add(1);
            }
            _ => found.push(Difference { offset, length: 1, place, address }),
        }
    }
    let (short, long) = (one.len().min(other.len()), one.len().max(other.len()));
    if short < long {
        let number = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        let (offset, length) = (number(short), number(long).saturating_sub(number(short)));
        found.push(Difference { offset, length, place: "end of the file".into(), address: None });
    }
    found
}

impl Difference {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.length)
    }
}

/// What is where in an image.
struct Map {
    /// End in the file, words, address of the first byte, and the begin in the file.
    parts: Vec<(u64, String, Option<u32>, u64)>,
}

impl Map {
    fn of(image: &[u8], chip: Chip) -> Self {
        let size = u64::try_from(image.len()).unwrap_or(u64::MAX);
        let mut parts = vec![(HEADER, "image header".to_owned(), None, 0)];
        let mut at = HEADER;
        for (index, segment) in segments(image, chip).iter().enumerate() {
            let begin = at.saturating_add(SEGMENT_HEADER);
            parts.push((begin, format!("header of segment {index}"), None, at));
            if index == 0 {
                for (end, field) in DESCRIPTOR {
                    let words = format!("app descriptor: {field}");
                    parts.push((begin.saturating_add(end), words, Some(segment.address), begin));
                }
            }
            at = begin.saturating_add(u64::from(segment.len));
            let words = format!("segment {index}, {}", segment.place.words());
            parts.push((at, words, Some(segment.address), begin));
        }
        parts.push((size.saturating_sub(TAIL), "padding".to_owned(), None, at));
        parts.push((size.saturating_sub(DIGEST), "checksum".to_owned(), None, at));
        parts.push((u64::MAX, "SHA-256 of the image".to_owned(), None, at));
        Self { parts }
    }

    /// What a byte belongs to, and its address.
    fn place(&self, offset: u64) -> (String, Option<u32>) {
        let part = self.parts.iter().find(|(end, ..)| offset < *end);
        let Some((_, words, address, begin)) = part else { return (String::new(), None) };
        let into = u32::try_from(offset.saturating_sub(*begin)).ok();
        (words.clone(), address.zip(into).and_then(|(address, into)| address.checked_add(into)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::inspect::testing::{app, sealed};

    fn told(one: &[u8], other: &[u8]) -> Vec<(u64, u64, String)> {
        differences(one, other, Chip::Esp32c3)
            .into_iter()
            .map(|it| (it.offset, it.length, it.place))
            .collect()
    }

    #[test]
    fn the_same_bytes_differ_nowhere() {
        assert_eq!(told(&app("1.0.0"), &app("1.0.0")), []);
    }

    #[test]
    fn each_difference_has_its_place() {
        let one = app("1.0.0");
        let mut other = one.clone();
        other[32 + 80] ^= 1; // time
        other[32 + 144] ^= 1; // SHA-256 of the ELF file
        other[32 + 150] ^= 1;
        other[32 + 257] ^= 1; // constants
        let second = 32 + 272 + 8;
        other[second] ^= 1;
        let end = u64::try_from(one.len()).unwrap();
        let place = |text: &str| text.to_owned();
        let mut expected = vec![
            (32 + 80, 1, place("app descriptor: time of the build")),
            (32 + 144, 7, place("app descriptor: SHA-256 of the ELF file")),
            (32 + 257, 1, place("segment 0, flash read-only data")),
            (u64::try_from(second).unwrap(), 1, place("segment 1, RAM code")),
        ];
        assert_eq!(told(&one, &other), expected);
        let other = sealed(other);
        expected.push((end - 33, 1, place("checksum")));
        let found = told(&one, &other);
        assert_eq!(found[..5], expected);
        assert!(found[5..].iter().all(|(_, _, place)| place == "SHA-256 of the image"));
        let address = differences(&one, &other, Chip::Esp32c3)[3].address;
        assert_eq!(address, Some(0x4038_0000));
    }

    #[test]
    fn a_longer_image_ends_elsewhere() {
        let one = app("1.0.0");
        let mut longer = one.clone();
        longer.extend([0; 16]);
        let end = u64::try_from(one.len()).unwrap();
        assert_eq!(told(&one, &longer), [(end, 16, "end of the file".to_owned())]);
        assert_eq!(told(&longer, &one), [(end, 16, "end of the file".to_owned())]);
        assert_eq!(told(&[], &one).len(), 1);
    }
}
