//! What stands at the beginning of a stream.
//!
//! ```text
//! bulk = BULK:u8  transfer:u64  seq:u64  offset:u64  total:u64  name_len:u8  camera[name_len]
//!        file bytes from offset to total                                   big-endian
//! ```

use custody::{CameraId, Seq};

/// First byte of a bidirectional stream from agent to controller.
pub const FLEET: u8 = 1;
/// First byte of a bidirectional stream from controller to agent.
pub const AGENT: u8 = 2;
/// First byte of a unidirectional stream from agent to controller.
pub const BULK: u8 = 3;

/// Bytes of a bulk header before the camera's name.
pub const FIXED_BYTES: usize = 34;
/// No sealed segment file is longer: 2 GiB, a minute at 280 Mb/s.
pub const FILE_BYTES_MAX: u64 = 2 << 30;

/// Which file a bulk stream carries, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkHeader {
    /// The controller's number for the pull.
    pub transfer: u64,
    /// Whose footage.
    pub camera: CameraId,
    /// Which segment.
    pub seq: Seq,
    /// Where the bytes begin.
    pub offset: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

/// A bulk header that does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("bulk stream header: {0}")]
pub struct BadHeader(&'static str);

impl BulkHeader {
    /// The header's bytes, [`BULK`] first.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let name = self.camera.to_string();
        let mut out = Vec::with_capacity(FIXED_BYTES + name.len());
        out.push(BULK);
        for number in [self.transfer, self.seq.0, self.offset, self.total] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.push(u8::try_from(name.len()).expect("camera names are at most 81 characters"));
        out.extend_from_slice(name.as_bytes());
        out
    }

    /// How many bytes of name follow a fixed part.
    ///
    /// # Errors
    /// When it is no bulk stream.
    pub fn name_bytes(fixed: &[u8; FIXED_BYTES]) -> Result<usize, BadHeader> {
        if fixed[0] == BULK {
            Ok(usize::from(fixed[FIXED_BYTES - 1]))
        } else {
            Err(BadHeader("unknown stream kind"))
        }
    }

    /// Reads the fixed part and the name.
    ///
    /// # Errors
    /// When a part is out of its bounds.
    pub fn decode(fixed: &[u8; FIXED_BYTES], name: &[u8]) -> Result<Self, BadHeader> {
        if Self::name_bytes(fixed)? != name.len() {
            return Err(BadHeader("name of another length"));
        }
        let number = |at: usize| {
            let bytes = fixed[at..at + 8].try_into().expect("eight bytes of a fixed array");
            u64::from_be_bytes(bytes)
        };
        let camera = std::str::from_utf8(name)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(BadHeader("no camera name"))?;
        let header = Self {
            transfer: number(1),
            camera,
            seq: Seq(number(9)),
            offset: number(17),
            total: number(25),
        };
        if header.total > FILE_BYTES_MAX || header.offset > header.total {
            return Err(BadHeader("offset or length out of bounds"));
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8]) -> Result<BulkHeader, BadHeader> {
        let (fixed, name) = bytes.split_first_chunk().ok_or(BadHeader("short"))?;
        BulkHeader::decode(fixed, name)
    }

    proptest! {
        #[test]
        fn headers_read_back(transfer: u64, seq: u64, offset in 0..FILE_BYTES_MAX) {
            let header = BulkHeader {
                transfer,
                camera: "east/ext-01".parse().unwrap(),
                seq: Seq(seq),
                offset,
                total: FILE_BYTES_MAX,
            };
            let bytes = header.encode();
            prop_assert_eq!(read(&bytes), Ok(header));
            prop_assert!(read(&bytes[..bytes.len() - 1]).is_err());
        }

        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(header) = read(&bytes) {
                prop_assert!(header.offset <= header.total);
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }
}
