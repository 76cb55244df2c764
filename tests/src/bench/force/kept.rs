//! What the recorder's own signed chains say was kept between two moments: footage, gaps, packets
//! lost on the way. Erased footage counts: its record stays.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, Result};
use custody::WallTime;
use custody::coverage::Span;
use custody::dsse::Envelope;
use custody::record::{Record, Statement};
use edge_agent::config;
use edge_agent::seal::Identity;
use edge_agent::store::Store;
use host::Clock;

/// Of all cameras.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) cameras: usize,
    pub(super) segments: u64,
    pub(super) fragments: u64,
    pub(super) frames: u64,
    pub(super) lost_packets: u64,
    pub(super) gaps: u64,
    gap_us: i64,
    /// How often each reason was given.
    reasons: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cameras signed {} segments of {} fragments and {} frames; {} packets lost, {} gaps of \
             {} ms {:?}",
            self.cameras,
            self.segments,
            self.fragments,
            self.frames,
            self.lost_packets,
            self.gaps,
            self.gap_us / 1000,
            self.reasons
        )
    }
}

/// Reads the chains in the store under `state`, which nobody else has open.
pub(super) fn read(state: &Path, config: &Path, from: WallTime, to: WallTime) -> Result<Kept> {
    let (config, bytes) = config::load(config)?;
    let identity = Identity::load(state, &config.site, config.domain.as_str(), &bytes)?;
    let cameras: Vec<_> = config.cameras.iter().map(|camera| camera.id.clone()).collect();
    let (store, _) = Store::open(state, identity, Clock::system(), &cameras)?;
    let mut kept = Kept { cameras: cameras.len(), ..Kept::default() };
    for camera in &cameras {
        let links = store.find(camera, Span { from, to })?;
        links.first().with_context(|| format!("{camera} has no record of that time"))?;
        for link in links {
            let envelope = Envelope::read(&link.envelope)?;
            match Record::danger_read_unchecked(&envelope)? {
                Record::Segment(manifest) => {
                    kept.segments += 1;
                    kept.fragments += u64::from(manifest.fragments.count);
                    kept.frames += u64::from(manifest.fragments.samples);
                    kept.lost_packets += manifest.reception.lost_packets;
                }
                Record::Other(Statement::Gap(gap)) => {
                    kept.gaps += 1;
                    kept.gap_us += gap.end.micros_since(gap.start);
                    *kept.reasons.entry(gap.reason.as_str()).or_default() += 1;
                }
                Record::Other(_) => {}
            }
        }
    }
    Ok(kept)
}
