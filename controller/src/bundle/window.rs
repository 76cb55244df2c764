//! What a playable copy shows of the footage that it holds: exactly the asked interval, from the
//! picture that stood at its first moment on. Pure.
//!
//! ```text
//! footage     |----------[==========================]------|     kept whole in the file
//! shown                  0                        length         by an edit list
//! ```
//! The copy's time runs from the asked start. Where there is no footage yet, nothing is shown
//! (an empty edit); what lies before the start is decoded and not shown. A copy whose stream changes
//! on the way (another picture size) begins with its first frame instead.

use custody::WallTime;
use custody::coverage::Span;

use super::movie::{Movie, TIMESCALE};

/// A picture that stands longer than this stands in for missing footage.
const STILL_TICKS: u64 = 2 * TIMESCALE as u64;

/// The part of a copy's time line that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Nothing is shown for so long: the footage begins later than was asked.
    pub(super) blank: u64,
    /// Where on the movie's line the first shown picture begins.
    pub(super) from: u64,
    /// For how long footage is shown.
    pub(super) length: u64,
    /// Shown time against wall time: from, to (in ticks of shown time), and the wall time at from.
    pub(super) pieces: Vec<Piece>,
}

/// A stretch of shown time along which wall time runs evenly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) wall: WallTime,
}

impl Window {
    /// What `movie` shows of `asked`. Where the two do not meet, all of it is shown.
    pub(super) fn new(movie: &Movie, mut asked: Span) -> Self {
        let first = movie.anchors.first().map_or(asked.from, |(_, wall)| *wall);
        if movie.entries.len() > 1 {
            // FFmpeg loses count of the decoder's parameters when frames before the start are left
            // out (seen with 5.1): a copy whose stream changes begins with its first frame.
            asked.from = asked.from.min(first);
        }
        let lines = lines(movie);
        let at = |wall: WallTime| {
            lines.iter().find_map(|line| line.tick_of(wall)).map(|tick| tick.min(movie.end_ticks))
        };
        let (mut blank, mut from) = match at(asked.from) {
            Some(tick) => (0, tick),
            None if asked.from < first => (ticks(first.micros_since(asked.from)), 0),
            None => (0, 0),
        };
        let end = lines.iter().rev().find_map(|line| line.tick_of(asked.to));
        let end = end.map_or(movie.end_ticks, |tick| tick.min(movie.end_ticks));
        let (stands, next) = around(movie, from);
        if blank == 0 && next.is_some_and(|next| next - stands > STILL_TICKS) {
            // Asked from within a gap on: the picture from before it is not part of the answer.
            let next = next.unwrap_or(from);
            blank = next.saturating_sub(from);
            from = next;
        } else {
            from = stands;
        }
        let length = end.saturating_sub(from);
        if length == 0 {
            let pieces = pieces(&lines, 0, 0, movie.end_ticks, asked.to);
            return Self { blank: 0, from: 0, length: movie.end_ticks, pieces };
        }
        let pieces = pieces(&lines, blank, from, length, asked.to);
        Self { blank, from, length, pieces }
    }

    /// All that is shown, and the text after it.
    pub(super) fn end(&self) -> u64 {
        self.pieces.last().map_or(0, |piece| piece.to)
    }

    /// The wall time at which the copy begins.
    pub(super) fn start(&self) -> Option<WallTime> {
        self.pieces.first().map(|piece| piece.wall)
    }
}

/// A stretch of the movie's line along which wall time runs evenly.
#[derive(Debug, Clone, Copy)]
struct Line {
    from: u64,
    to: u64,
    wall: WallTime,
}

impl Line {
    fn tick_of(&self, wall: WallTime) -> Option<u64> {
        let since = wall.micros_since(self.wall);
        let tick = self.from + ticks(since);
        (since >= 0 && tick < self.to).then_some(tick)
    }

    fn wall_at(&self, tick: u64) -> WallTime {
        self.wall.plus_micros(micros(tick.saturating_sub(self.from)))
    }
}

fn lines(movie: &Movie) -> Vec<Line> {
    let ends = movie.anchors.iter().skip(1).map(|(tick, _)| *tick);
    let ends = ends.chain([movie.end_ticks]);
    let lines = movie.anchors.iter().zip(ends);
    lines.map(|(&(from, wall), to)| Line { from, to, wall }).collect()
}

/// Where the picture that stands at `tick` begins, and where the next one does.
fn around(movie: &Movie, tick: u64) -> (u64, Option<u64>) {
    let (mut stands, mut next) = (0, None);
    for shown in movie.shown() {
        if shown <= tick {
            stands = stands.max(shown);
        } else if next.is_none_or(|next| shown < next) {
            next = Some(shown);
        }
    }
    (stands, next)
}

