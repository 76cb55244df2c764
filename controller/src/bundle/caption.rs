//! The text under a playable copy's pictures: the date and time of each second, and where footage
//! is missing that it is, and why. Pure.
//!
//! A caption is printable ASCII and line ends, at most [`TEXT_BYTES_MAX`] bytes; its sample in the
//! file is its length (16 bits, big-endian) and its text.

use custody::WallTime;
use custody::coverage::{self, Span};

use super::facts::Footage;
use super::local::{self, Local};
use super::window::{Piece, Window, micros, ticks};

/// Three lines of at most 66 characters.
pub(super) const TEXT_BYTES_MAX: usize = 200;
/// The seams between segments are not told: a hole is longer than half a second.
const SEAM_US: i64 = 500_000;

/// One caption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caption {
    pub(super) ticks: u32,
    pub(super) text: String,
}

impl Caption {
    /// As it lies in the file.
    pub(super) fn sample(&self) -> Vec<u8> {
        let text = self.text.as_bytes();
        let text = &text[..text.len().min(TEXT_BYTES_MAX)];
        let length = u16::try_from(text.len()).unwrap_or(0);
        [&length.to_be_bytes()[..], text].concat()
    }
}

/// The captions of all that `window` shows, one a second, end to end from its start.
pub(super) fn captions(window: &Window, footage: &Footage) -> Vec<Caption> {
    let local = Local::new();
    let mut captions = Vec::new();
    for piece in &window.pieces {
        let holes = holes(piece, footage);
        let mut at = piece.from;
        while at < piece.to {
            let wall = wall_at(piece, at);
            let hole = holes.iter().find(|(hole, _)| hole.from <= wall && wall < hole.to);
            let text = text(wall, hole.map(|(_, why)| why.as_str()), &local);
            let next = next_change(wall, &holes);
            // A change that falls between two ticks is told by the later one.
            let next = (piece.from + ticks(next.micros_since(piece.wall)) + 1).max(at + 1);
            let next = next.min(piece.to);
            captions.push(Caption { ticks: u32::try_from(next - at).unwrap_or(u32::MAX), text });
            at = next;
        }
    }
    captions
}

fn wall_at(piece: &Piece, at: u64) -> WallTime {
    piece.wall.plus_micros(micros(at - piece.from))
}

/// The next whole second, or where a hole begins or ends, whichever is first.
fn next_change(wall: WallTime, holes: &[(Span, String)]) -> WallTime {
    let second = WallTime((wall.0.div_euclid(1_000_000) + 1) * 1_000_000);
    let edges = holes.iter().flat_map(|(hole, _)| [hole.from, hole.to]);
    edges.filter(|edge| *edge > wall).fold(second, WallTime::min)
}

/// Where there is no footage, and why.
fn holes(piece: &Piece, footage: &Footage) -> Vec<(Span, String)> {
    let to = wall_at(piece, piece.to);
    let shown = Span { from: piece.wall, to };
    let coverage = coverage::measure(shown, &footage.segments, &footage.gaps);
    let explained = coverage.explained.into_iter().map(|(hole, why)| (hole, why.as_str()));
    let other = coverage.unexplained.into_iter().map(|hole| (hole, "no record says why"));
    let holes = explained.chain(other).filter(|(hole, _)| hole.micros() > SEAM_US);
    holes.map(|(hole, why)| (hole, why.to_owned())).collect()
}

fn text(wall: WallTime, missing: Option<&str>, local: &Local) -> String {
    let mut text = format!("{}\n{}", local::utc(wall), local.text(wall));
    if let Some(why) = missing {
        text.push_str("\nNO FOOTAGE: ");
        text.push_str(why);
    }
    text
}

#[cfg(test)]
mod tests {
    use custody::record::GapReason;

    use super::*;

    #[test]
    fn each_second_has_its_text_and_a_gap_says_why() {
        let start: WallTime = "2026-11-21T14:03:05.5Z".parse().unwrap();
        let at = |second: i64| start.plus_seconds(second);
        let window = Window {
            blank: 0,
            from: 0,
            length: 5 * 90_000,
            pieces: vec![Piece { from: 0, to: 5 * 90_000, wall: start }],
        };
        let footage = Footage {
            segments: vec![Span { from: at(-1), to: at(2) }, Span { from: at(4), to: at(9) }],
            gaps: vec![(Span { from: at(2), to: at(3) }, GapReason::CameraUnreachable)],
        };
        let told = captions(&window, &footage);
        let texts: Vec<_> = told
            .iter()
            .map(|c| (&c.text[11..19], c.text.split("FOOTAGE: ").nth(1).unwrap_or(""), c.ticks))
            .collect();
        let (reason, bare) = ("camera-unreachable", "no record says why");
        assert_eq!(
            texts,
            [
                ("14:03:05", "", 45_001),
                ("14:03:06", "", 90_000),
                ("14:03:07", "", 45_000),
                ("14:03:07", reason, 45_000),
                ("14:03:08", reason, 45_000),
                ("14:03:08", bare, 45_000),
                ("14:03:09", bare, 45_000),
                ("14:03:09", "", 45_000),
                ("14:03:10", "", 44_999),
            ]
        );
        assert_eq!(told.iter().map(|c| u64::from(c.ticks)).sum::<u64>(), 5 * 90_000);
        assert_eq!(
            told[3].text,
            "2026-11-21 14:03:07 UTC\n2026-11-21 14:03:07 GMT (UTC+00:00)\n\
             NO FOOTAGE: camera-unreachable"
        );
        let sample = told[3].sample();
        assert_eq!(usize::from(sample[1]), told[3].text.len());
        assert!(told.iter().all(|c| c.text.len() <= TEXT_BYTES_MAX && c.text.is_ascii()));
    }
}
