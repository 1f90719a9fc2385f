//! Images that are not where they should be, and bytes that look like random numbers.

use crate::agent::image::{DESCRIPTOR_MAGIC, DESCRIPTOR_OFFSET, MAGIC};
use crate::image;

use super::descriptor;

/// How far into a file an app descriptor is looked for: the head of an HTTP answer and a whole
/// bootloader are shorter.
const FARTHEST: usize = 0x1_0000;
/// Most places that are tried.
const MOST_PLACES: usize = 16;
/// Bytes of which the entropy is measured, and the fewest for which it means something.
const SAMPLE: usize = 4096;
const LEAST_SAMPLE: usize = 1024;
/// Bits of entropy in a byte of machine code are about 6; of 1024 random bytes, 7.8.
const RANDOM: f64 = 7.7;

/// An image that does not begin at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shift {
    /// So many bytes stand before a sound image.
    Before(u64),
    /// So many of its first bytes are missing.
    Lost(u64),
}

/// Looks for an image by its app descriptor.
pub(super) fn shift(bytes: &[u8]) -> Option<Shift> {
    let head = bytes.get(..FARTHEST).unwrap_or(bytes);
    let usual = usize::try_from(DESCRIPTOR_OFFSET).ok()?;
    let magic = DESCRIPTOR_MAGIC.to_le_bytes();
    let places = head.windows(magic.len()).enumerate().filter(|(_, found)| **found == magic);
    places.take(MOST_PLACES).find_map(|(at, _)| match at.checked_sub(usual) {
        Some(start) => {
            let image = bytes.get(start..).filter(|image| image.first() == Some(&MAGIC))?;
            image::read(image, None).ok()?;
            Some(Shift::Before(u64::try_from(start).ok()?))
        }
        None => {
            // The magic alone is four bytes; with a project beside it, it is no accident.
            let app = descriptor::app_in(bytes.get(at..)?)?;
            let lost = u64::try_from(usual.checked_sub(at)?).ok()?;
            (!app.project.is_empty() && !app.version.is_empty()).then_some(Shift::Lost(lost))
        }
    })
}

/// Bits of entropy in a byte of the first written part of a file, and of how many bytes; `None`
/// where that does not look random.
pub(super) fn randomness(bytes: &[u8]) -> Option<(f64, usize)> {
    let start = bytes.iter().position(|byte| *byte != 0xff)?;
    let rest = bytes.get(start..)?;
    let sample = rest.get(..SAMPLE).unwrap_or(rest);
    let bits = entropy(sample);
    (sample.len() >= LEAST_SAMPLE && bits >= RANDOM).then_some((bits, sample.len()))
}

/// Shannon's entropy of a byte, in bits.
fn entropy(bytes: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for byte in bytes {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total = f64::from(counts.iter().fold(0u32, |sum, count| sum.saturating_add(*count)));
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / total);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn what_stands_before_an_image_is_counted() {
        let image = testing::app("1.0.0");
        let head = b"Content-Type: application/octet-stream\r\n\r\n";
        let file = [&head[..], &image].concat();
        assert_eq!(shift(&file), Some(Shift::Before(42)));
        let mut damaged = file.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(shift(&damaged), None, "only a sound image is an image");
    }

    #[test]
    fn what_was_lost_of_an_image_is_counted() {
        let image = testing::app("1.0.0");
        for lost in [1, 8, 31, 32] {
            let expected = Shift::Lost(lost.try_into().unwrap());
            assert_eq!(shift(&image[lost..]), Some(expected), "{lost}");
        }
        assert_eq!(shift(&image[33..]), None);
        assert_eq!(shift(&image[8..100]), None);
    }

    #[test]
    fn random_bytes_are_told_from_code_and_text() {
        let random = testing::random(8192);
        assert!(randomness(&random).is_some());
        assert!(randomness(&random[..1024]).is_some());
        assert!(randomness(&random[..1023]).is_none());
        let behind_blank = [vec![0xff; 4096], random].concat();
        assert!(randomness(&behind_blank).is_some());
        let text = include_bytes!("search.rs");
        assert!(randomness(text).is_none());
        let program = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(randomness(&program[..65536]).is_none());
        assert!(randomness(&[0xff; 9000]).is_none());
        assert!(entropy(&[7; 100]).abs() < f64::EPSILON);
    }
}
