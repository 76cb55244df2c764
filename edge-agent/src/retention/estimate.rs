//! Whether a disc can hold what a configuration asks of it, before it bites. Pure.

use custody::CameraId;

/// What one camera asks of the disc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Which.
    pub camera: CameraId,
    /// What it sends, kilobits a second.
    pub kbps: u64,
    /// How long it must be kept, seconds.
    pub floor_s: u64,
}

impl Demand {
    fn wanted(&self, kbps: u64) -> u64 {
        kbps.saturating_mul(125).saturating_mul(self.floor_s)
    }
}

/// What a configuration asks, and what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Estimate {
    /// For all cameras' floors.
    pub wanted_bytes: u64,
    /// On the disc, for footage that is not held.
    pub room_bytes: u64,
    /// With which cameras it would do: each with what it sends now, most first. Empty: it does.
    pub lower: Vec<Demand>,
    /// To what these would have to be lowered, kilobits a second.
    pub lower_to_kbps: u64,
}

impl Estimate {
    /// What the disc lacks.
    #[must_use]
    pub fn lacking_bytes(&self) -> u64 {
        self.wanted_bytes.saturating_sub(self.room_bytes)
    }
}

/// Compares the floors of all cameras with the room. If that is too little, finds the greatest rate
/// to which those above it would have to come down.
#[must_use]
pub fn estimate(demands: &[Demand], room_bytes: u64) -> Estimate {
    let wanted_at = |cap: u64| {
        let each = demands.iter().map(|demand| demand.wanted(demand.kbps.min(cap)));
        each.fold(0_u64, u64::saturating_add)
    };
    let wanted_bytes = wanted_at(u64::MAX);
    let mut estimate = Estimate { wanted_bytes, room_bytes, lower: Vec::new(), lower_to_kbps: 0 };
    if wanted_bytes <= room_bytes {
        return estimate;
    }
    // At `fits` it does, at `not` it does not.
    let most = demands.iter().map(|demand| demand.kbps).max().unwrap_or(0);
    let (mut fits, mut not) = (0, most);
    while not - fits > 1 {
        let middle = fits + (not - fits) / 2;
        let half = if wanted_at(middle) <= room_bytes { &mut fits } else { &mut not };
        *half = middle;
    }
    let above = demands.iter().filter(|demand| demand.kbps > fits);
    estimate.lower = above.cloned().collect();
    estimate.lower.sort_by(|a, b| b.kbps.cmp(&a.kbps).then_with(|| a.camera.cmp(&b.camera)));
    estimate.lower_to_kbps = fits;
    estimate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lowering_as_told_fits_and_a_kilobit_more_does_not(
            cameras in proptest::collection::vec((1_u64..9_000, 60_u64..2_678_400), 1..10),
            room in 0_u64..20_000_000_000_000,
        ) {
            let demand = |(at, (kbps, floor_s)): (usize, (u64, u64))| Demand {
                camera: format!("east/ext-{at}").parse().unwrap(),
                kbps,
                floor_s,
            };
            let demands: Vec<_> = cameras.into_iter().enumerate().map(demand).collect();
            let told = estimate(&demands, room);
            prop_assert_eq!(told.lower.is_empty(), told.lacking_bytes() == 0);
            let wanted = |cap: u64| -> u64 {
                demands.iter().map(|d| {
                    let is_told = told.lower.iter().any(|l| l.camera == d.camera);
                    d.wanted(if is_told { cap } else { d.kbps })
                }).sum()
            };
            if told.lacking_bytes() > 0 {
                prop_assert!(wanted(told.lower_to_kbps) <= room);
                prop_assert!(wanted(told.lower_to_kbps + 1) > room);
                prop_assert!(told.lower.iter().all(|d| d.kbps > told.lower_to_kbps));
            }
        }
    }
}
