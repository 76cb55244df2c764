//! Reads and checks the site's TOML: every mistake at once, each with its line.
//!
//! | file | holds |
//! |---|---|
//! | `config/camera.rs` | one `[[camera]]`: address, credentials, mask |
//! | `config/evidence.rs` | `[evidence]`: the domain in the names of logs and witnesses |
//! | `config/identity.rs` | `[identity]`: where the site's identity key lies |
//! | `config/second_tier.rs` | `[second_tier]`: a slower disc for older footage |
//!
//! Secrets are never in the file: it names the files that hold them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use custody::{CameraId, SiteId};
use host::settings::{self, LoadError, Mistakes, Section};

mod camera;
mod evidence;
mod identity;
mod second_tier;

pub use camera::{Camera, Masking, Place};
pub use evidence::{BadDomain, Domain};
pub use identity::{Identity, Token};
pub use second_tier::SecondTier;

/// The law's ceiling: nothing unheld is kept longer.
pub const RETAIN_MAX_S: u64 = 31 * 86_400;
/// No site has more cameras on one agent; the largest division has 71.
pub const CAMERAS_MAX: usize = 512;

/// A site's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Which site.
    pub site: SiteId,
    /// Where keys, index and segments are.
    pub state_dir: PathBuf,
    /// Whom to call.
    pub controller: Controller,
    /// Where the site's identity key lies.
    pub identity: Identity,
    /// The domain in the names of the site's log and witness.
    pub domain: Domain,
    /// How to record.
    pub recording: Recording,
    /// A slower disc for older footage, if there is one.
    pub second_tier: Option<SecondTier>,
    /// Bytes per second that pulls may use; 0: no limit.
    pub pull_bytes_per_second: u64,
    /// What to record.
    pub cameras: Vec<Camera>,
}

/// Whom to call.
#[derive(Debug, Clone)]
pub struct Controller {
    /// `HOST:PORT`, UDP.
    pub address: String,
    /// The name in its certificate.
    pub server_name: String,
    /// The file with the one-time token; read only until the site has enrolled.
    pub enrolment_token_path: PathBuf,
}

/// How to record.
#[derive(Debug, Clone, Copy)]
pub struct Recording {
    /// Seconds per segment, about.
    pub segment_s: u32,
    /// Footage is erased at this age.
    pub retain_s: u64,
    /// With less free space the oldest unheld footage goes first.
    pub reserve_free_bytes: u64,
    /// A session without a frame for this long is given up, milliseconds.
    pub stall_ms: u64,
}

/// What `--print-config` prints: every key with its default or an example.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// Reads `path`. Gives the settings and the file's bytes, whose digest stands in every record.
///
/// # Errors
/// Every mistake found.
pub fn load(path: &Path) -> Result<(Config, Vec<u8>), LoadError> {
    settings::load(path, parse)
}

/// Reads settings from text.
///
/// # Errors
/// Every mistake found.
pub fn parse(text: &str) -> Result<Config, Mistakes> {
    settings::read(text, |top| {
        let site: Option<SiteId> = top.required("site");
        let state_dir: Option<PathBuf> = top.required("state_dir");
        let controller = top.section("controller", controller);
        let identity = top.section("identity", identity::read);
        let domain = top.section("evidence", evidence::read);
        let recording = top.section("recording", recording);
        let second_tier = top.section("second_tier", second_tier::read);
        if let (Some(tier), Some(state_dir)) = (&second_tier, &state_dir)
            && second_tier::overlaps(&tier.path, state_dir)
        {
            top.object("second_tier", "path: it lies with the first disc's footage");
        }
        let pull_bytes_per_second =
            top.section("link", |link| link.number("pull_bytes_per_second", 0..=1 << 40, 0));
        // A wrong site name must not hide the cameras' own mistakes.
        let camera_site = site.clone().unwrap_or_else(|| "site".parse().expect("a good name"));
        let cameras = top.sections("camera", |section| camera::read(section, &camera_site));
        check_cameras(top, &cameras);
        Some(Config {
            site: site?,
            state_dir: state_dir?,
            controller: controller?,
            identity: identity?,
            domain: domain?,
            recording,
            second_tier,
            pull_bytes_per_second,
            cameras: cameras.into_iter().collect::<Option<_>>()?,
        })
    })
}

