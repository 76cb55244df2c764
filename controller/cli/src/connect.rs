//! The controller's address, CA and token: one TLS connection that trusts the given CA alone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

use crate::args::Controller;
use crate::failure::Failure;

/// A connection that carries the token with every call.
pub type Connection = InterceptedService<Channel, Token>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// To the first answer; streams may go on for as long as bytes or pings come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// A token is some 80 characters.
const TOKEN_BYTES_MAX: usize = 4_096;

/// Adds the token to every call. Has no `Debug`.
#[derive(Clone)]
pub struct Token(MetadataValue<Ascii>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Connects, or says what is missing.
///
/// # Errors
/// When an option is missing, a file does not read, or the controller cannot be reached.
pub async fn connect(options: &Controller) -> Result<Connection, Failure> {
    let missing = |option: &str, variable: &str| {
        Failure::usage(
            format!("--{option} is missing"),
            &format!("give --{option}, or set {variable}"),
        )
    };
    let url = options.controller.as_ref();
    let url = url.ok_or_else(|| missing("controller", "WATCHHOUSE_CONTROLLER"))?;
    let ca = options.ca.as_ref().ok_or_else(|| missing("ca", "WATCHHOUSE_CA"))?;
    let token = options.token_file.as_ref();
    let token = token.ok_or_else(|| missing("token-file", "WATCHHOUSE_TOKEN_FILE"))?;
    let token = read_token(token)?;
    let ca = fs::read(ca)
        .map_err(|error| Failure::local(&format!("cannot read the CA {}", ca.display()), &error))?;
    if !url.starts_with("https://") {
        return Err(Failure::usage(
            format!("`{url}` is no https:// address"),
            "write https://HOST:PORT; without TLS your token would be readable",
        ));
    }
    let bad_url = |error: tonic::transport::Error| {
        Failure::usage(
            format!("`{url}` is no address: {}", chain(&error)),
            "write https://HOST:PORT",
        )
    };
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
    let channel = Endpoint::from_shared(url.clone())
        .map_err(bad_url)?
        .tls_config(tls)
        .map_err(bad_url)?
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(ANSWER_TIMEOUT)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .connect()
        .await
        .map_err(|error| {
            Failure::away(
                format!("cannot reach the controller at {url}: {}", chain(&error)),
                "check --controller, --ca and the network",
            )
        })?;
    Ok(InterceptedService::new(channel, token))
}

fn read_token(path: &Path) -> Result<Token, Failure> {
    let what = format!("cannot read the token {}", path.display());
    let text = fs::read_to_string(path).map_err(|error| Failure::local(&what, &error))?;
    let text = text.trim();
    if text.is_empty() || text.len() > TOKEN_BYTES_MAX {
        return Err(Failure::local(&what, &"the file holds no token"));
    }
    let mut value = MetadataValue::try_from(format!("Bearer {text}"))
        .map_err(|_| Failure::local(&what, &"the file holds no token"))?;
    value.set_sensitive(true);
    Ok(Token(value))
}

/// An error with what caused it: tonic's own text is `transport error` alone.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Exit;

    fn options(url: &str, ca: &Path, token: &Path) -> Controller {
        Controller {
            controller: Some(url.into()),
            ca: Some(ca.into()),
            token_file: Some(token.into()),
        }
    }

    async fn exit(options: &Controller) -> Exit {
        connect(options).await.map(|_| ()).unwrap_err().exit
    }

    #[tokio::test]
    async fn each_missing_thing_has_its_own_exit_status() {
        let folder = tempfile::tempdir().unwrap();
        let (token, none) = (folder.path().join("token"), folder.path().join("none"));
        fs::write(&token, "secret\n").unwrap();
        let nowhere = Controller { controller: None, ca: None, token_file: None };
        assert_eq!(exit(&nowhere).await, Exit::Usage);
        assert_eq!(exit(&options("https://127.0.0.1:1", &none, &token)).await, Exit::Local);
        assert_eq!(exit(&options("https://127.0.0.1:1", &token, &none)).await, Exit::Local);
        assert_eq!(exit(&options("http://127.0.0.1:1", &token, &token)).await, Exit::Usage);
        fs::write(&none, "\n").unwrap();
        assert_eq!(exit(&options("https://127.0.0.1:1", &token, &none)).await, Exit::Local);
    }
}
