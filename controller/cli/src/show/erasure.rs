//! Erasure orders.

use custody::WallTime;
use proto::v1;
use serde::Serialize;

use super::{Row, or_dash, text, time, time_text};

/// An order to erase footage before its time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Erasure {
    /// `E-2026-000001`.
    pub order: String,
    /// `ordered`, `approved`, `refused`, `erased`.
    pub state: String,
    /// SITE/CAMERA.
    pub camera: String,
    /// From.
    pub from: Option<WallTime>,
    /// To.
    pub to: Option<WallTime>,
    /// Why.
    pub reason: String,
    /// By whom.
    pub ordered_by: Option<String>,
    /// When.
    pub ordered: Option<WallTime>,
    /// Who approved or refused.
    pub decided_by: Option<String>,
    /// When.
    pub decided: Option<WallTime>,
    /// Why.
    pub decision_reason: Option<String>,
    /// When the site had erased it, keys and all.
    pub erased: Option<WallTime>,
    /// Segments erased in the interval.
    pub segments: u32,
    /// What it waits for, or why it was refused.
    pub detail: Option<String>,
}

impl From<v1::Erasure> for Erasure {
    fn from(erasure: v1::Erasure) -> Self {
        Self {
            order: erasure.order,
            state: erasure.state,
            camera: erasure.camera,
            from: time(erasure.from_us),
            to: time(erasure.to_us),
            reason: erasure.reason,
            ordered_by: text(erasure.ordered_by),
            ordered: time(erasure.ordered_us),
            decided_by: text(erasure.decided_by),
            decided: time(erasure.decided_us),
            decision_reason: text(erasure.decision_reason),
            erased: time(erasure.erased_us),
            segments: erasure.segments,
            detail: text(erasure.detail),
        }
    }
}

impl Row for Erasure {
    const HEAD: &'static [&'static str] =
        &["order", "state", "camera", "from", "to", "ordered by", "decided by", "detail"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.order.clone(),
            self.state.clone(),
            self.camera.clone(),
            time_text(self.from),
            time_text(self.to),
            or_dash(self.ordered_by.as_ref()),
            or_dash(self.decided_by.as_ref()),
            or_dash(self.detail.as_ref()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_have_as_many_cells_as_their_head_and_json_names_are_these() {
        let erasure: Erasure =
            v1::Erasure { state: "ordered".into(), ..v1::Erasure::default() }.into();
        assert_eq!(erasure.cells().len(), Erasure::HEAD.len());
        let json = serde_json::to_value(&erasure).unwrap();
        let names: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "camera",
                "decided",
                "decided_by",
                "decision_reason",
                "detail",
                "erased",
                "from",
                "order",
                "ordered",
                "ordered_by",
                "reason",
                "segments",
                "state",
                "to",
            ]
        );
        assert!(json["decided_by"].is_null());
    }
}
