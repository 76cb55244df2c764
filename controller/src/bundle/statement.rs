//! The draft of an exhibit statement: the facts from the signed records, and blanks for what only
//! the person who signs can say. Pure.
//!
//! The form is that of section 9 of the Criminal Justice Act 1967. It is a draft: nothing in it is
//! said by anyone until a person has checked it, completed it and signed it.

use std::fmt::{self, Write as _};

use super::Order;
use super::facts::Facts;
use super::local::{self, Local};

/// `data/report/statement-draft.txt`.
pub(super) fn draft(order: &Order<'_>, facts: &[Facts<'_>], unsigned_views: &[String]) -> String {
    let mut out = String::new();
    let _written = write(&mut out, order, facts, unsigned_views);
    out
}

fn write(
    out: &mut String,
    order: &Order<'_>,
    facts: &[Facts<'_>],
    unsigned_views: &[String],
) -> fmt::Result {
    let (exhibit, local) = (order.exhibit, Local::new());
    let both = |wall| format!("{} ({})", local::utc(wall), local.text(wall));
    out.push_str(HEAD);
    writeln!(
        out,
        "1. I am employed by ______________________ as ______________________. My duties"
    )?;
    writeln!(out, "   include ______________________________________________________________.\n")?;
    writeln!(out, "2. I produce as exhibit {exhibit} a folder of files that was made by the")?;
    writeln!(out, "   evidence system Watchhouse on {},", both(order.now))?;
    writeln!(out, "   for case {}. The request, its reason and its approval are in", order.case)?;
    writeln!(out, "   data/request.json; every step that followed is in data/custody.\n")?;
    writeln!(out, "3. Footage was asked for from {}", both(order.span.from))?;
    writeln!(out, "                         to {}.\n", both(order.span.to))?;
    for (number, facts) in (4..).zip(facts) {
        camera(out, number, order, facts, &local)?;
    }
    let next = 4 + facts.len();
    writeln!(
        out,
        "{next}. The master footage is in data/master, as the recorder stored it. The files in"
    )?;
    writeln!(
        out,
        "   data/view are playable copies: the same coded pictures in another container,"
    )?;
    writeln!(out, "   with date and time as a subtitle. Working copies are made from either; the")?;
    writeln!(out, "   exhibit is this folder.")?;
    for why in unsigned_views {
        writeln!(out, "   {why}")?;
    }
    writeln!(
        out,
        "\n{}. The records in data/proof are signed by the recorder of each site and stand in",
        next + 1
    )?;
    writeln!(
        out,
        "   its log, which other sites witness. I checked the exhibit on ______________ with"
    )?;
    writeln!(
        out,
        "   ______________________________; the result was ______________________________.\n"
    )?;
    writeln!(
        out,
        "{}. From ______________ until ______________ the exhibit was kept by me at",
        next + 2
    )?;
    writeln!(
        out,
        "   ______________________________________________________________________, and I"
    )?;
    writeln!(out, "   handed it to ______________________ on ______________.\n")?;
    out.push_str(FOOT);
    Ok(())
}

fn camera(
    out: &mut String,
    number: usize,
    order: &Order<'_>,
    facts: &Facts<'_>,
    local: &Local,
) -> fmt::Result {
    let both = |wall| format!("{} ({})", local::utc(wall), local.text(wall));
    let coverage = facts.coverage(order.span);
    writeln!(out, "{number}. Camera {}, site {}:", facts.camera, facts.camera.site())?;
    match facts.recorded() {
        None => writeln!(out, "   - there is no footage")?,
        Some((from, to)) => {
            writeln!(out, "   - footage from {}", both(from))?;
            writeln!(out, "               to {}", both(to))?;
        }
    }
    writeln!(out, "   - {:.2} % of the asked interval is footage", coverage.per_cent())?;
    for (gap, why) in &coverage.explained {
        writeln!(out, "   - no footage from {} to {}:", local::utc(gap.from), local::utc(gap.to))?;
        writeln!(out, "     the recorder's signed reason is {}", why.as_str())?;
    }
    for hole in &coverage.unexplained {
        writeln!(
            out,
            "   - no footage from {} to {}:",
            local::utc(hole.from),
            local::utc(hole.to)
        )?;
        writeln!(out, "     no record says why")?;
    }
    let accuracy = facts.accuracy();
    let kept = if accuracy.disciplined { "was kept" } else { "was not always kept" };
    writeln!(out, "   - the recorder's clock {kept} by a time service; at worst it was measured")?;
    writeln!(
        out,
        "     {} ms off, with an error of at most {} ms",
        milliseconds(accuracy.offset_us),
        milliseconds(accuracy.uncertainty_us)
    )?;
    let texts = facts.streams().into_iter().chain(facts.masks()).chain(facts.recorders());
    for text in texts {
        writeln!(out, "   - {text}")?;
    }
    out.push('\n');
    Ok(())
}

fn milliseconds(micros: i64) -> String {
    format!("{}.{:03}", micros / 1000, micros.rem_euclid(1000))
}

const HEAD: &str = "\
DRAFT. Not a statement until a person has checked every line, filled in the blanks and signed.

WITNESS STATEMENT
Criminal Procedure Rules, r. 16.2; Criminal Justice Act 1967, s. 9

Statement of: ______________________________   Age if under 18: ____________
Occupation:   ______________________________

This statement (consisting of ____ page(s) each signed by me) is true to the best of my knowledge
and belief and I make it knowing that, if it is tendered in evidence, I shall be liable to
prosecution if I have wilfully stated in it anything which I know to be false, or do not believe to
be true.

Signature: ______________________________   Date: ____________________


";

const FOOT: &str = "

Signature: ______________________________   Signature witnessed by: ______________________________
";
