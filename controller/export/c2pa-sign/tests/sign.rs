//! From a real MP4 file to one that C2PA's reader trusts, and refuses when a bit is flipped.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::fs;
use std::io::{Cursor, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use c2pa::{Context, Reader, Settings};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// An authority, and a certificate of it as the controller makes for copies.
fn certificates(folder: &Path) -> String {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "Watchhouse authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let anchor = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let mut copies = CertificateParams::default();
    copies.distinguished_name.push(DnType::CommonName, "Watchhouse evidence export");
    copies.distinguished_name.push(DnType::OrganizationName, "Watchhouse");
    copies.use_authority_key_identifier_extension = true;
    copies.is_ca = IsCa::ExplicitNoCa;
    copies.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    copies.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::EmailProtection,
        ExtendedKeyUsagePurpose::Other(vec![1, 3, 6, 1, 4, 1, 62_558, 2, 1]),
    ];
    let certificate = copies.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("copies.pem"), certificate.pem()).unwrap();
    fs::write(folder.join("copies.key"), key.serialize_pem()).unwrap();
    anchor
}

fn clip() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/footage/walkway-h264.mp4")
}

fn sign(folder: &Path, definition: &str, unsigned: &Path) -> (Output, PathBuf) {
    let signed = folder.join("signed.mp4");
    let mut child = Command::new(env!("CARGO_BIN_EXE_c2pa-sign"))
        .arg("--certificate")
        .arg(folder.join("copies.pem"))
        .arg("--key")
        .arg(folder.join("copies.key"))
        .arg(unsigned)
        .arg(&signed)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(definition.as_bytes()).unwrap();
    (child.wait_with_output().unwrap(), signed)
}

const DEFINITION: &str = r#"{
    "title": "copy", "format": "video/mp4",
    "claim_generator_info": [{ "name": "Watchhouse", "version": "0" }],
    "ingredients": [{ "label": "master", "title": "Exhibit WH-2026-000001/1", "relationship": "parentOf",
                      "format": "video/iso.segment", "instance_id": "urn:x" }],
    "assertions": [{ "label": "c2pa.actions.v2", "data": { "actions": [
        { "action": "c2pa.opened", "parameters": { "ingredientIds": ["master"] } },
        { "action": "c2pa.repackaged", "parameters": { "ingredientIds": ["master"] } } ] } }]
}"#;

/// The verdict, the codes of failures, and the manifest as JSON.
fn read(bytes: Vec<u8>, anchor: &str) -> (String, Vec<String>, String) {
    let trust = serde_json::json!({
        "trust": { "trust_anchors": anchor }, "verify": { "verify_trust": true },
    });
    let settings = Settings::new().with_json(&trust.to_string()).unwrap();
    let context = Context::new().with_settings(settings).unwrap();
    let reader =
        Reader::from_context(context).with_stream("video/mp4", Cursor::new(bytes)).unwrap();
    let json = reader.json();
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    let failures = told["validation_results"]["activeManifest"]["failure"].as_array();
    let codes = failures.into_iter().flatten().map(|f| f["code"].as_str().unwrap().to_owned());
    (format!("{:?}", reader.validation_state()), codes.collect(), json)
}

#[test]
fn a_signed_copy_is_trusted_with_our_authority_as_anchor_and_refused_when_bent() {
    let folder = tempfile::tempdir().unwrap();
    let anchor = certificates(folder.path());
    let (ended, signed) = sign(folder.path(), DEFINITION, &clip());
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let good = fs::read(&signed).unwrap();
    let (verdict, failures, json) = read(good.clone(), &anchor);
    assert_eq!((verdict.as_str(), failures), ("Trusted", Vec::new()), "{json}");
    assert!(
        json.contains("Exhibit WH-2026-000001/1") && json.contains("c2pa.repackaged"),
        "{json}"
    );

    let other = tempfile::tempdir().unwrap();
    let (verdict, failures, _) = read(good.clone(), &certificates(other.path()));
    assert_eq!(verdict, "Valid");
    assert!(failures.contains(&"signingCredential.untrusted".to_owned()), "{failures:?}");

    let mut bad = good;
    let mdat = bad.windows(4).position(|window| window == b"mdat").unwrap();
    bad[mdat + 1000] ^= 1;
    let (verdict, failures, _) = read(bad, &anchor);
    assert_eq!(verdict, "Invalid");
    assert!(failures.contains(&"assertion.bmffHash.mismatch".to_owned()), "{failures:?}");
}

#[test]
fn what_cannot_be_signed_leaves_no_file_and_says_why() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let check = |definition: &str, unsigned: &Path| {
        let (ended, signed) = sign(folder.path(), definition, unsigned);
        assert!(!ended.status.success());
        assert!(ended.stderr.starts_with(b"c2pa-sign: "), "{ended:?}");
        assert!(!signed.exists());
    };
    let no_film = folder.path().join("text.mp4");
    fs::write(&no_film, "no film").unwrap();
    check(DEFINITION, &no_film);
    check("no definition", &clip());
    check(DEFINITION, &folder.path().join("missing.mp4"));
    fs::write(folder.path().join("copies.key"), "no key").unwrap();
    check(DEFINITION, &clip());
}
