//! `[[retention]]` of the site's TOML: for how long each class of camera's footage is kept.
//!
//! Footage is erased when its end reaches its class's *ceiling*; before its *floor* only when the disc
//! is full, which is signed and an alarm. Between the two it may go when the disc needs the room. The
//! class `standard` is that of every camera that names none, and of footage whose camera is no longer
//! configured; without a section of its own it keeps for `[recording] retain`.

use host::settings::Section;

use super::RETAIN_MAX_S;

/// The class of every camera that names none.
pub const STANDARD: &str = "standard";
/// More classes than a policy has words for.
const CLASSES_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 32;

/// A class of cameras and how long their footage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Its name: `standard`, `custody`.
    pub name: String,
    /// Kept at least this long, seconds.
    pub floor_s: u64,
    /// Kept at most this long, seconds; at least the floor, at most 31 days.
    pub ceiling_s: u64,
}

/// The classes of a site; [`STANDARD`] is always among them, and first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classes(Vec<Class>);

impl Classes {
    /// The class of this name.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&Class> {
        self.0.iter().find(|class| class.name == name)
    }

    /// The class of cameras that name none.
    #[must_use]
    pub fn standard(&self) -> &Class {
        &self.0[0]
    }

    /// Every class, the standard one first.
    pub fn iter(&self) -> impl Iterator<Item = &Class> {
        self.0.iter()
    }

    fn names(&self) -> String {
        self.0.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ")
    }
}

/// Reads every `[[retention]]`. `retain_s` is `[recording] retain`, if it was given.
pub(super) fn read(top: &mut Section<'_>, retain_s: Option<u64>) -> Classes {
    let retain = retain_s.unwrap_or(RETAIN_MAX_S);
    let mut classes = vec![Class { name: STANDARD.to_owned(), floor_s: retain, ceiling_s: retain }];
    let mut seen: Vec<String> = Vec::new();
    top.sections("retention", |section| {
        let Some(class) = class(section) else { return };
        if seen.contains(&class.name) {
            section.object("class", format!("the class {} stands twice", class.name));
            return;
        }
        seen.push(class.name.clone());
        if class.name != STANDARD {
            classes.push(class);
        } else if retain_s.is_some() {
            let what = "[recording] retain says it already; leave one of the two out";
            section.object("class", what);
        } else {
            classes[0] = class;
        }
    });
    if classes.len() > CLASSES_MAX {
        top.object("retention", format!("more than {CLASSES_MAX} classes; give cameras one alike"));
    }
    Classes(classes)
}

fn class(section: &mut Section<'_>) -> Option<Class> {
    let name: String = section.required("class")?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(letter) {
        let what = format!("must be 1 to {NAME_BYTES_MAX} of a-z, 0-9 and hyphens");
        section.object("class", what);
        return None;
    }
    let ceiling_s = duration(section, "ceiling").unwrap_or(RETAIN_MAX_S);
    let floor_s = duration(section, "floor").unwrap_or(ceiling_s);
    if floor_s > ceiling_s {
        section.object("floor", "must not be longer than the ceiling, at which footage is erased");
        return None;
    }
    Some(Class { name, floor_s, ceiling_s })
}

/// How long footage is kept, in seconds; none if it is not given or wrong.
pub(super) fn duration(section: &mut Section<'_>, key: &str) -> Option<u64> {
    let text: String = section.optional(key)?;
    match duration_s(&text) {
        Some(seconds) if (60..=RETAIN_MAX_S).contains(&seconds) => Some(seconds),
        Some(_) => {
            section.object(key, "must be from 60s to 31d: footage is never kept longer");
            None
        }
        None => {
            section.object(key, "must be a number and a unit: 31d, 12h, 90m, 300s");
            None
        }
    }
}

/// `31d`, `12h`, `90m`, `300s` in seconds.
pub(super) fn duration_s(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_s)
}

