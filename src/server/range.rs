//! The `Range` header (RFC 9110, section 14), as far as one contiguous answer goes.

/// What a `Range` header asks of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// The header is malformed, of another unit, or asks for several ranges: a server may ignore it
    /// and send the whole file (RFC 9110, section 14.2).
    Whole,
    /// The first and the last byte to send. Both are in the file.
    Part(u64, u64),
    /// Nothing of what it asks for is in the file.
    Unsatisfiable,
}

impl Range {
    /// Reads a header's value for a file of `length` bytes.
    pub(super) fn parse(value: &str, length: u64) -> Self {
        Self::single(value, length).unwrap_or(Self::Whole)
    }

    /// `None` where the header is to be ignored.
    fn single(value: &str, length: u64) -> Option<Self> {
        let (unit, range) = value.split_once('=')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (first, last) = range.trim().split_once('-')?;
        let end = length.checked_sub(1);
        if first.is_empty() {
            // The last `count` bytes.
            let count = number(last)?;
            return Some(match end {
                Some(end) if count > 0 => Self::Part(length.saturating_sub(count), end),
                _ => Self::Unsatisfiable,
            });
        }
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        Some(match end {
            Some(end) if first <= end => Self::Part(first, last.min(end)),
            _ => Self::Unsatisfiable,
        })
    }
}

/// Digits alone: `parse` would take a plus sign. More digits than fit mean "beyond any file".
fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_inside_the_file_is_sent_as_asked() {
        for (value, first, last) in [
            ("bytes=0-0", 0, 0),
            ("bytes=0-9", 0, 9),
            ("bytes=3-5", 3, 5),
            ("bytes=9-", 9, 9),
            ("bytes=-1", 9, 9),
            ("bytes=-10", 0, 9),
            ("Bytes= 3-5 ", 3, 5),
        ] {
            assert_eq!(Range::parse(value, 10), Range::Part(first, last), "{value}");
        }
    }

    #[test]
    fn a_range_that_reaches_over_the_end_is_clipped() {
        assert_eq!(Range::parse("bytes=5-100", 10), Range::Part(5, 9));
        assert_eq!(Range::parse("bytes=-11", 10), Range::Part(0, 9));
        assert_eq!(Range::parse("bytes=5-99999999999999999999999", 10), Range::Part(5, 9));
    }

    #[test]
    fn a_range_outside_the_file_cannot_be_satisfied() {
        for value in ["bytes=10-", "bytes=10-20", "bytes=99999999999999999999-", "bytes=-0"] {
            assert_eq!(Range::parse(value, 10), Range::Unsatisfiable, "{value}");
        }
        assert_eq!(Range::parse("bytes=0-", 0), Range::Unsatisfiable);
        assert_eq!(Range::parse("bytes=-5", 0), Range::Unsatisfiable);
    }

    proptest::proptest! {
        #[test]
        fn a_part_is_never_empty_and_never_outside_the_file(value: String, a: u64, b: u64, length: u64) {
            for value in [value, format!("bytes={a}-{b}"), format!("bytes={a}-"), format!("bytes=-{b}")] {
                if let Range::Part(first, last) = Range::parse(&value, length) {
                    proptest::prop_assert!(first <= last && last < length, "{value}");
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_understood_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-3",
            "bytes=a-b",
            "bytes=+1-2",
            "bytes=1-2,5-6",
            "bytes=1 - 2",
            "pages=1-2",
            "bytes 1-2",
            "bytes=--1",
        ] {
            assert_eq!(Range::parse(value, 10), Range::Whole, "{value}");
        }
    }
}
