//! What the site says of itself, every few seconds.

use custody::{ClockSource, WallTime};
use proto::v1::{Alarm, CameraReport, SiteReport};

use super::Parts;
use crate::config::Masking;
use crate::record::Recorder;
use crate::retention::Standing;
use crate::store::{Held, Scrubbed, Space, Stats};

/// Alarms in one report: what a screen shows, 300 bytes each.
const ALARMS_MAX: usize = 64;

/// The site's state now.
pub(super) async fn of(parts: &Parts) -> SiteReport {
    let store = parts.store.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let stats = store.stats();
        let space = store.space();
        let second = store.second_space().ok().flatten();
        let scrubbed = store.scrubbed().unwrap_or_default();
        (stats, (space, second), scrubbed, store.held())
    });
    // A store that does not answer says so in its own log; the report shows zeroes.
    let (stats, (space, second), scrubbed, held) = match looked.await {
        Ok((stats, (space, second), scrubbed, held)) => {
            let (stats, held) = (stats.unwrap_or_default(), held.unwrap_or_default());
            (stats, (space.ok(), second), scrubbed, held)
        }
        Err(_) => (Stats::default(), (None, None), Scrubbed::default(), Held::default()),
    };
    let bytes = |space: Option<Space>| space.map_or((0, 0), |s| (s.free_bytes, s.total_bytes));
    let (free_bytes, total_bytes) = bytes(space);
    let (second_free_bytes, second_total_bytes) = bytes(second);
    let identity = parts.store.identity();
    let now = parts.clock.now();
    let quality = parts.clock.quality();
    let retention = parts.retention.standing();
    let masks = parts.mask.figures();
    SiteReport {
        at_us: now.0,
        agent_version: identity.agent().version.clone(),
        boot_id: identity.boot_id().to_owned(),
        clock_offset_us: quality.offset_us,
        clock_uncertainty_us: quality.uncertainty_us,
        clock_disciplined: quality.source == ClockSource::Disciplined,
        disc_free_bytes: free_bytes,
        disc_total_bytes: total_bytes,
        days_left: retention.shortfall.map_or(-1.0, |at| days_between(now, at)),
        cameras: parts.recorders.iter().map(|r| camera(r, &stats, &retention, now)).collect(),
        log_size: parts.store.log_size(),
        holds: u32::try_from(stats.holds).unwrap_or(u32::MAX),
        segments: stats.segments,
        stored_bytes: stats.bytes,
        alarms: alarms(parts, now),
        damaged_segments: parts.store.damaged().len() as u64,
        scrubbed_until_us: us(scrubbed.until),
        scrub_begun_us: us(scrubbed.begun),
        scrub_pass_s: parts.config.scrub.pass_s,
        held_bytes: held.bytes,
        hold_budget_bytes: held.budget_bytes,
        forecast_shortfall_us: us(retention.shortfall),
        lacking_bytes: retention.lacking_bytes,
        early_erased: retention.erasures.early,
        early_erased_us: us(retention.erasures.early_at),
        late_erased: retention.erasures.late,
        late_erased_us: us(retention.erasures.late_at),
        second_state: parts.store.second_state().unwrap_or_default(),
        second_free_bytes,
        second_total_bytes,
        masked_cameras: u32::try_from(masks.cameras).unwrap_or(u32::MAX),
        masked_cameras_max: u32::try_from(masks.carries).unwrap_or(u32::MAX),
        mask_encoder: masks.encoder.to_owned(),
    }
}

/// What a person must see to: of the site's own log, its masks, and the logs that it witnesses.
fn alarms(parts: &Parts, now: WallTime) -> Vec<Alarm> {
    let alarm = |code: &str, text, at: WallTime| Alarm { code: code.to_owned(), text, at_us: at.0 };
    // The store's are so now; a lie of another log stays one.
    let own = parts.store.alarms().into_iter().map(|(code, text)| alarm(code, text, now));
    let masks = parts.mask.alarms(now).into_iter().map(|(code, text)| alarm(code, text, now));
    let witnessed = parts.witness.alarms();
    let witnessed = witnessed.into_iter().map(|it| alarm(it.code, it.text, it.at));
    own.chain(masks).chain(witnessed).take(ALARMS_MAX).collect()
}

/// A time on the wire; 0: none.
fn us(at: Option<WallTime>) -> i64 {
    at.map_or(0, |at| at.0)
}

#[expect(clippy::cast_precision_loss, reason = "days on a screen")]
fn days_between(from: WallTime, to: WallTime) -> f64 {
    to.micros_since(from).max(0) as f64 / 86_400e6
}

fn camera(recorder: &Recorder, stats: &Stats, retention: &Standing, now: WallTime) -> CameraReport {
    let settings = &recorder.camera;
    let health = recorder.snapshot(now);
    let kept = stats.cameras.get(&settings.id);
    let standing = retention.cameras.get(&settings.id).copied().unwrap_or_default();
    let oldest = standing.oldest.map(|oldest| oldest.start);
    let (mask_required, mask_revision) = match &settings.masking {
        Masking::Required(policy) => (true, policy.revision),
        Masking::NotRequired(_) => (false, 0),
    };
    CameraReport {
        camera: settings.id.to_string(),
        state: health.state.to_owned(),
        last_frame_us: health.last_frame.map_or(0, |at| at.0),
        frames_per_second: health.frames_per_second,
        kilobits_per_second: health.kilobits_per_second,
        oldest_footage_us: kept.and_then(|kept| kept.oldest).map_or(0, |at| at.0),
        codec: health.codec.to_owned(),
        width: u32::from(health.width),
        height: u32::from(health.height),
        mask_required,
        mask_revision,
        lost_packets: health.lost_packets,
        camera_offset_ms: health.camera_offset_ms,
        detail: health.detail,
        place: settings.place.as_str().to_owned(),
        gop_ms: health.gop_ms,
        drift_ppm: health.drift_ppm,
        retention_class: settings.class.name.clone(),
        floor_s: settings.class.floor_s,
        ceiling_s: settings.class.ceiling_s,
        oldest_unheld_us: us(oldest),
        days_on_hand: oldest.map_or(0.0, |oldest| days_between(oldest, now)),
        day_kbps: standing.day_kbps.unwrap_or(0),
        hour_kbps: standing.hour_kbps.unwrap_or(0),
        expected_kbps: standing.expected_kbps.unwrap_or(0),
    }
}