/// The class that a camera names, or the standard one.
pub(super) fn of_camera(section: &mut Section<'_>, classes: &Classes) -> Option<Class> {
    let Some(name) = section.optional::<String>("retention") else {
        // Text that is none has been told already.
        return Some(classes.standard().clone());
    };
    let class = classes.of(&name).cloned();
    if class.is_none() {
        let known = classes.names();
        let what = format!("no [[retention]] has the class {name:?}; the classes are {known}");
        section.object("retention", what);
    }
    class
}

#[cfg(test)]
mod tests {
    use super::super::{EXAMPLE, parse};
    use super::*;

    /// The example with these classes, and these lines for its second camera.
    fn with(sections: &str, camera: &str) -> String {
        let named = EXAMPLE.lines().find(|line| line.starts_with("retention = ")).unwrap();
        let text = EXAMPLE.replace("retain = \"31d\"", "").replace(named, camera);
        let own = "[[retention]]\nclass = \"custody\"\nfloor = \"31d\"\nceiling = \"31d\"\n";
        assert!(text.contains(own));
        format!("{}\n{sections}", text.replace(own, ""))
    }

    #[test]
    fn a_camera_keeps_as_its_class_says_and_others_as_the_standard_does() {
        let sections = "[[retention]]\nclass = \"custody\"\nfloor = \"7d\"\nceiling = \"14d\"\n\
                        [[retention]]\nclass = \"standard\"\nfloor = \"30d\"\n\
                        [[retention]]\nclass = \"foyer\"\nceiling = \"12h\"\n";
        let config = parse(&with(sections, "retention = \"custody\"\nexpected_kbps = 6000"))
            .unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let of = |name: &str| {
            let class = config.classes.of(name).unwrap();
            (class.floor_s, class.ceiling_s)
        };
        assert_eq!(of("custody"), (7 * 86_400, 14 * 86_400));
        assert_eq!(of("standard"), (30 * 86_400, RETAIN_MAX_S));
        // A floor that is not given is the ceiling: nothing goes early by not being mentioned.
        assert_eq!(of("foyer"), (12 * 3600, 12 * 3600));
        assert_eq!(config.cameras[0].class, *config.classes.standard());
        assert_eq!(config.cameras[0].expected_kbps, Some(4000));
        assert_eq!(config.cameras[1].class.name, "custody");
        assert_eq!(config.cameras[1].expected_kbps, Some(6000));
    }

    #[test]
    fn mistakes_in_classes_are_told_with_their_lines() {
        let sections = "[[retention]]\nclass = \"custody\"\nfloor = \"14d\"\nceiling = \"7d\"\n\
                        [[retention]]\nclass = \"long\"\nceiling = \"32d\"\n\
                        [[retention]]\nclass = \"Cells\"\n\
                        [[retention]]\nclass = \"foyer\"\nkeep = \"1d\"\n\
                        [[retention]]\nclass = \"foyer\"\n";
        let text = with(sections, "retention = \"cells\"\nexpected_kbps = 0");
        let mistakes = parse(&text).unwrap_err();
        for (line, said) in [
            ("floor = \"14d\"", "retention 1: floor: must not be longer than the ceiling"),
            ("ceiling = \"32d\"", "retention 2: ceiling: must be from 60s to 31d"),
            ("class = \"Cells\"", "retention 3: class: must be 1 to 32 of a-z"),
            ("keep = \"1d\"", "retention 4: keep: unknown key"),
            ("retention = \"cells\"", "camera 2: retention: no [[retention]] has the class"),
            ("expected_kbps = 0", "camera 2: expected_kbps: must be a whole number"),
        ] {
            let at = text.lines().position(|l| l == line).unwrap() + 1;
            let found = mistakes.0.iter().find(|m| m.what.contains(said));
            assert_eq!(found.map(|m| m.line), Some(at), "{said} not in:\n{mistakes}");
        }
        assert!(mistakes.to_string().contains("the class foyer stands twice"), "{mistakes}");
        let both = format!("{EXAMPLE}\n[[retention]]\nclass = \"standard\"\n");
        assert!(parse(&both).unwrap_err().to_string().contains("leave one of the two out"));
    }
}
