//! Sites, cameras and people, as they are told.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, size_text, text, time, time_text};

/// What a site says of a second disc that is there.
const SECOND_HERE: &str = "here";

/// A site.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Site {
    /// Its name.
    pub site: String,
    /// `connected`, `away`, `revoked`, `never-seen`.
    pub state: String,
    /// When it last reported.
    pub last_report: Option<WallTime>,
    /// The recorder's version.
    pub agent_version: Option<String>,
    /// Cameras it is to record.
    pub cameras: u32,
    /// Cameras it records.
    pub cameras_recording: u32,
    /// Free bytes on its disc.
    pub disc_free_bytes: u64,
    /// Bytes of its disc.
    pub disc_total_bytes: u64,
    /// Days until the disc is full at the present rate; negative: footage expires before that.
    pub days_left: f64,
    /// How far its clock is from true time.
    pub clock_offset_us: i64,
    /// The bound on that.
    pub clock_uncertainty_us: i64,
    /// Whether a time service keeps the clock.
    pub clock_disciplined: bool,
    /// When its certificate ends.
    pub certificate_ends: Option<WallTime>,
    /// Records in its log.
    pub log_size: u64,
    /// How many of them the controller has.
    pub log_copied: u64,
    /// Holds on its footage.
    pub holds: u32,
    /// Segments it keeps.
    pub segments: u64,
    /// Their bytes.
    pub stored_bytes: u64,
    /// How its log contradicts itself; none: it does not.
    pub log_alarm: Option<String>,
    /// Bytes of held footage.
    pub held_bytes: u64,
    /// How many may be.
    pub hold_budget_bytes: u64,
    /// What the site itself says a person must see to.
    pub alarms: Vec<Alarm>,
    /// When its disc will not hold every camera's floor at the present rates; none: within 62 days
    /// it will.
    pub forecast_shortfall: Option<WallTime>,
    /// Bytes that the disc lacks then.
    pub lacking_bytes: u64,
    /// Segments erased below their floor in the last 31 days.
    pub early_erased: u64,
    /// When last.
    pub early_erased_last: Option<WallTime>,
    /// Segments erased after their ceiling in the last 31 days.
    pub late_erased: u64,
    /// When last.
    pub late_erased_last: Option<WallTime>,
    /// Stored segments that are not what was signed, and that no sound copy has replaced.
    pub damaged_segments: u64,
    /// What was stored then has been read again and compared since; none: not yet.
    pub scrubbed_until: Option<WallTime>,
    /// When the reading that now goes on began; none: it rests until the next is due.
    pub scrub_begun: Option<WallTime>,
    /// All footage is read again within so many seconds; 0: none is.
    pub scrub_pass_s: u64,
    /// The second disc: none without one, `here`, or why it is away.
    pub second_state: Option<String>,
    /// Free bytes on it; 0 without one or while it is away.
    pub second_free_bytes: u64,
    /// Its bytes, likewise.
    pub second_total_bytes: u64,
    /// Cameras whose mask is required.
    pub masked_cameras: u32,
    /// How many like them its mask workers carry; none: not known yet.
    pub masked_cameras_max: Option<u32>,
    /// What encodes masked pictures; none: nothing does.
    pub mask_encoder: Option<String>,
}

/// What a site says a person must see to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its stable code: `retention-at-risk`, `over-ceiling`.
    pub code: String,
    /// In words.
    pub text: String,
}

