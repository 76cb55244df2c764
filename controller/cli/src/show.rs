//! Answers as tables for people and as JSON for programs. JSON names are stable and our own: the
//! wire may change beneath them. Times are UTC with `Z`; what has not happened is `null` or `-`.

use std::io::Write as _;

use comfy_table::{ContentArrangement, Table, presets};
use custody::WallTime;
use serde::Serialize;

use crate::args::Output;
use crate::failure::{Failure, printable};

pub mod audit;
pub mod cases;
pub mod erasure;
pub mod estate;
pub mod health;
pub mod logs;

/// Something that is shown as a row of a table or an object of JSON.
pub trait Row: Serialize {
    /// The table's head.
    const HEAD: &'static [&'static str];

    /// The row's cells, as many as the head has.
    fn cells(&self) -> Vec<String>;
}

/// Shows a list.
///
/// # Errors
/// When standard output is closed.
pub fn list<R: Row>(output: Output, rows: &[R]) -> Result<(), Failure> {
    match output {
        Output::Table => print(&table(R::HEAD, rows.iter().map(Row::cells))),
        Output::Json => json(&rows),
    }
}

/// Shows one thing: in a table, a line for each field.
///
/// # Errors
/// When standard output is closed.
pub fn one<T: Serialize>(
    output: Output,
    value: &T,
    fields: &[(&'static str, String)],
) -> Result<(), Failure> {
    match output {
        Output::Table => {
            let cells = |(name, text): &(&str, String)| vec![(*name).to_owned(), text.clone()];
            let shown = fields.iter().filter(|(_, text)| !text.is_empty());
            print(&table(&[], shown.map(cells)))
        }
        Output::Json => json(value),
    }
}

/// Prints one JSON value.
///
/// # Errors
/// When standard output is closed.
pub fn json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Failure::local("cannot write the answer as JSON", &error))?;
    print(&text)
}

/// Prints one JSON value on one line.
///
/// # Errors
/// When standard output is closed.
pub fn json_line<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string(value)
        .map_err(|error| Failure::local("cannot write the answer as JSON", &error))?;
    print(&text)
}

/// Prints a text and ends the line.
///
/// # Errors
/// When standard output is closed.
pub fn print(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}")
        .map_err(|error| Failure::local("cannot write to standard output", &error))
}

/// A table in the terminal's width; on a pipe, as wide as its content. Cells are printable text.
#[must_use]
pub fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !head.is_empty() {
        table.set_header(head.iter().map(|name| name.to_uppercase()));
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| printable(cell)));
    }
    let lines = table.lines().map(|line| line.trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// A time from the wire, where 0 is never.
#[must_use]
pub fn time(micros: i64) -> Option<WallTime> {
    (micros != 0).then_some(WallTime(micros))
}

/// A time for a person: UTC, to the second.
#[must_use]
pub fn time_text(at: Option<WallTime>) -> String {
    at.map_or_else(|| "-".into(), |at| format!("{}Z", at.to_string().get(..19).unwrap_or_default()))
}

/// Bytes for a person: `1.4 GB`, powers of 1000.
#[must_use]
pub fn size_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1_000 {
        return format!("{bytes} B");
    }
    let (mut tenths, mut unit) = (bytes / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1_000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Empty text from the wire is no value.
#[must_use]
pub fn text(value: String) -> Option<String> {
    (!value.is_empty()).then_some(value)
}

/// Text or `-`.
#[must_use]
pub fn or_dash(value: Option<&String>) -> String {
    value.cloned().unwrap_or_else(|| "-".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_of_human_length() {
        for (bytes, expect) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (1_450_000_000, "1.4 GB"),
            (999_999, "999.9 kB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(size_text(bytes), expect);
        }
    }

    #[test]
    fn what_never_happened_has_no_time() {
        assert_eq!(time_text(time(0)), "-");
        assert_eq!(time_text(time(1_795_269_600_500_000)), "2026-11-21T14:00:00Z");
    }

    #[test]
    fn a_table_has_a_head_and_no_foreign_control_characters() {
        let rows = [vec!["east".to_owned(), "a\x1b[2J\nb".to_owned()]];
        let text = table(&["site", "state"], rows.into_iter());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("SITE") && lines[1].contains("east"));
        assert!(!text.contains('\x1b'));
    }
}
