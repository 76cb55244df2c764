//! Polygons over a picture, and exactly which samples each one covers. Pure.
//!
//! A zone is drawn in parts of the picture's width and height, so that it survives a change of
//! resolution. It covers every luma sample that it touches, however little, and every chroma
//! sample (4:2:0) that belongs to such a luma sample: a mask may be a sample too wide, never too
//! narrow.

use std::ops::Range;

use custody::Digest;
use serde::{Deserialize, Serialize};

/// The most corners of one zone: outlines of buildings need a dozen.
pub const POINTS_MAX: usize = 64;
/// The least area of a zone, as a part of the picture: a tenth of a pixel of an HD picture. Less
/// is a slip of the pen.
const AREA_MIN: f64 = 5e-8;
/// Added on both sides of every span, in samples, so that rounding never uncovers one.
const ROUNDING: f64 = 1e-6;

/// A place in the picture: (0, 0) is the top left corner, (1, 1) the bottom right one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Part of the width.
    pub x: f64,
    /// Part of the height.
    pub y: f64,
}

/// A polygon that was checked. Its last point is joined to its first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<[f64; 2]>", into = "Vec<[f64; 2]>")]
pub struct Zone {
    points: Vec<Point>,
}

/// What is wrong with a drawn zone.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// A line or a point.
    #[error("it has {0} points; a zone needs at least 3")]
    TooFewPoints(usize),
    /// More than [`POINTS_MAX`].
    #[error("it has {0} points; a zone may have at most {POINTS_MAX}")]
    TooManyPoints(usize),
    /// NaN or infinity.
    #[error("point {0} is not a finite number")]
    NotFinite(usize),
    /// Beyond the picture's edge.
    #[error("point {point} at ({x}, {y}) lies outside the picture; both must be from 0 to 1")]
    Outside {
        /// Counted from 0.
        point: usize,
        /// As drawn.
        x: f64,
        /// As drawn.
        y: f64,
    },
    /// All on a line, or drawn crosswise so that it cancels out.
    #[error("it encloses no area: are its points in order along its outline?")]
    NoArea,
}

/// A zone that is refused, with every mistake in it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the zone is refused: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct BadZone(pub Vec<Mistake>);

impl Zone {
    /// Checks a drawn polygon.
    ///
    /// # Errors
    /// Names every mistake, not only the first.
    pub fn new(points: Vec<Point>) -> Result<Self, BadZone> {
        let mut mistakes = Vec::new();
        if points.len() < 3 {
            mistakes.push(Mistake::TooFewPoints(points.len()));
        }
        if points.len() > POINTS_MAX {
            mistakes.push(Mistake::TooManyPoints(points.len()));
        }
        for (point, &Point { x, y }) in points.iter().enumerate() {
            if !x.is_finite() || !y.is_finite() {
                mistakes.push(Mistake::NotFinite(point));
            } else if !(0.0..=1.0).contains(&x) || !(0.0..=1.0).contains(&y) {
                mistakes.push(Mistake::Outside { point, x, y });
            }
        }
        let zone = Self { points };
        if mistakes.is_empty() && zone.area() < AREA_MIN {
            mistakes.push(Mistake::NoArea);
        }
        if mistakes.is_empty() { Ok(zone) } else { Err(BadZone(mistakes)) }
    }

    /// The corners, in order.
    #[must_use]
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// The enclosed part of the picture (shoelace formula).
    #[must_use]
    pub fn area(&self) -> f64 {
        self.edges().map(|(a, b)| a.x * b.y - b.x * a.y).sum::<f64>().abs() / 2.0
    }

    fn edges(&self) -> impl Iterator<Item = (Point, Point)> {
        let next = self.points.iter().cycle().skip(1);
        self.points.iter().copied().zip(next.copied())
    }

