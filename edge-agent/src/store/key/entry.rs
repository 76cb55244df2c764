//! Family `log`: the site log. Key: place as `u64`. Value: an envelope, packed.
//!
//! ```text
//! value = 1:u8 type:text keyid:text sig_len:u8 sig payload        an envelope as this program writes it
//!       | 2:u8 bytes                                             any other bytes that begin with 1 or 2
//!       | bytes                                                  anything else
//! ```
//! An envelope holds its payload in base64, in which what two records have in common lies at three
//! shifts and is seldom found by a compressor. So the payload is kept as it is, and the envelope is
//! written anew when it is read. It is packed only if that gives its exact bytes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Reader, Writer};

const PACKED: u8 = 1;
const ESCAPED: u8 = 2;
/// What stands between an envelope's fields.
const PARTS: [&str; 5] = [
    r#"{"payloadType":""#,
    r#"","payload":""#,
    r#"","signatures":[{"keyid":""#,
    r#"","sig":""#,
    r#""}]}"#,
];

/// The key.
#[must_use]
pub(crate) fn key(place: u64) -> Vec<u8> {
    Writer::default().u64(place).done()
}

/// Reads a key.
#[must_use]
pub(crate) fn decode_key(bytes: &[u8]) -> Option<u64> {
    let mut r = Reader(bytes);
    let place = r.u64()?;
    r.end()?;
    Some(place)
}

/// The value that keeps an envelope's exact bytes.
#[must_use]
pub fn pack(envelope: &[u8]) -> Vec<u8> {
    if let Some(packed) = pack_exactly(envelope) {
        return packed;
    }
    let mut kept = Vec::with_capacity(envelope.len() + 1);
    if matches!(envelope.first(), Some(&(PACKED | ESCAPED))) {
        kept.push(ESCAPED);
    }
    kept.extend_from_slice(envelope);
    kept
}

/// The envelope that [`pack`] kept; none if the value is damaged.
#[must_use]
pub(crate) fn unpack(value: &[u8]) -> Option<Vec<u8>> {
    match value.split_first() {
        Some((&PACKED, rest)) => {
            let mut r = Reader(rest);
            let (payload_type, key_id, sig_len) = (r.text()?, r.text()?, r.u8()?);
            let (sig, payload) = r.0.split_at_checked(usize::from(sig_len))?;
            let fields =
                [&*payload_type, &BASE64.encode(payload), &*key_id, &BASE64.encode(sig), ""];
            let whole = PARTS.iter().zip(fields).flat_map(|(part, field)| [*part, field]);
            Some(whole.collect::<String>().into_bytes())
        }
        Some((&ESCAPED, rest)) => Some(rest.to_vec()),
        _ => Some(value.to_vec()),
    }
}

fn pack_exactly(envelope: &[u8]) -> Option<Vec<u8>> {
    let [first, inner @ ..] = PARTS;
    let mut rest = std::str::from_utf8(envelope).ok()?.strip_prefix(first)?;
    let mut fields = [""; 4];
    for (field, part) in fields.iter_mut().zip(inner) {
        (*field, rest) = rest.split_once(part)?;
    }
    let [payload_type, payload, key_id, sig] = fields;
    let (payload, sig) = (BASE64.decode(payload).ok()?, BASE64.decode(sig).ok()?);
    if [payload_type, key_id].iter().any(|text| text.contains('\0')) {
        return None;
    }
    let head = Writer::default().u8(PACKED).text(payload_type).text(key_id);
    let mut packed = head.u8(u8::try_from(sig.len()).ok()?).done();
    packed.extend(sig);
    packed.extend(payload);
    (unpack(&packed).as_deref() == Some(envelope)).then_some(packed)
}

#[cfg(test)]
mod tests {
    use custody::SecretKey;
    use custody::dsse::Envelope;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_read_back_in_order() {
        assert_eq!(decode_key(&key(258)), Some(258));
        assert!(key(255) < key(256));
        assert_eq!(decode_key(&[0; 9]), None);
    }

    #[test]
    fn an_envelope_is_kept_without_its_base64() {
        let payload = vec![b'x'; 3000];
        let envelope = Envelope::sign("application/x", payload, &SecretKey::from_seed(&[7; 32]));
        let packed = pack(envelope.bytes());
        assert!(packed.len() < 3200, "{}", packed.len());
        assert_eq!(unpack(&packed).as_deref(), Some(envelope.bytes()));
        // A store of before has them as they are.
        assert_eq!(unpack(envelope.bytes()).as_deref(), Some(envelope.bytes()));
    }

    proptest! {
        #[test]
        fn any_bytes_read_back(bytes: Vec<u8>, payload: Vec<u8>, first in 0_u8..4, at: usize) {
            prop_assert_eq!(unpack(&pack(&bytes)), Some(bytes.clone()));
            let escaped: Vec<u8> = std::iter::once(first).chain(bytes).collect();
            prop_assert_eq!(unpack(&pack(&escaped)), Some(escaped));
            let key = SecretKey::from_seed(&[7; 32]);
            let mut envelope = Envelope::sign("a/b+json", payload, &key).bytes().to_vec();
            prop_assert_eq!(unpack(&pack(&envelope)), Some(envelope.clone()));
            let at = at % envelope.len();
            envelope[at] ^= 1;
            prop_assert_eq!(unpack(&pack(&envelope)), Some(envelope));
        }
    }
}
