//! Images of the ESP8266: the same first byte, and a header of 8 bytes.

/// Bytes of the header, and of that of a segment.
const HEADER: usize = 8;
/// Most segments, as esptool has it.
const MOST_SEGMENTS: u8 = 16;
/// Its memory: RAM for data and for code, and mapped flash.
const MEMORY: [(u32, u32); 3] =
    [(0x3ffe_8000, 0x4000_0000), (0x4010_0000, 0x4010_8000), (0x4020_0000, 0x4030_0000)];

/// Whether every segment behind the short header is for memory of the ESP8266, and within the file.
pub(super) fn is_image(bytes: &[u8]) -> bool {
    let Some([_, count @ 1..=MOST_SEGMENTS, ..]) = bytes.first_chunk::<HEADER>() else {
        return false;
    };
    let mut at = HEADER;
    for _ in 0..*count {
        let Some(end) = segment_end(bytes, at) else { return false };
        at = end;
    }
    true
}

fn segment_end(bytes: &[u8], at: usize) -> Option<usize> {
    let [a0, a1, a2, a3, l0, l1, l2, l3] = *bytes.get(at..)?.first_chunk::<HEADER>()?;
    let address = u32::from_le_bytes([a0, a1, a2, a3]);
    let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).ok()?;
    let end = at.checked_add(HEADER)?.checked_add(length)?;
    let is_memory = MEMORY.iter().any(|(from, to)| (*from..*to).contains(&address));
    (is_memory && end <= bytes.len()).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn segments_in_its_memory_tell_an_image() {
        let mut bytes = testing::esp8266();
        assert!(is_image(&bytes));
        assert!(!is_image(&bytes[..bytes.len() - 32]));
        bytes[11] = 0x3c;
        assert!(!is_image(&bytes));
        assert!(!is_image(&testing::app("1.0.0")));
        assert!(!is_image(&[0xe9]));
    }
}
