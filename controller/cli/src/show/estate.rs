//! Sites, cameras and people.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, size_text, text, time, time_text};

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
    let (per, unit) = [(86_400, "d"), (3_600, "h"), (60, "min")]
        .into_iter()
        .find(|(per, _)| floor % per == 0 && ceiling % per == 0)
        .unwrap_or((1, "s"));
    if floor == ceiling {
        format!("{class} {} {unit}", ceiling / per)
    } else {
        format!("{class} {}-{} {unit}", floor / per, ceiling / per)
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
    pub problem: String,
    /// In words.
    pub detail: String,
}

impl Row for Finding {
    const HEAD: &'static [&'static str] = &["", "object", "problem", "detail"];

    fn cells(&self) -> Vec<String> {
        let mark = if self.ok { "ok" } else { "!!" };
        vec![mark.into(), self.object.clone(), self.problem.clone(), self.detail.clone()]
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
        problem: "log-alarm".to_owned(),
        detail: alarm.clone(),
    };
    let mut findings: Vec<Finding> = alarms.iter().map(alarm).collect();
    for site in sites {
        let mut found = site_problems(site, now);
        if found.is_empty() {
            let detail = format!("{}/{} recording", site.cameras_recording, site.cameras);
            found.push(("ok".to_owned(), detail));
        }
        findings.extend(found.into_iter().map(|(problem, detail)| Finding {
            ok: problem == "ok",
            object: site.site.clone(),
            problem,
            detail,
        }));
    }
    for camera in cameras {
        findings.extend(camera_problems(camera).into_iter().map(|(problem, detail)| Finding {
            ok: false,
            object: camera.camera.clone(),
            problem: problem.to_owned(),
            detail,
        }));
    }
    findings.sort();
    findings
}

/// What people must see to about holds.
#[must_use]
pub fn hold_findings(warnings: &[v1::HoldWarning]) -> Vec<Finding> {
    const PROBLEMS: [&str; 5] =
        ["hold-review-due", "hold-waits", "hold-too-late", "hold-refused", "hold-budget"];
    let finding = |warning: &v1::HoldWarning| Finding {
        ok: false,
        object: warning.object.clone(),
        problem: PROBLEMS
            .into_iter()
            .find(|it| *it == warning.problem)
            .unwrap_or("hold")
            .to_owned(),
        detail: warning.detail.clone(),
    };
    warnings.iter().map(finding).collect()
}

fn camera_problems(camera: &Camera) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    if camera.state != "recording" {
        let problem =
            if camera.state == "unknown" { "camera-unknown" } else { "camera-not-recording" };
        let detail = format!("{} {}", camera.state, camera.detail.as_deref().unwrap_or_default());
        found.push((problem, detail));
    } else if let Some(detail) = &camera.detail {
        // It records, and something at it wants seeing to.
        found.push(("camera-needs-care", detail.clone()));
    }
    // A fifth more than the disc was planned for, by the hour or the day.
    let (stored, expected) = (camera.hour_kbps.max(camera.day_kbps), camera.expected_kbps);
    if expected > 0 && stored.saturating_mul(5) > expected.saturating_mul(6) {
        let detail = format!("stores {stored} kbit/s, expected are {expected}");
        found.push(("bitrate-above-expected", detail));
    }
    found
}

fn site_problems(site: &Site, now: WallTime) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |problem: &str, detail: String| found.push((problem.to_owned(), detail));
    if let Some(alarm) = &site.log_alarm {
        add("log-contradicted", alarm.clone());
    }
    if site.state != "connected" {
        let last = time_text(site.last_report);
        add("site-not-connected", format!("{}, last report {last}", site.state));
        return found;
    }
    if !site.clock_disciplined || site.clock_uncertainty_us > CLOCK_UNCERTAINTY_US_MAX {
        let bound = site.clock_uncertainty_us / 1_000;
        add("clock-not-kept", format!("the error may reach {bound} ms"));
    }
    for alarm in &site.alarms {
        add(&alarm.code, alarm.text.clone());
    }
    if site.late_erased > 0 {
        let last = time_text(site.late_erased_last);
        let detail = format!(
            "{} segment(s) were erased after their ceiling in the last 31 days, last at {last}",
            site.late_erased
        );
        add("late-erased", detail);
    }
    let is_told = site.alarms.iter().any(|alarm| alarm.code == "mask-overload");
    let most = site.masked_cameras_max.filter(|most| *most < site.masked_cameras && !is_told);
    if let Some(most) = most {
        let cameras = site.masked_cameras;
        let detail =
            format!("{cameras} masked cameras, the recorder carries {most}: give it more cores");
        add("mask-overload", detail);
    }
    let ends = site.certificate_ends.map(|ends| ends.micros_since(now) / MICROS_PER_DAY);
    if let Some(days) = ends.filter(|days| *days < 7) {
        add("certificate-ends-soon", format!("in {days} days"));
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
        let alarm = |code: &str| Alarm { code: code.into(), text: "in words".into() };
        let alarms = vec![alarm("retention-at-risk"), alarm("over-ceiling")];
        let full = Site { site: "hq".into(), alarms, late_erased: 3, ..site() };
        let ending = Site { certificate_ends: Some(WallTime(MICROS_PER_DAY)), ..site() };
        let busy =
            Site { site: "north".into(), masked_cameras: 9, masked_cameras_max: Some(8), ..site() };
        let silent = v1::Camera {
            camera: "east/ext-01".into(),
            state: "camera-unreachable".into(),
            ..v1::Camera::default()
        };
        let heavy = v1::Camera {
            camera: "east/ext-02".into(),
            state: "recording".into(),
            hour_kbps: 4_801,
            day_kbps: 4_000,
            expected_kbps: 4_000,
            ..v1::Camera::default()
        };
        let expected =
            Camera { camera: "east/ext-03".into(), hour_kbps: 4_800, ..heavy.clone().into() };
        let sites = [site(), away, adrift, full, ending, busy];
        let cameras = [silent.into(), heavy.into(), expected];
        let findings = health(&sites, &cameras, &[], WallTime(0));
        let problems: Vec<_> = findings.iter().map(|finding| finding.problem.as_str()).collect();
        assert_eq!(problems.len(), 10);
        assert!(problems.contains(&"mask-overload"));
        for due in [
            "site-not-connected",
            "clock-not-kept",
            "retention-at-risk",
            "over-ceiling",
            "late-erased",
            "bitrate-above-expected",
            "certificate-ends-soon",
            "camera-not-recording",
        ] {
            assert!(problems.contains(&due), "{due}");
        }
        assert_eq!(problems.last(), Some(&"ok"));
    }

    #[test]
    fn a_camera_that_records_and_wants_seeing_to_is_named() {
        let camera = v1::Camera {
            camera: "east/ext-01".into(),
            state: "recording".into(),
            detail: "a key frame only each 10.0 s: set its key frame interval (GOP) to 2 s".into(),
            gop_ms: Some(10_000),
            drift_ppm: Some(-11),
            ..v1::Camera::default()
        };
        let camera = Camera::from(camera);
        let cells = camera.cells();
        let cell = |head: &str| &cells[Camera::HEAD.iter().position(|name| *name == head).unwrap()];
        assert_eq!([cell("gop ms"), cell("lost"), cell("drift ppm")], ["10000", "0", "-11"]);
        let found = health(&[site()], &[camera], &[], WallTime(0));
        assert_eq!((found[0].ok, found[0].problem.as_str()), (false, "camera-needs-care"));
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
        assert_eq!(problems, expected.map(|problem| (false, problem.to_owned())));
    }
}
