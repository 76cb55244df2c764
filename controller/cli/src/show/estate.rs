//! Sites, cameras and people.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, size_text, text, time, time_text};

/// Days until the disc is full; a negative figure says that footage expires before.
fn days_text(days_left: f64) -> String {
    if days_left < 0.0 { "enough".into() } else { format!("{days_left:.0}") }
}

/// A certificate or a disc with less than this many days left is a problem.
const DAYS_LEFT_MIN: f64 = 7.0;
const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Times in evidence may be off by at most this.
const CLOCK_UNCERTAINTY_US_MAX: i64 = 1_000_000;

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
    /// Cameras whose mask is required.
    pub masked_cameras: u32,
    /// How many like them its mask workers carry; none: not known yet.
    pub masked_cameras_max: Option<u32>,
    /// What encodes masked pictures; none: nothing does.
    pub mask_encoder: Option<String>,
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
        "days left",
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
            days_text(self.days_left),
            format!("{clock} \u{b1}{} ms", self.clock_uncertainty_us / 1_000),
            format!("{}/{}", self.log_copied, self.log_size),
            self.holds.to_string(),
            time_text(self.last_report),
            or_dash(self.agent_version.as_ref()),
        ]
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
    /// The state in words.
    pub detail: Option<String>,
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
            detail: text(camera.detail),
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
        "mask",
        "oldest footage",
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
            mask,
            time_text(self.oldest_footage),
            self.detail.clone().unwrap_or_default(),
        ]
    }
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

/// One line of `health`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Whether something is wrong. Problems sort first.
    pub ok: bool,
    /// The site or camera.
    pub object: String,
    /// The problem's stable name, or `ok`.
    pub problem: &'static str,
    /// In words.
    pub detail: String,
}

impl Row for Finding {
    const HEAD: &'static [&'static str] = &["", "object", "problem", "detail"];

    fn cells(&self) -> Vec<String> {
        let mark = if self.ok { "ok" } else { "!!" };
        vec![mark.into(), self.object.clone(), self.problem.into(), self.detail.clone()]
    }
}

/// What is wrong with sites, cameras and logs at `now`, problems first. Pure.
#[must_use]
pub fn health(
    sites: &[Site],
    cameras: &[Camera],
    alarms: &[String],
    now: WallTime,
) -> Vec<Finding> {
    let alarm = |alarm: &String| Finding {
        ok: false,
        object: "controller".to_owned(),
        problem: "log-alarm",
        detail: alarm.clone(),
    };
    let mut findings: Vec<Finding> = alarms.iter().map(alarm).collect();
    for site in sites {
        let mut found = site_problems(site, now);
        if found.is_empty() {
            let detail = format!("{}/{} recording", site.cameras_recording, site.cameras);
            found.push(("ok", detail));
        }
        findings.extend(found.into_iter().map(|(problem, detail)| Finding {
            ok: problem == "ok",
            object: site.site.clone(),
            problem,
            detail,
        }));
    }
    for camera in cameras.iter().filter(|camera| camera.state != "recording") {
        let unknown = camera.state == "unknown";
        findings.push(Finding {
            ok: false,
            object: camera.camera.clone(),
            problem: if unknown { "camera-unknown" } else { "camera-not-recording" },
            detail: format!("{} {}", camera.state, camera.detail.as_deref().unwrap_or_default()),
        });
    }
    findings.sort();
    findings
}

fn site_problems(site: &Site, now: WallTime) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if let Some(alarm) = &site.log_alarm {
        found.push(("log-contradicted", alarm.clone()));
    }
    if site.state != "connected" {
        let last = time_text(site.last_report);
        found.push(("site-not-connected", format!("{}, last report {last}", site.state)));
        return found;
    }
    if !site.clock_disciplined || site.clock_uncertainty_us > CLOCK_UNCERTAINTY_US_MAX {
        let bound = site.clock_uncertainty_us / 1_000;
        found.push(("clock-not-kept", format!("the error may reach {bound} ms")));
    }
    if (0.0..DAYS_LEFT_MIN).contains(&site.days_left) && site.disc_total_bytes > 0 {
        let free = size_text(site.disc_free_bytes);
        found.push(("disc-nearly-full", format!("{free} free, {:.1} days", site.days_left)));
    }
    if let Some(most) = site.masked_cameras_max.filter(|most| *most < site.masked_cameras) {
        let cameras = site.masked_cameras;
        found.push((
            "mask-overload",
            format!("{cameras} masked cameras, the recorder carries {most}: give it more cores"),
        ));
    }
    let ends = site.certificate_ends.map(|ends| ends.micros_since(now) / MICROS_PER_DAY);
    if let Some(days) = ends.filter(|days| *days < 7) {
        found.push(("certificate-ends-soon", format!("in {days} days")));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        v1::Site {
            site: "east".into(),
            state: "connected".into(),
            cameras: 2,
            cameras_recording: 2,
            disc_total_bytes: 1,
            days_left: 40.0,
            clock_disciplined: true,
            ..v1::Site::default()
        }
        .into()
    }

    #[test]
    fn a_sound_estate_has_no_problem() {
        let camera = v1::Camera {
            camera: "east/ext-01".into(),
            state: "recording".into(),
            ..v1::Camera::default()
        };
        let findings = health(&[site()], &[camera.into()], &[], WallTime(0));
        assert!(findings.iter().all(|finding| finding.ok) && findings.len() == 1);
    }

    #[test]
    fn each_problem_is_named_and_stands_first() {
        let away = Site { site: "west".into(), state: "away".into(), ..site() };
        let adrift = Site { site: "south".into(), clock_disciplined: false, ..site() };
        let full = Site { site: "hq".into(), days_left: 1.0, ..site() };
        let ending = Site { certificate_ends: Some(WallTime(MICROS_PER_DAY)), ..site() };
        let busy =
            Site { site: "north".into(), masked_cameras: 9, masked_cameras_max: Some(8), ..site() };
        let silent = v1::Camera {
            camera: "east/ext-01".into(),
            state: "camera-unreachable".into(),
            ..v1::Camera::default()
        };
        let sites = [site(), away, adrift, full, ending, busy];
        let findings = health(&sites, &[silent.into()], &[], WallTime(0));
        let problems: Vec<_> = findings.iter().map(|finding| finding.problem).collect();
        assert_eq!(problems.len(), 7);
        assert!(problems.contains(&"mask-overload"));
        for due in [
            "site-not-connected",
            "clock-not-kept",
            "disc-nearly-full",
            "certificate-ends-soon",
            "camera-not-recording",
        ] {
            assert!(problems.contains(&due), "{due}");
        }
        assert_eq!(problems.last(), Some(&"ok"));
    }
    #[test]
    fn a_log_that_contradicts_itself_and_a_late_witness_are_problems() {
        let mut forked = site();
        forked.log_alarm = Some("a fork".to_owned());
        forked.state = "away".to_owned();
        let alarms = ["time-stamping: the authority is away".to_owned()];
        let problems: Vec<_> = health(&[forked], &[], &alarms, WallTime(0))
            .into_iter()
            .map(|finding| (finding.ok, finding.problem))
            .collect();
        let expected = ["log-alarm", "log-contradicted", "site-not-connected"];
        assert_eq!(problems, expected.map(|problem| (false, problem)));
    }
}
