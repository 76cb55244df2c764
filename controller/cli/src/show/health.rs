//! What is wrong with sites, cameras, logs and holds: problems first, each with what to do next.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::estate::{Camera, Site, unit_of};
use super::{Row, time_text};

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// Times in evidence may be off by at most this.
const CLOCK_UNCERTAINTY_US_MAX: i64 = 1_000_000;

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
    let is_told = |code: &str| site.alarms.iter().any(|alarm| alarm.code == code);
    found.extend(disc_problems(site, now).into_iter().filter(|(problem, _)| !is_told(problem)));
    let mut add = |problem: &str, detail: String| found.push((problem.to_owned(), detail));
    let most = site
        .masked_cameras_max
        .filter(|most| *most < site.masked_cameras && !is_told("mask-overload"));
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

/// What the figures say of the discs. The site's own alarm of the same code says it in more words, and
/// stands instead.
fn disc_problems(site: &Site, now: WallTime) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |problem: &str, detail: String| found.push((problem.to_owned(), detail));
    if site.damaged_segments > 0 {
        let detail = format!(
            "{} stored segment(s) are not what was signed. What is held comes back from the vault by \
             itself; look at the recorder's disc (smartctl) and replace it if there are more tomorrow",
            site.damaged_segments
        );
        add("footage-damaged", detail);
    }
    if let Some(why) = site.second_away() {
        let detail = format!(
            "the second disc: {why}. Older footage cannot be had and none is moved until it is back; \
             recording goes on"
        );
        add("second-tier-away", detail);
    }
    if let Some(since) = scrub_late_since(site, now) {
        let detail = format!(
            "stored footage should be read again every {}, and this reading has gone on since {}: see \
             `damaged` and the alarms of this site first; then look whether the disc is slow, raise \
             bytes_per_second_max under [scrub] in its settings, or lengthen pass",
            duration_text(site.scrub_pass_s),
            time_text(Some(since))
        );
        add("scrub-behind", detail);
    }
    found
}

/// Since when footage should have been read again, if that is twice the time it may take, and an hour
/// at least: a busy disc may be late.
fn scrub_late_since(site: &Site, now: WallTime) -> Option<WallTime> {
    if site.scrub_pass_s == 0 {
        return None;
    }
    let most_s = i64::try_from(site.scrub_pass_s).unwrap_or(i64::MAX).saturating_mul(2).max(3_600);
    let since = site.scrub_begun.or(site.scrubbed_until)?;
    (now.micros_since(since) / 1_000_000 > most_s).then_some(since)
}

/// `15 d`, `12 h`, `90 s`.
fn duration_text(seconds: u64) -> String {
    let (per, unit) = unit_of([seconds]);
    format!("{} {unit}", seconds / per)
}

#[cfg(test)]
mod tests {
    use super::super::estate::Alarm;
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
    fn rot_an_absent_disc_and_a_late_scrub_say_what_to_do() {
        const HOUR_S: i64 = 3_600;
        let now = WallTime(1_000 * MICROS_PER_DAY);
        let told = |site: Site| -> Vec<(String, String)> {
            let found = health(&[site], &[], &[], now);
            found.into_iter().map(|it| (it.problem, it.detail)).collect()
        };
        let ago = |seconds: i64| Some(now.plus_seconds(-seconds));
        let sound = Site {
            second_state: Some("here".into()),
            second_free_bytes: 1_200_000_000_000,
            scrub_pass_s: 15 * 86_400,
            scrub_begun: ago(29 * 24 * HOUR_S),
            ..site()
        };
        assert_eq!(told(sound.clone())[0].0, "ok");
        let never_begun = Site { scrub_begun: None, ..sound.clone() };
        assert_eq!(told(never_begun)[0].0, "ok");
        let off = Site { scrub_pass_s: 0, scrubbed_until: ago(90 * 24 * HOUR_S), ..site() };
        assert_eq!(told(off)[0].0, "ok");
        let busy = Site { scrub_pass_s: 5, scrubbed_until: ago(HOUR_S), ..site() };
        assert_eq!(told(busy)[0].0, "ok", "an hour at least");

        let bad = Site {
            damaged_segments: 3,
            second_state: Some("it is not mounted".into()),
            scrub_begun: ago(31 * 24 * HOUR_S),
            ..sound
        };
        let found = told(bad.clone());
        for (problem, what_to_do) in [
            ("footage-damaged", "look at the recorder's disc"),
            ("second-tier-away", "it is not mounted"),
            ("scrub-behind", "raise bytes_per_second_max"),
        ] {
            let is_so =
                |(name, detail): &(String, String)| name == problem && detail.contains(what_to_do);
            assert_eq!(found.iter().filter(|it| is_so(it)).count(), 1, "{problem}: {found:?}");
        }
        // The site's own words stand instead.
        let alarm = Alarm { code: "footage-damaged".into(), text: "3 of east/ext-01".into() };
        let found = told(Site { alarms: vec![alarm], ..bad.clone() });
        let of: Vec<_> = found.iter().filter(|(it, _)| it == "footage-damaged").collect();
        assert!(of.len() == 1 && of[0].1 == "3 of east/ext-01", "{found:?}");

        let cells = bad.cells();
        let cell = |head: &str| &cells[Site::HEAD.iter().position(|name| *name == head).unwrap()];
        assert_eq!([cell("second disc"), cell("damaged"), cell("read again")], ["AWAY", "3", "-"]);
        let json = serde_json::to_value(&bad).unwrap();
        assert_eq!((&json["damaged_segments"], &json["scrubbed_until"]), (&3.into(), &().into()));
        assert_eq!(json["second_state"], "it is not mounted");
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
