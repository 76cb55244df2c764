//! The controller's own certificate authority (P-256, by rcgen): it issues the server's certificate,
//! the sites' and the one that signs playable copies, and nothing else. Files under `pki/`, keys readable by the owner alone.
//!
//! | certificate | lives | names |
//! |---|---|---|
//! | authority | 10 years | `Watchhouse authority` |
//! | server | 397 days, renewed at start when a third is left | the configured names |
//! | site | [`SITE_DAYS`] days, renewed by the agent at two thirds | common name = site |
//! | copies | 5 years, renewed at start when a third is left; not beyond the authority | `Watchhouse evidence export` |
//!
//! The certificate for copies keeps the rules of C2PA: not self-signed, digital signatures only, a
//! purpose that C2PA knows. It names two, signing claims and protecting e-mail, because readers that
//! are given nothing but our authority as anchor accept the second alone. It lives long, because a
//! C2PA signature without a time stamp holds only while its certificate does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use custody::{Digest, SiteId, WallTime};
use host::durable::{self, Reader};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer};
use time::OffsetDateTime;

/// A site's certificate lives this long.
pub const SITE_DAYS: i64 = 60;
const SERVER_DAYS: i64 = 397;
const AUTHORITY_DAYS: i64 = 3650;
const COPIES_DAYS: i64 = 5 * 365;
/// The purpose "signs C2PA claims" (C2PA 2.2, section 14.5.1).
const C2PA_CLAIM_SIGNING: [u64; 9] = [1, 3, 6, 1, 4, 1, 62_558, 2, 1];
const DAY_S: i64 = 86_400;

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file could not be read or written.
    #[error("{path}: cannot be read or written; check the folder's owner and space")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: not the certificate or key that belongs there; restore it from backup")]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// A signing request does not read or is not signed by its own key.
    #[error("the signing request does not hold")]
    Request,
    /// The library refused.
    #[error("a certificate could not be made")]
    Making(#[source] rcgen::Error),
}

/// A fresh certificate.
#[derive(Debug, Clone)]
pub struct Issued {
    /// X.509, DER.
    pub der: CertificateDer<'static>,
    /// Its serial number, hexadecimal.
    pub serial: String,
    /// Its last moment.
    pub ends: WallTime,
}

/// Where the certificate that signs playable copies and its key lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiesFiles {
    /// X.509, PEM, without the authority's.
    pub certificate: PathBuf,
    /// P-256, PKCS#8 PEM, for the owner alone.
    pub key: PathBuf,
}

/// The authority, its certificate and its server's identity.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    ends: OffsetDateTime,
    server: (CertificateDer<'static>, PrivateKeyDer<'static>),
}

/// Where things lie.
struct Folder(PathBuf);

impl Folder {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> Result<String, PkiError> {
        let path = self.path(name);
        fs::read_to_string(&path).map_err(|source| PkiError::File { path, source })
    }

    fn write(&self, name: &str, text: &str, reader: Reader) -> Result<(), PkiError> {
        let path = self.path(name);
        durable::replace(&path, text.as_bytes(), reader)
            .map_err(|source| PkiError::File { path, source })
    }

    fn key(&self, name: &str) -> Result<KeyPair, PkiError> {
        KeyPair::from_pem(&self.read(name)?)
            .map_err(|_| PkiError::Content { path: self.path(name) })
    }

    fn certificate(&self, name: &str) -> Result<CertificateDer<'static>, PkiError> {
        CertificateDer::from_pem_slice(self.read(name)?.as_bytes())
            .map_err(|_| PkiError::Content { path: self.path(name) })
    }
}

