//! Reads and checks the site's TOML: every mistake at once, each with its line.
//!
//! | file | holds |
//! |---|---|
//! | `config/camera.rs` | one `[[camera]]`: address, credentials, mask |
//! | `config/evidence.rs` | `[evidence]`: the domain in the names of logs and witnesses |
//! | `config/hold.rs` | `[hold]`: how much of the disc held footage may take |
//! | `config/mask.rs` | `[mask]`: how many threads mask, and with which encoder |
//! | `config/identity.rs` | `[identity]`: where the site's identity key lies |
//! | [`retention`] | `[[retention]]`: for how long each class of camera's footage is kept |
//! | `config/second_tier.rs` | `[second_tier]`: a slower disc for older footage |
//! | `config/site_key.rs` | `[site_key]`: where the key lies that all footage keys are under |
//!
//! Secrets are never in the file: it names the files that hold them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use custody::{CameraId, SiteId};
use host::settings::{self, LoadError, Mistakes, Section};

use crate::scrub::Rules;
use crate::store::HoldBudget;

mod camera;
mod evidence;
mod hold;
mod identity;
mod mask;
pub mod retention;
mod second_tier;
mod site_key;

pub use camera::{Camera, Masking, Place};
pub use evidence::{BadDomain, Domain};
pub use identity::{Identity, Token};
pub use retention::{Class, Classes};
pub use second_tier::SecondTier;
pub use site_key::SiteKey;

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
    /// Where the key lies that all footage keys are under.
    pub site_key: SiteKey,
    /// The domain in the names of the site's log and witness.
    pub domain: Domain,
    /// How to record.
    pub recording: Recording,
    /// How footage is read again.
    pub scrub: Rules,
    /// How to mask.
    pub mask: crate::mask::Settings,
    /// For how long each class of camera's footage is kept.
    pub classes: Classes,
    /// A slower disc for older footage, if there is one.
    pub second_tier: Option<SecondTier>,
    /// Bytes per second that pulls may use; 0: no limit.
    pub pull_bytes_per_second: u64,
    /// How much of the disc held footage may take.
    pub hold_budget: HoldBudget,
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
        let site_key = top.section("site_key", site_key::read);
        let domain = top.section("evidence", evidence::read);
        let (recording, retain_s) = top.section("recording", recording);
        let second_tier = top.section("second_tier", second_tier::read);
        if let (Some(tier), Some(state_dir)) = (&second_tier, &state_dir)
            && second_tier::overlaps(&tier.path, state_dir)
        {
            top.object("second_tier", "path: it lies with the first disc's footage");
        }
        let scrub = top.section("scrub", scrub);
        let mask = top.section("mask", mask::read);
        let classes = retention::read(top, retain_s);
        let pull_bytes_per_second =
            top.section("link", |link| link.number("pull_bytes_per_second", 0..=1 << 40, 0));
        let hold_budget = top.section("hold", hold::read);
        // A wrong site name must not hide the cameras' own mistakes.
        let camera_site = site.clone().unwrap_or_else(|| "site".parse().expect("a good name"));
        let cameras =
            top.sections("camera", |section| camera::read(section, &camera_site, &classes));
        check_cameras(top, &cameras);
        Some(Config {
            site: site?,
            state_dir: state_dir?,
            controller: controller?,
            identity: identity?,
            site_key: site_key?,
            domain: domain?,
            recording,
            scrub,
            mask,
            classes,
            second_tier,
            pull_bytes_per_second,
            hold_budget,
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

/// How to record, and for how long to keep it, if that was given.
fn recording(section: &mut Section<'_>) -> (Recording, Option<u64>) {
    let segment_s = section.number("segment_s", 2..=600, 60);
    let recording = Recording {
        segment_s: u32::try_from(segment_s).unwrap_or(60),
        reserve_free_bytes: section.number("reserve_free_bytes", 0..=1 << 50, 2 << 30),
        stall_ms: section.number("stall_ms", 500..=120_000, 10_000),
    };
    (recording, retention::duration(section, "retain"))
}

fn scrub(section: &mut Section<'_>) -> Rules {
    let pass: String = section.optional("pass").unwrap_or_else(|| "15d".to_owned());
    let pass_s = match retention::duration_s(&pass) {
        Some(seconds) if seconds <= RETAIN_MAX_S => seconds,
        _ => {
            section.object("pass", "must be a number and a unit, up to 31d: 15d, 12h; 0s: never");
            0
        }
    };
    let bytes_per_second_max =
        section.number("bytes_per_second_max", 65_536..=1 << 40, 100_000_000);
    Rules { pass_s, bytes_per_second_max }
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
        assert_eq!(config.hold_budget, HoldBudget::default());
        assert_eq!(config.classes.standard().floor_s, RETAIN_MAX_S);
        assert_eq!(config.classes.standard().ceiling_s, RETAIN_MAX_S);
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
            let Ok(Config {
                identity: Identity::Pkcs11(token),
                site_key: SiteKey::Pkcs11(root),
                ..
            }) = token(whole)
            else {
                panic!("not read: {whole}");
            };
            assert_eq!(root.key_label, "watchhouse-site-key");
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
    fn how_masks_are_made_is_read_or_named_as_a_mistake() {
        use crate::mask::choice::{Choice, Effort, Kind};
        let with = |body: &str| parse(&EXAMPLE.replace("workers = 0", body));
        assert_eq!(parse(EXAMPLE).unwrap().mask, crate::mask::Settings::default());
        let named = EXAMPLE.replace("\"auto\"", "\"h264_qsv\"").replace("\"fast\"", "\"fine\"");
        let mask = parse(&named.replace("workers = 0", "workers = 3")).unwrap().mask;
        assert_eq!((mask.workers, mask.encoder), (3, Choice::Named(Kind::Qsv)));
        assert_eq!(mask.effort, Effort::Fine);
        let said = with("workers = 257\nthreads = 1").unwrap_err().to_string();
        assert!(said.contains("mask.workers: must be a whole number from 0 to 256"), "{said}");
        assert!(said.contains("mask.threads: unknown key"), "{said}");
        let said = parse(&EXAMPLE.replace("\"auto\"", "\"x265\"")).unwrap_err().to_string();
        assert!(said.contains("mask.encoder: ") && said.contains("\"h264_vaapi\""), "{said}");
    }

    #[test]
    fn no_cameras_certificate_is_taken_unchecked() {
        use crate::camera::Pin;
        let line = EXAMPLE.lines().find(|line| line.starts_with("certificate_sha256")).unwrap();
        let with = |pin: &str| parse(&EXAMPLE.replace(line, pin));
        assert!(matches!(parse(EXAMPLE).unwrap().cameras[1].pin, Some(Pin::Certificate(_))));
        let by_ca = with("ca_path = \"/etc/ca.pem\"").unwrap();
        assert_eq!(by_ca.cameras[1].pin, Some(Pin::Authority("/etc/ca.pem".into())));
        assert_eq!(by_ca.cameras[0].pin, None);
        let both = format!("{line}\nca_path = \"/etc/ca.pem\"");
        for (pin, expected) in [
            ("", "rtsps:// needs one of certificate_sha256 and ca_path"),
            (&both, "rtsps:// needs one of certificate_sha256 and ca_path"),
            ("certificate_sha256 = \"3f\"", "camera 2: certificate_sha256: "),
        ] {
            let said = with(pin).unwrap_err().to_string();
            assert!(said.contains(expected), "{expected} not in:\n{said}");
        }
        let plain = EXAMPLE.replace("rtsps://", "rtsp://");
        assert!(parse(&plain).unwrap_err().to_string().contains("the address is not rtsps://"));
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
