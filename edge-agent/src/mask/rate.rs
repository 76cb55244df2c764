//! How finely a masked camera's pictures are quantised, so that they take about the bytes that the
//! camera's own took. Pure.
//!
//! The encoder works at one quantiser (QP) for a whole group of pictures (GOP): it needs no look at
//! the pictures beforehand, which is a fifth of its work, and a still picture keeps its quality.
//! After each GOP its bytes are compared with the camera's, and the next GOP's QP follows: 6 more
//! halve the bytes. So the rate is capped by the camera's with the delay of one GOP, and never so
//! hard that the picture is spoilt: [`QP_MAX`].

/// The finest: below it x264 spends bits on what nobody sees.
pub const QP_MIN: u8 = 12;
/// The coarsest: beyond it the rounding of flat blocks shows within the zones (more than two levels
/// of 255), and the picture outside falls below an SSIM of 0.96 on the test clips.
pub const QP_MAX: u8 = 27;
/// Where a camera begins: about what cameras at 4 Mbit/s use.
const QP_START: u8 = 22;
/// The part of the camera's bytes that is aimed at, and the part below which more is spent.
const AIM: f64 = 0.97;
const LOW: f64 = 0.86;
/// Pictures that must have been seen before QP changes: a change begins the encoder anew.
const PICTURES_MIN: u32 = 25;
/// What a stream may be declared as. A camera's own rate wavers, and another figure is another
/// stream, so there are few of them; the least one that suffices is taken.
const FRAMES_PER_SECOND: [u32; 4] = [25, 30, 60, 120];
/// QP moves by at most this much at once.
const STEP_MAX: f64 = 8.0;

/// The rate of one camera.
#[derive(Debug, Clone)]
pub struct Rate {
    qp: u8,
    in_bytes: u64,
    out_bytes: u64,
    pictures: u32,
    from_ticks: Option<i64>,
    bits_per_second: u64,
    frames_per_second: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            qp: QP_START,
            in_bytes: 0,
            out_bytes: 0,
            pictures: 0,
            from_ticks: None,
            bits_per_second: 0,
            frames_per_second: FRAMES_PER_SECOND[0],
        }
    }
}

impl Rate {
    /// One picture was masked: the camera's bytes, and ours.
    pub fn masked(&mut self, in_bytes: usize, out_bytes: usize) {
        self.in_bytes += in_bytes as u64;
        self.out_bytes += out_bytes as u64;
        self.pictures += 1;
    }

    /// A key frame comes, at `pts_ticks` (90 kHz): what QP it and its GOP are to have.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "bytes of a GOP, and a QP within its bounds"
    )]
    pub fn at_key(&mut self, pts_ticks: i64) -> u8 {
        let from = *self.from_ticks.get_or_insert(pts_ticks);
        if self.pictures < PICTURES_MIN || self.in_bytes == 0 {
            return self.qp;
        }
        let ticks = u64::try_from(pts_ticks.saturating_sub(from)).unwrap_or(0);
        let bits = self.in_bytes.saturating_mul(8 * 90_000).checked_div(ticks);
        self.bits_per_second = bits.unwrap_or(self.bits_per_second);
        // Rounded to the nearest: 25 frames a second may look like 25.1.
        let measured = (u64::from(self.pictures) * 90_000 + ticks / 2).checked_div(ticks);
        if let Some(measured) = measured {
            let suffices = |it: &u32| u64::from(*it) >= measured;
            self.frames_per_second =
                FRAMES_PER_SECOND.into_iter().find(suffices).unwrap_or(FRAMES_PER_SECOND[3]);
        }
        let part = self.out_bytes as f64 / self.in_bytes as f64;
        if !(LOW..=1.0).contains(&part) {
            let step = 6.0 * (part.max(1e-3) / AIM).log2();
            // Away from too much at least by one; towards more by less than is free.
            let step = if step > 0.0 { step.ceil() } else { step.ceil().min(-1.0) };
            let step = step.clamp(-STEP_MAX, STEP_MAX);
            let qp = (f64::from(self.qp) + step).clamp(f64::from(QP_MIN), f64::from(QP_MAX));
            self.qp = qp as u8;
        }
        (self.in_bytes, self.out_bytes, self.pictures) = (0, 0, 0);
        self.from_ticks = Some(pts_ticks);
        self.qp
    }

    /// The QP of the GOP that is being encoded.
    #[must_use]
    pub fn qp(&self) -> u8 {
        self.qp
    }

    /// What the stream is to be declared as, which decides its level; 25 before more was seen.
    #[must_use]
    pub fn frames_per_second(&self) -> u32 {
        self.frames_per_second
    }

    /// What the camera sent of late; 0 before a second of it has come.
    #[must_use]
    pub fn bits_per_second(&self) -> u64 {
        self.bits_per_second
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes of a GOP by its QP: 6 more halve them.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a GOP")]
    fn bytes(busy: f64, qp: u8) -> usize {
        (busy * 2f64.powf(-f64::from(qp) / 6.0)) as usize
    }

    proptest! {
        #[test]
        fn the_rate_comes_to_the_cameras_and_stays(
            in_bytes in 500..40_000usize,
            want_qp in QP_MIN + 1..QP_MAX,
            gop in 10..300u32,
        ) {
            let busy = in_bytes as f64 * 2f64.powf(f64::from(want_qp) / 6.0);
            let mut rate = Rate::default();
            let (mut qps, mut outs) = (Vec::new(), Vec::new());
            for second in 0..40 {
                let qp = rate.at_key(second * i64::from(gop) * 3_600);
                qps.push(qp);
                outs.push(bytes(busy, qp));
                (0..gop).for_each(|_| rate.masked(in_bytes, bytes(busy, qp)));
            }
            let settled = &qps[20..];
            prop_assert!(settled.iter().all(|qp| *qp == settled[0]), "{qps:?}");
            let part = outs[39] as f64 / in_bytes as f64;
            prop_assert!((0.8..=1.01).contains(&part), "{part} at {qps:?}");
            let measured = rate.bits_per_second() as f64 / (in_bytes as f64 * 8.0 * 25.0);
            prop_assert!((measured - 1.0).abs() < 0.01, "{measured}");
        }
    }

    #[test]
    fn a_stream_is_declared_by_the_least_rate_that_suffices() {
        for (step_ticks, declared) in
            [(18_000, 25), (3_600, 25), (3_585, 25), (3_003, 30), (1_800, 60)]
        {
            let mut rate = Rate::default();
            rate.at_key(0);
            (0..50).for_each(|_| rate.masked(1_000, 1_000));
            rate.at_key(50 * step_ticks);
            assert_eq!(rate.frames_per_second(), declared, "{step_ticks}");
        }
    }

    #[test]
    fn a_picture_is_never_spoilt_for_the_rate_and_a_still_one_wastes_nothing() {
        let mut rate = Rate::default();
        for (out_bytes, end) in [(1_000_000, QP_MAX), (1, QP_MIN)] {
            for second in 0..10 {
                rate.at_key(second * 90_000);
                (0..25).for_each(|_| rate.masked(10_000, out_bytes));
            }
            assert_eq!(rate.at_key(90_000 * 10), end);
        }
    }
}