/// Creates the authority in `folder`, once.
///
/// # Errors
/// When a file cannot be written, or an authority is there already.
pub fn create(folder: &Path, now: WallTime) -> Result<(), PkiError> {
    let files = Folder(folder.to_owned());
    let path = files.path("ca.key");
    if path.exists() {
        let source = io::Error::from(io::ErrorKind::AlreadyExists);
        return Err(PkiError::File { path, source });
    }
    durable::create_folder(folder)
        .map_err(|source| PkiError::File { path: folder.to_owned(), source })?;
    let key = KeyPair::generate().map_err(PkiError::Making)?;
    let mut params = params("Watchhouse authority", now, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(PkiError::Making)?;
    files.write("ca.key", &key.serialize_pem(), Reader::Owner)?;
    files.write("ca.pem", &certificate.pem(), Reader::Anyone)
}

impl Authority {
    /// Opens the authority in `folder`; makes the server's certificate for `names` where it is
    /// missing, for other names, or has less than a third of its life left.
    ///
    /// # Errors
    /// When there is no authority, or a file cannot be read or written.
    pub fn open(folder: &Path, names: &[String], now: WallTime) -> Result<Self, PkiError> {
        let files = Folder(folder.to_owned());
        let certificate = files.certificate("ca.pem")?;
        let no_authority = || PkiError::Content { path: files.path("ca.pem") };
        let issuer = Issuer::from_ca_cert_der(&certificate, files.key("ca.key")?)
            .map_err(|_| no_authority())?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&certificate).map_err(|_| no_authority())?;
        let ends = parsed.validity().not_after.to_datetime();
        if !server_is_good(&files, names, now) {
            make_server(&files, &issuer, names, now)?;
        }
        let server_key = files.key("server.key")?;
        let key = PrivateKeyDer::try_from(server_key.serialize_der())
            .map_err(|_| PkiError::Content { path: files.path("server.key") })?;
        let server = (files.certificate("server.pem")?, key);
        Ok(Self { issuer, certificate, ends, server })
    }

    /// The certificate that signs playable copies, made where it is missing or has less than a third
    /// of its life left.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn for_copies(&self, folder: &Path, now: WallTime) -> Result<CopiesFiles, PkiError> {
        let files = Folder(folder.to_owned());
        if !lives(&files, "copies", COPIES_DAYS, now) {
            let key = KeyPair::generate().map_err(PkiError::Making)?;
            let mut copies = params("Watchhouse evidence export", now, COPIES_DAYS);
            copies.distinguished_name.push(DnType::OrganizationName, "Watchhouse");
            copies.not_after = copies.not_after.min(self.ends);
            copies.use_authority_key_identifier_extension = true;
            copies.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            copies.extended_key_usages = vec![
                ExtendedKeyUsagePurpose::EmailProtection,
                ExtendedKeyUsagePurpose::Other(C2PA_CLAIM_SIGNING.to_vec()),
            ];
            copies.is_ca = IsCa::ExplicitNoCa;
            let certificate = copies.signed_by(&key, &self.issuer).map_err(PkiError::Making)?;
            files.write("copies.key", &key.serialize_pem(), Reader::Owner)?;
            files.write("copies.pem", &certificate.pem(), Reader::Anyone)?;
        }
        Ok(CopiesFiles { certificate: files.path("copies.pem"), key: files.path("copies.key") })
    }

    /// The authority's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The digest by which an enrolment token names the authority.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.certificate)
    }

    /// The server's certificate chain and key.
    #[must_use]
    pub fn server(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.server.0.clone(), self.certificate.clone()], self.server.1.clone_key())
    }

    /// Issues a site's certificate for the key of `request` (PKCS#10, DER). Only the key is taken
    /// from the request; names and uses are ours.
    ///
    /// # Errors
    /// When the request does not hold.
    pub fn issue(&self, request: &[u8], site: &SiteId, now: WallTime) -> Result<Issued, PkiError> {
        let request = CertificateSigningRequestDer::from(request.to_vec());
        let mut request =
            CertificateSigningRequestParams::from_der(&request).map_err(|_| PkiError::Request)?;
        let mut params = params(site.as_str(), now, SITE_DAYS);
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let serial = params.serial_number.as_ref().map(SerialNumber::to_bytes).unwrap_or_default();
        request.params = params;
        let certificate = request.signed_by(&self.issuer).map_err(PkiError::Making)?;
        Ok(Issued {
            der: certificate.der().clone(),
            serial: hex::encode(serial),
            ends: now.plus_seconds(SITE_DAYS * DAY_S),
        })
    }
}

fn params(name: &str, now: WallTime, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // A little back, for agents whose clock is behind.
    params.not_before = now.plus_seconds(-300).calendar();
    params.not_after = now.plus_seconds(days * DAY_S).calendar();
    params.serial_number = Some(SerialNumber::from_slice(&random_serial()));
    params
}

/// 127 random bits: RFC 5280 section 4.1.2.2 wants a positive number of at most 20 bytes.
fn random_serial() -> [u8; 16] {
    let mut serial = [0; 16];
    aws_lc_rs::rand::fill(&mut serial).expect("the system gives random bytes");
    serial[0] = serial[0] & 0x3f | 0x40;
    serial
}