fn pieces(lines: &[Line], blank: u64, from: u64, length: u64, to: WallTime) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let shown = |tick: u64| tick - from + blank;
    for line in lines {
        let (begin, end) = (line.from.max(from), line.to.min(from + length));
        if begin >= end {
            continue;
        }
        let (mut at, mut wall) = (shown(begin), line.wall_at(begin));
        if pieces.is_empty() && blank > 0 {
            wall = wall.plus_micros(-micros(at));
            at = 0;
        }
        pieces.push(Piece { from: at, to: shown(end), wall });
    }
    // The answer ends where it was asked to end, even when the footage ends before.
    if let Some(last) = pieces.last_mut() {
        let asked = last.from + ticks(to.micros_since(last.wall).max(0));
        last.to = last.to.max(asked);
    }
    pieces
}

/// Ticks in microseconds.
pub(super) fn ticks(micros: i64) -> u64 {
    let ticks = i128::from(micros.max(0)) * i128::from(TIMESCALE) / 1_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// Microseconds in ticks.
pub(super) fn micros(ticks: u64) -> i64 {
    let micros = u128::from(ticks) * 1_000_000 / u128::from(TIMESCALE);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = TIMESCALE as u64;

    fn wall(second: i64) -> WallTime {
        WallTime(second * 1_000_000)
    }

    fn asked(from: i64, to: i64) -> Span {
        Span { from: wall(from), to: wall(to) }
    }

    /// Footage from 100 s to 110 s at two frames a second, and from 120 s to 130 s.
    fn movie() -> Movie {
        let durations = vec![(19, 45_000), (1, 45_000 + 900_000), (20, 45_000)];
        Movie::of_frames(durations, vec![(40, 0)], 30 * SECOND, wall(100))
    }

    fn check(asked: Span, blank: u64, from: u64, length: u64, pieces: &[(u64, u64, i64)]) {
        let window = Window::new(&movie(), asked);
        assert_eq!((window.blank, window.from, window.length), (blank, from, length), "{asked:?}");
        let told: Vec<_> = window.pieces.iter().map(|p| (p.from, p.to, p.wall.0)).collect();
        let expect: Vec<_> = pieces.iter().map(|(a, b, s)| (*a, *b, s * 1_000_000)).collect();
        assert_eq!(told, expect, "{asked:?}");
    }

    #[test]
    fn the_asked_interval_is_shown_from_its_first_picture_on() {
        check(asked(103, 107), 0, 3 * SECOND, 4 * SECOND, &[(0, 4 * SECOND, 103)]);
        // The picture of 103.5 stands at 103.7.
        let late = Span { from: WallTime(103_700_000), to: wall(107) };
        let window = Window::new(&movie(), late);
        assert_eq!((window.from, window.start()), (315_000, Some(WallTime(103_500_000))));
    }

    #[test]
    fn where_footage_is_missing_at_an_end_nothing_is_shown_there() {
        check(asked(95, 107), 5 * SECOND, 0, 7 * SECOND, &[(0, 12 * SECOND, 95)]);
        check(asked(112, 125), 8 * SECOND, 20 * SECOND, 5 * SECOND, &[(0, 13 * SECOND, 112)]);
        check(asked(125, 140), 0, 25 * SECOND, 5 * SECOND, &[(0, 15 * SECOND, 125)]);
        check(asked(108, 115), 0, 8 * SECOND, 7 * SECOND, &[(0, 7 * SECOND, 108)]);
    }

    #[test]
    fn what_was_not_asked_is_shown_only_when_the_two_do_not_meet() {
        check(asked(300, 310), 0, 0, 30 * SECOND, &[(0, 210 * SECOND, 100)]);
    }

    #[test]
    fn a_step_back_of_the_clock_gives_a_piece_of_its_own() {
        let mut movie = movie();
        movie.anchors.push((20 * SECOND, wall(50)));
        let window = Window::new(&movie, asked(105, 59));
        let told: Vec<_> = window.pieces.iter().map(|p| (p.from, p.to, p.wall)).collect();
        let first = (0, 15 * SECOND, wall(105));
        assert_eq!(told, [first, (15 * SECOND, 24 * SECOND, wall(50))]);
    }

    #[test]
    fn frames_that_are_reordered_are_found_by_when_they_are_shown() {
        // I P B B: decoded 0 1 2 3, shown 0 3 1 2 (half seconds), one frame of lead.
        let offsets = vec![(1, 45_000), (1, 135_000), (2, 0)];
        let movie = Movie::of_frames(vec![(4, 45_000)], offsets, 2 * SECOND, wall(100));
        assert_eq!(movie.shown().collect::<Vec<_>>(), [0, 135_000, 45_000, 90_000]);
        let late = Span { from: WallTime(101_200_000), to: wall(102) };
        assert_eq!(Window::new(&movie, late).from, 90_000);
    }
}
