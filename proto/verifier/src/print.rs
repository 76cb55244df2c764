//! The report for a person: what is proved, what is not, and the verdict in one word at the end.

use std::fmt::{self, Write as _};

use custody::manifest::Mask;
use custody::{ClockSource, WallTime};

use crate::json::usage_text;
use crate::report::{CameraReport, LogReport, Report, SiteReport, printable};

/// The report as text. Lines are at most about 100 characters.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    write_report(&mut out, report).expect("a String takes what is written");
    out
}

fn write_report(out: &mut String, report: &Report) -> fmt::Result {
    match (&report.case, report.asked) {
        _ if report.clip.is_some() => write_clip(out, report)?,
        (Some(case), Some(asked)) => {
            let exhibit = report.exhibit.as_deref().unwrap_or("none");
            writeln!(out, "Case         {case}, exhibit {:.80}", printable(exhibit))?;
            writeln!(out, "Interval     {} to {}", time(asked.from), time(asked.to))?;
            if let Some(made) = report.made {
                writeln!(out, "Bundle made  {}", time(made))?;
            }
        }
        _ => writeln!(out, "Case         unknown: no valid statement about the whole bundle")?,
    }
    if let Some(authority) = report.authority {
        writeln!(out, "Key          {authority}")?;
        writeln!(out, "             is the key you gave; compare it with the published one")?;
    }
    let (policy, statements) = (report.own_policy, report.own_statements);
    writeln!(out, "Witnesses    by {}", if policy { "your policy" } else { BUNDLE_POLICY })?;
    writeln!(out, "Revocations  {}", if statements { OWN_STATEMENTS } else { BUNDLE_STATEMENTS })?;
    if report.clip.is_none() {
        writeln!(out, "Files        {} compared, {} bytes", report.files, report.bytes)?;
    }
    for camera in &report.cameras {
        writeln!(out)?;
        write_camera(out, camera)?;
    }
    for site in &report.sites {
        writeln!(out)?;
        write_site(out, site)?;
    }
    if let Some(custody) = &report.custody {
        writeln!(out, "\nCustody      {} lines in the controller's log", custody.proved)?;
        write_log(out, custody)?;
    }
    writeln!(out)?;
    write_verdict(out, report)
}

fn write_clip(out: &mut String, report: &Report) -> fmt::Result {
    let Some(clip) = &report.clip else { return Ok(()) };
    writeln!(out, "Clip         {} segment {}", clip.camera, clip.seq)?;
    let (first, count, of) = (clip.first, clip.fragments, clip.of);
    writeln!(out, "Fragments    {count} from number {first} on, of {of} (from 0)")?;
    match report.asked {
        Some(span) => writeln!(out, "Interval     {} to {}", time(span.from), time(span.to)),
        None => Ok(()),
    }
}

const BUNDLE_POLICY: &str = "the bundle's own policy; give --policy to judge by one that you chose";
const OWN_STATEMENTS: &str = "those of the bundle and those that you gave";
const BUNDLE_STATEMENTS: &str =
    "those of the bundle; give --statements with the newest published ones";

fn write_verdict(out: &mut String, report: &Report) -> fmt::Result {
    if report.verified() && report.clip.is_some() {
        return writeln!(
            out,
            "VERIFIED: every picture of the clip is as it was recorded and logged."
        );
    }
    if report.verified() {
        return writeln!(
            out,
            "VERIFIED: every byte of the payload is as it was recorded, logged and bundled."
        );
    }
    for refusal in &report.refusals {
        writeln!(out, "  {:<26} {}", refusal.code().as_str(), refusal.what())?;
    }
    if report.refusals_left_out > 0 {
        writeln!(out, "  and {} more", report.refusals_left_out)?;
    }
    let codes: Vec<_> = report.codes().iter().map(|code| code.as_str()).collect();
    writeln!(out, "REFUSED: {}", codes.join(", "))
}