fn controller(section: &mut Section<'_>) -> Option<Controller> {
    let address: Option<String> = section.required("address");
    if let Some(address) = &address
        && address.rsplit_once(':').is_none_or(|(_, port)| port.parse::<u16>().is_err())
    {
        section.object("address", "must be HOST:PORT, like controller.example:7443");
    }
    let server_name: Option<String> = section.required("server_name");
    let enrolment_token_path = section.required("enrolment_token_path");
    Some(Controller {
        address: address?,
        server_name: server_name?,
        enrolment_token_path: enrolment_token_path?,
    })
}

fn recording(section: &mut Section<'_>) -> Recording {
    let segment_s = section.number("segment_s", 2..=600, 60);
    let retain: String = section.optional("retain").unwrap_or_else(|| "31d".to_owned());
    let retain_s = match duration_s(&retain) {
        Some(seconds) if (60..=RETAIN_MAX_S).contains(&seconds) => seconds,
        Some(_) => {
            section.object("retain", "must be from 60s to 31d: footage is never kept longer");
            RETAIN_MAX_S
        }
        None => {
            section.object("retain", "must be a number and a unit: 31d, 12h, 90m, 300s");
            RETAIN_MAX_S
        }
    };
    Recording {
        segment_s: u32::try_from(segment_s).unwrap_or(60),
        retain_s,
        reserve_free_bytes: section.number("reserve_free_bytes", 0..=1 << 50, 2 << 30),
        stall_ms: section.number("stall_ms", 500..=120_000, 10_000),
    }
}

/// `31d`, `12h`, `90m`, `300s` in seconds.
fn duration_s(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit_s = match unit {
        "d" => 86_400,
        "h" => 3600,
        "m" => 60,
        "s" => 1,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_s)
}

