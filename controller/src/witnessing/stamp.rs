//! RFC 3161: asks a time-stamping authority for a token over a cosigned note, and checks that the
//! answer is about that note and this question.
//!
//! What is checked here: the status, that there is a token, its nonce, and its message imprint. The
//! authority's signature is checked by the verifiers, with the certificates that the reader trusts
//! (`openssl ts -verify` does it as well): whoever trusts no authority loses nothing by a token.

use cms::cert::x509::spki::AlgorithmIdentifier;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use custody::{Digest, WallTime};
use der::asn1::{Int, OctetString};
use der::oid::ObjectIdentifier;
use der::{Decode as _, Encode as _, Reader as _};
use x509_tsp::{MessageImprint, TimeStampReq, TimeStampResp, TspVersion, TstInfo};

/// SHA-256.
const SHA_256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
/// What a token's signed content is.
const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");
/// CMS signed data.
const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// The status of a token that was granted, and of one granted with changes.
const GRANTED: [u8; 2] = [0, 1];

/// A question is sent as this.
pub const QUERY_TYPE: &str = "application/timestamp-query";

/// A question: the digest of the data and a number drawn for it.
pub struct Query {
    digest: Digest,
    nonce: Int,
}

/// An answer that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The response's exact bytes, as `openssl ts -verify -in` reads them.
    pub response: Vec<u8>,
    /// When, says the authority.
    pub at: WallTime,
}

/// Why an answer does not hold.
#[derive(Debug, thiserror::Error)]
pub enum BadStamp {
    /// It does not read.
    #[error("the answer is no time-stamp response")]
    Malformed(#[from] der::Error),
    /// The authority said no.
    #[error("the authority gave no token: status {0}")]
    Refused(String),
    /// The token is not about what was asked.
    #[error("the token is about something else: {0}")]
    Other(&'static str),
}

impl Query {
    /// Asks about `data`; `nonce` is drawn anew for each question.
    ///
    /// # Errors
    /// Never with a nonce of sixteen bytes; the encoder's type says it may.
    pub fn new(data: &[u8], mut nonce: [u8; 16]) -> Result<Self, BadStamp> {
        // A DER integer in its shortest form, not negative.
        nonce[0] = (nonce[0] & 0x7f) | 0x40;
        Ok(Self { digest: Digest::of(data), nonce: Int::new(&nonce)? })
    }

    fn imprint(&self) -> Result<MessageImprint, BadStamp> {
        Ok(MessageImprint {
            hash_algorithm: AlgorithmIdentifier { oid: SHA_256, parameters: None },
            hashed_message: OctetString::new(self.digest.0)?,
        })
    }

    /// The question's bytes.
    ///
    /// # Errors
    /// When the encoder refuses.
    pub fn der(&self) -> Result<Vec<u8>, BadStamp> {
        let request = TimeStampReq {
            version: TspVersion::V1,
            message_imprint: self.imprint()?,
            req_policy: None,
            nonce: Some(self.nonce.clone()),
            // The certificate comes with the token: a bundle is checked years later.
            cert_req: true,
            extensions: None,
        };
        Ok(request.to_der()?)
    }

    /// Checks the answer.
    ///
    /// # Errors
    /// Why it does not hold.
    pub fn check(&self, answer: &[u8]) -> Result<Stamp, BadStamp> {
        let response = TimeStampResp::from_der(answer)?;
        // `PKIStatus` is an enumeration; its number is what people look up.
        let status = response.status.status as u8;
        if !GRANTED.contains(&status) {
            return Err(BadStamp::Refused(status.to_string()));
        }
        let token = response.time_stamp_token.ok_or(BadStamp::Other("there is no token"))?;
        let info = tst_info(&token)?;
        if info.nonce.as_ref() != Some(&self.nonce) {
            return Err(BadStamp::Other("its nonce is not the one that was sent"));
        }
        let imprint = &info.message_imprint;
        if imprint.hash_algorithm.oid != SHA_256
            || imprint.hashed_message.as_bytes() != self.digest.0
        {
            return Err(BadStamp::Other("its digest is not that of the note"));
        }
        let micros = info.gen_time.to_unix_duration().as_micros();
        let at = WallTime(i64::try_from(micros).unwrap_or(i64::MAX));
        Ok(Stamp { response: answer.to_vec(), at })
    }
}

fn tst_info(token: &ContentInfo) -> Result<TstInfo, BadStamp> {
    if token.content_type != SIGNED_DATA {
        return Err(BadStamp::Other("the token is no signed data"));
    }
    let signed: SignedData = token.content.decode_as()?;
    if signed.encap_content_info.econtent_type != TST_INFO {
        return Err(BadStamp::Other("the token holds no time"));
    }
    let content = signed.encap_content_info.econtent;
    let content = content.ok_or(BadStamp::Other("the token is empty"))?;
    let bytes: OctetString = content.decode_as()?;
    let mut reader = der::SliceReader::new(bytes.as_bytes())?;
    let info = TstInfo::decode(&mut reader)?;
    Ok(reader.finish(info)?)
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};

    use super::super::web::WebParty;
    use super::*;

    /// The rig's authority; ends with the test.
    pub(in super::super) struct Rig {
        process: Child,
        folder: tempfile::TempDir,
        pub(in super::super) port: String,
    }

    impl Rig {
        pub(in super::super) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/rig/tsa.py");
            let mut process = Command::new("python3")
                .arg(script)
                .arg(folder.path())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut port = String::new();
            BufReader::new(process.stdout.take().unwrap()).read_line(&mut port).unwrap();
            Self { process, folder, port: port.trim().to_owned() }
        }

        pub(in super::super) fn party(&self, path: &str) -> WebParty {
            let address = format!("http://127.0.0.1:{}{path}", self.port).parse().unwrap();
            WebParty::new(address, None).unwrap()
        }

        pub(in super::super) fn openssl_verifies(&self, note: &[u8], response: &[u8]) -> bool {
            let (data, token) = (self.folder.path().join("note"), self.folder.path().join("tsr"));
            std::fs::write(&data, note).unwrap();
            std::fs::write(&token, response).unwrap();
            let verified = Command::new("openssl")
                .args(["ts", "-verify", "-data"])
                .arg(&data)
                .arg("-in")
                .arg(&token)
                .arg("-CAfile")
                .arg(self.folder.path().join("ca.pem"))
                .output()
                .unwrap();
            verified.status.success()
        }

        async fn ask(&self, path: &str, query: &Query) -> Vec<u8> {
            self.party(path).post("", QUERY_TYPE, query.der().unwrap()).await.unwrap().body
        }
    }