    /// This zone's spans in one row of samples: those touched by an edge within the row, and those
    /// inside at half the row's height. What is inside elsewhere in the row but not at half its
    /// height is cut off from there by an edge within the row, and so covered by that edge.
    fn spans_in_row(&self, row: u32, size: Size, spans: &mut Vec<Range<u32>>) {
        let (top, width) = (f64::from(row), f64::from(size.width));
        let middle = top + 0.5;
        let mut crossings: Vec<(f64, i32)> = Vec::new();
        for (a, b) in self.edges() {
            let scale = |p: Point| Point { x: p.x * width, y: p.y * f64::from(size.height) };
            let (a, b) = (scale(a), scale(b));
            if let Some((from, to)) = within(a, b, top - ROUNDING, top + 1.0 + ROUNDING) {
                spans.extend(covered(from, to, size.width));
            }
            if (a.y <= middle) != (b.y <= middle) {
                let x = a.x + (b.x - a.x) * (middle - a.y) / (b.y - a.y);
                crossings.push((x, if a.y < b.y { 1 } else { -1 }));
            }
        }
        crossings.sort_by(|l, r| l.0.total_cmp(&r.0));
        let mut winding = 0;
        for pair in crossings.windows(2) {
            winding += pair[0].1;
            if winding != 0 {
                spans.extend(covered(pair[0].0, pair[1].0, size.width));
            }
        }
    }
}

/// The least and greatest x of the part of `a`–`b` with y from `top` to `bottom`.
fn within(a: Point, b: Point, top: f64, bottom: f64) -> Option<(f64, f64)> {
    let (high, low) = if a.y <= b.y { (a, b) } else { (b, a) };
    if low.y < top || high.y > bottom {
        return None;
    }
    let x_at = |y: f64| {
        let part = (y - high.y) / (low.y - high.y);
        high.x + (low.x - high.x) * part.clamp(0.0, 1.0)
    };
    let from = if high.y < top { x_at(top) } else { high.x };
    let to = if low.y > bottom { x_at(bottom) } else { low.x };
    Some((from.min(to), from.max(to)))
}

/// The samples touched by the line from `from` to `to`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0..=width, which is a u32"
)]
fn covered(from: f64, to: f64, width: u32) -> Option<Range<u32>> {
    let first = (from - ROUNDING).floor().clamp(0.0, f64::from(width)) as u32;
    let after = (to + ROUNDING).ceil().clamp(0.0, f64::from(width)) as u32;
    (first < after).then_some(first..after)
}

/// A picture's size in luma samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// Samples of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The row, from the top.
    pub row: u32,
    /// The columns.
    pub columns: Range<u32>,
}

/// What a set of zones covers in a picture of one size: disjoint spans, top to bottom, left to
/// right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cover {
    /// The picture.
    pub size: Size,
    /// In the luma plane.
    pub luma: Vec<Span>,
    /// In each chroma plane of 4:2:0.
    pub chroma: Vec<Span>,
}

impl Cover {
    /// What `zones` cover in a picture of this size.
    #[must_use]
    pub fn of(zones: &[Zone], size: Size) -> Self {
        let (mut luma, mut chroma) = (Vec::new(), Vec::new());
        let mut above = Vec::new();
        for row in 0..size.height {
            let mut spans = Vec::new();
            for zone in zones {
                zone.spans_in_row(row, size, &mut spans);
            }
            let spans = merge(spans);
            above.extend(spans.iter().map(|s| s.start / 2..s.end.div_ceil(2)));
            luma.extend(spans.into_iter().map(|columns| Span { row, columns }));
            if row % 2 == 1 || row + 1 == size.height {
                let both = merge(std::mem::take(&mut above));
                chroma.extend(both.into_iter().map(|columns| Span { row: row / 2, columns }));
            }
        }
        Self { size, luma, chroma }
    }
}