impl From<v1::Site> for Site {
    fn from(site: v1::Site) -> Self {
        Self {
            site: site.site,
            state: site.state,
            last_report: time(site.last_report_us),
            agent_version: text(site.agent_version),
            cameras: site.cameras,
            cameras_recording: site.cameras_recording,
            disc_free_bytes: site.disc_free_bytes,
            disc_total_bytes: site.disc_total_bytes,
            days_left: site.days_left,
            clock_offset_us: site.clock_offset_us,
            clock_uncertainty_us: site.clock_uncertainty_us,
            clock_disciplined: site.clock_disciplined,
            certificate_ends: time(site.certificate_ends_us),
            log_size: site.log_size,
            log_copied: site.log_copied,
            holds: site.holds,
            segments: site.segments,
            stored_bytes: site.stored_bytes,
            log_alarm: text(site.log_alarm),
            held_bytes: site.held_bytes,
            hold_budget_bytes: site.hold_budget_bytes,
            alarms: site
                .alarms
                .into_iter()
                .map(|alarm| Alarm { code: alarm.code, text: alarm.text })
                .collect(),
            forecast_shortfall: time(site.forecast_shortfall_us),
            lacking_bytes: site.lacking_bytes,
            early_erased: site.early_erased,
            early_erased_last: time(site.early_erased_us),
            late_erased: site.late_erased,
            late_erased_last: time(site.late_erased_us),
            damaged_segments: site.damaged_segments,
            scrubbed_until: time(site.scrubbed_until_us),
            scrub_begun: time(site.scrub_begun_us),
            scrub_pass_s: site.scrub_pass_s,
            second_state: text(site.second_state),
            second_free_bytes: site.second_free_bytes,
            second_total_bytes: site.second_total_bytes,
            masked_cameras: site.masked_cameras,
            masked_cameras_max: Some(site.masked_cameras_max).filter(|cameras| *cameras > 0),
            mask_encoder: text(site.mask_encoder),
        }
    }
}

impl Row for Site {
    const HEAD: &'static [&'static str] = &[
        "site",
        "state",
        "recording",
        "disc free",
        "second disc",
        "damaged",
        "read again",
        "forecast shortfall",
        "early/late erased",
        "clock",
        "log copied",
        "holds",
        "last report",
        "version",
    ];

    fn cells(&self) -> Vec<String> {
        let clock = if self.clock_disciplined { "kept" } else { "NOT KEPT" };
        vec![
            self.site.clone(),
            self.state.clone(),
            format!("{}/{}", self.cameras_recording, self.cameras),
            size_text(self.disc_free_bytes),
            self.second_text(),
            self.damaged_segments.to_string(),
            time_text(self.scrubbed_until),
            self.forecast_shortfall
                .map_or_else(|| "none".to_owned(), |_| time_text(self.forecast_shortfall)),
            format!("{}/{}", self.early_erased, self.late_erased),
            format!("{clock} \u{b1}{} ms", self.clock_uncertainty_us / 1_000),
            format!("{}/{}", self.log_copied, self.log_size),
            self.holds_text(),
            time_text(self.last_report),
            or_dash(self.agent_version.as_ref()),
        ]
    }
}

impl Site {
    /// Why its second disc is away; none: it is there, or there is none.
    #[must_use]
    pub fn second_away(&self) -> Option<&str> {
        self.second_state.as_deref().filter(|state| *state != SECOND_HERE)
    }

    /// Its free bytes, `AWAY`, or `-` without one.
    fn second_text(&self) -> String {
        match &self.second_state {
            None => "-".to_owned(),
            Some(_) if self.second_away().is_some() => "AWAY".to_owned(),
            Some(_) => size_text(self.second_free_bytes),
        }
    }

    /// `3`, with what they take of their budget: `3 (12 %)`.
    fn holds_text(&self) -> String {
        match self.held_bytes.saturating_mul(100).checked_div(self.hold_budget_bytes) {
            Some(part) if self.holds > 0 => format!("{} ({part} %)", self.holds),
            _ => self.holds.to_string(),
        }
    }
}

/// A camera.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Camera {
    /// SITE/CAMERA.
    pub camera: String,
    /// `recording`, `unknown`, or why there is no footage.
    pub state: String,
    /// `external` or `internal`.
    pub place: Option<String>,
    /// When a frame last came.
    pub last_frame: Option<WallTime>,
    /// Frames a second.
    pub frames_per_second: f64,
    /// Kilobits a second.
    pub kilobits_per_second: f64,
    /// The oldest footage that is kept.
    pub oldest_footage: Option<WallTime>,
    /// The coding.
    pub codec: Option<String>,
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Whether a mask must be burned in.
    pub mask_required: bool,
    /// Which revision of it is.
    pub mask_revision: u32,
    /// Packets lost on the way.
    pub lost_packets: u64,
    /// The camera's clock minus the recorder's.
    pub camera_offset_ms: Option<i64>,
    /// From one key frame to the next.
    pub gop_ms: Option<i64>,
    /// How much faster the camera's media clock runs than the recorder's.
    pub drift_ppm: Option<i64>,
    /// The state in words.
    pub detail: Option<String>,
    /// Its class of retention.
    pub retention_class: Option<String>,
    /// How long its footage is kept at least, seconds.
    pub floor_s: u64,
    /// How long at most, seconds.
    pub ceiling_s: u64,
    /// Where its oldest unheld footage begins.
    pub oldest_unheld: Option<WallTime>,
    /// Days from there to now.
    pub days_on_hand: f64,
    /// Kilobits a second that it stored over the last day.
    pub day_kbps: u64,
    /// Kilobits a second that it stored in the last whole hour.
    pub hour_kbps: u64,
    /// What the settings expect of it, kilobits a second; 0: they do not say.
    pub expected_kbps: u64,
}

