//! How much of an asked interval is footage, how much an explained gap, and how much is neither.

use crate::record::GapReason;
use crate::time::WallTime;

/// A stretch of time, `from` before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// From.
    pub from: WallTime,
    /// To.
    pub to: WallTime,
}

impl Span {
    /// Whether the two share more than an instant.
    #[must_use]
    pub fn overlaps(&self, other: Self) -> bool {
        self.from < other.to && other.from < self.to
    }

    /// Microseconds from one end to the other; none below zero.
    #[must_use]
    pub fn micros(&self) -> i64 {
        self.to.micros_since(self.from).max(0)
    }

    fn within(self, asked: Self) -> Option<Self> {
        let cut = Self { from: self.from.max(asked.from), to: self.to.min(asked.to) };
        (cut.from < cut.to).then_some(cut)
    }
}

/// What an interval is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    /// What was asked.
    pub asked: Span,
    /// Microseconds of it that are footage.
    pub footage_us: i64,
    /// The parts without footage that a signed gap explains.
    pub explained: Vec<(Span, GapReason)>,
    /// The parts that nothing explains.
    pub unexplained: Vec<Span>,
}

impl Coverage {
    /// Footage in per cent of what was asked, to two decimals, rounded down: 100 means all.
    #[must_use]
    pub fn per_cent(&self) -> f64 {
        let asked = self.asked.micros().max(1);
        let basis_points = i32::try_from(self.footage_us.saturating_mul(10_000) / asked);
        f64::from(basis_points.unwrap_or(10_000)) / 100.0
    }
}

/// Measures `asked` against footage and gaps, given in any order.
#[must_use]
pub fn measure(asked: Span, footage: &[Span], gaps: &[(Span, GapReason)]) -> Coverage {
    let mut bare = vec![asked];
    let mut footage_us = 0;
    for span in footage {
        let (hit, rest) = take(&bare, *span);
        footage_us += hit.iter().map(Span::micros).sum::<i64>();
        bare = rest;
    }
    let mut explained = Vec::new();
    for (span, reason) in gaps {
        let (hit, rest) = take(&bare, *span);
        explained.extend(hit.into_iter().map(|s| (s, *reason)));
        bare = rest;
    }
    explained.sort();
    bare.sort();
    Coverage { asked, footage_us, explained, unexplained: bare }
}

/// Splits `bare` into what `span` covers and what it leaves.
fn take(bare: &[Span], span: Span) -> (Vec<Span>, Vec<Span>) {
    let (mut hit, mut rest) = (Vec::new(), Vec::new());
    for piece in bare {
        let Some(cut) = span.within(*piece) else {
            rest.push(*piece);
            continue;
        };
        hit.push(cut);
        if piece.from < cut.from {
            rest.push(Span { from: piece.from, to: cut.from });
        }
        if cut.to < piece.to {
            rest.push(Span { from: cut.to, to: piece.to });
        }
    }
    (hit, rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(from: i64, to: i64) -> Span {
        Span { from: WallTime(from), to: WallTime(to) }
    }

    #[test]
    fn an_interval_is_footage_explained_gap_or_unexplained() {
        let coverage = measure(
            span(0, 100),
            &[span(-10, 40), span(60, 90)],
            &[(span(40, 55), GapReason::CameraUnreachable)],
        );
        assert_eq!(coverage.footage_us, 70);
        assert_eq!(coverage.explained, [(span(40, 55), GapReason::CameraUnreachable)]);
        assert_eq!(coverage.unexplained, [span(55, 60), span(90, 100)]);
        assert!((coverage.per_cent() - 70.0).abs() < f64::EPSILON);
    }

    proptest! {
        #[test]
        fn the_parts_add_up(footage in proptest::collection::vec((0_i64..100, 0_i64..50), 0..8),
                            gaps in proptest::collection::vec((0_i64..100, 0_i64..50), 0..8)) {
            let footage: Vec<_> = footage.iter().map(|(a, l)| span(*a, a + l)).collect();
            let gaps: Vec<_> = gaps.iter()
                .map(|(a, l)| (span(*a, a + l), GapReason::StreamStalled)).collect();
            let c = measure(span(10, 90), &footage, &gaps);
            let explained: i64 = c.explained.iter().map(|(s, _)| s.micros()).sum();
            let bare: i64 = c.unexplained.iter().map(Span::micros).sum();
            prop_assert_eq!(c.footage_us + explained + bare, 80);
        }
    }
}
