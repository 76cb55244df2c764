//! What went wrong, its stable code, the next step, and the exit status.

use std::fmt;
use std::process::ExitCode;

use tonic::{Code, Status};

/// How the program ends. The numbers are stable; `--help` lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done,
    /// The evidence check refused a bundle.
    Evidence,
    /// The command line does not read.
    Usage,
    /// The controller refused: access, or the state of things.
    Refused,
    /// The controller cannot be reached, or failed.
    Away,
    /// A file here cannot be read or written.
    Local,
    /// `health` found something wrong.
    Unhealthy,
}

/// What `--help` says of exit statuses.
pub const EXITS: &str = "Exit status:
  0  done
  1  a bundle was refused by the evidence check
  2  the command line does not read
  3  the controller refused: no access, or not in this state
  4  the controller cannot be reached, or failed
  5  a file here cannot be read or written
  6  `health` found something wrong";

impl Exit {
    /// The number.
    #[must_use]
    pub fn status(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Evidence => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Away => 4,
            Self::Local => 5,
            Self::Unhealthy => 6,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.status())
    }
}

/// Why a command did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What happened.
    pub message: String,
    /// The refusal's stable code, if there is one.
    pub code: Option<String>,
    /// What to do.
    pub next: String,
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "watchhouse: {}", printable(&self.message))?;
        if let Some(code) = &self.code {
            write!(f, "\n  code: {}", printable(code))?;
        }
        if !self.next.is_empty() {
            write!(f, "\n  next: {}", printable(&self.next))?;
        }
        Ok(())
    }
}

/// Text from elsewhere, fit for a terminal: no control characters.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

impl Failure {
    /// A file here.
    #[must_use]
    pub fn local(what: &str, error: &dyn fmt::Display) -> Self {
        Self {
            exit: Exit::Local,
            message: format!("{what}: {error}"),
            code: None,
            next: String::new(),
        }
    }

    /// The command line.
    #[must_use]
    pub fn usage(message: impl Into<String>, next: &str) -> Self {
        Self { exit: Exit::Usage, message: message.into(), code: None, next: next.into() }
    }

    /// The controller, unreachable or faulty.
    #[must_use]
    pub fn away(message: impl Into<String>, next: &str) -> Self {
        Self { exit: Exit::Away, message: message.into(), code: None, next: next.into() }
    }

    /// What the controller answered.
    #[must_use]
    pub fn answered(status: &Status) -> Self {
        let code = status.metadata().get(proto::CODE_KEY);
        let code = code.and_then(|value| value.to_str().ok()).map(str::to_owned);
        // A status without our code was made on the way: by tonic, a proxy or a broken line.
        let (exit, next) = match status.code() {
            Code::Unauthenticated => {
                (Exit::Refused, "check --token-file; an administrator can give you a new token")
            }
            Code::PermissionDenied => {
                (Exit::Refused, "ask an administrator for the role that this needs")
            }
            Code::NotFound => (Exit::Refused, "list what there is, and check the name"),
            Code::InvalidArgument | Code::OutOfRange => {
                (Exit::Refused, "correct the values and try again")
            }
            Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
                (Exit::Refused, "look at the present state, with `list` or `show`")
            }
            Code::ResourceExhausted => (Exit::Refused, "try again later, or ask for less"),
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => {
                (Exit::Away, "check --controller, --ca and the network, then try again")
            }
            Code::Unknown | Code::Internal | Code::DataLoss | Code::Unimplemented => {
                (Exit::Away, "look at the controller's log; its version may not be this one's")
            }
            Code::Ok => (Exit::Away, "the controller contradicts itself"),
        };
        let next = if code.is_some() { "" } else { next };
        let message = match status.message() {
            "" => status.code().description().to_owned(),
            text => text.to_owned(),
        };
        Self { exit, message, code, next: next.to_owned() }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::answered(&status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_the_controllers_sentence_and_code() {
        let mut status = Status::permission_denied("you asked for WH-2026-000001 yourself; ask");
        status.metadata_mut().insert(proto::CODE_KEY, "own-request".parse().unwrap());
        let failure = Failure::answered(&status);
        assert_eq!(failure.exit.status(), 3);
        let text = failure.to_string();
        assert!(text.contains("yourself; ask") && text.contains("code: own-request"), "{text}");
        assert!(!text.contains("next:"), "the controller's sentence says the next step: {text}");
    }

    #[test]
    fn each_kind_of_failure_has_its_exit_status() {
        let status = |code| Failure::answered(&Status::new(code, "x")).exit.status();
        for refused in [Code::Unauthenticated, Code::PermissionDenied, Code::NotFound] {
            assert_eq!(status(refused), 3);
        }
        for refused in [Code::FailedPrecondition, Code::InvalidArgument, Code::AlreadyExists] {
            assert_eq!(status(refused), 3);
        }
        for away in [Code::Unavailable, Code::DeadlineExceeded, Code::Internal, Code::Unknown] {
            assert_eq!(status(away), 4);
        }
        assert_eq!(Failure::usage("x", "").exit.status(), 2);
        assert_eq!(Failure::local("x", &"y").exit.status(), 5);
        assert_eq!((Exit::Done.status(), Exit::Evidence.status()), (0, 1));
        for number in 0..=6 {
            assert!(EXITS.contains(&format!("\n  {number}  ")), "--help lists {number}");
        }
    }

    #[test]
    fn nothing_from_elsewhere_moves_the_cursor() {
        let failure = Failure::away("a\x1b[2Jb\nVERIFIED", "");
        assert!(!failure.to_string().contains('\x1b'));
        assert_eq!(failure.to_string().lines().count(), 1);
    }
}
