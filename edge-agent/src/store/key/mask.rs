//! Family `masks`: what covers a camera's picture, as last recorded. Key: `camera 0x00`. Value: the
//! JSON of the manifest's mask.

use custody::manifest::Mask;

/// The value.
#[must_use]
pub(crate) fn encode(mask: &Mask) -> Vec<u8> {
    serde_json::to_vec(mask).expect("names and numbers always have a JSON form")
}

/// Reads a value.
#[must_use]
pub(crate) fn decode(bytes: &[u8]) -> Option<Mask> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_reads_back() {
        let mask = Mask::NotRequired { approved_by: "d.mensah".into() };
        assert_eq!(decode(&encode(&mask)), Some(mask));
        assert_eq!(decode(b"{}"), None);
    }
}
