//! The texts beside the payload: BagIt's description, and what a reader without our software needs.

use std::fmt::Write as _;

use custody::bundle;
use custody::record::Record;

use super::Order;

/// For a person who opens the folder.
pub(super) const READ_ME: &str = "READ-ME-FIRST.txt";

/// The tag files that depend on the order and on what the payload came to.
pub(super) fn tag_files(
    order: &Order<'_>,
    files: usize,
    bytes: u64,
) -> Vec<(&'static str, String)> {
    vec![
        (bundle::BAG_INFO, bag_info(order, files, bytes).unwrap_or_default()),
        (READ_ME, read_me(order).unwrap_or_default()),
    ]
}

fn bag_info(order: &Order<'_>, files: usize, bytes: u64) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let cameras: Vec<_> = order.cameras.iter().map(|part| part.camera.to_string()).collect();
    let span = order.span;
    writeln!(out, "Bag-Software-Agent: Watchhouse {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "Bagging-Date: {}", order.now.calendar().date())?;
    writeln!(out, "External-Identifier: {}", order.case)?;
    writeln!(
        out,
        "External-Description: CCTV footage, asked from {} to {}; whole segments that touch it",
        span.from, span.to
    )?;
    for camera in cameras {
        writeln!(out, "Watchhouse-Camera: {camera}")?;
    }
    writeln!(out, "Watchhouse-Authority-Key: {}", order.authority.public().id())?;
    writeln!(out, "Payload-Oxum: {bytes}.{files}")?;
    Ok(out)
}

fn read_me(order: &Order<'_>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(out, "CCTV FOOTAGE, CASE {}\n", order.case)?;
    writeln!(out, "Asked for:  {} to {} (UTC)", order.span.from, order.span.to)?;
    writeln!(out, "Made:       {} (UTC)\n", order.now)?;
    writeln!(out, "TO WATCH, open:\n")?;
    for part in &order.cameras {
        let footage: Vec<_> = part
            .records
            .iter()
            .filter_map(|(_, record)| match record {
                Record::Segment(segment) => Some(segment),
                Record::Other(_) => None,
            })
            .collect();
        match (footage.first(), footage.last()) {
            (Some(first), Some(last)) => {
                writeln!(out, "  {}", bundle::view(&part.camera))?;
                writeln!(out, "      camera {}: {} to {}", part.camera, first.start, last.end)?;
            }
            _ => writeln!(out, "  camera {}: no footage; its records say why", part.camera)?,
        }
    }
    out.push_str(
        "
The copy begins a little before the time asked for and ends a little after it: footage is kept in
pieces of about a minute, and pieces are never cut, so that each can still be proved. Where footage
is missing, the last picture stands still for as long; the signed reason is in the camera's records.
Times are UTC: in summer, clocks in the United Kingdom show one hour more.

TO CHECK THAT NOTHING WAS ALTERED, on any computer, without a network:

  verify THIS-FOLDER --key authority.pub.pem

Get `verify` and `authority.pub.pem` from the force that gave you this folder, by another way than
this folder. It prints what is proved and ends with VERIFIED, or says what is wrong. Without it:

  sha256sum --check --quiet manifest-sha256.txt

finds every altered file, if you compare the digest of manifest-sha256.txt itself with the signed
one in bundle.dsse.json. This text is not signed; believe the check, not the text.

WHAT IS HERE

  data/request.json                  what was asked, why, by whom, and who approved
  data/custody/audit.jsonl           every step of this case, one a line
  data/keys/                         the keys that the signatures need
  data/cameras/SITE/CAMERA/
    view.mp4                         the playable copy; the pictures are not encoded anew
    master/                          the footage as recorded: the evidence itself
    records.dsse.jsonl               the recorder's signed statements: footage, gaps, clock, masks
  bundle.dsse.json                   the signed statement about this whole folder

Work on copies. Do not rename, add or remove files: the check would refuse the folder.
",
    );
    Ok(out)
}
