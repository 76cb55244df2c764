//! Reads a TOML file and reports every mistake at once, each with its line: missing keys, unknown
//! keys, values of the wrong kind, and whatever else the reader of a section objects to.
//!
//! A program describes its settings by reading them: [`Section`] remembers which keys were asked
//! for, and what remains is unknown.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml_edit::{Document, Item, TableLike, Value};

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub what: String,
}

/// Every mistake of a file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "line {}: {}", mistake.line, mistake.what)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file cannot be read.
    #[error("{path}: cannot be read")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file has mistakes.
    #[error("{path} has {} mistake(s):\n{mistakes}", mistakes.0.len())]
    Mistakes {
        /// Which file.
        path: PathBuf,
        /// All of them.
        mistakes: Mistakes,
    },
}

/// Reads the file at `path` by `parse`. Gives also its bytes, whose digest may stand in records.
///
/// # Errors
/// Every mistake found.
pub fn load<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, Mistakes>,
) -> Result<(T, Vec<u8>), LoadError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| LoadError::File { path: path.to_owned(), source })?;
    let read =
        parse(&text).map_err(|mistakes| LoadError::Mistakes { path: path.to_owned(), mistakes })?;
    Ok((read, text.into_bytes()))
}

/// Reads `text` by `reader`. What the reader gives counts only if there was no mistake.
///
/// # Errors
/// Every mistake found.
pub fn read<T>(
    text: &str,
    reader: impl FnOnce(&mut Section<'_>) -> Option<T>,
) -> Result<T, Mistakes> {
    let document = Document::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Mistakes(vec![Mistake { line: line_of(text, at), what: error.message().to_owned() }])
    })?;
    let mut mistakes = Vec::new();
    let mut section = Section {
        text,
        name: String::new(),
        table: document.as_table(),
        line: 1,
        asked: BTreeSet::new(),
        mistakes: &mut mistakes,
    };
    let read = reader(&mut section);
    section.report_unknown();
    match read {
        Some(read) if mistakes.is_empty() => Ok(read),
        _ => {
            mistakes.sort();
            Err(Mistakes(mistakes))
        }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// One table of the file.
pub struct Section<'a> {
    text: &'a str,
    name: String,
    table: &'a dyn TableLike,
    line: usize,
    asked: BTreeSet<String>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Section<'_> {
    /// The line on which the section begins.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// Notes a mistake at the value of `key`, or at the section if there is none.
    pub fn object(&mut self, key: &str, what: impl fmt::Display) {
        let line = self
            .table
            .get(key)
            .and_then(Item::span)
            .map_or(self.line, |span| line_of(self.text, span.start));
        let what = format!("{}{key}: {what}", self.name);
        self.mistakes.push(Mistake { line, what });
    }

    fn value(&mut self, key: &str) -> Option<&Item> {
        self.asked.insert(key.to_owned());
        self.table.get(key).filter(|item| !item.is_none())
    }

    /// A piece of text that must be there and must read as `T`.
    pub fn required<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<T> {
        if self.value(key).is_none() {
            self.object(key, "missing; it must be given");
            return None;
        }
        self.optional(key)
    }

    /// A piece of text that must read as `T` if it is there.
    pub fn optional<T: FromStr<Err: fmt::Display>>(&mut self, key: &str) -> Option<T> {
        let item = self.value(key)?;
        let Some(text) = item.as_str() else {
            self.object(key, "must be text in quotes");
            return None;
        };
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                let why = error.to_string();
                self.object(key, why);
                None
            }
        }
    }

    /// A whole number within `range`, or `default`.
    pub fn number(&mut self, key: &str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(item) = self.value(key) else { return default };
        match item.as_integer().and_then(|n| u64::try_from(n).ok()) {
            Some(number) if range.contains(&number) => number,
            _ => {
                let what =
                    format!("must be a whole number from {} to {}", range.start(), range.end());
                self.object(key, what);
                default
            }
        }
    }

    /// One of a few words. `default` none: it must be given.
    pub fn choice<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        let given = self.value(key).map(|item| item.as_str().unwrap_or("").to_owned());
        let found = match &given {
            None => default,
            Some(given) => words.iter().find(|(word, _)| word == given).map(|(_, value)| *value),
        };
        if found.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.object(key, format!("must be one of {}", words.join(", ")));
        }
        found
    }

    /// A list of texts; empty when absent.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(item) = self.value(key) else { return Vec::new() };
        let texts: Option<Vec<_>> = item
            .as_array()
            .and_then(|array| array.iter().map(|v| v.as_str().map(str::to_owned)).collect());
        if texts.is_none() {
            self.object(key, "must be a list of texts");
        }
        texts.unwrap_or_default()
    }

    /// A list of lists of points, `[[[x, y], …], …]`; empty when absent or wrong.
    pub fn polygons(&mut self, key: &str) -> Vec<Vec<(f64, f64)>> {
        let Some(item) = self.value(key) else { return Vec::new() };
        let polygons: Option<Vec<Vec<_>>> = item.as_array().and_then(|polygons| {
            polygons.iter().map(|polygon| polygon.as_array()?.iter().map(point).collect()).collect()
        });
        if polygons.is_none() {
            self.object(key, "must be a list of polygons, each a list of [x, y]");
        }
        polygons.unwrap_or_default()
    }

    /// Whether the table holds `key`.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The table `key`; an empty one if it is absent, so that defaults and missing keys are found.
    pub fn section<T>(&mut self, key: &str, reader: impl FnOnce(&mut Section<'_>) -> T) -> T {
        self.asked.insert(key.to_owned());
        let empty = toml_edit::Table::new();
        let item = self.table.get(key);
        let table = match item {
            None => &empty as &dyn TableLike,
            Some(item) => item.as_table_like().unwrap_or_else(|| {
                self.mistakes.push(Mistake {
                    line: item.span().map_or(self.line, |s| line_of(self.text, s.start)),
                    what: format!("{}{key}: must be a table", self.name),
                });
                &empty
            }),
        };
        let line = item.and_then(Item::span).map_or(self.line, |s| line_of(self.text, s.start));
        let name = format!("{}{key}.", self.name);
        read_table(self.text, name, table, line, self.mistakes, reader)
    }

    /// Every table of the array `[[key]]`.
    pub fn sections<T>(
        &mut self,
        key: &str,
        mut reader: impl FnMut(&mut Section<'_>) -> T,
    ) -> Vec<T> {
        self.asked.insert(key.to_owned());
        let Some(item) = self.table.get(key) else { return Vec::new() };
        let Some(tables) = item.as_array_of_tables() else {
            self.object(key, format!("must be written as [[{key}]]"));
            return Vec::new();
        };
        tables
            .iter()
            .enumerate()
            .map(|(index, table)| {
                let line = table.span().map_or(self.line, |s| line_of(self.text, s.start));
                let name = format!("{}{key} {}: ", self.name, index + 1);
                read_table(self.text, name, table, line, self.mistakes, &mut reader)
            })
            .collect()
    }

    fn report_unknown(&mut self) {
        let unknown: Vec<(String, Option<Range<usize>>)> = self
            .table
            .iter()
            .filter(|(key, _)| !self.asked.contains(*key))
            .map(|(key, item)| {
                let span = self.table.get_key_value(key).and_then(|(key, _)| key.span());
                (key.to_owned(), span.or_else(|| item.span()))
            })
            .collect();
        for (key, span) in unknown {
            let known: Vec<_> = self.asked.iter().map(String::as_str).collect();
            self.mistakes.push(Mistake {
                line: span.map_or(self.line, |s| line_of(self.text, s.start)),
                what: format!(
                    "{}{key}: unknown key; known here are {}",
                    self.name,
                    known.join(", ")
                ),
            });
        }
    }
}

fn read_table<T>(
    text: &str,
    name: String,
    table: &dyn TableLike,
    line: usize,
    mistakes: &mut Vec<Mistake>,
    reader: impl FnOnce(&mut Section<'_>) -> T,
) -> T {
    let mut section = Section { text, name, table, line, asked: BTreeSet::new(), mistakes };
    let read = reader(&mut section);
    section.report_unknown();
    read
}

fn point(value: &Value) -> Option<(f64, f64)> {
    let pair = value.as_array()?;
    let number = |at: usize| -> Option<f64> {
        let value = pair.get(at)?;
        value
            .as_float()
            .or_else(|| value.as_integer().and_then(|n| i32::try_from(n).ok()).map(f64::from))
    };
    (pair.len() == 2).then_some((number(0)?, number(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "site = 3\nsgement_s = 60\n[link]\nrate = -1\n[[camera]]\nmask = \"maybe\"\n";
        let mistakes = read(text, |top| {
            let site: Option<String> = top.required("site");
            top.section("link", |link| link.number("rate", 0..=10, 0));
            top.sections("camera", |camera| {
                let _name: Option<String> = camera.required("name");
                camera.choice("mask", &[("required", 1), ("none", 0)], None)
            });
            top.section("controller", |c| c.required::<String>("address"));
            site
        })
        .unwrap_err();
        let found: Vec<_> = mistakes.0.iter().map(|m| (m.line, m.what.as_str())).collect();
        assert_eq!(
            found,
            [
                (1, "controller.address: missing; it must be given"),
                (1, "site: must be text in quotes"),
                (2, "sgement_s: unknown key; known here are camera, controller, link, site"),
                (4, "link.rate: must be a whole number from 0 to 10"),
                (5, "camera 1: name: missing; it must be given"),
                (6, "camera 1: mask: must be one of \"required\", \"none\""),
            ]
        );
    }

    #[test]
    fn a_file_that_is_no_toml_says_where() {
        let mistakes = read("a = 1\nb = \n", |_| Some(())).unwrap_err();
        assert_eq!(mistakes.0[0].line, 2);
    }

    #[test]
    fn polygons_are_lists_of_points() {
        let read = read("z = [[[0, 0.5], [1, 1], [0.25, 0]]]", |top| Some(top.polygons("z")));
        assert_eq!(read.unwrap(), [[(0.0, 0.5), (1.0, 1.0), (0.25, 0.0)]]);
    }
}