    impl Drop for Rig {
        fn drop(&mut self) {
            drop(self.process.kill());
            drop(self.process.wait());
        }
    }

    #[tokio::test]
    async fn a_real_authoritys_token_holds_and_openssl_agrees() {
        let rig = Rig::new();
        let note = b"east.watchhouse.example/log/00000001\n7\nAAAA\n";
        let query = Query::new(note, [0xff; 16]).unwrap();
        let stamp = query.check(&rig.ask("/", &query).await).unwrap();
        assert!(stamp.at > WallTime(1_700_000_000_000_000), "{}", stamp.at);

        assert!(rig.openssl_verifies(note, &stamp.response));
        assert!(!rig.openssl_verifies(b"other", &stamp.response));

        let other_note = Query::new(b"other", [0xff; 16]).unwrap();
        assert!(matches!(other_note.check(&stamp.response), Err(BadStamp::Other(_))));
        let other_nonce = Query::new(note, [1; 16]).unwrap();
        assert!(matches!(other_nonce.check(&stamp.response), Err(BadStamp::Other(_))));
        let refused = query.check(&rig.ask("/refuse", &query).await);
        assert!(matches!(refused, Err(BadStamp::Refused(_))), "{refused:?}");
        let foreign = query.check(&rig.ask("/other", &query).await);
        assert!(matches!(foreign, Err(BadStamp::Other(_))), "{foreign:?}");
        for cut in [0, 1, stamp.response.len() / 2, stamp.response.len() - 1] {
            assert!(query.check(&stamp.response[..cut]).is_err());
        }
    }
}
