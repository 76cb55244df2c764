//! Cases and holds.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, size_text, text, time, time_text};

/// A case.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// `WH-2026-000001`.
    pub case: String,
    /// `requested`, `refused`, `approved`, `held`, `pulling`, `bundled`, `failed`.
    pub state: String,
    /// SITE/CAMERA.
    pub cameras: Vec<String>,
    /// From.
    pub from: Option<WallTime>,
    /// To.
    pub to: Option<WallTime>,
    /// The lawful purpose.
    pub purpose: String,
    /// Why it was asked for.
    pub reason: String,
    /// The crime or incident.
    pub crime_reference: Option<String>,
    /// By whom.
    pub requested_by: String,
    /// When.
    pub requested: Option<WallTime>,
    /// Who approved or refused.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<WallTime>,
    /// Why.
    pub decision_reason: Option<String>,
    /// When the bundle was made.
    pub bundled: Option<WallTime>,
    /// Its bytes.
    pub bundle_bytes: u64,
    /// `verified`, or a refusal's code.
    pub verdict: Option<String>,
    /// Footage in per cent of what was asked; null until it is bundled.
    pub coverage_per_cent: Option<f64>,
    /// Bytes that have come from the sites.
    pub bytes_pulled: u64,
    /// Of so many.
    pub bytes_to_pull: u64,
    /// What the case waits for, or why it failed.
    pub detail: Option<String>,
}

impl From<v1::Case> for Case {
    fn from(case: v1::Case) -> Self {
        Self {
            case: case.case_ref,
            cameras: case.cameras,
            from: time(case.from_us),
            to: time(case.to_us),
            purpose: case.purpose,
            reason: case.reason,
            crime_reference: text(case.crime_reference),
            requested_by: case.requested_by,
            requested: time(case.requested_us),
            decided_by: text(case.decided_by),
            decided: time(case.decided_us),
            decision_reason: text(case.decision_reason),
            bundled: time(case.bundled_us),
            bundle_bytes: case.bundle_bytes,
            coverage_per_cent: (case.state == "bundled").then_some(case.coverage_per_cent),
            verdict: text(case.verdict),
            bytes_pulled: case.bytes_pulled,
            bytes_to_pull: case.bytes_to_pull,
            detail: text(case.detail),
            state: case.state,
        }
    }
}

impl Row for Case {
    const HEAD: &'static [&'static str] =
        &["case", "state", "cameras", "from", "to", "purpose", "by", "bundle", "verdict"];

    fn cells(&self) -> Vec<String> {
        let bundle = self.bundled.map_or_else(|| "-".into(), |_| size_text(self.bundle_bytes));
        vec![
            self.case.clone(),
            self.state.clone(),
            self.cameras.join(" "),
            time_text(self.from),
            time_text(self.to),
            self.purpose.clone(),
            self.requested_by.clone(),
            bundle,
            or_dash(self.verdict.as_ref()),
        ]
    }
}

impl Case {
    /// The case field by field, for a person; empty fields are left out.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let or_empty = |value: &Option<String>| value.clone().unwrap_or_default();
        let by = |who: &str, at: Option<WallTime>| format!("{who}, {}", time_text(at));
        let decided = self.decided_by.as_ref().map(|who| by(who, self.decided));
        let bundled = self
            .bundled
            .map(|at| format!("{}, {}", time_text(Some(at)), size_text(self.bundle_bytes)));
        let covered = self.coverage_per_cent.map(|part| format!("{part:.2} %"));
        vec![
            ("case", self.case.clone()),
            ("state", self.state.clone()),
            ("detail", or_empty(&self.detail)),
            ("cameras", self.cameras.join(" ")),
            ("interval", format!("{} to {}", time_text(self.from), time_text(self.to))),
            ("purpose", self.purpose.clone()),
            ("reason", self.reason.clone()),
            ("crime reference", or_empty(&self.crime_reference)),
            ("requested", by(&self.requested_by, self.requested)),
            ("decided", decided.unwrap_or_default()),
            ("decision reason", or_empty(&self.decision_reason)),
            ("bundled", bundled.unwrap_or_default()),
            ("verdict", or_empty(&self.verdict)),
            ("footage", covered.unwrap_or_default()),
        ]
    }

    /// Whether nothing more will happen by itself.
    #[must_use]
    pub fn is_over(&self) -> bool {
        ["bundled", "refused", "failed"].contains(&self.state.as_str())
    }
}

