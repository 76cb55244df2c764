//! Reads and checks the controller's TOML: every mistake at once, each with its line.
//!
//! | file | holds |
//! |---|---|
//! | `config/outside.rs` | `[[witness]]` and `[tsa]`: parties outside the force |
//! | `config/vault.rs` | `[vault]`: where held footage lies as well |

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use custody::SiteId;
use host::settings::{self, LoadError, Mistakes, Section};

mod outside;
mod vault;

pub use outside::{OutsideWitness, Tsa};

/// The controller's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where log, keys and vault are.
    pub state_dir: PathBuf,
    /// UDP, QUIC: for the sites' agents.
    pub fleet: SocketAddr,
    /// TCP, gRPC over TLS: for people and systems.
    pub api: SocketAddr,
    /// The names in the server's certificate; addresses allowed.
    pub names: Vec<String>,
    /// What the names of logs and witnesses end in: `controller.<domain>/log/…`.
    pub domain: String,
    /// Witnesses outside the force.
    pub witnesses: Vec<OutsideWitness>,
    /// The time-stamping authority, if there is one.
    pub tsa: Option<Tsa>,
    /// In pulls, per site; 0: no limit.
    pub pull_bytes_per_second: u64,
    /// Held footage is copied to the first of these sites that is not its own; empty: to none.
    pub also_at: Vec<SiteId>,
    /// The program that signs playable copies; none: `c2pa-sign` beside this program.
    pub c2pa_sign: Option<PathBuf>,
}

/// What `--print-config` prints: every key with its default or an example.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// Reads `path`.
///
/// # Errors
/// Every mistake found.
pub fn load(path: &Path) -> Result<Config, LoadError> {
    settings::load(path, parse).map(|(config, _)| config)
}

/// Reads settings from text.
///
/// # Errors
/// Every mistake found.
pub fn parse(text: &str) -> Result<Config, Mistakes> {
    settings::read(text, |top| {
        let state_dir: Option<PathBuf> = top.required("state_dir");
        let listen = top.section("listen", listen);
        let domain = outside::domain(top);
        let witnesses = outside::witnesses(top);
        let tsa = top.has("tsa").then(|| top.section("tsa", outside::tsa));
        let pull_bytes_per_second =
            top.section("pull", |pull| pull.number("bytes_per_second", 0..=1 << 40, 0));
        let also_at = top.section("vault", vault::also_at);
        let c2pa_sign = top.section("bundle", |bundle| bundle.optional("c2pa_sign"));
        let (fleet, api, names) = listen?;
        let state_dir = state_dir?;
        Some(Config {
            state_dir,
            fleet,
            api,
            names,
            domain: domain?,
            witnesses: witnesses.into_iter().collect::<Option<_>>()?,
            tsa: tsa.map_or(Some(None), |tsa| tsa.map(Some))?,
            pull_bytes_per_second,
            also_at: also_at?,
            c2pa_sign,
        })
    })
}

fn listen(section: &mut Section<'_>) -> Option<(SocketAddr, SocketAddr, Vec<String>)> {
    let mut address = |key: &str, default: &str| -> Option<SocketAddr> {
        if section.has(key) {
            section.optional(key)
        } else {
            // Asked for, so that the key is known.
            section.optional::<String>(key);
            default.parse().ok()
        }
    };
    let fleet = address("fleet", "0.0.0.0:7443");
    let api = address("api", "0.0.0.0:7444");
    let names = section.texts("names");
    let is_name = |name: &String| {
        !name.is_empty()
            && name.len() <= 253
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:*".contains(&b))
    };
    if names.is_empty() {
        section.object(
            "names",
            "must name this machine as agents and people call it, like [\"controller.example\"]",
        );
        return None;
    }
    if let Some(bad) = names.iter().find(|name| !is_name(name)) {
        let what = format!("`{bad}` is neither a host name nor an address");
        section.object("names", what);
        return None;
    }
    Some((fleet?, api?, names))
}

