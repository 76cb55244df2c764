//! The report for a person: what is proved, what is not, and the verdict in one word at the end.

use std::fmt::{self, Write as _};

use custody::manifest::Mask;
use custody::{ClockSource, WallTime};

use crate::report::{CameraReport, Report, printable};

/// The report as text. Lines are at most about 100 characters.
#[must_use]
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    write_report(&mut out, report).expect("a String takes what is written");
    out
}

fn write_report(out: &mut String, report: &Report) -> fmt::Result {
    match (&report.case, report.asked) {
        (Some(case), Some(asked)) => {
            writeln!(out, "Case         {case}")?;
            writeln!(out, "Interval     {} to {}", time(asked.from), time(asked.to))?;
            if let Some(made) = report.made {
                writeln!(out, "Bundle made  {}", time(made))?;
            }
        }
        _ => writeln!(out, "Case         unknown: no valid statement about the whole bundle")?,
    }
    writeln!(out, "Files        {} compared, {} bytes", report.files, report.bytes)?;
    for camera in &report.cameras {
        writeln!(out)?;
        write_camera(out, camera)?;
    }
    writeln!(out)?;
    if report.verified() {
        return writeln!(
            out,
            "VERIFIED: every byte of the payload is as it was recorded and bundled."
        );
    }
    let codes: Vec<_> = report.codes().iter().map(|code| code.as_str()).collect();
    for refusal in &report.refusals {
        writeln!(out, "  {:<26} {}", refusal.code().as_str(), refusal.what())?;
    }
    if report.refusals_left_out > 0 {
        writeln!(out, "  and {} more", report.refusals_left_out)?;
    }
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
    for (span, reason) in &camera.coverage.explained {
        writeln!(
            out,
            "  Gap        {} to {}: {}",
            time(span.from),
            time(span.to),
            reason.as_str()
        )?;
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
    writeln!(out, "  Analytics  none: no face or number plate was matched")
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
