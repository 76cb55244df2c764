//! Into how many fragments a GOP is cut. Pure.
//!
//! A fragment is on the disc when the next one begins, so its length is what a power cut loses: 2 s.
//! A longer GOP is cut into equal parts by the length of the GOP before it, and not each 2 s, which
//! would leave a last part of one frame wherever a camera's clock is not quite even. The parts after
//! the first do not begin with a key frame: each still proves itself, and plays behind the first.

use crate::camera::timeline::TICKS_PER_SECOND;

/// The longest fragment.
pub const FRAGMENT_TICKS_MAX: i64 = 2 * TICKS_PER_SECOND;
/// So much longer may a GOP be that is left whole: what clocks are uneven by.
const SPARE_TICKS: i64 = TICKS_PER_SECOND / 10;

/// The GOPs of one camera. Times are 90 kHz ticks of its media clock.
#[derive(Debug, Clone, Default)]
pub struct Gops {
    /// Where the present one begins.
    began: Option<i64>,
    /// How long the one before was.
    length: Option<i64>,
    /// Parts of the present one that are done.
    done: i64,
}

impl Gops {
    /// A GOP begins.
    pub fn handle_key(&mut self, pts: i64) {
        self.length = self.began.map(|began| pts.saturating_sub(began)).filter(|ticks| *ticks > 0);
        self.began = Some(pts);
        self.done = 0;
    }

    /// A part of the present GOP is done.
    pub fn handle_part(&mut self) {
        self.done = self.done.saturating_add(1);
    }

    /// What follows does not follow on: no length can be told from here.
    pub fn handle_break(&mut self) {
        *self = Self::default();
    }

    /// Whether the fragment that began at `began` ends before the frame at `pts`, which is no key
    /// frame.
    #[must_use]
    pub fn cuts(&self, began: i64, pts: i64) -> bool {
        pts.saturating_sub(began) >= self.part_ticks()
    }

    /// How long the present part may be.
    fn part_ticks(&self) -> i64 {
        let Some(length) = self.length else { return FRAGMENT_TICKS_MAX };
        let over = length.saturating_sub(SPARE_TICKS).saturating_sub(1).max(0);
        let parts = over / FRAGMENT_TICKS_MAX + 1;
        if self.done.saturating_add(1) >= parts {
            FRAGMENT_TICKS_MAX + SPARE_TICKS
        } else {
            (length / parts).min(FRAGMENT_TICKS_MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Frames in each fragment of GOPs of these lengths, 40 ms a frame, `uneven` ticks off.
    fn cut(gops: &[i64], uneven: i64) -> Vec<i64> {
        let (mut state, mut began, mut pts) = (Gops::default(), 0, 0);
        let (mut parts, mut frames) = (Vec::new(), 0);
        for (n, length) in (0i64..).zip(gops) {
            for frame in 0..*length {
                let at = pts + uneven * n;
                if frame == 0 {
                    parts.push(frames);
                    (frames, began) = (0, at);
                    state.handle_key(at);
                } else if state.cuts(began, at) {
                    parts.push(frames);
                    (frames, began) = (0, at);
                    state.handle_part();
                }
                frames += 1;
                pts += 3600;
            }
        }
        parts.push(frames);
        parts.split_off(1)
    }

    #[test]
    fn two_seconds_are_one_fragment_even_by_an_uneven_clock() {
        assert_eq!(cut(&[50, 50, 50], 0), [50, 50, 50]);
        // A frame every 40.06 ms: 2.003 s.
        assert_eq!(cut(&[50, 50, 50], 270), [50, 50, 50]);
    }

    #[test]
    fn ten_seconds_are_five_fragments_and_no_scrap() {
        let expect = [50; 15];
        assert_eq!(cut(&[250, 250, 250], 0), expect);
        let uneven = cut(&[250, 250, 250, 250], 270);
        assert!(uneven[5..].iter().all(|frames| (40..=51).contains(frames)), "{uneven:?}");
    }

    #[test]
    fn four_seconds_are_two_and_three_are_two() {
        assert_eq!(cut(&[100, 100], 0), [50, 50, 50, 50]);
        // Unlike the first, whose length nobody knows.
        assert_eq!(cut(&[75, 75], 0), [50, 25, 38, 37]);
    }

    proptest! {
        #[test]
        fn no_fragment_lasts_longer_than_a_power_cut_may_cost(
            gops in prop::collection::vec(1i64..700, 1..10), uneven in -3000i64..3000,
        ) {
            let frames = cut(&gops, uneven);
            prop_assert!(frames.iter().all(|frames| (1..=53).contains(frames)), "{:?}", frames);
        }

        #[test]
        fn no_times_panic(times in prop::collection::vec((any::<i64>(), any::<bool>()), 0..50)) {
            let mut gops = Gops::default();
            for (pts, key) in times {
                if key { gops.handle_key(pts) } else if gops.cuts(0, pts) { gops.handle_part() }
            }
        }
    }
}