fn server_is_good(files: &Folder, names: &[String], now: WallTime) -> bool {
    let names_as_made = files.read("server.names").unwrap_or_default();
    names_as_made == names.join("\n") && lives(files, "server", SERVER_DAYS, now)
}

/// Whether `name`.pem has more than a third of its `days` left, and its key is there.
fn lives(files: &Folder, name: &str, days: i64, now: WallTime) -> bool {
    let Ok(der) = files.certificate(&format!("{name}.pem")) else { return false };
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(&der) else { return false };
    let ends_s = certificate.validity().not_after.timestamp();
    ends_s - now.0 / 1_000_000 > days * DAY_S / 3 && files.key(&format!("{name}.key")).is_ok()
}

fn make_server(
    files: &Folder,
    issuer: &Issuer<'_, KeyPair>,
    names: &[String],
    now: WallTime,
) -> Result<(), PkiError> {
    let key = KeyPair::generate().map_err(PkiError::Making)?;
    let mut server = params("Watchhouse controller", now, SERVER_DAYS);
    server.subject_alt_names =
        CertificateParams::new(names.to_vec()).map_err(PkiError::Making)?.subject_alt_names;
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = server.signed_by(&key, issuer).map_err(PkiError::Making)?;
    files.write("server.key", &key.serialize_pem(), Reader::Owner)?;
    files.write("server.pem", &certificate.pem(), Reader::Anyone)?;
    files.write("server.names", &names.join("\n"), Reader::Anyone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_gets_its_own_name_whatever_it_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        create(folder.path(), now).unwrap();
        assert!(matches!(create(folder.path(), now), Err(PkiError::File { .. })));
        let names = vec!["127.0.0.1".to_owned(), "controller.example".to_owned()];
        let authority = Authority::open(folder.path(), &names, now).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut wish = CertificateParams::new(vec!["hq".to_owned()]).unwrap();
        wish.distinguished_name.push(DnType::CommonName, "hq");
        let request = wish.serialize_request(&key).unwrap();
        let issued = authority.issue(request.der(), &"east".parse().unwrap(), now).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&issued.der).unwrap();
        assert_eq!(parsed.subject().to_string(), "CN=east");
        assert!(parsed.subject_alternative_name().unwrap().is_none());
        assert_eq!(hex::encode(parsed.raw_serial()), issued.serial);
        assert!(matches!(
            authority.issue(b"nonsense", &"east".parse().unwrap(), now),
            Err(PkiError::Request)
        ));
    }

    #[test]
    fn copies_are_signed_by_a_certificate_of_their_own_that_is_renewed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let now: WallTime = "2026-11-21T12:00:00Z".parse().unwrap();
        create(folder.path(), now).unwrap();
        let authority = Authority::open(folder.path(), &["x.example".to_owned()], now).unwrap();
        let files = authority.for_copies(folder.path(), now).unwrap();
        let pem = fs::read_to_string(&files.certificate).unwrap();
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        let (_, ca) = x509_parser::parse_x509_certificate(authority.certificate()).unwrap();
        let key_identifiers = parsed.extensions().iter().map(|e| e.oid.to_id_string());
        assert!(
            key_identifiers.into_iter().any(|oid| oid == "2.5.29.35"),
            "names its issuer's key"
        );
        assert_ne!(parsed.subject(), parsed.issuer());
        assert!(parsed.key_usage().unwrap().unwrap().value.digital_signature());
        let purposes = parsed.extended_key_usage().unwrap().unwrap().value;
        let other: Vec<_> = purposes.other.iter().map(ToString::to_string).collect();
        assert_eq!(other, ["1.3.6.1.4.1.62558.2.1"]);
        assert!(purposes.email_protection);
        assert!(!purposes.any && !purposes.server_auth && !purposes.client_auth);

        let days = |days: i64| now.plus_seconds(days * DAY_S);
        authority.for_copies(folder.path(), days(1_200)).unwrap();
        assert_eq!(fs::read_to_string(&files.certificate).unwrap(), pem, "two thirds have passed");
        authority.for_copies(folder.path(), days(3_000)).unwrap();
        let renewed = fs::read_to_string(&files.certificate).unwrap();
        assert_ne!(renewed, pem);
        let der = CertificateDer::from_pem_slice(renewed.as_bytes()).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&der).unwrap();
        assert_eq!(parsed.validity().not_after, ca.validity().not_after);
    }
}
