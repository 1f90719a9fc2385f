//! App images as the bootloader reads them, from flash full of anything.

use cargo_esp_ota::agent::image::{self, ImageError};
use cargo_esp_ota::agent::layout::Region;
use cargo_esp_ota::virtual_device::flash::VirtualFlash;
use sha2::{Digest, Sha256};

use crate::memory_of;

/// Where the partition begins: not at the start of the chip.
const START: u32 = 0x1000;
/// Header of an image, header of a segment.
const HEADERS: [usize; 2] = [24, 8];

/// Verifies the bytes as a partition. Unless the first is odd, checksum and digest are made right
/// before, so that all the rest gets a chance to be believed.
pub fn judge(bytes: &[u8]) {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let mut partition = bytes.to_vec();
    let healed = mode % 2 == 0 && heal(&mut partition).is_some();
    let len = u32::try_from(partition.len()).expect("a short input");
    let region = Region { start: START, len };
    let mut contents = vec![0xff; 0x1000];
    contents.extend_from_slice(&partition);
    let mut flash = VirtualFlash::with_contents(contents);

    let (found, used) = memory_of(|| image::verify(&mut flash, region, None));
    assert_eq!(used, 0, "bytes of heap");
    match found {
        Ok(info) => {
            assert!(info.len <= len && info.len % 16 == 0, "{info:?}");
            assert!((1..=image::MOST_SEGMENTS).contains(&info.segments));
            let _ = info.check_revision(101);
            if let Some(descriptor) = info.descriptor {
                let (date, time) = descriptor.built();
                for text in [descriptor.version(), descriptor.project(), date, time] {
                    assert!(text.len() <= 32 && !text.contains(char::is_control), "{text:?}");
                }
            }
            let whole = info.len as usize - 32;
            let digest = image::digest(&mut flash, region, info.len - 32);
            assert_eq!(digest, Ok(info.digest));
            assert_eq!(Sha256::digest(&partition[..whole])[..], info.digest);
        }
        Err(ImageError::Checksum | ImageError::Digest | ImageError::NoDigest) => assert!(!healed),
        Err(ImageError::Flash) => panic!("nothing here fails to read"),
        Err(_) => {}
    }
}

/// Puts the right checksum and digest behind the segments, where there is room for them.
pub(crate) fn heal(partition: &mut [u8]) -> Option<()> {
    let [header, segment_header] = HEADERS;
    let segments = *partition.get(1)?;
    let mut at = header;
    let mut checksum = 0xef;
    for _ in 0..segments {
        let len = partition.get(at + 4..at + segment_header)?;
        let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
        at += segment_header;
        let data = partition.get(at..at.checked_add(len)?)?;
        checksum = data.iter().fold(checksum, |sum, byte| sum ^ byte);
        at += len;
    }
    at += 15 - at % 16;
    *partition.get_mut(at)? = checksum;
    *partition.get_mut(23)? = 1;
    let digest = Sha256::digest(partition.get(..=at)?);
    partition.get_mut(at + 1..at + 33)?.copy_from_slice(&digest);
    Some(())
}
