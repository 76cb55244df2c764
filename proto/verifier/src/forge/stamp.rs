//! Time stamp tokens (RFC 3161) as an authority would sign them, so that `openssl ts -verify` accepts
//! those of the corpus. The authority's key and certificate are in `testdata/` and trusted by nobody.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use custody::{Digest, WallTime};
use p256::ecdsa::signature::Signer as _;

/// The certificate of the time stamping authority, DER; self-signed, for `timeStamping` alone.
const CERTIFICATE: &[u8] = include_bytes!("../../testdata/tsa.der");
/// The number that its key is.
pub const KEY: [u8; 32] = [0x5a; 32];

/// The certificate in PEM.
#[must_use]
pub fn certificate_pem() -> String {
    let text = BASE64.encode(CERTIFICATE);
    let lines = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line) + "\n");
    let lines: String = lines.collect();
    format!("-----BEGIN CERTIFICATE-----\n{lines}-----END CERTIFICATE-----\n")
}

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let contents = parts.concat();
    let len = contents.len();
    let big = u16::try_from(len).expect("a token is small").to_be_bytes();
    let head = match len {
        0..=127 => vec![tag, big[1]],
        128..=255 => vec![tag, 0x81, big[1]],
        _ => vec![tag, 0x82, big[0], big[1]],
    };
    [&head[..], &contents].concat()
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    der(0x30, parts)
}

fn set(parts: &[&[u8]]) -> Vec<u8> {
    der(0x31, parts)
}

fn oid(bytes: &[u8]) -> Vec<u8> {
    der(0x06, &[bytes])
}

fn small(number: u8) -> Vec<u8> {
    der(0x02, &[&[number]])
}

fn octets(bytes: &[u8]) -> Vec<u8> {
    der(0x04, &[bytes])
}

const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
const PKCS9: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09];
const POLICY: &[u8] = &[0x2a, 0x03, 0x04];

/// A member of PKCS #9: 3 content type, 4 message digest, 16.1.4 TSTInfo, 16.2.47 certificate.
fn pkcs9(rest: &[u8]) -> Vec<u8> {
    oid(&[PKCS9, rest].concat())
}

/// The value in a certificate that names its issuer, and its serial number.
fn issuer_and_serial() -> (Vec<u8>, Vec<u8>) {
    // Certificate { TBSCertificate { [0] version, serial, algorithm, issuer, … } … }
    let inside = |bytes: &[u8]| {
        let head = if bytes[1] < 0x80 { 2 } else { 2 + usize::from(bytes[1] & 0x7f) };
        let digits = &bytes[2..head];
        let len = if digits.is_empty() {
            usize::from(bytes[1])
        } else {
            digits.iter().fold(0, |len, digit| len << 8 | usize::from(*digit))
        };
        (head, head + len)
    };
    let (tbs, _) = inside(CERTIFICATE);
    let tbs = &CERTIFICATE[tbs..];
    let (fields, _) = inside(tbs);
    let mut rest = &tbs[fields..];
    let mut parts = Vec::new();
    for _ in 0..4 {
        let (_, end) = inside(rest);
        parts.push(rest[..end].to_vec());
        rest = &rest[end..];
    }
    (parts.swap_remove(3), parts.swap_remove(1))
}

/// The token over `note`, made at `at`.
#[must_use]
pub fn token(note: &[u8], at: WallTime) -> Vec<u8> {
    let sha256 = sequence(&[&oid(SHA256)]);
    let at = at.calendar();
    let (date, time) = (at.date(), at.time());
    let time = format!(
        "{:04}{:02}{:02}{:02}{:02}{:02}Z",
        date.year(),
        u8::from(date.month()),
        date.day(),
        time.hour(),
        time.minute(),
        time.second()
    );
    let imprint = sequence(&[&sha256, &octets(&Digest::of(note).0)]);
    let info =
        sequence(&[&small(1), &oid(POLICY), &imprint, &small(7), &der(0x18, &[time.as_bytes()])]);
    let content = sequence(&[&pkcs9(&[0x10, 1, 4]), &der(0xa0, &[&octets(&info)])]);
    let certificate = octets(&Digest::of(CERTIFICATE).0);
    let certificate = sequence(&[&sequence(&[&sequence(&[&certificate])])]);
    let attributes = [
        sequence(&[&pkcs9(&[3]), &set(&[&pkcs9(&[0x10, 1, 4])])]),
        sequence(&[&pkcs9(&[4]), &set(&[&octets(&Digest::of(&info).0)])]),
        sequence(&[&pkcs9(&[0x10, 2, 0x2f]), &set(&[&certificate])]),
    ]
    .concat();
    let key = p256::ecdsa::SigningKey::from_slice(&KEY).expect("any number from 1 on is a key");
    let signature: p256::ecdsa::Signature = key.sign(&set(&[&attributes]));
    let (issuer, serial) = issuer_and_serial();
    let signer = sequence(&[
        &small(1),
        &sequence(&[&issuer, &serial]),
        &sha256,
        &der(0xa0, &[&attributes]),
        &sequence(&[&oid(ECDSA_SHA256)]),
        &octets(signature.to_der().as_bytes()),
    ]);
    let signed = sequence(&[
        &small(3),
        &set(&[&sha256]),
        &content,
        &der(0xa0, &[CERTIFICATE]),
        &set(&[&signer]),
    ]);
    let response = sequence(&[&oid(SIGNED_DATA), &der(0xa0, &[&signed])]);
    sequence(&[&sequence(&[&small(0)]), &response])
}
