//! What a flash operation leaves behind when the power goes away in the middle of it.

/// Bytes of a word, the smallest piece that flash chips are told to program.
const WORD: usize = 4;

/// Which of the changes of one operation happen.
///
/// Nothing is known of a real chip but that an erase leaves any mix of old and 1 bits and a program
/// any subset of the bits to clear. Random bits alone would not meet the few subsets that do harm,
/// so there are chosen ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Tear {
    /// Each bit by the toss of a coin, from this seed.
    Bits(u64),
    /// Word `i` changes where bit `i % 8` is set: any subset of the words of an `otadata` entry.
    Words(u8),
    /// The first bytes change, so many of them.
    First(u16),
    /// The last bytes change, so many of them.
    Last(u16),
    /// One bit changes: the n-th of those that should, from 0.
    Only(u16),
    /// One bit does not change: the n-th of those that should, from 0.
    AllBut(u16),
}

impl Tear {
    /// Runs the operation `new`, which gives the value of each byte from its old value and its
    /// index, and lets through what this tear lets through.
    pub(super) fn apply(self, span: &mut [u8], new: impl Fn(u8, usize) -> u8) {
        let mut noise = Noise(match self {
            Self::Bits(seed) => seed,
            _ => 0,
        });
        let len = span.len();
        let mut before = 0u32;
        for (index, byte) in span.iter_mut().enumerate() {
            let changes = *byte ^ new(*byte, index);
            let whole = |is_let_through| if is_let_through { 0xff } else { 0 };
            let mask = match self {
                Self::Bits(_) => noise.next(),
                Self::Words(mask) => whole(mask.rotate_right(word(index)) & 1 == 1),
                Self::First(count) => whole(index < usize::from(count)),
                Self::Last(count) => whole(index >= len.saturating_sub(usize::from(count))),
                Self::Only(nth) => nth_bit(changes, before, nth),
                Self::AllBut(nth) => !nth_bit(changes, before, nth),
            };
            *byte ^= changes & mask;
            before = before.saturating_add(changes.count_ones());
        }
    }
}

/// The number of a byte's word in its group of eight.
fn word(index: usize) -> u32 {
    u32::try_from(index / WORD % 8).unwrap_or(0)
}

/// The bit of `changes` that is number `nth`, where `before` came in earlier bytes; 0 if none is.
fn nth_bit(changes: u8, before: u32, nth: u16) -> u8 {
    let Some(skip) = u32::from(nth).checked_sub(before) else { return 0 };
    let mut rest = changes;
    for _ in 0..skip.min(8) {
        rest &= rest.wrapping_sub(1);
    }
    rest & rest.wrapping_neg()
}

/// SplitMix64: what a torn operation leaves must replay from its seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    /// The next 64 bits.
    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn next(&mut self) -> u8 {
        let [byte, ..] = self.word().to_le_bytes();
        byte
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs zeros over eight erased words.
    fn torn(tear: Tear) -> [u8; 32] {
        let mut span = [0xff; 32];
        tear.apply(&mut span, |_, _| 0);
        span
    }

    fn changed(tear: Tear) -> u32 {
        torn(tear).iter().map(|byte| byte.count_zeros()).sum()
    }

    #[test]
    fn each_tear_lets_through_what_it_says() {
        assert_eq!(torn(Tear::Words(0)), [0xff; 32]);
        assert_eq!(torn(Tear::Words(0xff)), [0; 32]);
        let ends = torn(Tear::Words(0b1000_0001));
        assert_eq!(
            (&ends[..4], &ends[4..28], &ends[28..]),
            (&[0; 4][..], &[0xff; 24][..], &[0; 4][..])
        );
        assert_eq!(torn(Tear::First(12))[11..13], [0, 0xff]);
        assert_eq!(torn(Tear::Last(12))[19..21], [0xff, 0]);
        assert!((64..192).contains(&changed(Tear::Bits(7))));
    }

    #[test]
    fn single_bits_are_counted_among_those_that_change() {
        for nth in 0..256 {
            assert_eq!(changed(Tear::Only(nth)), 1, "bit {nth}");
            assert_eq!(changed(Tear::AllBut(nth)), 255, "bit {nth}");
        }
        assert_eq!((changed(Tear::Only(256)), changed(Tear::AllBut(256))), (0, 256));
        let mut span = [0b1111_0000, 0b0000_1111];
        Tear::Only(5).apply(&mut span, |_, _| 0xff);
        assert_eq!(span, [0b1111_0000, 0b0010_1111], "the sixth bit that is not set yet");
    }
}
