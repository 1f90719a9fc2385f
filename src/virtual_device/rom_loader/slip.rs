//! Frames on a serial line (SLIP, RFC 1055).

/// Begins and ends a frame.
const END: u8 = 0xc0;
const ESCAPE: u8 = 0xdb;
const ESCAPED_END: u8 = 0xdc;
const ESCAPED_ESCAPE: u8 = 0xdd;

/// Bytes of the longest frame that is kept: the largest block of a stub (16 KiB) with its header
/// has a quarter of it.
const LONGEST: usize = 64 * 1024;

/// Finds frames in a stream of bytes. Whatever stands outside of frames, is escaped wrongly or is
/// too long is passed over.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    frame: Vec<u8>,
    is_inside: bool,
    is_escaped: bool,
    is_broken: bool,
}

impl Decoder {
    /// Takes in a byte; gives the frame that it ends. Empty frames are none.
    pub(super) fn push(&mut self, byte: u8) -> Option<Vec<u8>> {
        if byte == END {
            let frame = std::mem::take(&mut self.frame);
            let is_whole = self.is_inside && !self.is_broken && !self.is_escaped;
            // An END between two frames may belong to either of them.
            self.is_inside = true;
            (self.is_broken, self.is_escaped) = (false, false);
            return (is_whole && !frame.is_empty()).then_some(frame);
        }
        if !self.is_inside || self.is_broken {
            return None;
        }
        let byte = match (self.is_escaped, byte) {
            (false, ESCAPE) => {
                self.is_escaped = true;
                return None;
            }
            (false, byte) => byte,
            (true, ESCAPED_END) => END,
            (true, ESCAPED_ESCAPE) => ESCAPE,
            (true, _) => {
                self.is_broken = true;
                return None;
            }
        };
        self.is_escaped = false;
        self.is_broken = self.frame.len() >= LONGEST;
        if !self.is_broken {
            self.frame.push(byte);
        }
        None
    }
}

/// Writes a frame.
pub(super) fn encode(frame: &[u8], out: &mut Vec<u8>) {
    out.push(END);
    for byte in frame {
        match *byte {
            END => out.extend_from_slice(&[ESCAPE, ESCAPED_END]),
            ESCAPE => out.extend_from_slice(&[ESCAPE, ESCAPED_ESCAPE]),
            other => out.push(other),
        }
    }
    out.push(END);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames(bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.push(*byte)).collect()
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_found_again(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..8),
            noise in "[a-z ]{0,20}",
        ) {
            let mut line = noise.into_bytes();
            parts.iter().for_each(|part| encode(part, &mut line));
            prop_assert_eq!(frames(&line), parts);
        }

        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            frames(&bytes);
        }
    }

    #[test]
    fn a_broken_or_endless_frame_hides_only_itself() {
        let mut line = vec![END, 1, ESCAPE, 7, 2];
        encode(&[3], &mut line);
        line.push(END);
        line.extend(vec![9; LONGEST + 1]);
        encode(&[4], &mut line);
        assert_eq!(frames(&line), [vec![3], vec![4]]);
    }
}