/// The union of `spans`, sorted and disjoint.
fn merge(mut spans: Vec<Range<u32>>) -> Vec<Range<u32>> {
    spans.sort_by_key(|span| span.start);
    let mut merged: Vec<Range<u32>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// The digest that names a set of zones: of the text `watchhouse mask geometry v1` and a newline,
/// the number of zones, and for each zone the number of its points and their x and y; numbers of
/// things in 4 bytes, x and y as IEEE 754 binary64, all big-endian.
#[must_use]
pub fn geometry_sha256(zones: &[Zone]) -> Digest {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = b"watchhouse mask geometry v1\n".to_vec();
    bytes.extend(count(zones.len()));
    for zone in zones {
        bytes.extend(count(zone.points.len()));
        for point in &zone.points {
            // Adding 0 turns -0 into 0.
            bytes.extend((point.x + 0.0).to_bits().to_be_bytes());
            bytes.extend((point.y + 0.0).to_bits().to_be_bytes());
        }
    }
    Digest::of(&bytes)
}

impl TryFrom<Vec<[f64; 2]>> for Zone {
    type Error = BadZone;
    fn try_from(points: Vec<[f64; 2]>) -> Result<Self, BadZone> {
        Self::new(points.into_iter().map(|[x, y]| Point { x, y }).collect())
    }
}

impl From<Zone> for Vec<[f64; 2]> {
    fn from(zone: Zone) -> Self {
        zone.points.into_iter().map(|p| [p.x, p.y]).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zone(points: &[[f64; 2]]) -> Zone {
        Zone::try_from(points.to_vec()).unwrap()
    }

    fn mistakes(points: &[[f64; 2]]) -> Vec<Mistake> {
        Zone::try_from(points.to_vec()).unwrap_err().0
    }

    /// Rows of `#` and `.`.
    fn draw(spans: &[Span], size: Size) -> Vec<String> {
        let mut rows = vec![vec!['.'; size.width as usize]; size.height as usize];
        for span in spans {
            for column in span.columns.clone() {
                let sample = &mut rows[span.row as usize][column as usize];
                assert_eq!(*sample, '.', "covered twice");
                *sample = '#';
            }
        }
        rows.into_iter().map(|row| row.into_iter().collect()).collect()
    }

    #[test]
    fn every_mistake_in_a_drawing_is_named() {
        assert_eq!(mistakes(&[[0.0, 0.0], [1.0, 1.0]]), [Mistake::TooFewPoints(2)]);
        assert_eq!(
            mistakes(&[[0.0, f64::NAN], [1.5, 0.0]]),
            [
                Mistake::TooFewPoints(2),
                Mistake::NotFinite(0),
                Mistake::Outside { point: 1, x: 1.5, y: 0.0 }
            ]
        );
        let line = [[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]];
        assert_eq!(mistakes(&line), [Mistake::NoArea]);
        let bow_tie = [[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]];
        assert_eq!(mistakes(&bow_tie), [Mistake::NoArea]);
        assert_eq!(mistakes(&[[0.5, 0.5]; 65]), [Mistake::TooManyPoints(65), Mistake::NoArea][..1]);
    }

    #[test]
    fn a_window_is_covered_with_every_sample_it_touches() {
        let size = Size { width: 10, height: 6 };
        let window = zone(&[[0.25, 0.3], [0.65, 0.3], [0.65, 0.7], [0.25, 0.7]]);
        let cover = Cover::of(&[window], size);
        let expect =
            ["..........", "..#####...", "..#####...", "..#####...", "..#####...", ".........."];
        assert_eq!(draw(&cover.luma, size), expect);
        let half = Size { width: 5, height: 3 };
        assert_eq!(draw(&cover.chroma, half), [".###.", ".###.", ".###."]);
    }

    #[test]
    fn the_whole_picture_is_covered_even_with_odd_sides() {
        let all = zone(&[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        let cover = Cover::of(&[all], Size { width: 7, height: 5 });
        assert_eq!(draw(&cover.luma, Size { width: 7, height: 5 }), ["#######"; 5]);
        assert_eq!(draw(&cover.chroma, Size { width: 4, height: 3 }), ["####"; 3]);
    }

    #[test]
    fn slivers_between_two_rows_middles_are_covered() {
        let size = Size { width: 10, height: 4 };
        let sliver = zone(&[[0.15, 0.40], [0.85, 0.40], [0.85, 0.48], [0.15, 0.48]]);
        let cover = Cover::of(&[sliver], size);
        let expect = ["..........", ".########.", "..........", ".........."];
        assert_eq!(draw(&cover.luma, size), expect);
    }

    #[test]
    fn the_digest_names_the_geometry_and_nothing_else() {
        let a = zone(&[[0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]);
        let also_a = zone(&[[-0.0, 0.0], [0.5, 0.0], [0.5, 0.5]]);
        let b = zone(&[[0.0, 0.0], [0.5, 0.0], [0.5, 0.500_000_1]]);
        let digest = |zones: &[Zone]| geometry_sha256(zones).to_string();
        assert_eq!(digest(std::slice::from_ref(&a)), digest(&[also_a]));
        assert_ne!(digest(std::slice::from_ref(&a)), digest(std::slice::from_ref(&b)));
        assert_ne!(digest(&[a.clone(), b.clone()]), digest(&[b, a]));
    }

    fn any_zone() -> impl Strategy<Value = Zone> {
        prop::collection::vec((0.0..=1.0f64, 0.0..=1.0f64), 3..9).prop_filter_map(
            "encloses no area",
            |points| {
                Zone::try_from(points.into_iter().map(|(x, y)| [x, y]).collect::<Vec<_>>()).ok()
            },
        )
    }

    /// The sample that holds `part` of `length` samples.
    fn sample_at(part: f64, length: u32) -> usize {
        let after = (0..length).find(|n| f64::from(n + 1) > part * f64::from(length));
        after.unwrap_or(length - 1) as usize
    }

    /// Whether (x, y) lies inside by the winding number, computed another way: by angles.
    fn inside(zone: &Zone, x: f64, y: f64) -> bool {
        let angle = |p: Point| (p.y - y).atan2(p.x - x);
        let turns: f64 = zone
            .edges()
            .map(|(a, b)| {
                let turn = angle(b) - angle(a);
                let full = std::f64::consts::TAU;
                turn - full * (turn / full).round()
            })
            .sum();
        turns.abs() > 1.0
    }

    proptest! {
        #[test]
        fn no_point_inside_a_zone_shows(
            zone in any_zone(),
            width in 1u32..60,
            height in 1u32..60,
            at in prop::collection::vec((0.0..1.0f64, 0.0..1.0f64), 200),
        ) {
            let size = Size { width, height };
            let cover = Cover::of(std::slice::from_ref(&zone), size);
            let luma = draw(&cover.luma, size);
            let half = Size { width: width.div_ceil(2), height: height.div_ceil(2) };
            let chroma = draw(&cover.chroma, half);
            let corners = zone.points().iter().map(|p| (p.x, p.y));
            let within = at.into_iter().filter(|(x, y)| inside(&zone, *x, *y));
            for (x, y) in within.chain(corners) {
                let column = sample_at(x, width);
                let row = sample_at(y, height);
                prop_assert_eq!(luma[row].as_bytes()[column], b'#', "({}, {})", x, y);
                prop_assert_eq!(chroma[row / 2].as_bytes()[column / 2], b'#');
            }
        }

        #[test]
        fn nothing_far_from_a_zone_is_covered(zone in any_zone(), width in 8u32..60, height in 8u32..60) {
            let size = Size { width, height };
            let fold = |pick: fn(&Point) -> f64, by: fn(f64, f64) -> f64, from: f64| {
                zone.points().iter().map(pick).fold(from, by)
            };
            let left = fold(|p| p.x, f64::min, 1.0) * f64::from(width) - 1.0;
            let right = fold(|p| p.x, f64::max, 0.0) * f64::from(width) + 1.0;
            let top = fold(|p| p.y, f64::min, 1.0) * f64::from(height) - 1.5;
            let bottom = fold(|p| p.y, f64::max, 0.0) * f64::from(height) + 1.0;
            for span in Cover::of(std::slice::from_ref(&zone), size).luma {
                prop_assert!(f64::from(span.columns.start) >= left);
                prop_assert!(f64::from(span.columns.end) <= right + 0.5);
                prop_assert!((top..=bottom).contains(&f64::from(span.row)));
            }
        }
    }
}
