//! What lies in the mirror's RocksDB. The first byte of a key is its kind; a log's rows have its
//! name and a zero byte next.
//!
//! | first byte | then | value |
//! |---|---|---|
//! | 1 | nothing | the layout's version |
//! | 2 | site, 0, number:u32 | the name of the site's log of that number, in the order they began |
//! | 3 | log, 0, index:u64 | a record's envelope, byte-exact |
//! | 4 | log, 0, number:u64 | one hash of the log's tree |
//! | 5 | log, 0, digest:32 | the index:u64 of the record whose envelope has this digest |
//! | 6 | log, 0, key id | a certified key, see [`read_cert`] |
//! | 7 | log | the newest checkpoint that agrees, as the log signed it |
//! | 8 | log, 0, key id | as kind 6, of logs' and witnesses' keys alone: few, and often asked for |
//!
//! Integers are big-endian.

use custody::record::KeyUsage;
use custody::{Digest, KeyId, PublicKey, SiteId, WallTime};

use crate::fleet::signers::Cert;

pub(super) const FORMAT: [u8; 1] = [1];
pub(super) const VERSION: [u8; 1] = [2];

pub(super) fn log(site: &SiteId, number: u32) -> Vec<u8> {
    [&[2], site.as_str().as_bytes(), &[0], &number.to_be_bytes()].concat()
}

/// The site and number of a log's row.
pub(super) fn read_log(key: &[u8]) -> Option<(SiteId, u32)> {
    let (site, number) = key.strip_prefix(&[2])?.split_last_chunk::<4>()?;
    let site = std::str::from_utf8(site.strip_suffix(&[0])?).ok()?;
    Some((site.parse().ok()?, u32::from_be_bytes(*number)))
}

fn of_log(kind: u8, origin: &str, rest: &[u8]) -> Vec<u8> {
    [&[kind], origin.as_bytes(), &[0], rest].concat()
}

pub(super) fn body(origin: &str, index: u64) -> Vec<u8> {
    of_log(3, origin, &index.to_be_bytes())
}

/// The index of a body's row, if it is one of this log.
pub(super) fn read_body(origin: &str, key: &[u8]) -> Option<u64> {
    let index = key.strip_prefix(&of_log(3, origin, &[])[..])?;
    index.try_into().ok().map(u64::from_be_bytes)
}

pub(super) fn node(origin: &str, number: u64) -> Vec<u8> {
    of_log(4, origin, &number.to_be_bytes())
}

pub(super) fn digest(origin: &str, digest: Digest) -> Vec<u8> {
    of_log(5, origin, &digest.0)
}

pub(super) fn cert(origin: &str, key: &KeyId) -> Vec<u8> {
    of_log(6, origin, key.to_string().as_bytes())
}

/// A certificate of a log's or witness's key.
pub(super) fn named(origin: &str, key: &KeyId) -> Vec<u8> {
    of_log(8, origin, key.to_string().as_bytes())
}

/// What the key of each of these begins with.
pub(super) fn all_named(origin: &str) -> Vec<u8> {
    of_log(8, origin, &[])
}

pub(super) fn checkpoint(origin: &str) -> Vec<u8> {
    [&[7], origin.as_bytes()].concat()
}

const RECORDS: u8 = 0;
const LOG: u8 = 1;
const WITNESS: u8 = 2;

/// `index:u64 usage:u8 key[32] not_before:i64 not_after:i64 by[16] name…`, `by` being a key id.
pub(super) fn cert_value(index: u64, cert: &Cert) -> Vec<u8> {
    let usage = match cert.usage {
        KeyUsage::Records => RECORDS,
        KeyUsage::Log => LOG,
        KeyUsage::Witness => WITNESS,
    };
    [
        &index.to_be_bytes()[..],
        &[usage],
        &cert.key.to_bytes(),
        &cert.not_before.0.to_be_bytes(),
        &cert.not_after.0.to_be_bytes(),
        cert.by.0.as_bytes(),
        cert.name.as_bytes(),
    ]
    .concat()
}

/// The index of a certificate's record, and the key.
pub(super) fn read_cert(value: &[u8]) -> Option<(u64, Cert)> {
    let (index, rest) = value.split_first_chunk::<8>()?;
    let (usage, rest) = rest.split_first()?;
    let (key, rest) = rest.split_first_chunk::<32>()?;
    let (not_before, rest) = rest.split_first_chunk::<8>()?;
    let (not_after, rest) = rest.split_first_chunk::<8>()?;
    let (by, name) = rest.split_first_chunk::<16>()?;
    let usage = match *usage {
        RECORDS => KeyUsage::Records,
        LOG => KeyUsage::Log,
        WITNESS => KeyUsage::Witness,
        _ => return None,
    };
    let cert = Cert {
        usage,
        key: PublicKey::from_bytes(key).ok()?,
        by: KeyId(std::str::from_utf8(by).ok()?.to_owned()),
        name: std::str::from_utf8(name).ok()?.to_owned(),
        not_before: WallTime(i64::from_be_bytes(*not_before)),
        not_after: WallTime(i64::from_be_bytes(*not_after)),
    };
    Some((u64::from_be_bytes(*index), cert))
}

#[cfg(test)]
mod tests {
    use custody::SecretKey;

    use super::*;

    #[test]
    fn rows_read_back() {
        let site: SiteId = "east".parse().unwrap();
        assert_eq!(read_log(&log(&site, 7)), Some((site, 7)));
        assert_eq!(read_body("a/log/1", &body("a/log/1", 300)), Some(300));
        assert_eq!(read_body("a/log/2", &body("a/log/1", 300)), None);
        let cert = Cert {
            usage: KeyUsage::Witness,
            key: SecretKey::from_seed(&[3; 32]).public(),
            by: SecretKey::from_seed(&[4; 32]).public().id(),
            name: "east.force.example/witness".to_owned(),
            not_before: WallTime(-5),
            not_after: WallTime(9),
        };
        assert_eq!(read_cert(&cert_value(4, &cert)), Some((4, cert.clone())));
        assert_eq!(read_cert(&cert_value(4, &cert)[..50]), None);
    }
}
