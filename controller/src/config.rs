//! Reads and checks the controller's TOML: every mistake at once, each with its line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use host::settings::{self, LoadError, Mistakes, Section};

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
    /// In pulls, per site; 0: no limit.
    pub pull_bytes_per_second: u64,
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
        let pull_bytes_per_second =
            top.section("pull", |pull| pull.number("bytes_per_second", 0..=1 << 40, 0));
        let c2pa_sign = top.section("bundle", |bundle| bundle.optional("c2pa_sign"));
        let (fleet, api, names) = listen?;
        let state_dir = state_dir?;
        Some(Config { state_dir, fleet, api, names, pull_bytes_per_second, c2pa_sign })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_example_is_a_good_configuration() {
        let config = parse(EXAMPLE).unwrap();
        assert_eq!(config.fleet, "0.0.0.0:7443".parse().unwrap());
        assert_eq!(config.api, "0.0.0.0:7444".parse().unwrap());
        assert_eq!(config.names, ["controller.example"]);
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
