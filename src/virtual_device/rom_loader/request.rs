//! What a host asks of the loader.

/// Where the XOR over the data of a block begins.
const CHECKSUM_SEED: u8 = 0xef;
/// Direction, operation, length and checksum.
const HEADER: usize = 8;

/// One request: a frame whose parts were taken apart, and nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Which command it is.
    pub(super) operation: u8,
    checksum: u32,
    /// Its arguments.
    pub(super) data: &'a [u8],
}

/// A block of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) sequence: u32,
    pub(super) bytes: &'a [u8],
    /// Whether the bytes are those that were sent.
    pub(super) is_sound: bool,
}

impl<'a> Request<'a> {
    /// Reads a frame. A length that does not match it, or another direction, is no request.
    pub(super) fn read(frame: &'a [u8]) -> Option<Self> {
        let (header, data) = frame.split_first_chunk::<HEADER>()?;
        let [direction, operation, low, high, checksum @ ..] = header;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let is_request = *direction == 0 && data.len() == length;
        let checksum = u32::from_le_bytes(*checksum);
        is_request.then_some(Self { operation: *operation, checksum, data })
    }

    /// The argument at this place, counted in words.
    pub(super) fn word(&self, index: usize) -> Option<u32> {
        let start = index.checked_mul(4)?;
        let bytes = self.data.get(start..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    }

    /// The arguments of a command that sends a block.
    pub(super) fn block(&self) -> Option<Block<'a>> {
        const ARGUMENTS: usize = 16;
        let bytes = self.data.get(ARGUMENTS..)?;
        let length = usize::try_from(self.word(0)?).ok()?;
        let sum = bytes.iter().fold(CHECKSUM_SEED, |sum, byte| sum ^ byte);
        let is_sound = bytes.len() == length && self.checksum == u32::from(sum);
        Some(Block { sequence: self.word(1)?, bytes, is_sound })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_request_if_its_length_says_so() {
        let frame = [0, 0x0a, 4, 0, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12];
        let request = Request::read(&frame).unwrap();
        assert_eq!(
            (request.operation, request.word(0), request.word(1)),
            (0x0a, Some(0x1234_5678), None)
        );
        for bad in [&frame[..11], &frame[..7], &[], &[1, 0x0a, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(Request::read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_block_is_sound_with_its_length_and_checksum() {
        let block = |length: u8, checksum: u8| {
            let mut frame = vec![0, 3, 18, 0, checksum, 0, 0, 0];
            frame.extend([length, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x01]);
            let request = Request::read(&frame).unwrap();
            let block = request.block().unwrap();
            (block.sequence, block.bytes.to_vec(), block.is_sound)
        };
        assert_eq!(block(2, 0xef ^ 0x11), (7, vec![0x10, 0x01], true));
        assert!(!block(2, 0xef ^ 0x10).2);
        assert!(!block(1, 0xef ^ 0x11).2);
    }
}
