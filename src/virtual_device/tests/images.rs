//! The image verifier against everything the bootloader refuses.

use proptest::prelude::*;

use super::bench::image;
use crate::agent::image::ImageError;
use crate::chip::Chip;
use crate::image;

fn verdict(bytes: &[u8]) -> Result<(), ImageError> {
    image::read(bytes, Some(Chip::Esp32c3)).map(drop)
}

fn changed(at: usize, to: u8) -> Result<(), ImageError> {
    let mut bytes = image("1.0.0");
    bytes[at] = to;
    verdict(&bytes)
}

#[test]
fn a_good_image_says_what_it_is() {
    let info = image::read(&image("1.2.3-rc.1"), Some(Chip::Esp32c3)).unwrap();
    let descriptor = info.descriptor.unwrap();
    assert_eq!((descriptor.version(), descriptor.project()), ("1.2.3-rc.1", "bench"));
    assert_eq!((info.segments, info.chip_id, info.max_chip_revision), (1, 5, u16::MAX));
    assert_eq!(usize::try_from(info.len).unwrap(), image("1.2.3-rc.1").len());
}

#[test]
fn each_part_of_the_header_is_checked() {
    assert_eq!(changed(0, 0xff), Err(ImageError::Magic(0xff)));
    assert_eq!(changed(1, 0), Err(ImageError::SegmentCount(0)));
    assert_eq!(changed(1, 17), Err(ImageError::SegmentCount(17)));
    assert_eq!(changed(12, 13), Err(ImageError::Chip { expected: 5, found: 13 }));
    assert_eq!(changed(23, 0), Err(ImageError::NoDigest));
    assert_eq!(changed(28, 1), Err(ImageError::SegmentLength(0x2301)));
    assert!(matches!(changed(30, 2), Err(ImageError::Length { .. })));
}

#[test]
fn a_chip_below_or_above_the_image_s_revisions_is_refused() {
    let mut info = image::read(&image("1.0.0"), None).unwrap();
    info.min_chip_revision = 101;
    info.max_chip_revision = 199;
    let refused = |needed, found| Err(ImageError::Revision { needed, found });
    assert_eq!(info.check_revision(100), refused(101, 100));
    assert_eq!(info.check_revision(101), Ok(()));
    assert_eq!(info.check_revision(199), Ok(()));
    assert_eq!(info.check_revision(200), refused(199, 200));
    for none in [0, u16::MAX] {
        info.max_chip_revision = none;
        assert_eq!(info.check_revision(9999), Ok(()), "{none}");
    }
    let said = ImageError::Revision { needed: 101, found: 3 }.to_string();
    assert_eq!(said, "made for chip revision v1.1, not v0.3");
}

#[test]
fn one_changed_bit_anywhere_is_found() {
    let good = image("1.0.0");
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        assert!(verdict(&bytes).is_err(), "byte {at}");
    }
}

#[test]
fn one_missing_byte_is_found_and_trailing_bytes_are_not_part_of_the_image() {
    let good = image("1.0.0");
    assert!(matches!(verdict(&good[..good.len() - 1]), Err(ImageError::Length { .. })));
    assert_eq!(verdict(&[]), Err(ImageError::Length { image: 24, partition: 0 }));
    let mut padded = good.clone();
    padded.extend([0xff; 100]);
    let info = image::read(&padded, None).unwrap();
    assert_eq!(usize::try_from(info.len).unwrap(), good.len());
}

#[test]
fn a_descriptor_cannot_put_control_characters_on_a_terminal() {
    let mut bytes = image("1.0.0");
    bytes[32 + 16] = 0x1b;
    let info = image::read(&bytes, None);
    assert_eq!(info, Err(ImageError::Checksum), "and would not get there anyway");
    let mut descriptor: [u8; 256] = bytes[32..288].try_into().unwrap();
    descriptor[16] = 0x1b;
    let descriptor = crate::agent::image::Descriptor::decode(&descriptor).unwrap();
    assert_eq!(descriptor.version(), "");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = image::read(&bytes, None);
        if let Some(first) = bytes.first_mut() {
            *first = 0xe9;
        }
        let _ = image::read(&bytes, None);
    }
}
