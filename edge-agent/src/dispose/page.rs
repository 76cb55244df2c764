//! The certificate for whoever shreds the disc. Pure.

use std::fmt::Write as _;

use custody::{Digest, SiteId};

use super::{Ask, Seen};

/// One page of plain text. `record` is the digest of the signed record; none while the recorder has not
/// signed it.
#[must_use]
pub fn page(site: &SiteId, ask: &Ask, seen: &Seen, record: Option<Digest>) -> String {
    let mut page = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(page, "  {label:<22} {value}").expect("a String takes every write");
    };
    line("Site", site.as_str());
    line("Disc", &ask.serial);
    line("Volume", seen.volume.as_deref().unwrap_or("not found on it"));
    line("Taken out by", ask.person.as_str());
    line("Read", &format!("{} bytes", seen.bytes_read));
    line("Unreadable", seen.unreadable.as_deref().unwrap_or("nothing"));
    line("Sealed segment files", &seen.sealed_files.to_string());
    line("Sealed footage", &format!("{} bytes", seen.sealed_bytes));
    line(
        "Other bytes",
        &format!("{} (names, heads, signed records, file system)", seen.plain_bytes),
    );
    line("Noise, unattributed", &format!("{} bytes (parts of sealed files)", seen.noise_bytes));
    if let Some(chi) = seen.chi_square() {
        let verdict = if seen.looks_random() { "as noise has it" } else { "NOT as noise has it" };
        line("Chi-square, 255 deg.", &format!("{chi:.1}: {verdict} (a check, not the proof)"));
    }
    let record = record.map_or_else(
        || "waits for the recorder: it signs when it runs, see disposals/ of its state".to_owned(),
        |digest| digest.to_string(),
    );
    line("Signed record, SHA-256", &record);
    format!(
        "DISPOSAL OF A RECORDER'S DISC\n\n{page}\n{}\n\n\
         Shredded by (company, name): ______________________________________________\n\
         Date and place:              ______________________________________________\n\
         Signature:                   ______________________________________________\n",
        finding(seen)
    )
}

fn finding(seen: &Seen) -> String {
    if let Some(found) = seen.not_sealed() {
        return format!(
            "FINDING: THIS DISC HOLDS MORE THAN SEALED FOOTAGE: {found}.\n\
             It must not leave the room whole: shred it here, under the eyes of the person named above."
        );
    }
    if seen.bytes_read == 0 {
        return "FINDING: the disc could not be read, so nothing is proved of it. The recorder writes \
                footage\nsealed (AES-256-GCM) and its keys to another place; without those keys what is \
                on the disc opens\nfor nobody. Handle it as if it held footage."
            .to_owned();
    }
    let part = if seen.unreadable.is_some() { "What could be read of it" } else { "It" };
    format!(
        "FINDING: {part} holds sealed footage and no key: it opens with the key ring of the site alone,\n\
         and when that footage is 31 days old with nothing. It may be handed over for shredding."
    )
}
