//! Where a camera is and how to log in to it. Knows nothing of RTSP beyond its address.

use std::fmt;
use std::str::FromStr;

use retina::client::Credentials;
use url::Url;

/// What a password is replaced by wherever text leaves this room.
const REDACTED: &str = "***";

/// An RTSP address with the credentials a camera asks for. `Debug` and `Display` show neither
/// user nor password.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Without user and password, so that nothing below can log them.
    url: Url,
    user: String,
    password: String,
}

/// An address that cannot be a camera's. Never repeats the address: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAddress {
    /// Not a URL at all.
    #[error("a camera's address is not a URL: write it like rtsp://user:password@10.1.2.3/stream")]
    NotUrl,
    /// Another scheme, such as `http`.
    #[error("a camera's address must begin with rtsp:// or rtsps://")]
    NotRtsp,
    /// No host.
    #[error("a camera's address names no host")]
    NoHost,
    /// A user or password whose percent-escapes are broken.
    #[error(
        "the user or password in a camera's address has a % that is not followed by two hexadecimal digits of valid text"
    )]
    BadEscape,
}

impl Address {
    /// The address without credentials: what may be shown and sent in a request line.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Whether the camera is talked to over TLS, as `rtsps://` says.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.url.scheme() == "rtsps"
    }

    /// This address with other credentials, for a configuration that keeps them apart.
    #[must_use]
    pub fn with_credentials(mut self, user: &str, password: &str) -> Self {
        user.clone_into(&mut self.user);
        password.clone_into(&mut self.password);
        self
    }

    /// For the RTSP client alone.
    pub(super) fn credentials(&self) -> Option<Credentials> {
        if self.user.is_empty() && self.password.is_empty() {
            return None;
        }
        Some(Credentials { username: self.user.clone(), password: self.password.clone() })
    }

    /// The first line of `text`, shortened, without this camera's password. The lines after it
    /// are `retina`'s dumps of what was received, which may be pixels.
    pub(super) fn redact(&self, text: &str) -> String {
        const DETAIL_CHARS_MAX: usize = 300;
        let text = text.lines().next().unwrap_or_default().trim();
        let text = if self.password.is_empty() {
            text.to_owned()
        } else {
            text.replace(&self.password, REDACTED)
        };
        text.chars().take(DETAIL_CHARS_MAX).collect()
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        let mut url = Url::parse(text).map_err(|_| BadAddress::NotUrl)?;
        if !matches!(url.scheme(), "rtsp" | "rtsps") {
            return Err(BadAddress::NotRtsp);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadAddress::NoHost);
        }
        let user = unescape(url.username())?;
        let password = unescape(url.password().unwrap_or_default())?;
        url.set_password(None).map_err(|()| BadAddress::NoHost)?;
        url.set_username("").map_err(|()| BadAddress::NoHost)?;
        Ok(Self { url, user, password })
    }
}

/// Undoes percent-escapes (RFC 3986 section 2.1).
fn unescape(text: &str) -> Result<String, BadAddress> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()];
        let [Some(high), Some(low)] = digits else { return Err(BadAddress::BadEscape) };
        let mut value = [0];
        hex::decode_to_slice([high, low], &mut value).map_err(|_| BadAddress::BadEscape)?;
        out.push(value[0]);
    }
    String::from_utf8(out).map_err(|_| BadAddress::BadEscape)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.url, f)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.credentials().is_some() { REDACTED } else { "none" };
        f.debug_struct("Address").field("url", &self.url.as_str()).field("login", &login).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_used_but_never_shown() {
        let address: Address = "rtsp://wh:s%40cret%2F@10.1.2.3:554/live?ch=1".parse().unwrap();
        let login = address.credentials().unwrap();
        assert_eq!((login.username.as_str(), login.password.as_str()), ("wh", "s@cret/"));
        assert_eq!(address.to_string(), "rtsp://10.1.2.3:554/live?ch=1");
        let shown = format!("{address} {address:?} {:?}", address.url());
        for secret in ["s@cret", "s%40cret", "wh:"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        assert_eq!(address.redact("bad login s@cret/ here\n0000: 17 2a"), "bad login *** here");
    }

    #[test]
    fn a_camera_without_login_sends_none() {
        let address: Address = "rtsp://camera.east/1".parse().unwrap();
        assert!(address.credentials().is_none());
        assert!(address.with_credentials("a", "b").credentials().is_some());
    }

    #[test]
    fn tls_is_what_the_scheme_says() {
        let address: Address = "rtsps://u:hunter2@camera.east/1".parse().unwrap();
        assert!(address.is_tls() && !address.to_string().contains("hunter2"));
        assert!(!"rtsp://camera.east/1".parse::<Address>().unwrap().is_tls());
    }

    #[test]
    fn addresses_of_nothing_are_refused_without_repeating_them() {
        for (text, expect) in [
            ("10.1.2.3/live", BadAddress::NotUrl),
            ("https://u:hunter2@h/", BadAddress::NotRtsp),
            ("rtsp:///live", BadAddress::NoHost),
            ("rtsp://u:%zz@h/", BadAddress::BadEscape),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error, expect, "{text}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