fn check_cameras(top: &mut Section<'_>, cameras: &[Option<Camera>]) {
    if cameras.is_empty() {
        top.object("camera", "no [[camera]]; a site records at least one");
    }
    if cameras.len() > CAMERAS_MAX {
        top.object("camera", format!("more than {CAMERAS_MAX} cameras; run a second agent"));
    }
    let mut seen: BTreeSet<&CameraId> = BTreeSet::new();
    for camera in cameras.iter().flatten() {
        if !seen.insert(&camera.id) {
            top.object("camera", format!("the name {} stands twice", camera.id.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_example_is_a_good_configuration() {
        let config = parse(EXAMPLE).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(config.site.as_str(), "east");
        assert_eq!(config.recording.retain_s, RETAIN_MAX_S);
        assert_eq!(config.cameras.len(), 2);
        assert!(matches!(&config.cameras[0].masking, Masking::Required(p) if p.zones.len() == 1));
        assert!(matches!(&config.cameras[1].masking, Masking::NotRequired(_)));
    }

    #[test]
    fn all_mistakes_are_told_at_once_with_their_lines() {
        let text = EXAMPLE
            .replace("retain = \"31d\"", "retain = \"32d\"")
            .replace("segment_s = 60", "segment_s = 60\nsegmentation = 1")
            .replace("[[0.0, 0.0], [0.4, 0.0], [0.4, 0.2], [0.0, 0.2]]", "[[0.0, 0.0], [1.4, 0.0]]")
            .replace("unmasked_approved_by", "unmasked_by");
        let mistakes = parse(&text).unwrap_err().to_string();
        for expected in [
            "recording.retain: must be from 60s to 31d",
            "recording.segmentation: unknown key",
            "camera 1: policy.zones: polygon 1: ",
            "camera 2: unmasked_by: unknown key",
            "camera 2: unmasked_approved_by: missing",
        ] {
            assert!(mistakes.contains(expected), "{expected} not in:\n{mistakes}");
        }
        let lines: Vec<usize> = parse(&text).unwrap_err().0.iter().map(|m| m.line).collect();
        assert!(lines.iter().all(|line| *line > 1) && lines.is_sorted(), "{lines:?}");
    }

    #[test]
    fn a_token_is_named_whole_or_its_mistakes_are() {
        let token = |body: &str| parse(&EXAMPLE.replace("kind = \"file\"", body));
        let whole = "kind = \"pkcs11\"\nmodule = \"/usr/lib/m.so\"\ntoken_label = \"east\"\n\
                     pin_path = \"/etc/watchhouse/pin\"";
        if cfg!(feature = "hsm") {
            let Ok(Config { identity: Identity::Pkcs11(token), .. }) = token(whole) else {
                panic!("not read: {whole}");
            };
            assert_eq!(token.key_label, "watchhouse-identity");
            assert_eq!(token.pin_path, Path::new("/etc/watchhouse/pin"));
        }
        let wrong = "kind = \"pkcs11\"\nmodule = \"m.so\"\ntoken_label = \" east\"\nslot = 1";
        let mistakes = token(wrong).unwrap_err();
        let said = mistakes.to_string();
        for expected in [
            "identity.module: must begin at the root",
            "identity.token_label: must be 1 to 32 bytes",
            "identity.pin_path: missing",
            "identity.slot: unknown key",
        ] {
            assert!(said.contains(expected), "{expected} not in:\n{said}");
        }
        assert!(mistakes.0.iter().all(|mistake| mistake.line > 1), "{said}");
        // A token's keys beside a file are a mistake as well: somebody means one of the two.
        let both = whole.replace("pkcs11", "file");
        assert!(token(&both).unwrap_err().to_string().contains("identity.module: unknown key"));
        assert!(token("kind = \"tpm\"").unwrap_err().to_string().contains("\"file\", \"pkcs11\""));
    }

    #[test]
    fn the_domain_is_one_in_small_letters() {
        let with = |domain: &str| parse(&EXAMPLE.replace("watchhouse.example", domain));
        assert_eq!(with("cctv.force.police.uk").unwrap().domain.as_str(), "cctv.force.police.uk");
        for bad in ["", "Force.uk", "force..uk", "-force.uk", "force.uk/log", "a b"] {
            let said = with(bad).unwrap_err().to_string();
            assert!(said.contains("evidence.domain: must be a domain"), "{bad}: {said}");
        }
        let without = EXAMPLE.replace("domain = \"watchhouse.example\"", "");
        assert_eq!(parse(&without).unwrap().domain, Domain::default());
    }

    #[test]
    fn a_second_disc_is_optional_and_lies_elsewhere() {
        assert_eq!(parse(EXAMPLE).unwrap().second_tier, None);
        let with = |body: &str| parse(&EXAMPLE.replace("[link]", &format!("{body}\n[link]")));
        let read = with("[second_tier]\npath = \"/srv/second\"\nafter = \"36h\"").unwrap();
        let tier = read.second_tier.unwrap();
        assert_eq!((tier.path.as_path(), tier.after_s), (Path::new("/srv/second"), 36 * 3600));
        for (wrong, expected) in [
            ("path = \"second\"", "second_tier.path: must begin at the root"),
            ("path = \"/srv\"\nafter = \"1h\"", "second_tier.after: must be from 2h to 31d"),
            ("path = \"/var/lib/watchhouse/segments/b\"", "it lies with the first disc's"),
            ("paths = \"/srv\"", "second_tier.paths: unknown key"),
        ] {
            let said = with(&format!("[second_tier]\n{wrong}")).unwrap_err().to_string();
            assert!(said.contains(expected), "{expected} not in:\n{said}");
        }
    }

    #[test]
    fn two_cameras_of_one_name_are_refused() {
        let text = EXAMPLE.replace("name = \"int-01\"", "name = \"ext-01\"");
        assert!(parse(&text).unwrap_err().to_string().contains("stands twice"));
    }
}
