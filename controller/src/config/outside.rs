//! Parties outside the force that see hashes alone: witnesses and a time-stamping authority.

use std::collections::BTreeSet;
use std::path::PathBuf;

use custody::log::VerifierKey;
use custody::log::note::Algorithm;
use host::settings::Section;

use crate::limits;
use crate::witnessing::web::WebAddress;

/// A witness outside the force, spoken to by C2SP tlog-witness over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideWitness {
    /// What people here call it.
    pub name: String,
    /// Its name and key, as it publishes them.
    pub vkey: VerifierKey,
    /// `add-checkpoint` is posted below this.
    pub url: WebAddress,
    /// The certificates from which its own must come, for `https`.
    pub tls_ca_path: Option<PathBuf>,
}

/// A time-stamping authority (RFC 3161).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tsa {
    /// Queries are posted here.
    pub url: WebAddress,
    /// The certificates that its tokens lead to: given to whoever checks bundles.
    pub ca_path: PathBuf,
    /// The certificates from which its web server's must come, for `https`.
    pub tls_ca_path: Option<PathBuf>,
}

const DOMAIN: &str = "watchhouse.example";

/// What the names of logs and witnesses end in.
pub(super) fn domain(top: &mut Section<'_>) -> Option<String> {
    let domain = if top.has("domain") {
        top.optional::<String>("domain")?
    } else {
        // Asked for, so that the key is known.
        top.optional::<String>("domain");
        DOMAIN.to_owned()
    };
    let is_good = (1..=100).contains(&domain.len())
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && domain
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-".contains(&b));
    if !is_good {
        top.object("domain", "must be a domain of at most 100 of a-z, 0-9, dots and hyphens");
        return None;
    }
    Some(domain)
}

/// Every `[[witness]]`; none where one is wrong.
pub(super) fn witnesses(top: &mut Section<'_>) -> Vec<Option<OutsideWitness>> {
    let mut known = BTreeSet::new();
    let mut count = 0;
    top.sections("witness", |section| {
        count += 1;
        let name: Option<String> = section.required("name");
        let vkey: Option<VerifierKey> = section.required("vkey");
        let (url, tls_ca_path) = address(section);
        if count > limits::OUTSIDE_WITNESSES {
            let what = format!("at most {} witnesses are asked", limits::OUTSIDE_WITNESSES);
            section.object("name", what);
        }
        if let Some(vkey) = &vkey {
            if vkey.algorithm() != Algorithm::CosignatureV1 {
                section.object("vkey", "must be a witness's key, of type 4, and this is a log's");
            }
            if !known.insert(vkey.to_string()) {
                section.object("vkey", "stands twice");
            }
        }
        Some(OutsideWitness { name: name?, vkey: vkey?, url: url?, tls_ca_path })
    })
}

/// `[tsa]`.
pub(super) fn tsa(section: &mut Section<'_>) -> Option<Tsa> {
    let ca_path = section.required("ca_path");
    let (url, tls_ca_path) = address(section);
    Some(Tsa { url: url?, ca_path: ca_path?, tls_ca_path })
}

fn address(section: &mut Section<'_>) -> (Option<WebAddress>, Option<PathBuf>) {
    let url: Option<WebAddress> = section.required("url");
    let tls_ca_path: Option<PathBuf> = section.optional("tls_ca_path");
    if url.as_ref().is_some_and(WebAddress::is_tls) && tls_ca_path.is_none() {
        section.object("url", "https needs tls_ca_path, the certificates to trust");
    }
    (url, tls_ca_path)
}
