//! Family `facts`: single facts about the store. Key: a name. Value: text or a `u64`.

/// The volume's identity, 32 hexadecimal digits; the same stands in `volume.json`.
pub(crate) const VOLUME: &[u8] = b"volume";
/// The name of the site log: drawn when the log begins, and never changed.
pub(crate) const ORIGIN: &[u8] = b"origin";
/// The digest of the configuration that the last run recorded, 64 hexadecimal digits.
pub(crate) const CONFIG: &[u8] = b"config";
/// When the agent last stopped in order, as RFC 3339; taken away at the next start.
pub(crate) const STOPPED: &[u8] = b"stopped";
/// There while segment files are read in after the index was lost. No value.
pub(crate) const REBUILDING: &[u8] = b"rebuilding";
/// How many times this store has been opened, as `u64`; compared with `segments/volume.json`.
pub(crate) const OPENED: &[u8] = b"opened";
/// How far the footage was read again, see `damage`.
pub(crate) const SCRUBBED: &[u8] = b"scrubbed";
/// How many log entries there were when the last segment file had been read in, as `u64`: among those
/// are records of older segments than the ones before them.
pub(crate) const REBUILT: &[u8] = b"rebuilt";

/// Reads a number.
#[must_use]
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back() {
        assert_eq!(number(&7_u64.to_be_bytes()), Some(7));
        assert_eq!(number(b"7"), None);
    }
}
