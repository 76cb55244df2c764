//! What the site says of itself, every few seconds.

use custody::{ClockSource, WallTime};
use proto::v1::{Alarm, CameraReport, SiteReport};

use super::Parts;
use crate::config::Masking;
use crate::record::Recorder;
use crate::store::Stats;

/// Alarms in one report: what a screen shows, 300 bytes each.
const ALARMS_MAX: usize = 64;

/// The site's state now.
pub(super) async fn of(parts: &Parts) -> SiteReport {
    let store = parts.store.clone();
    let looked = tokio::task::spawn_blocking(move || {
        let stats = store.stats();
        let space = store.space();
        (stats, space)
    });
    // A store that does not answer says so in its own log; the report shows zeroes.
    let (stats, space) = match looked.await {
        Ok((stats, space)) => (stats.unwrap_or_default(), space.ok()),
        Err(_) => (Stats::default(), None),
    };
    let (free_bytes, total_bytes) = space.map_or((0, 0), |s| (s.free_bytes, s.total_bytes));
    let identity = parts.store.identity();
    let now = parts.clock.now();
    let quality = parts.clock.quality();
    let masks = parts.mask.figures();
    let retain_s = parts.config.recording.retain_s;
    SiteReport {
        at_us: now.0,
        agent_version: identity.agent().version.clone(),
        boot_id: identity.boot_id().to_owned(),
        clock_offset_us: quality.offset_us,
        clock_uncertainty_us: quality.uncertainty_us,
        clock_disciplined: quality.source == ClockSource::Disciplined,
        disc_free_bytes: free_bytes,
        disc_total_bytes: total_bytes,
        days_left: days_left(&stats, free_bytes, retain_s),
        cameras: parts.recorders.iter().map(|r| camera(r, &stats, now)).collect(),
        log_size: parts.store.log_size(),
        holds: u32::try_from(stats.holds).unwrap_or(u32::MAX),
        segments: stats.segments,
        stored_bytes: stats.bytes,
        alarms: alarms(parts, now),
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

/// Days until the disc is full at the last day's rate; negative when footage expires before that.
#[expect(clippy::cast_precision_loss, reason = "a forecast in days")]
fn days_left(stats: &Stats, free_bytes: u64, retain_s: u64) -> f64 {
    let per_day: u64 = stats.cameras.values().map(|camera| camera.day_bytes).sum();
    if per_day == 0 {
        return -1.0;
    }
    let wanted = per_day as f64 * retain_s as f64 / 86_400.0;
    if stats.bytes as f64 + free_bytes as f64 >= wanted {
        return -1.0;
    }
    free_bytes as f64 / per_day as f64
}

fn camera(recorder: &Recorder, stats: &Stats, now: WallTime) -> CameraReport {
    let settings = &recorder.camera;
    let health = recorder.snapshot(now);
    let kept = stats.cameras.get(&settings.id);
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
    }
}
