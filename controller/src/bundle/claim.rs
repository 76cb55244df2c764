//! What the C2PA manifest of a playable copy claims: which exhibit it was made from, and what was
//! done. Pure.
//!
//! The copy's parent is the master footage. The masters are many files and the exhibit is the
//! bundle around them, so the ingredient names the exhibit, and an assertion of our own holds the
//! digests by which the masters and the copy's pictures are found in it. Nothing is encoded anew:
//! the actions are opened, repackaged and the text that was added.

use custody::{CameraId, Digest, WallTime};
use serde_json::{Value, json};

/// Our own assertion: digests that lead back to the exhibit.
pub(super) const EXHIBIT: &str = "example.watchhouse.exhibit";
/// The ingredient's name within the manifest.
const MASTER: &str = "master";

/// What is known of a copy when it is signed.
pub(super) struct Claim<'a> {
    pub(super) exhibit: &'a str,
    pub(super) case: &'a str,
    pub(super) camera: &'a CameraId,
    pub(super) asked: (WallTime, WallTime),
    /// The file with the camera's signed records, and its digest.
    pub(super) records: (&'a str, Digest),
    /// Of the payload of the copy's first `mdat`.
    pub(super) pictures: Digest,
    pub(super) at: WallTime,
}

impl Claim<'_> {
    /// The manifest definition that `c2pa-sign` reads.
    pub(super) fn definition(&self) -> Vec<u8> {
        let Self { exhibit, camera, .. } = self;
        let title = format!("Exhibit {exhibit}: playable copy of camera {camera}");
        let definition = json!({
            "claim_generator_info": [
                { "name": "Watchhouse", "version": env!("CARGO_PKG_VERSION") }
            ],
            "title": title,
            "format": "video/mp4",
            "ingredients": [{
                "label": MASTER,
                "title": format!("Exhibit {exhibit}: master footage of camera {camera}"),
                "format": "video/iso.segment",
                "instance_id": format!("urn:watchhouse:records:sha256:{}", self.records.1),
                "relationship": "parentOf",
                "description": format!(
                    "The recorder's own files in data/master/{camera} of the exhibit, named by the \
                     signed records in {}",
                    self.records.0
                ),
            }],
            "assertions": [
                { "label": "c2pa.actions.v2", "data": { "actions": self.actions() } },
                { "label": EXHIBIT, "data": self.exhibit() },
            ],
        });
        serde_json::to_vec(&definition).expect("strings have a JSON form")
    }

    fn actions(&self) -> Value {
        let action = |name: &str, description: &str| {
            json!({
                "action": name,
                "when": self.at,
                "description": description,
                "parameters": { "ingredientIds": [MASTER] },
            })
        };
        json!([
            action(
                "c2pa.opened",
                "The master footage was read and checked against its signed records."
            ),
            action(
                "c2pa.repackaged",
                "The coded pictures were put into one MP4 file byte for byte; nothing was encoded \
                 anew. An edit list shows the asked interval; the rest of the footage stays in the \
                 file.",
            ),
            action(
                "c2pa.addedText",
                "Date, time and missing footage were added as a subtitle track; no text is in the \
                 pictures.",
            ),
        ])
    }

    fn exhibit(&self) -> Value {
        json!({
            "exhibit": self.exhibit,
            "case": self.case,
            "camera": self.camera,
            "from": self.asked.0,
            "to": self.asked.1,
            "records": self.records.0,
            "records_sha256": self.records.1,
            "pictures_sha256": self.pictures,
        })
    }
}