impl From<v1::Camera> for Camera {
    fn from(camera: v1::Camera) -> Self {
        Self {
            camera: camera.camera,
            state: camera.state,
            place: text(camera.place),
            last_frame: time(camera.last_frame_us),
            frames_per_second: camera.frames_per_second,
            kilobits_per_second: camera.kilobits_per_second,
            oldest_footage: time(camera.oldest_footage_us),
            codec: text(camera.codec),
            width: camera.width,
            height: camera.height,
            mask_required: camera.mask_required,
            mask_revision: camera.mask_revision,
            lost_packets: camera.lost_packets,
            camera_offset_ms: camera.camera_offset_ms,
            gop_ms: camera.gop_ms,
            drift_ppm: camera.drift_ppm,
            detail: text(camera.detail),
            retention_class: text(camera.retention_class),
            floor_s: camera.floor_s,
            ceiling_s: camera.ceiling_s,
            oldest_unheld: time(camera.oldest_unheld_us),
            days_on_hand: camera.days_on_hand,
            day_kbps: camera.day_kbps,
            hour_kbps: camera.hour_kbps,
            expected_kbps: camera.expected_kbps,
        }
    }
}

impl Row for Camera {
    const HEAD: &'static [&'static str] = &[
        "camera",
        "state",
        "last frame",
        "fps",
        "kbit/s",
        "picture",
        "gop ms",
        "lost",
        "drift ppm",
        "mask",
        "days on hand",
        "oldest unheld",
        "kept",
        "detail",
    ];

    fn cells(&self) -> Vec<String> {
        let mask = if self.mask_required { format!("r{}", self.mask_revision) } else { "-".into() };
        vec![
            self.camera.clone(),
            self.state.clone(),
            time_text(self.last_frame),
            format!("{:.1}", self.frames_per_second),
            format!("{:.0}", self.kilobits_per_second),
            format!("{} {}x{}", or_dash(self.codec.as_ref()), self.width, self.height),
            or_dash(self.gop_ms.map(|ms| ms.to_string()).as_ref()),
            self.lost_packets.to_string(),
            or_dash(self.drift_ppm.map(|ppm| format!("{ppm:+}")).as_ref()),
            mask,
            format!("{:.1}", self.days_on_hand),
            time_text(self.oldest_unheld),
            kept_text(self),
            self.detail.clone().unwrap_or_default(),
        ]
    }
}

/// A camera's class and how long it keeps: `custody 7-31 d`.
fn kept_text(camera: &Camera) -> String {
    let Some(class) = &camera.retention_class else { return "-".to_owned() };
    let (floor, ceiling) = (camera.floor_s, camera.ceiling_s);
    let (per, unit) = unit_of([floor, ceiling]);
    if floor == ceiling {
        format!("{class} {} {unit}", ceiling / per)
    } else {
        format!("{class} {}-{} {unit}", floor / per, ceiling / per)
    }
}

/// The longest unit of which all of `seconds` are whole ones, in seconds, and its sign.
pub(super) fn unit_of<const N: usize>(seconds: [u64; N]) -> (u64, &'static str) {
    [(86_400, "d"), (3_600, "h"), (60, "min")]
        .into_iter()
        .find(|(per, _)| seconds.iter().all(|of| of % per == 0))
        .unwrap_or((1, "s"))
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Whose.
    pub person: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// Whether the account is ended.
    pub suspended: bool,
}

impl From<v1::Person> for Person {
    fn from(person: v1::Person) -> Self {
        Self { person: person.person, roles: person.roles, suspended: person.suspended }
    }
}

impl Row for Person {
    const HEAD: &'static [&'static str] = &["person", "roles", "state"];

    fn cells(&self) -> Vec<String> {
        let state = if self.suspended { "suspended" } else { "active" };
        vec![self.person.clone(), self.roles.join(", "), state.into()]
    }
}