fn write_camera(out: &mut String, camera: &CameraReport) -> fmt::Result {
    writeln!(out, "Camera       {}", camera.camera)?;
    writeln!(
        out,
        "  Footage    {:.2} % of the interval; {} segments, {} fragments, {} frames",
        camera.coverage.per_cent(),
        camera.segments,
        camera.fragments,
        camera.frames
    )?;
    if let Some(span) = camera.recorded {
        writeln!(out, "  Records    {} to {}", time(span.from), time(span.to))?;
    }
    let (not_before, not_after) = camera.made_within();
    writeln!(
        out,
        "  Made       not before {}, not after {} (by others' clocks)",
        not_before.map_or_else(|| "unknown".into(), time),
        not_after.map_or_else(|| "unknown".into(), time)
    )?;
    for (span, reason) in &camera.coverage.explained {
        let reason = reason.as_str();
        writeln!(out, "  Gap        {} to {}: {reason}", time(span.from), time(span.to))?;
    }
    for span in &camera.coverage.unexplained {
        writeln!(out, "  NOT PROVED {} to {}", time(span.from), time(span.to))?;
    }
    for stream in &camera.streams {
        let exact = if camera.byte_exact { "as the camera sent it" } else { "encoded anew" };
        writeln!(out, "  Stream     {:.60}, {exact}", printable(stream))?;
    }
    for mask in &camera.masks {
        writeln!(out, "  Mask       {}", mask_text(mask))?;
    }
    let sources: Vec<_> = camera.clock_sources.iter().map(|s| source_text(*s)).collect();
    if let Some((min, max)) = camera.clock_uncertainty_us {
        writeln!(
            out,
            "  Clock      {}; error at most {} to {} ms",
            sources.join(", "),
            millis(min),
            millis(max)
        )?;
    }
    write_log(out, &camera.log)?;
    writeln!(out, "  Analytics  none: no face or number plate was matched")
}

fn write_log(out: &mut String, log: &LogReport) -> fmt::Result {
    for name in &log.logs {
        writeln!(out, "  Log        {:.80}", printable(name))?;
    }
    writeln!(out, "  Proved     {} records stand in the log, {} do not", log.proved, log.unproved)?;
    let quorum = if log.quorum_met() { "met for each" } else { "NOT MET for each" };
    writeln!(out, "  Quorum     {quorum}: {} of {}", log.witnessed, log.proved + log.unproved)?;
    for (name, count) in &log.witnesses {
        writeln!(out, "    witness  {:.80}: {count}", printable(name))?;
    }
    match log.latest_us {
        Some(late) => writeln!(out, "  Latest     {} ms after the end of a record", millis(late)),
        None => Ok(()),
    }
}

fn write_site(out: &mut String, site: &SiteReport) -> fmt::Result {
    writeln!(out, "Site         {}", site.site)?;
    for key in &site.keys {
        write!(out, "  Key        {:.16} {:<8}", printable(&key.key_id.0), usage_text(key.usage))?;
        write!(out, " from {}", time(key.not_before))?;
        if let Some(not_after) = key.not_after {
            write!(out, " to {}", time(not_after))?;
        }
        writeln!(out)?;
        if let Some((at, size)) = key.revoked {
            writeln!(out, "             REVOKED {}; believed below entry {size}", time(at))?;
        }
    }
    for stamp in &site.stamps {
        writeln!(out, "  Stamped    {} entries at {}", stamp.size, time(stamp.at))?;
        writeln!(out, "             the token's signature is not checked here:")?;
        writeln!(
            out,
            "             openssl ts -verify -data {0}.note -in {0}.tsr -CAfile TSA-CA.pem",
            stamp.size
        )?;
    }
    Ok(())
}

fn mask_text(mask: &Mask) -> String {
    match mask {
        Mask::NotRequired { approved_by } => {
            format!("not required, approved by {}", printable(&format!("{approved_by:.60}")))
        }
        Mask::Burned { policy_id, revision, approved_by, .. } => {
            let text =
                format!("{policy_id:.60} revision {revision}, approved by {approved_by:.60}");
            format!("burned into the picture: {}", printable(&text))
        }
    }
}

fn source_text(source: ClockSource) -> &'static str {
    match source {
        ClockSource::Disciplined => "kept by a time service",
        ClockSource::Undisciplined => "NOT kept by a time service",
        ClockSource::Simulated => "SIMULATED (a test)",
    }
}

/// Milliseconds with three decimals.
fn millis(micros: i64) -> String {
    let whole = micros.unsigned_abs();
    format!("{}{}.{:03}", if micros < 0 { "-" } else { "" }, whole / 1_000, whole % 1_000)
}

/// UTC to the millisecond.
fn time(at: WallTime) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..23).unwrap_or(&text))
}
