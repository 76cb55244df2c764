//! The two reports of a bundle: how much of the asked interval there is, and how good the time is.
//! Pure. They say what the signed records say; the verifier computes the same from the records.

use custody::coverage::Span;
use custody::{Clock, WallTime};
use serde_json::{Value, json};

use super::Order;
use super::facts::Facts;

/// `data/report/coverage.json`.
pub(super) fn coverage(order: &Order<'_>, facts: &[Facts<'_>]) -> Vec<u8> {
    let camera = |facts: &Facts<'_>| {
        let coverage = facts.coverage(order.span);
        let spans = |span: &Span| json!({ "from": span.from, "to": span.to });
        let gaps = facts.gaps.iter().map(|gap| {
            json!({
                "from": gap.start, "to": gap.end, "reason": gap.reason.as_str(),
                "detail": gap.detail, "seq": gap.seq,
            })
        });
        let recorded = facts.recorded().map(|(from, to)| json!({ "from": from, "to": to }));
        json!({
            "camera": facts.camera,
            "asked_us": coverage.asked.micros(),
            "footage_us": coverage.footage_us,
            "footage_per_cent": coverage.per_cent(),
            "recorded": recorded,
            "segments": facts.segments.len(),
            "gaps": gaps.collect::<Vec<_>>(),
            "unexplained": coverage.unexplained.iter().map(spans).collect::<Vec<_>>(),
        })
    };
    let report = json!({
        "format": "watchhouse-coverage/v1",
        "exhibit": order.exhibit,
        "case": order.case,
        "asked": { "from": order.span.from, "to": order.span.to },
        "cameras": facts.iter().map(camera).collect::<Vec<_>>(),
    });
    pretty(&report)
}

/// `data/report/time-accuracy.json`.
pub(super) fn time_accuracy(order: &Order<'_>, facts: &[Facts<'_>]) -> Vec<u8> {
    let record = |(at, clock): (WallTime, &Clock)| {
        json!({
            "at": at,
            "source": clock.source,
            "offset_us": clock.offset_us,
            "uncertainty_us": clock.uncertainty_us,
            "camera_offset_ms": clock.camera_offset_ms,
        })
    };
    let camera = |facts: &Facts<'_>| {
        let worst = facts.accuracy();
        let camera_offset =
            worst.camera_offset_ms.map(|(min, max)| json!({ "min": min, "max": max }));
        json!({
            "camera": facts.camera,
            "worst": {
                "disciplined": worst.disciplined,
                "offset_us": worst.offset_us,
                "uncertainty_us": worst.uncertainty_us,
                "camera_offset_ms": camera_offset,
            },
            "records": facts.clocks().map(record).collect::<Vec<_>>(),
        })
    };
    let report = json!({
        "format": "watchhouse-time-accuracy/v1",
        "exhibit": order.exhibit,
        "case": order.case,
        "explains": "Times are the recorder's clock, UTC. offset_us is the kernel's estimate of how \
                     far that clock was from true time, uncertainty_us the bound on the estimate's \
                     error; camera_offset_ms is the camera's clock minus the recorder's. When a \
                     record was made at the latest is proved by the witnesses' cosignatures in its \
                     tlog-proof; at the earliest, by the note that it names.",
        "cameras": facts.iter().map(camera).collect::<Vec<_>>(),
    });
    pretty(&report)
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("values have a JSON form");
    text.push(b'\n');
    text
}
