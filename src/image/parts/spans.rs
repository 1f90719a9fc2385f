//! Ranges of addresses, and cutting one by others.

use std::ops::Range;

/// A range of addresses, and what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span<T> {
    pub(super) range: Range<u64>,
    pub(super) of: T,
}

/// Cuts `range` into pieces: what the spans say is there, and `None` for the gaps. The spans are in
/// the order of their beginnings; where two overlap, the first counts. The pieces lie end to end and
/// cover the range.
pub(super) fn cover<T>(range: Range<u64>, spans: &[Span<T>]) -> Vec<(Range<u64>, Option<&T>)> {
    let mut pieces = Vec::new();
    let mut at = range.start;
    for span in spans {
        let start = span.range.start.max(at);
        let end = span.range.end.min(range.end);
        if start >= range.end {
            break;
        }
        if start >= end {
            continue;
        }
        if at < start {
            pieces.push((at..start, None));
        }
        pieces.push((start..end, Some(&span.of)));
        at = end;
    }
    if at < range.end {
        pieces.push((at..range.end, None));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(range: Range<u64>, of: char) -> Span<char> {
        Span { range, of }
    }

    #[test]
    fn gaps_and_edges_are_pieces_too() {
        let spans = [span(0..5, 'a'), span(10..20, 'b'), span(20..25, 'c'), span(40..50, 'd')];
        assert_eq!(
            cover(3..30, &spans),
            [
                (3..5, Some(&'a')),
                (5..10, None),
                (10..20, Some(&'b')),
                (20..25, Some(&'c')),
                (25..30, None),
            ]
        );
        assert_eq!(cover(5..10, &spans), [(5..10, None)]);
        assert_eq!(cover(12..13, &spans), [(12..13, Some(&'b'))]);
        assert!(cover(7..7, &spans).is_empty());
        // One within another, and one that sticks out.
        let spans = [span(0..20, 'a'), span(5..10, 'b'), span(15..30, 'c')];
        assert_eq!(
            cover(2..40, &spans),
            [(2..20, Some(&'a')), (20..30, Some(&'c')), (30..40, None)]
        );
        assert_eq!(cover(12..14, &spans), [(12..14, Some(&'a'))]);
    }

    proptest! {
        #[test]
        fn pieces_lie_end_to_end(
            start in 0u64..100,
            len in 0u64..100,
            mut ranges in prop::collection::vec((0u64..200, 1u64..40), 0..12),
        ) {
            ranges.sort_unstable();
            let span = |(start, len): (u64, u64)| Span { range: start..start.saturating_add(len), of: () };
            let spans: Vec<Span<()>> = ranges.into_iter().map(span).collect();
            let range = start..start.saturating_add(len);
            let mut at = range.start;
            for (piece, _) in cover(range.clone(), &spans) {
                prop_assert_eq!(piece.start, at);
                prop_assert!(piece.end > at);
                at = piece.end;
            }
            prop_assert_eq!(at, range.end);
        }
    }
}
