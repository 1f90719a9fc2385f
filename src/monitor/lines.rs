//! Cuts a stream of bytes into lines, and shows what stands in a line that does not end.

use std::time::Duration;

/// Bytes of a line that are kept together: enough for 32 KB of stack, the most that esp-backtrace dumps,
/// in hexadecimal. What follows them is shown as well, as a piece of its own, and means nothing any
/// more.
const LONGEST_LINE: usize = 72 * 1024;

/// A line, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its bytes, without the end of the line.
    pub bytes: Vec<u8>,
    /// All of the line up to here, or what came since it was cut for its length.
    pub line: Vec<u8>,
    /// When its first byte came.
    pub at: Duration,
    /// Whether it is the first of its line.
    pub begins: bool,
    /// Whether it is the last of its line.
    pub ends: bool,
    /// Whether `line` is to be asked for its meaning: once for each line.
    pub is_told: bool,
}

/// The bytes of a line that has not ended yet. No byte is lost, wherever a line is cut.
#[derive(Debug, Default)]
pub struct Lines {
    line: Vec<u8>,
    /// Bytes of it that were shown already.
    shown: usize,
    /// When the first byte came that was not.
    at: Duration,
    was_cut: bool,
    /// A carriage return came. Alone it ends a line, and with a line feed behind it as well.
    has_return: bool,
}

impl Lines {
    /// Takes bytes as they come, and gives every line that is whole.
    pub fn take(&mut self, bytes: &[u8], now: Duration) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for byte in bytes {
            if self.line.len() == self.shown && !self.has_return {
                self.at = now;
            }
            match byte {
                b'\n' => pieces.push(self.end()),
                b'\r' => self.has_return = true,
                other => {
                    if self.has_return {
                        pieces.push(self.end());
                        self.at = now;
                    }
                    self.line.push(*other);
                    if self.line.len() >= LONGEST_LINE {
                        pieces.push(self.cut());
                    }
                }
            }
        }
        pieces
    }

    /// What stands there and was not shown yet: call it when the device has been silent for a while.
    pub fn rest(&mut self) -> Option<Piece> {
        if self.has_return {
            return Some(self.end());
        }
        let bytes = self.line.get(self.shown..).filter(|bytes| !bytes.is_empty())?.to_vec();
        let begins = self.begins();
        self.shown = self.line.len();
        let line = self.line.clone();
        Some(Piece { bytes, line, at: self.at, begins, ends: false, is_told: false })
    }

    fn begins(&self) -> bool {
        self.shown == 0 && !self.was_cut
    }

    fn end(&mut self) -> Piece {
        let begins = self.begins();
        let is_told = !self.was_cut;
        let line = std::mem::take(&mut self.line);
        let bytes = line.get(self.shown..).unwrap_or_default().to_vec();
        let at = self.at;
        *self = Self::default();
        Piece { bytes, line, at, begins, ends: true, is_told }
    }

    fn cut(&mut self) -> Piece {
        let piece = Piece { ends: false, ..self.end() };
        self.was_cut = true;
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(7);

    fn texts(pieces: &[Piece]) -> Vec<(String, bool, bool)> {
        let text = |piece: &Piece| String::from_utf8(piece.bytes.clone()).unwrap();
        pieces.iter().map(|piece| (text(piece), piece.begins, piece.ends)).collect()
    }

    fn whole(text: &str) -> (String, bool, bool) {
        (text.to_owned(), true, true)
    }

    #[test]
    fn bytes_become_lines_wherever_they_are_cut() {
        let stream = b"one\r\ntwo\n\nthree\rfour\r\r\nfive";
        let expected = ["one", "two", "", "three", "four"].map(whole);
        for length in 1..stream.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for chunk in stream.chunks(length) {
                found.extend(lines.take(chunk, NOW));
            }
            assert_eq!(texts(&found), expected, "{length} bytes at a time");
            let rest = lines.rest().unwrap();
            assert_eq!((&rest.bytes[..], rest.begins, rest.ends), (&b"five"[..], true, false));
            assert_eq!(lines.rest(), None);
        }
    }

    #[test]
    fn a_line_that_was_shown_in_part_is_told_as_a_whole() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"updates: conf", NOW), []);
        let first = lines.rest().unwrap();
        assert!(first.begins && !first.ends && !first.is_told);
        let last = lines.take(b"irmed\r\n", Duration::from_secs(1)).remove(0);
        assert_eq!((&last.bytes[..], &last.line[..]), (&b"irmed"[..], &b"updates: confirmed"[..]));
        assert!(!last.begins && last.ends && last.is_told);
        assert_eq!((first.at, last.at), (NOW, Duration::from_secs(1)));
    }

    #[test]
    fn a_carriage_return_and_silence_end_a_line() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"10 %\r", NOW), []);
        assert!(lines.rest().unwrap().ends);
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_an_end_costs_no_more_than_its_limit_and_loses_nothing() {
        let mut lines = Lines::default();
        let mut found = Vec::new();
        for _ in 0..1000 {
            found.extend(lines.take(&[b'x'; 1000], NOW));
            assert!(lines.line.capacity() <= 2 * LONGEST_LINE);
        }
        found.extend(lines.take(b"\nnext\n", NOW));
        let (next, long) = found.split_last().unwrap();
        assert_eq!(next.bytes, b"next");
        assert_eq!(long.iter().map(|piece| piece.bytes.len()).sum::<usize>(), 1_000_000);
        assert_eq!(long.iter().filter(|piece| piece.begins).count(), 1);
        assert_eq!(long.iter().filter(|piece| piece.ends).count(), 1);
        assert_eq!(long.iter().filter(|piece| piece.is_told).count(), 1);
        assert!(long.iter().all(|piece| piece.line.len() <= LONGEST_LINE));
    }

    proptest::proptest! {
        #[test]
        fn no_byte_but_the_ends_of_lines_is_lost(
            stream in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..20_000),
            length in 1_usize..5000,
        ) {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for (number, chunk) in stream.chunks(length).enumerate() {
                found.extend(lines.take(chunk, NOW));
                if number % 2 == 0 {
                    found.extend(lines.rest());
                }
            }
            found.extend(lines.rest());
            let bytes: Vec<u8> = found.into_iter().flat_map(|piece| piece.bytes).collect();
            let expected: Vec<u8> =
                stream.into_iter().filter(|byte| !b"\r\n".contains(byte)).collect();
            proptest::prop_assert_eq!(bytes, expected);
        }
    }
}