/// A hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hold {
    /// Its name.
    pub hold: String,
    /// The case it belongs to.
    pub case: Option<String>,
    /// SITE/CAMERA.
    pub camera: String,
    /// From.
    pub from: Option<WallTime>,
    /// To.
    pub to: Option<WallTime>,
    /// `ordered`, `placed`, `release-ordered`, `released`.
    pub state: String,
    /// By whom.
    pub ordered_by: String,
    /// When.
    pub ordered: Option<WallTime>,
    /// The lawful purpose.
    pub purpose: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The order that it came with.
    pub order: Option<String>,
    /// The law that it rests on.
    pub basis: Option<String>,
    /// Its MoPI group; 0: none was given.
    pub mopi_group: u32,
    /// When a person must look at it again.
    pub review: Option<WallTime>,
    /// Whether that is over.
    pub due: bool,
    /// Segments held when it was placed.
    pub segments: u32,
    /// Segments of the interval that were erased by then.
    pub erased: u32,
    /// Segments in the controller's vault.
    pub copied: u32,
    /// Of so many.
    pub to_copy: u32,
    /// The other site that keeps a copy as well, or is to.
    pub also_at: Option<String>,
    /// Segments that are there.
    pub also_copied: u32,
    /// Of so many.
    pub also_to_copy: u32,
    /// Not placed yet: when its oldest footage is erased.
    pub expires: Option<WallTime>,
    /// What a person should know.
    pub detail: Option<String>,
}

impl From<v1::Hold> for Hold {
    fn from(hold: v1::Hold) -> Self {
        Self {
            hold: hold.hold,
            case: text(hold.case_ref),
            camera: hold.camera,
            from: time(hold.from_us),
            to: time(hold.to_us),
            state: hold.state,
            ordered_by: hold.ordered_by,
            ordered: time(hold.ordered_us),
            purpose: text(hold.purpose),
            reason: text(hold.reason),
            order: text(hold.order),
            basis: text(hold.basis),
            mopi_group: hold.mopi_group,
            review: time(hold.review_us),
            due: hold.is_due,
            segments: hold.segments,
            erased: hold.erased,
            copied: hold.copied,
            to_copy: hold.to_copy,
            also_at: text(hold.also_at),
            also_copied: hold.also_copied,
            also_to_copy: hold.also_to_copy,
            expires: time(hold.expires_us),
            detail: text(hold.detail),
        }
    }
}

impl Row for Hold {
    const HEAD: &'static [&'static str] = &[
        "hold", "case", "camera", "from", "to", "state", "grounds", "review", "copied", "also at",
        "by", "reason", "detail",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.hold.clone(),
            or_dash(self.case.as_ref()),
            self.camera.clone(),
            time_text(self.from),
            time_text(self.to),
            self.state.clone(),
            self.grounds_text(),
            self.review_text(),
            format!("{} of {}", self.copied, self.to_copy),
            self.also_at_text(),
            self.ordered_by.clone(),
            or_dash(self.reason.as_ref()),
            self.detail.clone().unwrap_or_default(),
        ]
    }
}

impl Hold {
    fn grounds_text(&self) -> String {
        self.basis.as_ref().map_or_else(|| "-".into(), |it| format!("{it} {}", self.mopi_group))
    }

    /// The other site, and how far its copy has come.
    fn also_at_text(&self) -> String {
        let Some(site) = &self.also_at else { return "-".into() };
        format!("{site} {} of {}", self.also_copied, self.also_to_copy)
    }

    /// The day, and whether it is over.
    fn review_text(&self) -> String {
        let Some(review) = self.review else { return "-".into() };
        let text = review.to_string();
        let day = text.get(..10).unwrap_or(&text);
        if self.due { format!("{day} DUE") } else { day.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(state: &str) -> Case {
        v1::Case {
            case_ref: "WH-2026-000001".into(),
            state: state.into(),
            cameras: vec!["east/ext-01".into()],
            from_us: 1_795_269_600_000_000,
            ..v1::Case::default()
        }
        .into()
    }

    #[test]
    fn json_names_are_these() {
        let json = serde_json::to_value(case("requested")).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "bundle_bytes",
                "bundled",
                "bytes_pulled",
                "bytes_to_pull",
                "cameras",
                "case",
                "coverage_per_cent",
                "crime_reference",
                "decided",
                "decided_by",
                "decision_reason",
                "detail",
                "from",
                "purpose",
                "reason",
                "requested",
                "requested_by",
                "state",
                "to",
                "verdict",
            ]
        );
        assert_eq!(json["from"], "2026-11-21T14:00:00.000000Z");
        assert!(json["bundled"].is_null() && json["coverage_per_cent"].is_null());
    }

    #[test]
    fn a_case_is_over_when_nothing_more_happens() {
        for (state, over) in [
            ("requested", false),
            ("pulling", false),
            ("bundled", true),
            ("refused", true),
            ("failed", true),
        ] {
            assert_eq!(case(state).is_over(), over, "{state}");
        }
    }

    #[test]
    fn rows_have_as_many_cells_as_their_head() {
        assert_eq!(case("held").cells().len(), Case::HEAD.len());
        let hold: Hold = v1::Hold::default().into();
        assert_eq!(hold.cells().len(), Hold::HEAD.len());
    }
}
