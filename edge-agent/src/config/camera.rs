//! One `[[camera]]` of the site's TOML.

use std::io;
use std::path::PathBuf;

use custody::{CameraId, Digest, SiteId};
use host::settings::Section;

use super::retention::{self, Class, Classes};
use crate::camera::{Address, Pin};
use crate::mask::{Colour, NoMask, Point, Policy, Zone};

/// Where a camera hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Outside: it may see neighbours.
    External,
    /// Inside police premises.
    Internal,
}

impl Place {
    /// The word in configuration and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

/// What must cover the picture.
#[derive(Debug, Clone)]
pub enum Masking {
    /// These zones, or nothing is recorded.
    Required(Policy),
    /// Nothing, and who approved that.
    NotRequired(NoMask),
}

/// One camera's settings.
#[derive(Debug, Clone)]
pub struct Camera {
    /// Which camera.
    pub id: CameraId,
    /// Where it hangs.
    pub place: Place,
    /// Where it answers; without credentials.
    pub address: Address,
    /// Whom to trust as the camera; some if, and only if, the address is `rtsps://`.
    pub pin: Option<Pin>,
    /// The file with `user:password`, if the camera asks for them.
    pub credentials_path: Option<PathBuf>,
    /// What must cover the picture.
    pub masking: Masking,
    /// For how long its footage is kept.
    pub class: Class,
    /// What it is expected to send, kilobits a second, if the settings say.
    pub expected_kbps: Option<u64>,
}

impl Camera {
    /// The address with the credentials from their file.
    ///
    /// # Errors
    /// When the file cannot be read or has no colon.
    pub fn address_with_credentials(&self) -> io::Result<Address> {
        let Some(path) = &self.credentials_path else { return Ok(self.address.clone()) };
        let text = std::fs::read_to_string(path)?;
        let (user, password) =
            text.trim_end_matches(['\r', '\n']).split_once(':').ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "must hold one line, user:password")
            })?;
        Ok(self.address.clone().with_credentials(user, password))
    }
}

#[derive(Clone, Copy)]
enum Mask {
    Required,
    None,
}

pub(super) fn read(section: &mut Section<'_>, site: &SiteId, classes: &Classes) -> Option<Camera> {
    let name: Option<String> = section.required("name");
    let id = name.and_then(|name| match CameraId::new(site, &name) {
        Ok(id) => Some(id),
        Err(error) => {
            section.object("name", error);
            None
        }
    });
    let place = section.choice(
        "place",
        &[("external", Place::External), ("internal", Place::Internal)],
        None,
    );
    let url: Option<Address> = section.required("url");
    let pin = pin(section, url.as_ref());
    let credentials_path = section.optional("credentials_path");
    let class = retention::of_camera(section, classes);
    let expected = section.number("expected_kbps", 1..=200_000, 0);
    let expected_kbps = Some(expected).filter(|kbps| *kbps > 0);
    let mask = section.choice("mask", &[("required", Mask::Required), ("none", Mask::None)], None);
    let masking = match mask? {
        Mask::Required => section.section("policy", policy).map(Masking::Required),
        Mask::None => section.required::<String>("unmasked_approved_by").and_then(|approver| {
            match NoMask::approved_by(&approver) {
                Ok(approval) => Some(Masking::NotRequired(approval)),
                Err(error) => {
                    section.object("unmasked_approved_by", error);
                    None
                }
            }
        }),
    };
    Some(Camera {
        id: id?,
        place: place?,
        address: url?,
        pin: pin?,
        credentials_path,
        masking: masking?,
        class: class?,
        expected_kbps,
    })
}

/// The pin, none for a camera without TLS; nothing at all when the settings do not say whom to trust.
#[expect(clippy::option_option, reason = "no pin is an answer; nothing is a mistake")]
fn pin(section: &mut Section<'_>, url: Option<&Address>) -> Option<Option<Pin>> {
    let certificate: Option<Digest> = section.optional("certificate_sha256");
    let ca_path: Option<PathBuf> = section.optional("ca_path");
    let given = section.has("certificate_sha256") || section.has("ca_path");
    let tls = url?.is_tls();
    match (tls, certificate, ca_path) {
        (false, ..) if !given => Some(None),
        (false, ..) => {
            section.object("url", "a certificate is named, but the address is not rtsps://");
            None
        }
        (true, Some(digest), None) => Some(Some(Pin::Certificate(digest))),
        (true, None, Some(path)) => Some(Some(Pin::Authority(path))),
        (true, None, None) if given => None, // The mistake has been told.
        (true, ..) => {
            let what = "rtsps:// needs one of certificate_sha256 and ca_path: no camera's certificate \
                        is taken unchecked";
            section.object("url", what);
            None
        }
    }
}

fn policy(section: &mut Section<'_>) -> Option<Policy> {
    let policy_id: Option<String> = section.required("policy_id");
    let approved_by: Option<String> = section.required("approved_by");
    let revision = section.number("revision", 1..=u64::from(u32::MAX), 0);
    if revision == 0 && !section.has("revision") {
        section.object("revision", "missing; it must be given");
    }
    let mut zones = Vec::new();
    for (index, polygon) in section.polygons("zones").into_iter().enumerate() {
        let points = polygon.into_iter().map(|(x, y)| Point { x, y }).collect();
        match Zone::new(points) {
            Ok(zone) => zones.push(zone),
            Err(error) => section.object("zones", format!("polygon {}: {error}", index + 1)),
        }
    }
    let policy = Policy {
        policy_id: policy_id?,
        revision: u32::try_from(revision).ok()?,
        approved_by: approved_by?,
        zones,
        colour: Colour::BLACK,
    };
    if let Err(error) = policy.check() {
        section.object("zones", error);
        return None;
    }
    Some(policy)
}