/// Settings for a controller of a test: on loopback, on ports of the system's choice.
#[cfg(test)]
pub(crate) fn on_loopback(state_dir: &Path) -> Config {
    let text = format!(
        "state_dir = {state_dir:?}\n[listen]\nfleet = \"127.0.0.1:0\"\napi = \"127.0.0.1:0\"\n\
         names = [\"controller.example\"]\n"
    );
    parse(&text).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_example_is_a_good_configuration() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.fleet, "0.0.0.0:7443".parse().unwrap());
        assert_eq!(config.api, "0.0.0.0:7444".parse().unwrap());
        assert_eq!(config.names, ["controller.example"]);
        assert_eq!(config.domain, "watchhouse.example");
        assert!(config.witnesses.is_empty() && config.tsa.is_none());
        assert_eq!(config.also_at, []);
    }

    #[test]
    fn other_sites_for_held_footage_are_read() {
        let text = |also_at: &str| {
            format!(
                "state_dir = \"/x\"\n[listen]\nnames = [\"10.0.0.1\"]\n[vault]\n\
                 also_at = {also_at}\n"
            )
        };
        let config = parse(&text("[\"hq\", \"west\"]")).unwrap();
        assert_eq!(config.also_at, ["hq", "west"].map(|site| site.parse().unwrap()));
        for (bad, why) in [
            ("[\"../hq\"]", "is not a site"),
            ("[\"hq\", \"hq\"]", "stands twice"),
            ("\"hq\"", "a list of texts"),
        ] {
            let mistakes = parse(&text(bad)).unwrap_err();
            assert!(mistakes.to_string().contains(why), "{mistakes}");
            assert_eq!(mistakes.0[0].line, 5);
        }
    }

    #[test]
    fn outside_parties_are_read() {
        let vkey = custody::log::VerifierKey::new(
            "witness.pcc.example",
            custody::log::note::Algorithm::CosignatureV1,
            custody::SecretKey::from_seed(&[1; 32]).public(),
        );
        let vkey = vkey.unwrap().to_string();
        let text = |vkey: &str, url: &str| {
            format!(
                "state_dir = \"/x\"\ndomain = \"force.example\"\n[listen]\n\
                 names = [\"10.0.0.1\"]\n[[witness]]\nname = \"pcc\"\nvkey = \"{vkey}\"\n\
                 url = \"{url}\"\n[tsa]\nurl = \"http://127.0.0.1:1/\"\nca_path = \"/ca.pem\"\n"
            )
        };
        let config = parse(&text(&vkey, "http://127.0.0.1:2")).unwrap();
        assert_eq!(config.witnesses[0].vkey.name(), "witness.pcc.example");
        assert_eq!(config.domain, "force.example");
        assert_eq!(config.tsa.unwrap().ca_path, Path::new("/ca.pem"));
        let mistakes = parse(&text("witness+00+x", "ftp://x")).unwrap_err();
        let lines: Vec<_> = mistakes.0.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [7, 8], "{mistakes}");
        // Over TLS it must be known whose certificates are trusted.
        let mistakes = parse(&text(&vkey, "https://witness.pcc.example")).unwrap_err();
        assert!(mistakes.to_string().contains("tls_ca_path"), "{mistakes}");
        let twice = format!(
            "{}[[witness]]\nname = \"pcc\"\nvkey = \"{vkey}\"\nurl = \"http://x\"\n",
            text(&vkey, "http://127.0.0.1:2")
        );
        assert!(parse(&twice).unwrap_err().to_string().contains("twice"));
    }

    #[test]
    fn defaults_stand_where_nothing_is_said() {
        let config = parse("state_dir = \"/x\"\n[listen]\nnames = [\"10.0.0.1\"]\n").unwrap();
        assert_eq!((config.fleet.port(), config.api.port()), (7443, 7444));
        assert_eq!((config.pull_bytes_per_second, config.c2pa_sign), (0, None));
    }

    #[test]
    fn every_mistake_is_reported_with_its_line() {
        let text = "sate_dir = \"/x\"\n[listen]\nfleet = \"here\"\nnames = []\n[pull]\n\
                    bytes_per_second = -1\n";
        let mistakes = parse(text).unwrap_err();
        let lines: Vec<_> = mistakes.0.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 1, 3, 4, 6], "{mistakes}");
    }
}
