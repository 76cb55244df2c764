//! The texts beside the payload: BagIt's description, and what a reader without our software needs.

use std::fmt::Write as _;

use custody::bundle;
use custody::record::Record;

use super::Order;
use super::local::{self, Local};

/// The profile that every bundle keeps; published in `deploy/bagit-profile.json`.
pub(super) const PROFILE: &str = "https://watchhouse.example/bagit-profile/v1.json";
/// How to check the bundle with sha256sum and openssl.
const VERIFY_TEXT: &str = include_str!("../../../proto/verifier/page/VERIFY.txt");
/// How to check it in a browser.
const VERIFY_PAGE: &str = include_str!("../../../proto/verifier/page/VERIFY.html");

/// The tag files that depend on the order and on what the payload came to.
pub(super) fn tag_files(
    order: &Order<'_>,
    files: usize,
    bytes: u64,
) -> Vec<(&'static str, String)> {
    vec![
        (bundle::BAG_INFO, bag_info(order, files, bytes).unwrap_or_default()),
        (bundle::READ_ME, read_me(order).unwrap_or_default()),
        (bundle::VERIFY_TXT, VERIFY_TEXT.to_owned()),
        (bundle::VERIFY_HTML, VERIFY_PAGE.to_owned()),
    ]
}

fn bag_info(order: &Order<'_>, files: usize, bytes: u64) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let cameras: Vec<_> = order.cameras.iter().map(|part| part.camera.to_string()).collect();
    let span = order.span;
    writeln!(out, "BagIt-Profile-Identifier: {PROFILE}")?;
    writeln!(out, "Bag-Software-Agent: Watchhouse {}", env!("CARGO_PKG_VERSION"))?;
    writeln!(out, "Bagging-Date: {}", order.now.calendar().date())?;
    writeln!(out, "External-Identifier: {}", order.case)?;
    writeln!(
        out,
        "External-Description: CCTV footage, asked from {} to {}; whole segments that touch it",
        span.from, span.to
    )?;
    writeln!(out, "Exhibit-Reference: {}", order.exhibit)?;
    for camera in cameras {
        writeln!(out, "Watchhouse-Camera: {camera}")?;
    }
    writeln!(out, "Watchhouse-Authority-Key: {}", order.authority.public().id())?;
    writeln!(out, "Payload-Oxum: {bytes}.{files}")?;
    Ok(out)
}

fn read_me(order: &Order<'_>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let local = Local::new();
    let both = |wall| format!("{} ({})", local::utc(wall), local.text(wall));
    writeln!(out, "CCTV FOOTAGE, EXHIBIT {}, CASE {}\n", order.exhibit, order.case)?;
    writeln!(out, "Asked for:  {}\n       to:  {}", both(order.span.from), both(order.span.to))?;
    writeln!(out, "Made:       {}\n", both(order.now))?;
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
                writeln!(out, "      camera {}", part.camera)?;
                writeln!(out, "      footage from {}", both(first.start))?;
                writeln!(out, "                to {}", both(last.end))?;
            }
            _ => writeln!(out, "  camera {}: no footage; its records say why", part.camera)?,
        }
    }
    out.push_str(
        "
A copy shows exactly the time asked for, with date and time as a subtitle (switch subtitles on in the
player; VLC shows them by itself). Footage is kept in pieces of about a minute, and pieces are never
cut, so that each can still be proved: the rest of them is in the files and is not shown. (Where a
camera's settings changed on the way, its copy begins up to a minute before the time asked for.) Where
footage is missing, the last picture stands still, and the subtitle says NO FOOTAGE and the signed
reason. The recorder's times are UTC; United Kingdom time stands beside them.

TO CHECK THAT NOTHING WAS ALTERED, on any computer, without a network, one of:

  VERIFY.html   open it in a browser and drop this folder on it
  VERIFY.txt    the same by hand, with sha256sum and openssl
  verify THIS-FOLDER --key authority.pub.pem

Get the key `authority.pub.pem`, and `verify` or a copy of VERIFY.html of your own, by another way
than this folder: whoever could alter the footage could alter what lies beside it. This text is not
signed; believe the check, not the text.

WHAT IS HERE

  data/master/       MASTER COPY: the footage as the recorder stored it. This is the evidence.
                     index.m3u8 plays it in players that know HLS
  data/view/         PLAYABLE COPY: the same coded pictures in one MP4 file per camera, not encoded
                     anew
  data/proof/        the recorder's signed statements about every minute, the keys, and what
                     witnesses and time stamps say of them
  data/custody/      who asked, approved, handled: custody.html for a person, audit.jsonl as it
                     stands in the log, custody.case.jsonld for evidence systems (CASE/UCO)
  data/report/       how much of the time asked for is footage, how good the clocks were, and a
                     draft of an exhibit statement
  data/request.json  what was asked, why, by whom, and who approved
  bundle.dsse.json   the signed statement about this whole folder

WORKING COPIES (cuts, stills, brightened versions) are made from a copy of this folder and kept
outside it. Do not rename, add or remove files here: the check would refuse the folder.
",
    );
    Ok(out)
}
