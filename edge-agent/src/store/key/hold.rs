//! Family `holds`: a hold on one camera's footage. Key: `hold 0x00 camera 0x00`. Value: the hold
//! record's own JSON. A copy of its envelope lies in the folder `holds/`, so that holds outlive the
//! index.

use custody::record::Hold;
use custody::{CameraId, HoldId};

use super::Writer;

/// The key.
#[must_use]
pub(crate) fn key(hold: &HoldId, camera: &CameraId) -> Vec<u8> {
    Writer::default().text(hold.as_str()).camera(camera).done()
}

/// The value.
#[must_use]
pub(crate) fn encode(hold: &Hold) -> Vec<u8> {
    serde_json::to_vec(hold).expect("names and times always have a JSON form")
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Hold> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use custody::WallTime;
    use custody::record::{Grounds, LegalBasis, MopiGroup};

    use super::*;

    #[test]
    fn a_hold_reads_back() {
        let hold = Hold {
            hold: "WH-2026-000001-a".parse().unwrap(),
            case: "WH-2026-000001".parse().unwrap(),
            camera: "east/ext-01".parse().unwrap(),
            from: WallTime(1),
            to: WallTime(2),
            grounds: Some(Grounds {
                basis: LegalBasis::Cpia,
                mopi_group: MopiGroup::new(3).unwrap(),
                review_at: WallTime(4),
            }),
            at: WallTime(3),
        };
        assert_eq!(decode(&encode(&hold)), Some(hold.clone()));
        // Rows from before holds had grounds stand still.
        let old = Hold { grounds: None, ..hold };
        let text = String::from_utf8(encode(&old)).unwrap();
        assert!(!text.contains("grounds"), "{text}");
        assert_eq!(decode(text.as_bytes()), Some(old));
    }
}
